//! The process `linetap-traffic`: what control asks of it, and what it answers.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at what it did not expect")]

mod device_under_test;
mod process;
mod replay;
mod trial;

use engine::snapshot::MemorySpec;
use process::Process;
use traffic::link::{Event, Request};
use traffic::setup::{PortSetup, Setup};

/// A setup of ports with these devices.
pub(crate) fn setup(devices: &[&str]) -> Setup {
    let port = |(at, device): (usize, &&str)| PortSetup {
        name: format!("p{at}"),
        device: (*device).to_owned(),
        mtu: 1500,
        mac: None,
    };
    let ports = devices.iter().enumerate().map(port).collect();
    Setup { ports, cores: vec![1], memory: MemorySpec::Auto, frames: 1023, timed: false }
}

#[test]
fn ports_are_opened_and_the_end_of_requests_is_the_end() {
    let mut process = Process::start();
    let opened = process.ask(&Request::Open(setup(&["net_null0", "net_null1"])));
    let Event::Opened { ports, dpdk } = opened else { panic!("{opened:?}") };
    assert!(dpdk.starts_with("DPDK "), "{dpdk}");
    assert_eq!(ports.len(), 2);
    assert!(ports.iter().all(|port| port.driver == "net_null" && port.is_up), "{ports:?}");
    let again = process.ask(&Request::Open(setup(&[])));
    assert!(matches!(again, Event::Refused(_)), "{again:?}");
    process.finish();
}

#[test]
fn what_cannot_be_opened_is_told_with_its_port() {
    for device in ["net_null0,size", "net_pcap0,rx_pcap=/nowhere/at/all"] {
        let mut process = Process::start();
        let refused = process.ask(&Request::Open(setup(&[device])));
        let Event::Refused(faults) = refused else { panic!("{refused:?}") };
        assert!(faults.len() == 1 && faults[0].contains("`p0`"), "{faults:?}");
        process.finish();
    }
}

#[test]
fn a_job_before_the_ports_is_refused() {
    let mut process = Process::start();
    let refused = process.ask(&Request::Stop);
    assert!(matches!(refused, Event::Refused(_)), "{refused:?}");
    process.finish();
}
