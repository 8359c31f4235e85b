//! Any bytes are a capture up to some point, and what was read can be written and read again.

#![no_main]

use engine::sim::{CaptureReader, FRAME_BYTES_MAX, capture_of};
use libfuzzer_sys::fuzz_target;

fn frames(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut reader, mut frames) = (CaptureReader::new(bytes), Vec::new());
    while let Ok(true) = reader.advance() {
        assert!(reader.frame().len() <= FRAME_BYTES_MAX as usize);
        frames.push(reader.frame().to_vec());
    }
    assert!(matches!(reader.advance(), Ok(false)), "an ended capture stays ended");
    frames
}

fuzz_target!(|bytes: &[u8]| {
    let read = frames(bytes);
    assert_eq!(frames(&capture_of(read.iter().map(|frame| (0, frame)))), read);
});
