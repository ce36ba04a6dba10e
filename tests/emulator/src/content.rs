//! The bytes of an object: embedded, or computed from its path and the offset, never stored.
//!
//! Computed bytes are 8-byte words of a mixing function of (seed, word number), so that any range can be made
//! without the bytes before it.

use bytes::Bytes;

/// The true bytes of one object in one version.
#[derive(Clone, Debug)]
pub struct Content {
    kind: Kind,
    len: u64,
    version: u64,
}

#[derive(Clone, Debug)]
enum Kind {
    Bytes(Bytes),
    Noise(u64),
    /// Pairs of little-endian floats between 256 and 320, which read as temperatures in kelvin.
    Kelvin(u64),
}

impl Content {
    /// These bytes.
    pub(crate) fn bytes(bytes: impl Into<Bytes>) -> Content {
        let bytes = bytes.into();
        let len = bytes.len() as u64;
        Content { kind: Kind::Bytes(bytes), len, version: 0 }
    }

    /// `len` bytes computed from `seed`.
    pub(crate) fn noise(seed: u64, len: u64) -> Content {
        Content { kind: Kind::Noise(seed), len, version: 0 }
    }

    /// `len` bytes of plausible temperatures computed from `seed`.
    pub(crate) fn kelvin(seed: u64, len: u64) -> Content {
        Content { kind: Kind::Kelvin(seed), len, version: 0 }
    }

    /// The same object after `version` changes: other bytes, and `longer` bytes more or fewer.
    pub(crate) fn changed(mut self, version: u64, longer: i64) -> Content {
        if version != 0 {
            self.version = version;
            let len = self.len.saturating_add_signed(longer);
            // Embedded bytes cannot be continued by computation, so a longer one is repeated.
            if let Kind::Bytes(bytes) = &self.kind
                && !bytes.is_empty()
                && len > self.len
            {
                let whole = bytes.iter().copied().cycle().take(len as usize).collect::<Vec<u8>>();
                self.kind = Kind::Bytes(whole.into());
            }
            self.len = len;
        }
        self
    }

    /// The length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the length is 0.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All bytes. For tests: large objects are gigabytes.
    pub fn to_vec(&self) -> Vec<u8> {
        self.read(0, self.len as usize).to_vec()
    }

    /// Up to `len` bytes from `offset`; fewer at the end.
    pub fn read(&self, offset: u64, len: usize) -> Bytes {
        let start = offset.min(self.len);
        let end = offset.saturating_add(len as u64).min(self.len);
        match &self.kind {
            Kind::Bytes(bytes) => {
                let part = bytes.slice(start as usize..end as usize);
                if self.version == 0 {
                    return part;
                }
                // 0x55 is never added twice to give 0: every version differs from the one before.
                let turn = 0x55u8.wrapping_mul(self.version as u8);
                part.iter().map(|byte| byte.wrapping_add(turn)).collect::<Vec<u8>>().into()
            }
            Kind::Noise(seed) => words(start, end, |word| mix(seed ^ self.version, word)),
            Kind::Kelvin(seed) => words(start, end, |word| {
                (mix(seed ^ self.version, word) & 0x001f_ffff_001f_ffff) | 0x4380_0000_4380_0000
            }),
        }
    }
}

/// Bytes `start..end` of the sequence of little-endian words.
fn words(start: u64, end: u64, word: impl Fn(u64) -> u64) -> Bytes {
    let (first, last) = (start / 8, end.div_ceil(8));
    let mut buffer = vec![0u8; (last - first) as usize * 8];
    for (slot, number) in buffer.as_chunks_mut::<8>().0.iter_mut().zip(first..) {
        *slot = word(number).to_le_bytes();
    }
    Bytes::from(buffer).slice((start - first * 8) as usize..(end - first * 8) as usize)
}

/// The `number`-th word of the `SplitMix64` sequence that starts at `seed`.
pub(crate) fn mix(seed: u64, number: u64) -> u64 {
    let mut word = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// A number that stands for a text (FNV-1a, then mixed), the same in every run.
pub(crate) fn hash(text: &str) -> u64 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    mix(hash, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_range_equals_the_slice_of_the_whole() {
        for content in
            [Content::noise(7, 1001), Content::kelvin(7, 1001), Content::noise(7, 1001).changed(3, 5)]
        {
            let whole = content.to_vec();
            assert_eq!(whole.len() as u64, content.len());
            for (offset, len) in [(0, 1), (7, 9), (8, 8), (993, 100), (1000, 1), (2000, 4)] {
                let end = (offset + len).min(whole.len());
                let start = offset.min(end);
                assert_eq!(content.read(offset as u64, len), whole[start..end]);
            }
        }
    }

    #[test]
    fn versions_differ_everywhere() {
        let first = Content::bytes(vec![1, 2, 3]);
        let second = first.clone().changed(1, 2);
        assert_eq!(second.len(), 5);
        assert!(first.to_vec().iter().zip(second.to_vec()).all(|(a, b)| *a != b));
    }
}
