//! Counters told to people and programs: the same report offline and live.

pub(crate) mod grid;
mod hgrm;
mod json;
mod latency;
mod laws;
mod text;

use engine::snapshot::Health;

pub use hgrm::to_hgrm;
pub use json::to_json;
pub use latency::latency;
pub use laws::violations;
pub use text::{Change, to_text};

/// How a member is, in a word of ELB's `TargetHealth`.
fn health_word(health: Health) -> &'static str {
    match health {
        Health::Initial => "initial",
        Health::Healthy => "healthy",
        Health::Unhealthy(_) => "unhealthy",
    }
}
