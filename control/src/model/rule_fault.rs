//! What must fit together within one rule.

use engine::rule::{PortRange, TCP, UDP};

use super::Rule;

/// Two things that a rule says and that don't go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleFault {
    /// Its networks are of different families.
    Families,
    /// Its ports end before they begin.
    Backwards {
        /// `SourcePortRange` or `DestinationPortRange`.
        parameter: &'static str,
        /// The ports.
        range: PortRange,
    },
    /// It has ports, and not TCP or UDP.
    Portless {
        /// `SourcePortRange` or `DestinationPortRange`.
        parameter: &'static str,
    },
}

impl Rule {
    /// All that does not go together, in the order of the parameters.
    pub fn faults(&self) -> Vec<RuleFault> {
        let mut faults = Vec::new();
        if self.source.addr().is_ipv4() != self.destination.addr().is_ipv4() {
            faults.push(RuleFault::Families);
        }
        let ranges = [
            ("SourcePortRange", self.source_ports),
            ("DestinationPortRange", self.destination_ports),
        ];
        for (parameter, range) in ranges {
            let Some(range) = range else { continue };
            if range.from > range.to {
                faults.push(RuleFault::Backwards { parameter, range });
            }
            if !matches!(self.protocol, Some(TCP | UDP)) {
                faults.push(RuleFault::Portless { parameter });
            }
        }
        faults
    }

    /// Its protocol in a sentence.
    pub fn protocol_in_words(&self) -> String {
        self.protocol.map_or("all protocols".to_owned(), |number| format!("protocol {number}"))
    }
}
