//! What routers say of packets that are too big for the way to a tool: copies are made to fit.

use crate::appliance::Appliance;
use crate::lab::{Lab, SERVER};
use crate::process::{run, wait_for};
use crate::routers::{Routers, Underlay, V4, V6, now_s};
use crate::sightings::Sightings;
use crate::template::mirror_all;

/// The MTU behind the first router, and what it says.
const MTU: u64 = 1400;

/// Copies that are longer than [`MTU`] on both underlays: 1442 bytes inside.
fn ping_large(lab: &Lab) {
    lab.sh("client", &format!("ping -i 0.05 -c 5 -s 1400 {SERVER}"));
}

fn path_mtu(appliance: &Appliance<'_>) -> Option<u64> {
    appliance.status().0["live"]["neighbors"][0]["path_mtu"].as_u64()
}

/// A tool behind a router with a short link; `too_big` makes the router say so.
fn copies_are_made_to_fit(underlay: Underlay, too_big: impl Fn(&Appliance<'_>, &Routers<'_>)) {
    let Some(lab) = Lab::raise(&[]) else { return };
    let routers = Routers::raise(&lab);
    routers.ip("r1", &format!("link set far0 mtu {MTU}"));
    let appliance = Appliance::start(&lab, &mirror_all(underlay.target));
    let copies = Sightings::start(routers.exec("tool", "tcpdump"), "mirror0", &lab.file("seen"));
    ping_large(&lab);
    too_big(&appliance, &routers);
    wait_for("the MTU of the way", || path_mtu(&appliance).is_some());
    assert_eq!(path_mtu(&appliance), Some(MTU));
    let text = appliance.status_with(&[]);
    let is_told = |line: &str| line.contains(underlay.tool) && line.ends_with(&format!(" {MTU}"));
    assert!(text.lines().any(is_told), "{text}");
    let (from, arrived) = (now_s(), routers.arrived()[0]);
    ping_large(&lab);
    wait_for("copies", || copies.since(from).len() >= 10);
    let lens: Vec<_> = copies.since(from).iter().map(|one| one.len as u64).collect();
    assert!(lens.iter().all(|&len| len == MTU), "{lens:?}");
    // Each in one piece.
    wait_for("copies at the tool", || routers.arrived()[0] >= arrived + 10);
    assert!(appliance.status().number("/sessions/0/truncated_packets") >= 10);

    // A route may say less, and what was learned holds when it says nothing any more.
    let Underlay { ip, tool, routers: [router, _], .. } = underlay;
    routers.ip("appliance", &format!("{ip} route replace {tool} via {router} mtu 1300"));
    wait_for("the route's MTU", || path_mtu(&appliance) == Some(1300));
    routers.ip("appliance", &format!("{ip} route replace {tool} via {router}"));
    wait_for("the learned MTU", || path_mtu(&appliance) == Some(MTU));

    let (status, log) = appliance.stop("TERM");
    assert!(status.success(), "{status}:\n{log}");
    assert_eq!(log.matches(&format!("takes packets of {MTU} bytes")).count(), 1, "{log}");
}

#[test]
fn packet_too_big_lowers_the_way_over_ipv6() {
    // The router says so by itself.
    copies_are_made_to_fit(V6, |_, _| {});
}

#[test]
fn fragmentation_needed_lowers_the_way_over_ipv4() {
    // Copies allow fragments: a router that makes none says so. Others say it of what is no copy.
    copies_are_made_to_fit(V4, |appliance, routers| {
        assert_eq!(appliance.status().number("/sessions/0/truncated_packets"), 0);
        let [source, other] = V4.sources;
        let tool = V4.tool;
        let script = format!(
            "import socket, struct\n\
             def sum16(data):\n\
            \x20   total = sum(struct.unpack('>%dH' % (len(data) // 2), data))\n\
            \x20   while total >> 16: total = (total & 0xffff) + (total >> 16)\n\
            \x20   return total ^ 0xffff\n\
             def say(src, dst, port, mtu):\n\
            \x20   quoted = struct.pack('>BBHHHBBH4s4s', 0x45, 0, 1478, 0, 0x4000, 254, 17, 0,\n\
            \x20       socket.inet_aton(src), socket.inet_aton(dst))\n\
            \x20   quoted += struct.pack('>HHHH', 50000, port, 1458, 0)\n\
            \x20   head = lambda value: struct.pack('>BBHHH', 3, 4, value, 0, mtu)\n\
            \x20   s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)\n\
            \x20   s.sendto(head(sum16(head(0) + quoted)) + quoted, ('{source}', 0))\n\
             say('{other}', '{tool}', 4789, 1200)\n\
             say('{source}', '{other}', 4789, 1210)\n\
             say('{source}', '{tool}', 4788, 1220)\n\
             say('{source}', '{tool}', 4789, 9000)\n\
             say('{source}', '{tool}', 4789, {MTU})\n"
        );
        run(routers.exec("r1", "python3").args(["-c", &script]));
    });
}
