//! What sessions do not want of all that matches: flows that are not among those they sample, and what
//! would be more than their rate limit.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::Arc;

use crate::limiter::Limiter;
use crate::snapshot::{SAMPLE_MAX, SessionSpec};
use crate::units::SessionIndex;

/// The flows of which copies are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Those whose hash, mixed again, is less.
    below: u16,
}

impl Sample {
    /// One flow of so many: exactly of a power of two, else as near as 1/16,384 allows.
    pub fn new(of: NonZeroU16) -> Self {
        let (all, of) = (u32::from(SAMPLE_MAX), u32::from(of.get()));
        let below = ((all + of / 2) / of).clamp(1, all);
        Self { below: below as u16 }
    }

    /// Tells by the hash of a flow. What is the same for both directions and all fragments is so here.
    #[inline]
    pub fn has(self, flow_hash: u16) -> bool {
        remix(flow_hash) < self.below
    }
}

/// Another order of the hashes. Who samples has to get each member's flows of a load balancer, whose
/// table goes by the hash itself. Each step can be undone, so that no two become one.
#[inline]
const fn remix(hash: u16) -> u16 {
    const MASK: u32 = SAMPLE_MAX as u32 - 1;
    let mut mixed = hash as u32 & MASK;
    mixed = (mixed ^ mixed >> 7).wrapping_mul(0x2c1b) & MASK;
    mixed = (mixed ^ mixed >> 6).wrapping_mul(0x1e35) & MASK;
    mixed = (mixed ^ mixed >> 7).wrapping_mul(0x1655) & MASK;
    (mixed ^ mixed >> 8) as u16
}

/// What one session asks for.
#[derive(Debug, Default)]
pub struct Police {
    /// Copies of these flows only.
    pub sample: Option<Sample>,
    /// So many at most.
    pub limiter: Option<Arc<Limiter>>,
}

/// The same of all sessions.
#[derive(Debug, Default)]
pub struct Policing {
    /// By [`SessionIndex`]; empty when no session asks for anything.
    sessions: Vec<Police>,
    /// By the session's name, for the next view.
    limiters: HashMap<String, Arc<Limiter>>,
}

impl Policing {
    /// Of these sessions. A session that had the same limit before goes on with its buckets as they are.
    pub(crate) fn new(sessions: &[SessionSpec], before: &Self) -> Self {
        let mut limiters = HashMap::new();
        let mut police = |session: &SessionSpec| {
            let limiter = session.rate_limit.map(|spec| {
                let same = before.limiters.get(&session.id).filter(|it| it.spec() == spec);
                let limiter = same.map_or_else(|| Arc::new(Limiter::new(spec)), Arc::clone);
                limiters.insert(session.id.clone(), Arc::clone(&limiter));
                limiter
            });
            Police { sample: session.sample.map(Sample::new), limiter }
        };
        let asks = |it: &SessionSpec| it.rate_limit.is_some() || it.sample.is_some();
        let sessions = if sessions.iter().any(asks) {
            sessions.iter().map(&mut police).collect()
        } else {
            Vec::new()
        };
        Self { sessions, limiters }
    }

    /// No session asks for anything.
    #[inline]
    pub fn is_off(&self) -> bool {
        self.sessions.is_empty()
    }

    /// What a session asks for, if anything.
    #[inline]
    pub fn of(&self, session: SessionIndex) -> Option<&Police> {
        self.sessions.get(session.at())
    }
}

#[cfg(test)]
mod tests;
