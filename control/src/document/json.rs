//! JSON into the common tree.

use jsonc_parser::ast::{self, ObjectPropName};
use jsonc_parser::common::Ranged;
use jsonc_parser::errors::ParseError;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::{DEPTH_MAX, Entry, Lines, Node, Value};
use crate::fault::{FaultSink, quoted};

/// RFC 8259 and nothing that is only like it.
const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// A text that is not JSON: where, and why.
#[derive(Debug)]
pub struct NotJson(ParseError);

impl NotJson {
    /// Notes it as a fault of the file.
    pub fn note(&self, sink: &FaultSink) {
        let line = u32::try_from(self.0.line_display()).unwrap_or(0);
        sink.add(line, format!("this is not JSON: {}; correct it", self.0.kind()));
    }
}

/// Reads a whole file. `None` when nothing stands in it. Faults that leave the rest readable
/// (a key that is there twice) are noted in `sink`. Errors: [`NotJson`] for the first syntax error.
pub fn read(text: &str, sink: &FaultSink) -> Result<Option<Node>, NotJson> {
    let parsed = parse_to_ast(text, &CollectOptions::default(), &STRICT).map_err(NotJson)?;
    let lines = Lines::of(text);
    Ok(parsed.value.and_then(|value| node(&value, &lines, sink, 0)))
}

fn node(value: &ast::Value<'_>, lines: &Lines, sink: &FaultSink, depth: usize) -> Option<Node> {
    let line = lines.at(value.start());
    if depth > DEPTH_MAX {
        sink.add(line, format!("nested deeper than {DEPTH_MAX} levels; flatten it"));
        return None;
    }
    let value = match value {
        ast::Value::StringLit(text) => Value::Text(text.value.clone().into_owned()),
        ast::Value::NumberLit(number) if number.value.contains(['.', 'e', 'E']) => {
            Value::Float(number.value.to_owned())
        }
        ast::Value::NumberLit(number) => Value::int(number.value, 10, number.value),
        ast::Value::BooleanLit(yes) => Value::Bool(yes.value),
        ast::Value::NullKeyword(_) => Value::Null,
        ast::Value::Array(array) => {
            let items = array.elements.iter();
            Value::List(items.filter_map(|item| node(item, lines, sink, depth + 1)).collect())
        }
        ast::Value::Object(object) => object_value(object, lines, sink, depth),
    };
    Some(Node { line, tag: None, value })
}

fn object_value(object: &ast::Object<'_>, lines: &Lines, sink: &FaultSink, depth: usize) -> Value {
    let mut keys = std::collections::HashSet::new();
    let mut entries = Vec::with_capacity(object.properties.len());
    for property in &object.properties {
        let line = lines.at(property.start());
        let key = match &property.name {
            ObjectPropName::String(text) => text.value.as_ref(),
            ObjectPropName::Word(word) => word.value,
        };
        if !keys.insert(key) {
            sink.add(line, format!("the key {} is here twice; remove one", quoted(key)));
            continue;
        }
        if let Some(node) = node(&property.value, lines, sink, depth + 1) {
            entries.push(Entry { key: key.to_owned(), line, node });
        }
    }
    Value::Map(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_order_and_their_lines() {
        let sink = FaultSink::new("f");
        let root = read("{\n \"b\": 1,\n \"a\": [true, null, 1.5]}", &sink).unwrap().unwrap();
        let Value::Map(entries) = &root.value else { panic!("no map") };
        let found: Vec<_> = entries.iter().map(|entry| (entry.key.as_str(), entry.line)).collect();
        assert_eq!(found, [("b", 2), ("a", 3)]);
        assert!(sink.is_empty());
    }

    #[test]
    fn a_key_that_is_there_twice_is_a_fault() {
        let sink = FaultSink::new("f");
        read("{\"a\": 1,\n\"a\": 2}", &sink).unwrap();
        assert_eq!(
            sink.into_faults()[0].to_string(),
            "f:2: the key \"a\" is here twice; remove one"
        );
    }

    #[test]
    fn what_is_only_like_json_is_refused() {
        for text in ["{a: 1}", "{\"a\": 1,}", "{'a': 1}", "[1 2]", "[0x10]", "[1] // no", "[+1]"] {
            assert!(read(text, &FaultSink::new("f")).is_err(), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_a_fault() {
        let sink = FaultSink::new("f");
        let text = format!("{}{}", "[".repeat(100), "]".repeat(100));
        read(&text, &sink).unwrap();
        assert!(!sink.is_empty());
        assert!(read(&"[".repeat(1_000_000), &sink).is_err());
    }
}
