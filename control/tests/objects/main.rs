//! `linetap target|filter|rule|session` against the real `linetapd`, by its socket, HTTP and HTTPS.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

#[path = "../common/mod.rs"]
mod common;
mod site;

mod completion;
mod connection;
mod life;
mod listing;
mod policing;
mod tools;
mod ways;
