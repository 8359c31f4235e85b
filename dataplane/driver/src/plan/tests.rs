use super::*;
use crate::spreading::worker_of;
use engine::snapshot::{DataplaneSpec, ExemptSpec, LinkSpec, VxlanSpec};

/// Two ports on a link, a tool port and a span, two workers.
fn snapshot(devices: [&str; 4], mtu: u16) -> Snapshot {
    let names = ["lan", "wan", "tool", "span"];
    let ports = names
        .iter()
        .zip(devices)
        .map(|(name, device)| PortSpec::new((*name).to_owned(), Some(device.to_owned()), mtu));
    Snapshot {
        epoch: 1,
        appliance_id: "t".to_owned(),
        dataplane: DataplaneSpec::new(vec![0, 1]),
        ports: ports.collect(),
        links: vec![LinkSpec {
            name: "wire".to_owned(),
            ports: [PortIndex(0), PortIndex(1)],
            forward: true,
        }],
        spans: vec![PortIndex(3)],
        interfaces: vec![],
        targets: vec![],
        filters: vec![],
        rules: [].into(),
        sessions: vec![],
        vxlan: VxlanSpec { port: 4789, keep_inner_vlan: false, udp6_zero_checksum: false },
        exempt: ExemptSpec { aws_never_mirrored: true, amazon_dns: vec![] },
    }
}

fn plans(devices: [&str; 4], mtu: u16) -> Vec<PortPlan> {
    let snapshot = snapshot(devices, mtu);
    let ports = snapshot.ports.iter().enumerate();
    ports.map(|(at, spec)| PortPlan::new(&snapshot, PortIndex(at as u16), spec).unwrap()).collect()
}

const NULLS: [&str; 4] = ["net_null0", "net_null1", "net_null2", "net_null3"];

const PAGES: Memory = Memory::Pages { mib: 64 };

fn abilities() -> Abilities {
    Abilities {
        driver: "net_x".to_owned(),
        rx_queues_max: 8,
        tx_queues_max: 8,
        mtu_max: 9600,
        scatters: false,
        hashes: false,
        sends_timed: false,
        sends_chains: true,
        frees_fast: false,
        interface_index: 0,
        socket: 0,
    }
}

#[test]
fn ports_of_one_buffer_size_share_a_pool_and_others_do_not() {
    let mut ports = plans(NULLS, 1500);
    assert_eq!(rx_pools(&ports, 2).len(), 1);
    ports[3].buffer_bytes = 9000;
    let pools = rx_pools(&ports, 2);
    assert_eq!(pools.len(), 2);
    assert_eq!(pools[1].1, [PortIndex(3)]);
    ports[0].socket = 1;
    assert_eq!(rx_pools(&ports, 2).len(), 3);
}

#[test]
fn a_pool_fills_every_ring_that_its_frames_can_be_in() {
    let ports = plans(NULLS, 1500);
    let (pool, members) = rx_pools(&ports, 2).remove(0);
    assert_eq!(members.len(), 4);
    // Receive rings: two of lan, wan and span each, one of the tool port; transmit rings: two of
    // lan, wan and the tool port each.
    assert!(pool.buffers >= 13 * u32::from(DESCRIPTORS) + 2 * CACHE, "{}", pool.buffers);
}

#[test]
fn only_hugepages_are_divided_by_node() {
    let on = |memory| {
        let mut ports = plans(NULLS, 1500);
        for (port, socket) in ports.iter_mut().zip([0, 1, 1, 0]) {
            port.fit("p", &Abilities { socket, ..abilities() }, true, memory).unwrap();
        }
        let pools = rx_pools(&ports, 2).into_iter().map(|(pool, _)| pool.socket);
        (pools.collect::<Vec<_>>(), copy_pool(&ports[2], "tool", 2).socket)
    };
    assert_eq!(on(PAGES), (vec![-1], -1));
    assert_eq!(on(Memory::Hugepages), (vec![0, 1], 1));
}

#[test]
fn queues_that_arguments_make_are_counted_before_the_device_is_known() {
    let devices = [
        "net_af_packet0,iface=lan0,qpairs=16",
        "net_pcap0,rx_pcap=/a,rx_pcap=/b,rx_pcap=/c",
        "net_af_packet1,iface=tool0,qpairs=16",
        "net_pcap1,iface=span0",
    ];
    let mut ports = plans(devices, 1500);
    let bytes = |ports: &[PortPlan]| -> u64 {
        rx_pools(ports, 2).iter().map(|(pool, _)| pool.bytes()).sum()
    };
    let estimate = bytes(&ports);
    for (port, queues) in ports.iter_mut().zip([16, 3, 16, 1]) {
        let is = Abilities { rx_queues_max: queues, tx_queues_max: 16, ..abilities() };
        port.fit("p", &is, true, PAGES).unwrap();
    }
    assert_eq!(ports.iter().map(|port| port.rx_queues).collect::<Vec<_>>(), [16, 3, 1, 1]);
    assert_eq!(bytes(&ports), estimate);
}

#[test]
fn a_jumbo_frame_fits_one_buffer_unless_the_device_scatters() {
    let mut port = plans(NULLS, 9000).remove(0);
    port.fit("lan", &abilities(), true, PAGES).unwrap();
    assert!(!port.scatter && port.buffer_bytes >= 9030);
    let scatters = Abilities { scatters: true, ..abilities() };
    port.fit("lan", &scatters, false, PAGES).unwrap();
    assert!(!port.scatter, "the other port can't send chains");
    port.fit("lan", &scatters, true, PAGES).unwrap();
    assert!(port.scatter && port.buffer_bytes == BUFFER_BYTES_MIN);
}

#[test]
fn too_few_transmit_queues_and_too_small_an_mtu_are_refused() {
    let mut ports = plans(NULLS, 9000);
    let one = Abilities { tx_queues_max: 1, ..abilities() };
    let error = ports[0].fit("lan", &one, true, PAGES).unwrap_err().to_string();
    assert!(error.contains("`lan`") && error.contains("[dataplane] workers"), "{error}");
    assert!(ports[3].fit("span", &one, true, PAGES).is_ok(), "a span never sends");
    let small = Abilities { mtu_max: 8999, ..abilities() };
    let error = ports[0].fit("lan", &small, true, PAGES).unwrap_err().to_string();
    assert!(error.contains("at most 8999") && error.contains("9000"), "{error}");
    let exact = Abilities { mtu_max: 9000, ..abilities() };
    assert!(ports[0].fit("lan", &exact, true, PAGES).is_ok());
    assert_eq!(ports[0].device_mtu(&exact), Some(9000));
    assert_eq!(ports[0].device_mtu(&abilities()), Some(9016));
    assert_eq!(ports[2].device_mtu(&abilities()), Some(9000), "a tool port's copies have no tags");
}

#[test]
fn buffers_hold_what_a_null_device_makes_and_what_af_packet_asks_for() {
    let devices = ["net_null0,size=4000", "net_af_packet0,iface=w0", "net_null2", "net_null3"];
    let ports = plans(devices, 1500);
    assert!(ports[0].buffer_bytes >= 4000);
    assert!(ports[1].buffer_bytes >= af_packet::buffer_bytes(&ports[1].device));
    assert_eq!(ports[1].device.argument("qpairs"), Some("2"));
    assert_eq!(ports[1].kernel_mtu(), 1512);
    assert_eq!(ports[1].device_mtu(&abilities()), None);
}

#[test]
fn a_repeated_capture_stays_in_the_pool() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), vec![0; 76 * 1000]).unwrap();
    let repeated = format!("net_pcap0,rx_pcap={},infinite_rx=1", file.path().display());
    let ports = plans([&repeated, "net_null1", "net_null2", "net_null3"], 1500);
    assert_eq!(ports[0].kept, 1000);
}

#[test]
fn a_pool_knows_the_driver_that_keeps_buffers_for_good() {
    let devices = ["net_af_xdp0,iface=lan0", "net_null1", "net_null2", "net_null3"];
    let mut ports = plans(devices, 1500);
    ports[1].buffer_bytes = 4000;
    let pools = rx_pools(&ports, 2);
    assert_eq!(pools.iter().map(|(pool, _)| pool.is_lossy).collect::<Vec<_>>(), [true, false]);
    assert_eq!(ports[0].kept, 4096);
}

#[test]
fn copies_have_room_for_the_outer_header() {
    let ports = plans(NULLS, 1500);
    let pool = copy_pool(&ports[2], "tool", 2);
    assert!(u32::from(pool.data_room) >= u32::from(HEADROOM) + 1500 + 14 + OUTER_LEN_MAX);
    assert!(pool.buffers >= 2 * u32::from(DESCRIPTORS) + 2 * CACHE);
}

/// What each port's queues are for: mixed, pooled, chains.
fn agreed(mut ports: Vec<PortPlan>, abilities: &[Abilities]) -> Vec<(u16, u16, bool)> {
    for (port, abilities) in ports.iter_mut().zip(abilities) {
        port.fit("p", abilities, true, PAGES).unwrap();
    }
    agree(&mut ports, &abilities.iter().collect::<Vec<_>>());
    ports.iter().map(|port| (port.tx_queues, port.pooled_tx_queues, port.chains)).collect()
}

fn plans_with(copies: CopySpec, mtu: u16, spans: bool) -> Vec<PortPlan> {
    let mut snapshot = snapshot(NULLS, mtu);
    snapshot.dataplane.copies = copies;
    if !spans {
        snapshot.spans.clear();
    }
    let ports = snapshot.ports.iter().enumerate().take(if spans { 4 } else { 3 });
    ports.map(|(at, spec)| PortPlan::new(&snapshot, PortIndex(at as u16), spec).unwrap()).collect()
}

#[test]
fn queues_of_one_pool_are_those_that_no_shared_or_given_frame_can_leave_by() {
    let fast = || Abilities { frees_fast: true, ..abilities() };
    let all = |abilities: fn() -> Abilities| [(); 4].map(|()| abilities());
    // A wire's frames may be shared; of the tool port each worker has a queue of either kind.
    let shared = agreed(plans_with(CopySpec::Auto, 1500, true), &[fast(), fast(), fast(), fast()]);
    assert_eq!(shared[..3], [(2, 0, false), (2, 0, false), (2, 2, true)]);
    // Nothing is shared, but a span's frames become copies.
    let copied = agreed(plans_with(CopySpec::Copy, 1500, true), &[fast(), fast(), fast(), fast()]);
    assert_eq!(copied[..3], [(0, 2, false), (0, 2, false), (2, 2, false)]);
    let copied = agreed(plans_with(CopySpec::Copy, 1500, false), &[fast(), fast(), fast()]);
    assert_eq!(copied[2], (0, 2, false));
    // Too few queues for both kinds.
    let few = Abilities { tx_queues_max: 3, ..fast() };
    let shared = agreed(plans_with(CopySpec::Auto, 1500, true), &[fast(), fast(), few, fast()]);
    assert_eq!(shared[2], (2, 0, true));
    // A device that does not know of it.
    let slow = agreed(plans_with(CopySpec::Copy, 1500, true), &all(abilities));
    assert_eq!(slow[..3], [(2, 0, false); 3]);
}

#[test]
fn nothing_is_shared_that_the_wire_or_the_tool_port_cannot_send() {
    let none = || Abilities { sends_chains: false, ..abilities() };
    let shares = |copies, lan: Abilities, wan: Abilities, tool: Abilities| {
        let mut ports = plans_with(copies, 1500, true);
        let all = [&lan, &wan, &tool, &abilities()];
        for (port, abilities) in ports.iter_mut().zip(all) {
            port.fit("p", abilities, true, PAGES).unwrap();
        }
        agree(&mut ports, &all);
        ports[2].shares
    };
    assert!(shares(CopySpec::Auto, abilities(), abilities(), abilities()));
    assert!(shares(CopySpec::Share, abilities(), none(), abilities()), "one way at least");
    assert!(!shares(CopySpec::Copy, abilities(), abilities(), abilities()));
    assert!(!shares(CopySpec::Auto, none(), none(), abilities()));
    assert!(!shares(CopySpec::Auto, abilities(), abilities(), none()));
}

#[test]
fn a_pool_has_buffers_for_what_tools_may_hold_of_it() {
    let buffers = |copies| {
        let mut ports = plans_with(copies, 9000, true);
        let scatters = Abilities { scatters: true, ..abilities() };
        for port in &mut ports {
            port.fit("p", &scatters, true, PAGES).unwrap();
        }
        assert_eq!(ports[0].segments_max(), 5);
        rx_pools(&ports, 2)[0].0.buffers
    };
    // Two workers' leads, five buffers to a jumbo frame.
    assert!(buffers(CopySpec::Share) >= buffers(CopySpec::Copy) + 2 * 5 * LEADS - 1000);
    let leads = lead_pool(&plans(NULLS, 1500)[2], "tool", 7);
    assert_eq!((leads.name.as_str(), leads.buffers), ("leads-tool-7", 511));
    assert!(u32::from(leads.data_room) >= OUTER_LEN_MAX);
}

/// Which ports are spread over so many workers, each port having so many receive queues.
fn spread_over(workers: u16, queues: [u16; 4]) -> bool {
    let mut snapshot = snapshot(NULLS, 1500);
    snapshot.dataplane.workers = (0..workers).collect();
    let ports = snapshot.ports.iter().zip(0..);
    let plans = ports.map(|(spec, at)| PortPlan::new(&snapshot, PortIndex(at), spec).unwrap());
    let mut plans: Vec<_> = plans.collect();
    for (plan, queues) in plans.iter_mut().zip(queues) {
        let is = Abilities { rx_queues_max: queues, tx_queues_max: 64, ..abilities() };
        plan.fit("p", &is, true, PAGES).unwrap();
    }
    are_spread(&plans, workers.into())
}

#[test]
fn queues_are_spread_where_a_worker_would_have_none_and_only_there() {
    // lan and wan begin at workers 0 and 1, the span at 3; the tool port's queue is nobody's work.
    assert!(!spread_over(1, [1, 1, 1, 1]));
    assert!(!spread_over(2, [1, 1, 1, 1]));
    assert!(spread_over(3, [1, 1, 1, 1]), "the span is worker 0's as lan is");
    assert!(spread_over(4, [1, 1, 1, 1]), "worker 2 has the tool port alone");
    assert!(!spread_over(4, [1, 2, 1, 1]));
    assert!(!spread_over(4, [4, 1, 1, 1]), "a port with a queue for each is enough");
    assert!(!spread_over(64, [64, 64, 1, 64]));
    assert!(spread_over(64, [16, 16, 1, 16]));
}

#[test]
fn a_queue_for_each_worker_goes_to_the_worker_of_its_number() {
    let mut ports = plans(NULLS, 1500);
    let of = |port: &PortPlan| {
        (0..port.rx_queues).map(|queue| worker_of(port, queue, 4)).collect::<Vec<_>>()
    };
    for port in &mut ports {
        port.rx_queues = 4;
        assert_eq!(of(port), [0, 1, 2, 3]);
    }
    let mut workers = Vec::new();
    for port in &mut ports {
        port.rx_queues = 2;
        workers.push(of(port));
    }
    assert_eq!(workers, [[0, 1], [1, 2], [2, 3], [3, 0]]);
}

#[test]
fn a_pool_has_buffers_for_what_waits_for_other_workers() {
    let buffers = |workers: usize, queues: u16, scatter: bool| {
        let mut ports = plans(NULLS, 1500);
        for port in &mut ports {
            port.rx_queues = queues;
        }
        if scatter {
            ports[3].mtu = 9000;
            ports[3].scatter = true;
        }
        // The span alone, and nothing is held by copies.
        ports[2].shares = false;
        ports[0].role = Role::Idle;
        ports[1].role = Role::Idle;
        assert_eq!(are_spread(&ports, workers), workers > usize::from(queues));
        rx_pools(&ports, workers)[0].0.buffers
    };
    let in_hand = 65 * (CACHE + CACHE / 2 + 64 * BURSTS_IN_HAND as u32);
    // One way to each of 63 workers: 16 bursts that wait, one that gathers.
    let waiting = 63 * (16 + 1) * 64;
    let rest = buffers(64, 64, false) - 4 * 63 * u32::from(DESCRIPTORS);
    assert_eq!(buffers(64, 1, false), rest + waiting);
    assert_eq!(buffers(64, 1, true), rest + 5 * waiting, "five buffers to a jumbo frame");
    assert!(rest > in_hand);
    // Several queues: two bursts at least.
    assert_eq!(
        buffers(64, 16, false),
        rest + 4 * 15 * u32::from(DESCRIPTORS) + 16 * 63 * (2 + 1) * 64
    );
}

#[test]
fn a_tool_port_gets_an_interface_of_the_kernel_where_the_kernel_would_see_nothing_of_it() {
    let kernel = |device: &str, spec: KernelSpec| {
        let mut snapshot = snapshot(["net_ring0", "net_ring1", device, "net_ring3"], 1500);
        snapshot.ports[2].kernel = spec.clone();
        snapshot.ports[0].kernel = spec;
        let plan = |at: u16| {
            PortPlan::new(&snapshot, PortIndex(at), &snapshot.ports[usize::from(at)]).unwrap()
        };
        assert_eq!((plan(0).kernel, plan(3).kernel), (None, None), "wires and spans get none");
        plan(2).kernel
    };
    let lt_tool = Some("lt-tool".to_owned());
    let sees_nothing = ["0000:3b:00.0", "net_memif0", "net_ring2", "net_af_xdp0,iface=tool0"];
    for device in sees_nothing {
        assert_eq!(kernel(device, KernelSpec::Auto), lt_tool, "{device}");
        assert_eq!(kernel(device, KernelSpec::None), None, "{device}");
    }
    let sees =
        ["net_af_packet0,iface=tool0", "net_tap0,iface=x", "net_pcap0,iface=tool0", "net_null2"];
    for device in sees {
        assert_eq!(kernel(device, KernelSpec::Auto), None, "{device}");
        let named = KernelSpec::Named("net7".to_owned());
        assert_eq!(kernel(device, named).as_deref(), Some("net7"), "{device}");
    }
}
