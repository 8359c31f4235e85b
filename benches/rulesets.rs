//! Rule sets in the form of `ClassBench`, and keys to look up in them.

use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use engine::burst::BURST_MAX;
use engine::flow_key::{Addresses, FlowKey};
use engine::keys::Keys;
use engine::rule::{Direction, FilterRule, PortRange, RuleAction};
use engine::rule_table::{Match, RuleTable, TableRule};
use engine::units::{FilterIndex, RuleIndex, SessionIndex};
use flate2::read::GzDecoder;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

pub use crate::random::Random;

/// What a packet shows to a classifier of five fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuple {
    /// Source and destination, of one family.
    pub addresses: [IpAddr; 2],
    /// Source and destination.
    pub ports: [u16; 2],
    /// The IANA number.
    pub protocol: u8,
}

impl Tuple {
    /// What the engine would have read off such a packet. Errors: addresses of two families.
    pub fn key(&self) -> anyhow::Result<FlowKey> {
        let addresses = match self.addresses {
            [IpAddr::V4(src), IpAddr::V4(dst)] => Addresses::V4 { src, dst },
            [IpAddr::V6(src), IpAddr::V6(dst)] => Addresses::V6 { src, dst },
            _ => bail!("addresses of two families: {self:?}"),
        };
        let [src, dst] = self.ports.map(u16::to_be_bytes);
        Ok(FlowKey::new(
            addresses,
            Some(self.protocol),
            Some([src[0], src[1], dst[0], dst[1]]),
            None,
        ))
    }
}

/// Where the sets are: `$LINETAP_SHARED/rulesets`, else beside the project. `None` without them.
pub fn folder() -> Option<PathBuf> {
    let shared = std::env::var_os("LINETAP_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    Some(shared.join("rulesets")).filter(|folder| folder.is_dir())
}

/// The names of all sets. Errors: the folder can't be read.
pub fn sets(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in folder.read_dir().with_context(|| folder.display().to_string())? {
        let name = entry?.file_name();
        names.extend(name.to_string_lossy().strip_suffix(".rules.gz").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// The keys of packets, a burst after the other. Errors: as of [`Tuple::key`].
pub fn bursts(tuples: &[Tuple]) -> anyhow::Result<Vec<Keys>> {
    let burst = |tuples: &[Tuple]| {
        let mut keys = Keys::default();
        for (at, tuple) in tuples.iter().enumerate() {
            keys.set(at, &tuple.key()?);
        }
        Ok(keys)
    };
    tuples.chunks(BURST_MAX).map(burst).collect()
}

/// The place of the first rule that matches each packet of so many, behind the last rule's where none
/// does.
pub fn found<T: RuleTable>(table: &T, bursts: &[Keys], count: usize) -> Vec<usize> {
    let which: [u8; BURST_MAX] = core::array::from_fn(|at| at as u8);
    let mut matches = [Match::default(); BURST_MAX];
    let mut found = Vec::with_capacity(bursts.len() * BURST_MAX);
    for keys in bursts {
        table.classify(keys, &which, &mut matches);
        found.extend(matches.map(Match::at));
    }
    found.truncate(count);
    found
}

/// The rules of a set, the first of which goes first. Errors: the file, and what is wrong in it.
pub fn rules(folder: &Path, set: &str) -> anyhow::Result<Vec<FilterRule>> {
    each_line(folder, set, "rules", |line| {
        let fields: Vec<&str> = line.trim_start_matches('@').split('\t').map(str::trim).collect();
        let [source, destination, source_ports, destination_ports, protocol, ..] = fields[..]
        else {
            bail!("five fields are needed");
        };
        let net = |text: &str| text.parse::<IpNet>().map(|net| net.trunc());
        Ok(FilterRule {
            id: String::new(),
            filter: FilterIndex(0),
            direction: Direction::Ingress,
            number: 1,
            action: RuleAction::Accept,
            source: net(source)?,
            destination: net(destination)?,
            protocol: protocol_of(protocol)?,
            source_ports: ports_of(source_ports)?,
            destination_ports: ports_of(destination_ports)?,
        })
    })
}

/// The packets of a set's trace. Errors: as of [`rules`].
pub fn trace(folder: &Path, set: &str) -> anyhow::Result<Vec<Tuple>> {
    each_line(folder, set, "trace", |line| {
        let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
        let [src, dst, src_port, dst_port, protocol, ..] = fields[..] else {
            bail!("five fields are needed");
        };
        let address = |text: &str| -> anyhow::Result<IpAddr> {
            Ok(if text.contains(':') {
                text.parse()?
            } else {
                IpAddr::V4(text.parse::<u32>()?.into())
            })
        };
        Ok(Tuple {
            addresses: [address(src)?, address(dst)?],
            ports: [src_port.parse()?, dst_port.parse()?],
            protocol: protocol.parse()?,
        })
    })
}

/// For each packet of the trace, the place of the first rule that matches. Errors: as of [`rules`].
pub fn first(folder: &Path, set: &str) -> anyhow::Result<Vec<Option<usize>>> {
    each_line(folder, set, "first", |line| Ok(usize::try_from(line.trim().parse::<i64>()?).ok()))
}

/// The rules in their places, in one session.
pub fn entries(rules: &[FilterRule]) -> Vec<TableRule<'_>> {
    let of_one = |(at, rule)| TableRule { session: SessionIndex(0), index: RuleIndex(at), rule };
    (0..).zip(rules).map(of_one).collect()
}

/// The rules of `SET`, or of `SET:COUNT` as many: spread over the set, or grown from it. Errors: as of
/// [`rules`], and a count that is none.
pub fn sized(folder: &Path, set: &str) -> anyhow::Result<Vec<FilterRule>> {
    let Some((name, count)) = set.split_once(':') else { return rules(folder, set) };
    let (rules, count) = (rules(folder, name)?, count.parse().with_context(|| set.to_owned())?);
    if count > rules.len() {
        return Ok(grown(&rules, count));
    }
    Ok(rules.iter().step_by(rules.len() / count.max(1)).take(count).cloned().collect())
}

/// As many rules as wanted, of the same shapes: the set, and copies of it with the upper bits of
/// their networks changed, each copy's in its own way.
pub fn grown(seed: &[FilterRule], wanted: usize) -> Vec<FilterRule> {
    let copies = (0..wanted.div_ceil(seed.len().max(1))).flat_map(|copy| {
        let bits = (copy as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        seed.iter().map(move |rule| {
            let mut rule = rule.clone();
            rule.source = moved(rule.source, bits);
            rule.destination = moved(rule.destination, bits.rotate_left(64));
            rule
        })
    });
    copies.take(wanted).collect()
}

fn moved(net: IpNet, bits: u128) -> IpNet {
    match net {
        IpNet::V4(net) => {
            let address = u32::from(net.network()) ^ (bits >> 96) as u32;
            Ipv4Net::new(address.into(), net.prefix_len()).map_or(IpNet::V4(net), IpNet::V4)
        }
        IpNet::V6(net) => {
            // What is above stays: all of it is the same in public sets.
            let address = u128::from(net.network()) ^ (bits >> 16);
            Ipv6Net::new(address.into(), net.prefix_len()).map_or(IpNet::V6(net), IpNet::V6)
        }
    }
    .trunc()
}

impl Random {
    /// A sequence of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// A packet at the corners of what a random one of the rules accepts: each field is at an end of its
    /// range, one beside it, or anywhere.
    pub fn corner(&mut self, rules: &[FilterRule]) -> Tuple {
        let rule = &rules[self.below(rules.len())];
        let ports = [rule.source_ports, rule.destination_ports].map(|range| {
            let (from, to) = range.map_or((0, u16::MAX), |range| (range.from, range.to));
            match self.below(5) {
                0 => from,
                1 => to,
                2 => from.wrapping_sub(1),
                3 => to.wrapping_add(1),
                _ => self.number() as u16,
            }
        });
        let protocol = match (rule.protocol, self.below(5)) {
            (Some(protocol), 1..) => protocol,
            _ => self.number() as u8,
        };
        Tuple {
            addresses: [rule.source, rule.destination].map(|net| self.beside(net)),
            ports,
            protocol,
        }
    }

    fn beside(&mut self, net: IpNet) -> IpAddr {
        let which = self.below(5);
        match net {
            IpNet::V4(net) => {
                let (from, to) = (u32::from(net.network()), u32::from(net.broadcast()));
                let address = match which {
                    0 => from,
                    1 => to,
                    2 => from.wrapping_sub(1),
                    3 => to.wrapping_add(1),
                    _ => self.number() as u32,
                };
                IpAddr::V4(address.into())
            }
            IpNet::V6(net) => {
                let (from, to) = (u128::from(net.network()), u128::from(net.broadcast()));
                let address = match which {
                    0 => from,
                    1 => to,
                    2 => from.wrapping_sub(1),
                    3 => to.wrapping_add(1),
                    _ => from ^ u128::from(self.number()) << 48,
                };
                IpAddr::V6(address.into())
            }
        }
    }

    /// A packet that a random one of the rules accepts.
    pub fn accepted(&mut self, rules: &[FilterRule]) -> Tuple {
        let rule = &rules[self.below(rules.len())];
        Tuple {
            addresses: [rule.source, rule.destination].map(|net| self.within(net)),
            ports: [rule.source_ports, rule.destination_ports].map(|range| self.port(range)),
            protocol: rule.protocol.unwrap_or(self.number() as u8),
        }
    }

    fn port(&mut self, range: Option<PortRange>) -> u16 {
        let (from, to) = range.map_or((0, u16::MAX), |range| (range.from, range.to));
        from + self.below(usize::from(to - from) + 1) as u16
    }

    fn within(&mut self, net: IpNet) -> IpAddr {
        let random = u128::from(self.number()) << 64 | u128::from(self.number());
        match net {
            IpNet::V4(net) => {
                let host = random as u32 & u32::from(net.hostmask());
                IpAddr::V4((u32::from(net.network()) | host).into())
            }
            IpNet::V6(net) => {
                let host = random & u128::from(net.hostmask());
                IpAddr::V6((u128::from(net.network()) | host).into())
            }
        }
    }
}

fn protocol_of(text: &str) -> anyhow::Result<Option<u8>> {
    let hex = |text: &str| u8::from_str_radix(text.trim_start_matches("0x"), 16);
    let (protocol, mask) = text.split_once('/').context("a protocol and its mask are needed")?;
    match hex(mask)? {
        0 => Ok(None),
        0xff => Ok(Some(hex(protocol)?)),
        _ => bail!("a rule has one protocol or all"),
    }
}

fn ports_of(text: &str) -> anyhow::Result<Option<PortRange>> {
    let (from, to) = text.split_once(':').context("two ports are needed")?;
    let range = PortRange { from: from.trim().parse()?, to: to.trim().parse()? };
    Ok(Some(range).filter(|range| (range.from, range.to) != (0, u16::MAX)))
}

fn each_line<T>(
    folder: &Path,
    set: &str,
    kind: &str,
    parse: impl Fn(&str) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<T>> {
    let path = folder.join(format!("{set}.{kind}.gz"));
    let place = |line: usize| format!("{}, line {}", path.display(), line + 1);
    let mut text = String::new();
    let file = File::open(&path).with_context(|| path.display().to_string())?;
    GzDecoder::new(file).read_to_string(&mut text).with_context(|| path.display().to_string())?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(at, line)| parse(line).with_context(|| place(at))).collect()
}
