//! The other end of the EC2 API: what the CLI asks, and what it is answered.
//!
//! ```text
//!  place       a socket or a URL
//!  profile     access keys and region, as AWS's own command line finds them
//!  connection  Params -> signed form -> HTTP, by socket, TCP or TLS -> Element
//!  pages       the entries of a list, from all its pages
//!  objects     all mirror objects, as the model has them
//!  shape       Element -> the JSON that `aws ec2` prints
//!  tools       tools and their members, as `aws elbv2` has them
//! ```

mod reply;
mod place;
pub mod profile;
mod trust;
mod trouble;
mod connection;
mod pages;
mod objects;
mod shape;
mod tools;

use thiserror::Error;

use crate::ec2::endpoint::Params;

pub use connection::{Connection, ConnectionError};
pub use objects::{Objects, is_made_by_api, objects};
pub use pages::describe;
pub use place::{BadUrl, Place, Url};
pub use reply::{BadReply, Element};
pub use shape::{Member, Noun, Shape};
pub use tools::{MEMBER, TOOL, members, tools};
pub use trust::TrustError;

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
