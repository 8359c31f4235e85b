//! Evaluations of one burst: for whom rules are asked about which frame, and what they answer.

use crate::burst::BURST_MAX;
use crate::drop_reason::Unmirrored;
use crate::outbox::COPIES_MAX;
use crate::source::Source;
use crate::units::SessionIndex;

/// Counters of evaluations that mirrored nothing, by [`Unmirrored`].
pub type UnmirroredStats = [u64; Unmirrored::COUNT];

/// Evaluations in the order of the frames, those of one frame beside each other; by columns, so that
/// each stage writes whole words that the next reads whole.
#[derive(Debug)]
pub struct Evaluations {
    of_frames: [[Source; 2]; BURST_MAX],
    len: usize,
    frames: [u8; COPIES_MAX],
    sources: [Source; COPIES_MAX],
    wanted: [SessionIndex; COPIES_MAX],
}

impl Default for Evaluations {
    fn default() -> Self {
        Self {
            of_frames: [[Source::NONE; 2]; BURST_MAX],
            len: 0,
            frames: [0; COPIES_MAX],
            sources: [Source::NONE; COPIES_MAX],
            wanted: [SessionIndex::NONE; COPIES_MAX],
        }
    }
}

impl Evaluations {
    /// The at most two sources of each frame of the burst, to be written.
    pub fn of_frames_mut(&mut self) -> &mut [[Source; 2]; BURST_MAX] {
        &mut self.of_frames
    }

    /// Lists the evaluations of the first `count` frames, and counts the frames that have none from
    /// the start. Returns the source of them all, when they have one in common, as they nearly always
    /// do: [`Evaluations::sources`] may not be listed then.
    pub fn list(&mut self, count: usize, unmirrored: &mut UnmirroredStats) -> Option<Source> {
        self.len = 0;
        let of_frames = &self.of_frames[..count];
        let [first, second] = *of_frames.first()?;
        let differs = |[one, other]: &[Source; 2]| one.differs(first) | other.differs(second);
        if of_frames.iter().fold(0, |bits, sources| bits | differs(sources)) != 0
            || second.is_some()
            || !(first.is_some() && first.asks_rules())
        {
            self.list_each(count, unmirrored);
            return self.common();
        }
        self.len = count;
        for (place, frame) in self.frames[..count].iter_mut().enumerate() {
            *frame = place as u8;
        }
        Some(first)
    }

    fn list_each(&mut self, count: usize, unmirrored: &mut UnmirroredStats) {
        let mut len = 0;
        for (frame, &[one, other]) in self.of_frames[..count].iter().enumerate() {
            let is_nobodys = [one, other] == [Source::NONE; 2];
            unmirrored[Unmirrored::NoSource as usize] += u64::from(is_nobodys);
            for source in [one, other.unless_same_interface(one)] {
                // Written always, kept when it is somebody's: no branch to mispredict.
                self.frames[len % COPIES_MAX] = frame as u8;
                self.sources[len % COPIES_MAX] = source;
                len += usize::from(source.is_some());
            }
        }
        self.len = len;
    }

    fn common(&self) -> Option<Source> {
        let (first, others) = self.sources().split_first()?;
        let differs = others.iter().fold(0, |bits, other| bits | other.differs(*first));
        (differs == 0 && first.asks_rules()).then_some(*first)
    }

    /// The frames, by place in the burst.
    pub fn frames(&self) -> &[u8] {
        &self.frames[..self.len]
    }

    /// For whom.
    pub fn sources(&self) -> &[Source] {
        &self.sources[..self.len]
    }

    /// Whose copy is wanted. Meaningless until it is settled.
    pub fn wanted(&self) -> &[SessionIndex] {
        &self.wanted[..self.len]
    }

    /// Frames and sources, and whose copy is wanted, to be settled.
    pub fn settling(&mut self) -> (&[u8], &[Source], &mut [SessionIndex]) {
        let Self { frames, sources, wanted, len, .. } = self;
        (&frames[..*len], &sources[..*len], &mut wanted[..*len])
    }

    /// Leaves only those that want a copy.
    pub fn keep_wanted(&mut self) {
        let is_unwanted = |wanted: &SessionIndex| *wanted == SessionIndex::NONE;
        // Often all are wanted, which vectors find out.
        if self.wanted().iter().fold(false, |any, wanted| any | is_unwanted(wanted)) {
            let mut kept = 0;
            for place in 0..self.len {
                // Written always, kept when it is wanted: no branch to mispredict.
                let wanted = self.wanted[place % COPIES_MAX];
                self.frames[kept % COPIES_MAX] = self.frames[place % COPIES_MAX];
                self.wanted[kept % COPIES_MAX] = wanted;
                kept += usize::from(!is_unwanted(&wanted));
            }
            self.len = kept;
        }
    }
}
