//! One frame through the whole engine, with memory in place of tool ports: what would be sent of it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use engine::burst::{BURST_MAX, Burst};
use engine::copies::Outlets;
use engine::drop_reason::Unmirrored;
use engine::mirror::{Fate, Scratch, mirror_burst};
use engine::outbox::COPIES_MAX;
use engine::sim::{Sim, SimOutput, SimPool};
use engine::snapshot::{Role, Snapshot};
use engine::stats::{PortStats, ViewStats, WorkerStats};
use engine::tool::ToolPort;
use engine::units::PortIndex;
use engine::view::View;
use engine::wire::{ethernet, vlan};

/// What came of a frame.
#[derive(Debug)]
pub struct Trace {
    /// Evaluations that mirrored nothing, by reason.
    pub unmirrored: [u64; Unmirrored::COUNT],
    /// Counters of sessions and rules.
    pub counters: ViewStats,
    /// By tool port: the copies, in the order of sending.
    pub copies: Vec<VecDeque<Vec<u8>>>,
}

/// The engine's stages, ready for one frame after another.
pub struct Trial {
    snapshot: Arc<Snapshot>,
    view: Arc<View>,
    tools: Vec<Option<ToolPort<Sim>>>,
    outputs: Vec<SimOutput>,
    links_up: Vec<bool>,
    scratch: Box<Scratch>,
    received: SimPool,
}

impl fmt::Debug for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trial").finish_non_exhaustive()
    }
}

impl Trial {
    /// Over a snapshot and the view that was compiled of it.
    pub fn new(snapshot: Arc<Snapshot>, view: Arc<View>) -> Self {
        let outputs: Vec<SimOutput> = snapshot.ports.iter().map(|_| SimOutput::memory()).collect();
        let ports = (0..).map(PortIndex).zip(&snapshot.ports).zip(&outputs);
        let tools = ports.map(|((index, port), output)| {
            let room = ethernet::HEADER_LEN + vlan::TAG_LEN + usize::from(port.mtu);
            let pool = || SimPool::new(room, COPIES_MAX + 2 * BURST_MAX);
            snapshot.is_tool(index).then(|| ToolPort::new(output.tx(), pool()))
        });
        Self {
            tools: tools.collect(),
            links_up: vec![true; snapshot.ports.len()],
            scratch: Box::default(),
            received: SimPool::new(0, 0),
            outputs,
            snapshot,
            view,
        }
    }

    /// Mirrors a frame that `port` received.
    pub fn run(&mut self, port: PortIndex, frame: &[u8]) -> Trace {
        let Self { snapshot, view, tools, outputs, links_up, scratch, received } = self;
        let ports = vec![PortStats::default(); snapshot.ports.len()];
        let mut worker = WorkerStats { ports, ..WorkerStats::default() };
        let mut counters =
            ViewStats::new(snapshot.sessions.len(), view.tools(), snapshot.rules.len());
        let mut burst = Burst::new();
        // An empty burst has room.
        let _ = burst.push(received.frame(frame, 0));
        let (worker_stats, view_stats) = (&mut worker, &mut counters);
        let mut outlets = Outlets {
            tools,
            links_up,
            received_ns: 0,
            worker: worker_stats,
            view: view_stats,
            flows: None,
        };
        let fate = match snapshot.role(port) {
            Role::Wire(_) => Fate::GoOn { may_share: false },
            Role::Tap | Role::Idle => Fate::End,
        };
        mirror_burst::<Sim, _>(view, port, fate, &mut burst, scratch, &mut outlets);
        for (tool, stats) in tools.iter_mut().zip(&mut worker.ports) {
            if let Some(tool) = tool {
                tool.flush(stats, &mut counters.sessions);
            }
        }
        let sent = |output: &SimOutput| output.take_sent().into_iter().map(|sent| sent.bytes);
        Trace {
            unmirrored: worker.unmirrored,
            counters,
            copies: outputs.iter().map(|output| sent(output).collect()).collect(),
        }
    }
}
