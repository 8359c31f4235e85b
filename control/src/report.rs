//! Counters told to people and programs: the same report offline and live.

mod json;
mod laws;
mod text;

pub use json::to_json;
pub use laws::violations;
pub use text::{Change, to_text};
