//! The other end of the EC2 API: what the CLI asks, and what it is answered.

mod reply;

use thiserror::Error;

use crate::ec2::endpoint::Params;

pub use reply::{BadReply, Element};

/// Why a call came to nothing.
#[derive(Debug, Error)]
pub enum CallError {
    /// EC2's own word.
    #[error("{code}: {message}")]
    Refused {
        /// Such as `InvalidTrafficMirrorFilterId.NotFound`.
        code: String,
        /// A sentence for people.
        message: String,
    },
    /// There was no answer, or none that can be read; whether the call was carried out is unknown.
    #[error("{0}")]
    Unanswered(String),
}

/// What answers calls of EC2: `linetapd`, or its endpoint in the same process in tests.
pub trait Ec2 {
    /// Calls an action. `params` are those of the wire without `Action` and `Version`.
    ///
    /// The root element of the reply. It blocks until that is there.
    fn call(&mut self, action: &str, params: &Params) -> Result<Element, CallError>;
}
