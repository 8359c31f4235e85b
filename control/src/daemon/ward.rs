//! Health checks for the daemon: whom it has checked, and what the stage is told of it.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use engine::snapshot::{AllDown, HealthState, MemberHealth};

use super::{Event, Failure};
use crate::config::{Probe, Tool};
use crate::health::{Checker, EchoSockets, HealthMap, Subject, lay_over};

/// The members that are checked.
#[derive(Debug)]
pub(super) struct Ward {
    sockets: EchoSockets,
    /// `None` until there is somebody to check.
    checker: Option<Checker>,
    events: Sender<Event>,
    /// The daemon has not yet looked at what was found last.
    is_news: Arc<AtomicBool>,
    /// The tools of which it was told that no member is well.
    forlorn: BTreeSet<String>,
}

impl Ward {
    /// Nobody yet. What is found later is news for `events`.
    pub(super) fn new(sockets: EchoSockets, events: Sender<Event>) -> Self {
        let (is_news, forlorn) = (Arc::default(), BTreeSet::new());
        Self { sockets, checker: None, events, is_news, forlorn }
    }

    /// Whether all members of these tools can be asked. Errors: ICMP takes a socket that is not there.
    pub(super) fn judge(&self, tools: &[Tool]) -> Result<(), Failure> {
        for Subject { tool, address, check, .. } in Subject::of(tools) {
            if check.probe == Probe::Icmp
                && let Some(lack) = self.sockets.lack(address)
            {
                let message = format!("tool {tool}: {address} can't be checked: {lack}");
                return Err(Failure::Health(message));
            }
        }
        Ok(())
    }

    /// Has the members of these tools checked from now on, and no others. `before`: what is known of
    /// members that were not checked here before. Errors: there can't be a thread for it.
    pub(super) fn follow(
        &mut self,
        tools: &[Tool],
        before: &HashMap<IpAddr, HealthState>,
    ) -> Result<(), Failure> {
        let subjects = Subject::of(tools);
        if let Some(checker) = &self.checker {
            checker.follow(subjects, before);
        } else if !subjects.is_empty() {
            let checker = self.start().map_err(Failure::Start)?;
            checker.follow(subjects, before);
            self.checker = Some(checker);
        }
        Ok(())
    }

    fn start(&self) -> io::Result<Checker> {
        let (events, is_news) = (self.events.clone(), Arc::clone(&self.is_news));
        Checker::start(&self.sockets, move || {
            // However much is found meanwhile, it is one piece of news.
            if !is_news.swap(true, Ordering::Relaxed) {
                // Nobody is left to be told when the daemon ends.
                let _ = events.send(Event::Health);
            }
        })
    }

    /// All that was found so far.
    pub(super) fn findings(&self) -> HealthMap {
        self.is_news.store(false, Ordering::Relaxed);
        self.checker.as_ref().map(|checker| checker.board().all()).unwrap_or_default()
    }

    /// Logs which tools have lost their last healthy member, or have one again.
    pub(super) fn tell(&mut self, tools: &[Tool], findings: &HealthMap) {
        for tool in tools.iter().filter(|tool| tool.health_check.is_some()) {
            let mut tool = tool.clone();
            lay_over(&mut tool, findings);
            let is_down = tool.members.iter().all(|member| member.health == MemberHealth::Down);
            let id = &tool.id;
            if is_down && self.forlorn.insert(id.clone()) {
                let what = match tool.balance.all_down {
                    AllDown::FailOpen => "all of them get their flows as if they were",
                    AllDown::Skip => "copies to it are skipped",
                };
                log::warn!("tool {id}: no member is healthy; {what}");
            } else if !is_down && self.forlorn.remove(id) {
                log::info!("tool {id}: not all members are unhealthy any more");
            }
        }
    }
}
