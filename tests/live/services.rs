//! Network services and what is never mirrored, on a live wire: as clients and servers send them.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use pcap_file::pcap::{PcapPacket, PcapWriter};

use crate::appliance::Appliance;
use crate::capture::{Capture, count};
use crate::lab::{Lab, project};
use crate::process::run;
use crate::template::{TOOL_V4, mirror_amazon_dns};

/// Resolvers of the appliance file; both are other addresses than AWS's.
const RESOLVERS: [&str; 2] = ["198.51.100.53", "2001:db8:1::53"];
const CLIENTS: [&str; 2] = ["198.51.100.1", "2001:db8:1::1"];
const UDP: u8 = 17;
const TCP: u8 = 6;

/// A question for the address of `a.example`, and about as much of an answer.
const DNS: &[u8] = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0\x01a\x07example\0\0\x01\0\x01";
/// The beginning of a time request: version 4, client.
const NTP: &[u8] = &[0x23; 48];

fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let bytes = parts.concat();
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    (!u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap()).to_be_bytes()
}

/// A packet in a frame from the client to the server.
fn frame(protocol: u8, ends: [(&str, u16); 2], payload: &[u8]) -> Vec<u8> {
    let [src, dst] = ends.map(|(address, _)| address.parse::<IpAddr>().unwrap());
    let [src_port, dst_port] = ends.map(|(_, port)| port.to_be_bytes());
    let layer4 = if protocol == UDP {
        let len = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
        [&src_port, &dst_port, &len, &[0, 0], payload].concat()
    } else {
        // A SYN.
        [&src_port[..], &dst_port, &[0; 8], &[0x50, 2, 0xff, 0xff, 0, 0, 0, 0], payload].concat()
    };
    let octets = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let (src, dst, len) = (octets(src), octets(dst), u16::try_from(layer4.len()).unwrap());
    let pseudo = [&src, &dst, &[0, protocol][..], &len.to_be_bytes()].concat();
    let mut layer4 = layer4;
    let place = if protocol == UDP { 6..8 } else { 16..18 };
    let sum = checksum(&[&pseudo, &layer4]);
    layer4[place].copy_from_slice(&sum);
    let mut frame = vec![2, 0, 0, 0, 0x5e, 1, 2, 0, 0, 0, 0xc1, 1];
    if src.len() == 4 {
        let total = (len + 20).to_be_bytes();
        let mut ip =
            [&[0x45, 0], &total[..], &[0, 0, 0, 0, 64, protocol, 0, 0], &src, &dst].concat();
        let sum = checksum(&[&ip]);
        ip[10..12].copy_from_slice(&sum);
        frame.extend([&[8, 0], &ip[..]].concat());
    } else {
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend(len.to_be_bytes());
        frame.extend([&[protocol, 64], &src[..], &dst].concat());
    }
    frame.extend(layer4);
    frame
}

/// A DHCP message of this type, for a client on Ethernet.
fn dhcp(op: u8, kind: u8) -> Vec<u8> {
    let mut message = vec![0; 236];
    message[..4].copy_from_slice(&[op, 1, 6, 0]);
    message[28..34].copy_from_slice(&[2, 0, 0, 0, 0xc1, 1]);
    message.extend([0x63, 0x82, 0x53, 0x63, 53, 1, kind, 255]);
    message
}

/// What only the network service mirrors.
fn of_resolvers() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for (resolver, client) in RESOLVERS.into_iter().zip(CLIENTS) {
        frames.push(frame(UDP, [(client, 5353), (resolver, 53)], DNS));
        frames.push(frame(UDP, [(resolver, 53), (client, 5353)], DNS));
        frames.push(frame(TCP, [(client, 40_000), (resolver, 53)], &[]));
    }
    frames
}

/// What is never mirrored, by the name of why.
fn never_mirrored() -> Vec<(&'static str, Vec<u8>)> {
    let (any, all) = (Ipv4Addr::UNSPECIFIED.to_string(), Ipv4Addr::BROADCAST.to_string());
    let servers = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2).to_string();
    let [v4, v6] = CLIENTS;
    vec![
        ("dhcp", frame(UDP, [(&any, 68), (&all, 67)], &dhcp(1, 1))),
        ("dhcp", frame(UDP, [(v4, 67), (&all, 68)], &dhcp(2, 2))),
        ("dhcp", frame(UDP, [("fe80::1", 546), (&servers, 547)], &[1, 0, 0, 7, 0, 8, 0, 2, 0, 0])),
        ("metadata", frame(TCP, [(v4, 40_000), ("169.254.169.254", 80)], &[])),
        ("metadata", frame(TCP, [("169.254.169.254", 80), (v4, 40_000)], &[])),
        ("metadata", frame(TCP, [(v6, 40_000), ("fd00:ec2::254", 80)], &[])),
        ("ntp", frame(UDP, [(v4, 123), ("169.254.169.123", 123)], NTP)),
        ("ntp", frame(UDP, [(v6, 123), ("fd00:ec2::123", 123)], NTP)),
        ("activation", frame(TCP, [(v4, 40_000), ("169.254.169.250", 1688)], &[])),
        ("activation", frame(TCP, [("169.254.169.251", 1688), (v4, 40_000)], &[])),
        ("loop_guard", frame(UDP, [("192.0.2.1", 50_000), ("192.0.2.10", 4789)], &[8; 40])),
    ]
}

/// A datagram from the client, in a frame to the server.
pub(crate) fn client_udp(address: &str, port: u16, payload: &[u8]) -> Vec<u8> {
    frame(UDP, [(CLIENTS[0], 5353), (address, port)], payload)
}

/// Sends so many frames a second from the client's end of the wire.
pub(crate) fn send(lab: &Lab, frames: &[Vec<u8>], per_second: u32) {
    let file = lab.file("services.pcap");
    let mut writer = PcapWriter::new(File::create(&file).unwrap()).unwrap();
    for data in frames {
        let len = data.len().try_into().unwrap();
        let packet = PcapPacket { timestamp: Duration::ZERO, orig_len: len, data: data.into() };
        writer.write_packet(&packet).unwrap();
    }
    drop(writer);
    let mut replay = lab.exec("client", "python3");
    replay.arg(Path::new(project()).join("tests/live/replay.py")).arg(&file);
    run(replay.args(["wire0", &per_second.to_string()]));
}

#[test]
fn the_resolvers_of_the_file_are_mirrored_by_the_service_alone_and_the_rest_is_told_by_cause() {
    let Some(lab) = Lab::raise(&[]) else { return };
    lab.edit_appliance(
        "# The client:",
        &format!("[exempt]\namazon_dns = {RESOLVERS:?}\n\n# The client:"),
    );
    let appliance = Appliance::start(&lab, &mirror_amazon_dns(TOOL_V4));
    let copies = Capture::copies(&lab);
    let (of_resolvers, never) = (of_resolvers(), never_mirrored());
    // AWS's own resolver is none here, and nothing wants what is to another name server.
    let others = ["169.254.169.253", "198.51.100.77"]
        .map(|server| frame(UDP, [(CLIENTS[0], 5353), (server, 53)], DNS));
    let all = of_resolvers.iter().chain(never.iter().map(|(_, frame)| frame)).chain(&others);
    send(&lab, &all.cloned().collect::<Vec<_>>(), 1000);

    let report = appliance.settled();
    report.assert_conservation();
    assert_eq!(report.mirrored("All"), of_resolvers.len() as u64, "{:#}", report.0);
    assert_eq!(count(&copies.finish(of_resolvers.len() as u64)), of_resolvers.len() as u64);
    assert_eq!(report.number("/unmirrored/never_mirrored"), never.len() as u64);
    for cause in ["dhcp", "metadata", "ntp", "activation", "loop_guard"] {
        let sent = never.iter().filter(|(of, _)| *of == cause).count() as u64;
        assert_eq!(report.number(&format!("/never_mirrored_by/{cause}")), sent, "{cause}");
    }
    // Beside them the kernels' own packets, such as reports of multicast groups.
    assert!(report.number("/unmirrored/no_match") >= others.len() as u64);
    assert!(appliance.status_with(&[]).contains("never mirrored: dhcp 3, metadata 3, ntp 2"));
}
