//! `linetap apply` and `linetap export`: over the API in the same process, where any template may
//! follow any other, and as commands against `linetapd`.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "../api/mod.rs"]
mod api;
#[path = "../common/mod.rs"]
mod common;

mod in_process;
mod templates;

mod any_after_any;
mod broken_off;
mod commands;
mod lint;
mod site;
