//! Raw bindings over the installed libdpdk (22.11 and newer) and a shim for its inline functions.
//!
//! Generated at build time from the headers that pkg-config finds, for what `driver` uses and
//! nothing else. No function here is safe to call by itself: the owning types are in `driver`.

mod mbuf;

#[allow(
    missing_docs,
    missing_debug_implementations,
    unsafe_code,
    unsafe_op_in_unsafe_fn,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::missing_safety_doc,
    clippy::multiple_unsafe_ops_per_block,
    clippy::undocumented_unsafe_blocks,
    clippy::allow_attributes_without_reason,
    reason = "generated from DPDK's headers"
)]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

pub use bindings::*;
pub use mbuf::rte_mbuf;
