//! A template of any bytes, beside a sound appliance file: faults, or a snapshot that the data plane
//! finds sound too.
#![no_main]

use control::config::Mode;
use control::load::{Sources, from_texts};
use libfuzzer_sys::fuzz_target;

const APPLIANCE: &str = include_str!("../seeds/appliance_file/link.toml");

fuzz_target!(|text: &str| {
    let sources = Sources {
        config: "c".into(),
        template: "t".into(),
        parameters: vec!["Vni=9".parse().unwrap()],
        mode: Mode::Online,
    };
    match from_texts(APPLIANCE, text, &sources, 1) {
        Ok(loaded) => assert_eq!(loaded.prove(), Ok(())),
        Err(faults) => assert!(!faults.0.is_empty()),
    }
});
