//! What is wrong with a file that a person wrote: where, what, and what to write instead.
//!
//! Reading never stops at the first fault. Readers note each one in a [`FaultSink`] and go on with
//! a stand-in value, so that one run tells everything that has to be mended.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use thiserror::Error;

/// One thing that is wrong, in a sentence that ends with its remedy.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fault {
    /// The file as the user named it; empty when no file is at fault.
    pub file: String,
    /// Line in it, from 1; absent when the whole file is meant.
    pub line: Option<u32>,
    /// What is wrong with what, and the remedy.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.as_str(), self.line) {
            ("", _) => {}
            (file, Some(line)) => write!(f, "{file}:{line}: ")?,
            (file, None) => write!(f, "{file}: ")?,
        }
        write!(f, "{}", printable(&self.message))
    }
}

/// Everything that is wrong, a line each, in the order of files and lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Error)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// Faults of the command line, or of no file in particular; each sentence names its place.
    pub fn of_arguments(messages: impl IntoIterator<Item = String>) -> Self {
        let fault = |message| Fault { file: String::new(), line: None, message };
        Self(messages.into_iter().map(fault).collect())
    }

    /// What came of something else, if there are no faults; otherwise these, then those of that.
    pub fn and<T>(mut self, result: Result<T, Self>) -> Result<T, Self> {
        match result {
            Ok(value) if self.0.is_empty() => Ok(value),
            Ok(_) => Err(self),
            Err(Self(others)) => {
                self.0.extend(others);
                Err(self)
            }
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

/// Gathers the faults of one file while it is read. Shared by all its readers.
#[derive(Debug)]
pub struct FaultSink {
    file: String,
    found: RefCell<Vec<Fault>>,
}

impl FaultSink {
    /// A sink for the file with this name.
    pub fn new(file: impl Into<String>) -> Self {
        Self { file: file.into(), found: RefCell::default() }
    }

    /// Notes a fault in a line. Line 0 stands for the whole file.
    pub fn add(&self, line: u32, message: impl Into<String>) {
        let line = (line > 0).then_some(line);
        let fault = Fault { file: self.file.clone(), line, message: message.into() };
        self.found.borrow_mut().push(fault);
    }

    /// True while nothing was noted.
    pub fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// All faults by line, each once.
    pub fn into_faults(self) -> Vec<Fault> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|fault| fault.line);
        let mut seen = HashSet::new();
        found.retain(|fault| seen.insert(fault.clone()));
        found
    }
}

/// The candidate that a mistyped word most likely stands for, if any is near.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // Words longer than this are no slip of the pen, and the distance is quadratic in length.
    const WORD_BYTES_MAX: usize = 128;
    // A file can be wrong in thousands of places and have thousands of names to choose from.
    const CANDIDATES_MAX: usize = 256;
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let word = word.to_lowercase();
    let chars = word.chars().count();
    // Fewer than the word has letters: else every other letter would be near a single one.
    let slips_max = (chars / 3).max(1).min(chars.saturating_sub(1));
    candidates
        .into_iter()
        .take(CANDIDATES_MAX)
        .filter(|candidate| candidate.len() <= WORD_BYTES_MAX)
        .map(|candidate| (strsim::osa_distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|&(slips, _)| slips <= slips_max)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `; did you mean "…"?` when a candidate is near, else nothing: ends a sentence.
pub fn did_you_mean<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    nearest(word, candidates).map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"))
}

/// A text in which names may hold anything, made fit for a terminal.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let escape = |letter: char| {
        let escaped = letter.is_control().then(|| letter.escape_debug());
        escaped.into_iter().flatten().chain((!letter.is_control()).then_some(letter))
    };
    Cow::Owned(text.chars().flat_map(escape).collect())
}

/// A word from a file, made fit for a message: quoted, escaped and not endless.
pub fn quoted(word: &str) -> String {
    const CHARS_MAX: usize = 80;
    if word.chars().count() <= CHARS_MAX {
        return format!("{word:?}");
    }
    let start: String = word.chars().take(CHARS_MAX).collect();
    format!("{:?}", format!("{start}…"))
}

/// Words as a list in a sentence: `a`, `a or b`, `a, b or c`.
pub fn either(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_a_stranger_none() {
        assert_eq!(nearest("acept", ["accept", "reject"]), Some("accept"));
        assert_eq!(nearest("Egress", ["ingress", "egress"]), Some("egress"));
        assert_eq!(nearest("forward", ["accept", "reject"]), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), ["accept"]), None);
    }

    #[test]
    fn faults_come_in_the_order_of_lines_and_each_once() {
        let sink = FaultSink::new("a.toml");
        sink.add(9, "late");
        sink.add(0, "whole");
        sink.add(3, "early");
        sink.add(9, "late");
        let lines: Vec<String> = sink.into_faults().iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["a.toml: whole", "a.toml:3: early", "a.toml:9: late"]);
    }

    #[test]
    fn words_read_like_a_sentence() {
        assert_eq!(either(&["a"]), "a");
        assert_eq!(either(&["a", "b", "c"]), "a, b or c");
        assert!(quoted(&"x".repeat(1000)).len() < 100);
    }
}
