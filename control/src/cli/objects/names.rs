//! Which object a person means: by its id, or by a tag `Name` that only one has.

use anyhow::anyhow;

use super::desk::Desk;
use super::form::Form;
use super::words::literal;
use crate::cli::Failure;
use crate::client::{Element, Noun};
use crate::fault::quoted;
use crate::model::Kind;

/// Hexadecimal digits behind an id's prefix.
const ID_DIGITS: usize = 17;
/// Ids that a message lists.
const TOLD_MAX: usize = 10;

/// The id behind a name. What has an id's form is one; else an object with this id, as those of a
/// template may have any, comes before one with this name.
pub(super) fn resolve(desk: &mut Desk, kind: Kind, name: &str) -> Result<String, Failure> {
    if is_id(kind, name) {
        return Ok(name.to_owned());
    }
    let noun = Noun::of(kind);
    for condition in [format!("{}-id", noun.resource), "tag:Name".to_owned()] {
        let form = Form::default()
            .with("Filter.1.Name", condition)
            .with("Filter.1.Value.1", literal(name));
        let found = desk.describe(kind, &form)?;
        let ids: Vec<&str> = found.iter().map(|object| noun.id_of(object)).collect();
        match ids.as_slice() {
            [] => {}
            [only] => return Ok((*only).to_owned()),
            several => {
                let told = several.iter().take(TOLD_MAX).copied().collect::<Vec<_>>().join(", ");
                let more = if several.len() > TOLD_MAX { ", …" } else { "" };
                return Err(anyhow!(
                    "{} {kind}s have the name {}: {told}{more}; give the id of the one that is \
                     meant",
                    several.len(),
                    quoted(name)
                )
                .into());
            }
        }
    }
    Err(anyhow!(
        "there is no {kind} with the id or the name {}; `linetap {} list` shows those that there \
         are",
        quoted(name),
        command(kind)
    )
    .into())
}

fn is_id(kind: Kind, name: &str) -> bool {
    let digits = name.strip_prefix(kind.prefix());
    digits.is_some_and(|digits| {
        digits.len() == ID_DIGITS
            && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// The command for a kind.
fn command(kind: Kind) -> &'static str {
    match kind {
        Kind::Filter => "filter",
        Kind::Rule => "rule",
        Kind::Target => "target",
        Kind::Session => "session",
    }
}

/// The name of an object, if it has one.
pub(super) fn name_of(object: &Element) -> Option<&str> {
    let mut tags = object.items("tagSet");
    tags.find(|tag| tag.text_of("key") == Some("Name")).and_then(|tag| tag.text_of("value"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_ids_are_ids() {
        assert!(is_id(Kind::Filter, "tmf-0123456789abcdef0"));
        for other in ["tmf-0123456789abcdef", "tmf-0123456789abcdefg", "tmfr-0123456789abcdef0", ""]
        {
            assert!(!is_id(Kind::Filter, other), "{other}");
        }
        assert!(is_id(Kind::Rule, "tmfr-0123456789abcdef0"));
    }
}
