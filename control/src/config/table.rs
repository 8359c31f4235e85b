//! One table of the appliance file, read key by key; what nobody asked for is unknown.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use crate::document::{Node, Value};
use crate::fault::{FaultSink, did_you_mean, either, quoted};

/// A table and what has been asked of it. Each reader notes a fault and returns `None` when the
/// value is of the wrong kind; a key that is absent is `None` without a fault unless required.
pub(crate) struct Table<'n> {
    /// What the table describes, as messages name it: `port "tool"`, `[vxlan]`.
    pub(crate) subject: String,
    /// Line of its header.
    pub(crate) line: u32,
    node: Option<&'n Node>,
    asked: RefCell<Vec<&'static str>>,
    sink: &'n FaultSink,
}

/// A value, and the line to name when something is wrong with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed<T> {
    pub(crate) line: u32,
    pub(crate) value: T,
}

impl<'n> Table<'n> {
    /// Begins to read a node that should be a table.
    pub(crate) fn new(node: &'n Node, subject: impl Into<String>, sink: &'n FaultSink) -> Self {
        let subject = subject.into();
        let mut table =
            Self { line: node.line, node: Some(node), subject, asked: RefCell::default(), sink };
        if !matches!(node.value, Value::Map(_)) {
            table.fault(node.line, format!("expected a table, found {}", node.describe()));
            table.node = None;
        }
        table
    }

    /// Notes a fault of this table's subject.
    pub(crate) fn fault(&self, line: u32, message: impl Display) {
        self.sink.add(line, format!("{}: {message}", self.subject));
    }

    /// The line of a key, or of the table when the key is absent.
    pub(crate) fn line_of(&self, key: &str) -> u32 {
        self.node.and_then(|node| node.entry(key)).map_or(self.line, |entry| entry.line)
    }

    fn ask(&self, key: &'static str) -> Option<&'n Node> {
        self.asked.borrow_mut().push(key);
        self.node.and_then(|node| node.entry(key)).map(|entry| &entry.node)
    }

    fn wrong<T>(&self, key: &str, node: &Node, want: &str) -> Option<T> {
        self.fault(node.line, format!("{key} must be {want}, not {}", node.describe()));
        None
    }

    /// True when the key is there, whatever its value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.node.is_some_and(|node| node.entry(key).is_some())
    }

    /// Number of items written under a key: 1 for a single value, 0 when it is absent.
    pub(crate) fn count(&self, key: &str) -> usize {
        match self.node.and_then(|node| node.entry(key)).map(|entry| &entry.node.value) {
            None => 0,
            Some(Value::List(items)) => items.len(),
            Some(_) => 1,
        }
    }

    /// Keys that are known but of no use here.
    pub(crate) fn ignore(&self, keys: &[&'static str]) {
        self.asked.borrow_mut().extend(keys);
    }

    /// Text, not empty.
    pub(crate) fn text(&self, key: &'static str) -> Option<Placed<&'n str>> {
        let node = self.ask(key)?;
        self.text_of(key, node)
    }

    fn text_of(&self, key: &str, node: &'n Node) -> Option<Placed<&'n str>> {
        match &node.value {
            Value::Text(text) if text.is_empty() => {
                self.fault(node.line, format!("{key} is empty; write a value"));
                None
            }
            Value::Text(text) => Some(Placed { line: node.line, value: text }),
            _ => self.wrong(key, node, "text in quotes"),
        }
    }

    /// Text, not empty, that has to be there.
    pub(crate) fn required_text(&self, key: &'static str) -> Option<Placed<&'n str>> {
        if !self.has(key) && self.node.is_some() {
            self.fault(self.line, format!("{key} is missing; add {key} = \"…\""));
        }
        self.text(key)
    }

    /// Text that no message may hold. `None` without a fault also when it is of another kind.
    pub(crate) fn unquoted(&self, key: &'static str) -> Option<&'n str> {
        match &self.ask(key)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number within a range.
    pub(crate) fn integer<T>(
        &self,
        key: &'static str,
        range: &RangeInclusive<T>,
    ) -> Option<Placed<T>>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let node = self.ask(key)?;
        self.integer_of(key, node, range)
    }

    fn integer_of<T>(&self, key: &str, node: &Node, range: &RangeInclusive<T>) -> Option<Placed<T>>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let (start, end) = (range.start(), range.end());
        let Value::Int(number, spelling) = &node.value else {
            return self.wrong(key, node, &format!("a whole number from {start} to {end}"));
        };
        match T::try_from(*number) {
            Ok(value) if range.contains(&value) => Some(Placed { line: node.line, value }),
            _ => {
                let limit = if *number < 0 || T::try_from(*number).is_ok_and(|low| low < *start) {
                    format!("below {start}")
                } else {
                    format!("above {end}")
                };
                let message =
                    format!("{key} {spelling} is {limit}; write a value from {start} to {end}");
                self.fault(node.line, message);
                None
            }
        }
    }

    /// A time in seconds, whole or with decimals, within a range.
    pub(crate) fn seconds(
        &self,
        key: &'static str,
        range: &RangeInclusive<f64>,
    ) -> Option<Placed<Duration>> {
        let node = self.ask(key)?;
        let (start, end) = (range.start(), range.end());
        let (Value::Int(_, spelling) | Value::Float(spelling)) = &node.value else {
            return self.wrong(key, node, &format!("a number of seconds from {start} to {end}"));
        };
        // No number is within the range either.
        let seconds = spelling.replace('_', "").parse().unwrap_or(f64::NAN);
        if range.contains(&seconds) {
            return Some(Placed { line: node.line, value: Duration::from_secs_f64(seconds) });
        }
        let message = format!(
            "{key} {spelling} is not from {start} to {end} seconds; write a value in this range"
        );
        self.fault(node.line, message);
        None
    }

    /// A list of whole numbers within a range.
    pub(crate) fn integers<T>(
        &self,
        key: &'static str,
        range: &RangeInclusive<T>,
    ) -> Option<Vec<Placed<T>>>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let node = self.ask(key)?;
        let Value::List(items) = &node.value else {
            return self.wrong(key, node, "a list of whole numbers, like [1, 2]");
        };
        Some(items.iter().filter_map(|item| self.integer_of(key, item, range)).collect())
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, key: &'static str) -> Option<bool> {
        let node = self.ask(key)?;
        match node.value {
            Value::Bool(yes) => Some(yes),
            _ => self.wrong(key, node, "true or false without quotes"),
        }
    }

    /// One of some words, each with its meaning.
    pub(crate) fn choice<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let Placed { line, value } = self.text(key)?;
        if let Some(&(_, meaning)) = words.iter().find(|(word, _)| *word == value) {
            return Some(meaning);
        }
        let known: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let hint = did_you_mean(value, words.iter().map(|(word, _)| *word));
        let message = format!("{key} is {}; write {}{hint}", quoted(value), either(&known));
        self.fault(line, message);
        None
    }

    /// Text of some form of its own: an address, a MAC.
    pub(crate) fn parsed<T: FromStr>(&self, key: &'static str, form: &str) -> Option<Placed<T>> {
        let text = self.text(key)?;
        self.parse(key, text, form)
    }

    fn parse<T: FromStr>(&self, key: &str, text: Placed<&str>, form: &str) -> Option<Placed<T>> {
        let Ok(value) = text.value.parse() else {
            let message = format!("{key} {} is not {form}", quoted(text.value));
            self.fault(text.line, message);
            return None;
        };
        Some(Placed { line: text.line, value })
    }

    /// A list of texts. A single text stands for a list of one.
    pub(crate) fn texts(&self, key: &'static str) -> Option<Vec<Placed<&'n str>>> {
        let node = self.ask(key)?;
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            Value::Text(_) => std::slice::from_ref(node),
            _ => return self.wrong(key, node, "a list of texts, like [\"…\"]"),
        };
        Some(items.iter().filter_map(|item| self.text_of(key, item)).collect())
    }

    /// A list of texts of some form of their own.
    pub(crate) fn parsed_list<T: FromStr>(
        &self,
        key: &'static str,
        form: &str,
    ) -> Option<Vec<Placed<T>>> {
        let texts = self.texts(key)?.into_iter();
        Some(texts.filter_map(|text| self.parse(key, text, form)).collect())
    }

    /// The table under a key; an empty one when it is absent.
    pub(crate) fn table(&self, key: &'static str) -> Table<'n> {
        let subject = format!("[{key}]");
        match self.ask(key) {
            Some(node) => Table::new(node, subject, self.sink),
            None => {
                Table { subject, line: 0, node: None, asked: RefCell::default(), sink: self.sink }
            }
        }
    }

    /// The table under a key that belongs to this one and bears its name; `None` when it is absent.
    pub(crate) fn part(&self, key: &'static str) -> Option<Table<'n>> {
        let node = self.ask(key)?;
        Some(Table::new(node, format!("{} {key}", self.subject), self.sink))
    }

    /// The tables of a list, named `what[n]` from 1 until something better is known.
    pub(crate) fn tables(&self, key: &'static str, what: &str) -> Option<Vec<Table<'n>>> {
        let node = self.ask(key)?;
        let Value::List(items) = &node.value else {
            return self.wrong(key, node, &format!("a list of tables: write [[{key}]]"));
        };
        let numbered = items.iter().zip(1..);
        Some(
            numbered
                .map(|(item, at)| Table::new(item, format!("{what}[{at}]"), self.sink))
                .collect(),
        )
    }

    /// Notes every key that was never asked for.
    pub(crate) fn finish(self) {
        let Some(Node { value: Value::Map(entries), .. }) = self.node else {
            return;
        };
        let asked = self.asked.borrow();
        for entry in entries.iter().filter(|entry| !asked.contains(&entry.key.as_str())) {
            let hint = did_you_mean(&entry.key, asked.iter().copied());
            let message = format!("unknown key {}; remove it{hint}", quoted(&entry.key));
            self.fault(entry.line, message);
        }
    }
}
