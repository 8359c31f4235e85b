use super::*;
use crate::port::Mempool as _;
use crate::sim::SimPool;

const PORT: PortIndex = PortIndex(3);
const LEN_MAX: usize = 100;

fn frames(pool: &SimPool, lens: impl IntoIterator<Item = usize>) -> Vec<crate::sim::SimMbuf> {
    let bytes = |(at, len): (usize, usize)| vec![at as u8; len];
    lens.into_iter().enumerate().map(|it| pool.frame(&bytes(it), 0)).collect()
}

fn taken(kernel: &mut KernelSide) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| kernel.take(|bytes| bytes.to_vec())).collect()
}

/// A frame of the kernel.
fn say(kernel: &mut KernelSide, bytes: &[u8]) -> bool {
    kernel.give(|place| {
        place.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(bytes.len())
    })
}

#[test]
fn frames_reach_the_kernel_whole_and_in_order_and_none_keeps_a_buffer() {
    let pool = SimPool::new(2048, 16);
    let (mut worker, mut kernel) = exception(PORT, LEN_MAX);
    let chained = pool.frame_in_segments(&(0..90).collect::<Vec<u8>>(), 7, 0);
    let mut burst = frames(&pool, [60, 0, LEN_MAX, LEN_MAX + 1]);
    burst.push(chained);
    let handed = worker.hand_over(&burst);
    assert_eq!(handed, HandedOver { to_kernel: 4, congested: 0, too_long: 1 });
    drop(burst);
    assert_eq!(pool.in_use(), 0);
    let expected = [vec![0; 60], vec![], vec![2; LEN_MAX], (0..90).collect()];
    assert_eq!(taken(&mut kernel), expected);
    assert_eq!(taken(&mut kernel), [[0; 0]; 0]);
}

#[test]
fn what_finds_no_room_is_congestion_and_what_is_taken_makes_room() {
    let pool = SimPool::new(2048, 4096);
    let (mut worker, mut kernel) = exception(PORT, LEN_MAX);
    let many = frames(&pool, (0..TO_KERNEL_MAX + 5).map(|_| 60));
    let handed = worker.hand_over(&many);
    assert_eq!(handed, HandedOver { to_kernel: TO_KERNEL_MAX, congested: 5, too_long: 0 });
    for _ in 0..3 {
        kernel.take(|_| ()).unwrap();
    }
    let handed = worker.hand_over(&many);
    assert_eq!((handed.to_kernel, handed.congested), (3, TO_KERNEL_MAX + 2));
    assert_eq!(taken(&mut kernel).len(), TO_KERNEL_MAX);
    // Round and round: places are counted, not their numbers.
    for _ in 0..5 {
        assert_eq!(worker.hand_over(&many[..200]).to_kernel, 200);
        assert_eq!(taken(&mut kernel).len(), 200);
    }
}

#[test]
fn what_the_kernel_says_is_put_into_buffers_a_part_at_a_time() {
    let mut pool = SimPool::new(80, 64);
    let mut empties = Burst::new();
    assert_eq!(pool.alloc_bulk(&mut empties), 64);
    let (mut worker, mut kernel) = exception(PORT, LEN_MAX);
    assert!(worker.is_silent());
    for at in 0..FROM_KERNEL_MAX {
        assert!(kernel.has_room() && say(&mut kernel, &[at as u8; 60]));
    }
    assert!(!kernel.has_room() && !say(&mut kernel, &[1]), "no more than there is room for");
    assert!(!kernel.give(|_| None));
    let large = SimPool::new(2048, SENT_AT_ONCE);
    let empty = || Some(large.frame(&[], 0));
    let (mut burst, mut next) = (Burst::new(), 0..FROM_KERNEL_MAX);
    while !worker.is_silent() {
        assert_eq!(worker.collect(&mut burst, empty), 0);
        assert!(burst.len() <= SENT_AT_ONCE);
        for frame in burst.take_front(SENT_AT_ONCE) {
            assert_eq!(frame.to_vec(), [next.next().unwrap() as u8; 60]);
        }
    }
    assert_eq!(next.len(), 0);
    // No buffer, and one that is too small.
    assert!(say(&mut kernel, &[1; 60]) && say(&mut kernel, &[2; 60]) && say(&mut kernel, &[3; 90]));
    let mut at_hand = [None, empties.pop(), empties.pop()].into_iter();
    assert_eq!(worker.collect(&mut burst, || at_hand.next().flatten()), 2);
    assert_eq!(burst.frames().len(), 1);
    assert_eq!(burst.pop().unwrap().to_vec(), [2; 60]);
    assert!(worker.is_silent());
}

#[test]
fn two_threads_lose_nothing_and_neither_waits_for_the_other() {
    const FRAMES: u32 = if cfg!(miri) { 60 } else { 30_000 };
    let (mut giver, mut taker) = way(7, 4);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut number = 0u32;
            while number < FRAMES {
                let is_given = giver.give(|place| {
                    place.copy_from_slice(&number.to_be_bytes());
                    Some(4)
                });
                number += u32::from(is_given);
                if !is_given {
                    std::thread::yield_now();
                }
            }
        });
        let mut next = 0;
        while next < FRAMES {
            match taker.take(|bytes| u32::from_be_bytes(bytes.try_into().unwrap())) {
                Some(number) => {
                    assert_eq!(number, next);
                    next += 1;
                }
                None => std::thread::yield_now(),
            }
        }
    });
}
