//! The seam between the server, which proves who calls, and the service, which answers.

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Describe only.
    ReadOnly,
    /// Everything.
    ReadWrite,
}

/// Who calls, once proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Whose objects these are: 12 digits.
    pub account: String,
    /// What the caller may do.
    pub access: Access,
    /// The access key's id, or who is at the other end of the Unix socket.
    pub key_id: String,
}

/// One request of the Query protocol as decoded pairs, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(pub Vec<(String, String)>);

/// What a request comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// XML.
    pub body: String,
}

/// What the HTTP server calls with an authenticated request.
///
/// Thread: called from several at once; may block.
pub trait Endpoint: Send + Sync + 'static {
    /// Answers one request; errors are answers too.
    fn answer(&self, caller: &Caller, params: &Params, request_id: &str) -> Answer;
}
