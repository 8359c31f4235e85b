//! EC2's side of the control plane: who calls, whether that is proven, and what they say.

pub mod caller;
pub mod endpoint;
pub mod query;
pub mod auth;
