//! What EC2 calls directions, actions and services, on its wire and in templates alike.

use engine::rule::{Direction, RuleAction};

/// `TrafficDirection`.
pub const DIRECTIONS: [(&str, Direction); 2] =
    [("ingress", Direction::Ingress), ("egress", Direction::Egress)];
/// `RuleAction`.
pub const ACTIONS: [(&str, RuleAction); 2] =
    [("accept", RuleAction::Accept), ("reject", RuleAction::Reject)];
/// The only network service.
pub const AMAZON_DNS: &str = "amazon-dns";

/// The word for a meaning; empty when the list has none.
pub fn word<T: Copy + PartialEq>(words: &[(&'static str, T)], meaning: T) -> &'static str {
    words.iter().find(|(_, it)| *it == meaning).map_or("", |(word, _)| word)
}
