//! `linetapd` with `[api]`: store, service and server together, against a stand-in for the data
//! plane, over the API's Unix socket.

mod crash;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::linetapd;
use crate::common::process::{Background, wait_for};
use crate::common::stand_in::StandIn;
use crate::common::{CONFIG, TEMPLATE, checked_config, checked_template, with};
use engine::snapshot::MemberHealth;
use nix::sys::signal::Signal;

/// The files of an API on a free port.
fn put(dir: &Path, config: &str) {
    linetapd::put(dir, "listen = \"127.0.0.1:0\"\n", config, "");
    fs::write(dir.join("t.yaml"), TEMPLATE).unwrap();
}

fn start(dir: &Path, more: &[&str]) -> Background {
    linetapd::start(dir, more, 1)
}

/// Asks over the Unix socket; the status and the body, or nothing when the connection breaks.
fn try_ask(dir: &Path, query: &str) -> Option<(u16, String)> {
    let mut stream = UnixStream::connect(dir.join("api/api.sock")).ok()?;
    let version = if query.contains("TargetGroupArn") { "2015-12-01" } else { "2016-11-15" };
    let body = format!("Version={version}&Action={query}");
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ";
    write!(stream, "{head}{}\r\n\r\n{body}", body.len()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    body.contains("</").then(|| (status, body.to_owned()))
}

fn ask(dir: &Path, query: &str) -> (u16, String) {
    try_ask(dir, query).unwrap()
}

/// What stands in the first element of this name.
fn text(body: &str, element: &str) -> String {
    let (_, rest) = body.split_once(&format!("<{element}>")).unwrap();
    rest.split('<').next().unwrap().to_owned()
}

#[test]
fn what_was_answered_is_in_force_and_outlives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    put(dir, CONFIG);
    let stand_in = StandIn::start(&dir.join("dp.sock"));
    let mut daemon = start(dir, &[]);
    assert_eq!(stand_in.next_snapshot().filters.len(), 0, "the empty store is in force at once");

    let (status, body) = ask(dir, "CreateTrafficMirrorFilter&ClientToken=t");
    assert_eq!(status, 200, "{body}");
    let id = text(&body, "trafficMirrorFilterId");
    let snapshot = stand_in.next_snapshot();
    assert_eq!(snapshot.filters[0].id, id);
    daemon.signal(Signal::SIGKILL);
    daemon.end();

    let _daemon = start(dir, &[]);
    let again = stand_in.next_snapshot();
    assert_eq!(again.filters, snapshot.filters);
    assert!(again.epoch > snapshot.epoch);
    let (_, body) = ask(dir, "CreateTrafficMirrorFilter&ClientToken=t");
    assert_eq!(text(&body, "trafficMirrorFilterId"), id, "the token is remembered");
}

#[test]
fn template_and_api_stand_side_by_side_and_the_files_are_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    put(dir, CONFIG);
    let stand_in = StandIn::start(&dir.join("dp.sock"));
    let daemon = start(dir, &["--template", "t.yaml"]);
    assert_eq!(stand_in.next_snapshot().sessions.len(), 1);
    let session = "CreateTrafficMirrorSession&TrafficMirrorTargetId=T&TrafficMirrorFilterId=F";
    let (status, body) = ask(dir, &format!("{session}&NetworkInterfaceId=eni-b&SessionNumber=1"));
    assert_eq!(status, 200, "{body}");
    let id = text(&body, "trafficMirrorSessionId");
    assert_eq!(stand_in.next_snapshot().sessions[1].id, id);
    let (_, body) = ask(dir, "DescribeTrafficMirrorSessions");
    assert!(body.contains("<trafficMirrorSessionId>S<") && body.contains(&id), "{body}");
    let (status, body) = ask(dir, "DeleteTrafficMirrorSession&TrafficMirrorSessionId=S");
    assert_eq!((status, text(&body, "Code").as_str()), (400, "OperationNotPermitted"));

    // A file that does not go with what the API made changes nothing.
    fs::write(dir.join("t.yaml"), "Resources: {}").unwrap();
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for("there is no filter \"F\"", 1);
    assert!(stand_in.is_idle());
    fs::write(dir.join("t.yaml"), TEMPLATE).unwrap();

    put(dir, &with(CONFIG, "id = \"eni-b\"", "id = \"eni-c\""));
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for(&format!("session {id} is deleted"), 1);
    assert_eq!(stand_in.next_snapshot().sessions.len(), 1);
    let (_, body) = ask(dir, "DescribeTrafficMirrorSessions");
    assert!(!body.contains(&id), "{body}");
}

#[test]
fn members_that_were_changed_stay_so_and_what_contradicts_the_file_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    put(dir, CONFIG);
    let stand_in = StandIn::start(&dir.join("dp.sock"));
    let mut daemon = start(dir, &[]);
    stand_in.next_snapshot();
    let (status, body) = ask(dir, "CreateTrafficMirrorTarget&NetworkLoadBalancerArn=arn:nlb");
    assert_eq!(status, 200, "{body}");
    let members = || {
        let members = stand_in.next_snapshot().targets[0].members.clone();
        members.into_iter().map(|it| it.address.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(members(), ["192.0.2.11", "2001:db8::11"]);
    let ask_of = |action: &str, address: &str| {
        let query = format!("{action}&TargetGroupArn=arn:nlb&Targets.member.1.Id={address}");
        let (status, body) = ask(dir, &query);
        assert_eq!(status, 200, "{body}");
    };
    ask_of("RegisterTargets", "10.0.0.7");
    assert_eq!(members(), ["192.0.2.11", "2001:db8::11", "10.0.0.7"]);
    ask_of("DeregisterTargets", "2001:db8::11");
    assert_eq!(members(), ["192.0.2.11", "10.0.0.7"]);
    daemon.signal(Signal::SIGKILL);
    daemon.end();

    let daemon = start(dir, &[]);
    assert_eq!(members(), ["192.0.2.11", "10.0.0.7"]);
    put(dir, &with(CONFIG, "gateway = [\"192.0.2.254\"]", ""));
    daemon.signal(Signal::SIGHUP);
    let told = "tool arn:nlb: member 10.0.0.7 was added at run time, and can't be reached any more";
    daemon.wait_for(told, 1);
    assert_eq!(members(), ["192.0.2.11"]);
}

#[test]
fn a_data_plane_that_is_late_or_away_is_told_and_gets_the_change_later() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    put(dir, CONFIG);
    let daemon = start(dir, &[]);
    let (status, body) = ask(dir, "CreateTrafficMirrorFilter&ClientToken=t");
    assert_eq!((status, text(&body, "Code").as_str()), (503, "Unavailable"));
    assert!(body.contains("is stored (revision 1)") && body.contains("no data plane"), "{body}");
    let stand_in = StandIn::start(&dir.join("dp.sock"));
    assert_eq!(stand_in.next_snapshot().filters.len(), 1);
    daemon.wait_for("is accepted", 1);
    let (status, _) = ask(dir, "CreateTrafficMirrorFilter&ClientToken=t");
    assert_eq!(status, 200);
    stand_in.refuse("the worker on core 3 is stuck");
    let (status, body) = ask(dir, "CreateTrafficMirrorFilter");
    assert_eq!(status, 503);
    assert!(body.contains("is stored (revision 2)") && body.contains("core 3 is stuck"), "{body}");
    let (_, body) = ask(dir, "DescribeTrafficMirrorFilters");
    assert_eq!(body.matches("<trafficMirrorFilterId>").count(), 2);
}

/// The virtual environment with boto3 and the AWS command line.
fn clients() -> Option<PathBuf> {
    let clients = std::env::var_os("LINETAP_CLIENTS").map(PathBuf::from);
    if clients.is_none() {
        eprintln!("LINETAP_CLIENTS names no virtual environment: no client is run");
    }
    clients
}

/// What a script of `tests/clients` says of a daemon; it must end well.
fn told_by(clients: &Path, script: &str, daemon: &Background, more: &[&str]) -> String {
    let log = daemon.log();
    let (_, rest) = log.split_once("the API listens on ").unwrap();
    let address = rest.split_whitespace().next().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
    let mut command = Command::new(clients.join("bin/python"));
    let done = command.arg(script).arg(format!("http://{address}")).args(more).output().unwrap();
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    let fault = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{told}\n{fault}\n{}", daemon.log());
    told
}

fn put_key(dir: &Path) {
    let key = "[[key]]\nid = \"AKIDEXAMPLE\"\nsecret = \"secret-of-the-example-key\"\n\
               account = \"111111111111\"\naccess = \"read-write\"\n";
    fs::write(dir.join("keys.toml"), key).unwrap();
}

#[test]
fn real_clients_find_what_they_expect() {
    let Some(clients) = clients() else { return };
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let nlb = "arn:aws:elasticloadbalancing:us-east-1:111111111111:loadbalancer/net/nlb/\
               0123456789abcdef";
    let tools = "[[tool]]\nid = \"eni-tool2\"\nport = \"tool\"\naddress = \"192.0.2.12\"\n\
                 [[tool]]\nid = \"vpce-0123456789abcdef0\"\nport = \"tool\"\naddress = \"192.0.2.13\"\n";
    put(dir, &format!("{}{tools}", with(CONFIG, "arn:nlb", nlb)));
    put_key(dir);
    let _stand_in = StandIn::start(&dir.join("dp.sock"));
    let daemon = start(dir, &[]);
    let told = told_by(&clients, "scenarios.py", &daemon, &[]);
    assert!(told.contains("all 16 scenarios are as expected"), "{told}");
    let told = told_by(&clients, "every_option.py", &daemon, &[]);
    assert!(told.starts_with("19 commands with all "), "{told}");
}

#[test]
fn what_a_client_tries_again_is_made_once() {
    let Some(clients) = clients() else { return };
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    // Some requests come too soon, and of the changes that are stored some are not in force at once.
    let limits = "[api.limits]\nrequests_per_second = 20\nrequest_burst = 10\n";
    put(dir, &format!("{CONFIG}{limits}"));
    put_key(dir);
    let stand_in = StandIn::start(&dir.join("dp.sock"));
    let daemon = start(dir, &[]);
    stand_in.refuse_every(3, "the worker on core 3 is late");
    let told = told_by(&clients, "retries.py", &daemon, &["20"]);
    let log = daemon.log();
    assert!(told.starts_with("20 filters") && log.contains("core 3 is late"), "{told}\n{log}");
}

#[test]
fn a_store_of_somebody_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    put(dir, CONFIG);
    fs::create_dir(dir.join("control")).unwrap();
    fs::write(
        dir.join("control/control.db"),
        "a letter to a friend, long enough to be read".repeat(20),
    )
    .unwrap();
    let mut daemon = Background::start(&mut linetapd::command(dir), &dir.join("log"));
    assert_eq!(daemon.end().code(), Some(1));
    wait_for(|| daemon.log().contains("is no store of linetap"), || daemon.log());
}

#[test]
fn members_that_come_by_the_api_are_checked_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let tool = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = tool.local_addr().unwrap().port();
    std::thread::spawn(move || tool.incoming().for_each(drop));
    put(dir, &checked_config(&["127.0.0.2"], port));
    fs::write(dir.join("t.yaml"), checked_template()).unwrap();
    let stand_in = StandIn::start(&dir.join("dp.sock"));
    let daemon = start(dir, &["--template", "t.yaml"]);
    let elb = |query: &str| ask(dir, &format!("{query}&TargetGroupArn=arn:nlb"));
    let (status, body) = elb("RegisterTargets&Targets.member.1.Id=127.0.0.3");
    assert_eq!(status, 200, "{body}");
    daemon.wait_for("tool arn:nlb: 127.0.0.3 is unhealthy: connection refused", 1);
    let is_down = |body: &str| {
        let (_, of_second) = body.split_once("127.0.0.3").unwrap();
        text(of_second, "State") == "unhealthy"
    };
    wait_for(|| is_down(&elb("DescribeTargetHealth").1), || daemon.log());
    let (_, body) = elb("DescribeTargetHealth");
    assert_eq!(text(&body, "State"), "healthy", "the first one: {body}");
    assert!(
        body.contains("Target.FailedHealthChecks") && body.contains("connection refused"),
        "{body}"
    );
    let members = stand_in.last_snapshot().unwrap().targets.swap_remove(0).members;
    let health: Vec<_> = members.iter().map(|member| member.health).collect();
    assert_eq!(health, [MemberHealth::Active, MemberHealth::Down]);
}
