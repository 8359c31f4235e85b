//! One trial of a benchmark: a load for a time, and what came back (RFC 2544 §23, RFC 9971 §3.3).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What is offered, for how long, and what is expected back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialPlan {
    /// The streams, all at the same time.
    pub streams: Vec<Stream>,
    /// Frames per second of each stream; `None`: as many as its port takes.
    pub load: Option<f64>,
    /// Each stream sends exactly so many frames in a burst as fast as it can and ends, whatever the load: back to
    /// back (RFC 9004).
    pub burst: Option<u64>,
    /// How long frames are offered, in nanoseconds. Of a burst what its port has not taken by then is not sent; 0 is a
    /// minute.
    pub duration_ns: u64,
    /// How long stragglers are awaited, in nanoseconds (RFC 2544 §23 waits two seconds). Once all have come, it ends.
    pub wait_ns: u64,
    /// Before it, a frame of each flow is sent each way, that nobody counts: devices learn from them where addresses
    /// are and which flows there are. For the first trial against a device that does.
    #[serde(default)]
    pub learning: bool,
    /// Which copies of the frames are expected.
    pub copies: Option<CopyPlan>,
}

/// Frames from one port to another, through the device under test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    /// The port that sends.
    pub tx: usize,
    /// The port that receives.
    pub rx: usize,
    /// What the frames are.
    pub frames: Frames,
}

/// What the frames of a stream are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Frames {
    /// Made: UDP with a stamp.
    Made(Made),
    /// Taken from a capture, in its order, over and over, each with a stamp over its last bytes. Frames too short
    /// for the stamp are made longer.
    Capture(PathBuf),
}

/// Made frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// Frame sizes in the order in which they repeat, in bytes with the Ethernet checksum, as RFC 2544 and RFC 6985
    /// count; a size stands as often as it is sent.
    pub sizes: Vec<u16>,
    /// Flows that they are spread over.
    pub flows: u32,
    /// How they are spread.
    pub spread: Spread,
    /// IPv6 instead of IPv4.
    pub is_v6: bool,
    /// An 802.1Q tag.
    pub vlan: Option<u16>,
    /// The frame is in VXLAN of this network (and that much longer).
    pub vni: Option<u32>,
    /// Destination address of Ethernet; else that of the receiving port.
    pub destination_mac: Option<engine::units::Mac>,
    /// Which pseudo-random order and payload.
    pub seed: u64,
}

/// How frames are spread over flows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Spread {
    /// One after the other.
    RoundRobin,
    /// At random, each as likely.
    Uniform,
    /// At random, the nth as likely as 1 / n to the power of `exponent`.
    Zipf {
        /// Above 0.
        exponent: f64,
    },
}

/// The copies in VXLAN that a mirroring device sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyPlan {
    /// The port that receives them.
    pub rx: usize,
    /// Their UDP port.
    pub udp_port: u16,
    /// One copy of every frame is expected in each of these networks.
    pub vnis: Vec<u32>,
    /// The inner frame is cut to so many bytes.
    pub len_max: Option<u16>,
    /// By network of `vnis`: only of made frames with these UDP source ports, first and last, are copies expected
    /// there. Empty: of all frames in all networks.
    #[serde(default)]
    pub sources: Vec<[u16; 2]>,
}

impl CopyPlan {
    /// Whether copies of frames from a UDP source port are expected in the network at a place of `vnis`.
    #[inline]
    pub fn wants(&self, network: usize, source: impl FnOnce() -> Option<u16>) -> bool {
        let Some(&[first, last]) = self.sources.get(network) else { return true };
        source().is_none_or(|source| (first..=last).contains(&source))
    }
}

/// What became of a trial.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrialResult {
    /// By stream.
    pub streams: Vec<Received>,
    /// Copies, by network of [`CopyPlan::vnis`].
    pub copies: Vec<Received>,
    /// Frames that belong to no stream, by port.
    pub foreign: Vec<u64>,
    /// How long frames were offered in truth, in nanoseconds.
    pub duration_ns: u64,
    /// What went wrong, a sentence each; empty after a good trial.
    pub faults: Vec<String>,
}

/// What was sent of one stream, and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// Frames that should have been sent: load × duration.
    pub intended: u64,
    /// Frames that the port took. What is missing to `intended` counts as lost (RFC 9971 §3.3.7: the duration is not
    /// stretched).
    pub sent: u64,
    /// Frames that came back, each once.
    pub received: u64,
    /// Came back more than once: so many too many.
    pub duplicated: u64,
    /// Came back behind a later frame of the same flow.
    pub reordered: u64,
    /// Of those received, with another payload or length; of copies, with any other byte.
    pub corrupted: u64,
    /// Of those received, with headers that differ in more than routers change (Ethernet's addresses, hop limit, IPv4
    /// header checksum); the payload was right.
    pub rewritten: u64,
    /// Bytes that came back.
    pub bytes: u64,
    /// Time from send to receive in nanoseconds: an HDR histogram, V2, base64.
    pub latency: String,
    /// Difference of latency between following frames of a flow (RFC 3393's IPDV, without sign), likewise.
    pub jitter: String,
    /// How much later than due a frame was sent at most, in nanoseconds: large where the sending worker was kept from
    /// its core, or its port was full. 0 of copies, and where frames have no time of their own.
    pub late_ns_max: u64,
}

impl Received {
    /// Frames that should have come and did not.
    pub fn lost(&self) -> u64 {
        self.intended.max(self.sent).saturating_sub(self.received)
    }
}
