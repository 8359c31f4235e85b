//! The kernel's routes are those of copies: tools behind a router, behind two, and changes of all kinds while
//! packets cross. The wire loses nothing, and copies go the new way at once.

use std::net::IpAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::appliance::Appliance;
use crate::lab::{Lab, SERVER};
use crate::process::{Background, run, wait_for};
use crate::routers::{MACS, Routers, Underlay, V4, V6, now_s};
use crate::sightings::{Sighting, Sightings, next_hops};
use crate::template::mirror_all;
use crate::traffic::{in_the_wire, limit_rate};

/// Flows of the flood.
const FLOWS: usize = 64;
/// Copies of a change that takes longer have not followed it: on an idle machine it takes 10 ms.
pub(crate) const FOLLOWED_S_MAX: f64 = 1.0;

/// Megabits a second of the flood: what a wire of `net_af_packet` carries on a busy machine, or what is asked
/// for by `LINETAP_FLOOD_MBIT`.
fn flood_mbit() -> u32 {
    std::env::var("LINETAP_FLOOD_MBIT").map_or(15, |mbit| mbit.parse().unwrap())
}

/// A flood of datagrams from the client to the server.
pub(crate) struct Flood<'lab> {
    lab: &'lab Lab,
    in_the_wire_before: i64,
    _sink: Background,
    client: Background,
}

impl<'lab> Flood<'lab> {
    pub(crate) fn start(lab: &'lab Lab) -> Self {
        // The server takes them, and does not say that nobody does.
        let sink = "import socket, time\n\
                    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
                    s.bind(('', 4000)); print('bound', flush=True)\n\
                    while True: time.sleep(9)";
        let mut server = lab.exec("server", "python3");
        let mut sink = Background::start(server.args(["-c", sink]), &lab.file("sink.log"));
        sink.wait_for_log("bound");
        let flood = format!(
            "import socket, itertools\n\
             s = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range({FLOWS})]\n\
             for n in itertools.count(): s[n % {FLOWS}].sendto(bytes(200), ('{SERVER}', 4000))"
        );
        limit_rate(lab, "client", flood_mbit());
        let in_the_wire_before = in_the_wire(lab);
        let mut client = lab.exec("client", "python3");
        let client = Background::start(client.args(["-c", &flood]), &lab.file("flood.log"));
        Self { lab, in_the_wire_before, _sink: sink, client }
    }

    /// Ends it. Panics when the wire has lost a packet.
    pub(crate) fn end(mut self) {
        self.client.end("KILL");
        // What waits in the shaper and the wire comes out first.
        let lost = || in_the_wire(self.lab) - self.in_the_wire_before;
        let end = Instant::now() + Duration::from_secs(5);
        while lost() != 0 && Instant::now() < end {
            sleep(Duration::from_millis(50));
        }
        assert_eq!(lost(), 0, "frames that entered the wire and did not leave it");
    }
}

/// A path by which copies can be seen to change.
struct Bench<'lab> {
    routers: &'lab Routers<'lab>,
    underlay: Underlay,
    copies: Sightings,
}

impl Bench<'_> {
    /// Changes something by `ip` in the appliance, and waits for the first copy of which `is` is true. Tells how long
    /// that took since the kernel knew; fails when it was too long.
    fn change(&self, what: &str, line: &str, is: impl Fn(&Sighting) -> bool) {
        let before = now_s();
        self.routers.ip("appliance", line);
        self.time(what, before, now_s(), is);
    }

    fn time(&self, what: &str, before: f64, known: f64, is: impl Fn(&Sighting) -> bool) {
        let took = self.copies.first(before, is).at_s - known;
        let underlay = self.underlay.ip;
        eprintln!("{underlay} {what}: the first copy {:.1} ms after the kernel knew", took * 1e3);
        assert!(took < FOLLOWED_S_MAX, "{what}");
    }

    fn route(&self, by: &str) -> String {
        format!("{} route replace {} {by}", self.underlay.ip, self.underlay.tool)
    }

    fn by_both(&self) -> String {
        let [one, other] = self.underlay.routers;
        self.route(&format!("nexthop via {one} nexthop via {other}"))
    }

    /// What passes in a while from now.
    fn soon(&self, copies: usize) -> Vec<Sighting> {
        let from = now_s();
        wait_for("copies", || self.copies.since(from).len() >= copies);
        self.copies.since(from)
    }

    /// Panics unless flows go by both routers, each by one.
    fn assert_spread(&self) {
        let seen = self.soon(20 * FLOWS);
        let hops = next_hops(&seen);
        assert!(hops.values().all(|hops| hops.len() == 1), "each flow goes by one: {hops:?}");
        for mac in MACS {
            let flows = hops.values().filter(|hops| hops[0] == mac).count();
            assert!(flows > FLOWS / 4, "{flows} of {} flows by {mac}", hops.len());
        }
    }

    fn is_failed(&self, router: usize) -> bool {
        let line = format!("{} neigh show {}", self.underlay.ip, self.underlay.routers[router]);
        let told = self.routers.ip("appliance", &line);
        ["REACHABLE", "STALE", "DELAY", "PROBE"].iter().all(|state| !told.contains(state))
    }
}

fn copies_follow_the_kernels_routes(underlay: Underlay) {
    let Some(lab) = Lab::raise(&[]) else { return };
    let routers = Routers::raise(&lab);
    let appliance = Appliance::start(&lab, &mirror_all(underlay.target));
    let copies = Sightings::start(routers.exec("tool", "tcpdump"), "mirror0", &lab.file("seen"));
    let bench = Bench { routers: &routers, underlay, copies };
    let flood = Flood::start(&lab);

    // Without a route: the gateway of the file.
    assert!(bench.soon(500).iter().all(|one| one.next_hop == MACS[0]));
    let other = underlay.routers[1];
    bench.change("gateway", &bench.route(&format!("via {other}")), |it| it.next_hop == MACS[1]);
    assert!(bench.soon(500).iter().all(|one| one.next_hop == MACS[1]));
    if underlay.ip == "-4" {
        let by_ipv6 = format!("via inet6 {} dev tool0", V6.routers[0]);
        bench.change("gateway of IPv6", &bench.route(&by_ipv6), |it| it.next_hop == MACS[0]);
        bench.change("gateway", &bench.route(&format!("via {other}")), |it| it.next_hop == MACS[1]);
    }
    bench.change("two gateways", &bench.by_both(), |it| it.next_hop == MACS[0]);
    bench.assert_spread();
    let status = appliance.status();
    let hops = status.0["live"]["neighbors"][0]["hops"].as_array().unwrap();
    let told: Vec<_> = hops.iter().map(|hop| [&hop["via"], &hop["mac"]]).collect();
    assert_eq!(told, [0, 1].map(|at| [underlay.routers[at], MACS[at]]));
    nexthop_objects(&bench);

    bench.change("two gateways", &bench.by_both(), |it| it.next_hop == MACS[1]);
    bench.assert_spread();
    router_fails_and_returns(&bench);

    neighbour_is_deleted(&bench);
    port_loses_its_link(&bench, &appliance);

    let new: IpAddr = underlay.sources[1].parse().unwrap();
    let new = match new {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let [old, other] = underlay.sources.map(|address| underlay.with_len(address));
    let nodad = if underlay.ip == "-6" { "nodad" } else { "" };
    routers.ip("appliance", &format!("addr add {other} dev tool0 {nodad}"));
    bench.change("address", &format!("addr del {old} dev tool0"), |it| it.source == new);
    assert!(bench.soon(500).iter().all(|one| one.source == new));

    flood.end();
    // Never settled: the kernel goes on asking for its neighbours.
    let report = appliance.status();
    report.assert_conservation();
    let (sent, skipped) = (report.mirrored("All"), report.skipped_in_all("All"));
    eprintln!("{} {sent} copies sent, {skipped} skipped", underlay.ip);
    let arrived = routers.arrived();
    assert!(arrived.iter().all(|&frames| frames > 500), "by each router to the tool: {arrived:?}");
    let (status, log) = appliance.stop("TERM");
    assert!(status.success(), "{status}:\n{log}");
}

/// Routes by nexthop objects, which the kernel does not write out, and changes of those alone.
fn nexthop_objects(bench: &Bench<'_>) {
    let mut sysctl = bench.routers.exec("appliance", "sysctl");
    run(sysctl.args(["-qw", "net.ipv4.nexthop_compat_mode=0"]));
    let ([one, other], family) = (bench.underlay.routers, bench.underlay.ip);
    let ip = |line: String| drop(bench.routers.ip("appliance", &line));
    ip(format!("{family} nexthop add id 1 via {one} dev tool0"));
    ip(format!("{family} nexthop add id 2 via {other} dev tool0"));
    ip("nexthop add id 9 group 1/2".to_owned());
    ip(bench.route("nhid 1"));
    wait_for("copies by the first", || {
        bench.soon(2 * FLOWS).iter().all(|it| it.next_hop == MACS[0])
    });
    let line = format!("{family} nexthop replace id 1 via {other} dev tool0");
    bench.change("nexthop object", &line, |it| it.next_hop == MACS[1]);
    ip(format!("{family} nexthop replace id 2 via {one} dev tool0"));
    bench.change("nexthop group", &bench.route("nhid 9"), |it| it.next_hop == MACS[0]);
    bench.assert_spread();
    ip("nexthop replace id 9 group 2".to_owned());
    wait_for("copies by it alone", || {
        bench.soon(2 * FLOWS).iter().all(|it| it.next_hop == MACS[0])
    });
}

/// The link of the second router goes, and comes back.
fn router_fails_and_returns(bench: &Bench<'_>) {
    bench.routers.ip("tool", "link set r2 down");
    let mut known = now_s();
    wait_for("the kernel to find out", || {
        // Looked at more often than that: it is the time that is wanted.
        (0..50).any(|_| bench.is_failed(1)).then(|| known = now_s()).is_some()
    });
    wait_for("copies by the other", || {
        let seen = bench.soon(2 * FLOWS);
        seen.iter().all(|one| one.next_hop == MACS[0])
    });
    let seen = bench.copies.since(known);
    let last = seen.iter().rfind(|one| one.next_hop == MACS[1]);
    let took = last.map_or(0.0, |one| one.at_s - known);
    eprintln!("{} router gone: the last copy to it {:.1} ms after", bench.underlay.ip, took * 1e3);
    assert!(took < FOLLOWED_S_MAX, "a router that is gone");

    let before = now_s();
    bench.routers.ip("tool", "link set r2 up");
    wait_for("the kernel to find it again", || !bench.is_failed(1));
    bench.time("router back", before, now_s(), |it| it.next_hop == MACS[1]);
}

/// The kernel forgets the first router, which is found again because copies want it.
fn neighbour_is_deleted(bench: &Bench<'_>) {
    let (router, family) = (bench.underlay.routers[0], bench.underlay.ip);
    let before = now_s();
    bench.routers.ip("appliance", &format!("{family} neigh del {router} dev tool0"));
    bench.soon(20 * FLOWS);
    let seen = bench.copies.since(before);
    let times: Vec<_> =
        seen.iter().filter(|one| one.next_hop == MACS[0]).map(|one| one.at_s).collect();
    let pause = times.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    eprintln!("{family} neighbour deleted: no copy by it for {:.1} ms", pause * 1e3);
    assert!(times.len() > FLOWS && pause < FOLLOWED_S_MAX, "{} copies by it", times.len());
}

/// The tool port has no carrier, then has it again.
fn port_loses_its_link(bench: &Bench<'_>, appliance: &Appliance<'_>) {
    bench.routers.ip("tool", "link set mirror0 down");
    wait_for("copies skipped", || appliance.status().skipped("All", "tool_down") > 0);
    let before = now_s();
    bench.routers.ip("tool", "link set mirror0 up");
    bench.time("link back", before, now_s(), |_| true);
    wait_for("copies by both", || {
        next_hops(&bench.soon(4 * FLOWS)).values().flatten().any(|&hop| hop == MACS[1])
    });
}

#[test]
fn copies_over_ipv4_follow_the_kernels_routes() {
    copies_follow_the_kernels_routes(V4);
}

#[test]
fn copies_over_ipv6_follow_the_kernels_routes() {
    copies_follow_the_kernels_routes(V6);
}
