//! Signatures that others made: AWS's published examples, botocore's of odd requests, real clients'.

mod published;
mod recorded;
mod signing;

use axum::http::Request;
use axum::http::request::Parts;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// When the vectors were signed.
const NOW: &str = "2026-11-23T14:25:16Z";

/// A request on the wire.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Wire {
    pub(super) name: String,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Wire {
    fn head(&self) -> Parts {
        let mut request = Request::builder().method(self.method.as_str()).uri(&self.target);
        for (name, value) in &self.headers {
            request = request.header(name, value.as_bytes());
        }
        request.body(()).unwrap().into_parts().0
    }

    /// Judges the request as if it were that moment.
    pub(super) fn judge(&self, now: Timestamp, region: Option<&str>) -> Result<(), Refusal> {
        let head = self.head();
        let claim = Claim::of(&head, region, now)?;
        assert_eq!(claim.key_id, "AKIDEXAMPLE");
        claim.prove(&head, self.body.as_bytes(), &Secret::new(SECRET))
    }

    fn verdict(&self) -> Result<(), Refusal> {
        self.judge(now(), None)
    }

    fn header_mut(&mut self, name: &str) -> &mut String {
        let found = self.headers.iter_mut().find(|(held, _)| held.eq_ignore_ascii_case(name));
        &mut found.unwrap().1
    }

    /// The same with a passage of its Authorization exchanged.
    fn with(&self, passage: &str, replacement: &str) -> Self {
        let mut other = self.clone();
        let header = other.header_mut("authorization");
        assert!(header.contains(passage), "{header}");
        *header = header.replacen(passage, replacement, 1);
        other
    }

    /// The same with a passage of its target exchanged.
    fn with_target(&self, passage: &str, replacement: &str) -> Self {
        assert!(self.target.contains(passage), "{}", self.target);
        Self { target: self.target.replacen(passage, replacement, 1), ..self.clone() }
    }
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn vectors() -> Vec<Wire> {
    #[derive(Deserialize)]
    struct File {
        vectors: Vec<Wire>,
    }
    serde_json::from_str::<File>(include_str!("vectors/signed.json")).unwrap().vectors
}

fn vector(name: &str) -> Wire {
    vectors().into_iter().find(|wire| wire.name == name).unwrap()
}

fn why(verdict: Result<(), Refusal>) -> (&'static str, u16, String) {
    let refusal = verdict.unwrap_err();
    let (code, status) = refusal.code();
    (code, status, refusal.to_string())
}

#[test]
fn what_botocore_signs_is_proven() {
    let vectors = vectors();
    assert!(vectors.len() > 150);
    for wire in vectors {
        assert_eq!(wire.verdict(), Ok(()), "{wire:#?}");
    }
}

#[test]
fn whatever_is_changed_breaks_the_signature() {
    for wire in vectors() {
        let mut others = Vec::new();
        let mut body = wire.clone();
        body.body.push(' ');
        others.push(body);
        let mut host = wire.clone();
        host.header_mut("host").push('0');
        others.push(host);
        let method = if wire.method == "GET" { "POST" } else { "GET" };
        others.push(Wire { method: method.to_owned(), ..wire.clone() });
        let divider = if wire.target.contains('?') { '&' } else { '?' };
        for more in ["x", "x=1", "Action=DeleteTags"] {
            let target = format!("{}{divider}{more}", wire.target);
            others.push(Wire { target, ..wire.clone() });
        }
        let path = format!("/x{}", wire.target);
        others.push(Wire { target: path, ..wire.clone() });
        for other in others {
            assert_eq!(other.verdict(), Err(Refusal::WrongSignature), "{other:#?}");
        }
    }
}

#[test]
fn another_secret_signs_otherwise() {
    let wire = vector("post value plain");
    let head = wire.head();
    let claim = Claim::of(&head, None, now()).unwrap();
    let other = Secret::new(SECRET.replace('w', "W"));
    let verdict = claim.prove(&head, wire.body.as_bytes(), &other);
    assert_eq!(verdict, Err(Refusal::WrongSignature));
}

#[test]
fn a_request_is_good_for_fifteen_minutes_either_way() {
    let wire = vector("post value plain");
    let at = |seconds| wire.judge(now() + SignedDuration::from_secs(seconds), None);
    assert_eq!((at(900), at(-900)), (Ok(()), Ok(())));
    let late = why(at(901));
    assert_eq!((late.0, late.1), ("RequestExpired", 400));
    assert!(late.2.contains("signed 901 seconds ago"), "{late:?}");
    let early = why(at(-901));
    assert_eq!((early.0, early.1), ("RequestExpired", 400));
    assert!(early.2.contains("901 seconds in the future"), "{early:?}");
}

#[test]
fn a_presigned_request_is_good_as_long_as_it_says() {
    let at = |name, seconds| {
        vector(name).judge(now() + SignedDuration::from_secs(seconds), None).map_err(|r| r.code().0)
    };
    assert_eq!(at("presigned value plain", 60), Ok(()));
    assert_eq!(at("presigned value plain", 61), Err("RequestExpired"));
    assert_eq!(at("presigned value plain", -900), Ok(()));
    assert_eq!(at("presigned value plain", -901), Err("RequestExpired"));
    assert_eq!(at("presigned from a form", 604_800), Ok(()));
    assert_eq!(at("presigned from a form", 604_801), Err("RequestExpired"));
    let wire = vector("presigned value plain");
    for odd in ["0", "604801", "-1", "", "x", "99999999999999999999", "6%30%20"] {
        let other = wire.with_target("X-Amz-Expires=60", &format!("X-Amz-Expires={odd}"));
        assert_eq!(why(other.verdict()).0, "IncompleteSignature", "{odd}");
    }
    let longer = wire.with_target("X-Amz-Expires=60", "X-Amz-Expires=61");
    assert_eq!(longer.verdict(), Err(Refusal::WrongSignature));
}

#[test]
fn scopes_are_for_here() {
    let wire = vector("post value plain");
    assert_eq!(wire.judge(now(), Some("us-east-1")), Ok(()));
    let region = why(wire.judge(now(), Some("eu-west-1")));
    assert_eq!((region.0, region.1), ("SignatureDoesNotMatch", 403));
    assert_eq!(region.2, "Credential should be scoped to a valid region: 'eu-west-1'.");
    let service = why(wire.with("/ec2/", "/iam/").verdict());
    assert_eq!((service.0, service.1), ("SignatureDoesNotMatch", 403));
    let day = why(wire.with("/20261123/", "/20261122/").verdict());
    assert_eq!((day.0, day.1), ("SignatureDoesNotMatch", 403));
    for (passage, odd) in [
        ("AKIDEXAMPLE/", ""),
        ("AKIDEXAMPLE/", "A/B/"),
        ("AKIDEXAMPLE/", "/"),
        ("us-east-1", ""),
        ("aws4_request", "aws5_request"),
        ("/aws4_request", ""),
    ] {
        let refused = why(wire.with(passage, odd).verdict());
        assert_eq!((refused.0, refused.1), ("IncompleteSignature", 400), "{passage} {odd}");
    }
}

#[test]
fn a_session_token_is_refused_in_header_and_query() {
    let mut wire = vector("post value plain");
    wire.headers.push(("X-Amz-Security-Token".into(), "token".into()));
    let refused = why(wire.verdict());
    assert_eq!((refused.0, refused.1), ("InvalidClientTokenId", 403));
    assert!(refused.2.contains("gives out no session tokens"));
    let wire = vector("presigned value plain");
    let wire = wire.with_target("X-Amz-Expires", "X-Amz-Security-Token=a&X-Amz-Expires");
    assert_eq!(wire.verdict(), Err(Refusal::SessionToken));
}

#[test]
fn what_is_not_signed_is_told_so() {
    let mut wire = vector("post value plain");
    wire.headers.retain(|(name, _)| name != "Authorization");
    let refused = why(wire.verdict());
    assert_eq!((refused.0, refused.1), ("MissingAuthenticationToken", 403));
}

#[test]
fn a_signature_of_another_form_is_told_what_it_lacks() {
    let wire = vector("post value plain");
    let incomplete = |wire: &Wire| {
        let (code, status, message) = why(wire.verdict());
        assert_eq!((code, status), ("IncompleteSignature", 400), "{message}");
        message
    };
    for (passage, odd, part) in [
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", "algorithm"),
        ("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256", "algorithm"),
        ("AWS4-HMAC-SHA256", "Basic", "algorithm"),
        ("Credential=AKID", "Credentials=AKID", "unknown part"),
        (
            "Credential=AKIDEXAMPLE/20261123/us-east-1/ec2/aws4_request,",
            "",
            "Credential is missing",
        ),
        ("SignedHeaders=", "SignedHeaders=,X=", "unknown part"),
        ("SignedHeaders=content-type;host;x-amz-date,", "", "SignedHeaders is missing"),
        ("content-type;host;", "content-type;", "'Host' must be"),
        (";x-amz-date", "", "The date must be a 'SignedHeader'"),
        ("content-type;host", "content-type;absent;host", "the request lacks"),
        ("content-type;host", "content-type;;host", "the request lacks"),
        ("Signature=", "Signature=0", "64 hexadecimal"),
        ("Signature=", "Signature=, Signature=", "same part twice"),
    ] {
        let message = incomplete(&wire.with(passage, odd));
        assert!(message.contains(part), "{passage} -> {odd}: {message}");
    }
    for odd in ["20261123T142516", "2026-11-23T14:25:16Z", "20261323T142516Z", "yesterday", ""] {
        let mut other = wire.clone();
        odd.clone_into(other.header_mut("x-amz-date"));
        assert!(incomplete(&other).contains("The date must be of the form"), "{odd}");
    }
    for twice in ["Host", "Authorization", "X-Amz-Date"] {
        let mut other = wire.clone();
        let value = other.header_mut(twice).clone();
        other.headers.push((twice.to_owned(), value));
        assert!(incomplete(&other).contains("twice"), "{twice}");
    }
}

#[test]
fn a_request_is_signed_in_one_place() {
    let wire = vector("get value plain");
    for more in ["X-Amz-Signature=0", "X-Amz-Signatur%65=0", "X-Amz-Algorithm=AWS4-HMAC-SHA256"] {
        let other = Wire { target: format!("{}&{more}", wire.target), ..wire.clone() };
        assert_eq!(why(other.verdict()).0, "IncompleteSignature", "{more}");
    }
    let wire = vector("presigned value plain");
    for more in ["X-Amz-Signature=0", "X-Amz-Signatur%65=0", "X-Amz-Expires=99"] {
        let other = Wire { target: format!("{}&{more}", wire.target), ..wire.clone() };
        assert_eq!(why(other.verdict()).0, "IncompleteSignature", "{more}");
    }
}

#[test]
fn only_the_signatures_own_parameters_are_no_parameters() {
    let owns = |name: &str, parameter| {
        Claim::of(&vector(name).head(), None, now()).unwrap().owns(parameter)
    };
    assert!(owns("presigned value plain", "X-Amz-Date"));
    assert!(!owns("presigned value plain", "Action"));
    assert!(!owns("get value plain", "X-Amz-Date"));
}
