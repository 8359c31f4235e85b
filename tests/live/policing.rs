//! A session's rate limit on a live wire, by the workers' clock.

use std::time::Instant;

use crate::appliance::Appliance;
use crate::lab::{Lab, SERVER};
use crate::services::{client_udp, send};
use crate::template::{TOOL_V4, mirror_all};

/// Copies a second, and a tenth of it that a full bucket holds.
const RATE: u64 = 200;
const FRAMES: usize = 2000;
const FRAMES_PER_SECOND: u32 = 1000;

#[test]
fn a_session_sends_no_more_than_its_tag_allows_and_no_less() {
    let Some(lab) = Lab::raise(&[]) else { return };
    let tags = format!("\n      Tags: [{{Key: 'linetap:rate-limit', Value: {RATE}pps}}]\n");
    let template = mirror_all(TOOL_V4).replacen(
        "SessionNumber: 1\n",
        &("SessionNumber: 1".to_owned() + &tags),
        1,
    );
    assert!(template.contains("rate-limit"));
    let appliance = Appliance::start(&lab, &template);
    let begun = Instant::now();
    send(&lab, &vec![client_udp(SERVER, 9, b"x"); FRAMES], FRAMES_PER_SECOND);
    let took = begun.elapsed();

    let report = appliance.settled();
    report.assert_conservation();
    let (mirrored, limited) = (report.mirrored("All"), report.skipped("All", "rate_limited"));
    assert!(mirrored + limited >= FRAMES as u64 * 9 / 10, "they came: {:#}", report.0);
    // What came before and after was sent by the kernels, and is a handful.
    let most = RATE / 10 + RATE * u64::try_from(took.as_millis()).unwrap() / 1000 + RATE / 10;
    let least = RATE * FRAMES as u64 / u64::from(FRAMES_PER_SECOND) * 9 / 10;
    assert!((least..=most).contains(&mirrored), "{mirrored} copies in {took:?}, {limited} limited");
}
