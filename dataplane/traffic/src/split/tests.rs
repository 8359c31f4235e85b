//! Directions of conversations, told from what the frames say.

use super::*;
use proptest::prelude::*;

const CLIENT_ADDRESS: [u8; 4] = [10, 0, 0, 9];
const SERVER_ADDRESS: [u8; 4] = [10, 0, 0, 1];
const SYN: u8 = 2;
const SYN_ACK: u8 = 0x12;
const ACK: u8 = 0x10;

/// From a client, or an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Client,
    Server,
}

/// A frame between the two, with a client's port, 80 at the server; `fragment` is the field of IPv4.
fn frame(from: From, protocol: u8, port: u16, flags: u8, fragment: u16) -> Vec<u8> {
    let [[c0, c1], [f0, f1]] = [port, fragment].map(u16::to_be_bytes);
    let (macs, addresses, ports) = match from {
        From::Client => ([2, 1], [CLIENT_ADDRESS, SERVER_ADDRESS], [c0, c1, 0, 80]),
        From::Server => ([1, 2], [SERVER_ADDRESS, CLIENT_ADDRESS], [0, 80, c0, c1]),
    };
    let mut frame = vec![2, 0, 0, 0, 0, macs[0], 2, 0, 0, 0, 0, macs[1], 8, 0];
    frame.extend([0x45, 0, 0, 60, 0, 7, f0, f1, 64, protocol, 0, 0]);
    frame.extend(addresses.as_flattened());
    frame.extend(ports);
    frame.extend([0; 36]);
    frame[47] = flags;
    frame
}

/// The sides of frames, one after the other.
fn sides(splitter: &mut Splitter, frames: &[Vec<u8>]) -> Vec<usize> {
    let number = 0..;
    frames
        .iter()
        .zip(number)
        .map(|(frame, number)| splitter.side(frame, &Layers::of(frame), number))
        .collect()
}

fn sides_by(by: &SplitBy, frames: &[Vec<u8>]) -> Vec<usize> {
    sides(&mut Splitter::new(by).unwrap(), frames)
}

fn arp(sender: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6];
    frame.extend([0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1]);
    frame.extend(sender);
    frame.extend([0; 10]);
    frame
}

fn other() -> Vec<u8> {
    vec![3; 60]
}

#[test]
fn addresses_tell_also_of_arp() {
    let by = SplitBy::ClientAddresses(vec![
        "10.0.0.8/29".parse().unwrap(),
        "fe80::/64".parse().unwrap(),
    ]);
    let frames = [
        frame(From::Client, TCP, 1000, 0, 0),
        frame(From::Server, TCP, 1000, 0, 0),
        arp(CLIENT_ADDRESS),
        arp(SERVER_ADDRESS),
        arp(SERVER_ADDRESS)[..30].to_vec(),
        other(),
    ];
    assert_eq!(sides_by(&by, &frames), [CLIENT, SERVER, CLIENT, SERVER, CLIENT, CLIENT]);
}

#[test]
fn ethernet_addresses_tell() {
    let by = SplitBy::ClientMacs(vec![Mac([2, 0, 0, 0, 0, 1])]);
    let frames = [
        frame(From::Client, TCP, 1000, 0, 0),
        frame(From::Server, TCP, 1000, 0, 0),
        arp([0; 4]),
        vec![2; 11],
    ];
    assert_eq!(sides_by(&by, &frames), [CLIENT, SERVER, CLIENT, SERVER]);
}

#[test]
fn the_lower_port_is_the_servers_and_fragments_follow_their_first() {
    let frames = [
        frame(From::Client, UDP, 1000, 0, 0),
        frame(From::Server, UDP, 1000, 0, 0),
        frame(From::Server, UDP, 80, 0, 0),
        // A client's first fragment; what follows has no ports.
        frame(From::Server, UDP, 7, 0, 9),
        frame(From::Server, UDP, 1000, 0, 0x2000),
        frame(From::Server, UDP, 7, 0, 9),
        frame(From::Server, 1, 1000, 0, 0),
        other(),
    ];
    let expected = [CLIENT, SERVER, CLIENT, CLIENT, SERVER, SERVER, CLIENT, CLIENT];
    assert_eq!(sides_by(&SplitBy::Ports, &frames), expected);
}

#[test]
fn who_speaks_first_is_the_client_of_each_flow() {
    let frames = [
        frame(From::Server, UDP, 1000, 0, 0),
        frame(From::Client, UDP, 1000, 0, 0),
        frame(From::Client, UDP, 1001, 0, 0),
        frame(From::Server, UDP, 1001, 0, 0),
        // Another flow of the same hosts, by ICMP.
        frame(From::Client, 1, 0, 0, 0),
        frame(From::Server, 1, 0, 0, 0),
        other(),
    ];
    let mut splitter = Splitter::new(&SplitBy::FirstSpeaker).unwrap();
    let expected = [CLIENT, SERVER, CLIENT, SERVER, CLIENT, SERVER, CLIENT];
    assert_eq!(sides(&mut splitter, &frames), expected);
    // What is known stays known, until a new loop begins.
    assert_eq!(sides(&mut splitter, &frames[1..2]), [SERVER]);
    splitter.restart();
    assert_eq!(sides(&mut splitter, &frames[1..2]), [CLIENT]);
}

#[test]
fn a_handshake_tells_whoever_spoke_first() {
    let frames = [
        frame(From::Server, TCP, 1000, ACK, 0),
        frame(From::Client, TCP, 1000, SYN, 0),
        frame(From::Server, TCP, 1000, SYN_ACK, 0),
        frame(From::Client, TCP, 1000, ACK, 0),
        frame(From::Server, TCP, 1000, ACK, 0),
    ];
    let by = SplitBy::FirstSpeaker;
    assert_eq!(sides_by(&by, &frames), [CLIENT, CLIENT, SERVER, CLIENT, SERVER]);
    // A capture that begins with the answer.
    assert_eq!(sides_by(&by, &frames[2..]), [SERVER, CLIENT, SERVER]);
}

#[test]
fn later_fragments_go_as_their_first_or_as_their_hosts_do() {
    let frames = [
        frame(From::Client, UDP, 1000, 0, 0),
        frame(From::Server, UDP, 1000, 0, 0x2000),
        frame(From::Server, UDP, 9, 0, 9),
        // Without a first fragment: from who answered before.
        {
            let mut stray = frame(From::Server, UDP, 9, 0, 9);
            stray[19] = 99;
            stray
        },
    ];
    assert_eq!(sides_by(&SplitBy::FirstSpeaker, &frames), [CLIENT, SERVER, SERVER, SERVER]);
    assert_eq!(sides_by(&SplitBy::FirstSpeaker, &frames[3..]), [CLIENT]);
}

#[test]
fn fragments_of_ipv6_are_told_apart_by_their_identification() {
    let fragment = |from: From, offset: u8, id: u8, port: u8| {
        let (src, dst) = if from == From::Client { (9, 1) } else { (1, 9) };
        let mut frame = vec![0; 12];
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 24, 60, 64]);
        frame.extend([0x20; 15].into_iter().chain([src]));
        frame.extend([0x20; 15].into_iter().chain([dst]));
        frame.extend([44, 0, 1, 4, 0, 0, 0, 0]);
        frame.extend([17, 0, 0, offset | 1, 0, 0, 0, id]);
        let ports = if from == From::Client { [4, port, 0, 80] } else { [0, 80, 4, port] };
        frame.extend(ports);
        frame.extend([0; 4]);
        frame
    };
    let frames = [
        fragment(From::Server, 0, 1, 1),
        fragment(From::Client, 0, 1, 1),
        fragment(From::Server, 8, 1, 0),
        // The server's next datagram answers another flow, which the client began.
        fragment(From::Client, 0, 2, 2),
        fragment(From::Server, 0, 3, 2),
        fragment(From::Server, 8, 3, 0),
    ];
    let expected = [CLIENT, SERVER, CLIENT, CLIENT, SERVER, SERVER];
    assert_eq!(sides_by(&SplitBy::FirstSpeaker, &frames), expected);
    assert_eq!(identification(&frames[4][14..]), Some(3));
}

proptest! {
    /// Whatever comes: the two directions of a flow are apart, once it has begun.
    #[test]
    fn directions_stay_apart(frames: Vec<(bool, bool, u8)>) {
        let mut splitter = Splitter::new(&SplitBy::FirstSpeaker).unwrap();
        let mut first = std::collections::HashMap::new();
        for (is_client, is_tcp, port) in frames {
            let from = if is_client { From::Client } else { From::Server };
            let protocol = if is_tcp { TCP } else { UDP };
            let frame = frame(from, protocol, 1000 + u16::from(port), 0, 0);
            let side = splitter.side(&frame, &Layers::of(&frame), 0);
            let speaker = *first.entry((is_tcp, port)).or_insert(is_client);
            prop_assert_eq!(side == CLIENT, speaker == is_client);
        }
    }

    #[test]
    fn noise_has_a_side(frame: Vec<u8>, ether_type in prop::sample::select(vec![0x0800u16, 0x86dd, 0x0806])) {
        let mut frame = frame;
        if let Some(field) = frame.get_mut(12..15) {
            field[..2].copy_from_slice(&ether_type.to_be_bytes());
            field[2] = if ether_type == 0x0800 { 0x45 } else { 0x60 };
        }
        for by in [SplitBy::Ports, SplitBy::FirstSpeaker, SplitBy::ClientMacs(vec![]), SplitBy::ClientAddresses(vec![])] {
            let side = Splitter::new(&by).unwrap().side(&frame, &Layers::of(&frame), 0);
            prop_assert!(side <= SERVER);
        }
    }
}
