use std::thread;

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn spec(bytes: u64, packets: u64) -> RateLimit {
    RateLimit { bytes: NonZeroU64::new(bytes), packets: NonZeroU64::new(packets) }
}

fn claims(time_ns: u64, lens: &[u64]) -> Vec<Claim> {
    lens.iter().map(|&bytes| Claim { time_ns, bytes, is_granted: false }).collect()
}

/// How much a bucket of this rate holds.
fn depth(rate: u64, min: u64) -> u64 {
    (rate / 10).max(min)
}

/// No interval between two grants has more than its time and a full bucket allow.
fn assert_bounded(granted: &[(u64, u64)], rate: u64, depth: u64) {
    for (start, &(from, _)) in granted.iter().enumerate() {
        let mut sum = 0;
        for &(to, tokens) in &granted[start..] {
            sum += tokens;
            let comes_in = u128::from(rate) * u128::from(to - from) / u128::from(SECOND);
            assert!(
                u128::from(sum) <= comes_in + u128::from(depth),
                "{sum} in {} ns at {rate}, depth {depth}",
                to - from
            );
        }
    }
}

fn granted(claims: &[Claim]) -> impl Iterator<Item = &Claim> {
    claims.iter().filter(|claim| claim.is_granted)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 200 }, ..ProptestConfig::default() })]

    #[test]
    fn never_more_than_rate_and_depth_in_any_interval(
        bytes in prop_oneof![Just(0), 1000u64..2_000_000_000],
        packets in prop_oneof![Just(0u64), 1u64..2_000_000],
        bursts in prop::collection::vec(
            (0u64..20_000_000, prop::collection::vec(60u64..9000, 0..64)), 1..12,
        ),
        start in any::<u64>(),
    ) {
        let limiter = Limiter::new(spec(bytes, packets));
        let (mut taken, mut now) = (Vec::new(), start % (1 << 62));
        for (pause, lens) in bursts {
            now += pause;
            let mut claims = claims(now, &lens);
            limiter.admit(&mut claims);
            taken.extend(granted(&claims).map(|claim| (claim.time_ns, claim.bytes)));
        }
        if bytes > 0 {
            assert_bounded(&taken, bytes, depth(bytes, DEPTH_BYTES_MIN));
        }
        if packets > 0 {
            let each: Vec<_> = taken.iter().map(|&(time, _)| (time, 1)).collect();
            assert_bounded(&each, packets, depth(packets, 1));
        }
    }

    #[test]
    fn what_one_bucket_refuses_takes_nothing_from_the_other(len in 60u64..1500, rate in 1000u64..1_000_000) {
        // Ten times as many packets as bytes allow: the bytes alone limit, and all of them are used.
        let limiter = Limiter::new(spec(rate, 10 * rate));
        let mut sum = 0;
        for burst in 0..20 {
            let mut claims = claims(burst * SECOND, &[len; 64]);
            limiter.admit(&mut claims);
            sum += granted(&claims).map(|claim| claim.bytes).sum::<u64>();
        }
        let offered = 20 * 64 * len;
        let allowed = (19 * rate + depth(rate, DEPTH_BYTES_MIN)).min(offered);
        prop_assert!(sum <= allowed);
        // The rest of a bucket may be too little for one copy more.
        prop_assert!(sum + len > allowed.min(rate), "{sum} of {allowed}");
    }
}

#[test]
fn in_the_long_run_the_rate_is_what_was_asked_for() {
    for (bytes, packets, len) in [
        (10_000_000, 0, 60),
        (1_250_000_000, 0, 1514),
        (40_000_000_000, 0, 60),
        (0, 5000, 60),
        (0, 10_000_000, 60),
        (1_000_000, 1_000, 1000),
    ] {
        let limiter = Limiter::new(spec(bytes, packets));
        loop {
            let mut claims = claims(0, &[if bytes > 0 { 1 << 16 } else { 0 }; 128]);
            limiter.admit(&mut claims);
            if granted(&claims).count() == 0 {
                break;
            }
        }
        // Twice as much is offered, in bursts.
        let rate = if bytes > 0 { bytes } else { packets * len };
        let (gap, bursts) = (SECOND * 64 * len / (2 * rate), if cfg!(miri) { 20 } else { 20_000 });
        let mut sum = 0;
        for burst in 1..=bursts {
            let mut claims = claims(burst * gap, &[len; 64]);
            limiter.admit(&mut claims);
            sum += u128::from(granted(&claims).map(|_| len).sum::<u64>());
        }
        let came_in = u128::from(rate) * u128::from(bursts * gap) / u128::from(SECOND);
        // What the bucket still holds has come in too: less than what was refused last takes.
        let rest = if bytes > 0 { 1 << 16 } else { 0 };
        assert!(sum <= came_in + rest, "{bytes} {packets} {len}: {sum} {came_in}");
        if !cfg!(miri) {
            assert!(sum * 100 >= came_in * 99, "{bytes} {packets} {len}: {sum} {came_in}");
        }
    }
}

#[test]
fn two_workers_together_get_what_one_would() {
    const RATE: u64 = 100_000;
    const GAP_NS: u64 = 1000;
    let bursts: u64 = if cfg!(miri) { 30 } else { 40_000 };
    let limiter = Limiter::new(spec(1000 * RATE, RATE));
    let clock = AtomicU64::new(5 * SECOND);
    let work = || {
        let mut taken = Vec::new();
        for _ in 0..bursts {
            let now = clock.fetch_add(GAP_NS, Ordering::Relaxed);
            let mut claims = claims(now, &[1000; 3]);
            limiter.admit(&mut claims);
            taken.push((now, granted(&claims).count() as u64));
        }
        taken
    };
    let mut taken: Vec<(u64, u64)> = thread::scope(|scope| {
        let others: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        others.into_iter().flat_map(|other| other.join().unwrap()).collect()
    });
    taken.sort_unstable();
    let sum: u64 = taken.iter().map(|(_, count)| count).sum();
    let time = 2 * bursts * GAP_NS;
    let allowed = RATE * time / SECOND + depth(RATE, 1);
    assert!(sum <= allowed + 1, "{sum} of {allowed}");
    if !cfg!(miri) {
        assert!(sum * 100 >= allowed * 99, "{sum} of {allowed}");
    }
}

#[test]
fn a_bucket_begins_full_and_holds_a_tenth_of_a_second() {
    for (rate, holds) in [(5, 1), (40, 4), (6400, 128)] {
        let limiter = Limiter::new(spec(0, rate));
        for time_ns in [7, 100 * SECOND] {
            let mut claims = claims(time_ns, &[60; 128]);
            limiter.admit(&mut claims);
            assert_eq!(granted(&claims).count(), holds, "{rate}");
        }
    }
    // The largest copy there is passes the smallest bucket, and then nothing for a while.
    let limiter = Limiter::new(spec(1000, 0));
    let mut all = claims(0, &[80_000, 60]);
    limiter.admit(&mut all);
    assert_eq!((all[0].is_granted, all[1].is_granted), (true, false));
    let mut later = claims(60_000_000, &[60]);
    limiter.admit(&mut later);
    assert!(later[0].is_granted, "60 bytes have come in after 60 ms");
}

#[test]
fn a_time_that_goes_back_fills_nothing_and_one_that_leaps_back_is_another() {
    let limiter = Limiter::new(spec(0, 10));
    let one = |time_ns| {
        let mut claims = claims(time_ns, &[60]);
        limiter.admit(&mut claims);
        claims[0].is_granted
    };
    let start = 1_700_000_000 * SECOND;
    assert!(one(start) && !one(start - 1) && !one(start - SECOND / 2) && !one(start));
    assert!(!one(start + SECOND / 10 - 1) && one(start + SECOND / 10));
    assert!(one(3 * SECOND), "years ago");
    assert!(!one(3 * SECOND) && one(4 * SECOND) && one(u64::MAX) && !one(u64::MAX));
}
