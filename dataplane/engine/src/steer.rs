//! The stage before the copies: which path each copy takes, where its target has several, and how many
//! copies each of their tools gets. Bursts of views without such targets do without it.

use crate::copy::gather;
use crate::flow_hash::hash_of;
use crate::flow_table::FlowTable;
use crate::groups::Groups;
use crate::keys::Keys;
use crate::outbox::COPIES_MAX;
use crate::parse::{HEADERS_LEN_MAX, inner_key, may_hold_inner};
use crate::path::Steering;
use crate::port::Mbuf;
use crate::rule::TCP;
use crate::snapshot::Affinity;
use crate::stats::ToolStats;
use crate::view::{SessionView, View};

/// By place among the copies: which path of its session each takes, where there are several.
pub type Paths = [u16; COPIES_MAX];

/// What flows are told by, and where they are remembered and counted.
#[derive(Debug)]
pub struct Flows<'a, M> {
    /// The frames of the burst.
    pub frames: &'a [M],
    /// Their keys.
    pub keys: &'a Keys,
    /// Room for the headers of a frame that lie in several segments.
    pub headers: &'a mut [u8],
    /// What flows of sticky targets have for tools; without it, they go as if they were new.
    pub table: Option<&'a mut FlowTable>,
    /// By [`crate::units::ToolIndex`].
    pub tools: &'a mut [ToolStats],
}

/// Finds the paths of the copies: `wanted` are their frames, by place in the burst.
/// Thread: worker. Cost: about 20 instructions for each; 100 more for what is sticky or by addresses, and
/// some hundred where what is inside of tunnels decides.
#[inline(never)]
pub fn steer_burst<M: Mbuf, T>(
    view: &View<T>,
    wanted: &[u8],
    groups: &Groups,
    mut flows: Flows<'_, M>,
    paths: &mut Paths,
) {
    for ((turn, &frame), path) in (0..).zip(wanted).zip(paths) {
        let Some(group) = groups.all().get(groups.of_copy(turn)) else { continue };
        let session = &view.sessions[group.session.at()];
        if let Some(steering) = &session.steering {
            *path = flows.path(session, steering, frame.into());
        }
    }
}

impl<M: Mbuf> Flows<'_, M> {
    #[inline]
    fn path(&mut self, session: &SessionView, steering: &Steering, frame: usize) -> u16 {
        let (path, is_moved) = if steering.is_by_flow_hash() {
            (steering.path(self.keys.hash(frame).into()), false)
        } else {
            self.path_by(steering, frame)
        };
        // The only path of a session is counted with the session.
        let counts = session.paths.len() > 1;
        let tool = session.paths.get(usize::from(path)).map(|path| path.tool.at());
        if let Some(tool) = tool.and_then(|tool| self.tools.get_mut(tool)) {
            tool.copies += u64::from(counts);
            tool.moved_flows += u64::from(is_moved);
        }
        path
    }

    /// By more than the hash of a frame's key; and whether that is another path than before.
    #[inline(never)]
    fn path_by(&mut self, steering: &Steering, frame: usize) -> (u16, bool) {
        let outer = self.keys.get(frame);
        let inner = steering.inner.filter(|&port| may_hold_inner(&outer, port));
        let key = inner.and_then(|port| self.inner_key(frame, port)).unwrap_or(outer);
        let (flow_id, is_long) = match steering.affinity {
            Affinity::Flow => (key.flow_id(), key.protocol() == Some(TCP)),
            Affinity::Hosts => (key.hosts_id(), true),
        };
        let hash = hash_of(flow_id);
        let chosen = steering.path(hash);
        match (&steering.sticky, &mut self.table) {
            (Some(sticky), Some(table)) => {
                let found = sticky.path(flow_id, hash, is_long, chosen, table);
                (found.path, found.is_moved)
            }
            _ => (chosen, false),
        }
    }

    fn inner_key(&mut self, frame: usize, vxlan_port: u16) -> Option<crate::flow_key::FlowKey> {
        let frame = self.frames.get(frame)?;
        if frame.is_contiguous() || frame.head().len() >= HEADERS_LEN_MAX {
            return inner_key(frame.head(), vxlan_port);
        }
        let held = gather(frame, 0, self.headers);
        inner_key(self.headers.get(..held)?, vxlan_port)
    }
}
