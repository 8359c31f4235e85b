//! One wire (or span) on DPDK's virtual devices, and frames for it: the appliance of `stages`.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use anyhow::bail;
use engine::rule::{Direction, FilterRule, PortRange, RuleAction};
use engine::sim::capture_of;
use engine::snapshot::{
    BalanceSpec, CopySpec, DataplaneSpec, ExemptSpec, FilterSpec, InterfaceSpec, LinkSpec,
    MemberSpec, NeighborSpec, PortSpec, SessionSpec, Snapshot, TargetKind, TargetSpec, VxlanSpec,
};
use engine::units::{FilterIndex, InterfaceIndex, Mac, PortIndex, TargetIndex, Vni};
use ipnet::{IpNet, Ipv4Net};

use crate::random::Random;

/// What is done with the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// They are sent on; there is no session.
    Forward,
    /// They are sent on; a session's rules match none.
    Unmatched,
    /// They are sent on, and each is copied.
    Copy,
    /// They are sent on, and each is held by reference too.
    Share,
    /// They become their own copies.
    Prepend,
    /// They become their own copies, by the hands of two workers.
    Spread,
    /// They are sent on, and copied for one of three sessions.
    Three,
    /// They are sent on, and each is copied for one of four tools.
    Four,
    /// As four, and flows stay at their tool.
    Sticky,
}

impl FromStr for Case {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        Ok(match name {
            "forward" => Self::Forward,
            "unmatched" => Self::Unmatched,
            "copy" => Self::Copy,
            "share" => Self::Share,
            "prepend" => Self::Prepend,
            "spread" => Self::Spread,
            "three" => Self::Three,
            "four" => Self::Four,
            "sticky" => Self::Sticky,
            other => bail!("{other} is no case"),
        })
    }
}

impl Case {
    /// A copy is made of each frame.
    pub fn copies(self) -> bool {
        !matches!(self, Self::Forward | Self::Unmatched)
    }
}

const CLIENT: Mac = Mac([2, 0, 0, 0, 0xaa, 1]);
const SERVER: Mac = Mac([2, 0, 0, 0, 0xbb, 1]);
const FLOWS: usize = 500;
const FRAMES: usize = 1024;
const RULES: u16 = 10;

/// An appliance whose port `lan` receives the capture for ever.
/// Errors: none that a change of this file does not make.
pub fn snapshot(case: Case, capture: &str) -> anyhow::Result<Snapshot> {
    let is_span = matches!(case, Case::Prepend | Case::Spread);
    let workers = if case == Case::Spread { vec![0, 1] } else { vec![0] };
    let lan = format!("net_pcap0,rx_pcap={capture},infinite_rx=1");
    let port =
        |name: &str, device: &str| PortSpec::new(name.to_owned(), Some(device.to_owned()), 1500);
    let mut tool = port("tool", "net_null1,no-rx=1");
    tool.addresses = "192.0.2.1/24".parse().into_iter().collect();
    let link =
        LinkSpec { name: "wire".to_owned(), ports: [PortIndex(0), PortIndex(1)], forward: true };
    let sessions = match case {
        Case::Forward => 0,
        Case::Three => 3,
        _ => 1,
    };
    Ok(Snapshot {
        epoch: 1,
        appliance_id: "stages".to_owned(),
        dataplane: DataplaneSpec {
            copies: if case == Case::Share { CopySpec::Share } else { CopySpec::Copy },
            ..DataplaneSpec::new(workers)
        },
        ports: vec![port("lan", &lan), port("wan", "net_null0,no-rx=1"), tool],
        links: if is_span { Vec::new() } else { vec![link] },
        spans: if is_span { vec![PortIndex(0)] } else { Vec::new() },
        interfaces: vec![InterfaceSpec {
            id: "eni".to_owned(),
            port: PortIndex(0),
            macs: if is_span { vec![CLIENT] } else { Vec::new() },
            vlan: None,
        }],
        targets: vec![target(case)],
        filters: (0..sessions)
            .map(|at| FilterSpec { id: format!("f{at}"), amazon_dns: false })
            .collect(),
        rules: (0..sessions).flat_map(|at| rules(case, at)).collect(),
        sessions: (0..sessions).map(session).collect::<anyhow::Result<_>>()?,
        vxlan: VxlanSpec { port: 4789, keep_inner_vlan: false, udp6_zero_checksum: false },
        exempt: ExemptSpec { aws_never_mirrored: true, amazon_dns: Vec::new() },
    })
}

fn target(case: Case) -> TargetSpec {
    let member = |at: u8| {
        MemberSpec::new(
            IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10 + at)),
            IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            NeighborSpec::Fixed(Mac([2, 0, 0, 0, 0x0b, 1 + at])),
        )
    };
    let (kind, members) = match case {
        Case::Four | Case::Sticky => (TargetKind::LoadBalancer, 4),
        _ => (TargetKind::Interface, 1),
    };
    TargetSpec {
        id: "t".to_owned(),
        port: PortIndex(2),
        kind,
        members: (0..members).map(member).collect(),
        balance: BalanceSpec { sticky: case == Case::Sticky, ..BalanceSpec::default() },
    }
}

fn session(at: u32) -> anyhow::Result<SessionSpec> {
    Ok(SessionSpec {
        id: format!("s{at}"),
        interface: InterfaceIndex(0),
        target: TargetIndex(0),
        filter: FilterIndex(at),
        number: u16::try_from(at + 1)?,
        vni: Vni::try_from(at + 1).map_err(|_| anyhow::anyhow!("no VNI"))?,
        packet_length: None,
        rate_limit: None,
        sample: None,
    })
}

/// Rules that match nothing, and a last one that takes what the session is to have: of three, the
/// first two have a third of the source ports each.
fn rules(case: Case, session: u32) -> impl Iterator<Item = FilterRule> {
    let net =
        |net: u32, len| Ipv4Net::new(Ipv4Addr::from(net), len).map_or_else(|_| any(), IpNet::V4);
    let rule = move |number: u16| FilterRule {
        id: format!("r{session}-{number}"),
        filter: FilterIndex(session),
        direction: Direction::Egress,
        number,
        action: RuleAction::Reject,
        source: net(0x0b00_0000 + (u32::from(number) << 12), 20),
        destination: net(0xc0a8_0000 + u32::from(number), 32),
        protocol: Some(6),
        source_ports: None,
        destination_ports: Some(PortRange { from: 440 + number, to: 8443 }),
    };
    let third = |at: u16| PortRange { from: 21_504 * at, to: 21_504 * at + 21_503 };
    let is_third = case == Case::Three && session < 2;
    let last = FilterRule {
        action: RuleAction::Accept,
        source: any(),
        destination: any(),
        protocol: is_third.then_some(17),
        source_ports: is_third.then(|| third(u16::try_from(session).unwrap_or(0))),
        destination_ports: None,
        ..rule(RULES)
    };
    let last = (case != Case::Unmatched).then_some(last);
    (1..RULES).map(rule).chain(last)
}

fn any() -> IpNet {
    IpNet::V4(Ipv4Net::default())
}

/// Frames of 60 bytes, UDP over IPv4, of so many flows that no frame is like the one before.
pub fn capture() -> Vec<u8> {
    let mut random = Random(7);
    let flows: Vec<_> = (0..FLOWS).map(|_| frame(&mut random)).collect();
    let frames: Vec<_> = (0..FRAMES).map(|_| &flows[random.below(FLOWS)]).collect();
    capture_of((0..).zip(frames))
}

fn frame(random: &mut Random) -> Vec<u8> {
    let mut number =
        |bits: usize| u16::try_from(random.below(1 << bits)).unwrap_or(0).to_be_bytes();
    let mut frame = [SERVER.0, CLIENT.0].concat();
    frame.extend([0x08, 0x00, 0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17, 0, 0]);
    frame.extend([[10, 0], number(16), [172, 16], number(16)].concat());
    frame.extend([number(16), [0x01, 0xbb], [0, 26], [0, 0]].concat());
    frame.resize(60, 0x5a);
    frame
}
