//! One job after the other.

use driver::lab::Lab;
use traffic::link::{Event, Request};
use traffic::setup::Setup;

use crate::requests::Requests;
use crate::{capture, replay, trial};

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
}

/// What is answered when a job can't be done, for one reason.
pub(crate) fn refused(why: &str) -> Event {
    Event::Refused(vec![why.to_owned()])
}
