//! A connection that breaks, and a server that is busy: what is tried again, and what is not.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use control::client::{CallError, Connection, Ec2, Element};
use control::ec2::endpoint::Params;
use tempfile::TempDir;

/// What is done with a request.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Answer(u16, &'static str),
    /// The connection is closed without an answer.
    Hang,
    /// Nothing is said for long.
    Wait,
}

const DONE: Deed = Deed::Answer(200, "<R><requestId>r</requestId></R>");
const BUSY: Deed = Deed::Answer(
    503,
    "<Response><Errors><Error><Code>Unavailable</Code><Message>\
    stored</Message></Error></Errors></Response>",
);
const GONE: Deed = Deed::Answer(
    400,
    "<Response><Errors><Error><Code>InvalidTrafficMirrorFilterId\
    .NotFound</Code><Message>none</Message></Error></Errors></Response>",
);

/// A server that does one deed after another, over as many connections as it takes.
struct Scripted {
    _dir: TempDir,
    path: PathBuf,
    asked: Receiver<String>,
    connections: Arc<AtomicUsize>,
}

impl Scripted {
    fn new(deeds: &[Deed]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let (sender, asked) = channel();
        let deeds = deeds.to_vec();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        thread::spawn(move || {
            let mut deeds = deeds.into_iter().peekable();
            while deeds.peek().is_some() {
                let mut stream = BufReader::new(listener.accept().unwrap().0);
                count.fetch_add(1, Ordering::Relaxed);
                while let Some(body) = request(&mut stream) {
                    sender.send(body).unwrap();
                    match deeds.next() {
                        Some(Deed::Answer(status, body)) => answer(stream.get_mut(), status, body),
                        Some(Deed::Hang) | None => break,
                        Some(Deed::Wait) => thread::sleep(Duration::from_secs(30)),
                    }
                }
            }
        });
        Self { _dir: dir, path, asked, connections }
    }

    fn call(&self, action: &str) -> Result<Element, CallError> {
        let mut connection = Connection::by_socket(&self.path, Duration::from_secs(20)).unwrap();
        connection.call(action, &Params(Vec::new()))
    }

    /// The client tokens of what was asked.
    fn tokens(&self) -> Vec<String> {
        let token = |body: String| {
            let (_, token) = body.split_once("&ClientToken=").unwrap();
            token.to_owned()
        };
        self.asked.try_iter().map(token).collect()
    }
}

/// The body of the next request; `None` at the end of the connection.
fn request(stream: &mut BufReader<UnixStream>) -> Option<String> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|&bytes| bytes > 0)?;
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(String::from_utf8(body).unwrap())
}

fn answer(stream: &mut UnixStream, status: u16, body: &str) {
    let length = body.len();
    write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
}

#[test]
fn what_is_tried_again_bears_the_same_token() {
    let server = Scripted::new(&[BUSY, Deed::Hang, DONE]);
    server.call("CreateTrafficMirrorFilter").unwrap();
    let tokens = server.tokens();
    assert_eq!(tokens.len(), 3);
    assert!(tokens[0].len() >= 32 && tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    let other = Scripted::new(&[DONE]);
    other.call("CreateTrafficMirrorFilter").unwrap();
    assert_ne!(other.tokens()[0], tokens[0]);
}

#[test]
fn it_is_tried_three_times_and_no_more_and_refusals_not_again() {
    let server = Scripted::new(&[BUSY, BUSY, BUSY, DONE]);
    let refused = server.call("CreateTrafficMirrorFilter").unwrap_err();
    assert_eq!(refused.to_string(), "Unavailable: stored");
    assert_eq!(server.tokens().len(), 3);
    let server = Scripted::new(&[Deed::Hang, Deed::Hang, Deed::Hang, DONE]);
    let lost = server.call("CreateTrafficMirrorFilter").unwrap_err();
    assert!(lost.to_string().contains("closed the connection without an answer"), "{lost}");
    assert_eq!(server.tokens().len(), 3);
    let server = Scripted::new(&[GONE, DONE]);
    server.call("DescribeTrafficMirrorFilters").unwrap_err();
    assert_eq!(server.asked.try_iter().count(), 1);
}

#[test]
fn a_deletion_whose_answer_was_lost_is_one() {
    let delete = "DeleteTrafficMirrorFilter";
    assert!(Scripted::new(&[Deed::Hang, GONE]).call(delete).is_ok());
    assert!(Scripted::new(&[GONE]).call(delete).is_err());
    // It is gone, but nobody knows whether every worker obeys.
    let late = Scripted::new(&[BUSY, GONE]).call(delete).unwrap_err();
    assert_eq!(late.to_string(), "Unavailable: stored");
    let modify = Scripted::new(&[Deed::Hang, GONE]).call("ModifyTrafficMirrorSession");
    assert!(modify.unwrap_err().to_string().contains("NotFound"));
}

#[test]
fn a_member_whose_registration_was_tried_again_is_one() {
    const AGAIN: Deed = Deed::Answer(
        400,
        "<ErrorResponse><Error><Type>Sender</Type><Code>TargetAlreadyRegistered</Code>\
         <Message>m</Message></Error><RequestId>r</RequestId></ErrorResponse>",
    );
    const LATE: Deed = Deed::Answer(
        503,
        "<ErrorResponse><Error><Type>Sender</Type><Code>ServiceUnavailable</Code>\
         <Message>stored</Message></Error><RequestId>r</RequestId></ErrorResponse>",
    );
    let register = "RegisterTargets";
    assert!(Scripted::new(&[Deed::Hang, AGAIN]).call(register).is_ok());
    let twice = Scripted::new(&[AGAIN]).call(register).unwrap_err();
    assert_eq!(twice.to_string(), "TargetAlreadyRegistered: m");
    let late = Scripted::new(&[LATE, AGAIN]).call(register).unwrap_err();
    assert_eq!(late.to_string(), "ServiceUnavailable: stored");
    assert!(Scripted::new(&[Deed::Hang, AGAIN]).call("DeregisterTargets").is_err());
}

#[test]
fn an_answer_that_never_comes_is_not_waited_for() {
    let server = Scripted::new(&[Deed::Wait]);
    let mut connection = Connection::by_socket(&server.path, Duration::from_secs(1)).unwrap();
    let start = Instant::now();
    let late = connection.call("DescribeTags", &Params(Vec::new())).unwrap_err();
    assert!(late.to_string().contains("gave no answer within 1 s"), "{late}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn one_connection_serves_many_calls_and_is_made_anew_when_it_was_closed() {
    let server = Scripted::new(&[DONE, DONE, Deed::Hang, DONE]);
    let mut connection = Connection::by_socket(&server.path, Duration::from_secs(20)).unwrap();
    for _ in 0..3 {
        connection.call("DescribeTags", &Params(Vec::new())).unwrap();
    }
    assert_eq!(server.asked.try_iter().count(), 4);
    assert_eq!(server.connections.load(Ordering::Relaxed), 2);
}

#[test]
fn what_is_not_ec2_is_told_so() {
    for odd in [Deed::Answer(200, "{}"), Deed::Answer(404, "<html/>"), Deed::Answer(500, "")] {
        let told = Scripted::new(&[odd]).call("DescribeTags").unwrap_err().to_string();
        assert!(told.contains("is not EC2's API (HTTP status"), "{told}");
    }
}
