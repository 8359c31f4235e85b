//! What the HTTP server calls: one request in, one answer out.

use super::caller::Caller;

/// The version of the API, and of its XML.
pub const VERSION: &str = "2016-11-15";

/// One request of the Query protocol as decoded pairs, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(pub Vec<(String, String)>);

/// What goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// XML.
    pub body: String,
}

/// What the HTTP server calls with an authenticated request. It may block: for as long as the store
/// and the data plane take.
pub trait Endpoint: Send + Sync + 'static {
    /// Does what is asked, and tells.
    fn answer(&self, caller: &Caller, params: &Params, request_id: &str) -> Answer;
}
