//! Rule tables beside DPDK's classifier: lookups, building, changes, memory.
//!
//! `cargo bench -p benches --bench classify [-- SET…]`, where a set is one of `shared/rulesets`, or
//! `SET:COUNT` for as many rules of it (grown from it, where it has fewer). Both look the same keys up, by
//! turns, in bursts of 64: packets that random rules accept, so that none is near the one before; a
//! third turn is that of ten rules of the set, in a base as the others are. Keys are written just before
//! they are looked up, as those of packets are when they have been parsed. Bind it to one core
//! (`taskset -c 1`). What it prints is a record for `benches/record`.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts of figures that are printed in three digits"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use benches::rulesets::{self, Random, Tuple, bursts, entries, found};
use driver::acl::{Acl, AclKeys, Algorithm, allow_widest_vectors};
use driver::{Eal, EalConfig, Memory};
use engine::burst::BURST_MAX;
use engine::keys::Keys;
use engine::rule::FilterRule;
use engine::rule_table::{CompiledTable, Match, RuleTable};

const KEYS: usize = 1 << 17;
const ROUNDS: usize = 7;
/// Keys that are written, then looked up.
const BLOCK: usize = 4 * BURST_MAX;
const CHANGES: usize = 101;
/// What `rte_acl` needs to build ten thousand rules, in MiB.
const MEMORY_MIB: u32 = 4096;
/// More than these it takes too long, and too much memory.
const ACL_RULES_MAX: usize = 20_000;
const SETS: [&str; 12] = [
    "acl1_1k",
    "fw1_1k",
    "ipc1_1k",
    "acl1_10k",
    "fw1_10k",
    "ipc1_10k",
    "acl1v6_1k",
    "fw1v6_1k",
    "ipc1v6_1k",
    "acl1v6_10k",
    "fw1v6_10k",
    "ipc1v6_10k",
];

fn main() -> anyhow::Result<()> {
    let folder = rulesets::folder().context("shared/rulesets is not beside the project")?;
    let mut sets: Vec<String> =
        std::env::args().skip(1).filter(|it| !it.starts_with("--")).collect();
    if sets.is_empty() {
        sets = SETS.map(str::to_owned).into();
    }
    let memory = Memory::Pages { mib: MEMORY_MIB };
    let eal = Eal::start(&EalConfig { pci: Vec::new(), memory })?;
    allow_widest_vectors(&eal);
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("?");
    println!(
        "CPU {}; {KEYS} keys, median of {ROUNDS} rounds\n",
        cpu.trim_start_matches([' ', '\t', ':'])
    );
    println!(
        "| set | rules | rte_acl M/s | linetap M/s | of rte_acl | of ten rules | build ms \
         | of rte_acl_build | one change ms, median | max | MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for set in &sets {
        println!("{}", compare(&eal, set, &rulesets::sized(&folder, set)?)?);
    }
    Ok(())
}

/// A line of the table.
fn compare(eal: &Eal, set: &str, rules: &[FilterRule]) -> anyhow::Result<String> {
    let table = CompiledTable::compile(&entries(rules));
    let (tuples, keys) = packets(rules)?;
    let few: Vec<FilterRule> = rules.iter().step_by(rules.len().div_ceil(10)).cloned().collect();
    let ten = CompiledTable::compile_base(&entries(&few));
    let (_, keys_of_ten) = packets(&few)?;
    let acl =
        (rules.len() <= ACL_RULES_MAX).then(|| AclTurn::new(eal, rules, &tuples)).transpose()?;
    if let Some(acl) = &acl {
        acl.agrees(&found(&table, &keys, KEYS), rules.len()).with_context(|| set.to_owned())?;
    }
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let theirs = acl.as_ref().map(AclTurn::time).transpose()?;
        rounds.push((theirs, time(&table, &keys), time(&ten, &keys_of_ten)));
    }
    let build = median((0..5).map(|_| {
        let started = Instant::now();
        black_box(CompiledTable::compile(&entries(rules)));
        started.elapsed()
    }));
    let changes = changes(&table, rules);
    let rate = |took: Duration| KEYS as f64 / took.as_secs_f64() / 1e6;
    let of = |ratio: Option<f64>| ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
    let ms = |took: Duration| took.as_secs_f64() * 1e3;
    let theirs: Option<Vec<Duration>> = rounds.iter().map(|round| round.0).collect();
    Ok(format!(
        "| {set} | {} | {} | {:.1} | {} | {:.2} | {:.1} | {} | {:.2} | {:.1} | {:.2} |",
        rules.len(),
        acl.as_ref().zip(theirs).map_or_else(String::new, |(acl, theirs)| {
            format!("{:.1} ({:?})", rate(median(theirs)), acl.how)
        }),
        rate(median(rounds.iter().map(|round| round.1))),
        of(ratio(rounds.iter().map(|round| round.0.map(|theirs| (theirs, round.1))))),
        ratio(rounds.iter().map(|round| Some((round.2, round.1)))).unwrap_or(f64::NAN),
        ms(build),
        of(acl.map(|acl| build.as_secs_f64() / acl.acl.build_time().as_secs_f64())),
        ms(median(changes.clone())),
        changes.iter().max().map_or(0.0, |most| ms(*most)),
        table.bytes() as f64 / 1e6,
    ))
}

/// Packets that random rules accept, and their keys by burst.
fn packets(rules: &[FilterRule]) -> anyhow::Result<(Vec<Tuple>, Vec<Keys>)> {
    let mut random = Random::new(1);
    let tuples: Vec<Tuple> = (0..KEYS).map(|_| random.accepted(rules)).collect();
    let keys = bursts(&tuples)?;
    Ok((tuples, keys))
}

fn time<T: RuleTable>(table: &T, bursts: &[Keys]) -> Duration {
    let which: [u8; BURST_MAX] = core::array::from_fn(|at| at as u8);
    let mut matches = [Match::default(); BURST_MAX];
    let block = |block: &[Keys]| {
        let block = black_box(block.to_vec());
        let started = Instant::now();
        for keys in &block {
            table.classify(keys, &which, &mut matches);
            black_box(&matches);
        }
        started.elapsed()
    };
    bursts.chunks(BLOCK / BURST_MAX).map(block).sum()
}

/// What each of many changes of one rule takes, one after the other.
fn changes(table: &CompiledTable, rules: &[FilterRule]) -> Vec<Duration> {
    let mut random = Random::new(2);
    let (mut table, mut rules) = (table.clone(), rules.to_vec());
    let change = |_| {
        let (at, from) = (random.below(rules.len()), random.below(rules.len()));
        rules[at].source = rules[from].source;
        let entries = entries(&rules);
        let started = Instant::now();
        table = table.update(&entries);
        started.elapsed()
    };
    (0..CHANGES).map(change).collect()
}

/// DPDK's classifier, and its quickest way on this processor.
struct AclTurn {
    acl: Acl,
    blocks: Vec<AclKeys>,
    how: Algorithm,
}

impl AclTurn {
    fn new(eal: &Eal, rules: &[FilterRule], tuples: &[Tuple]) -> anyhow::Result<Self> {
        let block = |tuples: &[Tuple]| {
            let mut keys = AclKeys::default();
            for it in tuples {
                keys.push(it.protocol, it.addresses, it.ports);
            }
            keys
        };
        let blocks = tuples.chunks(BLOCK).map(block).collect();
        let acl = Acl::build(eal, rules).map_err(anyhow::Error::msg)?;
        let mut turn = Self { acl, blocks, how: Algorithm::Sse };
        let mut times = Vec::new();
        for how in Algorithm::ALL {
            turn.how = how;
            // The second time it is warm.
            if turn.time().is_ok() {
                times.extend(turn.time().ok().map(|took| (took, how)));
            }
        }
        let quickest = times.into_iter().min_by_key(|(took, _)| *took);
        turn.how = quickest.context("rte_acl has no way to look up here")?.1;
        Ok(turn)
    }

    fn time(&self) -> anyhow::Result<Duration> {
        let (mut found, mut took) = ([0; BLOCK], Duration::ZERO);
        for block in &self.blocks {
            let block = black_box(block.clone());
            let started = Instant::now();
            self.acl.classify(self.how, &block, &mut found).map_err(anyhow::Error::msg)?;
            took += started.elapsed();
            black_box(&found);
        }
        Ok(took)
    }

    fn agrees(&self, ours: &[usize], none: usize) -> anyhow::Result<()> {
        let mut theirs = vec![0; KEYS];
        for (block, theirs) in self.blocks.iter().zip(theirs.chunks_mut(BLOCK)) {
            self.acl.classify(self.how, block, theirs).map_err(anyhow::Error::msg)?;
        }
        let ours = ours.iter().map(|&place| if place == none { 0 } else { place + 1 });
        let wrong = ours.zip(theirs).filter(|(ours, theirs)| *ours != *theirs as usize).count();
        ensure!(wrong == 0, "{wrong} lookups differ from those of rte_acl");
        Ok(())
    }
}

fn median(times: impl IntoIterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.into_iter().collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The median of how many times as long the first takes as the second.
fn ratio(rounds: impl Iterator<Item = Option<(Duration, Duration)>>) -> Option<f64> {
    let ratio = |(one, other): (Duration, Duration)| one.as_secs_f64() / other.as_secs_f64();
    let mut ratios = rounds.map(|round| round.map(ratio)).collect::<Option<Vec<f64>>>()?;
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied()
}
