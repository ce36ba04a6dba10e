//! One bit for each block, read and changed by many threads.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// As many bits as an object has blocks, all 0 at first.
pub(super) struct Bits(Box<[AtomicU64]>);

impl Bits {
    pub(super) fn new(count: u64) -> Self {
        let words = usize::try_from(count.div_ceil(64)).unwrap_or(0);
        Self((0..words).map(|_| AtomicU64::new(0)).collect())
    }

    fn word(&self, bit: u64) -> Option<(&AtomicU64, u64)> {
        Some((self.0.get(usize::try_from(bit / 64).ok()?)?, 1 << (bit % 64)))
    }

    pub(super) fn get(&self, bit: u64) -> bool {
        self.word(bit).is_some_and(|(word, mask)| word.load(Ordering::Acquire) & mask != 0)
    }

    /// Whether all of `bits` are 1.
    pub(super) fn all(&self, mut bits: Range<u64>) -> bool {
        bits.all(|bit| self.get(bit))
    }

    /// Makes it 1; whether it was 0.
    pub(super) fn set(&self, bit: u64) -> bool {
        self.word(bit).is_some_and(|(word, mask)| word.fetch_or(mask, Ordering::AcqRel) & mask == 0)
    }

    /// Makes it 0; whether it was 1.
    pub(super) fn clear(&self, bit: u64) -> bool {
        self.word(bit).is_some_and(|(word, mask)| word.fetch_and(!mask, Ordering::AcqRel) & mask != 0)
    }

    /// How many are 1.
    pub(super) fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.load(Ordering::Acquire).count_ones())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_set_once_and_counted() {
        let bits = Bits::new(130);
        assert!(bits.set(0) && bits.set(129) && !bits.set(129) && bits.set(64));
        assert_eq!((bits.count(), bits.get(129), bits.get(1), bits.get(1 << 40)), (3, true, false, false));
        assert!(bits.clear(64) && !bits.clear(64) && !bits.all(128..130));
        assert!(bits.set(128) && bits.all(128..130) && bits.all(5..5));
    }
}
