//! Any bytes are a frame of some kind, and the same one however they fall into segments.

#![no_main]

use engine::parse::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, frame)) = bytes.split_first() else { return };
    let whole = parse(frame, frame.len()).expect("nothing lies beyond the frame");
    let head = &frame[..frame.len().min(usize::from(*cut))];
    assert!(parse(head, frame.len()).is_err() || parse(head, frame.len()) == Ok(whole));
});
