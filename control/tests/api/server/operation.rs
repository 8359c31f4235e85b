//! Starting, ending, and what goes wrong in between.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use control::config::Listen;
use control::server::ServeError;

use super::client::{ask, ask_on, connect, post};
use super::site::{SLOW, Site, WRITER};

const DESCRIBE: &str = "Action=DescribeTags&Version=2016-11-15";

#[test]
fn what_is_being_answered_ends_before_the_server() {
    let site = Site::start();
    let (address, socket) = (site.address, site.config.socket.clone());
    let mut idle = connect(address);
    assert_eq!(ask_on(&mut idle, &post(WRITER, DESCRIBE)).status, 200);
    scope(|scope| {
        let slow = scope.spawn(move || ask(address, &post(WRITER, "Action=DescribeSlowly")).status);
        let start = Instant::now();
        while site.times_asked() < 2 {
            assert!(start.elapsed() < Duration::from_secs(10));
            sleep(Duration::from_millis(5));
        }
        let start = Instant::now();
        site.handle.shutdown();
        assert!(start.elapsed() < SLOW + Duration::from_secs(2), "idle clients don't hold it up");
        assert_eq!(slow.join().unwrap(), 200);
    });
    assert!(TcpStream::connect(address).is_err());
    assert!(!socket.exists());
}

#[test]
fn a_fault_of_the_endpoint_is_an_answer_too() {
    let site = Site::start();
    let mut stream = connect(site.address);
    let refused = ask_on(&mut stream, &post(WRITER, "Action=DescribePanic"));
    assert_eq!(refused.refusal(), (500, "InternalError"));
    assert_eq!(ask_on(&mut stream, &post(WRITER, DESCRIBE)).status, 200);
    assert_eq!(site.audit()[0]["result"], "InternalError");
}

#[test]
fn addresses_that_are_taken_are_told() {
    let site = Site::start();
    let taken = Site::try_with(|config| {
        config.listen = vec![Listen { address: site.address, tls: false }];
    });
    let Err(ServeError::Listen { address, .. }) = taken else { panic!("it started") };
    assert_eq!(address, site.address.to_string());
    let taken = Site::try_with(|config| config.socket.clone_from(&site.config.socket));
    assert!(taken.is_err_and(|error| error.to_string().contains("end the linetapd")));
    assert!(UnixStream::connect(&site.config.socket).is_ok(), "the first one is unharmed");
}

#[test]
fn a_socket_that_was_left_behind_is_replaced() {
    let site = Site::with(|config| {
        drop(std::os::unix::net::UnixListener::bind(&config.socket).unwrap());
        assert!(config.socket.exists());
    });
    assert!(UnixStream::connect(&site.config.socket).is_ok());
}

#[test]
fn many_ask_at_once() {
    let site = Site::start();
    scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut stream = connect(site.address);
                for _ in 0..25 {
                    let body = "Action=CreateTrafficMirrorFilter";
                    assert_eq!(ask_on(&mut stream, &post(WRITER, body)).status, 200);
                }
            });
        }
    });
    assert_eq!(site.times_asked(), 400);
    assert_eq!(site.audit().len(), 800, "no record is lost, and none is torn");
}
