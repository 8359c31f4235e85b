use std::sync::LazyLock;

use engine::rule::PortRange;
use proptest::prelude::*;

use super::*;
use crate::shadow::tests::{any_rule, every_key, firsts};

static KEYS: LazyLock<Vec<FlowKey>> = LazyLock::new(every_key);

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_first_rule_without_a_mismatch_is_the_engines(
        rules in proptest::collection::vec(any_rule(), 1..12),
    ) {
        for (key, settled) in KEYS.iter().zip(firsts(&rules, &KEYS)) {
            let first = rules.iter().position(|rule| mismatch(rule, key).is_none());
            prop_assert_eq!(first, settled, "{:?}", key);
        }
    }

    #[test]
    fn a_mismatch_is_true(rule in any_rule()) {
        for key in KEYS.iter() {
            let (src, dst) = match key.addresses() {
                engine::flow_key::Addresses::V4 { src, dst } => (src.into(), dst.into()),
                engine::flow_key::Addresses::V6 { src, dst } => (src.into(), dst.into()),
            };
            let port = |end| key.ports().map(|ports| if end == End::Source { ports.0 } else { ports.1 });
            let is_true = match mismatch(&rule, key) {
                None => true,
                Some(Mismatch::Family { is_v6 }) => {
                    is_v6 == key.is_v6() && is_v6 != rule.source.addr().is_ipv6()
                }
                Some(Mismatch::Address(End::Source, address, net)) => {
                    (address, net) == (src, rule.source) && !net.contains(&address)
                }
                Some(Mismatch::Address(End::Destination, address, net)) => {
                    (address, net) == (dst, rule.destination) && !net.contains(&address)
                }
                Some(Mismatch::Protocol(found, wanted)) => {
                    (found, Some(wanted)) == (key.protocol(), rule.protocol) && found != Some(wanted)
                }
                Some(Mismatch::NoPorts) => key.ports().is_none(),
                Some(Mismatch::Port(end, found, PortRange { from, to })) => {
                    Some(found) == port(end) && !(from..=to).contains(&found)
                }
            };
            prop_assert!(is_true, "{:?}: {:?}", mismatch(&rule, key), key);
        }
    }
}
