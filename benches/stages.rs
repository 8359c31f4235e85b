//! The worker's loop on DPDK's devices, to be counted, not timed: `scripts/instructions` runs it under
//! callgrind.
//!
//! `stages CASE BURSTS`: so many bursts of 64 frames from a capture that repeats for ever, as
//! `scripts/bench` has them, through one worker into null devices. Cases: `forward` (no sessions),
//! `unmatched` (a session that matches nothing), `copy`, `share`, `prepend`, `three` (sessions),
//! `four` (tools), `sticky` (four tools, at which flows stay), and `spread`: as `prepend`, but two workers share the one queue, in one thread.

#![expect(unreachable_pub, reason = "what it shares with a library is public there")]

mod one_wire;
mod random;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use driver::hardware::{Hardware, plan};
use driver::{Dpdk, Eal, EalConfig, Memory};
use engine::burst::BURST_MAX;
use engine::neighbors::Neighbors;
use engine::roster::Roster;
use engine::view::View;
use engine::worker::Worker;
use one_wire::{Case, capture, snapshot};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|it| !it.starts_with("--")).collect();
    let [case, bursts] = arguments.as_slice() else { bail!("stages CASE BURSTS") };
    let case: Case = case.parse()?;
    let bursts: usize = bursts.parse().context("BURSTS is a number")?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("frames.pcap");
    fs::write(&file, capture())?;
    run(case, bursts, &file)
}

fn run(case: Case, bursts: usize, file: &Path) -> anyhow::Result<()> {
    let snapshot = Arc::new(snapshot(case, &file.to_string_lossy())?);
    let plans = plan(&snapshot).map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    // Valgrind has no room for the addresses that hugepages would be given.
    let eal = Eal::start(&EalConfig { pci: Vec::new(), memory: Memory::Pages { mib: 256 } })?;
    let hardware = Hardware::open(&eal, &snapshot, plans);
    let Hardware { ports, workers, .. } =
        hardware.map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let view = View::compile(&snapshot, &Neighbors::default());
    let view = Arc::new(view.map_err(|faults| anyhow::anyhow!("{faults:?}"))?);
    let (mut roster, ends) = Roster::new(Arc::clone(&snapshot), &view);
    let workers = workers.into_iter().zip(ends).map(|(parts, end)| {
        Worker::<Dpdk>::new(parts.lanes, parts.wires, parts.tools, end).with_shares(parts.shares)
    });
    let mut workers: Vec<_> = workers.collect();
    let mut received = 0;
    for _ in 0..bursts {
        let (first, others) = workers.split_first_mut().context("one worker")?;
        received += first.poll();
        for worker in others {
            worker.poll();
        }
    }
    ensure!(received == bursts * BURST_MAX, "only {received} frames came");
    roster.request_report();
    for worker in &mut workers {
        worker.poll();
    }
    ensure!(roster.collect_report(), "a worker did not answer");
    let mirrored = roster.report().sessions.iter().map(|session| session.mirrored_packets).sum();
    let expected = if case.copies() { received as u64 } else { 0 };
    ensure!((expected..=expected + 64).contains(&mirrored), "{mirrored} copies, not {expected}");
    drop((workers, ports));
    Ok(())
}
