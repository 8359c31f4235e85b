//! The attribution stage: on whose behalf rules are asked about each frame of a burst.

use crate::address_table::{AddressTable, Start};
use crate::burst::BURST_MAX;
use crate::claims::{Attribution, PortSources};
use crate::copy::gather;
use crate::drop_reason::Unmirrored;
use crate::exempt::{Cause, STEP};
use crate::keys::Keys;
use crate::parse::{Kind, Parsed};
use crate::port::Mbuf;
use crate::simd;
use crate::source::Source;
use crate::stats::WorkerStats;
use crate::units::PortIndex;
use crate::view::View;
use crate::wire::ethernet::ADDRESSES_LEN;

/// Finds the sources of each frame that `port` received, by place in the burst.
#[inline(never)]
pub fn attribute_burst<M: Mbuf, T>(
    view: &View<T>,
    port: PortIndex,
    frames: &[M],
    parsed: &[Parsed; BURST_MAX],
    sources: &mut [[Source; 2]; BURST_MAX],
) {
    let of_port = &view.ports[port.at()];
    // Decided once per burst, so that a frame pays only for what its port needs.
    match of_port.attribution() {
        Attribution::Whole(all) => sources[..frames.len()].fill(all),
        Attribution::Addresses(table) => by_addresses(table, of_port, frames, sources),
        Attribution::AddressesAndVlan => {
            for ((frame, parsed), sources) in frames.iter().zip(parsed).zip(sources) {
                *sources = with_vlan(of_port, frame, parsed.vid);
            }
        }
    }
}

#[inline(never)]
fn by_addresses<M: Mbuf>(
    table: &AddressTable,
    of_port: &PortSources,
    frames: &[M],
    sources: &mut [[Source; 2]; BURST_MAX],
) {
    const SHORT: &Start = &[0; 16];
    let (mut starts, mut is_any_short) = ([SHORT; BURST_MAX], false);
    for (start, frame) in starts.iter_mut().zip(frames) {
        let whole = frame.head().first_chunk();
        is_any_short |= whole.is_none();
        *start = whole.unwrap_or(SHORT);
    }
    let is_found = simd::sources(&starts, frames.len(), table, sources);
    if is_any_short || !is_found {
        let is_left = |frame: &M| !is_found || frame.head().len() < SHORT.len();
        let left = frames.iter().zip(sources).filter(|(frame, _)| is_left(frame));
        left.for_each(|(frame, sources)| *sources = with_vlan(of_port, frame, 0));
    }
}

#[inline(never)]
fn with_vlan<M: Mbuf>(of_port: &PortSources, frame: &M, vid: u16) -> [Source; 2] {
    let mut addresses = [0; ADDRESSES_LEN];
    let held = gather(frame, 0, &mut addresses);
    of_port.sources(&addresses[..held], vid)
}

/// Takes the sources of the frames that rules are not asked about, and counts these.
#[inline(never)]
pub fn settle_exempt<T>(
    view: &View<T>,
    count: usize,
    parsed: &[Parsed; BURST_MAX],
    keys: &Keys,
    sources: &mut [[Source; 2]; BURST_MAX],
    stats: &mut WorkerStats,
) {
    if !view.exempt.has_suspects(keys, count) {
        return;
    }
    for start in (0..count).step_by(STEP) {
        for (at, suspect) in (start..count).zip(view.exempt.suspects(keys, start)) {
            if suspect != 0 {
                look_closer(view, parsed[at].kind, keys, at, &mut sources[at], stats);
            }
        }
    }
}

#[cold]
fn look_closer<T>(
    view: &View<T>,
    kind: Kind,
    keys: &Keys,
    at: usize,
    sources: &mut [Source; 2],
    stats: &mut WorkerStats,
) {
    let [one, other] = *sources;
    let somebody = [one, other.unless_same_interface(one)].into_iter().filter(|it| it.is_some());
    let cause = view.exempt.cause(&keys.get(at));
    let by = cause.and_then(Cause::never_mirrored);
    let reason = match (kind, cause) {
        (Kind::Malformed, _) => Unmirrored::Malformed,
        (Kind::NotIp, _) => Unmirrored::NotIp,
        (Kind::Ip, None) => return,
        (Kind::Ip, Some(_)) if by.is_some() => Unmirrored::NeverMirrored,
        (Kind::Ip, Some(_)) => {
            *sources = sources.map(Source::for_amazon_dns);
            return;
        }
    };
    let count = somebody.count();
    stats.unmirrored[reason as usize] += count as u64;
    if let (Unmirrored::NeverMirrored, Some(by)) = (reason, by) {
        stats.never_mirrored[by as usize] += count as u64;
    }
    if count > 0 {
        *sources = [Source::SETTLED; 2];
    }
}

#[cfg(test)]
mod tests;
