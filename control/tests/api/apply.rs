//! `linetap apply` and `linetap export`: over the API in the same process, where any template may
//! follow any other, and as commands against `linetapd`.

mod in_process;
mod templates;

mod any_after_any;
mod broken_off;
mod commands;
mod lint;
mod site;
