//! A copy as the engine made it, read back.

use std::net::IpAddr;

use engine::encap::{HEADER_LEN_V4, HEADER_LEN_V6};
use engine::flow_key::Addresses;
use engine::parse::dissect;
use engine::snapshot::{NeighborSpec, Snapshot};
use engine::units::{Mac, SessionIndex};
use engine::view::View;
use engine::wire::{ethernet, vlan};

use crate::config::OFFLINE_NEIGHBOR_MAC;

/// What a tool would receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Outer source.
    pub src: IpAddr,
    /// Outer destination: the tool.
    pub dst: IpAddr,
    /// Where the outer frame goes on the wire; `None` where that is resolved while the appliance runs,
    /// and copies are skipped as `no_neighbor` until it is.
    pub neighbor: Option<Mac>,
    /// The VLAN of the tool port, whose tag the outer frame has.
    pub vlan: Option<u16>,
    /// UDP source port.
    pub src_port: u16,
    /// UDP destination port.
    pub dst_port: u16,
    /// As the VXLAN header has it.
    pub vni: u32,
    /// Bytes of the mirrored frame in the copy.
    pub inner_len: usize,
    /// As many as there would be if nothing were cut.
    pub whole_len: usize,
    /// Bytes of VLAN tags that were left out.
    pub stripped_len: usize,
    /// What cut it, if anything did.
    pub cut_by: Option<Cut>,
}

/// Why a copy is shorter than its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The session's `PacketLength`, or the default of a load balancer.
    PacketLength(usize),
    /// The tool port's MTU.
    Mtu(u16),
}

impl Copy {
    /// Reads a copy of a frame of `len` bytes, made for a session; `None` for what is no copy.
    pub(super) fn read(
        bytes: &[u8],
        (snapshot, view): (&Snapshot, &View),
        session: SessionIndex,
        len: usize,
        stripped_len: usize,
    ) -> Option<Self> {
        let outer = dissect(bytes).ok()??;
        let (src, dst, header_len): (IpAddr, IpAddr, usize) = match outer.addresses {
            Addresses::V4 { src, dst } => (src.into(), dst.into(), HEADER_LEN_V4),
            Addresses::V6 { src, dst } => (src.into(), dst.into(), HEADER_LEN_V6),
        };
        let tag = tag(bytes);
        let header_len = header_len + tag.map_or(0, |_| vlan::TAG_LEN);
        let (src_port, dst_port) = outer.key().ports()?;
        let [vni @ .., _] = *bytes.get(..header_len)?.last_chunk::<4>()?;
        let inner_len = bytes.len() - header_len;
        let spec = snapshot.sessions.get(session.at())?;
        let target = snapshot.targets.get(spec.target.at())?;
        let member = target.members.iter().find(|member| member.address == dst)?;
        let whole_len = len - stripped_len;
        let cut_by = (inner_len < whole_len).then(|| match view.sessions[session.at()].snap_len {
            length if length == inner_len => Cut::PacketLength(length),
            _ => Cut::Mtu(snapshot.ports.get(target.port.at()).map_or(0, |port| port.mtu)),
        });
        Some(Self {
            src,
            dst,
            neighbor: match member.neighbor {
                // What stands offline for an address that is not in the appliance file.
                NeighborSpec::Fixed(OFFLINE_NEIGHBOR_MAC) | NeighborSpec::Resolve(_) => None,
                NeighborSpec::Fixed(mac) => Some(mac),
            },
            vlan: tag,
            src_port,
            dst_port,
            vni: vni.iter().fold(0, |vni, &byte| vni << 8 | u32::from(byte)),
            inner_len,
            whole_len,
            stripped_len,
            cut_by,
        })
    }
}

/// The VLAN whose tag the outer frame has, if it has one.
fn tag(bytes: &[u8]) -> Option<u16> {
    let tag = bytes.get(ethernet::HEADER_LEN - 2..)?.first_chunk::<{ vlan::TAG_LEN }>()?;
    let [type_high, type_low, high, low] = *tag;
    let is_tag = vlan::is_tag(u16::from_be_bytes([type_high, type_low]));
    is_tag.then(|| vlan::vid(u16::from_be_bytes([high, low])))
}
