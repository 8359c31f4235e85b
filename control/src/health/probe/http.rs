//! `GET` over HTTP/1.1: its status decides.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use engine::snapshot::Cause;
use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::Builder;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::super::gauge::Outcome;

/// The success codes of target groups (`Matcher` of a Network Load Balancer).
const HEALTHY: RangeInclusive<u16> = 200..=399;
/// More than headers need that are read for their first line.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Asks for a path and reads the head of the answer; the body is left where it is.
pub(super) async fn get(stream: TcpStream, at: SocketAddr, path: &str) -> Outcome {
    let request = Request::get(path)
        .header(HOST, at.to_string())
        .header(USER_AGENT, concat!("linetap-health-check/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new());
    let request = match request {
        Ok(request) => request,
        Err(error) => return Outcome::Unable(error.to_string()),
    };
    let mut builder = Builder::new();
    builder.max_buf_size(HEAD_BYTES_MAX);
    let (mut sender, connection) = match builder.handshake(TokioIo::new(stream)).await {
        Ok(begun) => begun,
        Err(error) => return Outcome::Failed(Cause::Failed, fault(&error)),
    };
    // Ends with this function, whatever is left to read.
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    match sender.send_request(request).await {
        Ok(reply) if HEALTHY.contains(&reply.status().as_u16()) => Outcome::Passed,
        Ok(reply) => {
            let why = format!("HTTP {}", reply.status().as_u16());
            Outcome::Failed(Cause::WrongStatus, why)
        }
        Err(error) => Outcome::Failed(Cause::Failed, fault(&error)),
    }
}

fn fault(error: &hyper::Error) -> String {
    if error.is_parse() {
        return "the answer is no HTTP".to_owned();
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return "connection closed without an answer".to_owned();
    }
    error.to_string()
}
