//! A field whose rules accept ranges of values.

use std::ops::RangeInclusive;

use super::field::{FieldBuilder, Rules};
use crate::simd::{Field, Value};

/// Where the ranges of a field's values begin, which number of the field each has, and the field.
#[derive(Debug)]
pub(super) struct Ranges<V> {
    pub(super) starts: Vec<V>,
    pub(super) numbers: Vec<u32>,
    pub(super) field: Field,
}

impl<V: Value> Ranges<V> {
    /// Of each chunk, what each rule accepts.
    pub(super) fn new(chunks: &[Vec<RangeInclusive<V>>]) -> Self {
        // Where a rule begins to accept values, or ends to.
        let mut changes = Vec::new();
        for (chunk, ranges) in chunks.iter().enumerate() {
            for (rule, range) in ranges.iter().enumerate() {
                let place = (chunk as u32, rule as u32);
                changes.push((*range.start(), place));
                changes.extend(range.end().next().map(|after| (after, place)));
            }
        }
        changes.sort_unstable();
        let mut current = vec![Rules::default(); chunks.len()];
        let mut builder = FieldBuilder::new(chunks.len());
        let mut starts = Vec::new();
        if changes.first().is_none_or(|first| first.0 > V::MIN) {
            starts.push(V::MIN);
            builder.push();
        }
        for same in changes.chunk_by(|one, other| one.0 == other.0) {
            for of_chunk in same.chunk_by(|one, other| one.1.0 == other.1.0) {
                let chunk = of_chunk[0].1.0 as usize;
                for &(_, (_, rule)) in of_chunk {
                    current[chunk].flip(rule as usize);
                }
                builder.set(chunk, current[chunk]);
            }
            starts.push(same[0].0);
            builder.push();
        }
        let (field, numbers) = builder.finish();
        Self { starts, numbers, field }
    }
}
