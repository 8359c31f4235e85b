//! What a request says of itself: which key signed it, when, for what, and over which headers.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, DATE, HOST};
use axum::http::request::Parts;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::Offset;
use percent_encoding::percent_decode_str;

use super::canonical::{Spelling, canonical_request, is_signed, sha256};
use super::keys::Secret;
use super::refusal::Refusal;

/// How far the clocks of both sides may be apart, either way.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_mins(15);

/// The only algorithm.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The date of a request, and where a presigned one has it.
const AMZ_DATE: &str = "X-Amz-Date";
/// What comes with temporary credentials.
const AMZ_TOKEN: &str = "X-Amz-Security-Token";
/// Names of a presigned query begin so.
const AMZ: &str = "X-Amz-";
/// The services that are served; which of them a request is for, its version tells.
const SERVICES: [&str; 2] = ["ec2", "elasticloadbalancing"];
/// A presigned request is good for a week at most.
const EXPIRES_S_MAX: u64 = 7 * 24 * 60 * 60;
/// Bytes of a SHA-256 in hexadecimal.
const SIGNATURE_CHARS: usize = 64;

/// A request's own word on who signed it. Proves nothing until [`Claim::prove`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The id of the key that is said to have signed.
    pub key_id: String,
    /// True when the query carries the signature: its `X-Amz-` parameters are no parameters then.
    pub is_presigned: bool,
    /// `YYYYMMDDTHHMMSSZ`.
    timestamp: String,
    /// `DAY/REGION/SERVICE/aws4_request`.
    scope: String,
    /// Names in lower case, divided by `;`.
    signed_headers: String,
    signature: Vec<u8>,
}

/// The parts of a signature, as the header or the query has them.
#[derive(Default)]
struct Pieces {
    credential: Option<String>,
    signed_headers: Option<String>,
    signature: Option<String>,
    /// Of a presigned request only.
    algorithm: Option<String>,
    date: Option<String>,
    expires: Option<String>,
    token: Option<String>,
}

impl Claim {
    /// Reads the claim of a request's head. `region` is the only one that is served, if any is set.
    ///
    /// Errors: nothing is signed, the signature has another form, or it is not for here and now.
    pub fn of(head: &Parts, region: Option<&str>, now: Timestamp) -> Result<Self, Refusal> {
        let presigned = Pieces::of_query(head.uri.query().unwrap_or_default())?;
        let header = only_value(&head.headers, AUTHORIZATION.as_str())?;
        let (pieces, is_presigned) = match (presigned, header) {
            (None, None) => return Err(Refusal::Unsigned),
            (Some(_), Some(_)) => {
                return Err(Refusal::Incomplete(
                    "The request is signed in its header and in its query: sign it once.",
                ));
            }
            (Some(pieces), None) => (pieces, true),
            (None, Some(header)) => (Pieces::of_header(header)?, false),
        };
        if pieces.token.is_some() || head.headers.contains_key(AMZ_TOKEN) {
            return Err(Refusal::SessionToken);
        }
        let signed_headers = needed(pieces.signed_headers, "SignedHeaders is missing.")?;
        let covers = |name: &str| signed_headers.split(';').any(|signed| signed == name);
        only_value(&head.headers, HOST.as_str())?;
        if !covers("host") {
            return Err(Refusal::Incomplete("'Host' must be a 'SignedHeader'."));
        }
        let timestamp = if is_presigned {
            needed(pieces.date, "X-Amz-Date is missing from the query.")?
        } else {
            date_of_headers(&head.headers, covers)?
        };
        let when = moment(&timestamp)
            .ok_or(Refusal::Incomplete("The date must be of the form YYYYMMDD'T'HHMMSS'Z'."))?;
        let (key_id, scope) = credential(pieces.credential, &timestamp, region)?;
        check_time(when, lifetime(pieces.expires)?, now)?;
        let signature = pieces.signature.filter(|text| text.len() == SIGNATURE_CHARS);
        let signature = signature.and_then(|text| hex::decode(text).ok());
        let signature = signature
            .ok_or(Refusal::Incomplete("Signature must be there, as 64 hexadecimal digits."))?;
        Ok(Self { key_id, is_presigned, timestamp, scope, signed_headers, signature })
    }

    /// Signs the request again and compares, in constant time. The head is the one of [`Claim::of`].
    ///
    /// Errors: [`Refusal::WrongSignature`], whatever the difference; a signed header is missing.
    pub fn prove(&self, head: &Parts, body: &[u8], secret: &Secret) -> Result<(), Refusal> {
        let body = sha256(body);
        for spelling in [Spelling::Canonical, Spelling::AsSent] {
            let request = canonical_request(head, &self.signed_headers, &body, spelling).ok_or(
                Refusal::Incomplete("SignedHeaders names a header that the request lacks."),
            )?;
            if is_signed(&self.signature, secret.reveal(), &self.timestamp, &self.scope, &request) {
                return Ok(());
            }
        }
        Err(Refusal::WrongSignature)
    }

    /// True for a parameter that belongs to the signature of this request and not to its action.
    pub fn owns(&self, name: &str) -> bool {
        self.is_presigned && name.starts_with(AMZ)
    }
}

impl Pieces {
    /// Of `Authorization: AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`.
    fn of_header(header: &str) -> Result<Self, Refusal> {
        let (algorithm, rest) = header.split_once(' ').unwrap_or((header, ""));
        check_algorithm(algorithm)?;
        let mut pieces = Self::default();
        for part in rest.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let place = match name {
                "Credential" => &mut pieces.credential,
                "SignedHeaders" => &mut pieces.signed_headers,
                "Signature" => &mut pieces.signature,
                _ => return Err(Refusal::Incomplete("Authorization has an unknown part.")),
            };
            fill(place, value.to_owned())?;
        }
        Ok(pieces)
    }

    /// Of a query with any of its parts; `None` when it has none.
    fn of_query(query: &str) -> Result<Option<Self>, Refusal> {
        let mut pieces = Self::default();
        let mut is_signed = false;
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = percent_decode_str(name).decode_utf8_lossy();
            let place = match name.as_ref() {
                "X-Amz-Algorithm" => &mut pieces.algorithm,
                "X-Amz-Credential" => &mut pieces.credential,
                "X-Amz-Expires" => &mut pieces.expires,
                "X-Amz-SignedHeaders" => &mut pieces.signed_headers,
                "X-Amz-Signature" => &mut pieces.signature,
                AMZ_DATE => &mut pieces.date,
                AMZ_TOKEN => &mut pieces.token,
                _ => continue,
            };
            is_signed = true;
            fill(place, percent_decode_str(value).decode_utf8_lossy().into_owned())?;
        }
        if !is_signed {
            return Ok(None);
        }
        check_algorithm(pieces.algorithm.as_deref().unwrap_or_default())?;
        Ok(Some(pieces))
    }
}

fn check_algorithm(algorithm: &str) -> Result<(), Refusal> {
    if algorithm == ALGORITHM {
        return Ok(());
    }
    Err(Refusal::Incomplete("The algorithm must be AWS4-HMAC-SHA256 (Signature Version 4)."))
}

fn fill(place: &mut Option<String>, value: String) -> Result<(), Refusal> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Refusal::Incomplete("The signature has the same part twice.")),
    }
}

fn needed(piece: Option<String>, why: &'static str) -> Result<String, Refusal> {
    piece.filter(|text| !text.is_empty()).ok_or(Refusal::Incomplete(why))
}

/// The value of a header that may be there once at most.
fn only_value<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::Incomplete("Authorization, Date, Host or X-Amz-Date is there twice."));
    }
    let text = value.to_str();
    text.map(Some).map_err(|_| Refusal::Incomplete("Authorization, Date or Host isn't ASCII."))
}

/// `X-Amz-Date`, else `Date`, in the form that is signed. It has to be signed itself, or anybody
/// could make an old request fresh.
fn date_of_headers(headers: &HeaderMap, covers: impl Fn(&str) -> bool) -> Result<String, Refusal> {
    let (text, name) = match only_value(headers, AMZ_DATE)? {
        Some(text) => (text, "x-amz-date"),
        None => (
            only_value(headers, DATE.as_str())?.ok_or(Refusal::Incomplete(
                "The request must have an X-Amz-Date or a Date header.",
            ))?,
            "date",
        ),
    };
    if !covers(name) {
        return Err(Refusal::Incomplete("The date must be a 'SignedHeader'."));
    }
    // What is signed is the moment of a usual Date (RFC 9110 §5.6.7) in the form of X-Amz-Date.
    let usual = rfc2822::parse(text).ok().filter(|_| name == "date").map(|date| date.timestamp());
    Ok(usual.map_or_else(|| text.to_owned(), |time| time.strftime("%Y%m%dT%H%M%SZ").to_string()))
}

/// The moment of `YYYYMMDDTHHMMSSZ`, in exactly this form.
fn moment(text: &str) -> Option<Timestamp> {
    let is_form = text.len() == 16
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    let civil = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok().filter(|_| is_form)?;
    Offset::UTC.to_timestamp(civil).ok()
}

/// The key id and the scope of `KEY/DAY/REGION/SERVICE/aws4_request`.
fn credential(
    piece: Option<String>,
    timestamp: &str,
    region: Option<&str>,
) -> Result<(String, String), Refusal> {
    let credential = needed(piece, "Credential is missing.")?;
    let parts: Vec<&str> = credential.split('/').collect();
    let &[key_id, day, of_region, service, end] = parts.as_slice() else {
        return Err(Refusal::Incomplete(
            "Credential must have exactly 5 slash-delimited elements.",
        ));
    };
    if end != "aws4_request" {
        return Err(Refusal::Incomplete("Credential must end in 'aws4_request'."));
    }
    if key_id.is_empty() || of_region.is_empty() {
        return Err(Refusal::Incomplete("Credential has an empty element."));
    }
    if !SERVICES.contains(&service) {
        return Err(Refusal::Service);
    }
    if let Some(region) = region.filter(|&region| region != of_region) {
        return Err(Refusal::Region(region.to_owned()));
    }
    if timestamp.get(..8) != Some(day) {
        return Err(Refusal::Day);
    }
    Ok((key_id.to_owned(), format!("{day}/{of_region}/{service}/{end}")))
}

/// How long after its date the request is good: for the clocks' sake, or as it was presigned.
fn lifetime(expires: Option<String>) -> Result<Duration, Refusal> {
    let Some(text) = expires else { return Ok(CLOCK_SKEW_MAX) };
    let seconds = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok());
    let seconds = seconds.flatten().filter(|seconds| (1..=EXPIRES_S_MAX).contains(seconds));
    seconds.map(Duration::from_secs).ok_or(Refusal::Incomplete(
        "X-Amz-Expires must be a number of seconds from 1 to 604800, which is a week.",
    ))
}

fn check_time(when: Timestamp, lifetime: Duration, now: Timestamp) -> Result<(), Refusal> {
    let age = now.duration_since(when);
    let apart = age.unsigned_abs();
    if age.is_negative() && apart > CLOCK_SKEW_MAX {
        return Err(Refusal::Early(apart));
    }
    if age.is_positive() && apart > lifetime {
        return Err(Refusal::Expired(apart));
    }
    Ok(())
}
