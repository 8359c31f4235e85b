//! Any bytes are rewritten as far as they are a frame: what is known of them stays right, and what is taken back is as
//! it was. Seeds are those of the target `parse`, which begin with a byte of choice too.

#![no_main]

use engine::wire::{ethernet, vlan};
use ipnet::IpNet;
use libfuzzer_sys::fuzz_target;
use traffic::layers::Layers;
use traffic::replay::{Rewrites, VlanRewrite};
use traffic::rewrite::Rewriter;

/// Networks and ports change places, so that doing it twice undoes it.
fn exchange() -> Rewrites {
    let net = |text: &str| text.parse::<IpNet>().expect("a network");
    let pairs = [("0.0.0.0/1", "128.0.0.0/1"), ("::/1", "8000::/1")];
    let pairs = pairs.map(|(one, other)| (net(one), net(other)));
    let addresses = pairs.into_iter().flat_map(|(one, other)| [(one, other), (other, one)]);
    Rewrites {
        addresses: addresses.collect(),
        ports: vec![(53, 80), (80, 53)],
        ..Rewrites::default()
    }
}

/// The same, tags too; and with addresses that differ by loop.
fn everything(vlan: Option<VlanRewrite>) -> Rewrites {
    let increments = ["0.0.0.0/0", "::/0"].map(|text| text.parse().expect("a network")).to_vec();
    Rewrites { vlan, increments, ..exchange() }
}

fn rewritten(rewrites: &Rewrites, frame: &[u8], loop_number: u64) -> Vec<u8> {
    let rewriter = Rewriter::new(rewrites).expect("it can be done");
    let (mut layers, mut to) = (Layers::of(frame), Vec::new());
    rewriter.rewrite(frame, &mut layers, 0, loop_number, &mut to);
    // A tag more or less than is looked behind makes another packet of it.
    let is_bottomless = |frame| {
        Layers::of(frame).packet_at >= ethernet::HEADER_LEN + vlan::TAGS_MAX * vlan::TAG_LEN
    };
    if !is_bottomless(frame) && !is_bottomless(&to) {
        assert_eq!(layers, Layers::of(&to), "what is known of a frame changes with it");
    }
    assert_eq!(to.len(), rewriter.len_of(frame));
    to
}

/// The same but for two bytes that are one zero of a checksum or the other.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let is_zero = |frame: &[u8], at| matches!(frame.get(at..at + 2), Some([0, 0] | [0xff, 0xff]));
    let (mut at, mut differ) = (0, one.len() != other.len());
    while at < one.len() && !differ {
        let is_equal = one[at] == other[at];
        differ = !is_equal && !(is_zero(one, at) && is_zero(other, at));
        at += if is_equal { 1 } else { 2 };
    }
    !differ
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, frame)) = bytes.split_first() else { return };
    let vlan = match choice % 4 {
        0 => None,
        1 => Some(VlanRewrite::Pop),
        2 => Some(VlanRewrite::Set { vlan: 1 }),
        _ => Some(VlanRewrite::Push { vlan: 1, ether_type: 0x8100 }),
    };
    rewritten(&everything(vlan), frame, u64::from(*choice) << 30);
    let there = rewritten(&exchange(), frame, 0);
    let back = rewritten(&exchange(), &there, 0);
    assert!(is_same(frame, &back), "{frame:02x?}\n{there:02x?}\n{back:02x?}");
});
