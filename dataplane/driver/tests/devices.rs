//! Ports, queues, pools and buffers over devices that need no privileges.

mod common;

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::rig::{TOOL, wire_and_tools};
use common::{alone, attach, bytes, eal, frame, one_queue, pattern, pool, recv, start};
use driver::hardware::{self, Hardware};
use driver::{Device, Dpdk, Eal, EalConfig, Mbuf, Memory, Port, WorkerThread};
use engine::burst::{BURST_MAX, Burst};
use engine::drop_reason::Ended;
use engine::exception::exception;
use engine::neighbors::Neighbors;
use engine::port::{Mbuf as _, Mempool as _, RxQueue as _, TxQueue as _};
use engine::roster::Roster;
use engine::snapshot::{DataplaneSpec, MemorySpec, Snapshot};
use engine::view::View;
use engine::worker::Worker;

#[test]
fn a_null_device_fills_what_room_a_burst_has_and_frees_what_it_gets() {
    alone(|| {
        let eal = eal();
        let pool = pool(&eal, 2047, 2048);
        let (port, mut rx, mut tx) = start(&eal, "net_null0,size=100", &pool);
        let mut burst = Burst::new();
        assert_eq!(rx.recv(&mut burst), BURST_MAX);
        assert_eq!(rx.recv(&mut burst), 0, "a full burst stays as it is");
        assert!(burst.take_front(3).all(|frame| frame.len() == 100));
        assert_eq!(rx.recv(&mut burst), 3);
        assert_eq!(pool.in_use(), 64);
        assert_eq!(tx.send(&mut burst), BURST_MAX);
        assert!(burst.is_empty());
        assert_eq!(pool.in_use(), 0);
        assert!(tx.takes_chains(), "net_null does without saying so");
        assert_eq!(port.abilities().driver, "net_null");
        assert!(port.link().0);
        assert!(port.xstats().contains(&("tx_good_packets".to_owned(), 64)), "{:?}", port.xstats());
    });
}

#[test]
fn a_full_ring_takes_a_prefix_and_the_rest_stays_ours_in_order() {
    alone(|| {
        let eal = eal();
        let mut pool = pool(&eal, 4095, 256);
        let (port, mut rx, mut tx) = start(&eal, "net_ring0", &pool);
        let (mut sent, mut next) = (0, 0);
        let mut burst = Burst::new();
        loop {
            while !burst.is_full() {
                burst.push(frame(&mut pool, &pattern(60, next), 256)).unwrap();
                next += 1;
            }
            let taken = tx.send(&mut burst);
            sent += taken;
            assert_eq!(burst.len(), BURST_MAX - taken);
            if taken < BURST_MAX {
                break;
            }
        }
        assert!(sent % BURST_MAX != 0, "the ring was full within a burst");
        assert_eq!(pool.in_use() as usize, next, "every frame is in the ring or ours");
        let received = recv(&mut rx, sent);
        assert_eq!(received, (0..sent).map(|seed| pattern(60, seed)).collect::<Vec<_>>());
        // What was left goes next, from the right place on.
        assert_eq!(tx.send(&mut burst), next - sent);
        assert_eq!(recv(&mut rx, next - sent)[0], pattern(60, sent));
        drop((rx, tx, port));
        assert_eq!(pool.in_use(), 0);
    });
}

#[test]
fn frames_left_in_a_ring_come_back_when_they_are_received_after_all() {
    alone(|| {
        let eal = eal();
        let mut pool = pool(&eal, 1023, 256);
        let (_port, mut rx, mut tx) = start(&eal, "net_ring0", &pool);
        let mut burst = Burst::new();
        burst.push(frame(&mut pool, &pattern(60, 0), 256)).unwrap();
        assert_eq!(tx.send(&mut burst), 1);
        assert_eq!(pool.in_use(), 1);
        assert_eq!(rx.recv(&mut burst), 1);
        drop(burst);
        assert_eq!(pool.in_use(), 0);
    });
}

#[test]
fn chains_keep_their_bytes_whatever_is_cut_off_or_added() {
    alone(|| {
        let eal = eal();
        let mut pool = pool(&eal, 1023, 256);
        let whole = pattern(1000, 0);
        for len in 0..=1001 {
            let mut frame = frame(&mut pool, &whole, 256);
            assert_eq!(frame.segment_count(), 4);
            assert!(!frame.is_contiguous());
            frame.truncate(len);
            let len = len.min(1000);
            assert_eq!((bytes(&frame), frame.len()), (whole[..len].to_vec(), len));
            assert_eq!(frame.segment_count(), len.div_ceil(256).max(1));
            assert_eq!(pool.in_use() as usize, frame.segment_count(), "what is cut off is freed");
        }
        assert_eq!(pool.in_use(), 0);

        let mut chain = frame(&mut pool, &whole, 256);
        chain.prepend(100).unwrap().fill(1);
        assert_eq!(chain.len(), 1100);
        assert!(chain.prepend(29).is_none(), "128 bytes of headroom");
        chain.prepend(28).unwrap().fill(1);
        // The last segment holds 1000 − 3 × 256 = 232 bytes of 256.
        assert!(chain.append(25).is_none());
        chain.append(24).unwrap().fill(9);
        assert_eq!(bytes(&chain), [&[1; 128][..], &whole, &[9; 24]].concat());
        assert!(!chain.trim_front(128 + 256 + 1), "only in the first segment");
        assert!(chain.trim_front(128 + 256));
        assert!(chain.head().is_empty());
        assert_eq!(bytes(&chain), [&whole[256..], &[9; 24]].concat());
        chain.truncate(0);
        assert_eq!((chain.len(), chain.segment_count()), (0, 1));
        drop(chain);
        assert_eq!(pool.in_use(), 0);
    });
}

#[test]
fn a_chain_passes_a_ring_and_the_bulk_free_gives_all_segments_back() {
    alone(|| {
        let eal = eal();
        let mut pool = pool(&eal, 1023, 256);
        let (_port, mut rx, mut tx) = start(&eal, "net_ring0", &pool);
        assert!(tx.takes_chains());
        let mut burst = Burst::new();
        for seed in 0..8 {
            burst.push(frame(&mut pool, &pattern(1400 + seed, seed), 256)).unwrap();
        }
        assert_eq!(pool.in_use(), 8 * 6);
        assert_eq!(tx.send(&mut burst), 8);
        assert_eq!(rx.recv(&mut burst), 8);
        for (seed, frame) in burst.frames().iter().enumerate() {
            assert_eq!(bytes(frame), pattern(1400 + seed, seed));
        }
        Mbuf::free_bulk(&mut burst);
        assert!(burst.is_empty());
        assert_eq!(pool.in_use(), 0);
    });
}

/// A little-endian capture with microseconds, link type Ethernet.
fn capture(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1] {
        file.extend(word.to_le_bytes());
    }
    for frame in frames {
        for word in [1, 0, frame.len() as u32, frame.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

#[test]
fn jumbo_frames_of_a_capture_arrive_in_small_buffers_and_leave_whole() {
    alone(|| {
        let dir = tempfile::tempdir().unwrap();
        let (input, output) = (dir.path().join("in.pcap"), dir.path().join("out.pcap"));
        let frames: Vec<_> = [60, 2048, 2049, 9018].map(|len| pattern(len, len)).into();
        fs::write(&input, capture(&frames)).unwrap();
        let eal = eal();
        let pool = pool(&eal, 1023, 512);
        let device = format!("net_pcap0,rx_pcap={},tx_pcap={}", input.display(), output.display());
        let (port, mut rx, mut tx) = start(&eal, &device, &pool);
        assert!(tx.takes_chains(), "net_pcap does without saying so");
        let mut burst = Burst::new();
        while burst.len() < frames.len() {
            assert!(rx.recv(&mut burst) > 0);
        }
        // The driver uses the headroom of all segments but the first.
        let segments: Vec<_> = burst.frames().iter().map(Mbuf::segment_count).collect();
        assert_eq!(segments, [1, 4, 4, 15]);
        assert_eq!(burst.frames().iter().map(bytes).collect::<Vec<_>>(), frames);
        assert_eq!(tx.send(&mut burst), frames.len());
        drop((rx, tx, port));
        assert_eq!(pool.in_use(), 0);
        let written = fs::read(&output).unwrap();
        let mut at = 24;
        for frame in &frames {
            assert_eq!(written[at + 8..at + 12], (frame.len() as u32).to_le_bytes());
            assert_eq!(written[at + 16..at + 16 + frame.len()], *frame);
            at += 16 + frame.len();
        }
        assert_eq!(at, written.len());
    });
}

#[test]
fn a_port_stays_open_until_its_last_queue_is_gone_and_can_be_opened_again() {
    alone(|| {
        let eal = eal();
        let pool = pool(&eal, 2047, 2048);
        let device = Device::parse("p", "net_null0").unwrap();
        let (port, mut rx, tx) = start(&eal, "net_null0", &pool);
        drop((port, tx));
        let mut burst = Burst::new();
        assert_eq!(rx.recv(&mut burst), BURST_MAX, "still running");
        let error = Port::attach(&eal, "other", &device).unwrap_err().to_string();
        assert!(error.contains("`other`") && error.contains("in use"), "{error}");
        drop(burst);
        drop(rx);
        assert_eq!(pool.in_use(), 0);
        drop(start(&eal, "net_null0", &pool));
    });
}

#[test]
fn an_exhausted_pool_gives_none_and_all_come_back() {
    alone(|| {
        let eal = eal();
        let mut pool = pool(&eal, 511, 256);
        let mut bursts = Vec::new();
        loop {
            let mut burst = Burst::new();
            if pool.alloc_bulk(&mut burst) == 0 {
                assert!(burst.is_empty());
                break;
            }
            assert!(burst.is_full());
            bursts.push(burst);
        }
        assert_eq!(bursts.len(), 511 / BURST_MAX);
        assert!(bursts[0].frames().iter().all(engine::port::Mbuf::is_empty));
        bursts.clear();
        assert_eq!(pool.in_use(), 0);
    });
}

#[test]
fn workers_with_pool_caches_of_their_own_leave_nothing_behind() {
    alone(|| {
        let eal = eal();
        let pool = pool(&eal, 4095, 256);
        let cores = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).unwrap();
        let core = (0..1024).find(|core| cores.is_set(*core).unwrap()).unwrap();
        let workers = (0..4).map(|_| {
            let mut pool = pool.handle();
            std::thread::spawn(move || {
                let worker = WorkerThread::enter(core as u16).unwrap();
                for _ in 0..100 {
                    let mut burst = Burst::new();
                    assert!(pool.alloc_bulk(&mut burst) > 0);
                    Mbuf::free_bulk(&mut burst);
                }
                drop(worker);
            })
        });
        let workers: Vec<_> = workers.collect();
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(pool.in_use(), 0);
        let error = WorkerThread::enter(1000).unwrap_err().to_string();
        assert!(error.contains("core 1000") && error.contains("[dataplane] workers"), "{error}");
    });
}

#[test]
fn the_caller_keeps_its_cores_and_dpdk_starts_once() {
    alone(|| {
        let cores = || nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).unwrap();
        let before = cores();
        let _eal = eal();
        assert_eq!(cores(), before);
        let again = Eal::start(&EalConfig { pci: vec![], memory: Memory::Pages { mib: 64 } });
        assert!(again.unwrap_err().to_string().contains("once"));
    });
}

#[test]
fn wrong_devices_give_errors_with_port_reason_and_remedy() {
    alone(|| {
        let eal = eal();
        for (device, reason) in [
            ("net_nosuch0", "net_nosuch0"),
            ("net_null0,nosuch=1", "net_null0"),
            ("net_af_packet0,iface=nosuch0", "net_af_packet0"),
            ("net_pcap0,rx_pcap=/nosuch/file.pcap", "/nosuch/file.pcap"),
            ("0000:ff:1f.7", "vfio-pci"),
        ] {
            let parsed = Device::parse("lan", device).unwrap();
            let error = Port::attach(&eal, "lan", &parsed).unwrap_err().to_string();
            eprintln!("{error}");
            assert!(error.contains("port `lan`") && error.contains(reason), "{error}");
            assert!(error.contains('?'), "a remedy: {error}");
        }
    });
}

#[test]
fn a_pool_larger_than_memory_is_an_error_that_tells_its_size() {
    alone(|| {
        let eal = eal();
        let plan = driver::PoolPlan {
            name: "rx".to_owned(),
            buffers: 1 << 20,
            data_room: 2176,
            socket: -1,
            is_lossy: false,
        };
        let error = driver::Mempool::create(&eal, plan).unwrap_err().to_string();
        assert!(error.contains("`rx`") && error.contains("2560 MiB"), "{error}");
        assert!(error.contains("[dataplane] memory"), "{error}");
    });
}

#[test]
fn nobody_can_run_a_null_device() {
    alone(|| {
        if nix::unistd::geteuid().is_root() {
            nix::unistd::setgroups(&[]).unwrap();
            nix::unistd::setgid(65534.into()).unwrap();
            nix::unistd::setuid(65534.into()).unwrap();
        }
        let eal = eal();
        let pool = pool(&eal, 1023, 2048);
        let (port, mut rx, mut tx) = start(&eal, "net_null0", &pool);
        let mut burst = Burst::new();
        assert_eq!(rx.recv(&mut burst), BURST_MAX);
        assert_eq!(tx.send(&mut burst), BURST_MAX);
        drop((port, rx, tx));
        assert_eq!(pool.in_use(), 0);
        let parsed = Device::parse("lan", "net_af_packet0,iface=lo").unwrap();
        let error = Port::attach(&eal, "lan", &parsed).unwrap_err().to_string();
        assert!(error.contains("CAP_NET_RAW"), "{error}");
    });
}

#[test]
fn hugepages_work_where_there_are_any() {
    alone(|| {
        let memory = Memory::choose(MemorySpec::MiB(32), 0);
        if memory != Memory::Hugepages {
            eprintln!("skipped: needs 32 MiB of free hugepages");
            return;
        }
        let eal = Eal::start(&EalConfig { pci: vec![], memory }).unwrap();
        let pool = pool(&eal, 1023, 2048);
        let (port, mut rx, tx) = start(&eal, "net_null0", &pool);
        let mut burst = Burst::new();
        assert_eq!(rx.recv(&mut burst), BURST_MAX);
        drop((burst, port, rx, tx));
        assert_eq!(pool.in_use(), 0);
    });
}

#[test]
fn every_queue_of_a_port_works_by_itself() {
    alone(|| {
        let eal = eal();
        let pool = pool(&eal, 8191, 2048);
        let config = driver::PortConfig { rx_queues: 4, tx_queues: 3, ..one_queue() };
        let (_port, rx, tx) = attach(&eal, "net_null0").start(&config, &pool).unwrap();
        assert_eq!((rx.len(), tx.len()), (4, 3));
        for mut queue in rx {
            assert_eq!(queue.recv(&mut Burst::new()), BURST_MAX);
        }
        for mut queue in tx {
            assert_eq!(queue.send(&mut Burst::new()), 0);
        }
        assert_eq!(pool.in_use(), 0);
    });
}

#[test]
fn what_the_kernel_says_by_a_tool_port_leaves_there_and_what_comes_in_there_reaches_it() {
    alone(|| {
        // What is sent by the tool port's ring is received there.
        let snapshot = Arc::new(Snapshot {
            dataplane: DataplaneSpec::new(vec![0]),
            ..wire_and_tools(1, 1500)
        });
        let plans = hardware::plan(&snapshot).unwrap();
        assert_eq!(plans[TOOL.at()].kernel.as_deref(), Some("lt-tool0"));
        let len_max = plans[TOOL.at()].frame_len_max();
        let eal = Eal::start(&hardware::eal_config(&snapshot, &plans)).unwrap();
        let mut hardware = Hardware::open(&eal, &snapshot, plans).unwrap();
        let (side, mut kernel) = exception(TOOL, len_max);
        hardware.give_kernel(side);
        let parts = hardware.workers.remove(0);
        let view = Arc::new(View::compile(&snapshot, &Neighbors::default()).unwrap());
        let (mut roster, mut ends) = Roster::new(Arc::clone(&snapshot), &view);
        let thread = WorkerThread::enter(0).unwrap();
        let worker = Worker::<Dpdk>::new(parts.lanes, parts.wires, parts.tools, ends.remove(0));
        let mut worker = worker.with_kernels(parts.kernels);
        let said: Vec<_> = (0..100).map(|seed| pattern(60 + 14 * seed, seed)).collect();
        for frame in &said {
            assert!(kernel.give(|place| {
                place[..frame.len()].copy_from_slice(frame);
                Some(frame.len())
            }));
        }
        for _ in 0..20 {
            worker.poll();
        }
        let heard: Vec<_> = std::iter::from_fn(|| kernel.take(|frame| frame.to_vec())).collect();
        assert_eq!(heard, said);
        roster.request_report();
        worker.poll();
        assert!(roster.collect_report());
        let report = roster.report();
        let port = &report.ports[TOOL.at()];
        assert_eq!((port.tx_packets, port.rx_packets), (100, 100));
        assert_eq!(port.ended[Ended::ToKernel as usize], 100);
        drop((worker, thread, hardware.ports));
        assert!(hardware.pools.iter().all(|pool| pool.in_use() == 0));
    });
}

#[test]
fn a_queue_tells_how_full_it_is_where_its_device_can() {
    alone(|| {
        let eal = eal();
        let mut pool = pool(&eal, 4095, 2048);
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("vhost");
        let near = format!("net_vhost0,iface={},queues=1", socket.display());
        let (_near, mut rx, _) = start(&eal, &near, &pool);
        let far = format!("net_virtio_user0,path={},queues=1,queue_size=512", socket.display());
        let (_far, _, mut tx) = start(&eal, &far, &pool);
        assert_eq!(rx.room(), 512);
        let mut put = |count: usize| {
            let mut burst = Burst::new();
            for seed in 0..count {
                burst.push(frame(&mut pool, &pattern(60, seed), 2048)).unwrap();
            }
            // The two ends may not know each other yet.
            let begun = Instant::now();
            while tx.send(&mut burst) < count || !burst.is_empty() {
                assert!(begun.elapsed() < Duration::from_secs(5), "the ring takes nothing");
            }
        };
        put(40);
        // They know each other a little later than the ring takes frames.
        let begun = Instant::now();
        while rx.holds(40) != Some(true) {
            assert!(begun.elapsed() < Duration::from_secs(5), "the frames do not come");
        }
        assert_eq!(rx.holds(41), Some(false));
        for _ in 0..6 {
            put(60);
        }
        assert_eq!((rx.holds(384), rx.holds(401)), (Some(true), Some(false)));
        assert_eq!(recv(&mut rx, 400).len(), 400);
        assert_eq!(rx.holds(1), Some(false));
        let (_ring, ring, _) = start(&eal, "net_ring0", &pool);
        assert_eq!(ring.holds(1), None, "net_ring can't tell");
    });
}
