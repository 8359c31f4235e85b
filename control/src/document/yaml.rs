//! YAML into the common tree: tags and lines kept, anchors and merge keys resolved.
//!
//! Built on the parser's events, not on a ready-made tree, because a tree without limits lets a
//! page of aliases grow to gigabytes.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::{DEPTH_MAX, Entry, Node, Value};
use crate::fault::{FaultSink, quoted};

/// The most nodes that aliases may add to those of the text.
const ALIASED_NODES_MAX: usize = 100_000;

/// Reads a whole file of one document. `None` when nothing stands in it or a fault that was noted
/// in `sink` left nothing to go on with.
pub fn read(text: &str, sink: &FaultSink) -> Option<Node> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        aliased_nodes: 0,
        sink,
    };
    match reader.document() {
        Ok(node) => node,
        Err(Stop(line, why)) => {
            sink.add(line, why);
            None
        }
    }
}

/// Why reading can't go on: a line and a sentence.
struct Stop(u32, String);

impl From<ScanError> for Stop {
    fn from(error: ScanError) -> Self {
        let line = u32::try_from(error.marker().line()).unwrap_or(u32::MAX);
        Self(line, format!("this is not YAML: {}; correct it", error.info()))
    }
}

struct Reader<'t, 's> {
    parser: Parser<'t, StrInput<'t>>,
    /// Finished nodes by anchor, with the number of nodes in each.
    anchors: HashMap<usize, (Node, usize)>,
    aliased_nodes: usize,
    sink: &'s FaultSink,
}

impl<'t> Reader<'t, '_> {
    fn next(&mut self) -> Result<(Event<'t>, u32), Stop> {
        match self.parser.next_event() {
            Some(event) => {
                let (event, span) = event?;
                Ok((event, line_of(span)))
            }
            None => Ok((Event::StreamEnd, 0)),
        }
    }

    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(root),
                (
                    Event::Nothing
                    | Event::StreamStart
                    | Event::DocumentStart(_)
                    | Event::DocumentEnd,
                    _,
                ) => {}
                (_, line) if root.is_some() => {
                    return Err(Stop(line, "a second YAML document begins; keep one".into()));
                }
                (event, line) => root = Some(self.node(event, line, 0)?),
            }
        }
    }

    /// The node that begins with `event`, to its end.
    fn node(&mut self, event: Event<'t>, line: u32, depth: usize) -> Result<Node, Stop> {
        if depth > DEPTH_MAX {
            return Err(Stop(line, format!("nested deeper than {DEPTH_MAX} levels; flatten it")));
        }
        let (value, anchor, tag) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (scalar(&text, style, tag.as_deref()), anchor, tag)
            }
            Event::SequenceStart(anchor, tag) => (self.list(depth)?, anchor, tag),
            Event::MappingStart(anchor, tag) => (self.map(depth)?, anchor, tag),
            Event::Alias(anchor) => return self.alias(anchor, line),
            _ => return Err(Stop(line, "this is not YAML: a value is missing; add it".into())),
        };
        let tag = tag.filter(|tag| !tag.is_yaml_core_schema() && !tag.suffix.is_empty());
        let node = Node { line, tag: tag.map(|tag| tag.suffix.clone()), value };
        if anchor > 0 {
            let size = size(&node);
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, line: u32) -> Result<Node, Stop> {
        let Some((node, size)) = self.anchors.get(&anchor) else {
            return Err(Stop(line, "an alias stands inside its own anchor; write it out".into()));
        };
        self.aliased_nodes += size;
        if self.aliased_nodes > ALIASED_NODES_MAX {
            let why = format!("aliases add more than {ALIASED_NODES_MAX} values; write fewer");
            return Err(Stop(line, why));
        }
        Ok(Node { line, ..node.clone() })
    }

    fn list(&mut self, depth: usize) -> Result<Value, Stop> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, line) => items.push(self.node(event, line, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut keys: HashSet<String> = HashSet::new();
        let mut merged: Vec<Node> = Vec::new();
        loop {
            let (event, line) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let is_merge =
                matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.node(event, line, depth + 1)?;
            let (event, value_line) = self.next()?;
            let node = self.node(event, value_line, depth + 1)?;
            if is_merge {
                merged.push(node);
                continue;
            }
            let Some(key) = key.scalar().filter(|_| key.tag.is_none()) else {
                self.sink.add(line, "a key must be plain text; write it so");
                continue;
            };
            let key = key.into_owned();
            if keys.insert(key.clone()) {
                entries.push(Entry { key, line, node });
            } else {
                let twice = format!("the key {} is here twice; remove one", quoted(&key));
                self.sink.add(line, twice);
            }
        }
        for node in merged {
            self.merge(node, &mut entries, &mut keys);
        }
        Ok(Value::Map(entries))
    }

    /// `<<: *base` or `<<: [*a, *b]`: what the map does not say itself, the first that says it.
    fn merge(&self, from: Node, entries: &mut Vec<Entry>, keys: &mut HashSet<String>) {
        match from.value {
            Value::Map(more) => {
                entries.extend(more.into_iter().filter(|entry| keys.insert(entry.key.clone())));
            }
            Value::List(maps) if maps.iter().all(|map| matches!(map.value, Value::Map(_))) => {
                for map in maps {
                    self.merge(map, entries, keys);
                }
            }
            _ => self.sink.add(from.line, "`<<` merges tables only; give it an alias of one"),
        }
    }
}

fn line_of(span: Span) -> u32 {
    u32::try_from(span.start.line()).unwrap_or(u32::MAX)
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|entry| 1 + size(&entry.node)).sum(),
        _ => 0,
    }
}

/// What a scalar means by YAML's core schema; quoted and tagged text is text.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let is_text = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
    if is_text || style != ScalarStyle::Plain {
        return Value::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let is_all = |digits: &str, radix| {
        !digits.is_empty() && digits.chars().all(|digit: char| digit.is_digit(radix))
    };
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix).filter(|digits| is_all(digits, radix)) {
            return Value::int(digits, radix, text);
        }
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if is_all(unsigned, 10) {
        return Value::int(text, 10, text);
    }
    let numeric = unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    if numeric && text.parse::<f64>().is_ok() {
        return Value::Float(text.to_owned());
    }
    Value::Text(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(text: &str) -> Node {
        let sink = FaultSink::new("f");
        let node = read(text, &sink);
        assert_eq!(sink.into_faults(), []);
        node.unwrap()
    }

    fn faults(text: &str) -> Vec<String> {
        let sink = FaultSink::new("f");
        read(text, &sink);
        sink.into_faults().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn tags_and_lines_are_kept() {
        let root = clean("a: !Ref X\nb:\n  - !GetAtt Y.Id\n  - !!str 12\n");
        let a = root.entry("a").unwrap();
        assert_eq!((a.node.tag.as_deref(), a.node.line), (Some("Ref"), 1));
        let Value::List(items) = &root.entry("b").unwrap().node.value else { panic!("no list") };
        assert_eq!((items[0].tag.as_deref(), items[0].line), (Some("GetAtt"), 3));
        assert_eq!((items[1].tag.as_deref(), &items[1].value), (None, &Value::Text("12".into())));
    }

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        for (text, value) in [
            ("12", Value::Int(12, "12".into())),
            ("-1", Value::Int(-1, "-1".into())),
            ("0x10", Value::Int(16, "0x10".into())),
            ("1.5", Value::Float("1.5".into())),
            ("'12'", Value::Text("12".into())),
            ("0.0.0.0/0", Value::Text("0.0.0.0/0".into())),
            ("2010-09-09", Value::Text("2010-09-09".into())),
            ("::/0", Value::Text("::/0".into())),
            ("~", Value::Null),
            ("99999999999999999999", Value::Int(i64::MAX, "99999999999999999999".into())),
        ] {
            assert_eq!(clean(text).value, value, "{text}");
        }
    }

    #[test]
    fn merge_keys_fill_in_what_is_not_said() {
        let root = clean("base: &b {x: 1, y: 2}\nuse:\n  y: 3\n  <<: *b\n");
        let used = &root.entry("use").unwrap().node;
        assert!(matches!(used.entry("x").unwrap().node.value, Value::Int(1, _)));
        assert!(matches!(used.entry("y").unwrap().node.value, Value::Int(3, _)));
    }

    #[test]
    fn an_alias_bomb_is_a_fault() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..30 {
            let before = format!("*a{}, ", level - 1).repeat(10);
            text = format!("{text}a{level}: &a{level} [{before}]\n");
        }
        assert!(faults(&text)[0].contains("aliases add more than"));
    }

    #[test]
    fn hostile_shapes_are_faults() {
        assert!(faults("a: 1\na: 2")[0].contains("f:2: the key \"a\" is here twice"));
        assert!(faults("a: &x [*x]")[0].contains("inside its own anchor"));
        assert!(faults("? [a]\n: 1")[0].contains("a key must be plain text"));
        assert!(faults("--- a\n--- b")[0].contains("second YAML document"));
        assert!(faults("a: *nowhere")[0].contains("not YAML"));
        assert!(faults("<<: 3")[0].contains("merges tables only"));
        for deep in ["[", "- ", "{a: ", "? "] {
            assert!(!faults(&deep.repeat(100_000)).is_empty(), "{deep}");
        }
    }
}
