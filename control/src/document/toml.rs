//! TOML into the common tree. What can't be read is noted, and reading goes on behind it.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Entry, Lines, Node, Value};
use crate::fault::FaultSink;

/// Reads a whole file. Each fault of its syntax is noted in `sink`; the tree has the rest. The
/// lines that hold such a fault are returned too: what stands there is not what was meant.
pub fn read(text: &str, sink: &FaultSink) -> (Node, Vec<u32>) {
    let lines = Lines::of(text);
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut damaged = Vec::new();
    for error in errors {
        let line = error.span().map_or(0, |span| lines.at(span.start));
        // One slip can upset the parser several times in the same line: the first says most.
        if !damaged.contains(&line) {
            damaged.push(line);
            sink.add(line, format!("this is not TOML: {}; correct it", error.message()));
        }
    }
    (Node { line: 1, tag: None, value: table(root.get_ref(), &lines) }, damaged)
}

fn node(value: &Spanned<DeValue<'_>>, lines: &Lines) -> Node {
    let line = lines.at(value.span().start);
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(digits) => {
            Value::int(digits.as_str(), digits.radix(), &digits.to_string())
        }
        DeValue::Float(digits) => Value::Float(digits.as_str().to_owned()),
        DeValue::Boolean(yes) => Value::Bool(*yes),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(items) => Value::List(items.iter().map(|item| node(item, lines)).collect()),
        DeValue::Table(entries) => table(entries, lines),
    };
    Node { line, tag: None, value }
}

fn table(entries: &DeTable<'_>, lines: &Lines) -> Value {
    let entry =
        |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| Entry {
            key: key.get_ref().clone().into_owned(),
            line: lines.at(key.span().start),
            node: node(value, lines),
        };
    Value::Map(entries.iter().map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slip_is_noted_and_the_rest_is_read() {
        let sink = FaultSink::new("f");
        let (root, damaged) = read("a = 1\nb = \nc = 'x' y\na = 2\nd = 0x10\n", &sink);
        assert_eq!(damaged.len(), 3);
        let lines: Vec<_> = sink.into_faults().into_iter().map(|fault| fault.line).collect();
        assert_eq!(lines, [Some(2), Some(3), Some(4)]);
        assert_eq!(root.entry("d").map(|entry| entry.node.line), Some(5));
        assert!(matches!(root.entry("d").unwrap().node.value, Value::Int(16, _)));
    }

    #[test]
    fn numbers_beyond_64_bits_are_held_at_the_end_of_the_range() {
        let sink = FaultSink::new("f");
        let (root, _) = read("a = 99999999999999999999\nb = -99999999999999999999", &sink);
        assert!(matches!(root.entry("a").unwrap().node.value, Value::Int(i64::MAX, _)));
        assert!(matches!(root.entry("b").unwrap().node.value, Value::Int(i64::MIN, _)));
    }

    #[test]
    fn bottomless_nesting_is_a_fault() {
        for text in
            [format!("a = {}", "[".repeat(100_000)), format!("{}b = 1", "a.".repeat(100_000))]
        {
            let sink = FaultSink::new("f");
            read(&text, &sink);
            assert!(!sink.is_empty());
        }
    }
}
