//! Hand-over of a value to one worker without locks: taken up when the worker likes, and freed by
//! the publisher, never by the worker.
//!
//! Two bounded lock-free queues per worker: new values go down, replaced ones come back. A worker
//! takes a new value only when there is room to give the old one back, so it never frees anything.

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

/// Replaced values that may wait for the publisher. It empties the queue whenever it publishes, so
/// the limit is never what a worker waits for.
const RETURNS_MAX: usize = 4;

#[derive(Debug)]
struct Queues<T> {
    down: ArrayQueue<Box<T>>,
    back: ArrayQueue<Box<T>>,
}

/// The publisher's end. Thread: publisher.
#[derive(Debug)]
pub struct Publisher<T>(Arc<Queues<T>>);

/// The worker's end, with the value in force. Thread: worker.
#[derive(Debug)]
pub struct Subscriber<T> {
    queues: Arc<Queues<T>>,
    current: Box<T>,
}

/// A channel whose subscriber starts with `first`.
pub fn channel<T>(first: Box<T>) -> (Publisher<T>, Subscriber<T>) {
    let queues = Arc::new(Queues { down: ArrayQueue::new(1), back: ArrayQueue::new(RETURNS_MAX) });
    (Publisher(Arc::clone(&queues)), Subscriber { queues, current: first })
}

impl<T> Publisher<T> {
    /// Offers a value in place of the one in force; returns an earlier offer that the worker had
    /// not taken up yet and now never will.
    pub fn publish(&self, value: Box<T>) -> Option<Box<T>> {
        self.0.down.force_push(value)
    }

    /// Takes back a value that the worker has replaced. Call until `None` before each publish.
    pub fn reclaim(&self) -> Option<Box<T>> {
        self.0.back.pop()
    }
}

impl<T> Subscriber<T> {
    /// True when something was published since. Cost: two loads.
    #[inline]
    pub fn has_news(&self) -> bool {
        !self.queues.down.is_empty()
    }

    /// Takes up what was published since; true when there was something.
    pub fn refresh(&mut self) -> bool {
        self.refresh_with(|_, _| ())
    }

    /// As [`Subscriber::refresh`]; before the value in force goes back, what the worker has in it may be
    /// handed on to the new one.
    pub fn refresh_with(&mut self, hand_on: impl FnOnce(&mut T, &mut T)) -> bool {
        if self.queues.down.is_empty() || self.queues.back.is_full() {
            return false;
        }
        let Some(mut new) = self.queues.down.pop() else { return false };
        hand_on(&mut self.current, &mut new);
        let old = core::mem::replace(&mut self.current, new);
        // Only this worker pushes, and it has just seen room.
        let returned = self.queues.back.push(old);
        debug_assert!(returned.is_ok(), "the queue of returns was not full");
        true
    }

    /// The value in force.
    pub fn current(&self) -> &T {
        &self.current
    }

    /// The value in force, to be changed by the worker (its counters).
    pub fn current_mut(&mut self) -> &mut T {
        &mut self.current
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    #[test]
    fn a_value_not_taken_up_comes_straight_back() {
        let (publisher, mut subscriber) = channel(Box::new(0));
        assert_eq!(publisher.publish(Box::new(1)), None);
        assert_eq!(publisher.publish(Box::new(2)), Some(Box::new(1)));
        assert!(subscriber.refresh());
        assert_eq!(*subscriber.current(), 2);
        assert!(!subscriber.refresh());
        assert_eq!(publisher.reclaim(), Some(Box::new(0)));
        assert_eq!(publisher.reclaim(), None);
    }

    #[test]
    fn a_worker_that_cannot_give_back_does_not_take_up() {
        let (publisher, mut subscriber) = channel(Box::new(0));
        for value in 1..=RETURNS_MAX {
            assert_eq!(publisher.publish(Box::new(value)), None);
            assert!(subscriber.refresh());
        }
        assert_eq!(publisher.publish(Box::new(99)), None);
        assert!(!subscriber.refresh());
        assert_eq!(publisher.reclaim(), Some(Box::new(0)));
        assert!(subscriber.refresh());
        assert_eq!(*subscriber.current(), 99);
    }

    /// Drops are counted by thread: all must happen on the publisher's.
    struct Guarded(thread::ThreadId, u32);

    impl Drop for Guarded {
        fn drop(&mut self) {
            assert_eq!(self.0, thread::current().id(), "freed by another thread");
        }
    }

    #[test]
    fn values_arrive_in_order_and_are_freed_by_the_publisher() {
        const ROUNDS: u32 = if cfg!(miri) { 50 } else { 20_000 };
        let me = thread::current().id();
        let (publisher, mut subscriber) = channel(Box::new(Guarded(me, 0)));
        let stop = Arc::new(AtomicBool::new(false));
        let worker = thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let mut seen = 0;
                while !stop.load(Ordering::Acquire) || subscriber.refresh() {
                    subscriber.refresh();
                    assert!(subscriber.current().1 >= seen, "went back in time");
                    seen = subscriber.current().1;
                }
                (subscriber, seen)
            }
        });
        for n in 1..=ROUNDS {
            while publisher.reclaim().is_some() {}
            drop(publisher.publish(Box::new(Guarded(me, n))));
        }
        stop.store(true, Ordering::Release);
        while !worker.is_finished() {
            while publisher.reclaim().is_some() {}
            thread::yield_now();
        }
        let (subscriber, _) = worker.join().unwrap();
        while publisher.reclaim().is_some() {}
        assert_eq!(subscriber.current().1, ROUNDS);
    }
}
