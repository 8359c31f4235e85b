//! Ports over interfaces of the kernel: `net_af_packet` at the two ends of a veth pair, in a network
//! namespace of the test's own. As root; skipped, with a word, otherwise.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod common;

use std::time::{Duration, Instant};

use common::{
    alone, ask, attach, eal, frame, is_root, one_queue, pattern, port, recv, run, settings, start,
    wire,
};
use driver::hardware::{self, Hardware};
use driver::{Eal, Mbuf, Mempool, PortConfig, TxQueue};
use engine::burst::Burst;
use engine::port::{Mbuf as _, RxQueue as _, TxQueue as _};
use engine::units::PortIndex;
use nix::sched::{CloneFlags, unshare};

/// A namespace with the veth pair near–far, without addresses or chatter of the kernel's own.
fn veth(mtu: u16) {
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    run(&format!(
        "ip link add near type veth peer name far
         for end in near far; do
           ip link set $end addrgenmode none mtu {mtu}
           ethtool -K $end tx off gro off gso off tso off >/dev/null
           ip link set $end up
         done"
    ));
}

/// A pool whose buffers fit the default ring.
fn pool(eal: &Eal) -> Mempool {
    common::pool(eal, 4095, 9600)
}

fn send(tx: &mut TxQueue, pool: &mut Mempool, frames: &[Vec<u8>]) {
    let mut burst = Burst::new();
    for bytes in frames {
        burst.push(frame(pool, bytes, 1000)).unwrap();
    }
    assert_eq!(tx.send(&mut burst), frames.len());
}

#[test]
fn mac_mtu_promiscuous_mode_and_link_reach_the_interface() {
    alone(|| {
        if !is_root() {
            return;
        }
        veth(1500);
        let eal = eal();
        let pool = pool(&eal);
        let mac = "02:00:00:00:00:aa".parse().unwrap();
        let config = PortConfig { mac: Some(mac), promiscuous: true, ..one_queue() };
        let (mut port, _rx, _tx) =
            attach(&eal, "net_af_packet0,iface=near").start(&config, &pool).unwrap();
        assert_eq!(port.mac(), mac);
        assert_eq!(port.mtu().unwrap(), 1500);
        assert!(ask("ip -o link show near").contains("02:00:00:00:00:aa"));
        assert!(ask("ip -o link show near").contains("PROMISC"));
        assert!(port.is_promiscuous());
        port.set_promiscuous(false).unwrap();
        assert!(!ask("ip -o link show near").contains("PROMISC"));

        let interface = driver::kernel::Interface::from_index(port.abilities().interface_index);
        let live =
            hardware::LivePort { port, interface: Some(interface.unwrap()), share_len_min: None };
        // The kernel takes its time to tell of a carrier (net/core/link_watch.c: up to a second).
        let becomes = |up: bool| {
            let asked = Instant::now();
            while live.link().0 != up {
                assert!(asked.elapsed() < Duration::from_secs(20), "link up: {}", !up);
            }
        };
        becomes(true);
        run("ip link set far down");
        becomes(false);
        run("ip link set far up");
        becomes(true);
        run("ip link set near down");
        becomes(false);
        run("ip link set near up");
        becomes(true);
        run("ip link del near");
        assert!(!live.link().0, "gone");
    });
}

#[test]
fn chains_and_tags_arrive_as_they_were_sent_and_several_tags_too() {
    alone(|| {
        if !is_root() {
            return;
        }
        veth(1512);
        let eal = eal();
        let mut pool = pool(&eal);
        let (_a, _, mut tx) = start(&eal, "net_af_packet0,iface=near", &pool);
        let (_b, mut rx, _) = start(&eal, "net_af_packet1,iface=far", &pool);
        let mut frames: Vec<_> = [60, 999, 1001, 1514].map(|len| pattern(len, len)).into();
        // One tag; two tags; the full size with both.
        for (len, tags) in [(60, &[5_u16][..]), (100, &[5, 6]), (1522, &[4094, 1])] {
            let mut tagged = pattern(len, len);
            for (at, tag) in tags.iter().enumerate() {
                tagged[12 + 4 * at..14 + 4 * at].copy_from_slice(&0x8100_u16.to_be_bytes());
                tagged[14 + 4 * at..16 + 4 * at].copy_from_slice(&tag.to_be_bytes());
            }
            frames.push(tagged);
        }
        send(&mut tx, &mut pool, &frames);
        assert_eq!(recv(&mut rx, frames.len()), frames);
        assert_eq!(pool.in_use(), 0);
    });
}

#[test]
fn the_kernel_cuts_what_exceeds_a_slot_where_the_planning_says() {
    alone(|| {
        if !is_root() {
            return;
        }
        veth(9000);
        let eal = eal();
        let mut pool = pool(&eal);
        let ring = ",framesz=4096,blocksz=4096,framecnt=64";
        let (_a, _, mut tx) = start(&eal, &format!("net_af_packet0,iface=near{ring}"), &pool);
        let (_b, mut rx, _) = start(&eal, "net_af_packet1,iface=far,framesz=2048", &pool);
        // 1952 is the largest MTU that a slot of 2048 bytes is accepted for.
        let [whole, cut] = [1952 + 30, 1952 + 31].map(|len| pattern(len, len));
        send(&mut tx, &mut pool, &[whole.clone(), cut.clone()]);
        assert_eq!(recv(&mut rx, 2), [whole, cut[..1982].to_vec()]);
    });
}

#[test]
fn fragments_cross_unassembled_and_own_frames_are_not_heard() {
    alone(|| {
        if !is_root() {
            return;
        }
        veth(1500);
        let eal = eal();
        let mut pool = pool(&eal);
        let (_a, mut heard, mut tx) = start(&eal, "net_af_packet0,iface=near", &pool);
        let (_b, mut rx, _) = start(&eal, "net_af_packet1,iface=far", &pool);
        let fragments = [fragment(0, true), fragment(8, false)].map(Vec::from).to_vec();
        send(&mut tx, &mut pool, &fragments);
        assert_eq!(recv(&mut rx, 2), fragments);
        // What the kernel of this host sends by the interface did not come from the wire.
        run("ip addr add 192.0.2.1/24 dev near; ping -c 1 -W 1 192.0.2.2 >/dev/null || true");
        assert!(!recv(&mut rx, 1).is_empty(), "the other end hears the request");
        assert_eq!(heard.recv(&mut Burst::new()), 0);
    });
}

/// An IPv4 fragment of eight bytes at `offset` of an ICMP packet.
fn fragment(offset: u16, more: bool) -> [u8; 42] {
    let mut bytes = [0; 42];
    bytes[..14].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
    let flags = (u16::from(more) << 13) | (offset / 8);
    let [high, low] = flags.to_be_bytes();
    let header = [0x45, 0, 0, 28, 7, 7, high, low, 64, 1, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    bytes[14..34].copy_from_slice(&header);
    let words = header.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let sum: u32 = words.sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    bytes[24..26].copy_from_slice(&sum.to_be_bytes());
    bytes
}

#[test]
fn a_tool_that_stands_still_never_stops_the_sender() {
    alone(|| {
        if !is_root() {
            return;
        }
        veth(1500);
        // Nothing leaves this queueing discipline while the test lasts.
        run("tc qdisc add dev near root tbf rate 8bit burst 1600 limit 1000000000");
        let eal = eal();
        let mut pool = pool(&eal);
        let (_a, _, mut tx) = start(&eal, "net_af_packet0,iface=near,qdisc_bypass=0", &pool);
        let mut burst = Burst::new();
        let mut refused = 0;
        for seed in 0..2000 {
            if burst.is_full() {
                refused += 1;
                Mbuf::free_bulk(&mut burst);
            }
            burst.push(frame(&mut pool, &pattern(1514, seed), 1514)).unwrap();
            tx.send(&mut burst);
        }
        assert!(refused > 0, "the ring never was full: nothing was shown");
        drop(burst);
        assert_eq!(pool.in_use(), 0);
    });
}

#[test]
fn jumbo_ports_of_a_snapshot_carry_full_frames_with_four_tags() {
    alone(|| {
        if !is_root() {
            return;
        }
        veth(1500);
        let ends = ["net_af_packet0,iface=near", "net_af_packet1,iface=far"];
        let ports = [port("lan", ends[0], 9000), port("wan", ends[1], 9000)];
        let snapshot = wire([&ports[..], &[port("tool", "net_null0", 1500)]].concat());
        let plans = hardware::plan(&snapshot).unwrap();
        let eal = Eal::start(&hardware::eal_config(&snapshot, &plans)).unwrap();
        let mut hardware = Hardware::open(&eal, &snapshot, plans).unwrap();
        assert!(ask("ip -o link show near").contains("mtu 9012"));
        assert!(hardware.ports.iter().all(|live| live.link().0));
        let worker = hardware.workers.remove(0);
        let mut tx = worker.wires.into_iter().next().unwrap().unwrap();
        let mut lanes = worker.lanes;
        assert_eq!(lanes.len(), 3);
        let mut frames = vec![pattern(9014, 1), pattern(60, 2)];
        let mut tagged = pattern(9014 + 16, 3);
        for at in [12, 16, 20, 24] {
            tagged[at..at + 4].copy_from_slice(&[0x81, 0, 0, 9]);
        }
        frames.push(tagged);
        let mut pool = hardware.pools[0].handle();
        let mut burst = Burst::new();
        for bytes in &frames {
            burst.push(frame(&mut pool, bytes, 2000)).unwrap();
        }
        assert_eq!(tx.send(&mut burst), frames.len());
        assert_eq!(recv(&mut lanes[1].rx, frames.len()), frames);
        drop((tx, lanes, worker.tools, hardware.ports));
        assert!(hardware.pools.iter().all(|pool| pool.in_use() == 0));
    });
}

#[test]
fn more_queues_than_workers_are_polled_all() {
    alone(|| {
        if !is_root() {
            return;
        }
        veth(1500);
        let ends = ["net_af_packet0,iface=near", "net_af_packet1,iface=far,qpairs=4"];
        let snapshot = wire(vec![port("lan", ends[0], 1500), port("wan", ends[1], 1500)]);
        let plans = hardware::plan(&snapshot).unwrap();
        let eal = Eal::start(&hardware::eal_config(&snapshot, &plans)).unwrap();
        let mut hardware = Hardware::open(&eal, &snapshot, plans).unwrap();
        let mut worker = hardware.workers.remove(0);
        let mut pool = hardware.pools[0].handle();
        let mut burst = Burst::new();
        for flow in 0..60 {
            let mut bytes = fragment(0, false);
            bytes[29] = flow;
            burst.push(frame(&mut pool, &bytes, 1000)).unwrap();
        }
        assert_eq!(worker.wires[0].as_mut().unwrap().send(&mut burst), 60);
        let lanes = worker.lanes.iter_mut().filter(|lane| lane.port == PortIndex(1));
        let received: Vec<_> = lanes.map(|lane| recv(&mut lane.rx, 60).len()).collect();
        assert_eq!((received.len(), received.iter().sum::<usize>()), (4, 60));
        assert!(received.iter().all(|count| *count < 60), "spread by flow: {received:?}");
    });
}

#[test]
fn all_faulty_ports_of_a_snapshot_are_named() {
    alone(|| {
        let ports = vec![
            port("lan", "net_af_packet0,iface=nosuch0", 1500),
            port("wan", "net_pcap0,rx_pcap=/nosuch", 1500),
        ];
        let snapshot = wire(ports);
        let plans = hardware::plan(&snapshot).unwrap();
        let eal = Eal::start(&hardware::eal_config(&snapshot, &plans)).unwrap();
        let errors = Hardware::open(&eal, &snapshot, plans).unwrap_err();
        let text: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert!(text.len() == 2 && text[0].contains("`lan`") && text[1].contains("`wan`"));
        let mut snapshot = wire(vec![port("lan", "lan0", 1500), port("wan", "wan0", 1500)]);
        snapshot.ports[1].device = None;
        assert_eq!(hardware::plan(&snapshot).unwrap_err().len(), 2);
    });
}

#[test]
fn what_ports_change_of_their_interfaces_is_put_back_when_a_later_one_fails() {
    alone(|| {
        if !is_root() {
            return;
        }
        veth(1500);
        // Its MTU can't be raised above that of the interface below.
        run("ip link add link far name small type macvlan; ip link set small up promisc on");
        let before = [settings("near"), settings("small")];
        let ends = ["net_af_packet0,iface=near", "net_af_packet1,iface=small"];
        let mut ports = vec![port("lan", ends[0], 9000), port("wan", ends[1], 9000)];
        ports[0].mac = Some("02:00:00:00:00:aa".parse().unwrap());
        let mut snapshot = wire(ports);
        let plans = hardware::plan(&snapshot).unwrap();
        let eal = Eal::start(&hardware::eal_config(&snapshot, &plans)).unwrap();
        // More often than the memory would suffice for, were it not given back.
        for _ in 0..4 {
            let errors = Hardware::open(&eal, &snapshot, plans.clone()).unwrap_err();
            assert!(errors[0].to_string().contains("ip link set dev small mtu 9000"), "{errors:?}");
        }
        assert_eq!(eal.lost_pools(), 0);
        assert_eq!([settings("near"), settings("small")], before);

        // And when it goes well, but for what somebody else changes meanwhile.
        snapshot.ports[1].device = Some("net_af_packet1,iface=far".to_owned());
        let plans = hardware::plan(&snapshot).unwrap();
        let hardware = Hardware::open(&eal, &snapshot, plans).unwrap();
        let during = settings("near");
        for changed in ["PROMISC", "mtu 9012", "link/ether 02:00:00:00:00:aa"] {
            assert!(during.contains(changed), "{during}");
        }
        run("ip link set near mtu 2000");
        drop(hardware);
        assert_eq!(settings("near"), before[0].replace("mtu 1500", "mtu 2000"));
        assert!(settings("far").contains("mtu 1500"));
    });
}
