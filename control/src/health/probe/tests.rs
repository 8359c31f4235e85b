//! Checks of fake tools on addresses of the loopback interface: they answer, refuse, hang, object.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Instant;

use tokio::runtime::Builder;

use super::super::echo::EchoSockets;
use super::*;
use crate::config::HealthCheck;

/// Short: some fakes never answer.
const PATIENCE: Duration = Duration::from_millis(300);

fn subject(address: [u8; 4], probe: Probe) -> Subject {
    let check = HealthCheck {
        probe,
        interval: PATIENCE,
        timeout: PATIENCE,
        healthy_threshold: 2,
        unhealthy_threshold: 2,
    };
    let tool = "eni-tool".to_owned();
    let (address, source) = (Ipv4Addr::from(address).into(), Ipv4Addr::LOCALHOST.into());
    Subject { tool, address, source, check }
}

fn with_pinger<T>(test: impl AsyncFnOnce(&Pinger) -> T) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let pinger = Pinger::new(&EchoSockets::open()).unwrap();
        let listen = async {
            tokio::join!(pinger.listen(false), pinger.listen(true));
            // Where there are no such sockets, they end at once.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            outcome = test(&pinger) => outcome,
            () = listen => unreachable!(),
        }
    })
}

/// A tool at this address that does so with each connection, and its port.
fn tool(address: [u8; 4], serve: impl Fn(TcpStream) + Send + Copy + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::from(address), 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || serve(stream.unwrap()));
        }
    });
    port
}

/// Answers one request with these bytes.
fn answer(mut stream: TcpStream, reply: &'static [u8]) {
    let mut request = [0; 1024];
    let len = stream.read(&mut request).unwrap();
    let text = String::from_utf8_lossy(&request[..len]).into_owned();
    assert!(text.starts_with("GET /well?x=1 HTTP/1.1\r\n"), "{text}");
    assert!(
        text.contains("\r\nhost: 127.0.0.") && text.contains("\r\nconnection: close"),
        "{text}"
    );
    stream.write_all(reply).unwrap();
    // The rest is never sent; nobody may wait for it.
    let _ = stream.read(&mut request);
}

/// A port where nobody listens.
fn closed_port(address: [u8; 4]) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::from(address), 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn failed(reason: &str) -> Outcome {
    let cause = match reason {
        _ if reason.starts_with("HTTP") => Cause::WrongStatus,
        _ if reason.starts_with("no answer") => Cause::Timeout,
        _ => Cause::Failed,
    };
    Outcome::Failed(cause, reason.to_owned())
}

#[test]
fn a_tcp_port_is_open_or_refuses() {
    with_pinger(async |pinger| {
        let at = [127, 0, 0, 2];
        let port = tool(at, |_| ());
        assert_eq!(probe(&subject(at, Probe::Tcp { port }), pinger).await, Outcome::Passed);
        let port = closed_port(at);
        let refused = probe(&subject(at, Probe::Tcp { port }), pinger).await;
        assert_eq!(refused, failed("connection refused"));
    });
}

#[test]
fn the_status_of_a_page_decides_and_its_body_is_not_awaited() {
    let replies: [(&[u8], Outcome); 6] = [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n<html>", Outcome::Passed),
        (b"HTTP/1.0 399 Odd\r\n\r\n", Outcome::Passed),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", failed("HTTP 400")),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", failed("HTTP 503")),
        (b"SSH-2.0-OpenSSH_9.2\r\n", failed("the answer is no HTTP")),
        (b"HTTP/1.1 2", failed("no answer in 0.3 s")),
    ];
    with_pinger(async |pinger| {
        for (at, (reply, outcome)) in (3..).zip(replies) {
            let at = [127, 0, 0, at];
            let port = tool(at, move |stream| answer(stream, reply));
            let path = "/well?x=1".to_owned();
            let found = probe(&subject(at, Probe::Http { port, path }), pinger).await;
            assert_eq!(found, outcome, "{}", String::from_utf8_lossy(reply));
        }
    });
}

#[test]
fn a_page_that_never_comes_or_never_ends_fails_in_time() {
    with_pinger(async |pinger| {
        let at = [127, 0, 0, 9];
        let path = "/".to_owned();
        let hangs =
            tool(at, |mut stream| while stream.read(&mut [0; 1024]).is_ok_and(|len| len > 0) {});
        let closes = tool(at, |mut stream| {
            assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
        });
        let floods = tool(at, |mut stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").unwrap();
            while stream.write_all(b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n").is_ok() {}
        });
        let start = Instant::now();
        let ask = async |port| {
            let path = path.clone();
            probe(&subject(at, Probe::Http { port, path }), pinger).await
        };
        assert_eq!(ask(hangs).await, failed("no answer in 0.3 s"));
        assert!(start.elapsed() >= PATIENCE);
        assert_eq!(ask(closes).await, failed("connection closed without an answer"));
        assert!(matches!(ask(floods).await, Outcome::Failed(Cause::Failed, _)));
        assert!(start.elapsed() < 10 * PATIENCE);
    });
}

#[test]
fn a_vxlan_port_objects_or_is_silent() {
    with_pinger(async |pinger| {
        let at = [127, 0, 0, 10];
        let receiver = UdpSocket::bind((Ipv4Addr::from(at), 0)).await.unwrap();
        let port = receiver.local_addr().unwrap().port();
        assert_eq!(probe(&subject(at, Probe::Vxlan { port }), pinger).await, Outcome::Passed);
        let mut datagram = [0xff; 64];
        let len = receiver.recv(&mut datagram).await.unwrap();
        assert_eq!(datagram[..len], [0; 8], "no flag, no VNI, no frame");
        // Not even what answers makes it wait longer, or fail.
        receiver.send_to(&[1; 60], (Ipv4Addr::LOCALHOST, 9)).await.unwrap();
        drop(receiver);
        let closed = probe(&subject(at, Probe::Vxlan { port }), pinger).await;
        assert_eq!(closed, failed("connection refused"));
    });
}

#[test]
fn echoes_are_answered_by_who_was_asked() {
    let at = [127, 0, 0, 11];
    if let Some(lack) = EchoSockets::open().lack(Ipv4Addr::from(at).into()) {
        eprintln!("left out: {lack}");
        return;
    }
    with_pinger(async |pinger| {
        let (one, other) = (subject(at, Probe::Icmp), subject([127, 0, 0, 12], Probe::Icmp));
        let both = tokio::join!(probe(&one, pinger), probe(&other, pinger));
        assert_eq!(both, (Outcome::Passed, Outcome::Passed));
    });
}

#[test]
fn what_the_kernel_can_not_ask_from_says_nothing_of_a_member() {
    with_pinger(async |pinger| {
        for check in [Probe::Icmp, Probe::Tcp { port: 1 }, Probe::Vxlan { port: 1 }] {
            // Nobody has an address of a network for documentation (RFC 5737).
            let foreign = Subject {
                source: Ipv4Addr::new(203, 0, 113, 1).into(),
                ..subject([127, 0, 0, 14], check)
            };
            assert!(matches!(probe(&foreign, pinger).await, Outcome::Unable(_)));
        }
    });
}
