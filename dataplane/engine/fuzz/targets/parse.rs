//! Any bytes are a frame of some kind, and the same one however they fall into segments and whether it
//! is read alone or with others. What is inside of a tunnel is found where its key says that it may be.

#![no_main]

use engine::burst::BURST_MAX;
use engine::flow_key::FlowKey;
use engine::keys::Keys;
use engine::parse::{
    HEADERS_LEN_MAX, PLAIN_LEN, Parsed, Split, inner_key, may_hold_inner, parse, plain_keys,
};
use libfuzzer_sys::fuzz_target;

/// Another than the registered one.
const VXLAN_PORT: u16 = 8472;

/// What a frame is, and its key.
fn parsed(head: &[u8], len: usize) -> Result<(Parsed, FlowKey), Split> {
    let mut parsed = Parsed::EMPTY;
    let key = parse(head, len, &mut parsed)?;
    Ok((parsed, key))
}

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, frame)) = bytes.split_first() else { return };
    let whole = parsed(frame, frame.len()).expect("nothing lies beyond the frame");
    if let Some(head) = frame.first_chunk::<PLAIN_LEN>() {
        let mut keys = Keys::default();
        if plain_keys(&[head; BURST_MAX], 1, &mut keys) & 1 == 1 {
            assert_eq!(whole, (Parsed::PLAIN, keys.get(0)));
        }
    }
    if let Some(inner) = inner_key(frame, VXLAN_PORT) {
        assert!(may_hold_inner(&whole.1, VXLAN_PORT) && inner != FlowKey::EMPTY);
        let held = frame.len().min(HEADERS_LEN_MAX);
        assert_eq!(inner_key(&frame[..held], VXLAN_PORT), Some(inner));
    }
    let head = &frame[..frame.len().min(usize::from(*cut))];
    assert!(parsed(head, frame.len()).map_or(true, |of_head| of_head == whole));
});
