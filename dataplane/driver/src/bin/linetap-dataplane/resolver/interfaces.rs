//! The kernel's interfaces, as far as copies leave by them: tool ports, VLAN devices on top of those,
//! and their addresses.

use std::collections::HashMap;
use std::net::IpAddr;

use engine::units::{Mac, VlanId};
use futures_util::TryStreamExt as _;
use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVlan, LinkAttribute, LinkExtentMask, LinkInfo, LinkMessage,
    VlanProtocol,
};
use rtnetlink::{Error, Handle};

/// The interfaces of ports and VLAN devices, by index.
#[derive(Debug, Default)]
pub(super) struct Interfaces(HashMap<u32, Interface>);

/// One interface.
#[derive(Debug, Default)]
pub(super) struct Interface {
    /// Its address, as far as it is one of Ethernet.
    pub(super) mac: Option<Mac>,
    /// Its IP MTU.
    pub(super) mtu: u32,
    /// Of a VLAN device: the interface below it, and its tag.
    pub(super) tag: Option<(u32, VlanId)>,
    /// Its addresses, in the kernel's order, with their subnets.
    pub(super) addresses: Vec<IpNet>,
}

impl Interfaces {
    /// Reads those of ports, and all VLAN devices. Others are not even asked for: there may be thousands.
    pub(super) async fn read(kernel: &Handle, of_ports: &[u32]) -> Result<Self, Error> {
        let mut all = Self::default();
        for &index in of_ports {
            let mut answer = std::pin::pin!(kernel.link().get().match_index(index).execute());
            match answer.try_next().await {
                Ok(message) => message.iter().for_each(|message| all.add_link(message)),
                // It is gone.
                Err(Error::NetlinkError(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let mask = vec![LinkExtentMask::SkipStats];
        let mut links = kernel.link().get().set_filter_mask(AddressFamily::Unspec, mask);
        // A kernel that knows no such devices tells of all.
        let kind = LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Vlan)]);
        links.message_mut().attributes.push(kind);
        let mut dump = std::pin::pin!(links.execute());
        while let Some(message) = dump.try_next().await? {
            all.add_link(&message);
        }
        let mut dump = std::pin::pin!(kernel.address().get().execute());
        while let Some(message) = dump.try_next().await? {
            all.add_address(&message);
        }
        Ok(all)
    }

    fn add_link(&mut self, message: &LinkMessage) {
        let (mut mac, mut mtu, mut lower) = (None, u32::MAX, None);
        let (mut id, mut is_foreign) = (None, false);
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::Address(bytes) => mac = bytes.as_slice().try_into().ok().map(Mac),
                LinkAttribute::Mtu(bytes) => mtu = *bytes,
                LinkAttribute::Link(index) => lower = Some(*index),
                // What is below it is in another namespace: the index means another interface there.
                LinkAttribute::LinkNetNsId(_) => is_foreign = true,
                LinkAttribute::LinkInfo(infos) => id = infos.iter().find_map(vlan_id),
                _ => {}
            }
        }
        let tag = lower.zip(id).filter(|_| !is_foreign);
        let interface = Interface { mac, mtu, tag, addresses: Vec::new() };
        self.0.insert(message.header.index, interface);
    }

    fn add_address(&mut self, message: &AddressMessage) {
        // Nothing may be sent from those.
        let unusable = AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed;
        if message.header.flags.intersects(unusable) {
            return;
        }
        let (mut local, mut remote) = (None, None);
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Local(address) => local = Some(*address),
                // The peer's, where there is one; else the same, or of IPv6 the only one.
                AddressAttribute::Address(address) => remote = Some(*address),
                _ => {}
            }
        }
        let net = local.or(remote).map(|own| IpNet::new(own, message.header.prefix_len));
        if let (Some(Ok(net)), Some(it)) = (net, self.0.get_mut(&message.header.index)) {
            it.addresses.push(net);
        }
    }

    /// An interface, while it is there.
    pub(super) fn at(&self, index: u32) -> Option<&Interface> {
        self.0.get(&index)
    }

    /// By which interfaces copies of a port leave: its own, and the VLAN devices on top of it.
    pub(super) fn of_port(&self, own: u32) -> Vec<u32> {
        let is_on_top = |it: &Interface| it.tag.is_some_and(|(lower, _)| lower == own);
        let on_top = self.0.iter().filter(|(_, it)| is_on_top(it)).map(|(&index, _)| index);
        let mut on_top: Vec<u32> = on_top.collect();
        on_top.sort_unstable();
        [vec![own], on_top].concat()
    }

    /// The addresses of interfaces, in their order.
    pub(super) fn addresses(&self, indexes: &[u32]) -> impl Iterator<Item = &IpNet> {
        indexes.iter().filter_map(|&index| self.at(index)).flat_map(|it| &it.addresses)
    }

    #[cfg(test)]
    pub(super) fn of(all: impl IntoIterator<Item = (u32, Interface)>) -> Self {
        Self(all.into_iter().collect())
    }
}

/// The tag of a VLAN device, if it is one that copies can have: of type 0x8100, not 0.
fn vlan_id(info: &LinkInfo) -> Option<VlanId> {
    let LinkInfo::Data(InfoData::Vlan(infos)) = info else { return None };
    let is_service = infos.contains(&InfoVlan::Protocol(VlanProtocol::Ieee8021Ad));
    let id = infos.iter().find_map(|info| match info {
        InfoVlan::Id(id) => VlanId::try_from(*id).ok(),
        _ => None,
    });
    id.filter(|_| !is_service)
}

/// True of addresses that a copy to `tool` can come from and be answered: of its family, and
/// link-local only where the tool is.
pub(super) fn reaches(address: IpAddr, tool: IpAddr) -> bool {
    let is_link_local = |address| match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    address.is_ipv4() == tool.is_ipv4() && is_link_local(address) == is_link_local(tool)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtnetlink::packet_core::Parseable as _;

    /// A device with tag 101, index 34, from `ifinfomsg` on: laid out after `linux/if_link.h`, little-endian.
    /// What is below it is added by the tests.
    const VLAN_101: [u8; 84] = [
        0x00, 0x00, 0x01, 0x00, 0x22, 0x00, 0x00, 0x00, 0x43, 0x10, 0x01, 0x00, 0x00, 0x00, 0x00,
        0x00, // ifinfomsg
        0x08, 0x00, 0x04, 0x00, 0xdc, 0x05, 0x00, 0x00, // IFLA_MTU 1500
        0x0a, 0x00, 0x01, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x65, 0x00,
        0x00, // IFLA_ADDRESS
        0x30, 0x00, 0x12, 0x00, // IFLA_LINKINFO, 48 bytes
        0x09, 0x00, 0x01, 0x00, 0x76, 0x6c, 0x61, 0x6e, 0x00, 0x00, 0x00,
        0x00, // IFLA_INFO_KIND "vlan"
        0x20, 0x00, 0x02, 0x00, // IFLA_INFO_DATA, 32 bytes
        0x06, 0x00, 0x05, 0x00, 0x81, 0x00, 0x00, 0x00, // IFLA_VLAN_PROTOCOL 0x8100
        0x06, 0x00, 0x01, 0x00, 0x65, 0x00, 0x00, 0x00, // IFLA_VLAN_ID 101
        0x0c, 0x00, 0x02, 0x00, 0x01, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
        0xff, // IFLA_VLAN_FLAGS
    ];
    /// `IFLA_LINK`: 7.
    const ON_TOP_OF_7: [u8; 8] = [0x08, 0x00, 0x05, 0x00, 0x07, 0x00, 0x00, 0x00];
    /// `IFLA_LINK_NETNSID`: 1.
    const ELSEWHERE: [u8; 8] = [0x08, 0x00, 0x25, 0x00, 0x01, 0x00, 0x00, 0x00];

    fn read(messages: &[&[u8]]) -> Interfaces {
        let mut all = Interfaces::default();
        for message in messages {
            all.add_link(&LinkMessage::parse(message).unwrap());
        }
        all
    }

    #[test]
    fn a_vlan_device_is_known_by_what_it_is_on_top_of_and_its_tag() {
        let all = read(&[&[&VLAN_101[..], &ON_TOP_OF_7].concat()]);
        let it = all.at(34).unwrap();
        assert_eq!(it.tag, Some((7, VlanId::try_from(101).unwrap())));
        assert_eq!((it.mac, it.mtu), (Some(Mac([2, 0, 0, 0, 0, 0x65])), 1500));
        assert_eq!(all.of_port(7), [7, 34]);
        assert_eq!(all.of_port(8), [8]);
    }

    #[test]
    fn other_devices_are_not_the_ports() {
        // On top of nothing; of something in another namespace; with a tag of type 0x88a8.
        let service = {
            let mut bytes = [&VLAN_101[..], &ON_TOP_OF_7].concat();
            let at = bytes.windows(2).position(|two| two == [0x81, 0x00]).unwrap();
            bytes[at..at + 2].copy_from_slice(&[0x88, 0xa8]);
            bytes
        };
        for message in
            [VLAN_101.to_vec(), [&VLAN_101[..], &ON_TOP_OF_7, &ELSEWHERE].concat(), service]
        {
            let all = read(&[&message]);
            assert_eq!(all.at(34).unwrap().tag, None);
            assert_eq!(all.of_port(7), [7]);
        }
    }

    #[test]
    fn own_addresses_are_local_ones_that_may_be_used() {
        let address = |flags: u8, attributes: &[u8]| {
            let header = [2, 24, flags, 0, 34, 0, 0, 0];
            AddressMessage::parse(&[&header[..], attributes].concat()[..]).unwrap()
        };
        let (peer, own) = ([0x08, 0, 0x01, 0, 192, 0, 2, 2], [0x08, 0, 0x02, 0, 192, 0, 2, 1]);
        let mut all = read(&[&VLAN_101]);
        all.add_address(&address(0x80, &[peer, own].concat()));
        all.add_address(&address(0x80, &[0x08, 0, 0x01, 0, 192, 0, 2, 3]));
        // IFA_F_TENTATIVE, IFA_F_DADFAILED.
        all.add_address(&address(0x40, &own));
        all.add_address(&address(0x08, &own));
        let addresses: Vec<_> = all.addresses(&[34, 35]).map(ToString::to_string).collect();
        assert_eq!(addresses, ["192.0.2.1/24", "192.0.2.3/24"]);
    }
}
