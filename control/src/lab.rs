//! The lab: what `linetap bench` does beside `linetap-traffic`.

pub mod bench;
