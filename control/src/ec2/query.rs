//! Form encoding, as the Query protocol has it in a query and in a body.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode};
use thiserror::Error;

/// What can't stand as it is: all but RFC 3986's unreserved characters (§2.3).
pub const RESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// Parameters of one request. The largest that AWS describes is 50 filters of 200 values.
pub const PARAMS_MAX: usize = 16_384;

/// What is no form encoding, or too much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum QueryError {
    /// A `%` without two hexadecimal digits behind it.
    #[error("parameter {0} has a \"%\" without two hexadecimal digits behind it; write %25")]
    Escape(usize),
    /// No UTF-8.
    #[error("parameter {0} isn't UTF-8; encode it so")]
    Utf8(usize),
    /// Too many.
    #[error("there are more than {PARAMS_MAX} parameters; ask in several requests")]
    TooMany,
}

/// Decodes `a=b&c=d`, in order. A name without `=` has an empty value.
///
/// Errors name the parameter by its place, from 1. Cost: linear; a copy of every word.
pub fn pairs(text: &[u8]) -> Result<Vec<(String, String)>, QueryError> {
    let mut found = Vec::new();
    let parts = text.split(|&byte| byte == b'&').filter(|part| !part.is_empty());
    for (part, at) in parts.zip(1..) {
        if at > PARAMS_MAX {
            return Err(QueryError::TooMany);
        }
        let mut halves = part.splitn(2, |&byte| byte == b'=');
        let (name, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
        found.push((word(name, at)?, word(value, at)?));
    }
    Ok(found)
}

fn word(text: &[u8], at: usize) -> Result<String, QueryError> {
    let escapes = text.iter().enumerate().filter(|&(_, &byte)| byte == b'%');
    let is_whole = |place: usize| {
        text.get(place + 1..place + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
    };
    if !escapes.map(|(place, _)| place).all(is_whole) {
        return Err(QueryError::Escape(at));
    }
    let spaced: Vec<u8> = text.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    String::from_utf8(percent_decode(&spaced).collect()).map_err(|_| QueryError::Utf8(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(text: &str) -> Vec<(String, String)> {
        pairs(text.as_bytes()).unwrap()
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn pairs_come_in_order_and_decoded() {
        assert_eq!(
            decoded("Action=A&b=x+y%2B&b=%C3%A4&empty=&bare&=v&e=a=b&"),
            owned(&[
                ("Action", "A"),
                ("b", "x y+"),
                ("b", "ä"),
                ("empty", ""),
                ("bare", ""),
                ("", "v"),
                ("e", "a=b"),
            ])
        );
        assert_eq!(decoded(""), []);
    }

    #[test]
    fn what_is_no_form_encoding_is_told_with_its_place() {
        for odd in ["a=%", "a=%4", "a=%zz", "%=1", "a=%41%4g", "ab%"] {
            assert_eq!(pairs(odd.as_bytes()), Err(QueryError::Escape(1)), "{odd}");
        }
        assert_eq!(pairs(b"a=1&b=%ff"), Err(QueryError::Utf8(2)));
        assert_eq!(pairs(b"a=1&b=\xff"), Err(QueryError::Utf8(2)));
    }

    #[test]
    fn memory_is_bounded() {
        let many = |count| vec!["a"; count].join("&").into_bytes();
        assert_eq!(pairs(&many(PARAMS_MAX)).map(|pairs| pairs.len()), Ok(PARAMS_MAX));
        assert_eq!(pairs(&many(PARAMS_MAX + 1)), Err(QueryError::TooMany));
    }

    proptest! {
        #[test]
        fn encoded_words_come_back(words in prop::collection::vec((".{1,8}", ".{0,8}"), 0..5)) {
            let encode = |word: &str| {
                percent_encoding::utf8_percent_encode(word, percent_encoding::NON_ALPHANUMERIC)
                    .to_string()
            };
            let text: Vec<String> =
                words.iter().map(|(n, v)| format!("{}={}", encode(n), encode(v))).collect();
            prop_assert_eq!(pairs(text.join("&").as_bytes()), Ok(words));
        }
    }
}
