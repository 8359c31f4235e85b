//! Any bytes are a frame of some kind, and the same one however they fall into segments.

#![no_main]

use engine::flow_key::FlowKey;
use engine::keys::Keys;
use engine::parse::{Parsed, Split, parse, parse_any};
use libfuzzer_sys::fuzz_target;

/// What a frame is, and its key.
fn parsed(head: &[u8], len: usize) -> Result<(Parsed, FlowKey), Split> {
    let (mut parsed, mut keys) = (Parsed::EMPTY, Keys::default());
    parse(head, len, 0, &mut parsed, &mut keys)?;
    Ok((parsed, keys.get(0)))
}

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, frame)) = bytes.split_first() else { return };
    let whole = parsed(frame, frame.len()).expect("nothing lies beyond the frame");
    let mut without_short_way = Parsed::EMPTY;
    let key = parse_any(frame, frame.len(), &mut without_short_way);
    assert_eq!(Ok(whole), key.map(|key| (without_short_way, key)));
    let head = &frame[..frame.len().min(usize::from(*cut))];
    assert!(parsed(head, frame.len()).map_or(true, |of_head| of_head == whole));
});
