//! Traffic across the wire, and what became of it.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::lab::{Lab, SERVER};
use crate::process::{Background, run, wait_for};

/// The port of [`web_server`].
pub(crate) const WEB_PORT: u16 = 8080;

/// A web server on the server (both families) that serves the files of a directory.
pub(crate) fn web_server(lab: &Lab, dir: &Path) -> Background {
    let mut command = lab.exec("server", "python3");
    let port = WEB_PORT.to_string();
    command.args(["-m", "http.server", &port, "--bind", "::", "--directory"]).arg(dir);
    let server = Background::start(&mut command, &lab.file("web.log"));
    wait_for("the web server", || lab.sh("server", "ss -Hltn").contains(&format!(":{WEB_PORT} ")));
    server
}

/// Fetches a URL from the client; returns the SHA-256 of what arrived.
pub(crate) fn sha256_of_download(lab: &Lab, url: &str) -> String {
    let mut curl = lab
        .exec("client", "curl")
        .args(["--silent", "--show-error", "--fail", "--globoff", url])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let body = curl.stdout.take().unwrap();
    let sum = Command::new("sha256sum").stdin(body).output().unwrap();
    assert!(curl.wait().unwrap().success(), "curl {url}");
    first_word(&String::from_utf8_lossy(&sum.stdout))
}

/// A file of that many random bytes, and its SHA-256.
pub(crate) fn random_file(path: &Path, bytes: u64) -> String {
    let status = Command::new("head")
        .args(["-c", &bytes.to_string(), "/dev/urandom"])
        .stdout(std::fs::File::create(path).unwrap())
        .status();
    assert!(status.unwrap().success());
    first_word(&run(Command::new("sha256sum").arg(path)))
}

fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_owned()
}

/// Holds what a side sends to a rate, evenly: neither the wire nor the captures shall lose packets
/// because the sender bursts.
pub(crate) fn limit_rate(lab: &Lab, side: &str, mbit: u32) {
    let shaper = format!("rate {mbit}mbit burst 64kb latency 2s");
    lab.sh(side, &format!("tc qdisc replace dev wire0 root tbf {shaper}"));
}

/// What became of a stream of UDP datagrams.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UdpRun {
    /// Datagrams sent.
    pub(crate) sent: u64,
    /// Frames, of all kinds and in both directions, that entered the wire and did not leave it.
    pub(crate) lost: i64,
    /// Datagrams that overtook others.
    pub(crate) out_of_order: u64,
}

/// Sends that many UDP datagrams of 1000 bytes from the client to the server, at most at `mbit`.
pub(crate) fn udp(lab: &Lab, mbit: u32, datagrams: u32) -> UdpRun {
    let mut stream = UdpStream::start(lab, mbit, datagrams);
    stream.result()
}

/// Frames that are in the wire, or were lost there: what both ends have sent and not received. The
/// kernel counts them, whatever becomes of them in a socket.
pub(crate) fn in_the_wire(lab: &Lab) -> i64 {
    let count = |side: &str, counter: &str| -> i64 {
        let path = format!("/sys/class/net/wire0/statistics/{counter}_packets");
        lab.sh(side, &format!("cat {path}")).trim().parse().unwrap()
    };
    let received = count("client", "rx") + count("server", "rx");
    count("client", "tx") + count("server", "tx") - received
}

/// A stream of UDP datagrams under way.
pub(crate) struct UdpStream<'lab> {
    lab: &'lab Lab,
    in_the_wire_before: i64,
    _server: Background,
    client: Background,
}

impl<'lab> UdpStream<'lab> {
    /// Starts one from the client to the server.
    pub(crate) fn start(lab: &'lab Lab, mbit: u32, datagrams: u32) -> Self {
        let mut server = lab.exec("server", "iperf3");
        let server =
            Background::start(server.args(["--server", "--one-off"]), &lab.file("iperf3-s.log"));
        wait_for("iperf3's server", || lab.sh("server", "ss -Hltn").contains(":5201 "));
        let mut client = lab.exec("client", "iperf3");
        client.args(["--client", SERVER, "--udp", "--length", "1000", "--window", "4M", "--json"]);
        client.args(["--bitrate", &format!("{mbit}M"), "--blockcount", &datagrams.to_string()]);
        Self {
            lab,
            in_the_wire_before: in_the_wire(lab),
            _server: server,
            client: Background::start(&mut client, &lab.file("iperf3.log")),
        }
    }

    /// Waits for its end.
    pub(crate) fn result(&mut self) -> UdpRun {
        self.client.wait();
        let json: Value = serde_json::from_str(&self.client.log())
            .unwrap_or_else(|error| panic!("{error}:\n{}", self.client.log()));
        let sent = json["end"]["sum"]["packets"].as_u64();
        let streams = json["end"]["streams"].as_array().unwrap();
        let out_of_order =
            streams.iter().map(|one| one["udp"]["out_of_order"].as_u64().unwrap()).sum();
        UdpRun {
            sent: sent.unwrap_or_else(|| panic!("no count of datagrams: {json:#}")),
            lost: in_the_wire(self.lab) - self.in_the_wire_before,
            out_of_order,
        }
    }
}
