//! The EC2 Query API: requests to the service's terms, and its answers to EC2's XML.
//!
//! ```text
//!  Params -> decode -> one file per resource -> service
//!  Answer <- encode <- (or error)            <-
//! ```
//! Wire names, what is absent and what is empty, and error codes are those that real clients get
//! from AWS (EC2 API Reference, version 2016-11-15). Spellings of EC2 stay in here.

pub mod caller;
mod conditions;
mod decode;
mod encode;
mod endpoint;
mod error;
mod filter;
mod interface;
mod page;
mod rule;
mod session;
mod tag;
mod target;

pub use caller::{Access, Answer, Caller, Endpoint, Params};
pub use endpoint::{Api, access_for};
pub use error::Error;
