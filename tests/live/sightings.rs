//! Copies as they pass a device, each with when and where to: what a change of routes is seen by.

use std::collections::HashMap;
use std::io::BufReader;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use pcap_file::pcap::PcapReader;

use crate::frame::{Flow, decapsulate, flow};
use crate::process::{send_signal, wait_for};

/// A copy on its way.
#[derive(Debug, Clone)]
pub(crate) struct Sighting {
    /// Seconds since 1970.
    pub(crate) at_s: f64,
    /// Where the frame goes.
    pub(crate) next_hop: String,
    /// Outer source.
    pub(crate) source: Vec<u8>,
    /// Bytes of the outer IP packet.
    pub(crate) len: usize,
    /// The flow of the frame inside.
    pub(crate) flow: Flow,
}

/// A capture under way. Killed when dropped.
pub(crate) struct Sightings {
    tcpdump: Child,
    seen: Arc<Mutex<Vec<Sighting>>>,
    reader: Option<JoinHandle<()>>,
}

impl Sightings {
    /// Of all copies that a device receives; `exec` runs tcpdump where it is.
    pub(crate) fn start(mut exec: Command, device: &str, log: &std::path::Path) -> Self {
        let mut tcpdump = exec
            .args(["-Z", "root", "-i", device, "-Q", "in", "-s", "0", "-U", "-w", "-"])
            .args(["--immediate-mode", "-B", "65536", "udp dst port 4789"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(log).unwrap())
            .spawn()
            .unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (out, all) = (tcpdump.stdout.take().unwrap(), Arc::clone(&seen));
        let reader = std::thread::spawn(move || {
            let mut reader = PcapReader::new(BufReader::new(out)).unwrap();
            while let Some(packet) = reader.next_packet() {
                // A packet that is cut is the last: tcpdump was ended.
                let Ok(packet) = packet else { return };
                let at_s = packet.timestamp.as_secs_f64();
                all.lock().unwrap().push(sighting(&packet.data, at_s));
            }
        });
        wait_for("tcpdump to listen", || {
            std::fs::read_to_string(log).unwrap().contains("listening on")
        });
        Self { tcpdump, seen, reader: Some(reader) }
    }

    /// Those since a time.
    pub(crate) fn since(&self, at_s: f64) -> Vec<Sighting> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|one| one.at_s >= at_s).cloned().collect()
    }

    /// Waits for the first since a time of which something is true.
    pub(crate) fn first(&self, at_s: f64, is: impl Fn(&Sighting) -> bool) -> Sighting {
        let mut found = None;
        wait_for("a copy that goes the new way", || {
            found = self.since(at_s).into_iter().find(|one| is(one));
            found.is_some()
        });
        found.unwrap()
    }
}

impl Drop for Sightings {
    fn drop(&mut self) {
        send_signal(self.tcpdump.id(), "KILL");
        let _ = self.tcpdump.wait();
        let _ = self.reader.take().map(JoinHandle::join);
    }
}

fn sighting(frame: &[u8], at_s: f64) -> Sighting {
    let mac: Vec<_> = frame[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    let source = if frame[12..14] == [8, 0] { &frame[26..30] } else { &frame[22..38] };
    let flow = flow(decapsulate(frame).1).unwrap_or_default();
    Sighting { at_s, next_hop: mac.join(":"), source: source.to_vec(), len: frame.len() - 14, flow }
}

/// The next hops that each flow has gone by.
pub(crate) fn next_hops(seen: &[Sighting]) -> HashMap<&Flow, Vec<&str>> {
    let mut all: HashMap<&Flow, Vec<&str>> = HashMap::new();
    for one in seen {
        let of_flow = all.entry(&one.flow).or_default();
        if !of_flow.contains(&one.next_hop.as_str()) {
            of_flow.push(&one.next_hop);
        }
    }
    all
}
