//! Filter sets that are not part of this repository: `LINETAP_SHARED` names the directory that has
//! them in `rulesets/`. Without it the tests say so and pass.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;

use super::*;

/// The lines of a file of the sets; `None`, said aloud, where there is none.
fn lines(name: &str) -> Option<Vec<String>> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let shared = std::env::var_os("LINETAP_SHARED").map_or_else(beside, PathBuf::from);
    let path = shared.join("rulesets").join(name);
    let Ok(file) = File::open(&path) else {
        eprintln!("absent, so not read: {}", path.display());
        return None;
    };
    Some(BufReader::new(GzDecoder::new(file)).lines().map(Result::unwrap).collect())
}

/// A rule from `@SRC/LEN  DST/LEN  LO : HI  LO : HI  PROTOCOL/MASK  …`; all ports are no condition.
fn parse(line: &str) -> FilterRule {
    let fields: Vec<&str> = line.trim_start_matches('@').split('\t').collect();
    let net = |text: &str| text.parse::<IpNet>().unwrap().trunc();
    let ports = |text: &str| {
        let (from, to) = text.split_once(" : ").unwrap();
        let range = PortRange { from: from.parse().unwrap(), to: to.parse().unwrap() };
        (range != PortRange::ALL).then_some(range)
    };
    let (protocol, mask) = fields[4].split_once('/').unwrap();
    let protocol = u8::from_str_radix(protocol.trim_start_matches("0x"), 16).unwrap();
    FilterRule {
        source: net(fields[0]),
        destination: net(fields[1]),
        source_ports: ports(fields[2]),
        destination_ports: ports(fields[3]),
        ..with((mask == "0xFF").then_some(protocol), [None, None])
    }
}

/// Judges a set: every rule is dead, or has a packet that the engine has it settle; and none is dead
/// that settles a header of the set's trace, by an answer that was found elsewhere.
fn judge(name: &str) {
    let Some(rules) = lines(&format!("{name}.rules.gz")) else { return };
    let rules: Vec<FilterRule> = rules.iter().map(|line| parse(line)).collect();
    let (start, mut steps) = (Instant::now(), STEPS_PER_CHECK);
    let (mut shadows, mut slowest) = (Shadows::new(&mut steps), Duration::ZERO);
    let mut fates = Vec::new();
    for rule in &rules {
        let start = Instant::now();
        fates.push(shadows.judge(rule));
        shadows.push(rule);
        slowest = slowest.max(start.elapsed());
    }
    let took = start.elapsed();
    let dead: Vec<&Vec<usize>> = fates.iter().filter_map(dead_by).collect();
    let together = dead.iter().filter(|by| by.len() > 1).count();
    eprintln!(
        "{name}: {} of {} rules are dead, {together} by several together; {took:.1?}, at most \
         {slowest:.1?} for one, {} steps",
        dead.len(),
        rules.len(),
        STEPS_PER_CHECK - steps
    );
    assert!(!fates.contains(&Fate::Undecided));
    assert_witnessed(&rules, &fates);
    for first in lines(&format!("{name}.first.gz")).unwrap() {
        let alive = first.parse::<usize>().map_or(true, |at| dead_by(&fates[at]).is_none());
        assert!(alive, "rule {first} settles a header of the trace");
    }
}

fn dead_by(fate: &Fate) -> Option<&Vec<usize>> {
    match fate {
        Fate::Shadowed(by) => Some(by),
        _ => None,
    }
}

#[test]
fn of_real_sets_of_a_thousand_rules_the_dead_are_told() {
    for name in
        ["acl1_1k", "acl1_1k_mit", "fw1_1k", "ipc1_1k", "acl1v6_1k", "fw1v6_1k", "ipc1v6_1k"]
    {
        judge(name);
    }
}

#[test]
#[ignore = "takes long unless it is optimized; scripts/test --deep runs it"]
fn of_real_sets_of_ten_thousand_rules_the_dead_are_told() {
    for name in ["acl1_10k", "fw1_10k", "ipc1_10k", "acl1v6_10k", "fw1v6_10k", "ipc1v6_10k"] {
        judge(name);
    }
}
