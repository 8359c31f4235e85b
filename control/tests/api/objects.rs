//! `linetap target|filter|rule|session` against the real `linetapd`, by its socket, HTTP and HTTPS.

mod site;

mod completion;
mod connection;
mod life;
mod listing;
mod policing;
mod tools;
mod ways;
