//! Allocations per packet in steady state: there must be none, on any way through the engine.
//!
//! `cargo bench -p benches --bench allocations`, also run by the tests. Exit status 1 when there
//! are some.

use anyhow::ensure;
use benches::SimAppliance;

const FRAMES: usize = 120_000;
/// Until then buffers grow to the size of the frames.
const WARM_UP_FRAMES: usize = 20_000;

fn main() -> anyhow::Result<()> {
    measure(false).and(measure(true))
}

fn measure(latency: bool) -> anyhow::Result<()> {
    let mut appliance = SimAppliance::new(FRAMES, latency)?;
    let mut received = 0;
    while received < WARM_UP_FRAMES {
        received += appliance.worker.poll();
    }
    let before = received;
    let info = allocation_counter::measure(|| {
        while !appliance.feed.is_done() {
            received += appliance.worker.poll();
        }
    });
    let frames = received - before;
    let report = appliance.report()?;
    let mirrored: u64 = report.sessions.iter().map(|session| session.mirrored_packets).sum();
    println!(
        "{frames} frames, {mirrored} copies in all, latency {}: {} allocations of {} bytes",
        if latency { "measured" } else { "not measured" },
        info.count_total,
        info.bytes_total
    );
    ensure!(
        report.sessions.iter().all(|session| session.mirrored_packets > 0),
        "a session is idle"
    );
    ensure!(report.unmirrored.iter().sum::<u64>() > 0, "nothing was rejected");
    ensure!(info.count_total == 0, "the hot path allocates");
    Ok(())
}
