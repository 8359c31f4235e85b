//! DPDK behind owning types, and the data-plane process of linetap.
//!
//! All `unsafe` of the data plane is here, beside the bindings and the engine's vectors, fenced into
//! the files that say so at their top. A port's life is told by types: [`Port::attach`] needs the
//! [`Eal`] token, [`Port::start`] consumes the port and hands out each [`RxQueue`] and [`TxQueue`]
//! once, and the device is stopped and closed when the last of them and the [`RunningPort`] are gone.
//! The EAL lives until the process ends, and so do pools, but for those of what could not be started
//! ([`free_pools`]): a buffer never outlives its memory.

pub mod acl;
mod af_packet;
mod borrowed;
mod break_even;
mod clock;
mod configure;
mod device;
mod eal;
mod error;
pub mod exception;
mod handle;
pub mod hardware;
pub mod icmp;
pub mod kernel;
pub mod lab;
mod logging;
mod mbuf;
mod memory;
mod mempool;
pub mod plan;
mod port;
mod queue;
mod running;
pub mod spreading;
mod tap;
mod timestamps;
mod tools;

pub use clock::TscClock;
pub use device::Device;
pub use eal::{Eal, EalConfig, WorkerThread};
pub use error::DriverError;
pub use mbuf::Mbuf;
pub use memory::Memory;
pub use mempool::{CACHE, HEADROOM, Mempool, PoolPlan, free_pools};
pub use port::{Abilities, Port, PortConfig};
pub use queue::{RxQueue, TxQueue};
pub use running::RunningPort;
pub use tap::Tap;

/// DPDK's family of devices.
#[derive(Debug)]
pub struct Dpdk;

impl engine::port::Devices for Dpdk {
    type Mbuf = Mbuf;
    type Rx = RxQueue;
    type Tx = TxQueue;
    type Pool = Mempool;
    type Clock = TscClock;
}
