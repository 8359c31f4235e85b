//! The client's side: a request is given its signature.

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, InvalidHeaderValue};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use jiff::Timestamp;

use super::canonical::{Spelling, canonical_request, sha256, signature};
use super::keys::Secret;

const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const AMZ_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// What a client signs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The access key's id.
    pub key_id: String,
    /// Its secret.
    pub secret: Secret,
    /// What comes with temporary credentials.
    pub token: Option<String>,
    /// Where the request is for: a part of what is signed.
    pub region: String,
}

impl Signer {
    /// Dates and signs a request, over the same headers as AWS's own command line. Errors: key id,
    /// token or region hold what no header can.
    pub fn sign(
        &self,
        head: &mut Parts,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), InvalidHeaderValue> {
        let timestamp = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = timestamp.split('T').next().unwrap_or_default();
        let scope = format!("{day}/{}/ec2/aws4_request", self.region);
        head.headers.insert(AMZ_DATE, HeaderValue::from_str(&timestamp)?);
        if let Some(token) = &self.token {
            head.headers.insert(AMZ_TOKEN, HeaderValue::from_str(token)?);
        }
        let signed = [CONTENT_TYPE, HOST, AMZ_DATE, AMZ_TOKEN];
        let signed = signed.iter().filter(|name| head.headers.contains_key(*name));
        let signed = signed.map(HeaderName::as_str).collect::<Vec<_>>().join(";");
        let request = canonical_request(head, &signed, &sha256(body), Spelling::Canonical);
        // Every header that is listed is there.
        let request = request.unwrap_or_default();
        let signature = signature(self.secret.reveal(), &timestamp, &scope, &request);
        let value = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={signature}",
            self.key_id
        );
        let mut value = HeaderValue::from_str(&value)?;
        value.set_sensitive(true);
        head.headers.insert(AUTHORIZATION, value);
        Ok(())
    }
}
