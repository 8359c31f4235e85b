//! Why a request is refused before anybody looks at what it asks for.

use std::time::Duration;

use thiserror::Error;

/// A refusal, as the caller and the log are told. No variant holds anything secret, nor anything
/// that the caller wrote.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Nothing is signed.
    #[error("Request is missing Authentication Token")]
    Unsigned,
    /// The signature lacks a part, or has one of another form.
    #[error("{0}")]
    Incomplete(&'static str),
    /// It comes with a token of temporary credentials.
    #[error(
        "The security token included in the request is invalid: this appliance gives out no \
         session tokens; sign with an access key of its keys file, without a token"
    )]
    SessionToken,
    /// It is signed for another service.
    #[error("Credential should be scoped to correct service: 'ec2' or 'elasticloadbalancing'.")]
    Service,
    /// It is signed for another region than the only one.
    #[error("Credential should be scoped to a valid region: '{0}'.")]
    Region(String),
    /// The day of the scope isn't that of the request.
    #[error("Date in Credential scope does not match YYYYMMDD from the date of the request.")]
    Day,
    /// Signed too long ago, with how long.
    #[error(
        "Request has expired: it was signed {} seconds ago by this appliance's clock; set the \
         clocks, or sign anew", .0.as_secs()
    )]
    Expired(Duration),
    /// Signed in the future, with how far.
    #[error(
        "Request has expired: it was signed {} seconds in the future by this appliance's clock; \
         set the clocks", .0.as_secs()
    )]
    Early(Duration),
    /// No key has this id.
    #[error("AWS was not able to validate the provided access credentials")]
    UnknownKey,
    /// The signature isn't what the secret gives for this request.
    #[error("AWS was not able to validate the provided access credentials")]
    WrongSignature,
    /// The key may only describe.
    #[error("You are not authorized to perform this operation.")]
    ReadOnly,
    /// Somebody else than root and the daemon's group is at the other end of the Unix socket.
    #[error("You are not authorized to perform this operation.")]
    Stranger,
    /// The key asks too often.
    #[error("Request limit exceeded.")]
    TooMany,
}

impl Refusal {
    /// EC2's code and the HTTP status that comes with it.
    ///
    /// EC2 has one code for a key that it doesn't know and for a wrong signature.
    pub fn code(&self) -> (&'static str, u16) {
        match self {
            Self::Unsigned => ("MissingAuthenticationToken", 403),
            Self::Incomplete(_) => ("IncompleteSignature", 400),
            Self::SessionToken => ("InvalidClientTokenId", 403),
            Self::Service | Self::Region(_) | Self::Day => ("SignatureDoesNotMatch", 403),
            Self::Expired(_) | Self::Early(_) => ("RequestExpired", 400),
            Self::UnknownKey | Self::WrongSignature => ("AuthFailure", 401),
            Self::ReadOnly | Self::Stranger => ("UnauthorizedOperation", 403),
            Self::TooMany => ("RequestLimitExceeded", 503),
        }
    }

    /// The reason for the log, which may tell more than the caller is told.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unsigned => "it is not signed",
            Self::Incomplete(why) => why,
            Self::SessionToken => "it has a session token, which this appliance never gives out",
            Self::Service => "it is signed for another service than ec2 and elasticloadbalancing",
            Self::Region(_) => "it is signed for another region than [api] region",
            Self::Day => "its credential scope has another day than its date",
            Self::Expired(_) => "it was signed too long ago; do the clocks agree?",
            Self::Early(_) => "it was signed in the future; do the clocks agree?",
            Self::UnknownKey => "no key of the keys file has its key id",
            Self::WrongSignature => {
                "its signature is wrong; does the caller have the right secret?"
            }
            Self::ReadOnly => "its key is read-only and the action is not",
            Self::Stranger => "the peer is neither root nor of the daemon's group",
            Self::TooMany => "its key asks too often",
        }
    }
}
