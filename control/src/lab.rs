//! The lab: what `linetap replay`, `linetap capture` and `linetap bench` have in common. They say what shall be
//! done; [`process`] is the process `linetap-traffic` that does it.

pub mod bench;
pub(crate) mod captured;
pub(crate) mod interfaces;
mod interrupt;
mod process;
pub(crate) mod progress;
pub(crate) mod replayed;
pub(crate) mod units;

pub use interrupt::Interrupt;
pub use process::{Heed, TrafficError, TrafficProcess};
