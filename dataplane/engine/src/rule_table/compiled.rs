//! The compiled table: any number of rules at the price of a few.
//!
//! A rule is a box in five dimensions (*fields*): source and destination address, both ports, protocol;
//! what shows no port or protocol has a value of its own there, which conditions never name. For one
//! field and value, the rules that accept it are a *set*, a bit each; the rules that match a packet are
//! in the sets of all its fields. Sets of 100,000 rules would be too long and too many, so rules stand in
//! *chunks* of 512, those with neighbouring addresses together ([`cluster`]): a set of one chunk is a cache
//! line, equal sets are there once, and a row of a field says for a value by a bit each which chunks have
//! rules at all, and for each of them which set. Up to 1024 rules are one set of two lines.
//!
//! ```text
//! for each field:                                    a burst at once, without a branch on any packet
//!     number = that of the range of values in which the packet's lies     addresses, layer4, simd::search
//!     row    = which chunks have rules for the range, and which set of each             simd::fields
//! chunks = and of the rows' words                    two or three are left, of 20 or of 200
//! for each of these chunks:                                                               simd::sets
//!     bits  = and of the rows' sets                  two or more vectors
//!     found = min(found, place of the first bit)     bits are in the order of the rules
//! ```
//! Ports and protocol are one field where rules name few of them ([`layer4`]). Addresses of IPv6 are
//! compared by as few bits as rules tell apart ([`addresses`]).
//!
//! # Changes
//! A table is a *base* made so, shared by all tables that came of it, and what has changed since: at most
//! 32 rules that the base has not, which are compared one by one as in the linear table, and the places
//! of the base's rules, some of which may be gone. When more has changed a new base is made, so the
//! price of most changes is a comparison of two lists. A small table is all changes and no base.
//!
//! # Limits
//! For N rules, hostile ones too:
//! - Lookup: 32 comparisons with rules, five searches of at most six steps of 8 or 16 comparisons, then N / 512 chunks at most, where every chunk has
//!   rules for each field of a packet; two or three, on average, for the rule sets that are known.
//! - Memory: [`BYTES_PER_RULE_MAX`] for each rule and [`BYTES_MAX`]; 200 to 400 for sets of ten thousand that are known.
//! - Time to make it: N log N, for each range a part of a row more for 1,024 rules, and for tables of ports an amount of work that does not grow with N.
//!
//! [`super::TABLE_RULES_MAX`] bounds N; a view with more in one table is refused.
//!
//! # Sources
//! Bit vectors by field: Lakshman and Stiliadis, SIGCOMM 1998; classes of values: Gupta and `McKeown`,
//! SIGCOMM 1999; rules of a kind together: Vamanan, Voskuilen and Vijaykumar, SIGCOMM 2010.

#![expect(clippy::inline_always, reason = "compiled for the vectors that the processor has")]

mod addresses;
mod changes;
mod cluster;
mod family;
mod field;
mod layer4;
mod packets;
mod ranges;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use self::changes::{Accepts, kept};
use self::family::{Box5, Family};
use self::layer4::{NO_PORT, NO_PROTOCOL_VALUE};
use self::packets::{OfFamily, Packets};
use super::linear::Scan;
use super::{Match, RuleTable, TableRule, Verdict, verdicts};
use crate::burst::BURST_MAX;
use crate::flow_key::IS_V6;
use crate::keys::Keys;
use crate::rule::PortRange;
use crate::simd::Places;

/// Rules that are compared one by one, at most: those of a small table, and those that came after the
/// base was made.
const RECENT_MAX: usize = 32;
/// Rules of a base that may be gone before a new one is made.
const GONE_MAX: usize = 512;

/// Bytes that a rule of a table or of its base takes at most, when no other shares anything with it: at
/// each of both ends of its ranges a set and changed parts of a row, in two fields of addresses and two of
/// ports.
pub const BYTES_PER_RULE_MAX: usize = 2048;
/// Bytes that a table takes at most, beside those of its rules: tables of ports, and of where searches
/// begin.
pub const BYTES_MAX: usize = 2 << 20;

/// An ordered set of rules, compiled: a base, and what has changed since it was made.
#[derive(Debug, Clone)]
pub struct CompiledTable {
    id: u64,
    base: Arc<Base>,
    v4_places: Places,
    v6_places: Places,
    /// The rules that the base has not.
    recent: Scan,
    /// What each rule accepts, by place.
    accepts: Vec<Accepts>,
    /// Which rule of the base each is, by place.
    origins: Vec<Option<u32>>,
    verdicts: Vec<Verdict>,
}

/// Rules of both families.
#[derive(Debug, Default)]
struct Base {
    v4: Option<Family>,
    v6: Option<Family>,
    /// How many there are.
    rules: usize,
}

impl Base {
    fn new(accepts: &[Accepts]) -> Self {
        let (mut v4, mut v6): (Vec<Box5<u32>>, Vec<Box5<u128>>) = Default::default();
        for (rule, accepts) in (0..).zip(accepts) {
            match accepts.networks {
                [IpNet::V4(src), IpNet::V4(dst)] => {
                    let range = |net: Ipv4Net| net.network().into()..=net.broadcast().into();
                    v4.push(accepts.as_box(rule, [range(src), range(dst)]));
                }
                [IpNet::V6(src), IpNet::V6(dst)] => {
                    let range = |net: Ipv6Net| net.network().into()..=net.broadcast().into();
                    v6.push(accepts.as_box(rule, [range(src), range(dst)]));
                }
                // A mixed rule matches nothing; `View::compile` refuses it before it comes here.
                _ => {}
            }
        }
        Self { v4: Family::new(&v4), v6: Family::new(&v6), rules: accepts.len() }
    }
}

fn accepts_of(rules: &[TableRule<'_>]) -> Vec<Accepts> {
    rules.iter().map(|entry| Accepts::of(entry.rule)).collect()
}

impl Accepts {
    fn as_box<V>(&self, rule: u32, addresses: [RangeInclusive<V>; 2]) -> Box5<V> {
        let ports = |range: Option<PortRange>| {
            range.map_or(0..=NO_PORT, |range| range.from.into()..=range.to.into())
        };
        let protocols = self.protocol.map_or(0..=NO_PROTOCOL_VALUE, |it| it.into()..=it.into());
        let [src_ports, dst_ports] = self.ports.map(ports);
        let lens = self.networks.map(|net| net.prefix_len());
        Box5 { addresses, lens, clause: [src_ports, dst_ports, protocols], rule }
    }
}

impl RuleTable for CompiledTable {
    fn compile(rules: &[TableRule<'_>]) -> Self {
        Self::anew(accepts_of(rules), rules)
    }

    fn update(&self, rules: &[TableRule<'_>]) -> Self {
        let accepts = accepts_of(rules);
        let kept = kept(&self.accepts, &accepts);
        let origins: Vec<Option<u32>> =
            kept.into_iter().map(|before| before.and_then(|at| self.origins[at])).collect();
        let recent = origins.iter().filter(|origin| origin.is_none()).count();
        let gone = self.base.rules - (origins.len() - recent);
        if recent > RECENT_MAX || gone > GONE_MAX {
            return Self::anew(accepts, rules);
        }
        Self::new(Arc::clone(&self.base), origins, accepts, rules)
    }

    #[inline]
    fn id(&self) -> Option<u64> {
        (self.base.rules > 0).then_some(self.id)
    }

    fn classify(&self, keys: &Keys, which: &[u8], matches: &mut [Match]) {
        let len = which.len().min(matches.len());
        let (which, matches) = (&which[..len], &mut matches[..len]);
        let none = self.verdicts.len() as u32 - 1;
        if self.recent.len() == 0 {
            matches.fill(Match(none));
        } else {
            self.recent.classify(none, keys, which, matches);
        }
        if self.base.rules == 0 {
            return;
        }
        for (which, matches) in which.chunks(BURST_MAX).zip(matches.chunks_mut(BURST_MAX)) {
            let packets = Packets::new(keys, which);
            let v6_count = packets.count_class(IS_V6);
            if v6_count == 0 {
                self.look_up(false, packets, matches);
            } else if v6_count == which.len() {
                self.look_up(true, packets, matches);
            } else {
                for is_v6 in [false, true] {
                    let part = OfFamily::new(packets, IS_V6, is_v6);
                    self.look_up(is_v6, part.packets(keys), matches);
                }
            }
        }
    }

    #[inline]
    fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }
}

impl CompiledTable {
    /// Looks packets of a family up in the base.
    #[inline]
    fn look_up(&self, is_v6: bool, packets: Packets<'_>, matches: &mut [Match]) {
        let (family, places) =
            if is_v6 { (&self.base.v6, &self.v6_places) } else { (&self.base.v4, &self.v4_places) };
        if let Some(family) = family {
            family.first_matches(places, packets, matches);
        }
    }

    /// As [`RuleTable::compile`], but however few rules there are, none is compared one by one.
    pub fn compile_base(rules: &[TableRule<'_>]) -> Self {
        Self::with_own_base(accepts_of(rules), rules)
    }

    /// Rules that share nothing with another table.
    fn anew(accepts: Vec<Accepts>, rules: &[TableRule<'_>]) -> Self {
        if rules.len() <= RECENT_MAX {
            return Self::new(Arc::default(), vec![None; rules.len()], accepts, rules);
        }
        Self::with_own_base(accepts, rules)
    }

    fn with_own_base(accepts: Vec<Accepts>, rules: &[TableRule<'_>]) -> Self {
        let base = Base::new(&accepts);
        Self::new(Arc::new(base), (0..rules.len() as u32).map(Some).collect(), accepts, rules)
    }

    /// Rules, each of which is one of a base or recent.
    fn new(
        base: Arc<Base>,
        origins: Vec<Option<u32>>,
        accepts: Vec<Accepts>,
        rules: &[TableRule<'_>],
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let (mut recent, mut place_of) = (Scan::default(), vec![None; base.rules]);
        for ((place, origin), entry) in (0..).zip(&origins).zip(rules) {
            match *origin {
                Some(rule) => place_of[rule as usize] = Some(place),
                None => recent.push(entry.rule, place),
            }
        }
        let places = |family: &Option<Family>| {
            family.as_ref().map(|family| family.places(&place_of)).unwrap_or_default()
        };
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            v4_places: places(&base.v4),
            v6_places: places(&base.v6),
            verdicts: verdicts(rules),
            base,
            recent,
            accepts,
            origins,
        }
    }

    /// The memory it takes, in bytes, whether others share it or not.
    pub fn bytes(&self) -> usize {
        let per_rule = size_of::<Accepts>() + size_of::<Option<u32>>() + size_of::<Verdict>();
        let families = [&self.base.v4, &self.base.v6].into_iter().flatten();
        families.map(Family::bytes).sum::<usize>() + self.accepts.len() * per_rule
    }
}

#[cfg(test)]
mod shapes;
#[cfg(test)]
mod tests;
