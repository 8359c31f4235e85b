//! A client that signs as clients do, and says what it likes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use axum::http::Request;
use control::ec2::auth::{Spelling, canonical_request, signature};
use jiff::{SignedDuration, Timestamp};

/// Longer than anything takes that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// A reply as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    /// Status and EC2 error code.
    pub(crate) fn refusal(&self) -> (u16, &str) {
        (self.status, between(&self.body, "<Code>", "</Code>"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(held, _)| held.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value)
    }
}

pub(crate) fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    let rest = text.split_once(start).unwrap_or_else(|| panic!("no {start} in {text}")).1;
    rest.split_once(end).unwrap().0
}

/// A signed POST of these bytes, ready to send.
pub(crate) fn post(key: (&str, &str), body: &str) -> String {
    post_at(key, body, Timestamp::now())
}

/// The same, signed so many seconds ago.
pub(crate) fn post_aged(key: (&str, &str), body: &str, seconds: i64) -> String {
    post_at(key, body, Timestamp::now() - SignedDuration::from_secs(seconds))
}

fn post_at((id, secret): (&str, &str), body: &str, when: Timestamp) -> String {
    let date = when.strftime("%Y%m%dT%H%M%SZ").to_string();
    let names = "content-type;host;x-amz-date";
    let request = Request::post("/")
        .header("host", "tap")
        .header("content-type", FORM)
        .header("x-amz-date", &date)
        .body(())
        .unwrap();
    let hash = hex::encode(ring::digest::digest(&ring::digest::SHA256, body.as_bytes()));
    let head = request.into_parts().0;
    let text = canonical_request(&head, names, &hash, Spelling::Canonical).unwrap();
    let scope = format!("{}/us-east-1/ec2/aws4_request", &date[..8]);
    let signature = signature(secret, &date, &scope, &text);
    format!(
        "POST / HTTP/1.1\r\nHost: tap\r\nContent-Type: {FORM}\r\nX-Amz-Date: {date}\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, \
         Signature={signature}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends a request on a connection of its own, and takes the reply.
pub(crate) fn ask(address: SocketAddr, request: &str) -> Reply {
    ask_on(&mut connect(address), request)
}

pub(crate) fn ask_on(stream: &mut (impl Read + Write), request: &str) -> Reply {
    stream.write_all(request.as_bytes()).unwrap();
    reply(stream).unwrap()
}

/// The next reply on a connection. Errors: it ends before.
pub(crate) fn reply(stream: &mut impl Read) -> io::Result<Reply> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut found = Reply { status, head, body: String::new() };
    let length = found.header("content-length").unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    found.body = String::from_utf8(body).unwrap();
    Ok(found)
}

/// True when the other end closes without another word; false when it says something.
pub(crate) fn is_closed(stream: &mut impl Read) -> bool {
    match stream.read(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => true,
        Err(error) => panic!("neither closed nor answered: {error}"),
    }
}
