//! Learning frames: by them devices learn where addresses are and which flows there are, before anything counts
//! (RFC 2544 §23: bridges and routers are sent some before each trial).
//!
//! One frame of each flow goes each way. Their stamps are of no trial, so nobody counts them.

use std::ops::Range;
use std::sync::Arc;

use engine::burst::Burst;
use engine::port::{Clock as _, Devices, Mbuf as _, Mempool as _, TxQueue as _};

use crate::frames::FrameSet;
use crate::stamp::Stamps;

/// Of more flows than this, the first ones.
const FLOWS_MAX: u32 = 1 << 16;
/// The trial of frames that are not counted.
pub const NO_TRIAL: u8 = 0;

/// What one port sends of one stream, or for its way back.
#[derive(Debug)]
pub struct Lesson {
    /// The port.
    pub tx: usize,
    frames: Arc<FrameSet>,
    flows: Range<u32>,
    stamps: Stamps,
}

impl Lesson {
    /// All flows of these frames, by port `tx`.
    pub fn new(tx: usize, frames: Arc<FrameSet>, stamps: Stamps) -> Self {
        let flows = 0..frames.flows().min(FLOWS_MAX);
        Self { tx, frames, flows, stamps: Stamps { trial: NO_TRIAL, ..stamps } }
    }

    /// Nothing more is to be sent.
    pub fn is_done(&self) -> bool {
        self.flows.is_empty()
    }

    /// Sends the next burst; what the port does not take is not sent again.
    pub fn turn<D: Devices>(&mut self, tx: &mut D::Tx, pool: &mut D::Pool) {
        let (mut spare, mut out): (Burst<D::Mbuf>, Burst<D::Mbuf>) = (Burst::new(), Burst::new());
        pool.alloc_bulk(&mut spare);
        let ticks = D::Clock::now();
        while let Some(mut frame) = spare.pop() {
            let Some(flow) = self.flows.next() else { break };
            let Some(bytes) = frame.append(self.frames.len_of(0)) else { break };
            let unsealed = self.frames.write_of_flow(0, flow, bytes);
            unsealed.seal(self.stamps, 0, ticks, bytes);
            // It holds as many as the other.
            let _ = out.push(frame);
        }
        tx.send(&mut out);
        D::Mbuf::free_bulk(&mut out);
        D::Mbuf::free_bulk(&mut spare);
    }
}
