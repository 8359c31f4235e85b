//! For whom rules are asked about a frame: an interface, and the direction of the frame as it sees it.

use crate::rule::Direction;
use crate::units::InterfaceIndex;

/// An interface and the direction of a frame as it sees it, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source(u32);

impl Default for Source {
    fn default() -> Self {
        Self::NONE
    }
}

impl Source {
    /// Nobody.
    pub const NONE: Self = Self(u32::MAX);
    /// Nobody any more: what was to be known about the frame is settled.
    pub const SETTLED: Self = Self(u32::MAX - 1);

    const AMAZON_DNS: u32 = 1 << 17;

    /// The frame goes from (egress) or to (ingress) the interface.
    pub const fn new(interface: InterfaceIndex, direction: Direction) -> Self {
        Self((interface.0 as u32) << 1 | matches!(direction, Direction::Egress) as u32)
    }

    /// Somebody.
    pub const fn is_some(self) -> bool {
        self.0 < Self::SETTLED.0
    }

    /// The same; not rules are to be asked, but for a session that mirrors Amazon DNS.
    #[must_use]
    pub const fn for_amazon_dns(self) -> Self {
        if self.is_some() { Self(self.0 | Self::AMAZON_DNS) } else { self }
    }

    /// Somebody, and rules are to be asked.
    pub const fn asks_rules(self) -> bool {
        self.0 & Self::AMAZON_DNS == 0
    }

    /// Nobody when it is the same interface as `other`, in whatever direction: both addresses of a
    /// frame (on a span) are one interface's then.
    #[inline]
    #[must_use]
    pub const fn unless_same_interface(self, other: Self) -> Self {
        if (self.0 ^ other.0) >> 1 == 0 { Self::NONE } else { self }
    }

    /// As vectors have it.
    pub(crate) const fn word(self) -> u32 {
        self.0
    }

    /// The source of which this is the [`Source::word`].
    pub(crate) const fn of_word(word: u32) -> Self {
        Self(word)
    }

    /// The interface. Meaningless for [`Source::NONE`].
    pub const fn interface(self) -> InterfaceIndex {
        InterfaceIndex((self.0 >> 1) as u16)
    }

    /// 0 for the same source: bits to be joined over many of them.
    pub const fn differs(self, other: Self) -> u32 {
        self.0 ^ other.0
    }

    /// The same interface in this direction; [`Source::NONE`] stays what it is.
    pub(crate) const fn seen(self, direction: Direction) -> Self {
        match direction {
            Direction::Egress => Self(self.0 | 1),
            Direction::Ingress => Self(if self.is_some() { self.0 & !1 } else { self.0 }),
        }
    }

    /// The direction. Meaningless for [`Source::NONE`].
    pub const fn direction(self) -> Direction {
        if self.0 & 1 == 1 { Direction::Egress } else { Direction::Ingress }
    }
}
