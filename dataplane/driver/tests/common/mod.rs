//! Each case in a process of its own, since DPDK starts once in a process; and small helpers.

#![allow(dead_code, reason = "each test file uses its part")]
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::env;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use driver::{
    Device, Eal, EalConfig, Mbuf, Memory, Mempool, PoolPlan, Port, PortConfig, RxQueue, TxQueue,
};
use engine::burst::Burst;
use engine::port::{Mbuf as _, Mempool as _, RxQueue as _};
use engine::snapshot::{
    DataplaneSpec, ExemptSpec, IdleSpec, LinkSpec, PortSpec, Snapshot, VxlanSpec,
};
use engine::units::PortIndex;

pub(crate) mod rig;

const CHILD: &str = "LINETAP_TEST_CHILD";
/// A case that hangs has failed.
const HANGS_AFTER: Duration = Duration::from_mins(5);
/// Another time for that, in seconds.
const PATIENCE: &str = "LINETAP_TEST_PATIENCE";

/// Runs `case`, the body of the calling test, in a new process.
pub(crate) fn alone(case: impl FnOnce()) {
    if env::var_os(CHILD).is_some() {
        case();
        return;
    }
    let test = thread::current().name().unwrap().to_owned();
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", &test, "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let patience = from_env(PATIENCE, HANGS_AFTER.as_secs());
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() && started.elapsed().as_secs() < patience {
        thread::sleep(Duration::from_millis(20));
    }
    let hangs = child.try_wait().unwrap().is_none();
    if hangs {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!hangs, "{test} hangs:\n{text}");
    // The child prints the summary of its one test too: only what the case says is of interest.
    eprint!("{text}");
    assert!(output.status.success(), "{test}:\n{}", String::from_utf8_lossy(&output.stdout));
}

/// A number out of the environment.
pub(crate) fn from_env(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// True for root. Prints why the case is skipped otherwise.
pub(crate) fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root (network namespaces and packet sockets)");
    }
    root
}

/// DPDK with ordinary pages.
pub(crate) fn eal() -> Eal {
    eal_of(256)
}

/// DPDK with so many MiB of ordinary pages.
pub(crate) fn eal_of(mib: u32) -> Eal {
    Eal::start(&EalConfig { pci: vec![], memory: Memory::Pages { mib } }).unwrap()
}

/// A pool of `buffers` with `data_room` bytes behind the headroom.
pub(crate) fn pool(eal: &Eal, buffers: u32, data_room: u16) -> Mempool {
    let data_room = data_room + driver::HEADROOM;
    let name = "test".to_owned();
    let plan = PoolPlan { name, buffers, data_room, socket: -1, is_lossy: false };
    Mempool::create(eal, plan).unwrap()
}

/// An attached port.
pub(crate) fn attach(eal: &Eal, device: &str) -> Port {
    Port::attach(eal, "p", &Device::parse("p", device).unwrap()).unwrap()
}

/// A running port with one queue each way.
pub(crate) fn start(
    eal: &Eal,
    device: &str,
    pool: &Mempool,
) -> (driver::RunningPort, RxQueue, TxQueue) {
    let (port, mut rx, mut tx) = attach(eal, device).start(&one_queue(), pool).unwrap();
    assert_eq!((rx.len(), tx.len()), (1, 1));
    (port, rx.remove(0), tx.remove(0))
}

/// One queue each way, 512 frames each.
pub(crate) fn one_queue() -> PortConfig {
    PortConfig {
        rx_queues: 1,
        tx_queues: 1,
        chains: true,
        rx_descriptors: 512,
        tx_descriptors: 512,
        ..PortConfig::default()
    }
}

/// A frame with these bytes in segments of at most `segment` bytes.
pub(crate) fn frame(pool: &mut Mempool, bytes: &[u8], segment: usize) -> Mbuf {
    let mut burst = Burst::new();
    assert!(pool.alloc_bulk(&mut burst) > 0, "the pool is empty");
    let mut whole: Option<Mbuf> = None;
    for part in bytes.chunks(segment) {
        let mut mbuf = burst.pop().unwrap();
        mbuf.append(part.len()).unwrap().copy_from_slice(part);
        match &mut whole {
            None => whole = Some(mbuf),
            Some(whole) => whole.chain(mbuf).unwrap(),
        }
    }
    Mbuf::free_bulk(&mut burst);
    whole.unwrap()
}

/// An empty buffer.
pub(crate) fn empty(pool: &mut Mempool) -> Mbuf {
    let mut burst = Burst::new();
    assert!(pool.alloc_bulk(&mut burst) > 0, "the pool is empty");
    burst.pop().unwrap()
}

/// All bytes of a frame.
pub(crate) fn bytes(frame: &Mbuf) -> Vec<u8> {
    frame.segments().flatten().copied().collect()
}

/// Receives until `count` frames are there, or nothing comes for a while.
pub(crate) fn recv(rx: &mut RxQueue, count: usize) -> Vec<Vec<u8>> {
    let mut got = Vec::new();
    let mut last = Instant::now();
    while got.len() < count && last.elapsed() < Duration::from_secs(2) {
        let mut burst = Burst::new();
        if rx.recv(&mut burst) > 0 {
            last = Instant::now();
            got.extend(burst.frames().iter().map(bytes));
        }
        Mbuf::free_bulk(&mut burst);
    }
    got
}

/// `len` bytes that differ by place and `seed`, behind Ethernet addresses and a type nobody uses.
pub(crate) fn pattern(len: usize, seed: usize) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5];
    bytes.extend((14..len).map(|at| (at * 7 + seed).to_le_bytes()[0]));
    bytes.truncate(len);
    bytes
}

/// Runs a command line, in the thread's network namespace.
pub(crate) fn run(line: &str) {
    let output = Command::new("sh").args(["-ec", line]).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What `line` prints.
pub(crate) fn ask(line: &str) -> String {
    let output = Command::new("sh").args(["-ec", line]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A port without address.
pub(crate) fn port(name: &str, device: &str, mtu: u16) -> PortSpec {
    PortSpec::new(name.to_owned(), Some(device.to_owned()), mtu)
}

/// One worker, and a wire between the first two of the ports.
pub(crate) fn wire(ports: Vec<PortSpec>) -> Snapshot {
    Snapshot {
        epoch: 1,
        appliance_id: "t".to_owned(),
        dataplane: DataplaneSpec { idle: IdleSpec::Adaptive, ..DataplaneSpec::new(vec![0]) },
        ports,
        links: vec![LinkSpec {
            name: "wire".to_owned(),
            ports: [PortIndex(0), PortIndex(1)],
            forward: true,
        }],
        spans: vec![],
        interfaces: vec![],
        targets: vec![],
        filters: vec![],
        rules: [].into(),
        sessions: vec![],
        vxlan: VxlanSpec { port: 4789, keep_inner_vlan: false, udp6_zero_checksum: false },
        exempt: ExemptSpec { aws_never_mirrored: true, amazon_dns: vec![] },
    }
}

/// Everything that `ip` knows of an interface, once the kernel has told that it is up.
pub(crate) fn settings(interface: &str) -> String {
    run(&format!("until ip link show {interface} | grep -q 'state UP'; do sleep 0.02; done"));
    ask(&format!("ip -d -o link show {interface}"))
}
