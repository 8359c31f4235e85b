//! Numbers as people write them, in arguments, and as they like to read them.

use std::time::Duration;

/// Decimal prefixes.
const PREFIXES: [(char, f64); 4] = [('k', 1e3), ('M', 1e6), ('G', 1e9), ('T', 1e12)];
/// How an amount is written.
pub(crate) const AMOUNT_FORM: &str =
    "a number above 0, with k, M, G or nothing, like 2500, 100k or 1.5M";
/// How a whole amount is written.
pub(crate) const COUNT_FORM: &str =
    "a whole number from 1 on, with k, M, G or nothing, like 2500 or 100k";
/// How a time is written.
pub(crate) const TIME_FORM: &str = "a time above 0, like 10s, 1.5m, 2h, 500ms or 20us";

/// A number above 0, perhaps with a decimal prefix behind it: `100k`, `2.5M`.
pub(crate) fn amount(text: &str) -> Option<f64> {
    let prefixed = PREFIXES.iter().find_map(|(name, by)| Some((text.strip_suffix(*name)?, *by)));
    let (digits, by) = prefixed.unwrap_or((text, 1.0));
    let number = decimal(digits)? * by;
    (number > 0.0 && number.is_finite()).then_some(number)
}

/// The same, whole, as far as numbers are exact.
pub(crate) fn count(text: &str) -> Option<u64> {
    const EXACT_MAX: f64 = 9e15;
    let number = amount(text).filter(|number| number.fract() == 0.0 && *number <= EXACT_MAX)?;
    #[expect(clippy::cast_sign_loss, reason = "it is above 0 and whole")]
    Some(number as u64)
}

/// A time in nanoseconds: `10s`, `1.5m`, `500ms`; seconds where no unit is named.
pub(crate) fn time_ns(text: &str) -> Option<u64> {
    const UNITS: [(&str, f64); 7] = [
        ("ns", 1.0),
        ("us", 1e3),
        ("µs", 1e3),
        ("ms", 1e6),
        ("s", 1e9),
        ("m", 6e10),
        ("h", 3.6e12),
    ];
    const NS_MAX: f64 = 9e18;
    let unit = UNITS.iter().find_map(|(name, by)| Some((text.strip_suffix(name)?, *by)));
    let (digits, by) = unit.unwrap_or((text, 1e9));
    let ns = decimal(digits)? * by;
    #[expect(clippy::cast_sign_loss, reason = "it is at least 1")]
    (1.0..=NS_MAX).contains(&ns).then_some(ns.round() as u64)
}

/// Digits, with a point between them perhaps: nothing else that a float can be.
fn decimal(text: &str) -> Option<f64> {
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if is_digits(whole) && is_digits(fraction) { text.parse().ok() } else { None }
}

/// A part of a whole, 0 to 1; of nothing, 0.
#[expect(clippy::cast_precision_loss, reason = "a ratio needs no more than 52 bits")]
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// A number with three or four digits and a decimal prefix: `1.23 M`, `45.6 k`, `789 `; a unit is to follow.
pub(crate) fn short(number: f64) -> String {
    let prefix = PREFIXES.iter().rev().find(|(_, by)| number.abs() >= *by * 0.9995);
    let (scaled, name) =
        prefix.map_or((number, String::new()), |(name, by)| (number / by, name.to_string()));
    let digits = match scaled.abs() {
        100.0.. => 0,
        _ if name.is_empty() && scaled.fract() == 0.0 => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{scaled:.digits$} {name}")
}

/// A time as a person reads it: `850 ns`, `12.3 µs`, `4.50 s`, `2:03:05`.
pub(crate) fn short_time(ns: u64) -> String {
    const MINUTE: u64 = 60_000_000_000;
    if ns >= MINUTE {
        let seconds = Duration::from_nanos(ns).as_secs();
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        return if hours == 0 {
            format!("{minutes}:{seconds:02} min")
        } else {
            format!("{hours}:{minutes:02}:{seconds:02} h")
        };
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let number = ns as f64;
    let (scaled, unit) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (number / 1e3, "µs"),
        1_000_000..1_000_000_000 => (number / 1e6, "ms"),
        _ => (number / 1e9, "s"),
    };
    let digits = match scaled {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{scaled:.digits$} {unit}")
}

/// A whole number in groups of three digits: `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_prefixes_and_nothing_else() {
        let good = [("1", 1.0), ("100k", 1e5), ("2.5M", 2.5e6), ("10G", 1e10), ("0.5", 0.5)];
        for (text, number) in good {
            assert_eq!(amount(text), Some(number), "{text}");
        }
        for odd in
            ["", "k", "0", "0.0k", "-1", "+1", "1e3", "1.", ".5", "1K", "1 k", "inf", "1kk", "nan"]
        {
            assert_eq!(amount(odd), None, "{odd}");
        }
        assert_eq!(
            (count("1.5k"), count("1.5"), count("0"), count("9000T")),
            (Some(1500), None, None, Some(9_000_000_000_000_000))
        );
    }

    #[test]
    fn times_have_units() {
        let good = [
            ("10s", 10_000_000_000),
            ("10", 10_000_000_000),
            ("1.5m", 90_000_000_000),
            ("2h", 7_200_000_000_000),
            ("500ms", 500_000_000),
            ("20us", 20_000),
            ("7ns", 7),
        ];
        for (text, ns) in good {
            assert_eq!(time_ns(text), Some(ns), "{text}");
        }
        for odd in ["", "s", "0s", "0.1ns", "1d", "-1s", "1 s", "9999999999h"] {
            assert_eq!(time_ns(odd), None, "{odd}");
        }
    }

    #[test]
    fn numbers_are_short_to_read() {
        let told = [0.0, 7.0, 0.5, 999.0, 1000.0, 99_960.0, 123_456.0, 9.9996e6].map(short);
        assert_eq!(told, ["0 ", "7 ", "0.50 ", "999 ", "1.00 k", "100.0 k", "123 k", "10.00 M"]);
        let told = [850, 12_345, 4_500_000_000, 125_000_000_000, 7_385_000_000_000].map(short_time);
        assert_eq!(told, ["850 ns", "12.3 µs", "4.50 s", "2:05 min", "2:03:05 h"]);
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
