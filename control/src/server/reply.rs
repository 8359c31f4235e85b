//! HTTP replies: an endpoint's answer, or an error of the server's own, with EC2's headers.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};

use crate::ec2::auth::Refusal;
use crate::ec2::endpoint::Answer;

/// The request's id, also in the body; clients show it.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("text/xml;charset=UTF-8");
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("no-cache, no-store");

/// An error that needs no service to be known: code, status and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    code: &'static str,
    status: u16,
    message: String,
    /// True when the body was not read, so that nothing can follow on the connection.
    closes: bool,
}

impl Trouble {
    pub(super) fn new(code: &'static str, status: u16, message: impl Into<String>) -> Self {
        Self { code, status, message: message.into(), closes: false }
    }

    /// The same, after which the connection ends.
    pub(super) fn closing(self) -> Self {
        Self { closes: true, ..self }
    }

    /// The answer with EC2's error body.
    pub(super) fn answer(&self, request_id: &str) -> Answer {
        let (code, message) = (self.code, escape(&self.message));
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error>\
             </Errors><RequestID>{request_id}</RequestID></Response>"
        );
        Answer { status: self.status, body }
    }

    pub(super) fn reply(&self, request_id: &str) -> Response<Body> {
        let mut reply = reply(self.answer(request_id), request_id);
        if self.closes {
            let close = HeaderValue::from_static("close");
            reply.headers_mut().insert(header::CONNECTION, close);
        }
        reply
    }
}

impl From<&Refusal> for Trouble {
    fn from(refusal: &Refusal) -> Self {
        let (code, status) = refusal.code();
        Self::new(code, status, refusal.to_string())
    }
}

/// An answer as HTTP has it.
pub(super) fn reply(answer: Answer, request_id: &str) -> Response<Body> {
    let mut reply = Response::new(Body::from(answer.body));
    *reply.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
    headers.insert(header::CACHE_CONTROL, CACHE_CONTROL);
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    reply
}

/// The code of an answer: EC2's for an error, `OK` for the rest.
pub(super) fn code_of(answer: &Answer) -> &str {
    if answer.status < 300 {
        return "OK";
    }
    let code = answer.body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    code.map_or("Unknown", |(code, _)| code)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_ec2s_form() {
        let answer = Trouble::new("Code", 400, "a <b> & c").answer("id");
        assert_eq!(answer.status, 400);
        assert_eq!(code_of(&answer), "Code");
        assert!(answer.body.ends_with(
            "<Response><Errors><Error><Code>Code</Code><Message>a &lt;b&gt; &amp; c</Message>\
             </Error></Errors><RequestID>id</RequestID></Response>"
        ));
    }
}
