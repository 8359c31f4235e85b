//! What passes an interface, read from tcpdump while it runs: per flow, every frame in its order.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::BufReader;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use pcap_file::pcap::PcapReader;

use crate::frame::{Flow, decapsulate, flow};
use crate::lab::Lab;
use crate::process::{send_signal, wait_for};

/// The frames of each flow in their order, each as a digest of all its bytes.
pub(crate) type Flows = HashMap<Flow, Vec<u64>>;

/// A capture under way on one interface. Killed when dropped.
pub(crate) struct Capture {
    tcpdump: Child,
    log: std::path::PathBuf,
    seen: Arc<AtomicU64>,
    reader: Option<JoinHandle<Flows>>,
}

impl Capture {
    /// The IP packets that an end of the wire (`"client"` or `"server"`) receives.
    pub(crate) fn received(lab: &Lab, side: &str) -> Self {
        Self::start(lab, side, "wire0", "ip or ip6", |frame| frame)
    }

    /// The IP packets that reach the appliance from the client.
    pub(crate) fn tapped(lab: &Lab) -> Self {
        Self::start(lab, "appliance", "lan0", "ip or ip6", |frame| frame)
    }

    /// What the copies contain that reach the tool.
    pub(crate) fn copies(lab: &Lab) -> Self {
        Self::start(lab, "tool", "mirror0", "udp dst port 4789", |frame| decapsulate(frame).1)
    }

    /// What the kernel's own VXLAN device makes of the copies.
    pub(crate) fn decapsulated(lab: &Lab) -> Self {
        Self::start(lab, "tool", "vxlan0", "", |frame| frame)
    }

    fn start(
        lab: &Lab,
        side: &str,
        device: &str,
        filter: &str,
        inner: for<'a> fn(&'a [u8]) -> &'a [u8],
    ) -> Self {
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
        let counter = Arc::clone(&seen);
        let reader = std::thread::spawn(move || read(out, inner, &counter));
        wait_for("tcpdump to listen", || {
            std::fs::read_to_string(&log).unwrap().contains("listening on")
        });
        Self { tcpdump, log, seen, reader: Some(reader) }
    }

    /// Frames so far.
    pub(crate) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// Waits until `count` frames have come, ends the capture, makes sure that it missed nothing.
    pub(crate) fn finish(mut self, count: u64) -> Flows {
        wait_for(&format!("{count} frames in {}", self.log.display()), || self.seen() >= count);
        send_signal(self.tcpdump.id(), "INT");
        let flows = self.reader.take().unwrap().join().unwrap();
        self.tcpdump.wait().unwrap();
        let log = std::fs::read_to_string(&self.log).unwrap();
        assert!(log.contains("\n0 packets dropped by kernel"), "tcpdump lost packets:\n{log}");
        flows
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.tcpdump.kill();
        let _ = self.tcpdump.wait();
    }
}

fn read(from: ChildStdout, inner: for<'a> fn(&'a [u8]) -> &'a [u8], seen: &AtomicU64) -> Flows {
    let mut flows = Flows::new();
    let mut reader = PcapReader::new(BufReader::with_capacity(1 << 20, from)).unwrap();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        let frame = inner(&packet.data);
        flows.entry(flow(frame).unwrap_or_default()).or_default().push(digest(frame));
        seen.fetch_add(1, Ordering::Relaxed);
    }
    flows
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
