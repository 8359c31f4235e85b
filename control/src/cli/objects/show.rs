//! One object with all that belongs to it, as a sheet: names to the left, values to the right.

use std::fmt::Write as _;

use super::desk::Desk;
use super::form::Form;
use super::names::name_of;
use super::rows::{self, cell};
use crate::cli::Failure;
use crate::client::{Element, Noun};
use crate::fault::printable;
use crate::model::Kind;

/// Sessions that are told by their ids; of more, how many there are.
const SESSIONS_TOLD: usize = 8;

/// A sheet on its way.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    lines: Vec<(&'static str, String)>,
    parts: String,
}

impl Sheet {
    /// A sheet that begins with an object's kind, id and name.
    pub(super) fn of(noun: &Noun, object: &Element) -> Self {
        let sheet = Self::default();
        sheet.line("id", noun.id_of(object)).line("name", &rows::name(object))
    }

    pub(super) fn line(mut self, key: &'static str, value: &str) -> Self {
        self.lines.push((key, value.to_owned()));
        self
    }

    /// The value of an element.
    pub(super) fn value(self, key: &'static str, object: &Element, element: &str) -> Self {
        let text = cell(object, element);
        self.line(key, &text)
    }

    /// Description and tags.
    pub(super) fn notes(self, object: &Element) -> Self {
        let tag = |tag: &Element| {
            let of = |name| tag.text_of(name).unwrap_or_default();
            format!("{}={}", of("key"), of("value"))
        };
        let tags: Vec<String> = object.items("tagSet").map(tag).collect();
        let tags = if tags.is_empty() { "-".to_owned() } else { tags.join(", ") };
        self.value("description", object, "description").line("tags", &tags)
    }

    /// A table below.
    pub(super) fn part(
        mut self,
        title: &str,
        headings: &[&str],
        rows: impl IntoIterator<Item = Vec<String>>,
    ) -> Self {
        // Memory takes everything.
        let _ = write!(self.parts, "\n{title}\n{}", rows::text(headings, rows));
        self
    }

    /// A sentence below.
    pub(super) fn remark(mut self, text: &str) -> Self {
        let _ = write!(self.parts, "\n{text}\n");
        self
    }

    /// All of it.
    pub(super) fn text(&self) -> String {
        let width = self.lines.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
        let line = |(key, value): &(&str, String)| format!("{key:width$}  {}\n", printable(value));
        self.lines.iter().map(line).collect::<String>() + &self.parts
    }
}

impl Desk {
    /// An object that another names, in brief: its id, its name and `more` of it.
    pub(super) fn brief(
        &mut self,
        kind: Kind,
        id: &str,
        more: impl FnOnce(&Element) -> String,
    ) -> Result<String, Failure> {
        let Some(object) = self.seen(kind, id)? else { return Ok(id.to_owned()) };
        let name = name_of(&object).map(|name| format!(" {name}")).unwrap_or_default();
        Ok(format!("{id}{name}, {}", more(&object)))
    }

    /// The sessions that name an object, in brief.
    pub(super) fn sessions_of(&mut self, id: &str) -> Result<String, Failure> {
        let form = Form::default()
            .with("Filter.1.Name", format!("{}-id", self.noun.resource))
            .with("Filter.1.Value.1", super::words::literal(id));
        let found = self.describe(Kind::Session, &form)?;
        let noun = Noun::of(Kind::Session);
        let told: Vec<&str> = found.iter().map(|session| noun.id_of(session)).collect();
        Ok(match told.len() {
            0 => "-".to_owned(),
            1..=SESSIONS_TOLD => told.join(", "),
            count => format!("{count}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_has_its_values_in_a_column_and_its_tables_below() {
        let xml = "<item><trafficMirrorTargetId>tmt-1</trafficMirrorTargetId><tagSet><item>\
            <key>Name</key><value>ids</value></item><item><key>k</key><value/></item></tagSet>\
            </item>";
        let object = Element::parse(xml).unwrap();
        let sheet = Sheet::of(Noun::of(Kind::Target), &object).notes(&object);
        let sheet = sheet.part("parts", &["A"], [vec!["1".to_owned()]]);
        let want = "id           tmt-1\nname         ids\ndescription  -\ntags         \
                    Name=ids, k=\n\nparts\nA\n1\n";
        assert_eq!(sheet.text(), want);
    }
}
