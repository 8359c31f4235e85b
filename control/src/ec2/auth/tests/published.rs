//! AWS's published examples (its Signature Version 4 test suite), with the signatures it gives. They
//! are for a service called `service`, which no request here may be for, so they are signed only.

use axum::http::Request;

use super::SECRET;
use crate::ec2::auth::canonical::sha256;
use crate::ec2::auth::{Spelling, canonical_request, signature};

/// Name, method, target, further headers as lines, body, signature.
type Example<'e> = (&'e str, &'e str, &'e str, &'e [(&'e str, &'e str)], &'e str, &'e str);

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const EXAMPLES: &[Example<'_>] = &[
    (
        "get-vanilla",
        "GET",
        "/",
        &[],
        "",
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    (
        "post-vanilla",
        "POST",
        "/",
        &[],
        "",
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    ),
    (
        "get-vanilla-query-order-key-case",
        "GET",
        "/?Param2=value2&Param1=value1",
        &[],
        "",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    (
        "get-vanilla-empty-query-key",
        "GET",
        "/?Param1=value1",
        &[],
        "",
        "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
    ),
    (
        "get-vanilla-query-unreserved",
        "GET",
        "/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=\
      -._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        &[],
        "",
        "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    ),
    (
        "get-header-key-duplicate",
        "GET",
        "/",
        &[("My-Header1", "value2"), ("My-Header1", "value2"), ("My-Header1", "value1")],
        "",
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    (
        "get-header-value-trim",
        "GET",
        "/",
        &[("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")],
        "",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    (
        "get-unreserved",
        "GET",
        "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        &[],
        "",
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
    (
        "normalize-path get-relative",
        "GET",
        "/example/..",
        &[],
        "",
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    (
        "normalize-path get-slashes",
        "GET",
        "//",
        &[],
        "",
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    (
        "post-header-key-sort",
        "POST",
        "/",
        &[("My-Header1", "value1")],
        "",
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    (
        "post-x-www-form-urlencoded",
        "POST",
        "/",
        &[FORM],
        "Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
];

#[test]
fn awss_examples_get_their_signatures() {
    for (name, method, target, headers, body, expected) in EXAMPLES {
        let mut request = Request::builder()
            .method(*method)
            .uri(*target)
            .header("Host", "example.amazonaws.com")
            .header("X-Amz-Date", "20150830T123600Z");
        let mut names = vec!["host".to_owned(), "x-amz-date".to_owned()];
        for (name, value) in *headers {
            request = request.header(*name, *value);
            names.push(name.to_lowercase());
        }
        names.sort();
        names.dedup();
        let head = request.body(()).unwrap().into_parts().0;
        let body = sha256(body.as_bytes());
        let text = canonical_request(&head, &names.join(";"), &body, Spelling::Canonical).unwrap();
        let scope = "20150830/us-east-1/service/aws4_request";
        let signed = signature(SECRET, "20150830T123600Z", scope, &text);
        assert_eq!(signed, *expected, "{name}: {}", String::from_utf8_lossy(&text));
    }
}
