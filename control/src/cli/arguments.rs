//! Arguments read one by one, so that all that is wrong with them is told at once.

use crate::fault::{Faults, quoted};

/// Reads arguments and gathers what is wrong.
#[derive(Debug, Default)]
pub(super) struct Arguments(Vec<String>);

impl Arguments {
    /// What an option's text says; `None` when it is not given, or wrong, which is noted with `form`: how such a
    /// thing is written.
    pub(super) fn read<T>(
        &mut self,
        option: &str,
        text: Option<&String>,
        parse: impl FnOnce(&str) -> Option<T>,
        form: &str,
    ) -> Option<T> {
        let text = text?;
        let value = parse(text);
        if value.is_none() {
            self.fault(format!("{option} {}: write {form}", shown(text)));
        }
        value
    }

    /// The same of an option that may be given several times.
    pub(super) fn read_all<T>(
        &mut self,
        option: &str,
        texts: &[String],
        parse: impl Fn(&str) -> Option<T>,
        form: &str,
    ) -> Vec<T> {
        texts.iter().filter_map(|text| self.read(option, Some(text), &parse, form)).collect()
    }

    /// Notes a fault: a sentence that begins with the argument and ends with the remedy.
    pub(super) fn fault(&mut self, message: impl Into<String>) {
        self.0.push(message.into());
    }

    /// Notes all but the first of the options that are given, of which only one may be.
    pub(super) fn only_one(&mut self, options: &[(&str, bool)]) {
        let given: Vec<&str> =
            options.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
        if let [first, others @ ..] = given.as_slice() {
            for other in others {
                self.fault(format!("{other} contradicts {first}; keep one of them"));
            }
        }
    }

    /// Errors: what was noted.
    pub(super) fn done(self) -> Result<(), Faults> {
        if self.0.is_empty() { Ok(()) } else { Err(Faults::of_arguments(self.0)) }
    }
}

/// A text as it was typed, unless that is not fit to be shown.
fn shown(text: &str) -> String {
    const BYTES_MAX: usize = 80;
    let is_fit = !text.is_empty() && text.len() <= BYTES_MAX && !text.contains(char::is_control);
    if is_fit { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_are_told_in_the_order_of_the_options() {
        let mut arguments = Arguments::default();
        let number = |text: &str| text.parse::<u8>().ok();
        let form = "a number from 0 to 255";
        assert_eq!(arguments.read("--a", None, number, form), None);
        assert_eq!(arguments.read("--a", Some(&"7".into()), number, form), Some(7));
        assert_eq!(arguments.read("--b", Some(&"300".into()), number, form), None);
        let texts = ["1".to_owned(), String::new()];
        assert_eq!(arguments.read_all("--c", &texts, number, form), [1]);
        arguments.only_one(&[("--d", true), ("--e", false), ("--f", true)]);
        let faults = arguments.done().unwrap_err().to_string();
        assert_eq!(
            faults,
            "--b 300: write a number from 0 to 255\n--c \"\": write a number from 0 to 255\n--f \
             contradicts --d; keep one of them"
        );
    }
}
