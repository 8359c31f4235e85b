//! The rings of `net_af_packet`, DPDK's driver over interfaces of the kernel, and its traps.
//!
//! Read from its source (22.11 to 26.07; `drivers/net/af_packet`) and from the kernel's
//! `net/packet/af_packet.c`:
//!
//! - *Receive.* The kernel puts each frame into a slot of `framesz` bytes, 66 bytes from its start
//!   (`TPACKET_ALIGN(TPACKET2_HDRLEN + 16) − 14`), and **cuts what does not fit**; the driver hands
//!   the rest on as if it were the frame. With the default of 2048 that is 1982 bytes. So the slot
//!   is chosen here, for the largest frame of the port's MTU.
//! - The driver sets a queue up only when `framesz − 32` bytes fit the buffers of the pool.
//! - It finds slot n at n × framesz, while the kernel starts each block of `blocksz` anew: a block
//!   must hold a whole number of slots.
//! - *VLAN.* The kernel takes the outermost tag off, the driver puts it back, **always with
//!   `EtherType` 0x8100**: an 802.1ad tag (0x88a8) does not survive this driver, and nothing on
//!   this side of it can tell. `net_af_xdp` keeps it.
//! - *Transmit.* Frames above the slot, or above the interface's MTU + 14 (+ 4 for one tag), are
//!   dropped although the driver takes them. So the interface's MTU is checked at the start.
//! - A full transmit ring makes the driver wait in poll(2) without a limit while the socket is not
//!   writable. `dpdk-sys/shim/packet_socket.c` keeps it writable; without carrier, frames stay in
//!   the ring, at most one ring of them, and leave when the carrier comes back.
//! - `rte_eth_dev_set_mtu` refuses more than 1500 up to 26.03, and the link is always "up" up to
//!   24.07: both are asked of the kernel instead ([`crate::kernel`]).
//! - Receive-offload giants (GRO) are cut like any frame above the slot, and frames with unfinished
//!   checksums are taken as they are: both offloads must be off on the interface.

use crate::device::Device;
use crate::error::DriverError;

/// Bytes of a slot before the frame, received: see the module's text.
const RX_OFFSET: u32 = 66;
/// Bytes of a slot that the driver does not count as data.
const TX_OFFSET: u32 = 32;
/// What the driver takes without a `framesz` argument.
const FRAMESZ_DEFAULT: u32 = 2048;
/// Slots are multiples of this, so that four of them fill whole pages.
const FRAMESZ_STEP: u32 = 1024;
/// Blocks are as large as this allows: the kernel rounds each to a power of two.
const BLOCK_BYTES_MAX: u32 = 256 << 10;
/// Each ring takes about this much: 4096 frames of MTU 1500.
const RING_BYTES: u32 = 8 << 20;

/// Completes the arguments of `device` for frames of `frame_len` bytes and `queues` queues. Errors:
/// a `framesz` of the file's own would cut them.
pub(crate) fn complete(
    port: &str,
    device: &mut Device,
    mtu: u16,
    frame_len: u32,
    queues: u16,
) -> Result<(), DriverError> {
    device.set_default("qpairs", queues);
    let ring = ["framesz", "blocksz", "framecnt"];
    if ring.iter().any(|key| device.argument(key).is_some()) {
        let framesz = framesz(device);
        let longest = framesz.saturating_sub(RX_OFFSET);
        if longest < frame_len {
            let (port, needed) = (port.to_owned(), frame_len);
            return Err(DriverError::RingCutsFrames { port, framesz, longest, mtu, needed });
        }
        return Ok(());
    }
    let framesz = (frame_len + RX_OFFSET).next_multiple_of(FRAMESZ_STEP);
    let per_block = 4 * (BLOCK_BYTES_MAX / (4 * framesz)).max(1);
    let blocks = (RING_BYTES / (per_block * framesz)).max(2);
    device.set_default("framesz", framesz);
    device.set_default("blocksz", per_block * framesz);
    device.set_default("framecnt", per_block * blocks);
    Ok(())
}

/// The bytes that a buffer must hold behind its headroom for the driver to use the pool.
pub(crate) fn buffer_bytes(device: &Device) -> u32 {
    framesz(device).saturating_sub(TX_OFFSET)
}

fn framesz(device: &Device) -> u32 {
    device.argument("framesz").and_then(|text| text.parse().ok()).unwrap_or(FRAMESZ_DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(text: &str, mtu: u16) -> Result<Device, DriverError> {
        let mut device = Device::parse("lan", text).unwrap();
        complete("lan", &mut device, mtu, u32::from(mtu) + 30, 2)?;
        Ok(device)
    }

    fn number(device: &Device, key: &str) -> u32 {
        device.argument(key).unwrap().parse().unwrap()
    }

    #[test]
    fn rings_hold_the_largest_frame_and_the_kernel_accepts_them() {
        for mtu in [576, 1500, 1952, 1953, 9000, 65_000] {
            let device = completed("net_af_packet0,iface=lan0", mtu).unwrap();
            let (frame, block) = (number(&device, "framesz"), number(&device, "blocksz"));
            assert!(frame - RX_OFFSET >= u32::from(mtu) + 30);
            assert_eq!((frame % 16, block % frame, block % 4096), (0, 0, 0), "mtu {mtu}");
            assert_eq!(number(&device, "framecnt") % (block / frame), 0);
            assert_eq!(number(&device, "qpairs"), 2);
            assert_eq!(buffer_bytes(&device), frame - 32);
        }
    }

    #[test]
    fn own_geometry_is_kept_unless_it_cuts_frames() {
        let device = completed("net_af_packet0,iface=lan0,framesz=2048", 1500).unwrap();
        assert_eq!(device.argument("blocksz"), None);
        let error = completed("net_af_packet0,iface=lan0,framesz=2048", 9000).unwrap_err();
        assert!(error.to_string().contains("longer than 1982"), "{error}");
        assert!(completed("net_af_packet0,iface=lan0,framesz=2048", 1952).is_ok());
        assert!(completed("net_af_packet0,iface=lan0,framesz=2048", 1953).is_err());
    }
}
