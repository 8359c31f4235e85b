//! Requests that real clients sent, recorded in the folder that `LINETAP_SHARED` names. They are
//! others' work: used in place.

use std::path::{Path, PathBuf};

use super::{Refusal, Wire};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

fn folder() -> Option<PathBuf> {
    let folder = Path::new(&std::env::var_os("LINETAP_SHARED")?).join("ec2-wire");
    folder.is_dir().then_some(folder)
}

/// All requests of a recording: each begins behind a line `--- request`.
fn requests(text: &str) -> Vec<Wire> {
    text.split("--- request\n").skip(1).filter_map(request).collect()
}

fn request(text: &str) -> Option<Wire> {
    let (head, rest) = text.split_once("\n\n")?;
    let mut lines = head.lines();
    let first = lines.next()?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let body = rest.get(..length)?.to_owned();
    Some(Wire { name: first.to_owned(), method, target, headers, body })
}

fn date(wire: &Wire) -> Timestamp {
    let date = wire.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("x-amz-date"));
    let date = DateTime::strptime("%Y%m%dT%H%M%SZ", &date.unwrap().1).unwrap();
    Offset::UTC.to_timestamp(date).unwrap()
}

#[test]
fn what_real_clients_sent_is_proven() {
    let Some(folder) = folder() else {
        eprintln!("left out: LINETAP_SHARED names no folder with recordings");
        return;
    };
    let (mut proven, mut with_token) = (0, 0);
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        // An imitation server's own client, whose secret is another.
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for wire in requests(&text).into_iter().filter(|wire| wire.body.contains("Action=")) {
            match wire.judge(date(&wire), None) {
                Ok(()) => proven += 1,
                Err(Refusal::SessionToken) => with_token += 1,
                Err(refusal) => panic!("{}: {refusal}: {wire:#?}", path.display()),
            }
        }
    }
    assert_eq!((proven, with_token), (70, 1));
}
