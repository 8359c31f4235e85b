//! Signature Version 4. The server's side: is the request from whom it says, whole and fresh?
//!
//! ```text
//!  head of a request -> Claim::of     who it says it is from, for when; nothing is proven
//!  key id            -> Keyring::find the secret that both sides know
//!  head + body       -> Claim::prove  the same bytes, signed again, give the same signature
//! ```
//! And a client's: [`Signer`] signs the same bytes by the same code.
//!
//! A claim is judged by the head alone, so that a body is read only for those who know a key id.
//! What AWS's own clients sign is taken as they sign it ([`canonical`]): the headers that they
//! list, the hash of the raw body, the query as it was sent.

mod canonical;
mod claim;
mod keys;
mod refusal;
mod sign;
#[cfg(test)]
mod tests;

pub use canonical::{Spelling, canonical_request, signature};
pub use claim::{CLOCK_SKEW_MAX, Claim};
pub use keys::{AccessKey, KEYS_BYTES_MAX, Keyring, Secret};
pub use refusal::Refusal;
pub use sign::Signer;
