//! Capture files, memory and injected faults in place of devices: the same engine, no hardware.
//!
//! Frames come from [`CaptureReader`]s, which a [`SimFeed`] merges by timestamp and hands out as
//! one [`SimRx`] per port. They leave by [`SimTx`] into a [`CaptureWriter`], into memory or nowhere,
//! and on the way a test may let queues refuse frames ([`TxFaults`]), pools run dry ([`SimPool`])
//! and frames fall into segments ([`SimFeed::in_segments`]). One thread; nothing allocates per frame
//! once the buffers have grown to the size of the frames.

mod capture_error;
mod clock;
mod feed;
mod mbuf;
mod output;
mod pcap;
mod pcapng;
mod reader;
mod window;
mod writer;

pub use capture_error::{CaptureError, CaptureFault, LinkType};
pub use clock::SimClock;
pub use feed::{FeedFault, SimFeed, SimRx};
pub use mbuf::{HEADROOM, SimMbuf, SimPool};
pub use output::{SentFrame, SimOutput, SimTx, TxFaults};
pub use reader::{CaptureReader, FRAME_BYTES_MAX};
pub use writer::{CaptureWriter, capture_of};

use crate::port::Devices;

/// The family of simulated devices.
#[derive(Debug)]
pub struct Sim;

impl Devices for Sim {
    type Mbuf = SimMbuf;
    type Rx = SimRx;
    type Tx = SimTx;
    type Pool = SimPool;
    type Clock = SimClock;
}
