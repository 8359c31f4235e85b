//! A packet of any text: a fault with its place, or a packet that is written and read back.
#![no_main]

use control::explain::Packet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match text.parse::<Packet>() {
        Ok(packet) => assert_eq!(packet.to_string().parse(), Ok(packet)),
        Err(why) => assert!((1..=text.chars().count() + 1).contains(&why.at)),
    }
});
