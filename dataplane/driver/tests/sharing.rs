//! Buffers that two frames hold, and pools that tell what is in them.

mod common;

use common::{alone, bytes, eal, empty, frame, pattern, pool, start};
use driver::Mbuf;
use engine::burst::{BURST_MAX, Burst};
use engine::port::{Mbuf as _, Mempool as _, RxQueue as _, TxQueue as _};

#[test]
fn what_two_frames_hold_can_be_sent_by_both_and_changed_by_neither() {
    alone(|| {
        let eal = eal();
        let (mut frames, mut leads) = (pool(&eal, 1023, 256), pool(&eal, 255, 0));
        let (_port, mut rx, mut tx) = start(&eal, "net_ring0", &frames);
        let whole = pattern(1000, 3);
        for segment in [1000, 256] {
            let mut frame =
                frame(&mut frames, &whole[..if segment == 256 { 1000 } else { 250 }], segment);
            let original = bytes(&frame);
            let segments = frame.segment_count();
            let mut lead = empty(&mut leads);
            let mut other = empty(&mut leads);
            assert!(lead.share(&mut frame) && other.share(&mut frame));
            assert_eq!(lead.segment_count(), 1 + segments);
            lead.prepend(50).unwrap().fill(7);
            other.prepend(4).unwrap().fill(9);
            assert_eq!(bytes(&lead), [&[7; 50], original.as_slice()].concat());
            assert_eq!((bytes(&frame), lead.len()), (original.clone(), 50 + original.len()));
            // Held three times: nothing of it moves.
            assert!(frame.head_mut().is_empty());
            assert!(frame.prepend(1).is_none() && frame.append(1).is_none());
            assert!(!frame.trim_front(1));
            frame.truncate(10);
            assert!(lead.append(1).is_none(), "its last segment is the frame's");
            lead.truncate(60);
            assert_eq!((bytes(&frame), lead.len()), (original.clone(), 50 + original.len()));
            // Sent and freed in any order; the last one gives the buffers back.
            let mut burst = Burst::new();
            burst.push(lead).unwrap();
            burst.push(frame).unwrap();
            assert_eq!(tx.send(&mut burst), 2);
            assert_eq!(rx.recv(&mut burst), 2);
            drop(burst.pop());
            assert_eq!(bytes(&burst.frames()[0])[50..], original);
            Mbuf::free_bulk(&mut burst);
            assert_eq!(bytes(&other)[4..], original);
            assert_eq!(frames.in_use() as usize, segments);
            drop(other);
            assert_eq!((frames.in_use(), leads.in_use()), (0, 0));
        }
    });
}

#[test]
fn a_buffer_that_was_held_twice_is_as_good_as_new() {
    alone(|| {
        let eal = eal();
        let (mut frames, mut leads) = (pool(&eal, 255, 256), pool(&eal, 255, 0));
        for _ in 0..200 {
            let mut frame = frame(&mut frames, &pattern(500, 1), 256);
            let mut lead = empty(&mut leads);
            assert!(lead.share(&mut frame));
            drop(frame);
            assert_eq!(frames.in_use(), 2);
            drop(lead);
        }
        // One that was freed twice would be there twice.
        let all: Vec<_> = (0..90).map(|_| frame(&mut frames, &pattern(500, 2), 256)).collect();
        assert!(all.iter().all(|frame| bytes(frame) == pattern(500, 2)));
        assert_eq!(frames.in_use(), 180);
    });
}

#[test]
fn a_pool_tells_what_is_surely_in_it() {
    alone(|| {
        let eal = eal();
        let mut pool = pool(&eal, 511, 0);
        assert_eq!(pool.available(), 511);
        let mut burst = Burst::new();
        assert_eq!(pool.alloc_bulk(&mut burst), BURST_MAX);
        assert_eq!(pool.available(), 511 - BURST_MAX);
        // Given back by another thread, which has a cache that nobody else sees into, or none.
        std::thread::scope(|scope| scope.spawn(|| Mbuf::free_bulk(&mut burst)).join().unwrap());
        assert_eq!(pool.available(), 511);
    });
}
