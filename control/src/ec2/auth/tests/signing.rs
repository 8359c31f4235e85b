//! What a client of our own signs: as botocore does, and proven by the server's side.

use super::{SECRET, Secret, Signer, Wire, now, vectors};
use crate::ec2::auth::Claim;

fn signer(region: &str) -> Signer {
    Signer {
        key_id: "AKIDEXAMPLE".to_owned(),
        secret: Secret::new(SECRET),
        token: None,
        region: region.to_owned(),
    }
}

/// The request without what a signature adds.
fn unsigned(wire: &Wire) -> Wire {
    let mut wire = wire.clone();
    let added = ["authorization", "x-amz-date"];
    wire.headers.retain(|(name, _)| !added.contains(&name.to_lowercase().as_str()));
    wire
}

#[test]
fn botocores_requests_get_botocores_signatures() {
    let usual = "SignedHeaders=content-type;host;x-amz-date,";
    let mut compared = 0;
    // What has a query botocore signs in two ways; ours have none.
    for wire in vectors().into_iter().filter(|wire| !wire.target.contains('?')) {
        let theirs = wire.headers.iter().find(|(name, _)| name == "Authorization");
        let Some((_, theirs)) = theirs.filter(|(_, value)| value.contains(usual)) else { continue };
        let region = theirs.split('/').nth(2).unwrap();
        let mut head = unsigned(&wire).head();
        signer(region).sign(&mut head, wire.body.as_bytes(), now()).unwrap();
        assert_eq!(head.headers["authorization"].to_str().unwrap(), theirs, "{wire:#?}");
        compared += 1;
    }
    assert!(compared > 20, "only {compared} were compared");
}

#[test]
fn what_is_signed_here_is_proven_here() {
    for wire in vectors().iter().filter(|wire| !wire.target.contains("X-Amz-")) {
        let mut head = unsigned(wire).head();
        signer("us-east-1").sign(&mut head, wire.body.as_bytes(), now()).unwrap();
        let claim = Claim::of(&head, Some("us-east-1"), now()).unwrap();
        let verdict = claim.prove(&head, wire.body.as_bytes(), &Secret::new(SECRET));
        assert_eq!(verdict, Ok(()), "{wire:#?}");
    }
}

#[test]
fn a_token_is_sent_and_signed() {
    let wire = unsigned(&super::vector("post value plain"));
    let mut head = wire.head();
    let signer = Signer { token: Some("token".to_owned()), ..signer("us-east-1") };
    signer.sign(&mut head, wire.body.as_bytes(), now()).unwrap();
    assert_eq!(head.headers["x-amz-security-token"], "token");
    let value = head.headers["authorization"].to_str().unwrap();
    assert!(value.contains("content-type;host;x-amz-date;x-amz-security-token,"), "{value}");
}
