//! Health checks: whether the members of a `[[tool]]` take copies, asked again and again.
//!
//! ```text
//!  Checker   a thread with a runtime; a task for each member that is checked
//!  probe     one check: ICMP echo, TCP connect, HTTP GET, a datagram to the VXLAN port
//!  gauge     thresholds: what the checks, one after another, say of the member   (pure)
//!  Board     what is known of all members, for whoever publishes, shows or asks
//! ```
//! Nothing is decided here but what a member's state is; what the data plane makes of it is the
//! publisher's to say, who is told that something has changed.
//!
//! A member of which nothing is known yet (`initial`) takes flows: else no copy would be sent between
//! the start and the first checks, and a tool that was well all the time would have a gap in its
//! records. (A Network Load Balancer sends nothing to `initial` targets, but has other ones meanwhile.)
//! A member that the data plane has as down stays so until its checks succeed.

mod board;
mod echo;
mod gauge;
mod probe;
mod rounds;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use engine::snapshot::{Health, HealthState, MemberHealth};
use tokio::runtime::Builder;
use tokio::sync::watch;

use crate::config::{HealthCheck, Tool};

pub use board::Board;
use board::MemberKey;
pub use echo::EchoSockets;
pub use gauge::UNABLE;
use rounds::Rounds;

/// What was found, by tool and by address of the member. Members that are not in it count as well.
pub type HealthMap = BTreeMap<String, BTreeMap<IpAddr, HealthState>>;

/// Has the members of a tool take what the checks allow them.
pub fn lay_over(tool: &mut Tool, health: &HealthMap) {
    let Some(found) = health.get(&tool.id) else { return };
    for member in &mut tool.members {
        let Some(found) = found.get(&member.address) else { continue };
        if matches!(found.state, Health::Unhealthy(_)) {
            member.health = MemberHealth::Down;
        }
        member.checked = Some(found.clone());
    }
}

/// A member that is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The tool's id.
    pub tool: String,
    /// The member's address.
    pub address: IpAddr,
    /// The address of ours that copies to it come from.
    pub source: IpAddr,
    /// How.
    pub check: HealthCheck,
}

impl Subject {
    /// All members of these tools that are to be checked.
    pub fn of(tools: &[Tool]) -> Vec<Self> {
        let checked = tools.iter().filter_map(|tool| Some((tool, tool.health_check.as_ref()?)));
        let subjects = checked.flat_map(|(tool, check)| {
            tool.members.iter().map(|member| Self {
                tool: tool.id.clone(),
                address: member.address,
                source: member.source,
                check: check.clone(),
            })
        });
        subjects.collect()
    }

    fn key(&self) -> MemberKey {
        (self.tool.clone(), self.address)
    }
}

/// Checks members until it is dropped.
#[derive(Debug)]
pub struct Checker {
    board: Arc<Board>,
    /// `None` only while this is dropped.
    subjects: Option<watch::Sender<Vec<Subject>>>,
    thread: Option<JoinHandle<()>>,
}

impl Checker {
    /// Starts its thread, without members yet. `heard` is called by that thread whenever the board
    /// says something else than before. Errors: the system has no means for it.
    pub fn start(
        sockets: &EchoSockets,
        heard: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let board = Arc::<Board>::default();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let rounds = runtime.block_on(async { Rounds::new(sockets, Arc::clone(&board), heard) })?;
        let (sender, subjects) = watch::channel(Vec::new());
        let run = move || runtime.block_on(rounds.run(subjects));
        let thread = std::thread::Builder::new().name("health".into()).spawn(run)?;
        Ok(Self { board, subjects: Some(sender), thread: Some(thread) })
    }

    /// Has these members checked from now on, and no others. Those that were checked before, in the
    /// same way, notice nothing; what is known of a member stays when it is checked in another way.
    /// `before`: what others have known of an address, for members that are new here.
    pub fn follow(&self, subjects: Vec<Subject>, before: &HashMap<IpAddr, HealthState>) {
        self.board.have(subjects.iter().map(Subject::key), |address| before.get(&address).cloned());
        if let Some(sender) = &self.subjects {
            sender.send_replace(subjects);
        }
    }

    /// What is known of each member.
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        // The thread ends when nobody can tell it of members any more.
        self.subjects = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked has ended, too.
            let _ = thread.join();
        }
    }
}
