//! The bytes that both sides sign, and the signature over them.
//!
//! Source: AWS's IAM user guide, "Create a signed AWS API request"; and what botocore, the SDKs and
//! curl really make of it.

use axum::http::HeaderMap;
use axum::http::request::Parts;
use percent_encoding::{AsciiSet, percent_decode, percent_encode};
use ring::{digest, hmac};

use crate::ec2::query::RESERVED;

/// The same in a path, which keeps its slashes.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');
/// The parameter of a presigned request that can't be part of what it signs.
const SIGNATURE: &str = "X-Amz-Signature";

/// How the query is spelled in what was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// Decoded and encoded anew, as AWS says: `+` is a space, and a space is `%20`.
    Canonical,
    /// As it was sent, only sorted: botocore takes the query of a ready-made URL so. It is as safe:
    /// what was signed is then, byte by byte, what was sent.
    AsSent,
}

/// The canonical request: method, path, query, headers, their names and the hash of the body.
///
/// `None` when a header of `signed_headers` is missing. Cost: linear in the head, besides sorting
/// the query.
pub fn canonical_request(
    head: &Parts,
    signed_headers: &str,
    body_sha256: &str,
    spelling: Spelling,
) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let mut line = |bytes: &[u8]| {
        text.extend_from_slice(bytes);
        text.push(b'\n');
    };
    line(head.method.as_str().as_bytes());
    line(canonical_path(head.uri.path()).as_bytes());
    line(canonical_query(head.uri.query().unwrap_or_default(), spelling).as_bytes());
    for name in signed_headers.split(';') {
        let mut header = name.as_bytes().to_vec();
        header.push(b':');
        header.extend(canonical_values(&head.headers, name)?);
        line(&header);
    }
    line(b"");
    line(signed_headers.as_bytes());
    text.extend_from_slice(body_sha256.as_bytes());
    Some(text)
}

/// Without dot segments and doubled slashes, and encoded once more, for every service but S3.
fn canonical_path(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    let is_folder = path.ends_with('/') && !kept.is_empty();
    let path = format!("/{}{}", kept.join("/"), if is_folder { "/" } else { "" });
    percent_encode(path.as_bytes(), RESERVED_IN_PATH).to_string()
}

fn canonical_query(query: &str, spelling: Spelling) -> String {
    if query.is_empty() {
        return String::new();
    }
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| spelling == Spelling::AsSent || !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(|(name, _)| *name != SIGNATURE)
        .map(|(name, value)| match spelling {
            Spelling::Canonical => (encode_anew(name), encode_anew(value)),
            Spelling::AsSent => (name.to_owned(), value.to_owned()),
        })
        .collect();
    pairs.sort();
    let pairs: Vec<String> =
        pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

fn encode_anew(word: &str) -> String {
    let spaced = word.replace('+', " ");
    let bytes: Vec<u8> = percent_decode(spaced.as_bytes()).collect();
    percent_encode(&bytes, RESERVED).to_string()
}

/// All values of a header, each with its inner white space as single spaces, joined by commas.
fn canonical_values(headers: &HeaderMap, name: &str) -> Option<Vec<u8>> {
    let is_space = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let value = |bytes: &[u8]| {
        let words = bytes.split(is_space).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join(&b' ')
    };
    let values: Vec<Vec<u8>> =
        headers.get_all(name).iter().map(|held| value(held.as_bytes())).collect();
    (!values.is_empty()).then(|| values.join(&b','))
}

/// What is signed in the end: `scope` is `DAY/REGION/SERVICE/aws4_request`.
fn string_to_sign(timestamp: &str, scope: &str, canonical_request: &[u8]) -> String {
    let hash = hex::encode(digest::digest(&digest::SHA256, canonical_request));
    format!("AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{hash}")
}

/// The key of a scope, derived from the secret part by part.
fn signing_key(secret: &str, scope: &str) -> hmac::Key {
    let first = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{secret}").as_bytes());
    scope.split('/').fold(first, |key, part| {
        hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
    })
}

/// The signature of a canonical request, in hexadecimal. For those who call.
pub fn signature(secret: &str, timestamp: &str, scope: &str, canonical_request: &[u8]) -> String {
    let text = string_to_sign(timestamp, scope, canonical_request);
    hex::encode(hmac::sign(&signing_key(secret, scope), text.as_bytes()))
}

/// True when `signature` is that of a canonical request. Takes the same time wherever they differ.
pub(super) fn is_signed(
    signature: &[u8],
    secret: &str,
    timestamp: &str,
    scope: &str,
    canonical_request: &[u8],
) -> bool {
    let text = string_to_sign(timestamp, scope, canonical_request);
    hmac::verify(&signing_key(secret, scope), text.as_bytes(), signature).is_ok()
}

/// The hash of a body, in hexadecimal.
pub(super) fn sha256(body: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, body))
}
