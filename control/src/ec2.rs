//! The EC2 Query API: who calls and whether that is proven, requests to the service's terms, and its
//! answers to EC2's XML.
//!
//! ```text
//!  HTTP   -> auth, query -> Caller, Params
//!  Params -> decode -> one file per resource -> service
//!  Answer <- encode <- (or error)            <-
//! ```
//! Wire names, what is absent and what is empty, and error codes are those that real clients get
//! from AWS (EC2 API Reference, version 2016-11-15). Spellings of EC2 stay in here. The members of tools
//! are changed as targets of target groups are, by requests of `ELBv2` ([`endpoint::Dialect`]).

pub mod caller;
pub mod endpoint;
pub mod query;
pub mod auth;
mod error;
mod encode;
mod decode;
mod conditions;
mod page;
mod api;
mod filter;
mod rule;
mod target;
mod session;
mod tag;
mod interface;
mod member;
mod tool;

pub use api::Api;
pub use caller::{Access, Caller};
pub use endpoint::{Answer, Dialect, Endpoint, Params};
pub use error::Error;
