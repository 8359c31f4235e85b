//! Who asks.

/// Who calls, once proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account, 12 digits.
    pub account: String,
    /// What the caller may do.
    pub access: Access,
    /// The access key's id, or who is at the other end of the Unix socket.
    pub key_id: String,
}

/// What an access key allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To describe.
    ReadOnly,
    /// To describe and to change.
    ReadWrite,
}
