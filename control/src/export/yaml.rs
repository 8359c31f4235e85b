//! A tree as YAML that every reader takes the same way: YAML 1.1 as CloudFormation and cfn-lint
//! read it, and 1.2 as we do. Text that one of them might take for something else is quoted.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// Words that are no text when they are not quoted, in any letter case (YAML 1.1, types bool and
/// null; floats begin with a digit or a sign).
const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

/// Writes a whole document.
pub(super) fn write(root: &Value) -> String {
    let mut text = String::new();
    value(root, 0, &mut text);
    text
}

/// Writes a value behind a key or a dash, its own lines below it.
fn value(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(entries) => match reference(entries) {
            Some(name) => put(out, &format!(" !Ref {}\n", scalar(name))),
            None if entries.is_empty() => out.push_str(" {}\n"),
            None => {
                if indent > 0 {
                    out.push('\n');
                }
                map(entries, indent, out);
            }
        },
        Value::Array(items) if items.is_empty() => out.push_str(" []\n"),
        Value::Array(items) => {
            out.push('\n');
            for item in items {
                put(out, &format!("{:indent$}-", ""));
                in_list(item, indent + 2, out);
            }
        }
        Value::String(text) => put(out, &format!(" {}\n", scalar(text))),
        Value::Null | Value::Bool(_) | Value::Number(_) => put(out, &format!(" {value}\n")),
    }
}

/// Memory takes everything.
fn put(out: &mut String, text: &str) {
    let _ = out.write_str(text);
}

/// Writes an item behind its dash: the first key of a table stands in the same line.
fn in_list(item: &Value, indent: usize, out: &mut String) {
    match item {
        Value::Object(entries) if reference(entries).is_none() && !entries.is_empty() => {
            let mut table = String::new();
            map(entries, indent, &mut table);
            put(out, &format!(" {}", table.trim_start()));
        }
        _ => value(item, indent, out),
    }
}

fn map(entries: &Map<String, Value>, indent: usize, out: &mut String) {
    for (key, of) in entries {
        put(out, &format!("{:indent$}{}:", "", scalar(key)));
        value(of, indent + 2, out);
    }
}

/// The name in `{"Ref": name}`.
fn reference(entries: &Map<String, Value>) -> Option<&str> {
    let mut entries = entries.iter();
    match (entries.next(), entries.next()) {
        (Some((key, Value::String(name))), None) if key == "Ref" => Some(name),
        _ => None,
    }
}

/// Text, plain where that can't be misread.
fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

fn is_plain(text: &str) -> bool {
    let is_word = WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    let begins = text.starts_with(|first: char| first.is_ascii_alphabetic()) && !is_word;
    let is_near = |letter: char| letter.is_ascii_alphanumeric() || " _./:-".contains(letter);
    // A colon with a space behind it, or at the end, makes a key.
    let is_text = text.chars().all(is_near) && !text.contains(": ") && !text.ends_with([':', ' ']);
    begins && is_text || is_cidr(text)
}

/// `10.0.0.0/8`: no number, as it has a slash.
fn is_cidr(text: &str) -> bool {
    text.parse::<ipnet::Ipv4Net>().is_ok()
}

/// Text in double quotes, in which everything can be said.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            // Printable for YAML 1.1, and no line break or byte order mark to anybody.
            ' '..='~'
            | '\u{a0}'..='\u{2027}'
            | '\u{202a}'..='\u{d7ff}'
            | '\u{e000}'..='\u{fefe}'
            | '\u{ff00}'..='\u{fffd}'
            | '\u{10000}'.. => quoted.push(letter),
            _ => put(&mut quoted, &format!("\\u{:04X}", u32::from(letter))),
        }
    }
    quoted.push('"');
    quoted
}
