//! Routes of a routing daemon: FRR learns a tool's address by BGP from both routers.

use std::path::Path;
use std::process::Command;

use crate::appliance::Appliance;
use crate::lab::Lab;
use crate::process::{Background, run, wait_for};
use crate::routers::{MACS, Routers, V4, now_s};
use crate::routing::{FOLLOWED_S_MAX, Flood};
use crate::sightings::{Sightings, next_hops};
use crate::template::mirror_all;

/// Where Debian's package has the daemons.
const DAEMONS: &str = "/usr/lib/frr";

/// zebra and bgpd of one namespace.
struct Frr {
    _zebra: Background,
    bgpd: Background,
}

impl Frr {
    /// Starts them where `side` is; `bgp` is what stands below `router bgp`.
    fn start(lab: &Lab, routers: &Routers<'_>, side: &str, bgp: &str) -> Self {
        // They give up root's rights, and want to be the user of their package then.
        let folder = lab.run_dir().join(format!("frr-{side}"));
        std::fs::create_dir(&folder).unwrap();
        run(Command::new("chown").arg("frr:frr").arg(&folder));
        let place = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        std::fs::write(place("bgpd.conf"), bgp).unwrap();
        std::fs::write(place("zebra.conf"), "hostname zebra\n").unwrap();
        let start = |name: &str| {
            let log = lab.file(&format!("{name}-{side}.log"));
            let mut daemon = routers.exec(side, &format!("{DAEMONS}/{name}"));
            // Nothing of it is anywhere else, and nobody is asked for.
            daemon.args(["--user", "frr", "--group", "frr", "--vty_port", "0"]);
            daemon.args(["--socket", &place("zserv"), "--vty_socket", folder.to_str().unwrap()]);
            daemon.args(["--pid_file", &place(&format!("{name}.pid"))]);
            daemon.args(["--config_file", &place(&format!("{name}.conf")), "--log", "stdout"]);
            Background::start(&mut daemon, &log)
        };
        let mut zebra = start("zebra");
        wait_for("zebra", || {
            assert!(zebra.is_running(), "zebra ended:\n{}", zebra.log());
            folder.join("zserv").exists()
        });
        Self { _zebra: zebra, bgpd: start("bgpd") }
    }
}

fn neighbor(address: &str, system: u32) -> String {
    format!(
        " neighbor {address} remote-as {system}\n neighbor {address} timers 1 3\n \
         neighbor {address} timers connect 1\n neighbor {address} advertisement-interval 0\n"
    )
}

fn router_bgp(system: u32, id: &str, neighbors: &str, family: &str) -> String {
    format!(
        "router bgp {system}\n bgp router-id {id}\n no bgp ebgp-requires-policy\n \
         no bgp network import-check\n{neighbors} address-family ipv4 unicast\n  {family}\n \
         exit-address-family\n"
    )
}

#[test]
fn copies_spread_over_routes_that_bgp_has_brought_and_leave_those_that_it_takes() {
    if !Path::new(DAEMONS).join("bgpd").exists() {
        eprintln!("left out: no FRR in {DAEMONS} (Debian's package frr)");
        return;
    }
    let Some(lab) = Lab::raise(&[]) else { return };
    let routers = Routers::raise(&lab);
    let appliance = Appliance::start(&lab, &mirror_all(V4.target));
    let copies = Sightings::start(routers.exec("tool", "tcpdump"), "mirror0", &lab.file("seen"));
    let flood = Flood::start(&lab);

    let (source, both) = (V4.sources[0], V4.routers);
    let neighbors = both.map(|router| neighbor(router, 65_001)).concat();
    let own = router_bgp(65_000, source, &neighbors, "maximum-paths 2");
    let _own = Frr::start(&lab, &routers, "appliance", &own);
    let network = format!("network {}/32", V4.tool);
    let [_first, mut second] = ["r1", "r2"].map(|side| {
        let id = if side == "r1" { both[0] } else { both[1] };
        let theirs = router_bgp(65_001, id, &neighbor(source, 65_000), &network);
        Frr::start(&lab, &routers, side, &theirs)
    });

    let gateways = || {
        let route = routers.ip("appliance", &format!("route show {}", V4.tool));
        both.map(|router| route.contains("proto bgp") && route.contains(&format!("via {router} ")))
    };
    wait_for("both routers' routes", || gateways() == [true, true]);
    eprintln!("{}", routers.ip("appliance", &format!("route show {}", V4.tool)));
    let known = now_s();
    let first = copies.first(known, |one| one.next_hop == MACS[1]);
    eprintln!("BGP brings a route: a copy by it {:.1} ms after", (first.at_s - known) * 1e3);
    wait_for("flows by both", || copies.since(first.at_s).len() > 2000);
    let seen = copies.since(first.at_s);
    let hops = next_hops(&seen);
    assert!(hops.values().all(|hops| hops.len() == 1), "each flow goes by one: {hops:?}");
    for mac in MACS {
        let flows = hops.values().filter(|hops| hops[0] == mac).count();
        assert!(flows > hops.len() / 4, "{flows} of {} flows by {mac}", hops.len());
    }

    second.bgpd.end("TERM");
    wait_for("its route to go", || gateways() == [true, false]);
    let known = now_s();
    wait_for("copies since", || copies.since(known).len() > 2000);
    let seen = copies.since(known);
    let last = seen.iter().rfind(|one| one.next_hop == MACS[1]);
    let took = last.map_or(0.0, |one| one.at_s - known);
    eprintln!("BGP takes a route: the last copy by it {:.1} ms after", took * 1e3);
    assert!(took < FOLLOWED_S_MAX);
    flood.end();
    appliance.status().assert_conservation();
    let (status, log) = appliance.stop("TERM");
    assert!(status.success(), "{status}:\n{log}");
}
