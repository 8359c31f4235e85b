//! The process `linetap-dataplane`: what control sees of it, and what is left when it ends.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at what it did not expect")]

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{alone, ask, is_root, port, run, settings, wire};
use engine::drop_reason::Ended;
use engine::link::{FromDataplane, ToDataplane, read_message, write_message};
use engine::report::Report;
use engine::rule::{Direction, FilterRule, RuleAction};
use engine::snapshot::{
    BalanceSpec, FilterSpec, InterfaceSpec, KernelSpec, MemberSpec, NeighborSpec, PortSpec,
    SessionSpec, Snapshot, TargetKind, TargetSpec,
};
use engine::units::{FilterIndex, InterfaceIndex, Mac, PortIndex, TargetIndex, Vni};
use nix::sched::{CloneFlags, unshare};
use tempfile::TempDir;

/// A process that does not outlive its test.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A data plane with its folder.
struct Dataplane {
    child: Guarded,
    folder: TempDir,
}

impl Dataplane {
    fn start(folder: TempDir) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_linetap-dataplane"))
            .arg("--socket")
            .arg(folder.path().join("socket"))
            .arg("--state")
            .arg(folder.path().join("state"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child: Guarded(child), folder }
    }

    fn new() -> Self {
        Self::start(tempfile::tempdir().unwrap())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// A connection, as soon as it listens.
    fn connect(&self) -> Client {
        Client::connect(&self.socket())
    }

    fn kill(self) -> TempDir {
        drop(self.child);
        self.folder
    }

    /// Stops it in good order: its exit status and what it printed.
    fn stop(mut self) -> (Option<i32>, String, TempDir) {
        let child = &mut self.child.0;
        run(&format!("kill -TERM {}", child.id()));
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        (child.wait().unwrap().code(), text, self.folder)
    }
}

struct Client {
    stream: BufReader<UnixStream>,
    epoch: Option<u64>,
}

impl Client {
    fn connect(socket: &Path) -> Self {
        let started = Instant::now();
        let stream = loop {
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                Err(error) => {
                    assert!(started.elapsed() < Duration::from_secs(20), "{error}");
                    thread::sleep(Duration::from_millis(10));
                }
            }
        };
        let mut client = Self { stream: BufReader::new(stream), epoch: None };
        let FromDataplane::Hello { epoch, .. } = client.read() else { panic!("no greeting") };
        client.epoch = epoch;
        client
    }

    fn read(&mut self) -> FromDataplane {
        read_message(&mut self.stream).unwrap().unwrap()
    }

    fn ask(&mut self, message: &ToDataplane) -> FromDataplane {
        write_message(self.stream.get_mut(), message).unwrap();
        self.read()
    }

    /// The faults, or none when it was applied.
    fn send(&mut self, snapshot: &Snapshot) -> Vec<String> {
        self.apply(&ToDataplane::Snapshot(Box::new(snapshot.clone())), snapshot.epoch)
    }

    /// The same of a snapshot that has the rules of another one.
    fn send_without_rules(&mut self, of: u64, snapshot: &Snapshot) -> Vec<String> {
        let snapshot = Box::new(Snapshot { rules: [].into(), ..snapshot.clone() });
        let epoch = snapshot.epoch;
        self.apply(&ToDataplane::SameRules { of, snapshot }, epoch)
    }

    fn apply(&mut self, request: &ToDataplane, wanted: u64) -> Vec<String> {
        match self.ask(request) {
            FromDataplane::Applied { epoch } => {
                assert_eq!(epoch, wanted);
                vec![]
            }
            FromDataplane::Refused { faults, .. } => faults,
            other => panic!("{other:?}"),
        }
    }

    fn report(&mut self) -> Report {
        match self.ask(&ToDataplane::Report) {
            FromDataplane::Report(report) => *report,
            other => panic!("{other:?}"),
        }
    }

    /// Reports until one is as it should be.
    fn await_report(&mut self, what: &str, is_right: impl Fn(&Report) -> bool) -> Report {
        let started = Instant::now();
        loop {
            let report = self.report();
            if is_right(&report) {
                return report;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "{what}: {report:#?}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A wire between silent ports and a tool port, all null devices.
fn nulls(epoch: u64) -> Snapshot {
    let silent = |name: &str, at| port(name, &format!("net_null{at},no-rx=1"), 1500);
    Snapshot { epoch, ..wire(vec![silent("lan", 0), silent("wan", 1), silent("tool", 2)]) }
}

#[test]
fn the_first_snapshot_starts_it_and_a_signal_ends_it_with_every_buffer_back() {
    alone(|| {
        let dataplane = Dataplane::new();
        let mut client = dataplane.connect();
        assert_eq!(client.epoch, None);
        assert_eq!(client.report(), Report::default());
        let mut wrong = nulls(1);
        wrong.ports[0].device = None;
        wrong.ports[1].device = Some("nonsense".to_owned());
        let faults = client.send(&wrong);
        assert!(faults.len() == 2 && faults[0].contains("`lan`") && faults[1].contains("`wan`"));
        // Each of these receives without end: the wire carries them to and fro.
        let mut busy = nulls(2);
        busy.ports[0].device = Some("net_null0".to_owned());
        busy.ports[1].device = Some("net_null1".to_owned());
        assert_eq!(client.send(&busy), [""; 0]);
        let report = client.await_report("frames", |report| {
            report.ports.iter().take(2).all(|port| port.rx_packets > 1000)
        });
        assert_eq!(report.epoch, 2);
        for port in &report.ports {
            assert_eq!(port.rx_packets, port.forwarded + port.ended.iter().sum::<u64>());
        }
        let live = report.live.unwrap();
        assert_eq!(live.pid, dataplane.child.0.id());
        assert_eq!(live.workers[0].epoch, 2);
        assert!(live.ports.iter().all(|port| port.link_up && port.driver == "net_null"));
        assert_eq!(dataplane.connect().epoch, Some(2));
        assert_eq!(client.send(&Snapshot { epoch: 3, ..busy.clone() }), [""; 0]);
        assert_eq!(client.report().epoch, 3);
        let (status, text, folder) = dataplane.stop();
        assert!(text.ends_with("every packet buffer is back in its pool\n"), "{text}");
        assert_eq!(status, Some(0));
        assert!(!folder.path().join("socket").exists());
    });
}

#[test]
fn a_killed_one_goes_on_with_the_last_snapshot_without_control() {
    alone(|| {
        let dataplane = Dataplane::new();
        assert_eq!(dataplane.connect().send(&nulls(7)), [""; 0]);
        let dataplane = Dataplane::start(dataplane.kill());
        let mut client = dataplane.connect();
        assert_eq!(client.epoch, Some(7));
        client.await_report("polling", |report| {
            report.live.as_ref().is_some_and(|live| live.workers[0].polls > 0)
        });
        let is_controlled = |report: &Report| report.live.as_ref().unwrap().is_controlled;
        assert!(!is_controlled(&client.report()), "who only asks controls nothing");
        let mut control = dataplane.connect();
        assert_eq!(control.send(&nulls(8)), [""; 0]);
        assert!(is_controlled(&client.report()));
        drop(control);
        client.await_report("control is gone", |report| !is_controlled(report));
        assert_eq!(dataplane.stop().0, Some(0));
    });
}

#[test]
fn rules_that_stay_need_not_be_sent_and_are_kept() {
    alone(|| {
        let dataplane = Dataplane::new();
        let mut client = dataplane.connect();
        let fixed = NeighborSpec::Fixed(Mac([2, 0, 0, 0, 0, 1]));
        let whole = |epoch| mirrored(nulls(epoch), &[("192.0.2.10", "192.0.2.1", fixed.clone())]);
        let refused = client.send_without_rules(0, &whole(1));
        assert_eq!(refused, ["the rules of 0 are not in force; send all"]);
        assert_eq!(client.send(&whole(2)), [""; 0]);
        let without_sessions = Snapshot { sessions: vec![], ..whole(3) };
        assert_eq!(client.send_without_rules(2, &without_sessions), [""; 0]);
        // What is refused leaves the rules in force, too.
        let mut unsound = whole(4);
        unsound.sessions[0].number = 0;
        assert_eq!(client.send_without_rules(3, &unsound).len(), 1);
        let refused = client.send_without_rules(2, &whole(5));
        assert_eq!(refused, ["the rules of 2 are not in force; send all"]);
        assert_eq!(client.send_without_rules(3, &whole(5)), [""; 0]);
        let dataplane = Dataplane::start(dataplane.kill());
        let report = dataplane.connect().await_report("epoch 5", |report| report.epoch == 5);
        let rules: Vec<_> = report.rules.iter().map(|rule| rule.id.as_str()).collect();
        assert_eq!(rules, ["Ingress", "Egress"]);
    });
}

#[test]
fn other_hardware_is_refused_until_a_restart() {
    alone(|| {
        let dataplane = Dataplane::new();
        let mut client = dataplane.connect();
        assert_eq!(client.send(&nulls(1)), [""; 0]);
        let mut other = nulls(2);
        other.ports[2].mtu = 9000;
        let faults = client.send(&other);
        assert!(faults[0].contains("restart"), "{faults:?}");
        assert_eq!(client.report().epoch, 1, "what was in force still is");
        run(&format!("kill -HUP {}", dataplane.child.0.id()));
        assert_eq!(client.report().epoch, 1, "SIGHUP means control");
        let (status, _, folder) = dataplane.stop();
        assert_eq!(status, Some(0));
        let dataplane = Dataplane::start(folder);
        assert_eq!(dataplane.connect().epoch, Some(2));
        assert_eq!(dataplane.stop().0, Some(0));
    });
}

#[test]
fn other_hardware_that_cannot_be_started_does_not_cost_the_wire() {
    alone(|| {
        let dataplane = Dataplane::new();
        let mut client = dataplane.connect();
        assert_eq!(client.send(&nulls(1)), [""; 0]);
        let mut nonsense = nulls(2);
        nonsense.ports[1].device = Some("lan0".to_owned());
        let faults = client.send(&nonsense);
        assert!(faults[0].contains("lan0") && !faults[0].contains("kept"), "{faults:?}");
        let mut twice = nulls(2);
        twice.ports[0].device = Some("3B:00.0".to_owned());
        twice.ports[1].device = Some("0000:3b:00.0,a=1".to_owned());
        let faults = client.send(&twice);
        assert!(faults[0].contains("in use by another port"), "{faults:?}");
        let mut absent = nulls(3);
        absent.ports[1].device = Some("net_pcap0,rx_pcap=/nosuch".to_owned());
        assert!(client.send(&absent)[0].contains("kept"));
        // Tried once; whoever starts it again gets back what was in force.
        let mut dataplane = Dataplane::start(dataplane.stop().2);
        assert_eq!(dataplane.child.0.wait().unwrap().code(), Some(1));
        let dataplane = Dataplane::start(dataplane.kill());
        assert_eq!(dataplane.connect().epoch, Some(1));
        assert_eq!(dataplane.stop().0, Some(0));
    });
}

#[test]
fn devices_that_cannot_be_opened_are_named_and_may_be_corrected() {
    alone(|| {
        let dataplane = Dataplane::new();
        let mut client = dataplane.connect();
        let mut wrong = nulls(1);
        wrong.ports[1].device = Some("net_pcap0,rx_pcap=/nosuch".to_owned());
        let faults = client.send(&wrong);
        assert!(faults[0].contains("`wan`") && faults[0].contains("No such file"), "{faults:?}");
        let mut nowhere = nulls(1);
        nowhere.dataplane.workers = vec![1000];
        // Too many pools for the memory, were they not given back.
        for _ in 0..20 {
            let faults = client.send(&nowhere);
            assert!(faults[0].contains("core 1000"), "{faults:?}");
        }
        assert_eq!(client.report(), Report::default(), "nothing runs");
        assert!(!dataplane.folder.path().join("state").exists(), "and nothing is kept");
        assert_eq!(client.send(&nulls(2)), [""; 0], "the ports that were opened are free again");
        assert_eq!(dataplane.stop().0, Some(0));
    });
}

#[test]
fn garbled_and_silent_clients_harm_nobody_and_a_crowd_is_turned_away() {
    alone(|| {
        let dataplane = Dataplane::new();
        let mut client = dataplane.connect();
        assert_eq!(client.send(&nulls(1)), [""; 0]);
        for garbage in [&[0xff; 8][..], &[4, 0, 0, 0, 9, 9, 9, 9], &[0, 0, 0, 1, 7]] {
            let mut garbled = dataplane.connect();
            garbled.stream.get_mut().write_all(garbage).unwrap();
            assert_eq!(client.report().epoch, 1);
        }
        // A request whose answer is never read, again and again: its own connection only.
        let mut deaf = dataplane.connect();
        let mut request = Vec::new();
        write_message(&mut request, &ToDataplane::Report).unwrap();
        deaf.stream.get_mut().set_nonblocking(true).unwrap();
        while deaf.stream.get_mut().write_all(&request).is_ok() {}
        assert_eq!(client.report().epoch, 1);
        drop(deaf);
        let crowd: Vec<_> =
            (0..40).map(|_| UnixStream::connect(dataplane.socket()).unwrap()).collect();
        // By reference: whoever goes makes room for those who still wait at the door.
        let is_greeted = |stream: &&UnixStream| {
            let mut stream = BufReader::new(*stream);
            !stream.fill_buf().unwrap().is_empty()
        };
        assert!(crowd.iter().filter(is_greeted).count() <= 15);
        drop(crowd);
        assert_eq!(client.report().epoch, 1);
        assert_eq!(dataplane.stop().0, Some(0));
    });
}

#[test]
fn another_user_is_refused_and_a_second_one_does_not_start_on_the_same_socket() {
    alone(|| {
        let dataplane = Dataplane::new();
        dataplane.connect();
        let socket = dataplane.socket();
        let mode = socket.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        let second = Command::new(env!("CARGO_BIN_EXE_linetap-dataplane"))
            .args([Path::new("--socket"), &socket, Path::new("--state"), Path::new("/nosuch")])
            .output()
            .unwrap();
        assert!(!second.status.success());
        assert!(String::from_utf8_lossy(&second.stderr).contains("stop it first"));
        if is_root() {
            // Even where the file's mode would allow it.
            run(&format!("chmod 666 {0} && chmod 755 $(dirname {0})", socket.display()));
            nix::unistd::seteuid(65534.into()).unwrap();
            let mut stranger = UnixStream::connect(&socket).unwrap();
            nix::unistd::seteuid(0.into()).unwrap();
            assert_eq!(stranger.read(&mut [0; 64]).unwrap(), 0, "no greeting");
        }
        assert_eq!(dataplane.stop().0, Some(0));
    });
}

/// A session that mirrors everything of the first port to each of `members` behind port 2.
fn mirrored(mut snapshot: Snapshot, members: &[(&str, &str, NeighborSpec)]) -> Snapshot {
    snapshot.ports[2].addresses =
        vec!["192.0.2.1/24".parse().unwrap(), "2001:db8::1/64".parse().unwrap()];
    snapshot.interfaces = vec![InterfaceSpec {
        id: "eni-1".to_owned(),
        port: PortIndex(0),
        macs: vec![],
        vlan: None,
    }];
    let members = members.iter().map(|(address, source, neighbor)| {
        MemberSpec::new(address.parse().unwrap(), source.parse().unwrap(), neighbor.clone())
    });
    let members: Vec<_> = members.collect();
    let is_one = members.len() == 1;
    snapshot.targets = vec![TargetSpec {
        id: "target".to_owned(),
        port: PortIndex(2),
        kind: if is_one { TargetKind::Interface } else { TargetKind::LoadBalancer },
        members,
        balance: BalanceSpec::default(),
    }];
    snapshot.filters = vec![FilterSpec { id: "all".to_owned(), amazon_dns: false }];
    let rules = [Direction::Ingress, Direction::Egress].map(|direction| FilterRule {
        id: format!("{direction:?}"),
        filter: FilterIndex(0),
        direction,
        number: 1,
        action: RuleAction::Accept,
        source: "0.0.0.0/0".parse().unwrap(),
        destination: "0.0.0.0/0".parse().unwrap(),
        protocol: None,
        source_ports: None,
        destination_ports: None,
    });
    snapshot.rules = rules.into();
    snapshot.sessions = vec![SessionSpec {
        id: "session".to_owned(),
        interface: InterfaceIndex(0),
        target: TargetIndex(0),
        filter: FilterIndex(0),
        number: 1,
        vni: Vni::try_from(7).unwrap(),
        packet_length: None,
        rate_limit: None,
        sample: None,
    }];
    snapshot
}

/// A process that holds a network namespace open.
struct Namespace(Guarded);

impl Namespace {
    fn new() -> Self {
        let child = Command::new("unshare").args(["-n", "sleep", "600"]).spawn().unwrap();
        let mine = ask("readlink /proc/self/ns/net");
        while ask(&format!("readlink /proc/{}/ns/net", child.id())) == mine {
            thread::sleep(Duration::from_millis(5));
        }
        Self(Guarded(child))
    }

    fn enter(&self) -> String {
        format!("nsenter -t {} -n", self.0.0.id())
    }

    /// Moves the far end of a new veth pair there.
    fn wire(&self, near: &str, far: &str) {
        run(&format!(
            "ip link add {near} type veth peer name {far} netns {pid}
             ip link set {near} up
             ethtool -K {near} tx off gro off gso off tso off >/dev/null
             {enter} ethtool -K {far} tx off gro off gso off tso off >/dev/null
             {enter} ip link set {far} up",
            pid = self.0.0.id(),
            enter = self.enter(),
        ));
    }
}

fn mac_of(enter: &str, interface: &str) -> Mac {
    let link = ask(&format!("{enter} ip -o link show {interface}"));
    link.split_once("link/ether ").unwrap().1.split(' ').next().unwrap().parse().unwrap()
}

fn neighbor(report: &Report, address: &str) -> Option<Mac> {
    let address: IpAddr = address.parse().unwrap();
    let live = report.live.as_ref().unwrap();
    live.neighbors.iter().find(|state| state.address == address).unwrap().mac()
}

#[test]
fn neighbours_are_resolved_by_the_kernel_through_its_routes_and_followed() {
    alone(|| {
        if !is_root() {
            return;
        }
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let tool = Namespace::new();
        tool.wire("tool0", "far0");
        let enter = tool.enter();
        run(&format!(
            "ip addr add 192.0.2.1/24 dev tool0; ip addr add 2001:db8::1/64 dev tool0 nodad
             ip route add 198.51.100.0/24 via 192.0.2.10
             {enter} ip addr add 192.0.2.10/24 dev far0
             {enter} ip addr add 2001:db8::10/64 dev far0 nodad"
        ));
        let resolve = |via: &str| NeighborSpec::Resolve(via.parse().unwrap());
        let mut snapshot = nulls(1);
        snapshot.ports[2].device = Some("net_af_packet0,iface=tool0".to_owned());
        let snapshot = mirrored(
            snapshot,
            &[
                ("192.0.2.10", "192.0.2.1", resolve("192.0.2.10")),
                // The kernel's gateway goes before the file's, which is not there.
                ("198.51.100.7", "192.0.2.1", resolve("192.0.2.77")),
                ("2001:db8::10", "2001:db8::1", resolve("2001:db8::10")),
                ("192.0.2.99", "192.0.2.1", resolve("192.0.2.99")),
            ],
        );
        let dataplane = Dataplane::new();
        let mut client = dataplane.connect();
        assert_eq!(client.send(&snapshot), [""; 0]);
        let far = mac_of(&enter, "far0");
        let all = ["192.0.2.10", "198.51.100.7", "2001:db8::10"];
        let all_are =
            |mac| move |report: &Report| all.iter().all(|address| neighbor(report, address) == mac);
        let report = client.await_report("resolved", all_are(Some(far)));
        assert_eq!(neighbor(&report, "192.0.2.99"), None, "nobody is there");

        let other: Mac = "02:00:00:00:00:bb".parse().unwrap();
        run(&format!("{enter} ip link set far0 address {other}; ip neigh flush dev tool0"));
        client.await_report("the new address", all_are(Some(other)));
        run("ip link set tool0 down");
        client.await_report("gone", all_are(None));
        run("ip link set tool0 up
             ip addr replace 2001:db8::1/64 dev tool0 nodad
             ip route replace 198.51.100.0/24 via 192.0.2.10");
        client.await_report("back", all_are(Some(other)));
        run("ip route del 198.51.100.0/24");
        client.await_report("the file's gateway", |report| neighbor(report, all[1]).is_none());
        assert_eq!(dataplane.stop().0, Some(0));
    });
}

/// A snapshot whose tool port is a device that the kernel knows nothing of.
fn owned_by_dpdk(epoch: u64) -> Snapshot {
    let mut snapshot = nulls(epoch);
    snapshot.ports[2] = PortSpec {
        addresses: ["192.0.2.1/24", "2001:db8::1/64"].map(|net| net.parse().unwrap()).into(),
        gateways: ["192.0.2.254", "2001:db8::fe"].map(|gateway| gateway.parse().unwrap()).into(),
        mac: Some("02:00:00:00:00:aa".parse().unwrap()),
        ..port("tool", "net_ring0", 1400)
    };
    snapshot
}

#[test]
fn a_tool_port_that_dpdk_owns_gets_an_interface_of_the_kernel_as_long_as_it_is_there() {
    alone(|| {
        if !is_root() {
            return;
        }
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        run("ip link add other type veth peer name rest; ip link set other up; ip link set rest up
             ip addr add 198.51.100.1/24 dev other; ip route add default via 198.51.100.2");
        let dataplane = Dataplane::new();
        let mut client = dataplane.connect();
        assert_eq!(client.send(&owned_by_dpdk(1)), [""; 0]);
        let link = ask("ip -o link show lt-tool");
        for part in ["mtu 1400", "link/ether 02:00:00:00:00:aa", "LOWER_UP"] {
            assert!(link.contains(part), "{part}: {link}");
        }
        let addresses = ask("ip -o addr show dev lt-tool");
        for part in ["inet 192.0.2.1/24", "inet6 2001:db8::1/64", "inet6 fe80::"] {
            assert!(addresses.contains(part), "{part}: {addresses}");
        }
        assert!(!addresses.contains("tentative"), "usable at once: {addresses}");
        // The machine's own way to everywhere goes before the tool port's.
        assert!(ask("ip route get 203.0.113.1").contains("dev other"));
        assert!(ask("ip route get 203.0.113.1 oif lt-tool").contains("via 192.0.2.254"));
        assert!(ask("ip -6 route get 2001:db8:1::1").contains("via 2001:db8::fe dev lt-tool"));
        // The ring gives back what the kernel asks.
        let report = client.await_report("the kernel is heard", |report| {
            let kernel = report.live.as_ref().unwrap().ports[2].kernel.clone().unwrap();
            run("ping -c 1 -W 0.1 192.0.2.9 >/dev/null || true");
            kernel.sent > 0 && kernel.received > 0
        });
        let (live, port) = (report.live.unwrap(), &report.ports[2]);
        assert_eq!(live.ports[2].kernel.as_ref().unwrap().interface, "lt-tool");
        assert_eq!(port.rx_packets, port.ended.iter().sum::<u64>());
        assert!(port.ended[Ended::ToKernel as usize] > 0 && port.tx_packets > 0);
        let (status, text, _) = dataplane.stop();
        assert_eq!(status, Some(0), "{text}");
        assert_eq!(
            ask("ip -o link show lt-tool 2>&1 || true").matches("does not exist").count(),
            1
        );
    });
}

#[test]
fn an_interface_that_is_there_already_is_left_alone_and_told() {
    alone(|| {
        if !is_root() {
            return;
        }
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        run("ip link add lt-tool type veth peer name rest");
        let dataplane = Dataplane::new();
        let mut client = dataplane.connect();
        let faults = client.send(&owned_by_dpdk(1));
        assert!(faults.len() == 1 && faults[0].contains("`tool`"), "{faults:?}");
        assert!(faults[0].contains("lt-tool") && faults[0].contains("another kernel_interface"));
        let mut named = owned_by_dpdk(2);
        named.ports[2].kernel = KernelSpec::Named("net7".to_owned());
        assert_eq!(client.send(&named), [""; 0]);
        assert!(ask("ip -o addr show dev net7").contains("192.0.2.1/24"));
        assert!(ask("ip -o addr show dev lt-tool").is_empty());
        assert_eq!(dataplane.stop().0, Some(0));
        let dataplane = Dataplane::new();
        let mut client = dataplane.connect();
        let mut none = owned_by_dpdk(3);
        none.ports[2].kernel = KernelSpec::None;
        assert_eq!(client.send(&none), [""; 0]);
        assert_eq!(client.report().live.unwrap().ports[2].kernel, None);
        assert_eq!(dataplane.stop().0, Some(0));
    });
}

#[test]
fn a_stop_leaves_the_interfaces_of_the_kernel_as_they_were() {
    alone(|| {
        if !is_root() {
            return;
        }
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let other = Namespace::new();
        for driver in ["net_af_packet", "net_af_xdp"] {
            let names = ["lan0", "wan0", "tool0"];
            for name in names {
                other.wire(name, &format!("far-{name}"));
            }
            // A tool port is not promiscuous: DPDK takes the flag away at its start.
            run("ip link set tool0 promisc on; ip link set wan0 mtu 1400");
            let before = names.map(settings);
            let ports = names.iter().zip(0..).map(|(name, at)| {
                port(name.trim_end_matches('0'), &format!("{driver}{at},iface={name}"), 1500)
            });
            let mut snapshot = wire(ports.collect());
            snapshot.ports[2].mac = Some("02:00:00:00:00:aa".parse().unwrap());
            let dataplane = Dataplane::new();
            let mut client = dataplane.connect();
            assert_eq!(client.send(&snapshot), [""; 0]);
            let during = names.map(settings);
            assert!(during[0].contains("PROMISC"), "{during:?}");
            assert!(during[1].contains("mtu 1512") || driver == "net_af_xdp", "{during:?}");
            drop(client);
            assert_eq!(dataplane.stop().0, Some(0));
            assert_eq!(names.map(settings), before, "{driver}");
            for name in names {
                run(&format!("ip link del {name}"));
            }
        }
    });
}

#[test]
fn what_a_driver_keeps_of_a_failed_start_ends_with_the_process() {
    alone(|| {
        if !is_root() {
            return;
        }
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let other = Namespace::new();
        other.wire("lan0", "far0");
        other.wire("wan0", "far1");
        // Its MTU can't be raised above that of the interface below.
        run("ip link add link wan0 name small type macvlan; ip link set small up");
        let wan = |device: &str, mtu| port("wan", &format!("net_af_packet0,iface={device}"), mtu);
        let ports = vec![port("lan", "net_af_xdp0,iface=lan0", 1500), wan("small", 9000)];
        let mut snapshot = wire(ports);
        let dataplane = Dataplane::new();
        let mut client = dataplane.connect();
        let faults = client.send(&snapshot);
        assert!(faults[0].contains("ip link set dev small mtu 9000"), "{faults:?}");
        snapshot.ports[1] = wan("wan0", 9000);
        let faults = client.send(&snapshot);
        assert!(faults[0].contains("for as long as this process lives"), "{faults:?}");
        assert!(faults[0].contains("tried then"), "{faults:?}");
        let mut dataplane = dataplane;
        assert_eq!(dataplane.child.0.wait().unwrap().code(), Some(1), "to be started again");
        let dataplane = Dataplane::start(dataplane.kill());
        assert_eq!(dataplane.connect().epoch, Some(1));
        assert_eq!(dataplane.stop().0, Some(0));
    });
}

#[test]
fn a_ping_crosses_the_wire_and_is_mirrored() {
    alone(|| {
        if !is_root() {
            return;
        }
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let (client_side, server_side) = (Namespace::new(), Namespace::new());
        client_side.wire("lan0", "eth0");
        server_side.wire("wan0", "eth0");
        for (side, address) in [(&client_side, "10.0.0.1/24"), (&server_side, "10.0.0.2/24")] {
            run(&format!("{} ip addr add {address} dev eth0", side.enter()));
        }
        let ports = [("lan", "lan0"), ("wan", "wan0")].into_iter().zip(0..);
        let mut ports: Vec<_> = ports
            .map(|((name, interface), at)| {
                port(name, &format!("net_af_packet{at},iface={interface}"), 1500)
            })
            .collect();
        ports.push(port("tool", "net_null0,no-rx=1", 1500));
        let fixed = NeighborSpec::Fixed("02:00:00:00:00:cc".parse().unwrap());
        let snapshot = mirrored(wire(ports), &[("192.0.2.10", "192.0.2.1", fixed)]);
        let dataplane = Dataplane::new();
        let mut client = dataplane.connect();
        assert_eq!(client.send(&snapshot), [""; 0]);
        // 3000 bytes: three fragments each way.
        let enter = client_side.enter();
        run(&format!("{enter} ping -q -c 5 -i 0.05 -W 5 -s 3000 10.0.0.2"));
        let report = client.report();
        let session = &report.sessions[0];
        assert_eq!((session.matched, session.mirrored_packets), (30, 30));
        assert_eq!(report.ports[2].tx_packets, 30);
        for port in &report.ports[..2] {
            assert_eq!(port.rx_packets, port.forwarded, "nothing is lost");
        }
        let (status, text, _) = dataplane.stop();
        assert!(text.contains("session session: wanted 30 packets, mirrored 30"), "{text}");
        assert_eq!(status, Some(0), "{text}");
    });
}
