//! Any frames, on any ports, through devices that misbehave: every frame, evaluation and copy ends
//! once, for a named reason, and every buffer comes back.
//!
//! Input: how the devices behave (6 bytes), then frames: port, length (2 bytes), bytes.

#![no_main]

#[path = "../../tests/mirroring/scenario.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod scenario;

use std::num::NonZeroU64;

use engine::drop_reason::Unmirrored;
use engine::sim::TxFaults;
use engine::units::PortIndex;
use libfuzzer_sys::fuzz_target;
use scenario::{Appliance, Behaviour, snapshot};

fn behaviour([segment_len, wire, tool, pool, holds, share]: [u8; 6]) -> Behaviour {
    let faults = |byte: u8, holds| TxFaults {
        accepts_per_call: if byte & 3 == 3 { usize::from(byte >> 4) } else { usize::MAX },
        refuses_every: NonZeroU64::new(u64::from(byte >> 2 & 3)),
        is_down: byte & 0xc3 == 0xc2,
        refuses_chains: byte & 0xc3 == 0x82,
        takes_ns: 0,
        holds,
    };
    let segment_len = if segment_len == 0 { usize::MAX } else { usize::from(segment_len) };
    let pool = if pool < 128 { 4096 } else { usize::from(pool - 128) };
    let holds = (holds > 0).then(|| 4 * usize::from(holds));
    let share_len_min = if share < 64 { usize::MAX } else { 8 * usize::from(share - 64) };
    let (wire, tool) = (faults(wire, None), faults(tool, holds));
    Behaviour { segment_len, wire, tool, pool, share_len_min }
}

fn frames(mut bytes: &[u8]) -> Vec<(PortIndex, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((&[port, high, low], rest)) = bytes.split_first_chunk() {
        let len = rest.len().min(usize::from(u16::from_be_bytes([high, low])));
        frames.push((PortIndex(u16::from(port % 4)), rest[..len].to_vec()));
        bytes = &rest[len..];
    }
    frames
}

fuzz_target!(|bytes: &[u8]| {
    let Some((controls, bytes)) = bytes.split_first_chunk() else { return };
    let mut appliance = Appliance::new(snapshot(), &frames(bytes), behaviour(*controls));
    appliance.run();
    let report = appliance.report();
    for port in &report.ports {
        assert_eq!(port.rx_packets, port.forwarded + port.ended.iter().sum::<u64>());
    }
    for session in &report.sessions {
        assert_eq!(session.matched, session.mirrored_packets + session.skipped.iter().sum::<u64>());
    }
    let hits: u64 = report.rules.iter().map(|rule| rule.hits).sum();
    let matched: u64 = report.sessions.iter().map(|session| session.matched).sum();
    assert_eq!(hits, matched + report.unmirrored[Unmirrored::Rejected as usize]);
    drop(appliance.worker);
    appliance.outputs.iter().for_each(|output| output.set_faults(TxFaults::default()));
    let Appliance { feed, pool, leads, .. } = appliance;
    assert_eq!((feed.in_use(), pool.in_use(), leads.in_use()), (0, 0, 0));
});
