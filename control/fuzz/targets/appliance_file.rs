//! An appliance file of any bytes, beside a sound template: faults, or a snapshot that the data
//! plane finds sound too.
#![no_main]

use control::config::Mode;
use control::load::{Sources, from_texts};
use libfuzzer_sys::fuzz_target;

const TEMPLATE: &str = include_str!("../seeds/template/link.yaml");

fuzz_target!(|text: &str| {
    for mode in [Mode::Online, Mode::Offline] {
        let sources = Sources {
            config: "c".into(),
            template: "t".into(),
            parameters: Vec::new(),
            mode,
        };
        match from_texts(text, TEMPLATE, &sources, 1) {
            Ok(loaded) => assert_eq!(loaded.prove(), Ok(())),
            Err(faults) => assert!(!faults.0.is_empty()),
        }
    }
});
