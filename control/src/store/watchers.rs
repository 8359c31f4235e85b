//! Those who want to know of each new revision.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

#[derive(Debug, Default)]
pub(super) struct Watchers(Mutex<Vec<Sender<u64>>>);

impl Watchers {
    pub(super) fn add(&self) -> Receiver<u64> {
        let (sender, receiver) = channel();
        if let Ok(mut watchers) = self.0.lock() {
            watchers.push(sender);
        }
        receiver
    }

    /// Tells all, and forgets those who don't listen any more.
    pub(super) fn tell(&self, revision: u64) {
        if let Ok(mut watchers) = self.0.lock() {
            watchers.retain(|watcher| watcher.send(revision).is_ok());
        }
    }
}
