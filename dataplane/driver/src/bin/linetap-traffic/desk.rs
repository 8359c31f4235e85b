//! One job after the other.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use driver::lab::Lab;
use traffic::link::{Event, Request};
use traffic::setup::Setup;

use crate::requests::Requests;
use crate::{capture, replay, trial};

/// A started card has its link after some seconds, shared memory its other end after some tenths of one.
const LINK_WAIT: Duration = Duration::from_secs(6);
/// Between two looks at links.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What a job has to work with.
#[derive(Debug)]
pub(crate) struct Desk {
    /// The devices.
    pub(crate) lab: Lab,
    /// As asked for.
    pub(crate) setup: Setup,
    /// Progress goes here, and what ends the job comes from here.
    pub(crate) requests: Requests,
}

impl Desk {
    /// Runs jobs until nobody asks any more.
    pub(crate) fn serve(&mut self) {
        while let Some(request) = self.requests.next() {
            let event = match request {
                Request::Open(_) => refused("the ports are open already"),
                Request::Replay(plan) => replay::run(self, &plan),
                Request::Capture(plan) => capture::run(self, &plan),
                Request::Trial(plan) => trial::run(self, &plan),
                // It came in its turn too: the job that it ended is over.
                Request::Stop => {
                    self.requests.go_on();
                    continue;
                }
            };
            self.requests.answer(&event);
        }
    }

    /// Waits until these ports have links, or the job is to end. Errors: those that got none, a sentence each.
    pub(crate) fn await_links(&self, ports: &[usize]) -> Result<(), Vec<String>> {
        let began = Instant::now();
        loop {
            let all = self.setup.ports.iter().zip(&self.lab.ports).enumerate();
            let asked = all.filter(|(at, _)| ports.contains(at)).map(|(_, port)| port);
            let without: Vec<&str> = asked
                .filter(|(_, live)| !live.link().0)
                .map(|(port, _)| port.name.as_str())
                .collect();
            if without.is_empty() || self.requests.stop().load(Ordering::Relaxed) {
                return Ok(());
            }
            if began.elapsed() >= LINK_WAIT {
                return Err(without.into_iter().map(no_link).collect());
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

fn no_link(port: &str) -> String {
    let seconds = LINK_WAIT.as_secs();
    format!("port `{port}` got no link within {seconds} s: is its other end connected, and up?")
}

/// What is answered when a job can't be done, for one reason.
pub(crate) fn refused(why: &str) -> Event {
    Event::Refused(vec![why.to_owned()])
}
