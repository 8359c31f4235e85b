//! Nexthop objects of the kernel (`ip nexthop`), as routing daemons make them: a route names one, which
//! has the gateway, or names others. While `nexthop_compat_mode` is on, the kernel writes them out in
//! each route; else they are asked for here. Their changes are changes of routes, told to another group.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use rtnetlink::packet_core::{
    DecodeError, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
};
use rtnetlink::proto::sys::{SocketAddr, TokioSocket, protocols::NETLINK_ROUTE};
use rtnetlink::proto::{ConnectionHandle, new_connection_with_socket};
use rtnetlink::sys::AsyncSocket as _;
use rtnetlink::{Error, MulticastGroup};
use tokio::task::JoinHandle;

use super::route::RouteHop;

/// linux/rtnetlink.h, linux/nexthop.h.
const RTM_NEWNEXTHOP: u16 = 104;
const RTM_DELNEXTHOP: u16 = 105;
const RTM_GETNEXTHOP: u16 = 106;
const HEADER_LEN: usize = 8;
const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_OIF: u16 = 5;
const NHA_GATEWAY: u16 = 6;
const NHA_ENCAP_TYPE: u16 = 7;
const ATTRIBUTE_HEADER_LEN: usize = 4;
/// `RTNH_F_DEAD` and `RTNH_F_LINKDOWN`.
const IS_DEAD: u32 = 1 | 16;

/// Where the kernel is asked for nexthop objects.
#[derive(Debug)]
pub(super) struct Nexthops {
    handle: ConnectionHandle<Nexthop>,
    connection: JoinHandle<()>,
}

/// A nexthop object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Nexthop {
    id: u32,
    is_dead: bool,
    interface: Option<u32>,
    gateway: Option<IpAddr>,
    /// Packets are to be put into others.
    has_encap: bool,
    /// Of a group: its members, with their weights.
    group: Vec<(u32, u16)>,
}

impl Nexthops {
    /// Connects. Each item of the stream is a change; it ends with the connection.
    pub(super) fn connect() -> io::Result<(Self, BoxStream<'static, ()>)> {
        let (mut connection, handle, changes) =
            new_connection_with_socket::<Nexthop, TokioSocket>(NETLINK_ROUTE)?;
        let socket = connection.socket_mut().socket_mut();
        socket.bind(&SocketAddr::new(0, 0))?;
        if let Err(error) = socket.add_membership(MulticastGroup::Nexthop as u32) {
            // Before Linux 5.3, where there are no such objects.
            log::debug!("changes of nexthop objects are not told: {error}");
        }
        let connection = tokio::spawn(connection);
        Ok((Self { handle, connection }, changes.map(|_| ()).boxed()))
    }

    /// The next hops that an object stands for; none of one that is not there.
    pub(super) async fn hops(&self, id: u32) -> Result<Vec<RouteHop>, Error> {
        let Some(object) = self.ask(id).await? else { return Ok(Vec::new()) };
        if object.group.is_empty() {
            return Ok(object.hop(1).into_iter().collect());
        }
        let mut hops = Vec::with_capacity(object.group.len());
        // Groups have no groups in them.
        for (member, weight) in object.group {
            hops.extend(self.ask(member).await?.and_then(|member| member.hop(weight)));
        }
        Ok(hops)
    }

    async fn ask(&self, id: u32) -> Result<Option<Nexthop>, Error> {
        let mut message = NetlinkMessage::from(Nexthop { id, ..Nexthop::default() });
        message.header.flags = NLM_F_REQUEST;
        let answer = self.handle.request(message, SocketAddr::new(0, 0));
        let mut answer = answer.map_err(|_| Error::RequestFailed)?;
        match answer.next().await.map(|message| message.payload) {
            Some(NetlinkPayload::InnerMessage(object)) => Ok(Some(object)),
            Some(_) => Ok(None),
            None => Err(Error::RequestFailed),
        }
    }
}

impl Drop for Nexthops {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Nexthop {
    fn hop(&self, weight: u16) -> Option<RouteHop> {
        let hop = RouteHop {
            interface: self.interface?,
            via: self.gateway,
            weight,
            is_dead: self.is_dead,
        };
        (!self.has_encap).then_some(hop)
    }

    /// `nhmsg` and attributes.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, mut rest) = bytes.split_first_chunk::<HEADER_LEN>()?;
        let [.., a, b, c, d] = *header;
        let mut object =
            Self { is_dead: u32::from_ne_bytes([a, b, c, d]) & IS_DEAD != 0, ..Self::default() };
        while let Some((kind, value, behind)) = attribute(rest) {
            match kind {
                NHA_ID => object.id = word(value)?,
                NHA_OIF => object.interface = word(value),
                NHA_GATEWAY => object.gateway = address(value),
                NHA_ENCAP_TYPE => object.has_encap = true,
                NHA_GROUP => {
                    object.group = value.as_chunks().0.iter().copied().map(member).collect();
                }
                _ => {}
            }
            rest = behind;
        }
        Some(object)
    }
}

/// The first attribute's kind and value, and what is behind it.
fn attribute(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    /// Flags in the upper bits say of what kind the value is.
    const KIND: u16 = 0x3fff;
    let (&[a, b, c, d], _) = bytes.split_first_chunk::<ATTRIBUTE_HEADER_LEN>()?;
    let len = usize::from(u16::from_ne_bytes([a, b]));
    let value = bytes.get(ATTRIBUTE_HEADER_LEN..len)?;
    let behind = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    Some((u16::from_ne_bytes([c, d]) & KIND, value, behind))
}

fn word(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_ne_bytes)
}

fn address(value: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(value).map(|bytes| Ipv4Addr::from(bytes).into());
    v4.or_else(|_| <[u8; 16]>::try_from(value).map(|bytes| Ipv6Addr::from(bytes).into())).ok()
}

/// A `nexthop_grp`: identifier, weight less one, its upper byte (of newer kernels).
fn member([a, b, c, d, weight, weight_high, ..]: [u8; 8]) -> (u32, u16) {
    let weight = u16::from_le_bytes([weight, weight_high]).saturating_add(1);
    (u32::from_ne_bytes([a, b, c, d]), weight)
}

impl NetlinkSerializable for Nexthop {
    fn message_type(&self) -> u16 {
        RTM_GETNEXTHOP
    }

    fn buffer_len(&self) -> usize {
        HEADER_LEN + ATTRIBUTE_HEADER_LEN + size_of::<u32>()
    }

    /// A question for the object of this identifier.
    fn serialize(&self, buffer: &mut [u8]) {
        let attribute = [8u16.to_ne_bytes(), NHA_ID.to_ne_bytes()].concat();
        let bytes = [&[0; HEADER_LEN][..], &attribute, &self.id.to_ne_bytes()].concat();
        buffer.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    }
}

impl NetlinkDeserializable for Nexthop {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let is_one = matches!(header.message_type, RTM_NEWNEXTHOP | RTM_DELNEXTHOP);
        let object = Self::parse(payload).filter(|_| is_one);
        object.ok_or_else(|| DecodeError::from("no nexthop object"))
    }
}

impl From<Nexthop> for NetlinkPayload<Nexthop> {
    fn from(object: Nexthop) -> Self {
        Self::InnerMessage(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `ip nexthop add id 1 via 10.0.0.4 dev va`, as the kernel tells it (little-endian).
    const GATEWAY: &[u8] = &[
        2, 253, 3, 0, 0, 0, 0, 0, // nhmsg
        8, 0, 1, 0, 1, 0, 0, 0, // NHA_ID
        8, 0, 5, 0, 3, 0, 0, 0, // NHA_OIF
        8, 0, 6, 0, 10, 0, 0, 4, // NHA_GATEWAY
    ];
    /// `ip nexthop add id 10 group 1,7/2,2`.
    const GROUP: &[u8] = &[
        0, 0, 3, 0, 0, 0, 0, 0, // nhmsg
        8, 0, 1, 0, 10, 0, 0, 0, // NHA_ID
        6, 0, 3, 0, 0, 0, 0, 0, // NHA_GROUP_TYPE
        20, 0, 2, 0, 1, 0, 0, 0, 6, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, // NHA_GROUP
    ];

    #[test]
    fn an_object_has_a_gateway_or_members_with_weights() {
        let gateway = Nexthop::parse(GATEWAY).unwrap();
        let via = Some("10.0.0.4".parse().unwrap());
        let hop = RouteHop { interface: 3, via, weight: 7, is_dead: false };
        assert_eq!((gateway.id, gateway.hop(7)), (1, Some(hop)));
        let group = Nexthop::parse(GROUP).unwrap();
        assert_eq!((group.id, group.group), (10, vec![(1, 7), (2, 2)]));
    }

    #[test]
    fn dead_objects_and_those_with_an_envelope_are_told_apart() {
        let mut dead = GATEWAY.to_vec();
        dead[4] = 16;
        assert!(Nexthop::parse(&dead).unwrap().hop(1).unwrap().is_dead);
        let mpls = [GATEWAY, &[6, 0, 7, 0, 1, 0, 0, 0]].concat();
        assert_eq!(Nexthop::parse(&mpls).unwrap().hop(1), None);
    }

    #[test]
    fn a_question_is_a_header_and_the_identifier() {
        let question = Nexthop { id: 10, ..Nexthop::default() };
        let mut bytes = vec![0xee; question.buffer_len()];
        question.serialize(&mut bytes);
        assert_eq!(bytes, [0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 1, 0, 10, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_to_its_end(bytes: Vec<u8>) {
            let _ = Nexthop::parse(&bytes);
        }

        #[test]
        fn cut_and_changed_messages_do_no_harm(at in 0..GROUP.len(), value: u8, len in 0..=GROUP.len()) {
            let mut bytes = GROUP.to_vec();
            bytes[at] = value;
            let _ = Nexthop::parse(&bytes[..len]);
        }
    }
}
