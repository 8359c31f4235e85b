//! `Filter.N` of the describing actions: which of the objects are wanted.
//!
//! Names are joined by *and*, the values of one by *or*; letter case counts; `*` stands for any
//! text, `?` for one character, a backslash takes their meaning away (EC2 user guide, "Filtering").

use std::borrow::Cow;

use super::decode::Request;
use super::error::Error;

/// EC2 user guide: at most 50 filters with 200 values of 255 characters.
const CONDITIONS_MAX: usize = 50;
const VALUES_MAX: usize = 200;
const VALUE_CHARS_MAX: usize = 255;
/// The filter of one tag's value is named with the tag's key behind this.
const TAG: &str = "tag:";

/// What wanted objects have.
#[derive(Debug, Default)]
pub(super) struct Conditions(Vec<Condition>);

#[derive(Debug)]
struct Condition {
    name: String,
    values: Vec<Pattern>,
}

impl Conditions {
    /// Reads `Filter.N`; `known` are the names beside those of tags. Errors: too many, or unknown.
    pub(super) fn of(request: &Request<'_>, known: &[&str]) -> Result<Self, Error> {
        let over = |what: String| Err(Error::new("FilterLimitExceeded", 400, what));
        let mut conditions = Vec::new();
        // The limit is judged here: the code for it is not that of other lists.
        for index in request.indexes("Filter", usize::MAX)? {
            if conditions.len() == CONDITIONS_MAX {
                return over(format!("There are more than {CONDITIONS_MAX} filters."));
            }
            let name = request.required(&format!("Filter.{index}.Name"))?;
            if !known.contains(&&*name) && !name.starts_with(TAG) && name != "tag-key" {
                let message = format!("The filter '{name}' is invalid");
                return Err(Error::new("InvalidParameterValue", 400, message));
            }
            let list = format!("Filter.{index}.Value");
            let values = request.list_of(&list, usize::MAX)?;
            if values.is_empty() {
                return Err(Error::missing(&list));
            }
            if values.len() > VALUES_MAX {
                return over(format!("Filter '{name}' has more than {VALUES_MAX} values."));
            }
            if values.iter().any(|value| value.chars().count() > VALUE_CHARS_MAX) {
                let what = format!("A value has more than {VALUE_CHARS_MAX} characters.");
                return over(format!("Filter '{name}': {what}"));
            }
            let values = values.iter().map(|value| Pattern::of(value)).collect();
            conditions.push(Condition { name, values });
        }
        Ok(Self(conditions))
    }

    /// True when an object is wanted: it has these tags, and under a known name these values.
    pub(super) fn hold<'o>(
        &self,
        tags: &'o [(String, String)],
        values_of: impl Fn(&str) -> Vec<Cow<'o, str>>,
    ) -> bool {
        self.0.iter().all(|condition| {
            let fits = |value: &str| condition.values.iter().any(|pattern| pattern.fits(value));
            if let Some(key) = condition.name.strip_prefix(TAG) {
                return tags.iter().any(|(other, value)| other == key && fits(value));
            }
            if condition.name == "tag-key" {
                return tags.iter().any(|(key, _)| fits(key));
            }
            values_of(&condition.name).iter().any(|value| fits(value))
        })
    }
}

/// A value with wildcards.
#[derive(Debug)]
struct Pattern(Vec<Piece>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Any,
    One,
    Letter(char),
}

impl Pattern {
    fn of(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            pieces.push(match letter {
                '*' => Piece::Any,
                '?' => Piece::One,
                '\\' => Piece::Letter(letters.next().unwrap_or('\\')),
                letter => Piece::Letter(letter),
            });
        }
        Self(pieces)
    }

    /// Takes steps of at most the product of both lengths: only the last `*` is ever tried again.
    fn fits(&self, text: &str) -> bool {
        let mut at = 0;
        let mut rest = text.chars();
        let mut retry = None;
        loop {
            let before = rest.clone();
            match (self.0.get(at), rest.next()) {
                (None, None) => return true,
                (Some(Piece::Any), _) => {
                    rest = before;
                    at += 1;
                    retry = Some((at, rest.clone()));
                    continue;
                }
                (Some(Piece::One), Some(_)) => {
                    at += 1;
                    continue;
                }
                (Some(Piece::Letter(want)), Some(found)) if *want == found => {
                    at += 1;
                    continue;
                }
                _ => {}
            }
            // The last `*` stands for one character more.
            let Some((behind, mut from)) = retry.take() else { return false };
            if from.next().is_none() {
                return false;
            }
            rest = from.clone();
            at = behind;
            retry = Some((behind, from));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::Params;
    use proptest::prelude::*;

    #[test]
    fn wildcards_stand_for_any_text_and_one_character() {
        let fits = |pattern: &str, text: &str| Pattern::of(pattern).fits(text);
        assert!(fits("we*", "web") && fits("we*", "we") && !fits("we*", "WEB"));
        assert!(fits("*b", "web") && fits("w?b", "web") && !fits("w?b", "wb"));
        assert!(fits("", "") && !fits("", "x") && fits("*", "") && !fits("?", ""));
        assert!(fits(r"a\*", "a*") && !fits(r"a\*", "ab") && fits(r"a\?b\\", r"a?b\"));
        assert!(fits("*a*b*c", "xaaybbzc") && !fits("*a*b*c", "xaaybbz"));
        assert!(fits("\\", "\\"));
    }

    proptest! {
        #[test]
        fn patterns_agree_with_a_naive_matcher(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            fn naive(pattern: &[u8], text: &[u8]) -> bool {
                match (pattern.split_first(), text.split_first()) {
                    (None, None) => true,
                    (Some((b'*', rest)), _) => {
                        naive(rest, text) || text.split_first().is_some_and(|(_, t)| naive(pattern, t))
                    }
                    (Some((b'?', rest)), Some((_, t))) => naive(rest, t),
                    (Some((p, rest)), Some((t, more))) if p == t => naive(rest, more),
                    _ => false,
                }
            }
            let found = Pattern::of(&pattern).fits(&text);
            prop_assert_eq!(found, naive(pattern.as_bytes(), text.as_bytes()));
        }
    }

    #[test]
    fn names_are_joined_by_and_and_values_by_or() {
        let pairs = [
            ("Filter.1.Name", "color"),
            ("Filter.1.Value.1", "red"),
            ("Filter.1.Value.2", "b*"),
            ("Filter.2.Name", "tag:env"),
            ("Filter.2.Value.1", "test"),
            ("Filter.3.Name", "tag-key"),
            ("Filter.3.Value.1", "en?"),
        ];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let params = Params(pairs.to_vec());
        let request = Request::of(&params).unwrap();
        let conditions = Conditions::of(&request, &["color"]).unwrap();
        request.finish().unwrap();
        let tags = [("env".to_owned(), "test".to_owned())];
        let hold = |tags, color| conditions.hold(tags, |_| vec![Cow::Borrowed(color)]);
        assert!(hold(&tags, "red") && hold(&tags, "blue"));
        assert!(!hold(&tags, "green") && !hold(&[], "red"));
    }

    #[test]
    fn too_many_and_unknown_filters_have_codes_of_their_own() {
        let code = |pairs: Vec<(String, String)>| {
            let params = Params(pairs);
            let request = Request::of(&params).unwrap();
            Conditions::of(&request, &["color"]).unwrap_err().code()
        };
        let color = |at: usize| {
            [
                (format!("Filter.{at}.Name"), "color".into()),
                (format!("Filter.{at}.Value.1"), String::new()),
            ]
        };
        assert_eq!(code((1..=51).flat_map(color).collect()), "FilterLimitExceeded");
        let values = (1..=201).map(|at| (format!("Filter.1.Value.{at}"), String::new()));
        let name = [("Filter.1.Name".into(), "color".into())];
        assert_eq!(code(values.chain(name.clone()).collect()), "FilterLimitExceeded");
        assert_eq!(code(name.to_vec()), "MissingParameter");
        let unknown = [("Filter.1.Name".into(), "colour".into())];
        assert_eq!(code(unknown.to_vec()), "InvalidParameterValue");
    }
}
