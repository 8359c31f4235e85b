//! What rules are not asked about, as rules: to be looked for before those of a filter.

use std::net::IpAddr;

use engine::exempt::{
    ACTIVATION, ACTIVATION_PORT, Cause, DHCP, DHCPV6, METADATA, METADATA6, NTP, NTP6,
};
use engine::rule::{Direction, FilterRule, PortRange, RuleAction, TCP, UDP};
use engine::snapshot::Snapshot;
use engine::units::FilterIndex;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A rule for each way in which a packet can be exempt.
pub(super) fn unasked(snapshot: &Snapshot) -> Vec<(Cause, FilterRule)> {
    let mut rules = Vec::new();
    let one = |port: u16| Some(PortRange { from: port, to: port });
    for address in snapshot.ports.iter().flat_map(|port| &port.addresses).map(IpNet::addr) {
        let own = rule(address.into(), any(address), Some(UDP), [None, one(snapshot.vxlan.port)]);
        rules.push((Cause::OwnOutput, own));
    }
    let mut both_ways = |cause, address: IpNet, protocol, port: Option<u16>| {
        let (any, port) = (any(address.addr()), port.and_then(one));
        rules.push((cause, rule(address, any, protocol, [port, None])));
        rules.push((cause, rule(any, address, protocol, [None, port])));
    };
    if snapshot.exempt.aws_never_mirrored {
        let v4 = DHCP.map(|port| (IpNet::V4(Ipv4Net::default()), port));
        let v6 = DHCPV6.map(|port| (IpNet::V6(Ipv6Net::default()), port));
        for (all, port) in v4.into_iter().chain(v6) {
            both_ways(Cause::Dhcp, all, Some(UDP), Some(port));
        }
        for address in [IpAddr::V4(METADATA), METADATA6.into()] {
            both_ways(Cause::Metadata, address.into(), None, None);
        }
        for address in [IpAddr::V4(NTP), NTP6.into()] {
            both_ways(Cause::Ntp, address.into(), None, None);
        }
        for address in ACTIVATION {
            let address = IpAddr::V4(address).into();
            both_ways(Cause::Activation, address, Some(TCP), Some(ACTIVATION_PORT));
        }
    }
    for &resolver in &snapshot.exempt.amazon_dns {
        both_ways(Cause::AmazonDns, resolver.into(), None, None);
    }
    rules
}

/// All addresses of a family.
fn any(address: IpAddr) -> IpNet {
    match address {
        IpAddr::V4(_) => Ipv4Net::default().into(),
        IpAddr::V6(_) => Ipv6Net::default().into(),
    }
}

/// A rule of no filter.
fn rule(
    source: IpNet,
    destination: IpNet,
    protocol: Option<u8>,
    [source_ports, destination_ports]: [Option<PortRange>; 2],
) -> FilterRule {
    FilterRule {
        id: String::new(),
        filter: FilterIndex::default(),
        direction: Direction::Ingress,
        number: 0,
        action: RuleAction::Reject,
        source,
        destination,
        protocol,
        source_ports,
        destination_ports,
    }
}

#[cfg(test)]
mod tests {
    use engine::exempt::Exempt;
    use engine::flow_key::{Addresses, FlowKey};
    use engine::rule::SCTP;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::compile::compile;
    use crate::config::{self, Mode};
    use crate::explain::mismatch;
    use crate::fault::FaultSink;
    use crate::model::Model;

    fn snapshot(never_mirrored: &str) -> Snapshot {
        let text = format!(
            "[[port]]\nname = \"a\"\naddress = [\"192.0.2.1/24\", \"2001:db8::1/64\"]\n\
             [exempt]\nnever_mirrored = \"{never_mirrored}\"\n\
             amazon_dns = [\"169.254.169.253\", \"fd00:ec2::253\", \"10.9.9.9\"]\n"
        );
        let sink = FaultSink::new("c");
        let appliance = config::read(&text, Mode::Offline, &sink);
        assert_eq!(sink.into_faults(), []);
        compile(&appliance, &Model::default(), 1).unwrap()
    }

    fn addresses() -> impl Strategy<Value = Addresses> {
        let v4 = || {
            let known = ["192.0.2.1", "10.9.9.9", "10.0.0.1", "169.254.169.1"];
            let known = known.map(|it| it.parse().unwrap()).into_iter();
            let lasts = [250u8, 251, 252, 253, 254, 123].map(|last| [169, 254, 169, last].into());
            select(known.chain(lasts).collect::<Vec<_>>())
        };
        let v6 = || {
            let known =
                ["2001:db8::1", "fd00:ec2::253", "fd00:ec2::254", "fd00:ec2::123", "fe80::1"];
            select(known.map(|it| it.parse().unwrap()).to_vec())
        };
        prop_oneof![
            (v4(), v4()).prop_map(|(src, dst)| Addresses::V4 { src, dst }),
            (v6(), v6()).prop_map(|(src, dst)| Addresses::V6 { src, dst }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 5000,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn these_rules_match_what_the_engine_exempts(
            addresses in addresses(),
            protocol in select(vec![Some(UDP), Some(UDP), Some(TCP), Some(SCTP), Some(1), None]),
            src_port in select(vec![67u16, 68, 546, 547, 1688, 4789, 123, 9]),
            dst_port in select(vec![67u16, 68, 546, 547, 1688, 4789, 123, 9]),
            shows_ports: bool,
            never_mirrored in select(vec!["aws", "none"]),
        ) {
            let ports = shows_ports && matches!(protocol, Some(TCP | UDP | SCTP));
            let ports = ports.then(|| (u32::from(src_port) << 16 | u32::from(dst_port)).to_be_bytes());
            let key = FlowKey::new(addresses, protocol, ports, None);
            let snapshot = snapshot(never_mirrored);
            let underlay = snapshot.ports.iter().flat_map(|port| &port.addresses);
            let exempt =
                Exempt::new(&snapshot.exempt, snapshot.vxlan.port, underlay.map(IpNet::addr));
            let cause = exempt.cause(&key);
            let causes: Vec<Cause> = unasked(&snapshot)
                .iter()
                .filter(|(_, rule)| mismatch(rule, &key).is_none())
                .map(|(cause, _)| *cause)
                .collect();
            prop_assert_eq!(cause.is_some(), !causes.is_empty(), "{:?}", key);
            prop_assert!(cause.is_none_or(|cause| causes.contains(&cause)), "{:?}", key);
        }
    }
}
