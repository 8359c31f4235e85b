//! Whatever stands in the two files: a verdict, never a panic.

use crate::common::{CONFIG, TEMPLATE, load, load_in};
use control::config::Mode;
use proptest::prelude::*;
use proptest::sample::Index;

/// Words that mean something to one of the readers.
const WORDS: [&str; 24] = [
    "[[port]]",
    "[[link]]",
    "[vxlan]",
    "=",
    "\"",
    "[",
    "]",
    "{",
    "}",
    "!Ref ",
    "!Sub ",
    "${F}",
    "&a ",
    "*a",
    "<<: ",
    "- ",
    ": ",
    "\n",
    "\n      ",
    "99999999999999999999",
    "-1",
    "Fn::Sub",
    "~",
    "\u{fffd}",
];

#[derive(Debug, Clone)]
enum Edit {
    Cut(Index, u8),
    Insert(Index, Index),
    Copy(Index, Index, u8),
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, len)| Edit::Cut(at, len)),
        (any::<Index>(), any::<Index>()).prop_map(|(at, word)| Edit::Insert(at, word)),
        (any::<Index>(), any::<Index>(), any::<u8>())
            .prop_map(|(at, from, len)| Edit::Copy(at, from, len)),
    ]
}

fn apply(text: &str, edits: &[Edit]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for edit in edits {
        let len = chars.len();
        match edit {
            _ if len == 0 => break,
            Edit::Cut(at, count) => {
                let at = at.index(len);
                chars.drain(at..(at + usize::from(*count)).min(len));
            }
            Edit::Insert(at, word) => {
                let at = at.index(len);
                chars.splice(at..at, word.get(&WORDS).chars());
            }
            Edit::Copy(at, from, count) => {
                let (at, from) = (at.index(len), from.index(len));
                let piece = chars[from..(from + usize::from(*count)).min(len)].to_vec();
                chars.splice(at..at, piece);
            }
        }
    }
    chars.into_iter().collect()
}

/// A refusal names at least one fault, and a sound pair is sound to the data plane too.
fn judge(config: &str, template: &str) {
    for mode in [Mode::Online, Mode::Offline] {
        match load_in(mode, config, template) {
            Ok(loaded) => assert_eq!(loaded.prove(), Ok(())),
            Err(faults) => assert!(!faults.is_empty()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_files_get_a_verdict(
        config in proptest::collection::vec(edit(), 0..4),
        template in proptest::collection::vec(edit(), 0..4),
    ) {
        judge(&apply(CONFIG, &config), &apply(TEMPLATE, &template));
    }

    #[test]
    fn words_in_any_order_get_a_verdict(words in proptest::collection::vec(0..WORDS.len(), 0..60)) {
        let text: String = words.into_iter().map(|word| WORDS[word]).collect();
        judge(&text, TEMPLATE);
        judge(CONFIG, &text);
        judge(CONFIG, &format!("Resources:\n  F:\n    Type: AWS::EC2::TrafficMirrorFilter\n    {text}"));
    }

    #[test]
    fn noise_gets_a_verdict(text in ".{0,300}") {
        prop_assert!(load(&text, TEMPLATE).is_err());
        prop_assert!(load(CONFIG, &text).is_err());
    }
}
