//! All mirror objects as EC2 describes them, page by page, in the terms of [`crate::model`].

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use engine::rule::PortRange;
use engine::units::Vni;

use super::{CallError, Ec2, Element, describe};
use crate::ec2::endpoint::Params;
use crate::model::{
    ACTIONS, AMAZON_DNS, DIRECTIONS, Destination, Filter, Kind, Model, Notes, Rule, Session, Target,
};

/// Hexadecimal digits behind the prefix of EC2's ids.
const ID_DIGITS: usize = 17;

/// What there is, as far as the caller may know of it.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// The objects by their ids, each kind in the order in which they were made; the rules of a
    /// filter by their numbers.
    pub model: Model,
    /// The accounts of targets and sessions, by their ids. Filters are the caller's own.
    pub owners: HashMap<String, String>,
}

/// True for ids as EC2 chooses them. Those of the template that `linetapd` was started with are its
/// logical ids.
pub fn is_made_by_api(id: &str) -> bool {
    let digits = Kind::of_id(id).and_then(|kind| id.strip_prefix(kind.prefix()));
    digits.is_some_and(|digits| {
        digits.len() == ID_DIGITS && digits.bytes().all(|it| b"0123456789abcdef".contains(&it))
    })
}

/// Asks for all objects. What is made or deleted meanwhile may be among them, or not.
pub fn objects(ec2: &mut dyn Ec2) -> Result<Objects, CallError> {
    let mut found = Objects::default();
    let Objects { model, owners } = &mut found;
    each(ec2, "DescribeTrafficMirrorFilters", "trafficMirrorFilterSet", |item| {
        model.filters.push(filter(item)?);
        for set in ["ingressFilterRuleSet", "egressFilterRuleSet"] {
            for item in item.items(set) {
                model.rules.push(rule(item)?);
            }
        }
        Ok(())
    })?;
    each(ec2, "DescribeTrafficMirrorTargets", "trafficMirrorTargetSet", |item| {
        let target = target(item)?;
        owners.insert(target.id.clone(), need(item, "ownerId")?.to_owned());
        model.targets.push(target);
        Ok(())
    })?;
    each(ec2, "DescribeTrafficMirrorSessions", "trafficMirrorSessionSet", |item| {
        let session = session(item)?;
        owners.insert(session.id.clone(), need(item, "ownerId")?.to_owned());
        model.sessions.push(session);
        Ok(())
    })?;
    Ok(found)
}

/// Shows all entries of a set to `take`.
fn each(
    ec2: &mut dyn Ec2,
    action: &str,
    set: &str,
    take: impl FnMut(&Element) -> Result<(), CallError>,
) -> Result<(), CallError> {
    describe(ec2, action, set, &Params::default())?.iter().try_for_each(take)
}

fn unreadable(item: &Element, name: &str, found: impl Display) -> CallError {
    CallError::Unanswered(format!("the reply has an {} with {found} as {name}", item.name))
}

fn need<'e>(item: &'e Element, name: &str) -> Result<&'e str, CallError> {
    item.text_of(name).ok_or_else(|| unreadable(item, name, "nothing"))
}

/// A value that can be read from its text, if it is there.
fn optional<T: FromStr>(item: &Element, name: &str) -> Result<Option<T>, CallError> {
    let parsed = |text: &str| text.parse().map_err(|_| unreadable(item, name, text));
    item.text_of(name).map(parsed).transpose()
}

fn value<T: FromStr>(item: &Element, name: &str) -> Result<T, CallError> {
    optional(item, name)?.ok_or_else(|| unreadable(item, name, "nothing"))
}

fn meaning<T: Copy>(item: &Element, name: &str, words: &[(&str, T)]) -> Result<T, CallError> {
    let text = need(item, name)?;
    let known = words.iter().find(|(word, _)| *word == text);
    known.map(|&(_, meaning)| meaning).ok_or_else(|| unreadable(item, name, text))
}

fn ports(item: &Element, name: &str) -> Result<Option<PortRange>, CallError> {
    let range =
        |range| Ok(PortRange { from: value(range, "fromPort")?, to: value(range, "toPort")? });
    item.child(name).map(range).transpose()
}

fn notes(item: &Element) -> Result<Notes, CallError> {
    let tag = |tag| Ok((need(tag, "key")?.to_owned(), need(tag, "value")?.to_owned()));
    Ok(Notes {
        description: item.text_of("description").map(str::to_owned),
        tags: item.items("tagSet").map(tag).collect::<Result<_, CallError>>()?,
    })
}

fn filter(item: &Element) -> Result<Filter, CallError> {
    Ok(Filter {
        id: need(item, "trafficMirrorFilterId")?.to_owned(),
        amazon_dns: item.items("networkServiceSet").any(|service| service.text == AMAZON_DNS),
        notes: notes(item)?,
    })
}

fn rule(item: &Element) -> Result<Rule, CallError> {
    Ok(Rule {
        id: need(item, "trafficMirrorFilterRuleId")?.to_owned(),
        filter: need(item, "trafficMirrorFilterId")?.to_owned(),
        direction: meaning(item, "trafficDirection", &DIRECTIONS)?,
        number: value(item, "ruleNumber")?,
        action: meaning(item, "ruleAction", &ACTIONS)?,
        source: value(item, "sourceCidrBlock")?,
        destination: value(item, "destinationCidrBlock")?,
        protocol: optional(item, "protocol")?,
        source_ports: ports(item, "sourcePortRange")?,
        destination_ports: ports(item, "destinationPortRange")?,
        notes: notes(item)?,
    })
}

fn target(item: &Element) -> Result<Target, CallError> {
    type Make = fn(String) -> Destination;
    const WAYS: [(&str, Make); 3] = [
        ("networkInterfaceId", Destination::NetworkInterface),
        ("networkLoadBalancerArn", Destination::NetworkLoadBalancer),
        ("gatewayLoadBalancerEndpointId", Destination::GatewayLoadBalancerEndpoint),
    ];
    let mut ways = WAYS.iter();
    let destination =
        ways.find_map(|(name, make)| item.text_of(name).map(|id| make(id.to_owned())));
    Ok(Target {
        id: need(item, "trafficMirrorTargetId")?.to_owned(),
        destination: destination.ok_or_else(|| unreadable(item, "its destination", "nothing"))?,
        notes: notes(item)?,
    })
}

fn session(item: &Element) -> Result<Session, CallError> {
    const VNI: &str = "virtualNetworkId";
    let vni = |number| Vni::try_from(number).map_err(|_| unreadable(item, VNI, number));
    Ok(Session {
        id: need(item, "trafficMirrorSessionId")?.to_owned(),
        interface: need(item, "networkInterfaceId")?.to_owned(),
        target: need(item, "trafficMirrorTargetId")?.to_owned(),
        filter: need(item, "trafficMirrorFilterId")?.to_owned(),
        number: value(item, "sessionNumber")?,
        vni: optional::<u32>(item, VNI)?.map(vni).transpose()?,
        packet_length: optional(item, "packetLength")?,
        notes: notes(item)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers with these replies, one after another.
    struct Replies(Vec<&'static str>, Vec<String>);

    impl Ec2 for Replies {
        fn call(&mut self, action: &str, params: &Params) -> Result<Element, CallError> {
            let told = params.0.iter().map(|(name, value)| format!("&{name}={value}"));
            self.1.push(format!("{action}{}", told.collect::<String>()));
            Ok(Element::parse(self.0.remove(0)).unwrap())
        }
    }

    #[test]
    fn all_pages_are_asked_for() {
        let session = "<R><trafficMirrorSessionSet><item><trafficMirrorSessionId>S\
             </trafficMirrorSessionId><networkInterfaceId>eni-1</networkInterfaceId>\
             <trafficMirrorTargetId>T</trafficMirrorTargetId><trafficMirrorFilterId>F\
             </trafficMirrorFilterId><ownerId>1</ownerId><sessionNumber>3</sessionNumber><tagSet/>\
             </item></trafficMirrorSessionSet></R>";
        let next = "<R><trafficMirrorFilterSet/><nextToken>n</nextToken></R>";
        let mut replies = Replies(vec![next, "<R/>", "<R/>", session], Vec::new());
        let found = objects(&mut replies).unwrap();
        assert_eq!((found.model.sessions[0].number, found.model.sessions[0].vni), (3, None));
        assert_eq!(found.owners["S"], "1");
        assert_eq!(replies.1[1], "DescribeTrafficMirrorFilters&NextToken=n");
    }

    #[test]
    fn what_a_reply_lacks_is_told() {
        let reply = "<R><trafficMirrorTargetSet><item><trafficMirrorTargetId>T\
                     </trafficMirrorTargetId></item></trafficMirrorTargetSet></R>";
        let error = objects(&mut Replies(vec!["<R/>", reply], Vec::new())).unwrap_err();
        assert!(error.to_string().contains("an item with nothing as its destination"), "{error}");
    }

    #[test]
    fn ids_of_the_api_are_told_from_logical_ones() {
        assert!(is_made_by_api("tmf-0123456789abcdef0"));
        for id in ["Filter", "tmf-", "tmf-0123456789abcdef", "tmf-0123456789ABCDEF0", "tmx-0"] {
            assert!(!is_made_by_api(id), "{id}");
        }
    }
}
