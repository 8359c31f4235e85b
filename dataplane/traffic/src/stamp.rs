//! What makes a frame recognisable when it comes back: 18 bytes in its payload.
//!
//! ```text
//!  0      number of the frame in its stream, 48 bits, little endian as all that follows
//!  6      stream
//!  7      trial
//!  8      clock when it was sent, 48 bits of it
//!  14     check over the rest and a secret of the process
//! ```
//! The frame's number says everything else about it: its size, its flow and each of its bytes ([`crate::frames`]).
//! So 18 bytes suffice, what the smallest frame of Ethernet leaves behind IPv4 and UDP. A foreign frame passes
//! for one's own once in 2^32; no state is needed to tell.

/// Bytes of a stamp.
pub const STAMP_LEN: usize = 18;
/// The bits of a number, and of a time.
const BITS: u32 = 48;
const MASK: u64 = (1 << BITS) - 1;

/// The stamps of one trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamps {
    /// Known to this process alone: what another has sent is foreign.
    pub secret: u64,
    /// Distinguishes this trial's frames from those of the ones before that come late.
    pub trial: u8,
}

/// What one stamp says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The frame's place in its stream, from 0, below 2^48.
    pub number: u64,
    /// The stream's place in the plan.
    pub stream: u8,
    /// The trial.
    pub trial: u8,
    /// When it was sent: the clock's lower 48 bits.
    pub ticks: u64,
}

impl Stamps {
    /// The bytes of the stamp of a frame of this trial, sent at `ticks`. Cost: about 15 instructions.
    #[inline]
    pub fn emit(self, stream: u8, number: u64, ticks: u64) -> [u8; STAMP_LEN] {
        let what = number & MASK | u64::from(stream) << BITS | u64::from(self.trial) << (BITS + 8);
        let ticks = ticks & MASK;
        let mut bytes = [0; STAMP_LEN];
        bytes[..8].copy_from_slice(&what.to_le_bytes());
        bytes[8..16].copy_from_slice(&ticks.to_le_bytes());
        bytes[14..].copy_from_slice(&self.check(what, ticks).to_le_bytes());
        bytes
    }

    /// Reads a stamp, of any trial; `None` where the bytes are none.
    #[inline]
    pub fn parse(self, bytes: &[u8; STAMP_LEN]) -> Option<Stamp> {
        let [what, ticks] = [0, 8]
            .map(|at| bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)));
        let check = bytes.last_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let ticks = ticks & MASK;
        (check == self.check(what, ticks)).then_some(Stamp {
            number: what & MASK,
            stream: (what >> BITS) as u8,
            trial: (what >> (BITS + 8)) as u8,
            ticks,
        })
    }

    #[inline]
    fn check(self, what: u64, ticks: u64) -> u32 {
        let first = mixed(what ^ self.secret);
        (mixed(first ^ ticks) >> 32) as u32
    }
}

impl Stamp {
    /// Ticks from sending until `now`; 0 where the receiving core's clock is behind.
    #[inline]
    pub fn age(&self, now: u64) -> u64 {
        let age = now.wrapping_sub(self.ticks) & MASK;
        if age >> (BITS - 1) == 0 { age } else { 0 }
    }
}

/// Each bit of the result depends on each bit of `value` (the finalizer of D. Stafford's Mix13, as in `SplitMix64`).
#[inline]
pub(crate) fn mixed(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STAMPS: Stamps = Stamps { secret: 0x1234_5678_9abc_def0, trial: 7 };

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_emitted_is_parsed(number in 0..=MASK, stream: u8, trial: u8, ticks: u64) {
            let stamps = Stamps { trial, ..STAMPS };
            let stamp = STAMPS.parse(&stamps.emit(stream, number, ticks));
            prop_assert_eq!(stamp, Some(Stamp { number, stream, trial, ticks: ticks & MASK }));
        }

        #[test]
        fn other_bytes_are_none(bytes: [u8; STAMP_LEN], bit in 0..STAMP_LEN * 8, number: u64) {
            prop_assert_eq!(STAMPS.parse(&bytes), None);
            let mut stamp = STAMPS.emit(1, number, 99);
            stamp[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(STAMPS.parse(&stamp), None);
        }
    }

    #[test]
    fn another_process_has_other_stamps() {
        let other = Stamps { secret: 1, ..STAMPS };
        assert_eq!(STAMPS.parse(&other.emit(0, 1, 2)), None);
        assert_eq!(STAMPS.parse(&[0; STAMP_LEN]), None);
        assert_eq!(STAMPS.parse(&[0xff; STAMP_LEN]), None);
    }

    #[test]
    fn the_age_survives_the_clocks_upper_bits_and_is_never_negative() {
        let sent = |ticks| STAMPS.parse(&STAMPS.emit(0, 0, ticks)).unwrap();
        assert_eq!(sent(MASK - 4).age(MASK + 6), 10);
        assert_eq!(sent((5 << BITS) + 100).age((5 << BITS) + 90), 0);
        assert_eq!(sent(100).age(100), 0);
    }
}
