//! Values of arguments that are more than words and numbers.

use std::net::IpAddr;
use std::str::FromStr;

use clap::builder::RangedI64ValueParser;
use clap::value_parser;
use engine::rule::{NUMBERS, PortRange};
use ipnet::IpNet;

use crate::explain::PROTOCOLS;
use crate::fault::{did_you_mean, quoted};

/// A tag: `KEY=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) key: String,
    pub(super) value: String,
}

impl FromStr for Tag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                Ok(Self { key: key.to_owned(), value: value.to_owned() })
            }
            _ => Err("it is not KEY=VALUE".to_owned()),
        }
    }
}

/// What a rule says of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Every one.
    All,
    /// Only this.
    Number(u8),
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("all") {
            return Ok(Self::All);
        }
        let named = PROTOCOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        let number = named.map(|(_, number)| *number).or_else(|| text.parse().ok());
        number.map(Self::Number).ok_or_else(|| {
            let names = PROTOCOLS.map(|(name, _)| name);
            let hint = did_you_mean(text, names);
            format!("write {}, all or a number 0..255{hint}", names.join(", "))
        })
    }
}

/// Numbers of rules and sessions.
pub(super) fn numbers() -> RangedI64ValueParser<u16> {
    value_parser!(u16).range(i64::from(*NUMBERS.start())..=i64::from(*NUMBERS.end()))
}

/// A block of addresses; a single one is a block, too.
pub(super) fn cidr(text: &str) -> Result<IpNet, String> {
    let single = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let net = text.parse().ok().or_else(single);
    net.ok_or_else(|| "write a CIDR block like 10.0.0.0/8 or 2001:db8::/32".to_owned())
}

/// A range of ports: `443`, `443-444`, or as AWS's command line has it, `FromPort=443,ToPort=444`.
pub(super) fn ports(text: &str) -> Result<PortRange, String> {
    let of_aws = || {
        let mut ends = [None, None];
        for part in text.split(',') {
            match part.split_once('=')? {
                ("FromPort", port) => ends[0] = port.parse().ok(),
                ("ToPort", port) => ends[1] = port.parse().ok(),
                _ => return None,
            }
        }
        let [from, to] = ends;
        Some((from?, to?))
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let plain = first.trim().parse().ok().zip(last.trim().parse().ok());
    match plain.or_else(of_aws) {
        Some((from, to)) if from <= to => Ok(PortRange { from, to }),
        Some((from, to)) => Err(format!("it ends before it begins; write {to}-{from}")),
        None => Err("write a port like 443, or a range like 443-444".to_owned()),
    }
}

/// A condition of a list: `Name=NAME,Values=VALUE,VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) name: String,
    pub(super) values: Vec<String>,
}

impl FromStr for Condition {
    type Err = String;

    /// A comma in a value is written `\,`; every other backslash is a part of the value, where EC2
    /// takes the letter behind it as it is.
    fn from_str(text: &str) -> Result<Self, String> {
        let form = || {
            let hint = "write it like Name=tag:Name,Values=web,db or Name=rule-number,Values=10";
            format!("{} is no condition; {hint}", quoted(text))
        };
        let rest = text.strip_prefix("Name=").ok_or_else(form)?;
        let (name, values) = rest.split_once(",Values=").ok_or_else(form)?;
        let mut parts = vec![String::new()];
        let mut letters = values.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                ',' => parts.push(String::new()),
                '\\' if letters.next_if_eq(&',').is_some() => {
                    parts.last_mut().ok_or_else(form)?.push(',');
                }
                letter => parts.last_mut().ok_or_else(form)?.push(letter),
            }
        }
        if name.is_empty() || values.is_empty() {
            return Err(form());
        }
        Ok(Self { name: name.to_owned(), values: parts })
    }
}

/// A value that a condition is to take as it is: `*` and `?` would stand for others.
pub(super) fn literal(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        if matches!(letter, '*' | '?' | '\\') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_have_names_and_numbers() {
        let read = |text: &str| text.parse::<Protocol>();
        assert_eq!(read("tcp"), Ok(Protocol::Number(6)));
        assert_eq!(read("UDP"), Ok(Protocol::Number(17)));
        assert_eq!(read("0"), Ok(Protocol::Number(0)));
        assert_eq!(read("all"), Ok(Protocol::All));
        assert!(read("tpc").unwrap_err().contains("did you mean \"tcp\"?"));
        assert!(read("256").is_err() && read("-1").is_err() && read("").is_err());
    }

    #[test]
    fn ports_are_one_or_a_range() {
        let range = |from, to| Ok(PortRange { from, to });
        assert_eq!(ports("443"), range(443, 443));
        assert_eq!(ports("0-65535"), range(0, 65535));
        assert_eq!(ports("FromPort=1,ToPort=2"), range(1, 2));
        assert_eq!(ports("ToPort=2,FromPort=1"), range(1, 2));
        assert_eq!(ports("2-1").unwrap_err(), "it ends before it begins; write 1-2");
        for odd in ["", "-", "1-", "65536", "a", "1-2-3", "FromPort=1", "FromPort=1,X=2"] {
            assert!(ports(odd).unwrap_err().starts_with("write a port"), "{odd}");
        }
    }

    #[test]
    fn blocks_conditions_and_tags_are_read() {
        assert_eq!(cidr("10.0.0.1").unwrap().to_string(), "10.0.0.1/32");
        assert_eq!(cidr("10.0.0.1/8").unwrap().to_string(), "10.0.0.1/8");
        assert!(cidr("10.0.0/8").is_err() && cidr("").is_err());
        let condition: Condition = "Name=tag:a b,Values=x\\,y,z\\*,".parse().unwrap();
        assert_eq!((condition.name.as_str(), condition.values.len()), ("tag:a b", 3));
        assert_eq!(condition.values, ["x,y", "z\\*", ""]);
        for odd in ["", "Name=a", "Name=a,Values=", "Values=a,Name=b", "Name=,Values=a", "a=b"] {
            assert!(odd.parse::<Condition>().unwrap_err().contains("is no condition"), "{odd}");
        }
        let tag: Tag = "a=b=c".parse().unwrap();
        assert_eq!((tag.key.as_str(), tag.value.as_str()), ("a", "b=c"));
        assert!("a".parse::<Tag>().is_err() && "=a".parse::<Tag>().is_err());
        assert_eq!(literal("a*b?c\\"), "a\\*b\\?c\\\\");
    }
}
