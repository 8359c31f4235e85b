//! The policing stage: takes out what sessions do not want of all that their rules do.

use crate::burst::BURST_MAX;
use crate::drop_reason::Skipped;
use crate::evaluations::Evaluations;
use crate::keys::Keys;
use crate::limiter::Claim;
use crate::outbox::COPIES_MAX;
use crate::parse::Parsed;
use crate::policing::Police;
use crate::port::Mbuf;
use crate::stats::SessionStats;
use crate::units::SessionIndex;
use crate::view::View;

/// Frames of a burst, and what is known of them.
#[derive(Debug)]
pub struct Policed<'a, M> {
    /// The frames.
    pub frames: &'a [M],
    /// What was parsed of each.
    pub parsed: &'a [Parsed; BURST_MAX],
    /// The key of each.
    pub keys: &'a Keys,
    /// When the burst was received, in nanoseconds; each frame may know better
    /// ([`Mbuf::time_ns`]).
    pub received_ns: u64,
}

/// Leaves the copies that their sessions want, of those that are wanted by their rules. The others are
/// counted as matched and skipped. To be called when some session asks for it.
#[inline(never)]
pub fn police_burst<M: Mbuf, T>(
    view: &View<T>,
    burst: &Policed<'_, M>,
    evaluations: &mut Evaluations,
    sessions: &mut [SessionStats],
) {
    let (places, _, wanted) = evaluations.settling();
    let mut limited = 0u128;
    for (turn, (&place, wanted)) in places.iter().zip(wanted.iter_mut()).enumerate() {
        let Some(police) = view.policing.of(*wanted) else { continue };
        let hash = burst.keys.hash(place.into());
        if police.sample.is_some_and(|sample| !sample.has(hash)) {
            skip(wanted, Skipped::NotSampled, sessions);
        } else {
            limited |= u128::from(police.limiter.is_some()) << turn;
        }
    }
    while limited != 0 {
        limited &= !limit_first(view, burst, (places, wanted), limited, sessions);
    }
    evaluations.keep_wanted();
}

/// Limits the copies, among those with a bit in `limited`, of the session whose copy is the first.
/// Returns the bits of these.
fn limit_first<M: Mbuf, T>(
    view: &View<T>,
    burst: &Policed<'_, M>,
    (places, wanted): (&[u8], &mut [SessionIndex]),
    limited: u128,
    sessions: &mut [SessionStats],
) -> u128 {
    let (mut claims, mut turns, mut count) = ([Claim::default(); COPIES_MAX], [0; COPIES_MAX], 0);
    let session = wanted[limited.trailing_zeros() as usize % COPIES_MAX];
    let mut own = 0;
    for turn in bits(limited).filter(|&turn| wanted[turn] == session) {
        own |= 1 << turn;
        turns[count] = turn;
        claims[count] = claim(view, burst, session, places[turn].into());
        count += 1;
    }
    if let Some(Police { limiter: Some(limiter), .. }) = view.policing.of(session) {
        limiter.admit(&mut claims[..count]);
        for (&turn, claim) in turns.iter().zip(&claims[..count]) {
            if !claim.is_granted {
                skip(&mut wanted[turn], Skipped::RateLimited, sessions);
            }
        }
    }
    own
}

/// The places of the bits that are set.
fn bits(mut set: u128) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = (set != 0).then_some(set.trailing_zeros() as usize)?;
        set &= set - 1;
        Some(lowest)
    })
}

/// What the copy of a frame would take: its bytes without tags, as many as the session keeps.
fn claim<M: Mbuf, T>(
    view: &View<T>,
    burst: &Policed<'_, M>,
    session: SessionIndex,
    place: usize,
) -> Claim {
    let Some(frame) = burst.frames.get(place) else { return Claim::default() };
    let tags = if view.keep_inner_vlan { 0 } else { burst.parsed[place % BURST_MAX].tags_len };
    let len = frame.len() - usize::from(tags);
    Claim {
        time_ns: frame.time_ns().unwrap_or(burst.received_ns),
        bytes: len.min(view.sessions[session.at()].snap_len) as u64,
        is_granted: false,
    }
}

/// A copy is not wanted any more.
fn skip(wanted: &mut SessionIndex, reason: Skipped, sessions: &mut [SessionStats]) {
    let stats = &mut sessions[wanted.at()];
    stats.matched += 1;
    stats.skipped[reason as usize] += 1;
    *wanted = SessionIndex::NONE;
}
