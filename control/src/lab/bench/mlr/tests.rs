use super::*;
use crate::lab::bench::model::{Model, goal};
use crate::lab::bench::trial::Counted;
use proptest::prelude::*;

fn search(load_max: f64) -> Search {
    Search {
        goals: vec![goal("NDR", 0.0), goal("PDR", 0.005)],
        load_max,
        load_min: 1000.0,
        trials_max: 2000,
    }
}

/// The goal of RFC 2544 (RFC 9971 §4.10.2).
fn strict() -> Goal {
    Goal {
        exceed_ratio: 0.0,
        final_duration: Duration::from_mins(1),
        duration_sum: Duration::from_mins(1),
        ..goal("RFC2544", 0.0)
    }
}

fn holds(result: &GoalResult, true_rate: f64) {
    let (lower, upper) = (result.lower.unwrap(), result.upper.unwrap());
    assert!(result.is_regular, "{result:?}");
    assert!(lower <= true_rate + 1.0 && true_rate <= upper + 1.0, "{result:?} {true_rate}");
    assert!((upper - lower) / upper <= result.goal.width, "{result:?}");
}

#[test]
fn the_rate_of_an_ideal_device_is_found_within_the_width() {
    let mut device = Model::ideal(3_456_789.0);
    let results = search(14_880_952.0).run(&mut device).unwrap();
    holds(&results[0], 3_456_789.0);
    // Half a per cent of loss is allowed: a load that is so much higher.
    holds(&results[1], 3_456_789.0 / 0.995);
    let at = results[0].conditional.unwrap();
    assert!((at - results[0].lower.unwrap()).abs() < 1e-6, "no loss at the lower bound");
    // Most of the time is spent next to the result: 4 bounds of 11 or 21 trials, and little else.
    let seconds: f64 = device.trials.iter().map(|(_, it)| it.as_secs_f64()).sum();
    assert!(seconds < 130.0, "{seconds} s");
    assert!(!results[0].is_sender_limited);
}

#[test]
fn short_trials_save_time_where_final_ones_are_long() {
    let mut device = Model::ideal(2e6);
    let search = Search { goals: vec![strict()], ..search(14_880_952.0) };
    holds(&search.run(&mut device).unwrap()[0], 2e6);
    let long = device.trials.iter().filter(|(_, it)| it.as_secs() == 60).count();
    assert!(long <= 8, "{long} long trials");
    assert!(device.trials.iter().any(|(_, it)| it.as_secs() == 1));
}

#[test]
fn spikes_do_not_hide_the_rate_but_from_the_strict() {
    let noisy = Model { spikes_per_mille: 200, seed: 99, ..Model::ideal(5e6) };
    holds(&search(14_880_952.0).run(&mut noisy.clone()).unwrap()[0], 5e6);
    // RFC 2544 allows none: a fifth of the trials fail at any load.
    let strict = Search { goals: vec![strict()], ..search(14_880_952.0) };
    let found = strict.run(&mut noisy.clone()).unwrap().remove(0);
    assert!(found.lower.is_none_or(|lower| lower < 5e6), "{found:?}");
}

#[test]
fn a_device_that_always_loses_has_a_pdr_only() {
    let mut device = Model { background: 0.001, ..Model::ideal(5e6) };
    let results = search(14_880_952.0).run(&mut device).unwrap();
    assert_eq!((results[0].lower, results[0].is_regular), (None, false));
    assert!(results[0].upper.unwrap() <= 1001.0, "down to the minimum: {results:?}");
    holds(&results[1], 5e6 * 0.999 / 0.995);
}

#[test]
fn a_device_that_carries_all_has_no_upper_bound() {
    let mut device = Model::ideal(20e6);
    let results = search(14_880_952.0).run(&mut device).unwrap();
    for result in &results {
        assert_eq!((result.lower, result.upper), (Some(14_880_952.0), None));
        assert!(!result.is_regular);
    }
    assert!(device.trials.iter().all(|(load, _)| (load - 14_880_952.0).abs() < 0.5));
}

#[test]
fn a_generator_that_is_too_slow_is_told_apart() {
    let mut device = Model { generator: 3e6, ..Model::ideal(20e6) };
    let results = search(14_880_952.0).run(&mut device).unwrap();
    holds(&results[0], 3e6);
    assert!(results.iter().all(|result| result.is_sender_limited));
}

#[test]
fn a_device_that_needs_rest_after_an_overload_is_searched_all_the_same() {
    let mut device = Model { recovery: 0.8, ..Model::ideal(5e6) };
    let results = search(14_880_952.0).run(&mut device).unwrap();
    let (lower, upper) = (results[0].lower.unwrap(), results[0].upper.unwrap());
    assert!(results[0].is_regular && (3.9e6..=5.03e6).contains(&lower), "{lower} {upper}");
}

#[test]
fn copies_have_rates_of_their_own() {
    let mut device = Model { copies: Some(1e6), ..Model::ideal(4e6) };
    let mut search = search(14_880_952.0);
    search.goals.push(Goal { counted: Counted::Copies, ..goal("copies NDR", 0.0) });
    let results = search.run(&mut device).unwrap();
    holds(&results[0], 4e6);
    holds(&results[2], 1e6);
}

#[test]
fn a_stopped_search_gives_what_it_has_and_a_bounded_one_ends() {
    let mut device = Model { stop_after: 20, ..Model::ideal(3e6) };
    let results = search(14_880_952.0).run(&mut device).unwrap();
    assert!(!results[0].is_regular && device.trials.len() == 20);
    let mut device = Model::ideal(3e6);
    let results = Search { trials_max: 7, ..search(14_880_952.0) }.run(&mut device).unwrap();
    assert!(!results[0].is_regular && device.trials.len() == 7);
}

#[test]
fn phases_go_from_one_short_trial_to_the_goal() {
    let sums: Vec<f64> =
        phases(&goal("NDR", 0.0)).iter().map(|it| it.duration_sum.as_secs_f64()).collect();
    assert!((sums[0] - 1.0).abs() < 1e-6 && (sums[1] - 21_f64.sqrt()).abs() < 1e-6, "{sums:?}");
    assert!((sums[2] - 21.0).abs() < 1e-9);
    let short = Goal { duration_sum: Duration::from_secs(1), ..goal("NDR", 0.0) };
    assert_eq!(phases(&short), std::slice::from_ref(&short));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_ideal_device_is_found(capacity in 5_000_f64..14e6, width in 0.001_f64..0.1) {
        let mut device = Model::ideal(capacity);
        let mut search = search(14_880_952.0);
        for goal in &mut search.goals {
            goal.width = width;
        }
        let results = search.run(&mut device).unwrap();
        // A second of frames is whole: a part of one is not lost.
        let ndr = results[0].clone();
        let (lower, upper) = (ndr.lower.unwrap(), ndr.upper.unwrap());
        prop_assert!(lower <= capacity + 1.0 && capacity <= upper + 1.0);
        prop_assert!(ndr.is_regular && (upper - lower) / upper <= width + 1.0 / upper);
        prop_assert!(results[1].lower.unwrap() >= lower);
        prop_assert!(device.trials.len() < 300);
    }

    #[test]
    fn any_search_ends_with_bounds_in_order(
        capacity in 2_000_f64..20e6,
        background in prop_oneof![Just(0.0), 0.0..0.01],
        spikes in 0_u64..1000,
        recovery in 0.5..1.0,
        seed in 1_u64..u64::MAX,
    ) {
        let mut device = Model {
            background, spikes_per_mille: spikes, recovery, seed, ..Model::ideal(capacity)
        };
        let results = search(14_880_952.0).run(&mut device).unwrap();
        prop_assert!(device.trials.len() <= 2000);
        for result in results {
            if let (Some(lower), Some(upper)) = (result.lower, result.upper) {
                prop_assert!(lower < upper);
            }
            if let (Some(conditional), Some(lower)) = (result.conditional, result.lower) {
                prop_assert!(conditional <= lower);
                prop_assert!(conditional >= lower * (1.0 - result.goal.loss_ratio) - 1e-6);
            }
            prop_assert!(device.trials.iter().all(|(load, _)| *load >= 1000.0));
        }
    }
}
