//! Every rule set, in every table: each finds for each packet what the linear table finds, and what
//! the set itself says of its trace; and so does DPDK's own classifier.
//!
//! `$LINETAP_TUPLES` packets are looked up beside each trace (100,000 unless it says otherwise), half of
//! them at the corners of rules, half anywhere in what a rule accepts. Sets of ten thousand rules are
//! built by `rte_acl` only when it is set: it takes a gigabyte and a minute. `$LINETAP_SETS` names the sets
//! that are wanted, with commas between them; without it that is all.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use benches::rulesets::{self, Random, Tuple, bursts, entries, found};
use driver::acl::{Acl, AclKeys, Algorithm};
use driver::{Eal, EalConfig, Memory};
use engine::rule::FilterRule;
use engine::rule_table::{CompiledTable, LinearTable, RuleTable};

/// Packets that are looked up at once.
const BATCH: usize = 1 << 14;
/// Rules that every run builds by `rte_acl`.
const ACL_RULES: usize = 2000;

fn tuples() -> Option<usize> {
    std::env::var("LINETAP_TUPLES").ok().map(|count| count.parse().unwrap())
}

/// The sets that are wanted, by name; none (having said so) when they are not beside the project.
fn wanted_sets() -> Vec<(String, Vec<FilterRule>)> {
    let Some(folder) = rulesets::folder() else {
        eprintln!("left out: shared/rulesets is not beside the project");
        return Vec::new();
    };
    let mut names = rulesets::sets(&folder).unwrap();
    if let Ok(wanted) = std::env::var("LINETAP_SETS") {
        let wanted: Vec<_> = wanted.split(',').map(str::to_owned).collect();
        assert!(
            wanted.iter().all(|name| names.contains(name)),
            "{wanted:?} are not all of {names:?}"
        );
        names = wanted;
    }
    let rules = |name: &String| rulesets::rules(&folder, name).unwrap();
    names.into_iter().map(|name| (name.clone(), rules(&name))).collect()
}

/// Batches of packets, as many as wanted.
fn batches(rules: &[FilterRule], seed: u64, count: usize) -> impl Iterator<Item = Vec<Tuple>> {
    let mut random = Random::new(seed);
    (0..count.div_ceil(BATCH)).map(move |_| {
        (0..BATCH)
            .map(|at| if at % 2 == 0 { random.corner(rules) } else { random.accepted(rules) })
            .collect()
    })
}

#[test]
fn what_a_set_says_of_its_trace_is_found() {
    for (name, rules) in wanted_sets() {
        let folder = rulesets::folder().unwrap();
        let trace = rulesets::trace(&folder, &name).unwrap();
        let first = rulesets::first(&folder, &name).unwrap();
        assert!(trace.len() > 1000 && trace.len() == first.len(), "{name}");
        let expected: Vec<usize> =
            first.into_iter().map(|first| first.unwrap_or(rules.len())).collect();
        let bursts = bursts(&trace).unwrap();
        let table = CompiledTable::compile(&entries(&rules));
        assert!(found(&table, &bursts, trace.len()) == expected, "{name}");
    }
}

#[test]
fn compiled_and_linear_tables_agree() {
    for (name, rules) in wanted_sets() {
        let linear = LinearTable::compile(&entries(&rules));
        let table = CompiledTable::compile(&entries(&rules));
        let (mut matched, mut looked_up) = (0, 0);
        for batch in batches(&rules, 1, tuples().unwrap_or(100_000)) {
            let bursts = bursts(&batch).unwrap();
            let (ours, oracles) = (found(&table, &bursts, BATCH), found(&linear, &bursts, BATCH));
            assert!(ours == oracles, "{name}");
            matched += oracles.iter().filter(|place| **place < rules.len()).count();
            looked_up += BATCH;
        }
        // Both answers are asked for often.
        assert!(matched > looked_up / 3, "{name}: {matched} of {looked_up}");
        eprintln!("{name}: {looked_up} packets, {matched} matched");
    }
}

#[test]
fn compiled_tables_and_rte_acl_agree() {
    let memory = Memory::Pages { mib: 4096 };
    let eal = Eal::start(&EalConfig { pci: Vec::new(), memory }).unwrap();
    let wanted = tuples();
    for (name, rules) in wanted_sets() {
        if wanted.is_none() && rules.len() > ACL_RULES {
            continue;
        }
        let table = CompiledTable::compile(&entries(&rules));
        let acl = Acl::build(&eal, &rules).unwrap();
        for batch in batches(&rules, 2, wanted.unwrap_or(100_000)) {
            let mut keys = AclKeys::default();
            for it in &batch {
                keys.push(it.protocol, it.addresses, it.ports);
            }
            let mut theirs = vec![0; BATCH];
            acl.classify(Algorithm::Sse, &keys, &mut theirs).unwrap();
            let ours = found(&table, &bursts(&batch).unwrap(), BATCH).into_iter();
            let ours: Vec<usize> =
                ours.map(|place| if place == rules.len() { 0 } else { place + 1 }).collect();
            assert!(theirs.iter().map(|place| *place as usize).eq(ours), "{name}");
        }
        eprintln!("{name}: equal to rte_acl");
    }
}
