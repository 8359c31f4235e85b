//! The appliance itself as device under test: `linetap-dataplane` in another process, on a core of its own.
//!
//! ```text
//!  linetap-traffic  memif client                memif server  linetap-dataplane
//!            lan ─────────────────────────────────► lan ─┐
//!            wan ◄───────────────────────────────── wan ◄┤ wire
//!           tool ◄───────────────────────────────── tool ◄ copies
//!           span ─────────────────────────────────► span
//! ```
//! `net_memif`, for it copies between two processes of which each keeps its memory for itself. vhost with virtio-user
//! carries a little more of small frames (two testpmd on an old machine: 5.3 million a second against 4.5, of 60
//! bytes; 1.2 both ways of 1514), but out of memory that both have to map, which a data plane does not give away.
//!
//! [`stacks`] are its configurations; all of them have the same ports, so that one process has them all, one
//! after the other.

pub mod dataplane;
pub mod device;
pub mod stacks;
pub mod witness;

pub use device::{Itself, SelfError};
