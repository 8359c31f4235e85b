//! Sound models out of bytes, so small that two of them have much in common.

use control::model::{Destination, Filter, Model, Notes, Rule, Session, Target};
use engine::rule::{Direction, PortRange, RuleAction, TCP};
use engine::units::Vni;

/// As many as a filter, and a source beside a stranger's session, may have in these tests.
pub(crate) const RULES_MAX: usize = 3;
const SESSIONS_MAX: usize = 2;
pub(crate) const SOURCES: [&str; 2] = ["eni-1", "eni-07a17f4d6eEXAMPLE"];
const NLB: &str =
    "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/nlb/0123456789abcdef";

/// What one object is made of.
pub(crate) type Seed = [u8; 8];

fn notes(seed: u8) -> Notes {
    let text = |is_there: bool, text: &str| is_there.then(|| text.to_owned());
    let mut tags = Vec::new();
    if seed & 1 == 1 {
        tags.push(("Name".to_owned(), if seed & 2 == 2 { "x" } else { "y & z" }.to_owned()));
    }
    if seed & 4 == 4 {
        tags.push(("k".to_owned(), String::new()));
    }
    let description = match seed >> 4 & 3 {
        0 => None,
        1 => text(true, "one"),
        2 => text(true, "two"),
        // EC2 knows no empty one.
        _ => text(true, ""),
    };
    Notes { description, tags }
}

fn pick<T: Clone>(list: &[T], seed: u8) -> T {
    list[usize::from(seed) % list.len()].clone()
}

/// A model of at most 3 filters, 3 targets, 6 rules and 4 sessions: in this order their seeds, of
/// which one in four makes nothing.
pub(crate) fn model(seeds: &[Seed]) -> Model {
    let mut model = Model::default();
    let mut seeds = seeds.iter().enumerate();
    let mut next = |count| -> Vec<(String, Seed)> {
        let seeds = seeds.by_ref().take(count).filter(|(_, seed)| seed[0] % 4 != 0);
        seeds.map(|(at, seed)| (format!("O{at}"), *seed)).collect()
    };
    for (id, [_, dns, with, ..]) in next(3) {
        model.filters.push(Filter { id, amazon_dns: dns % 2 == 0, notes: notes(with) });
    }
    for (id, [_, way, with, ..]) in next(3) {
        let target = target(id, way, with, &model.targets);
        model.targets.push(target);
    }
    for (id, seed) in next(6) {
        model.rules.extend(rule(id, seed, &model));
    }
    for (id, seed) in next(4) {
        model.sessions.extend(session(id, seed, &model));
    }
    model
}

/// Such a model's seeds.
pub(crate) const SEEDS: usize = 16;

fn target(id: String, way: u8, with: u8, others: &[Target]) -> Target {
    let interface = |id: &str| Destination::NetworkInterface(id.to_owned());
    let balancer = Destination::NetworkLoadBalancer(NLB.to_owned());
    let ways = [
        interface("eni-0f6f2c3b1aEXAMPLE"),
        interface("eni-tool2"),
        balancer.clone(),
        balancer.clone(),
        Destination::GatewayLoadBalancerEndpoint("vpce-0123456789EXAMPLE".to_owned()),
    ];
    let mut destination = pick(&ways, way);
    if destination == balancer && others.iter().any(|other| other.destination == balancer) {
        destination = interface("eni-tool2");
    }
    Target { id, destination, notes: notes(with) }
}

fn rule(id: String, seed: Seed, model: &Model) -> Option<Rule> {
    let [_, of, number, way, ports, with, ..] = seed;
    let filters: Vec<&Filter> = model.filters.iter().collect();
    let filter = (!filters.is_empty()).then(|| pick(&filters, of).id.clone())?;
    let direction = pick(&[Direction::Ingress, Direction::Egress], way);
    let number = u16::from(number % 3) + 1;
    let beside = || model.rules.iter().filter(|other| other.filter == filter);
    if beside().count() == RULES_MAX
        || beside().any(|it| (it.direction, it.number) == (direction, number))
    {
        return None;
    }
    let range =
        |seed: u8| (seed & 1 == 1).then_some(PortRange { from: 1, to: 1 + u16::from(seed) });
    let (source_ports, destination_ports) = (range(ports), range(ports >> 1));
    let has_ports = source_ports.or(destination_ports).is_some();
    let nets = [("0.0.0.0/0", "10.0.0.0/8"), ("::/0", "2001:db8::/32")];
    let (source, destination) = pick(&nets, way >> 1);
    Some(Rule {
        id,
        filter,
        direction,
        number,
        action: pick(&[RuleAction::Accept, RuleAction::Reject], way >> 2),
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        protocol: if has_ports { Some(TCP) } else { pick(&[None, Some(0), Some(58)], ports >> 2) },
        source_ports,
        destination_ports,
        notes: notes(with),
    })
}

fn session(id: String, seed: Seed, model: &Model) -> Option<Session> {
    let [_, of, to, on, number, fields, with, _] = seed;
    if model.filters.is_empty() || model.targets.is_empty() {
        return None;
    }
    let interface = pick(&SOURCES, on).to_owned();
    let number = u16::from(number % 3) + 1;
    let beside = || model.sessions.iter().filter(|other| other.interface == interface);
    if beside().count() == SESSIONS_MAX || beside().any(|it| it.number == number) {
        return None;
    }
    Some(Session {
        id,
        interface,
        target: pick(&model.targets, to).id,
        filter: pick(&model.filters, of).id,
        number,
        vni: (fields & 1 == 1).then(|| Vni::try_from(u32::from(fields % 8)).unwrap()),
        packet_length: (fields & 2 == 2).then(|| u32::from(fields) + 1),
        notes: notes(with),
    })
}
