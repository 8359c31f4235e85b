//! The compiled table: any number of rules at the price of a few.
//!
//! A rule is a box in five dimensions (*fields*): source and destination address, both ports, protocol;
//! what shows no port or protocol has a value of its own there, which conditions never name. For one
//! field and value, the rules that accept it are a *set*; the rules that match a packet are in the sets
//! of all its fields. Sets of 100,000 rules would be too long and too many, so rules stand in *chunks* of
//! 512, those with neighbouring addresses together ([`cluster`]): a set of one chunk is a cache line, equal sets
//! are there once, and a field says in one word which chunks have rules for a value at all.
//!
//! ```text
//! for each field:                                    a burst at once, without a branch on any packet
//!     range = the range of values in which the packet's lies               search, layer4
//!     row   = which chunks have rules for that range, and which set of each          field
//! chunks = and of the rows' bits                     two or three are left, of 20 or of 200
//! for each of these chunks:                                                         family
//!     bits  = and of the rows' sets                  two or more vectors
//!     found = min(found, place of the first bit)     bits are in the order of the rules
//! ```
//! Ports and protocol are one field where rules name few of them ([`layer4`]).
//!
//! # Changes
//! A table is a *base* made so, shared by all tables that came of it, and what has changed since: at most
//! 32 rules that the base has not, which are compared one by one as in the linear table, and the places
//! of the base's rules, some of which may be gone. When more has changed a new base is made, so the
//! price of most changes is a comparison of two lists. A small table is all changes and no base.
//!
//! # Limits
//! For N rules, hostile ones too:
//! - Lookup: 32 comparisons with rules, five searches of at most five steps of 16 comparisons, then N / 512 chunks at most, where every chunk has
//!   rules for each field of a packet; two or three, on average, for the rule sets that are known.
//! - Memory: [`BYTES_PER_RULE_MAX`] for each rule and [`BYTES_MAX`]; 200 to 400 for sets of ten thousand that are known.
//! - Time to make it: N log N, and for tables of ports an amount of work that does not grow with N.
//!
//! [`super::TABLE_RULES_MAX`] bounds N; a view with more in one table is refused.
//!
//! # Sources
//! Bit vectors by field: Lakshman and Stiliadis, SIGCOMM 1998; classes of values: Gupta and `McKeown`,
//! SIGCOMM 1999; rules of a kind together: Vamanan, Voskuilen and Vijaykumar, SIGCOMM 2010.

#![expect(clippy::inline_always, reason = "compiled for the vectors that the processor has")]

mod changes;
mod cluster;
mod family;
mod field;
mod layer4;
mod packets;
mod ranges;
mod search;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use self::changes::{Accepts, kept};
use self::family::{Box5, Family, Places};
use self::layer4::{NO_PORT, NO_PROTOCOL_VALUE};
use self::packets::Chosen;
use super::linear::Scan;
use super::{Match, RuleTable, TableRule, Verdict, verdicts};
use crate::burst::BURST_MAX;
use crate::flow_key::IS_V6;
use crate::keys::Keys;
use crate::rule::PortRange;

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
    v4: Family<u32>,
    v6: Family<u128>,
    /// How many there are.
    rules: usize,
}

impl Base {
    fn new(accepts: &[Accepts]) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
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
        if rules.len() <= RECENT_MAX {
            let accepts = rules.iter().map(|entry| Accepts::of(entry.rule)).collect();
            return Self::new(Arc::default(), vec![None; rules.len()], accepts, rules);
        }
        Self::compile_base(rules)
    }

    fn update(&self, rules: &[TableRule<'_>]) -> Self {
        let accepts: Vec<Accepts> = rules.iter().map(|entry| Accepts::of(entry.rule)).collect();
        let kept = kept(&self.accepts, &accepts);
        let origins: Vec<Option<u32>> =
            kept.into_iter().map(|before| before.and_then(|at| self.origins[at])).collect();
        let recent = origins.iter().filter(|origin| origin.is_none()).count();
        let gone = self.base.rules - (origins.len() - recent);
        if recent > RECENT_MAX || gone > GONE_MAX {
            return Self::compile(rules);
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
            let places: [u8; BURST_MAX] = core::array::from_fn(|at| at as u8);
            let all = Chosen { keys, which, places: &places[..which.len()] };
            let is_v6 = |at: u8| keys.class[usize::from(at) % BURST_MAX] & IS_V6 != 0;
            let v6_count = which.iter().filter(|&&at| is_v6(at)).count();
            let Base { v4, v6, .. } = &*self.base;
            if v6_count == 0 {
                v4.first_matches(&self.v4_places, all, matches);
            } else if v6_count == which.len() {
                v6.first_matches(&self.v6_places, all, matches);
            } else {
                let [of_v4, of_v6] =
                    [false, true].map(|family| Part::new(which, |at| is_v6(at) == family));
                v4.first_matches(&self.v4_places, of_v4.chosen(keys), matches);
                v6.first_matches(&self.v6_places, of_v6.chosen(keys), matches);
            }
        }
    }

    #[inline]
    fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }
}

/// Some of the packets that are looked up.
struct Part {
    which: [u8; BURST_MAX],
    /// Where the answers belong.
    places: [u8; BURST_MAX],
    count: usize,
}

impl Part {
    #[inline]
    fn new(which: &[u8], is_chosen: impl Fn(u8) -> bool) -> Self {
        let mut chosen = Self { which: [0; BURST_MAX], places: [0; BURST_MAX], count: 0 };
        for (place, &at) in (0..).zip(which) {
            // Written always, kept when it is chosen: no branch to mispredict.
            chosen.which[chosen.count % BURST_MAX] = at;
            chosen.places[chosen.count % BURST_MAX] = place;
            chosen.count += usize::from(is_chosen(at));
        }
        chosen
    }

    fn chosen<'a>(&'a self, keys: &'a Keys) -> Chosen<'a> {
        Chosen { keys, which: &self.which[..self.count], places: &self.places[..self.count] }
    }
}

impl CompiledTable {
    /// As [`RuleTable::compile`], but however few rules there are, none is compared one by one.
    pub fn compile_base(rules: &[TableRule<'_>]) -> Self {
        let accepts: Vec<Accepts> = rules.iter().map(|entry| Accepts::of(entry.rule)).collect();
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
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            v4_places: base.v4.places(&place_of),
            v6_places: base.v6.places(&place_of),
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
        self.base.v4.bytes() + self.base.v6.bytes() + self.accepts.len() * per_rule
    }
}

#[cfg(test)]
mod tests;
