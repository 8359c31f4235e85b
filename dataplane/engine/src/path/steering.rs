//! How the flows to a target find their path, where there are several, or where they are to stay.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::usable_hops;
use crate::balance::{SLOTS, Taker, hash_of, rendezvous};
use crate::flow_table::{FlowTable, ToolName};
use crate::neighbors::Way;
use crate::snapshot::{Affinity, MemberHealth, TargetSpec};

/// Seconds after which a flow that is not TCP's has ended: a Network Load Balancer's for UDP.
const OTHER_IDLE_S: u16 = 120;

/// The same for all sessions to one target.
#[derive(Debug)]
pub struct Steering {
    /// What has to stay together.
    pub affinity: Affinity,
    /// The packet inside a tunnel's packet decides, where there is one; the UDP port of VXLAN, beside the
    /// registered one.
    pub inner: Option<u16>,
    /// Flows that live stay at their tool.
    pub sticky: Option<Sticky>,
    /// By hash: the path of new flows. Empty where there is but one.
    table: Box<[u16]>,
}

impl Steering {
    pub(super) fn new(
        spec: &TargetSpec,
        vxlan_port: u16,
        sticky: Option<Sticky>,
        table: Option<Box<[u16]>>,
    ) -> Self {
        Self {
            affinity: spec.balance.affinity,
            inner: spec.balance.inner.then_some(vxlan_port),
            sticky,
            table: table.unwrap_or_default(),
        }
    }

    /// The path of new flows with this hash.
    #[inline]
    pub fn path(&self, hash: u32) -> u16 {
        self.table.get(hash as usize).copied().unwrap_or(0)
    }

    /// The hash of its key is all that decides about a flow.
    #[inline]
    pub fn is_by_flow_hash(&self) -> bool {
        self.affinity == Affinity::Flow && self.inner.is_none() && self.sticky.is_none()
    }
}

/// How living flows stay at their tool.
#[derive(Debug)]
pub struct Sticky {
    /// Tells the flows of this target from the same flows of another.
    salt: u32,
    tcp_idle_s: u16,
    other_idle_s: u16,
    members: Vec<Member>,
    /// By path: its tool.
    names: Vec<ToolName>,
    /// By name, ascending: the place of the member.
    by_name: Vec<(ToolName, usize)>,
}

/// A tool of the target.
#[derive(Debug)]
struct Member {
    /// It keeps the flows that it has.
    keeps: bool,
    /// Its first path.
    first: u16,
    /// By hash: which of its paths, counted from the first; `None` where it has but one.
    hops: Option<Arc<[u16]>>,
}

/// Where a flow goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// By which path.
    pub path: u16,
    /// It lives, and had to leave its tool.
    pub is_moved: bool,
}

impl Sticky {
    /// `takers`, `firsts` and `hops` are by member: who takes new flows, the place of the first path, and
    /// [`hop_tables`].
    pub(super) fn new(
        spec: &TargetSpec,
        ways: &[Way],
        takers: &[Taker],
        firsts: &[usize],
        hops: &[Option<Arc<[u16]>>],
    ) -> Self {
        let TargetSpec { id, members, balance, .. } = spec;
        let (mut by_name, mut names) = (Vec::new(), Vec::new());
        let mut compiled = Vec::new();
        for (at, (member, way)) in members.iter().zip(ways).enumerate() {
            let mut name = ToolName::new(hash_of(member.address));
            while by_name.iter().any(|&(taken, _)| taken == name) {
                name = name.next();
            }
            by_name.push((name, at));
            names.extend((0..way.hops.len().max(1)).map(|_| name));
            compiled.push(Member {
                keeps: member.health != MemberHealth::Down
                    || takers.get(at).is_some_and(|taker| taker.weight > 0),
                first: firsts.get(at).and_then(|&first| first.try_into().ok()).unwrap_or(0),
                hops: hops.get(at).cloned().flatten(),
            });
        }
        by_name.sort_unstable();
        let tcp_idle_s = balance.sticky_idle_s;
        let other_idle_s = tcp_idle_s.min(OTHER_IDLE_S);
        Self { salt: salt(id), tcp_idle_s, other_idle_s, members: compiled, names, by_name }
    }

    /// The path of a flow: to the tool that it has, as long as that keeps it, else by `chosen`, the path
    /// of new flows with its hash. `is_long`: it lives as long as TCP's. Thread: worker.
    /// Cost: about 50 instructions, one cache line.
    #[inline]
    pub fn path(
        &self,
        flow_id: u32,
        hash: u32,
        is_long: bool,
        chosen: u16,
        flows: &mut FlowTable,
    ) -> Found {
        let by_table = Found { path: chosen, is_moved: false };
        let Some(&name) = self.names.get(usize::from(chosen)) else { return by_table };
        let idle_s = if is_long { self.tcp_idle_s } else { self.other_idle_s };
        // Nearly always it is the table's.
        let found = flows.tool_of(flow_id ^ self.salt, idle_s, name);
        let Some(tool) = found.filter(|tool| **tool != name) else { return by_table };
        if let Some(path) = self.kept(*tool, hash) {
            return Found { path, is_moved: false };
        }
        *tool = name;
        Found { path: chosen, is_moved: true }
    }

    /// The path to a tool; `None` where that keeps no flows, or has gone.
    fn kept(&self, tool: ToolName, hash: u32) -> Option<u16> {
        let place = self.by_name.binary_search_by_key(&tool, |&(name, _)| name).ok()?;
        let member = self.members.get(self.by_name.get(place)?.1).filter(|it| it.keeps)?;
        let hop = member.hops.as_ref().and_then(|hops| hops.get(hash as usize));
        Some(member.first + hop.copied().unwrap_or(0))
    }
}

/// By way: which next hop each hash takes; `None` where there is one at most.
pub(super) fn hop_tables(ways: &[Way]) -> Vec<Option<Arc<[u16]>>> {
    // Tools mostly have the same next hops.
    let mut tables: HashMap<Vec<(IpAddr, u16)>, Arc<[u16]>> = HashMap::new();
    let mut of_way = |way| {
        let hops = usable_hops(way);
        if hops.len() < 2 {
            return None;
        }
        let made_of = hops.iter().map(|hop| (hop.address, hop.weight)).collect();
        let of_hash = |hash| rendezvous(&hops, hash).unwrap_or(0) as u16;
        let table = tables.entry(made_of).or_insert_with(|| (0..SLOTS).map(of_hash).collect());
        Some(Arc::clone(table))
    };
    ways.iter().map(&mut of_way).collect()
}

/// 32 bits of a target's id, the same in every version (FNV-1a).
fn salt(id: &str) -> u32 {
    id.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
