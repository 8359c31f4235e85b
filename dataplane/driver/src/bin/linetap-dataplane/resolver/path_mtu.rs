//! What ICMP errors have taught of the ways to tools: for a time each takes no more than that.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use engine::units::PortIndex;
use tokio::time::Instant;

use super::too_big::TooBig;
use super::{Known, Wanted};

/// After so long the larger size is tried again (RFC 1191 §6.3, RFC 8201 §4).
const KEPT: Duration = Duration::from_mins(10);
/// A way is not lowered again sooner: who forges errors that say a little less each time makes no flood of
/// views and lines. A true one is said again by the next copy that is too big.
const SETTLED: Duration = Duration::from_millis(100);
/// IP MTUs below are not believed: no tool port may have one (RFC 8200 §5; of IPv4 what every host
/// must take, RFC 791 §3.1).
const MIN_V4: u16 = 576;
const MIN_V6: u16 = 1280;

/// The least that a way to `tool` may be said to take.
pub(super) fn mtu_min(tool: IpAddr) -> u16 {
    if tool.is_ipv4() { MIN_V4 } else { MIN_V6 }
}

/// What was learned, by tool port and tool: one entry for each at most.
#[derive(Debug, Default)]
pub(super) struct PathMtus(HashMap<(PortIndex, IpAddr), Learned>);

#[derive(Debug)]
struct Learned {
    mtu: u16,
    until: Instant,
}

impl PathMtus {
    /// Takes in an error, if it can be about a copy: from one of the addresses that copies to a tool come
    /// from, to this tool, by our VXLAN port, longer than it should have been, and with less left for it than
    /// is known now. True when something was learned.
    pub(super) fn hear(
        &mut self,
        error: &TooBig,
        vxlan_port: u16,
        tools: &[Wanted],
        known: &Known,
        now: Instant,
    ) -> bool {
        let mut is_news = false;
        for tool in tools.iter().filter(|tool| tool.address == error.dst) {
            let way = known.neighbors.get(&(tool.port, tool.address));
            let source = way.and_then(|way| way.source).unwrap_or(tool.source);
            let before = way.and_then(|way| way.mtu).unwrap_or(tool.mtu);
            let Some(mtu) = believable(error, before) else { continue };
            if error.dst_port != vxlan_port || error.src != source {
                continue;
            }
            let key = (tool.port, tool.address);
            if self.0.get(&key).is_some_and(|it| it.until + SETTLED > now + KEPT) {
                continue;
            }
            let learned = Learned { mtu, until: now + KEPT };
            let last = self.0.insert(key, learned);
            // What is found again after it was forgotten is no news for people.
            if last.is_none_or(|last| last.mtu != mtu) {
                log::info!(
                    "the way to tool {} takes packets of {mtu} bytes, says an ICMP error: copies are \
                     made to fit for {} minutes",
                    tool.address,
                    KEPT.as_secs() / 60
                );
            }
            is_news = true;
        }
        is_news
    }

    /// Lowers what is known of the ways to what was learned.
    pub(super) fn apply(&self, tools: &[Wanted], known: &mut Known, now: Instant) {
        for tool in tools {
            let key = (tool.port, tool.address);
            let Some(learned) = self.0.get(&key).filter(|it| it.until > now) else { continue };
            let way = known.neighbors.entry(key).or_default();
            let before = way.mtu.unwrap_or(tool.mtu);
            if learned.mtu < before {
                way.mtu = Some(learned.mtu);
            }
        }
    }

    /// When the next of them is to be forgotten.
    pub(super) fn next_end(&self, now: Instant) -> Option<Instant> {
        self.0.values().map(|it| it.until).filter(|&until| until > now).min()
    }

    /// Forgets tools that nobody wants any more.
    pub(super) fn retain(&mut self, tools: &[Wanted]) {
        self.0.retain(|key, _| tools.iter().any(|tool| (tool.port, tool.address) == *key));
    }
}

/// What an error says of the MTU; `None` where that can't be, or is not less than `before`.
fn believable(error: &TooBig, before: u16) -> Option<u16> {
    let min = mtu_min(error.dst);
    let said = u16::try_from(error.mtu).ok()?;
    // RFC 8201 §4: less must be discarded. RFC 1191 §5: what routers that say nothing mean is any size, of
    // which the least that all take is the simplest.
    let mtu =
        if error.dst.is_ipv6() { Some(said).filter(|&said| said >= min)? } else { said.max(min) };
    // So it is less than before, too.
    (error.len > usize::from(mtu) && error.len <= usize::from(before)).then_some(mtu)
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::neighbors::Way;

    const TOOLS: [(&str, &str); 2] =
        [("203.0.113.10", "192.0.2.1"), ("2001:db8:3::10", "2001:db8:2::1")];

    fn tools() -> Vec<Wanted> {
        let tool = |(address, source): (&str, &str)| Wanted {
            port: PortIndex(0),
            interface: 7,
            address: address.parse().unwrap(),
            via: None,
            mtu: 1500,
            source: source.parse().unwrap(),
        };
        TOOLS.map(tool).to_vec()
    }

    fn error(family: usize, mtu: u32) -> TooBig {
        let (dst, src) = TOOLS[family];
        let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
        TooBig { src, dst, dst_port: 4789, len: 1500, mtu }
    }

    /// What is known of the MTU of a tool's way.
    fn mtu(learned: &PathMtus, family: usize, now: Instant) -> Option<u16> {
        let mut known = Known::default();
        learned.apply(&tools(), &mut known, now);
        known.neighbors.get(&(PortIndex(0), tools()[family].address)).and_then(|way| way.mtu)
    }

    /// What is known after one error.
    fn heard(error: &TooBig) -> [Option<u16>; 2] {
        let (mut learned, now) = (PathMtus::default(), Instant::now());
        learned.hear(error, 4789, &tools(), &Known::default(), now);
        [0, 1].map(|family| mtu(&learned, family, now))
    }

    #[test]
    fn an_error_lowers_the_way_that_it_is_about() {
        assert_eq!(heard(&error(0, 1400)), [Some(1400), None]);
        assert_eq!(heard(&error(1, 1400)), [None, Some(1400)]);
    }

    #[test]
    fn bounds_are_kept() {
        for (said, known) in [(0, 576), (575, 576), (576, 576), (577, 577), (1499, 1499)] {
            assert_eq!(heard(&error(0, said))[0], Some(known), "{said}");
        }
        for (said, known) in [(0, None), (1279, None), (1280, Some(1280)), (1499, Some(1499))] {
            assert_eq!(heard(&error(1, said))[1], known, "{said}");
        }
        for family in [0, 1] {
            for said in [1500, 1501, 9000, 65_535, 65_536 + 1400, u32::MAX] {
                assert_eq!(heard(&error(family, said)), [None, None], "{said}");
            }
        }
    }

    #[test]
    fn what_can_be_about_no_copy_is_not_believed() {
        let error = error(0, 1400);
        let other = "192.0.2.77".parse().unwrap();
        let too_long = TooBig { len: 1501, ..error };
        let short_enough = TooBig { len: 1400, ..error };
        let changed = [
            TooBig { src: other, ..error },
            TooBig { dst: other, ..error },
            TooBig { dst_port: 4788, ..error },
            too_long,
            short_enough,
        ];
        for error in changed {
            assert_eq!(heard(&error), [None, None], "{error:?}");
        }
    }

    #[test]
    fn it_is_forgotten_after_ten_minutes_and_only_ever_lowered_before() {
        let (mut learned, now) = (PathMtus::default(), Instant::now());
        let mut known = Known::default();
        let mut hear = |said, at| {
            let is_news = learned.hear(&error(0, said), 4789, &tools(), &known, at);
            known = Known::default();
            learned.apply(&tools(), &mut known, at);
            (is_news, mtu(&learned, 0, at))
        };
        assert_eq!(hear(1400, now), (true, Some(1400)));
        let later = now + Duration::from_mins(9);
        assert_eq!(hear(1450, later), (false, Some(1400)));
        assert_eq!(hear(1400, later), (false, Some(1400)), "its time does not begin anew");
        let end = now + KEPT;
        assert_eq!(learned.next_end(later), Some(end));
        assert_eq!(mtu(&learned, 0, end), None);
        assert_eq!(learned.next_end(end), None);
    }

    #[test]
    fn errors_that_say_less_and_less_are_heeded_now_and_then() {
        let (mut learned, now) = (PathMtus::default(), Instant::now());
        let mut heeded = 0;
        for ms in 0..900 {
            let mut known = Known::default();
            let at = now + Duration::from_millis(ms);
            learned.apply(&tools(), &mut known, at);
            let len = usize::from(mtu(&learned, 0, at).unwrap_or(1500));
            let said = TooBig { len, ..error(0, 1499 - u32::try_from(ms).unwrap()) };
            heeded += u32::from(learned.hear(&said, 4789, &tools(), &known, at));
        }
        assert_eq!(heeded, 9);
    }

    #[test]
    fn copies_come_from_the_source_of_the_way() {
        let (mut learned, now) = (PathMtus::default(), Instant::now());
        let way = Way { source: Some("192.0.2.9".parse().unwrap()), ..Way::default() };
        let mut known = Known::default();
        known.neighbors.insert((PortIndex(0), tools()[0].address), way);
        assert!(!learned.hear(&error(0, 1400), 4789, &tools(), &known, now));
        let from_there = TooBig { src: "192.0.2.9".parse().unwrap(), ..error(0, 1400) };
        assert!(learned.hear(&from_there, 4789, &tools(), &known, now));
        learned.retain(&tools()[1..]);
        assert_eq!(mtu(&learned, 0, now), None);
    }
}
