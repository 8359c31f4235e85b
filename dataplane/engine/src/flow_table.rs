//! Which tool each flow of late went to: so that flows that live stay where they are while members come,
//! go, drain or change their weights.
//!
//! One table in the hands of one worker, for all targets that ask for it. A flow may be in any of the
//! eight places of one set, which is a cache line. What lives is never displaced: where its set is full
//! of living flows, a new flow is not remembered, and goes where Maglev's table sends it. So a flood of
//! new flows takes no old one from its tool.
//!
//! Nothing is cleared: an entry says until when it lives, in seconds that a worker reads off its clock
//! once per round. They wrap after 18 hours; an entry that nobody asked for meanwhile may live a second
//! time then, for as long as its first.

use crate::port::Clock;

/// Entries of a set.
const WAYS: usize = 8;
/// The least that a table holds.
pub const FLOWS_MIN: u32 = WAYS as u32;
/// The most: 32 MiB.
pub const FLOWS_MAX: u32 = 1 << 22;
/// Seconds that a flow without packets may live: the longest TCP idle timeout of a Network Load Balancer.
pub const IDLE_S_MAX: u16 = 6000;

/// What a tool is known by in this table, in this view and in others: a hash of its address, of 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ToolName(u16);

impl ToolName {
    /// No tool.
    const NONE: Self = Self(u16::MAX);

    /// A name out of the first bits of a hash.
    pub const fn new(hash: u64) -> Self {
        let name = (hash >> 48) as u16;
        if name == Self::NONE.0 { Self(0) } else { Self(name) }
    }

    /// The name to try after this one, where two tools of one target would have the same.
    #[must_use]
    pub const fn next(self) -> Self {
        Self((self.0 + 1) % Self::NONE.0)
    }
}

/// Where a flow went.
#[derive(Debug, Clone, Copy)]
struct Entry {
    flow: u32,
    tool: ToolName,
    /// The last second that it lives without another packet.
    until_s: u16,
}

#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Set([Entry; WAYS]);

/// Flows and their tools. One of each worker; made by the publisher, and handed on from view to view.
#[derive(Debug)]
pub struct FlowTable {
    sets: Box<[Set]>,
    now_s: u16,
    /// When that ends, in ticks.
    second_ends: u64,
}

impl FlowTable {
    /// Room for so many flows; it is best at most half full. A power of two, within [`FLOWS_MIN`] and
    /// [`FLOWS_MAX`]; others are rounded up, or cut. Thread: publisher.
    pub fn new(flows: u32) -> Self {
        let flows = flows.clamp(FLOWS_MIN, FLOWS_MAX).next_power_of_two() as usize;
        let empty = Entry { flow: 0, tool: ToolName::NONE, until_s: 0 };
        let sets = vec![Set([empty; WAYS]); flows / WAYS].into();
        Self { sets, now_s: 0, second_ends: 0 }
    }

    /// True when it is as large as [`FlowTable::new`] makes it for so many flows.
    pub(crate) fn is_for(&self, flows: u32) -> bool {
        let flows = flows.clamp(FLOWS_MIN, FLOWS_MAX).next_power_of_two() as usize;
        self.sets.len() == flows / WAYS
    }

    /// Tells the time, in ticks. Cost: a comparison, nearly always.
    #[inline]
    pub fn tick<C: Clock>(&mut self, now: u64) {
        if now >= self.second_ends {
            self.begin_second(now, C::hz());
        }
    }

    #[cold]
    fn begin_second(&mut self, now: u64, hz: u64) {
        let second = now / hz.max(1);
        self.now_s = second as u16;
        self.second_ends = (second + 1) * hz;
    }

    /// The tool of a flow, to be changed if it no longer takes the flow; `new` for a flow that was not
    /// known or has not been seen for too long. It lives for `idle_s` seconds more. `None` where there
    /// is no room for it. Thread: worker. Cost: about 40 instructions, one cache line.
    #[inline]
    pub fn tool_of(&mut self, flow: u32, idle_s: u16, new: ToolName) -> Option<&mut ToolName> {
        let now_s = self.now_s;
        // Another mixture than that which decides over Maglev's slots.
        let at = (u64::from(flow).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize;
        let Set(set) = &mut self.sets[at & (self.sets.len() - 1)];
        let found = (0..)
            .zip(set.iter())
            .fold(0u32, |found, (at, entry)| found | u32::from(entry.flow == flow) << at);
        let place = if found == 0 {
            set.iter().position(|entry| !entry.lives(now_s))?
        } else {
            found.trailing_zeros() as usize
        };
        let entry = set.get_mut(place)?;
        if found == 0 || !entry.lives(now_s) {
            (entry.flow, entry.tool) = (flow, new);
        }
        entry.until_s = now_s.wrapping_add(idle_s.min(IDLE_S_MAX));
        Some(&mut entry.tool)
    }
}

impl Entry {
    #[inline]
    fn lives(self, now_s: u16) -> bool {
        self.tool != ToolName::NONE && self.until_s.wrapping_sub(now_s) <= IDLE_S_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::SimClock;

    const SECOND: u64 = 1_000_000_000;
    const ONE: ToolName = ToolName(1);
    const OTHER: ToolName = ToolName(2);

    fn at(table: &mut FlowTable, second: u64) {
        table.tick::<SimClock>(second * SECOND + 7);
    }

    #[test]
    fn a_set_is_a_cache_line() {
        assert_eq!((size_of::<Set>(), align_of::<Set>()), (64, 64));
    }

    #[test]
    fn a_flow_keeps_its_tool_as_long_as_it_lives() {
        let mut table = FlowTable::new(64);
        for begin in [0, 65_500, 1_000_000] {
            let flow = begin as u32;
            at(&mut table, begin);
            assert_eq!(table.tool_of(flow, 350, ONE), Some(&mut ToolName(1)));
            at(&mut table, begin + 350);
            assert_eq!(table.tool_of(flow, 350, OTHER), Some(&mut ToolName(1)));
            at(&mut table, begin + 700);
            assert_eq!(table.tool_of(flow, 120, OTHER), Some(&mut ToolName(1)));
            at(&mut table, begin + 821);
            assert_eq!(table.tool_of(flow, 120, OTHER), Some(&mut ToolName(2)));
        }
    }

    #[test]
    fn a_tool_that_is_changed_stays_changed() {
        let mut table = FlowTable::new(64);
        *table.tool_of(0, 350, ONE).unwrap() = OTHER;
        assert_eq!(table.tool_of(0, 350, ONE), Some(&mut ToolName(2)));
    }

    #[test]
    fn what_lives_is_not_displaced_and_what_died_makes_room() {
        let mut table = FlowTable::new(FLOWS_MIN);
        for flow in 0..8 {
            assert!(table.tool_of(flow, 10, ONE).is_some());
        }
        assert_eq!(table.tool_of(8, 10, ONE), None);
        at(&mut table, 5);
        assert!(table.tool_of(3, 10, OTHER).is_some_and(|tool| *tool == ONE));
        at(&mut table, 11);
        for flow in 10..17 {
            assert_eq!(table.tool_of(flow, 10, OTHER), Some(&mut ToolName(2)));
        }
        assert_eq!(table.tool_of(17, 10, OTHER), None);
        assert_eq!(table.tool_of(3, 10, OTHER), Some(&mut ToolName(1)), "it still lives");
    }

    #[test]
    fn half_a_table_of_flows_has_room_but_for_a_few() {
        let flows = if cfg!(miri) { 512 } else { 65_536 };
        let mut table = FlowTable::new(flows);
        let id = |n: u32| n.wrapping_mul(0x85eb_ca6b) ^ n >> 3;
        let lost = (0..flows / 2).filter(|n| table.tool_of(id(*n), 10, ONE).is_none()).count();
        assert!(lost < flows as usize / 50, "{lost}");
    }

    #[test]
    fn sizes_are_powers_of_two_within_limits() {
        for (flows, sets) in [(0, 1), (8, 1), (9, 2), (1000, 128), (65_536, 8192)] {
            let table = FlowTable::new(flows);
            assert_eq!(table.sets.len(), sets);
            assert!(table.is_for(flows) && !table.is_for(2 * flows.max(8)));
        }
    }

    #[test]
    fn names_are_never_none() {
        assert_eq!(ToolName::new(u64::MAX), ToolName(0));
        assert_eq!(ToolName(u16::MAX - 1).next(), ToolName(0));
        assert_eq!(ToolName(7).next(), ToolName(8));
    }
}
