//! The tags of a session that say how much of what matches it wants: `linetap:rate-limit` and
//! `linetap:sample`. Every client of EC2 can set tags.
//!
//! ```text
//!  linetap:rate-limit = amount [separator amount]    one of bytes, one of packets, in either order
//!  amount             = digits ["k" | "M" | "G"] ("B/s" | "pps")         k is 1000: 10MB/s, 5000pps
//!  separator          = "," | " " | ", "
//!  linetap:sample     = "1/" digits                                      1/1 to 1/16384
//! ```

use std::num::{NonZeroU16, NonZeroU64};

use engine::snapshot::{RateLimit, SAMPLE_MAX};

use super::{Kind, Session};
use crate::fault::quoted;

/// The tag with the most that a session may send.
pub const RATE_LIMIT: &str = "linetap:rate-limit";
/// The tag with the part of the flows that a session mirrors.
pub const SAMPLE: &str = "linetap:sample";

const RATE_LIMIT_FORM: &str = "write bytes a second (10MB/s), packets a second (5000pps), or both \
                               (10MB/s,5000pps), in whole numbers with k, M, G or nothing";

/// The value of the tag [`RATE_LIMIT`]. Errors: what is wrong with it, and the remedy.
pub fn rate_limit(text: &str) -> Result<RateLimit, String> {
    let form = || format!("{} is no rate limit; {RATE_LIMIT_FORM}", quoted(text));
    let mut limit = RateLimit { bytes: None, packets: None };
    let (first, second) = match text.split_once([',', ' ']) {
        None => (text, None),
        Some((first, rest)) if text[first.len()..].starts_with(", ") => (first, Some(&rest[1..])),
        Some((first, rest)) => (first, Some(rest)),
    };
    for amount in [Some(first), second].into_iter().flatten() {
        let (number, unit) = amount
            .strip_suffix("B/s")
            .map(|number| (number, "B/s"))
            .or_else(|| amount.strip_suffix("pps").map(|number| (number, "pps")))
            .ok_or_else(form)?;
        let number = scaled(number).ok_or_else(form)?;
        let (place, range) = if unit == "pps" {
            (&mut limit.packets, RateLimit::PACKETS)
        } else {
            (&mut limit.bytes, RateLimit::BYTES)
        };
        if !range.contains(&number) {
            let (least, most) = (range.start(), range.end());
            return Err(format!("{amount} is out of range; write {least}{unit} to {most}{unit}"));
        }
        if place.replace(NonZeroU64::new(number).ok_or_else(form)?).is_some() {
            return Err(format!("{} limits {unit} twice; write it once", quoted(text)));
        }
    }
    Ok(limit)
}

/// Digits, and perhaps a decimal prefix.
fn scaled(text: &str) -> Option<u64> {
    let prefixes = [('k', 1_000), ('M', 1_000_000), ('G', 1_000_000_000)];
    let prefixed = prefixes.iter().find_map(|(name, by)| Some((text.strip_suffix(*name)?, *by)));
    let (digits, by) = prefixed.unwrap_or((text, 1));
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    // More than fits is out of range all the same.
    is_number.then(|| {
        digits.parse().map_or_else(
            |_| (!digits.is_empty()).then_some(u64::MAX),
            |number: u64| Some(number.saturating_mul(by)),
        )
    })?
}

/// The value of the tag [`SAMPLE`]. Errors: what is wrong with it, and the remedy.
pub fn sample(text: &str) -> Result<NonZeroU16, String> {
    let digits = text.strip_prefix("1/").filter(|it| it.bytes().all(|byte| byte.is_ascii_digit()));
    let of = digits.and_then(|digits| digits.parse::<NonZeroU16>().ok());
    of.filter(|of| of.get() <= SAMPLE_MAX).ok_or_else(|| {
        format!(
            "{} is no part of all flows; write 1/1 to 1/{SAMPLE_MAX}, such as 1/64",
            quoted(text)
        )
    })
}

/// Errors: an object of this kind can't have such a tag.
pub fn check_tag(kind: Kind, key: &str, value: &str) -> Result<(), String> {
    match key {
        RATE_LIMIT | SAMPLE if kind != Kind::Session => {
            Err(format!("{key} is a tag of sessions; a {kind} sends nothing"))
        }
        RATE_LIMIT => rate_limit(value).map(drop),
        SAMPLE => sample(value).map(drop),
        _ => Ok(()),
    }
}

impl Session {
    /// The most that it may send, if its tags say so. What can't be read is none: see [`check_tag`].
    pub fn rate_limit(&self) -> Option<RateLimit> {
        rate_limit(self.notes.tag(RATE_LIMIT)?).ok()
    }

    /// Of so many flows it mirrors one, if its tags say so.
    pub fn sample(&self) -> Option<NonZeroU16> {
        sample(self.notes.tag(SAMPLE)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(bytes: u64, packets: u64) -> RateLimit {
        RateLimit { bytes: NonZeroU64::new(bytes), packets: NonZeroU64::new(packets) }
    }

    #[test]
    fn limits_are_of_bytes_packets_or_both() {
        assert_eq!(rate_limit("10MB/s"), Ok(limit(10_000_000, 0)));
        assert_eq!(rate_limit("5000pps"), Ok(limit(0, 5000)));
        for both in ["10MB/s,5kpps", "10MB/s 5kpps", "10MB/s, 5000pps", "5kpps,10000kB/s"] {
            assert_eq!(rate_limit(both), Ok(limit(10_000_000, 5000)), "{both}");
        }
        assert_eq!(rate_limit("1000B/s"), Ok(limit(1000, 0)));
        assert_eq!(rate_limit("1000GB/s,1Gpps"), Ok(limit(1_000_000_000_000, 1_000_000_000)));
    }

    #[test]
    fn what_is_no_limit_is_refused_with_a_remedy() {
        for odd in [
            "",
            " ",
            ",",
            "10",
            "10MB",
            "MB/s",
            "B/s",
            "pps",
            "10mB/s",
            "10KB/s",
            "10 MB/s",
            "+10B/s",
            "-1pps",
            "1.5MB/s",
            "10Mb/s",
            "10MiB/s",
            "10MB/s,",
            "10MB/s,,5pps",
            "10MB/s,  5pps",
            "10MB/s 5pps 5pps",
            " 10MB/s",
            "10MB/s ",
            "5pps/s",
            "٣pps",
            "1e6pps",
            "5kkpps",
        ] {
            let told = rate_limit(odd).unwrap_err();
            assert!(told.ends_with("k, M, G or nothing"), "{odd}: {told}");
        }
        for far in ["999B/s", "0pps", "0B/s", "1001GB/s", "2Gpps", "99999999999999999999pps"] {
            assert!(rate_limit(far).unwrap_err().contains("out of range; write 1"), "{far}");
        }
        assert!(rate_limit("1MB/s,2MB/s").unwrap_err().contains("limits B/s twice"));
        assert!(rate_limit("1pps 2pps").unwrap_err().contains("limits pps twice"));
    }

    #[test]
    fn samples_are_one_of_so_many() {
        for of in [1, 64, 16_384] {
            assert_eq!(sample(&format!("1/{of}")).map(NonZeroU16::get), Ok(of));
        }
        for odd in
            ["", "64", "1/", "1/0", "1/16385", "1/65536", "2/64", "1 / 64", "1/+4", "1/-4", "0.5"]
        {
            assert!(sample(odd).unwrap_err().contains("write 1/1 to 1/16384"), "{odd}");
        }
    }

    #[test]
    fn only_sessions_have_them() {
        assert_eq!(check_tag(Kind::Session, RATE_LIMIT, "1pps"), Ok(()));
        assert_eq!(check_tag(Kind::Target, "Name", "1pps"), Ok(()));
        assert!(check_tag(Kind::Session, SAMPLE, "1pps").is_err());
        let told = check_tag(Kind::Target, RATE_LIMIT, "1pps").unwrap_err();
        assert!(told.contains("is a tag of sessions"), "{told}");
    }
}
