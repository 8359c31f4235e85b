//! Any bytes are a frame of some kind, and the same one however they fall into segments.

#![no_main]

use engine::flow_key::FlowKey;
use engine::parse::{Kind, Parsed, Split, parse};
use libfuzzer_sys::fuzz_target;

/// What a frame is, and its key if it is IP.
fn parsed(head: &[u8], len: usize) -> Result<(Parsed, Option<FlowKey>), Split> {
    let (mut parsed, mut key) = (Parsed::EMPTY, FlowKey::EMPTY);
    parse(head, len, &mut parsed, &mut key)?;
    Ok((parsed, (parsed.kind == Kind::Ip).then_some(key)))
}

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, frame)) = bytes.split_first() else { return };
    let whole = parsed(frame, frame.len()).expect("nothing lies beyond the frame");
    let head = &frame[..frame.len().min(usize::from(*cut))];
    assert!(parsed(head, frame.len()).map_or(true, |of_head| of_head == whole));
});
