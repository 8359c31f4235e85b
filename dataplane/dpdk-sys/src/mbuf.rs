//! The packet buffer header, field by field as this project reads it.
//!
//! DPDK's own declaration wraps the fields in markers and anonymous unions that differ from version
//! to version, while their places are part of its stable ABI. So the struct is written down here
//! once, and every place is compared with the installed headers at compile time.

use core::ffi::c_void;
use core::mem::{align_of, offset_of, size_of};

use crate::bindings as c;

/// `struct rte_mbuf`: the header of a packet buffer, one segment of a frame.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct rte_mbuf {
    /// Start of the segment's memory.
    pub buf_addr: *mut c_void,
    buf_iova: u64,
    /// Where the data begins, in bytes from `buf_addr`.
    pub data_off: u16,
    /// How many hold this segment. To be changed by DPDK's functions only.
    pub refcnt: u16,
    /// Number of segments; valid in the first one of a frame.
    pub nb_segs: u16,
    /// The port that it was received on.
    pub port: u16,
    /// Offload flags.
    pub ol_flags: u64,
    packet_type: u32,
    /// Length over all segments, in bytes; valid in the first one.
    pub pkt_len: u32,
    /// Bytes of data in this segment.
    pub data_len: u16,
    vlan_tci: u16,
    hash: [u32; 2],
    vlan_tci_outer: u16,
    /// Bytes of memory from `buf_addr`.
    pub buf_len: u16,
    /// The pool that it goes back to.
    pub pool: *mut c::rte_mempool,
    /// The next segment, or null in the last one.
    pub next: *mut rte_mbuf,
    second_line: [u64; 7],
}

const _: () = {
    assert!(size_of::<rte_mbuf>() == c::LT_MBUF_SIZE);
    assert!(align_of::<rte_mbuf>() == 64);
    assert!(offset_of!(rte_mbuf, buf_addr) == c::LT_MBUF_BUF_ADDR);
    assert!(offset_of!(rte_mbuf, data_off) == c::LT_MBUF_DATA_OFF);
    assert!(offset_of!(rte_mbuf, refcnt) == c::LT_MBUF_REFCNT);
    assert!(offset_of!(rte_mbuf, nb_segs) == c::LT_MBUF_NB_SEGS);
    assert!(offset_of!(rte_mbuf, port) == c::LT_MBUF_PORT);
    assert!(offset_of!(rte_mbuf, ol_flags) == c::LT_MBUF_OL_FLAGS);
    assert!(offset_of!(rte_mbuf, pkt_len) == c::LT_MBUF_PKT_LEN);
    assert!(offset_of!(rte_mbuf, data_len) == c::LT_MBUF_DATA_LEN);
    assert!(offset_of!(rte_mbuf, buf_len) == c::LT_MBUF_BUF_LEN);
    assert!(offset_of!(rte_mbuf, pool) == c::LT_MBUF_POOL);
    assert!(
        offset_of!(rte_mbuf, next) == c::LT_MBUF_NEXT,
        "this libdpdk was built with -Denable_iova_as_pa=false, which moves a field of its buffers"
    );
};
