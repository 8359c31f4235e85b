//! A request of any bytes: refused, or really signed; then not one byte of its body can be exchanged.
#![no_main]

use axum::http::Request;
use axum::http::request::Parts;
use control::ec2::auth::{Claim, Refusal, Secret};
use control::ec2::query::{PARAMS_MAX, pairs};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

/// When the seeds were signed.
const NOW: i64 = 1_795_443_916;
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// Method, target, headers, an empty line, the body; lines end as they do in a file.
fn request(bytes: &[u8]) -> Option<(Parts, &[u8])> {
    let end = bytes.windows(2).position(|two| two == b"\n\n")?;
    let mut lines = bytes[..end].split(|&byte| byte == b'\n');
    let mut words = lines.next()?.split(|&byte| byte == b' ');
    let mut request = Request::builder().method(words.next()?).uri(words.next()?);
    for line in lines {
        let colon = line.iter().position(|&byte| byte == b':')?;
        request = request.header(&line[..colon], line[colon + 1..].trim_ascii());
    }
    Some((request.body(()).ok()?.into_parts().0, &bytes[end + 2..]))
}

fuzz_target!(|bytes: &[u8]| {
    let Some((head, body)) = request(bytes) else { return };
    for text in [head.uri.query().unwrap_or_default().as_bytes(), body] {
        assert!(pairs(text).is_ok_and(|pairs| pairs.len() <= PARAMS_MAX) || pairs(text).is_err());
    }
    let now = Timestamp::from_second(NOW).unwrap();
    let Ok(claim) = Claim::of(&head, None, now) else { return };
    let secret = Secret::new(SECRET);
    let verdict = claim.prove(&head, body, &secret);
    assert!(claim.prove(&head, body, &Secret::new("another")).is_err());
    if verdict.is_ok() {
        let other = [body, b"&"].concat();
        assert_eq!(claim.prove(&head, &other, &secret), Err(Refusal::WrongSignature));
    }
});
