//! Clients that send too much, too slowly, too often, or all at once.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use super::client::{ask, ask_on, connect, is_closed, post, reply};
use super::site::{SLOW, Site, WRITER};

const DESCRIBE: &str = "Action=DescribeTags&Version=2016-11-15";
/// What slow clients get.
const TIMEOUT: Duration = Duration::from_secs(1);

fn impatient() -> Site {
    Site::with(|config| config.limits.client_timeout = TIMEOUT)
}

#[test]
fn a_body_of_the_limit_is_taken_and_a_larger_one_is_not() {
    let site = Site::with(|config| config.limits.body_bytes = 1024);
    let body = |length: usize| format!("{DESCRIBE}&x={}", "x".repeat(length - DESCRIBE.len() - 3));
    assert_eq!(ask(site.address, &post(WRITER, &body(1024))).status, 200);
    let refused = ask(site.address, &post(WRITER, &body(1025)));
    assert_eq!(refused.refusal(), (413, "RequestEntityTooLarge"));
    assert!(refused.body.contains("more than 1024 bytes"));
    assert_eq!(refused.header("connection"), Some("close"));
    // Its length isn't told beforehand.
    let plain = post(WRITER, &body(2048));
    let (head, text) = plain.split_once("\r\n\r\n").unwrap();
    let head = head.replace("Content-Length: 2048", "Transfer-Encoding: chunked");
    let chunked = format!("{head}\r\n\r\n800\r\n{text}\r\n0\r\n\r\n");
    assert_eq!(ask(site.address, &chunked).refusal(), (413, "RequestEntityTooLarge"));
    assert_eq!(site.times_asked(), 1);
}

#[test]
fn a_chunked_body_is_as_good() {
    let site = Site::start();
    let plain = post(WRITER, DESCRIBE);
    let (head, text) = plain.split_once("\r\n\r\n").unwrap();
    let length = format!("Content-Length: {}", DESCRIBE.len());
    let head = head.replace(&length, "Transfer-Encoding: chunked");
    let (first, rest) = text.split_at(10);
    let chunked = format!("{head}\r\n\r\na\r\n{first}\r\n{:x}\r\n{rest}\r\n0\r\n\r\n", rest.len());
    assert_eq!(ask(site.address, &chunked).status, 200);
}

#[test]
fn a_long_body_of_a_stranger_is_not_waited_for() {
    let site = impatient();
    let mut stream = connect(site.address);
    // A gigabyte is promised, and nothing comes.
    let head = "POST / HTTP/1.1\r\nHost: tap\r\nContent-Length: 1073741824\r\n\r\n";
    let start = Instant::now();
    let refused = ask_on(&mut stream, head);
    assert_eq!(refused.refusal(), (403, "MissingAuthenticationToken"));
    assert!(start.elapsed() < TIMEOUT * 3);
    assert!(is_closed(&mut stream), "what follows can't be told from the body");
}

#[test]
fn a_head_over_the_limit_is_refused() {
    let site = Site::with(|config| config.limits.header_bytes = 8192);
    let with = |bytes: usize| {
        let more = format!("X-More: {}\r\nAuthorization:", "x".repeat(bytes));
        post(WRITER, DESCRIBE).replacen("Authorization:", &more, 1)
    };
    assert_eq!(ask(site.address, &with(7000)).status, 200);
    let mut stream = connect(site.address);
    stream.write_all(with(9000).as_bytes()).unwrap();
    assert_eq!(reply(&mut stream).unwrap().status, 431);
    let many = "X: y\r\n".repeat(200) + "Authorization:";
    let many = post(WRITER, DESCRIBE).replacen("Authorization:", &many, 1);
    assert_eq!(ask(site.address, &many).status, 431);
    assert_eq!(site.times_asked(), 1);
}

#[test]
fn whoever_is_slow_is_let_go() {
    let site = impatient();
    let request = post(WRITER, DESCRIBE);
    let (head, _) = request.split_once("\r\n\r\n").unwrap();
    scope(|scope| {
        scope.spawn(|| {
            // A head that comes byte by byte.
            let mut stream = connect(site.address);
            let start = Instant::now();
            for byte in head.bytes() {
                sleep(Duration::from_millis(50));
                if stream.write_all(&[byte]).is_err() || start.elapsed() > TIMEOUT * 2 {
                    break;
                }
            }
            assert!(is_silent_end(&mut stream));
            assert!(start.elapsed() < TIMEOUT * 5);
        });
        scope.spawn(|| {
            // Nothing at all; and then nothing after a request.
            assert!(is_silent_end(&mut connect(site.address)));
            let mut stream = connect(site.address);
            assert_eq!(ask_on(&mut stream, &request).status, 200);
            assert!(is_silent_end(&mut stream));
        });
        scope.spawn(|| {
            // A body that never ends.
            let mut stream = connect(site.address);
            let late = ask_on(&mut stream, &request[..request.len() - 1]);
            assert_eq!(late.refusal(), (408, "RequestTimeout"));
            assert!(is_closed(&mut stream));
        });
    });
    assert_eq!(site.times_asked(), 1);
    assert_eq!(ask(site.address, &request).status, 200, "others are served");
}

/// True when the connection ends within what the limit and a busy machine need.
fn is_silent_end(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(TIMEOUT * 8)).unwrap();
    // Some are told a status first.
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"),
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn whoever_takes_no_answer_is_let_go() {
    let site = Site::with(|config| {
        config.limits.client_timeout = TIMEOUT;
        config.limits.connections = 1;
    });
    let mut deaf = connect(site.address);
    deaf.write_all(post(WRITER, "Action=DescribeAtLength").as_bytes()).unwrap();
    // The only place is free again although the first client neither reads nor leaves.
    assert_eq!(ask(site.address, &post(WRITER, DESCRIBE)).status, 200);
    drop(deaf);
}

#[test]
fn a_slow_answer_is_waited_for() {
    let site = Site::with(|config| config.limits.client_timeout = SLOW / 2);
    assert_eq!(ask(site.address, &post(WRITER, "Action=DescribeSlowly")).status, 200);
}

#[test]
fn pipelined_requests_are_answered_one_by_one_each_with_its_own_right() {
    let site = Site::start();
    let good = post(WRITER, DESCRIBE);
    let bad = post((WRITER.0, "not the secret of it"), "Action=DeleteTags");
    let mut stream = connect(site.address);
    stream.write_all(format!("{good}{bad}{good}{good}").as_bytes()).unwrap();
    let replies: Vec<_> = (0..4).map(|_| reply(&mut stream).unwrap()).collect();
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [200, 401, 200, 200]);
    let ids: std::collections::HashSet<_> =
        replies.iter().map(|reply| reply.header("x-amzn-requestid").unwrap()).collect();
    assert_eq!(ids.len(), 4);
    let asked = site.asked.lock().unwrap();
    assert!(asked.iter().all(|(_, params)| params.0[0].1 == "DescribeTags"));
    assert_eq!(asked.len(), 3);
}

#[test]
fn a_request_hidden_in_a_body_is_none() {
    let site = Site::start();
    let hidden = post(WRITER, "Action=DeleteTags");
    let outer = post((WRITER.0, "not the secret of it"), &hidden);
    let mut stream = connect(site.address);
    assert_eq!(ask_on(&mut stream, &outer).status, 401);
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(is_closed(&mut stream), "there was one request and one reply");
    // With both lengths the connection must end, whichever was believed.
    let both = outer.replacen("Content-Length", "Transfer-Encoding: chunked\r\nContent-Length", 1);
    let mut stream = connect(site.address);
    let refused = ask_on(&mut stream, &both);
    assert!(refused.status >= 400);
    assert!(is_closed(&mut stream));
    assert_eq!(site.times_asked(), 0);
}

#[test]
fn an_address_has_no_more_than_its_connections() {
    let site = Site::with(|config| config.limits.connections_per_address = 2);
    let request = post(WRITER, DESCRIBE);
    let mut kept = [connect(site.address), connect(site.address)];
    for stream in &mut kept {
        assert_eq!(ask_on(stream, &request).status, 200);
    }
    assert!(is_closed(&mut connect(site.address)));
    drop(kept);
    let start = Instant::now();
    while is_refused(&site, &request) {
        assert!(start.elapsed() < Duration::from_secs(10), "the places are never free again");
        sleep(Duration::from_millis(20));
    }
}

fn is_refused(site: &Site, request: &str) -> bool {
    let mut stream = connect(site.address);
    stream.write_all(request.as_bytes()).is_err() || reply(&mut stream).is_err()
}

#[test]
fn a_full_house_lets_the_next_wait_until_there_is_room() {
    let site = Site::with(|config| config.limits.connections = 1);
    let request = post(WRITER, DESCRIBE);
    let mut first = connect(site.address);
    assert_eq!(ask_on(&mut first, &request).status, 200);
    let mut second = connect(site.address);
    second.write_all(request.as_bytes()).unwrap();
    second.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(reply(&mut second).is_err(), "there was no room");
    drop(first);
    second.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(reply(&mut second).unwrap().status, 200);
}

#[test]
fn a_key_that_asks_too_often_is_told_so() {
    let site = Site::with(|config| {
        config.limits.request_burst = 2;
        config.limits.requests_per_second = 1;
    });
    let request = post(WRITER, DESCRIBE);
    let mut stream = connect(site.address);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let reply = ask_on(&mut stream, &request);
        if reply.status != 200 {
            assert_eq!(reply.refusal(), (503, "RequestLimitExceeded"));
        }
        statuses.push(reply.status);
    }
    assert_eq!(statuses, [200, 200, 503, 503]);
    assert_eq!(ask(site.address, &post(super::site::READER, DESCRIBE)).status, 200);
    // Strangers with the key's id take nothing of it.
    sleep(Duration::from_millis(1100));
    let forged = post((WRITER.0, "not the secret of it"), DESCRIBE);
    for _ in 0..3 {
        assert_eq!(ask_on(&mut stream, &forged).status, 401);
    }
    assert_eq!(ask_on(&mut stream, &request).status, 200);
}

#[test]
fn odd_requests_are_refused_and_the_rest_is_served() {
    let site = Site::start();
    let describe = post(WRITER, DESCRIBE);
    let answer = |from: &str, to: &str| ask(site.address, &describe.replacen(from, to, 1)).status;
    assert_eq!(answer("POST /", "POST /other"), 404);
    assert_eq!(answer("POST /", "POST //"), 404);
    assert_eq!(answer("POST /", "PUT /"), 405);
    assert_eq!(answer("POST / HTTP/1.1", "POST / HTTP/9.9"), 400);
    let odd = ask(site.address, &post(WRITER, "Action=DescribeTags&a=%zz"));
    assert_eq!(odd.refusal(), (400, "MalformedQueryString"));
    assert!(odd.body.contains("Parameter 2 has a \"%\" without"), "{odd:?}");
    assert_eq!(site.times_asked(), 0);
    assert_eq!(ask(site.address, &describe).status, 200);
}
