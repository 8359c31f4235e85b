//! What passes an interface, read from tcpdump while it runs: per flow, every frame in its order.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::BufReader;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use pcap_file::pcap::PcapReader;

use crate::frame::{Flow, decapsulate, flow};
use crate::lab::Lab;
use crate::process::{send_signal, wait_for};

/// The frames of each flow in their order, each as a digest of all its bytes.
pub(crate) type Flows = HashMap<Flow, Vec<u64>>;

const COPIES: &str = "udp dst port 4789";

/// A capture under way on one interface. Killed when dropped.
pub(crate) struct Capture {
    tcpdump: Child,
    log: std::path::PathBuf,
    seen: Arc<AtomicU64>,
    flows: Arc<Mutex<Flows>>,
    reader: Option<JoinHandle<()>>,
}

/// What is told of a frame: its flow, and the bytes that count.
type Reading = for<'a> fn(&'a [u8]) -> (Flow, &'a [u8]);

fn whole(frame: &[u8]) -> (Flow, &[u8]) {
    (flow(frame).unwrap_or_default(), frame)
}

/// The copy's tool, four bytes, stands before the flow.
fn of_tool(frame: &[u8]) -> (Flow, &[u8]) {
    let (of_copy, inner) = whole(decapsulate(frame).1);
    ([&frame[30..34], &of_copy].concat(), inner)
}

impl Capture {
    /// The IP packets that an end of the wire (`"client"` or `"server"`) receives.
    pub(crate) fn received(lab: &Lab, side: &str) -> Self {
        Self::start(lab, side, "wire0", "ip or ip6", whole)
    }

    /// The IP packets that reach the appliance from the client.
    pub(crate) fn tapped(lab: &Lab) -> Self {
        Self::start(lab, "appliance", "lan0", "ip or ip6", whole)
    }

    /// What the copies contain that reach the tool.
    pub(crate) fn copies(lab: &Lab) -> Self {
        Self::start(lab, "tool", "mirror0", COPIES, |frame| whole(decapsulate(frame).1))
    }

    /// The same over IPv4, told apart by the tools' addresses.
    pub(crate) fn copies_by_tool(lab: &Lab) -> Self {
        Self::start(lab, "tool", "mirror0", COPIES, of_tool)
    }

    /// What the kernel's own VXLAN device makes of the copies.
    pub(crate) fn decapsulated(lab: &Lab) -> Self {
        Self::start(lab, "tool", "vxlan0", "", whole)
    }

    fn start(lab: &Lab, side: &str, device: &str, filter: &str, reading: Reading) -> Self {
        let log = lab.file(&format!("tcpdump-{side}-{device}.log"));
        let mut tcpdump = lab
            .exec(side, "tcpdump")
            .args(["-i", device, "-Q", "in", "-s", "0", "-U", "-w", "-"])
            // 256 MiB: nothing may be lost here.
            .args(["-B", "262144", filter])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let seen = Arc::new(AtomicU64::new(0));
        let out = tcpdump.stdout.take().unwrap();
        let flows = Arc::default();
        let (counter, into) = (Arc::clone(&seen), Arc::clone(&flows));
        let reader = std::thread::spawn(move || read(out, reading, &into, &counter));
        wait_for("tcpdump to listen", || {
            std::fs::read_to_string(&log).unwrap().contains("listening on")
        });
        Self { tcpdump, log, seen, flows, reader: Some(reader) }
    }

    /// Frames so far.
    pub(crate) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// Waits until `count` frames have come, all in all, and takes those that were not taken yet.
    pub(crate) fn take(&self, count: u64) -> Flows {
        wait_for(&format!("{count} frames in {}", self.log.display()), || self.seen() >= count);
        std::mem::take(&mut *self.flows.lock().unwrap())
    }

    /// Waits until `count` frames have come, ends the capture, makes sure that it missed nothing.
    pub(crate) fn finish(mut self, count: u64) -> Flows {
        wait_for(&format!("{count} frames in {}", self.log.display()), || self.seen() >= count);
        send_signal(self.tcpdump.id(), "INT");
        self.reader.take().unwrap().join().unwrap();
        self.tcpdump.wait().unwrap();
        let log = std::fs::read_to_string(&self.log).unwrap();
        assert!(log.contains("\n0 packets dropped by kernel"), "tcpdump lost packets:\n{log}");
        std::mem::take(&mut *self.flows.lock().unwrap())
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.tcpdump.kill();
        let _ = self.tcpdump.wait();
    }
}

fn read(from: ChildStdout, reading: Reading, flows: &Mutex<Flows>, seen: &AtomicU64) {
    let mut reader = PcapReader::new(BufReader::with_capacity(1 << 20, from)).unwrap();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        let (flow, frame) = reading(&packet.data);
        flows.lock().unwrap().entry(flow).or_default().push(digest(frame));
        seen.fetch_add(1, Ordering::Relaxed);
    }
}

fn digest(frame: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    frame.hash(&mut hasher);
    hasher.finish()
}

/// How many frames there are in all flows.
pub(crate) fn count(flows: &Flows) -> u64 {
    flows.values().map(|frames| frames.len() as u64).sum()
}
