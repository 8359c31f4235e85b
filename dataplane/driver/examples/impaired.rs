//! A device under test whose faults are known: it forwards between two ports and loses, delays, doubles, displaces
//! and changes frames as it is told, no more and no less.
//!
//! It runs until its standard input ends, and prints `ready` when it forwards, and at its end what it has done to
//! each direction, one JSON object. Each direction has its own counters; the nth frame is every nth of what arrives.

use std::collections::VecDeque;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Context as _;
use clap::Parser;
use driver::{
    Device, Eal, EalConfig, HEADROOM, Mbuf, Memory, Mempool, PoolPlan, Port, PortConfig,
    RunningPort, RxQueue, TscClock, TxQueue, WorkerThread,
};
use engine::burst::{BURST_MAX, Burst};
use engine::encap::{Encap, Header as _, Outer};
use engine::port::{Clock as _, Mbuf as _, Mempool as _, RxQueue as _, TxQueue as _};
use engine::ticks::Scale;
use engine::units::{Mac, Vni};

/// Frames that may wait: those of a delay.
const BUFFERS: u32 = 65_535;
const DATA_ROOM: u16 = 2048;

/// A device under test whose faults are known.
#[derive(Debug, Clone, Parser)]
struct Arguments {
    /// A port's device; two of them.
    #[arg(long = "port", required = true)]
    ports: Vec<String>,
    /// Where a copy of each frame goes that arrives by the first port, in VXLAN.
    #[arg(long)]
    tool: Option<String>,
    /// The network of copies; several: one copy in each.
    #[arg(long = "vni", default_value = "1")]
    vnis: Vec<u32>,
    /// Copies are cut to so many bytes.
    #[arg(long)]
    snap: Option<usize>,
    /// The core.
    #[arg(long, default_value_t = 0)]
    core: u16,
    #[command(flatten)]
    faults: Faults,
}

/// 0 is never.
#[derive(Debug, Clone, Copy, clap::Args)]
struct Faults {
    /// Lose each nth frame.
    #[arg(long, default_value_t = 0)]
    lose: u64,
    /// Forward each nth frame twice.
    #[arg(long, default_value_t = 0)]
    double: u64,
    /// Forward each nth frame behind the next one.
    #[arg(long, default_value_t = 0)]
    swap: u64,
    /// Turn a bit of the last byte of each nth frame.
    #[arg(long, default_value_t = 0)]
    corrupt: u64,
    /// Make no copy of each nth frame.
    #[arg(long, default_value_t = 0)]
    miss: u64,
    /// Hold frames for so long.
    #[arg(long, default_value_t = 0)]
    delay_us: u64,
    /// Lose what is beyond so many frames a second.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// So many may come at once.
    #[arg(long, default_value_t = 64)]
    bucket: u64,
}

/// What was done.
#[derive(Debug, Default)]
struct Done {
    arrived: u64,
    lost: u64,
    over_rate: u64,
    doubled: u64,
    swapped: u64,
    corrupted: u64,
    /// The port took them not.
    refused: u64,
    copied: u64,
    missed: u64,
}

/// One direction.
struct Way {
    rx: RxQueue,
    tx: TxQueue,
    faults: Faults,
    delay: u64,
    waiting: VecDeque<(u64, Mbuf)>,
    /// Comes behind the next one.
    held: Option<Mbuf>,
    limit: Bucket,
    done: Done,
    copier: Option<Copier>,
}

/// Tokens, in ticks: a frame takes as many as pass between two at the rate.
struct Bucket {
    gap: u64,
    most: u64,
    filled: u64,
    since: u64,
}

struct Copier {
    tx: TxQueue,
    encaps: Vec<Encap>,
    snap: usize,
}

impl Bucket {
    fn new(rate: u64, size: u64) -> Self {
        let gap = TscClock::hz().checked_div(rate).unwrap_or(0);
        Self { gap, most: gap * size, filled: gap * size, since: TscClock::now() }
    }

    fn takes(&mut self, now: u64) -> bool {
        self.filled = (self.filled + now.saturating_sub(self.since)).min(self.most);
        self.since = now;
        let is_taken = self.filled >= self.gap;
        self.filled -= if is_taken { self.gap } else { 0 };
        is_taken
    }
}

impl Way {
    fn new(rx: RxQueue, tx: TxQueue, faults: Faults, copier: Option<Copier>) -> Self {
        let delay = Scale::new(TscClock::hz()).ticks(faults.delay_us * 1000);
        Self {
            rx,
            tx,
            faults,
            delay,
            waiting: VecDeque::with_capacity(BUFFERS as usize),
            held: None,
            limit: Bucket::new(faults.rate, faults.bucket),
            done: Done::default(),
            copier,
        }
    }

    fn turn(&mut self, pool: &mut Mempool, burst: &mut Burst<Mbuf>) {
        if self.rx.recv(burst) > 0 {
            let now = TscClock::now();
            for frame in burst.take_front(BURST_MAX) {
                self.take(frame, now, pool);
            }
        }
        let now = TscClock::now();
        while self.waiting.front().is_some_and(|(due, _)| *due <= now) && !burst.is_full() {
            if let Some((_, frame)) = self.waiting.pop_front() {
                // It is not full.
                let _ = burst.push(frame);
            }
        }
        self.tx.send(burst);
        self.done.refused += burst.len() as u64;
        Mbuf::free_bulk(burst);
    }

    fn take(&mut self, mut frame: Mbuf, now: u64, pool: &mut Mempool) {
        self.done.arrived += 1;
        let is_nth = |every: u64| every > 0 && self.done.arrived.is_multiple_of(every);
        let Faults { lose, double, swap, corrupt, miss, .. } = self.faults;
        let [lose, double, swap, corrupt, miss] = [lose, double, swap, corrupt, miss].map(is_nth);
        if let Some(copier) = &mut self.copier {
            let copied = if miss { 0 } else { copier.copy(&frame, pool) };
            self.done.missed += u64::from(copied == 0);
            self.done.copied += copied;
        }
        if lose {
            self.done.lost += 1;
            return;
        }
        if self.faults.rate > 0 && !self.limit.takes(now) {
            self.done.over_rate += 1;
            return;
        }
        if corrupt && let Some(last) = frame.head_mut().last_mut() {
            *last ^= 0x10;
            self.done.corrupted += 1;
        }
        let due = now + self.delay;
        if swap && self.held.is_none() {
            self.done.swapped += 1;
            self.held = Some(frame);
            return;
        }
        let twin = if double { twin(&frame, pool) } else { None };
        self.done.doubled += u64::from(twin.is_some());
        let frames = [Some(frame), twin, self.held.take()];
        self.waiting.extend(frames.into_iter().flatten().map(|frame| (due, frame)));
    }
}

impl Copier {
    fn copy(&mut self, frame: &Mbuf, pool: &mut Mempool) -> u64 {
        let mut copies: Burst<Mbuf> = Burst::new();
        for encap in &self.encaps {
            let Some(mut copy) = twin(frame, pool) else { continue };
            copy.truncate(self.snap);
            let len = copy.len();
            let Encap::V4(header) = encap else { continue };
            let Some(place) = copy.prepend(encap.header_len()) else { continue };
            header.write(place, u16::try_from(len).unwrap_or(u16::MAX), 7, 0);
            let _ = copies.push(copy);
        }
        self.tx.send(&mut copies) as u64
    }
}

/// A copy of a frame.
fn twin(frame: &Mbuf, pool: &mut Mempool) -> Option<Mbuf> {
    let mut spare: Burst<Mbuf> = Burst::new();
    pool.alloc_bulk(&mut spare);
    let mut twin = spare.pop()?;
    twin.append(frame.len())?.copy_from_slice(frame.head());
    Mbuf::free_bulk(&mut spare);
    Some(twin)
}

fn open(
    eal: &Eal,
    device: &str,
    pool: &Mempool,
) -> anyhow::Result<(RunningPort, RxQueue, TxQueue)> {
    let port = Port::attach(eal, device, &Device::parse(device, device)?)?;
    let config = PortConfig {
        rx_queues: 1,
        tx_queues: 1,
        rx_descriptors: 1024,
        tx_descriptors: 1024,
        promiscuous: true,
        ..PortConfig::default()
    };
    let (port, mut rx, mut tx) = port.start(&config, pool)?;
    let queues = rx.pop().zip(tx.pop()).context("a port has a queue each way")?;
    Ok((port, queues.0, queues.1))
}

fn copier(arguments: &Arguments, tx: TxQueue) -> anyhow::Result<Copier> {
    let outer = Outer {
        src_mac: Mac([2, 0, 0, 0, 0, 8]),
        dst_mac: Mac([2, 0, 0, 0, 0, 9]),
        vlan: None,
        dst_port: 4789,
        udp6_zero_checksum: false,
    };
    let encap = |vni: &u32| -> anyhow::Result<Encap> {
        let (src, dst) = ("192.0.2.1".parse()?, "192.0.2.2".parse()?);
        Encap::new(&outer, src, dst, Vni::try_from(*vni)?).context("both are of one family")
    };
    let encaps = arguments.vnis.iter().map(encap).collect::<anyhow::Result<_>>()?;
    Ok(Copier { tx, encaps, snap: arguments.snap.unwrap_or(usize::MAX) })
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let eal = Eal::start(&EalConfig { pci: vec![], memory: Memory::Pages { mib: 384 } })?;
    let plan = PoolPlan {
        name: "frames".to_owned(),
        buffers: BUFFERS,
        data_room: DATA_ROOM + HEADROOM,
        socket: -1,
        is_lossy: false,
    };
    let mut pool = Mempool::create(&eal, plan)?;
    let [first, second] = arguments.ports.as_slice() else { anyhow::bail!("two ports are needed") };
    let (_first, rx0, tx0) = open(&eal, first, &pool)?;
    let (_second, rx1, tx1) = open(&eal, second, &pool)?;
    let tool = arguments.tool.as_deref().map(|tool| open(&eal, tool, &pool)).transpose()?;
    let (mut tool_rx, copier) = match tool {
        Some((port, rx, tx)) => (Some((port, rx)), Some(copier(&arguments, tx)?)),
        None => (None, None),
    };
    let mut ways =
        [Way::new(rx0, tx1, arguments.faults, copier), Way::new(rx1, tx0, arguments.faults, None)];
    let stop = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&stop);
    thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        is_over.store(true, Ordering::Relaxed);
    });
    let _thread = WorkerThread::enter(arguments.core)?;
    println!("ready");
    let mut burst = Burst::new();
    while !stop.load(Ordering::Relaxed) {
        for way in &mut ways {
            way.turn(&mut pool, &mut burst);
        }
        if let Some((_, rx)) = &mut tool_rx {
            rx.recv(&mut burst);
            Mbuf::free_bulk(&mut burst);
        }
    }
    let [there, back] = ways.each_ref().map(|way| way.done.to_json());
    println!("[{there},{back}]");
    Ok(())
}

impl Done {
    fn to_json(&self) -> String {
        let Self { arrived, lost, over_rate, doubled, swapped, corrupted, refused, .. } = self;
        format!(
            "{{\"arrived\":{arrived},\"lost\":{lost},\"over_rate\":{over_rate},\"doubled\":{doubled},\
             \"swapped\":{swapped},\"corrupted\":{corrupted},\"refused\":{refused},\
             \"copied\":{},\"missed\":{}}}",
            self.copied, self.missed
        )
    }
}
