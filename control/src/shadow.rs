//! Rules that can never match, because earlier ones take all their packets; exactly.
//!
//! # Idea
//! To rules, a packet is five numbers: its *class* (protocol, and whether it shows ports), source,
//! destination, and two ports. A rule matches a box of them (a *region*). It can match if some packet
//! of its region is in no earlier region, and such a packet is what is looked for, as in Klee's measure
//! problem, which this solves by the same steps (T. Chan, *Klee's measure problem made easy*, FOCS
//! 2013): what lacks only one dimension to cover all is taken out, whatever lies across it; the rest is
//! cut in two. In each dimension only the order counts of the places where a region begins or ends.
//!
//! ```text
//! covers(cell, boxes in it):
//!     while a box spans the cell in all dimensions but at most one (a slab):
//!         in none it lacks                        -> yes
//!         take the slabs out: the intervals that they span, and what other boxes have of them
//!         no interval is left in some dimension   -> yes
//!     no box is left                              -> no: the first number of each dimension is a packet
//!     join intervals between which no box begins or ends
//!     cut the dimension with the most intervals in the middle; covers(one half) and covers(the other),
//!         that with fewer boxes first, for a gap is likelier there
//! ```
//!
//! # The packets there are
//! Only TCP, UDP and SCTP show ports, both or none; without them are later fragments and what is cut
//! off. Only IPv6 may have no layer 4. So 256 rules for a protocol each leave nothing to an IPv4 rule
//! for all, and a rule for ports 0-65535 leaves the fragments.
//!
//! # Cost
//! A rule costs a few looks at each earlier rule whose network overlaps its own on one side: filter
//! sets as they are in use take seconds for 10,000 rules. In the worst case n rules take n^2.5 looks for
//! one, and nobody knows a way that is much better. So looks are counted as *steps*, about ten to a
//! microsecond: when [`STEPS_PER_RULE`] don't settle a rule, or [`STEPS_PER_CHECK`] all rules, the
//! answer is [`Fate::Undecided`].

mod cover;
mod index;
mod region;

use engine::flow_key::FlowKey;
use engine::rule::FilterRule;

use cover::{Cover, Spent, cover};
use index::Index;
use region::Region;

/// What may be spent on one rule: less than a second.
pub const STEPS_PER_RULE: u64 = 1 << 22;
/// What may be spent on all rules together: some ten seconds.
pub const STEPS_PER_CHECK: u64 = 1 << 27;

/// What becomes of a rule behind others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It settles this packet, among others.
    Matches(FlowKey),
    /// It matches no packet: those at these positions, ascending, take them all.
    Shadowed(Vec<usize>),
    /// It would have taken too long to tell.
    Undecided,
}

/// Rules in order, of which each is judged behind those before it.
#[derive(Debug)]
pub struct Shadows<'s> {
    regions: Vec<Region>,
    /// By region: the position of its rule.
    positions: Vec<usize>,
    pushed: usize,
    v4: Index,
    v6: Index,
    /// What is left for this check.
    steps: &'s mut u64,
}

impl<'s> Shadows<'s> {
    /// No rules yet. `steps` are taken from: [`STEPS_PER_CHECK`], or what other lists have left.
    pub fn new(steps: &'s mut u64) -> Self {
        let (v4, v6) = (Index::default(), Index::default());
        Self { regions: Vec::new(), positions: Vec::new(), pushed: 0, v4, v6, steps }
    }

    /// Puts a rule behind the others, without judging it.
    pub fn push(&mut self, rule: &FilterRule) {
        if let Some(region) = Region::of(rule) {
            let index = if region.is_v6 { &mut self.v6 } else { &mut self.v4 };
            index.insert(&region, self.regions.len());
            self.regions.push(region);
            self.positions.push(self.pushed);
        }
        self.pushed += 1;
    }

    /// What would become of a rule behind the others. Cost: see [above](self).
    pub fn judge(&mut self, rule: &FilterRule) -> Fate {
        let Some(region) = Region::of(rule) else { return Fate::Shadowed(Vec::new()) };
        let mut steps = STEPS_PER_RULE.min(*self.steps);
        let before = steps;
        let fate = self.search(&region, &mut steps).unwrap_or(Fate::Undecided);
        *self.steps -= before - steps;
        fate
    }

    fn search(&self, region: &Region, steps: &mut u64) -> Result<Fate, Spent> {
        let index = if region.is_v6 { &self.v6 } else { &self.v4 };
        let mut candidates = index.candidates(region);
        *steps = steps.checked_sub(candidates.len() as u64).ok_or(Spent)?;
        candidates.retain(|&at| self.regions[at].overlaps(region));
        let cut = |&at: &usize| self.regions[at].cut_to(region);
        let others: Vec<Region> = candidates.iter().map(cut).collect();
        Ok(match cover(region, &others, steps)? {
            Cover::Gap(point) => Fate::Matches(region.key(point)),
            Cover::Whole(used) => {
                Fate::Shadowed(used.into_iter().map(|at| self.positions[candidates[at]]).collect())
            }
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
