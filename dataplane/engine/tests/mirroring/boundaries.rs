//! Copies of frames that just fit the MTU of the way to their tool, just do not, and those between: what
//! is sent of them, by tshark's reading.

use std::fs;
use std::process::Command;

use engine::drop_reason::Skipped;
use engine::sim::capture_of;
use engine::snapshot::{Snapshot, TargetKind};
use engine::units::{TargetIndex, VlanId};

use crate::scenario::{Appliance, Behaviour, LAN, MAC_A, TOOL, snapshot};
use crate::{OTHER, conserves, udp};

const OUTER_VLAN: u16 = 100;
const INNER_VLAN: u16 = 5;
const MTU: usize = 1500;

/// One of all the ways in which a frame may come and its copy go.
#[expect(clippy::struct_excessive_bools, reason = "each with each of the others")]
#[derive(Debug, Clone, Copy)]
struct Case {
    over_v6: bool,
    kind: TargetKind,
    outer_tag: bool,
    inner_tag: bool,
    keep_inner: bool,
    /// Bytes of the copy's inner frame, more or less than just fit.
    beyond: isize,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for bits in 0..32 {
        let is = |bit: u32| bits >> bit & 1 == 1;
        let kind = if is(1) { TargetKind::LoadBalancer } else { TargetKind::Interface };
        let (over_v6, outer_tag, inner_tag, keep_inner) = (is(0), is(2), is(3), is(4));
        let case = |beyond| Case { over_v6, kind, outer_tag, inner_tag, keep_inner, beyond };
        cases.extend([-1, 0, 1].map(case));
    }
    cases
}

impl Case {
    /// Outer bytes that the MTU counts: IP, UDP and VXLAN header.
    fn outer_len(self) -> usize {
        if self.over_v6 { 56 } else { 36 }
    }

    fn limit(self) -> usize {
        MTU - self.outer_len()
    }

    fn keeps_tag(self) -> bool {
        self.inner_tag && self.keep_inner
    }

    /// The frame, whose copy would have so many bytes more or less than fit.
    fn frame(self) -> Vec<u8> {
        let stripped = self.limit().checked_add_signed(self.beyond).unwrap();
        let stripped = if self.keeps_tag() { stripped - 4 } else { stripped };
        let vlan = self.inner_tag.then_some(INNER_VLAN);
        udp(OTHER, MAC_A, vlan, false, 80, stripped - 42)
    }

    fn snapshot(self) -> Snapshot {
        let mut spec = snapshot();
        let target = usize::from(self.over_v6);
        spec.targets[target].kind = self.kind;
        spec.ports[TOOL.at()].mtu = u16::try_from(MTU).unwrap();
        spec.ports[TOOL.at()].vlan = self.outer_tag.then(|| VlanId::try_from(OUTER_VLAN).unwrap());
        spec.vxlan.keep_inner_vlan = self.keep_inner;
        spec.sessions.truncate(1);
        spec.sessions[0].target = TargetIndex(u16::try_from(target).unwrap());
        spec
    }

    /// Inner bytes that are to be sent; `None` for what is skipped.
    fn inner_len(self) -> Option<usize> {
        match (self.kind, self.beyond) {
            (TargetKind::LoadBalancer, 1..) => None,
            (_, beyond) => self.limit().checked_add_signed(beyond.min(0)),
        }
    }

    /// What tshark is to say of the copy: see [`FIELDS`].
    fn row(self, inner_len: usize) -> String {
        let len = inner_len + self.outer_len();
        let frame_len = 14 + len + if self.outer_tag { 4 } else { 0 };
        let outer = self.outer_tag.then_some(OUTER_VLAN);
        let vlans = outer.into_iter().chain(self.keeps_tag().then_some(INNER_VLAN));
        let vlans = vlans.map(|vlan| vlan.to_string()).collect::<Vec<_>>().join(",");
        // Over IPv6 it is the inner packet that has an IPv4 length: its own, whatever was cut off.
        let inner_total = self.frame().len() - if self.inner_tag { 18 } else { 14 };
        let (total, payload) =
            if self.over_v6 { (inner_total, (len - 40).to_string()) } else { (len, String::new()) };
        // 1 is good; over IPv4 there is no UDP checksum.
        let udp_sum = if self.over_v6 { "1" } else { "3" };
        format!("{frame_len}|{vlans}|{total}|{payload}|{}|{udp_sum}|1", inner_len + 16)
    }
}

/// Of the outer headers but for the tags: lengths, and the state of checksums.
const FIELDS: [&str; 7] = [
    "frame.len",
    "vlan.id",
    "ip.len",
    "ipv6.plen",
    "udp.length",
    "udp.checksum.status",
    "vxlan.vni",
];

/// tshark's reading of frames; `None` where it is not installed.
fn tshark(frames: &[Vec<u8>]) -> Option<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("copies.pcap");
    fs::write(&file, capture_of((0..).zip(frames))).unwrap();
    let mut command = Command::new("tshark");
    command.args(["-n", "-T", "fields", "-E", "separator=|", "-E", "aggregator=,"]);
    command.args(["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]);
    command.args(FIELDS.iter().flat_map(|field| ["-e", field])).arg("-r").arg(&file);
    let output = command.output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Of all but the tags the first is the outer one.
    let row = |line: &str| {
        let fields = line.split('|').enumerate();
        let first = |(at, field): (usize, &str)| match at {
            1 => field.to_owned(),
            _ => field.split(',').next().unwrap_or_default().to_owned(),
        };
        fields.map(first).collect::<Vec<_>>().join("|")
    };
    Some(String::from_utf8_lossy(&output.stdout).lines().map(row).collect())
}

#[test]
#[cfg_attr(miri, ignore = "runs tshark")]
fn a_copy_fills_the_mtu_to_the_byte_and_what_is_longer_is_cut_or_skipped() {
    let (mut sent, mut rows) = (Vec::new(), Vec::new());
    for case in cases() {
        let frame = case.frame();
        let mut appliance =
            Appliance::new(case.snapshot(), &[(LAN, frame.clone())], Behaviour::default());
        appliance.run();
        let report = appliance.report();
        conserves(&report);
        let (copies, session) = (appliance.sent(TOOL), &report.sessions[0]);
        let is_over = session.skipped[Skipped::OverMtu as usize] == 1;
        let is_cut = session.truncated_packets == 1;
        let Some(inner_len) = case.inner_len() else {
            assert!(is_over && copies.is_empty(), "{case:?}");
            continue;
        };
        assert_eq!((is_over, is_cut), (false, case.beyond > 0), "{case:?}");
        let whole = if case.inner_tag && !case.keep_inner {
            [&frame[..12], &frame[16..]].concat()
        } else {
            frame
        };
        let inner = copies[0].bytes.len() - inner_len;
        assert_eq!(copies[0].bytes[inner..], whole[..inner_len], "{case:?}");
        sent.push(copies[0].bytes.clone());
        rows.push(case.row(inner_len));
    }
    assert_eq!(sent.len(), 80);
    match tshark(&sent) {
        Some(read) => assert_eq!(read, rows),
        None => eprintln!("tshark is absent, so lengths and checksums were not read by it"),
    }
}
