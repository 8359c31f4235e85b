//! The Query protocol's parameters, read by name: what nobody asked for is unknown.
//!
//! Lists are flattened (`ResourceId.1`), structures dotted (`SourcePortRange.FromPort`), both
//! together too (`TagSpecification.1.Tag.2.Key`). Source: EC2 API Reference, "Query requests".

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;

use ring::digest::{Context, SHA256};

use super::encode::is_xml;
use super::endpoint::Params;
use super::error::Error;
use crate::fault::either;
use crate::store::Token;

/// More than any request can mean: 50 filters with 200 values each are the most.
const PARAMETERS_MAX: usize = 12_000;
/// Entries of a list of ids, tags or fields (EC2 API Reference, `CreateTags`: 1000 resources).
const ENTRIES_MAX: usize = 1000;
/// `ClientToken` is documented with 64 characters; clients check nothing, so there is some room.
const TOKEN_CHARS_MAX: usize = 128;
/// `Description`: AWS names no limit.
const DESCRIPTION_CHARS_MAX: usize = 1024;
/// What presigned requests carry beside the action's own parameters.
const SIGNATURE_PREFIX: &str = "X-Amz-";
/// What a repeated request may have otherwise.
const NOT_OF_THE_REQUEST: [&str; 2] = ["ClientToken", "DryRun"];

/// The parameters of one request, and what has been asked of them.
#[derive(Debug)]
pub(super) struct Request<'p> {
    all: BTreeMap<&'p str, &'p str>,
    left: RefCell<BTreeMap<&'p str, &'p str>>,
}

impl<'p> Request<'p> {
    /// Begins to read. Errors: a parameter is there twice, or there are too many.
    pub(super) fn of(params: &'p Params) -> Result<Self, Error> {
        if params.0.len() > PARAMETERS_MAX {
            let message = format!("The request has more than {PARAMETERS_MAX} parameters.");
            return Err(Error::new("MalformedQueryString", 400, message));
        }
        let mut all = BTreeMap::new();
        for (name, value) in params.0.iter().filter(|(name, _)| !name.starts_with(SIGNATURE_PREFIX))
        {
            if all.insert(name.as_str(), value.as_str()).is_some() {
                let message = format!("The parameter {name} is there more than once.");
                return Err(Error::new("MalformedQueryString", 400, message));
            }
        }
        Ok(Self { left: RefCell::new(all.clone()), all })
    }

    /// A digest of all parameters that tell what is wanted.
    fn digest(&self) -> String {
        let mut context = Context::new(&SHA256);
        for (name, value) in &self.all {
            if NOT_OF_THE_REQUEST.contains(name) {
                continue;
            }
            for part in [name, value] {
                context.update(&(part.len() as u64).to_le_bytes());
                context.update(part.as_bytes());
            }
        }
        hex::encode(context.finish())
    }

    fn take(&self, name: &str) -> Option<&'p str> {
        self.left.borrow_mut().remove(name)
    }

    /// True when a parameter is there, whatever its value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.all.contains_key(name)
    }

    /// Text, as it is.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Error> {
        let Some(text) = self.take(name) else { return Ok(None) };
        if !text.chars().all(is_xml) {
            let why = "It has characters that XML can't hold.";
            return Err(Error::invalid(name, text, why));
        }
        Ok(Some(text.to_owned()))
    }

    /// Text that has to be there, and not empty.
    pub(super) fn required(&self, name: &str) -> Result<String, Error> {
        self.text(name)?.filter(|text| !text.is_empty()).ok_or_else(|| Error::missing(name))
    }

    /// A description; an empty one is none.
    pub(super) fn description(&self) -> Result<Option<String>, Error> {
        let text = self.text("Description")?;
        match text {
            Some(text) if text.chars().count() > DESCRIPTION_CHARS_MAX => {
                let why = format!("It has at most {DESCRIPTION_CHARS_MAX} characters.");
                Err(Error::invalid("Description", &text, &why))
            }
            text => Ok(text.filter(|text| !text.is_empty())),
        }
    }

    /// A whole number within a range.
    pub(super) fn integer<T>(
        &self,
        name: &str,
        range: &RangeInclusive<T>,
    ) -> Result<Option<T>, Error>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let number = text.parse::<i64>().ok().and_then(|number| T::try_from(number).ok());
        if let Some(number) = number.filter(|number| range.contains(number)) {
            Ok(Some(number))
        } else {
            let why = format!("Give a whole number from {} to {}.", range.start(), range.end());
            Err(Error::invalid(name, &text, &why))
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, Error> {
        self.choice(name, &[("true", true), ("false", false)])
    }

    /// One of some words, each with its meaning.
    pub(super) fn choice<T: Copy>(
        &self,
        name: &str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, Error> {
        self.text(name)?.map(|text| meaning(name, &text, words)).transpose()
    }

    /// The indexes of a list that has at most `max` entries, in their order, as they are written.
    pub(super) fn indexes(&self, list: &str, max: usize) -> Result<Vec<String>, Error> {
        let start = format!("{list}.");
        let left = self.left.borrow();
        let mut found: BTreeMap<u32, String> = BTreeMap::new();
        for name in left.range(start.as_str()..).map(|(name, _)| *name) {
            let Some(rest) = name.strip_prefix(&start) else { break };
            let index = rest.split('.').next().unwrap_or(rest);
            // `01` and `+1` are other names, which nobody asks for.
            if let Ok(number) = index.parse::<u32>()
                && number > 0
                && number.to_string() == index
            {
                found.entry(number).or_insert_with(|| index.to_owned());
            }
        }
        if found.len() > max {
            let message = format!("{list} has more than {max} entries.");
            return Err(Error::new("InvalidParameterValue", 400, message));
        }
        Ok(found.into_values().collect())
    }

    /// A list of texts.
    pub(super) fn list(&self, list: &str) -> Result<Vec<String>, Error> {
        self.list_of(list, ENTRIES_MAX)
    }

    /// A list of at most `max` texts.
    pub(super) fn list_of(&self, list: &str, max: usize) -> Result<Vec<String>, Error> {
        let mut texts = Vec::new();
        for index in self.indexes(list, max)? {
            texts.extend(self.text(&format!("{list}.{index}"))?);
        }
        Ok(texts)
    }

    /// A list of some words, each with its meaning.
    pub(super) fn choices<T: Copy>(
        &self,
        list: &str,
        words: &[(&str, T)],
    ) -> Result<Vec<T>, Error> {
        self.list(list)?.iter().map(|text| meaning(list, text, words)).collect()
    }

    /// A list of tags; a value may be absent.
    pub(super) fn tags(&self, list: &str) -> Result<Vec<(String, Option<String>)>, Error> {
        let mut tags = Vec::new();
        for index in self.indexes(list, ENTRIES_MAX)? {
            let key = self.required(&format!("{list}.{index}.Key"))?;
            tags.push((key, self.text(&format!("{list}.{index}.Value"))?));
        }
        Ok(tags)
    }

    /// The tags that `TagSpecification` gives a new object of a type.
    pub(super) fn tags_of_new(&self, resource: &str) -> Result<Vec<(String, String)>, Error> {
        const LIST: &str = "TagSpecification";
        let mut tags = Vec::new();
        for index in self.indexes(LIST, ENTRIES_MAX)? {
            let name = format!("{LIST}.{index}.ResourceType");
            let found = self.required(&name)?;
            if found != resource {
                let why = format!("This operation makes a resource of type {resource}.");
                return Err(Error::invalid(&name, &found, &why));
            }
            let given = self.tags(&format!("{LIST}.{index}.Tag"))?;
            tags.extend(given.into_iter().map(|(key, value)| (key, value.unwrap_or_default())));
        }
        Ok(tags)
    }

    /// `ClientToken`, with what it stands for.
    pub(super) fn token(&self) -> Result<Option<Token>, Error> {
        const NAME: &str = "ClientToken";
        let Some(token) = self.text(NAME)?.filter(|token| !token.is_empty()) else {
            return Ok(None);
        };
        if !token.is_ascii() || token.len() > TOKEN_CHARS_MAX {
            let why = format!("It has at most {TOKEN_CHARS_MAX} characters, all of them ASCII.");
            return Err(Error::invalid(NAME, &token, &why));
        }
        Ok(Some(Token { token, request: self.digest() }))
    }

    /// Ends reading. Errors: something was not asked for.
    pub(super) fn finish(&self) -> Result<(), Error> {
        self.left.borrow().keys().next().map_or(Ok(()), |name| Err(Error::unknown_parameter(name)))
    }
}

/// What a word means. Errors: nothing.
fn meaning<T: Copy>(name: &str, text: &str, words: &[(&str, T)]) -> Result<T, Error> {
    if let Some(&(_, meaning)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(meaning);
    }
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    Err(Error::invalid(name, text, &format!("Give {}.", either(&known))))
}

#[cfg(test)]
mod tests {
    use super::super::endpoint::Dialect;
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params(pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    #[test]
    fn lists_are_read_in_the_order_of_their_numbers() {
        let params = params(&[("R.10", "c"), ("R.2", "b"), ("R.1", "a"), ("RX.1", "x")]);
        let request = Request::of(&params).unwrap();
        assert_eq!(request.list("R").unwrap(), ["a", "b", "c"]);
        assert_eq!(request.finish().unwrap_err(), Error::unknown_parameter("RX.1"));
    }

    #[test]
    fn odd_indexes_are_unknown_parameters() {
        for name in ["R.0", "R.01", "R.+1", "R.x", "R.", "R", "R.1.y", "R.99999999999"] {
            let params = params(&[(name, "a")]);
            let request = Request::of(&params).unwrap();
            assert_eq!(request.list("R").unwrap(), [""; 0], "{name}");
            assert_eq!(request.finish().unwrap_err(), Error::unknown_parameter(name));
        }
    }

    #[test]
    fn a_tag_without_a_value_is_not_one_with_an_empty_one() {
        let params = params(&[("Tag.1.Key", "a"), ("Tag.2.Key", "b"), ("Tag.2.Value", "")]);
        let request = Request::of(&params).unwrap();
        let want = [("a".to_owned(), None), ("b".to_owned(), Some(String::new()))];
        assert_eq!(request.tags("Tag").unwrap(), want);
        request.finish().unwrap();
    }

    #[test]
    fn a_token_stands_for_all_but_itself_and_dry_runs() {
        let digest = |pairs: &[(&str, &str)]| Request::of(&params(pairs)).unwrap().digest();
        let plain = digest(&[("A", "1"), ("B", "2")]);
        assert_eq!(plain, digest(&[("B", "2"), ("A", "1"), ("ClientToken", "t")]));
        assert_eq!(plain, digest(&[("B", "2"), ("A", "1"), ("DryRun", "false")]));
        assert_ne!(plain, digest(&[("A", "1"), ("B", "3")]));
        assert_ne!(plain, digest(&[("A", "1B"), ("", "2")]));
    }

    #[test]
    fn wrong_values_are_told_with_their_place() {
        let params = params(&[("N", "0x10"), ("M", "70000"), ("B", "yes"), ("T", "a\u{0}")]);
        let request = Request::of(&params).unwrap();
        let message = |error: Error| error.answer(Dialect::Ec2, "r").body;
        let found = message(request.integer("N", &(1..=9u16)).unwrap_err());
        assert!(found.contains("Value (0x10) for parameter N is invalid. Give a whole"), "{found}");
        assert!(message(request.integer("M", &(1..=9u16)).unwrap_err()).contains("from 1 to 9"));
        assert!(message(request.boolean("B").unwrap_err()).contains("Give true or false"));
        assert!(message(request.text("T").unwrap_err()).contains("XML can't hold"));
    }

    #[test]
    fn a_parameter_that_is_there_twice_is_refused() {
        let params = params(&[("A", "1"), ("A", "1")]);
        assert_eq!(Request::of(&params).unwrap_err().code(), "MalformedQueryString");
    }
}
