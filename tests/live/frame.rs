//! Reading frames the test's own way, independent of the engine: whose flow, and what VXLAN holds.

/// Addresses, protocol and ports of a packet, in its own direction.
pub(crate) type Flow = Vec<u8>;

/// The flow of a frame; `None` when it is not IP.
pub(crate) fn flow(frame: &[u8]) -> Option<Flow> {
    let ip = frame.get(14..)?;
    let (addresses, protocol, payload) = match frame.get(12..14)? {
        [0x08, 0x00] => {
            let header_len = usize::from(ip[0] & 15) * 4;
            let is_fragment = u16::from_be_bytes([ip[6], ip[7]]) & 0x3fff != 0;
            (&ip[12..20], ip[9], if is_fragment { &[] } else { &ip[header_len..] })
        }
        [0x86, 0xdd] => (&ip[8..40], ip[6], &ip[40..]),
        _ => return None,
    };
    let ports: &[u8] = match protocol {
        6 | 17 => payload.get(..4).unwrap_or_default(),
        _ => &[],
    };
    Some([addresses, &[protocol], ports].concat())
}

/// What a VXLAN packet over IPv4 or IPv6 carries, and its VNI. Panics on what is none, or none as
/// linetap is to send it (RFC 7348 §5, with the UDP source port of its recommended range).
pub(crate) fn decapsulate(frame: &[u8]) -> (u32, &[u8]) {
    let udp = match frame[12..14] {
        [0x08, 0x00] => {
            let ip = &frame[14..34];
            assert_eq!([ip[0], ip[8], ip[9]], [0x45, 255, 17], "version and length, TTL, protocol");
            assert_eq!(ones_complement_sum(ip), 0xffff, "the checksum of the outer IPv4 header");
            let total_len = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
            assert_eq!(total_len, frame.len() - 14, "the outer total length");
            assert_eq!(frame[40..42], [0, 0], "the UDP checksum over IPv4 is zero");
            &frame[34..]
        }
        [0x86, 0xdd] => {
            let ip = &frame[14..54];
            assert_eq!([ip[0] >> 4, ip[6], ip[7]], [6, 17, 255], "version, next header, hop limit");
            let payload_len = usize::from(u16::from_be_bytes([ip[4], ip[5]]));
            assert_eq!(payload_len, frame.len() - 54, "the outer payload length");
            &frame[54..]
        }
        _ => panic!("a copy that is not IP"),
    };
    let port = |at: usize| u16::from_be_bytes([udp[at], udp[at + 1]]);
    assert!(port(0) >= 49152, "the source port {} is ephemeral", port(0));
    assert_eq!(port(2), 4789, "the destination port");
    assert_eq!(usize::from(port(4)), udp.len(), "the UDP length");
    let vxlan = &udp[8..16];
    assert_eq!(vxlan[..4], [0x08, 0, 0, 0], "VXLAN flags and reserved bits");
    assert_eq!(vxlan[7], 0, "the last reserved byte");
    (u32::from_be_bytes([0, vxlan[4], vxlan[5], vxlan[6]]), &udp[16..])
}

fn ones_complement_sum(bytes: &[u8]) -> u32 {
    let sum: u32 =
        bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    (sum & 0xffff) + (sum >> 16)
}
