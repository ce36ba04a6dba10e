//! The names of an array's chunks, by arithmetic: nothing grows with their number.
//!
//! Chunks are counted in C order (the last dimension fastest). Keys are relative to the array:
//! `1.2.3` (v2), `1/2/3` (v2 with `/`), `c/1/2/3` or `c.1.2.3` (v3 `default`); a scalar array has the one
//! chunk `0` (v2) or `c` (v3). Source: Zarr v2 "Chunks", Zarr v3 core "Chunk key encoding".
//!
//! With `/` the chunks lie in nested directories: a [`Level`] is one of them.

use std::ops::Range;

use super::super::limits::ZARR_DIMENSIONS;
use crate::error::{ErrorKind, Result, fail};

/// What stands between the numbers of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Separator {
    /// `.`
    Dot,
    /// `/`
    Slash,
}

impl Separator {
    /// The character.
    pub fn as_char(self) -> char {
        match self {
            Self::Dot => '.',
            Self::Slash => '/',
        }
    }
}

/// How a chunk's coordinates become its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyEncoding {
    /// Numbers only; all of Zarr v2, and `v2` in Zarr v3.
    V2 {
        /// Between the numbers.
        separator: Separator,
    },
    /// A leading `c`; the default of Zarr v3.
    Default {
        /// Behind the `c` and between the numbers.
        separator: Separator,
    },
}

impl KeyEncoding {
    /// What stands between the parts of a key.
    pub fn separator(self) -> Separator {
        match self {
            Self::V2 { separator } | Self::Default { separator } => separator,
        }
    }
}

/// The grid of an array's chunks (of its shards, if it is sharded).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkGrid {
    /// Chunks along each dimension.
    counts: Vec<u64>,
    /// All chunks. **Invariant**: the product of `counts`, so no arithmetic on valid coordinates overflows.
    total: u64,
    encoding: KeyEncoding,
}

/// A directory of chunks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Level {
    /// The coordinates that are fixed by the way down here.
    prefix: Vec<u64>,
    /// Whether the directory `c` has been passed, where there is one.
    opened: bool,
}

impl Level {
    /// The coordinates that all chunks below have in common.
    pub fn prefix(&self) -> &[u64] {
        &self.prefix
    }
}

/// What a name in an array's directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The chunk with this number.
    Chunk(u64),
    /// A directory.
    Level(Level),
}

impl ChunkGrid {
    /// A grid with `counts` chunks along each dimension; none at all if one of them is zero.
    ///
    /// [`ErrorKind::Protocol`] if there are more dimensions than a document may have, or more chunks than
    /// 64 bits count.
    pub fn new(counts: Vec<u64>, encoding: KeyEncoding) -> Result<Self> {
        if counts.len() > ZARR_DIMENSIONS {
            return fail(ErrorKind::Protocol, format!("array has more than {ZARR_DIMENSIONS} dimensions"));
        }
        let total = if counts.contains(&0) {
            Some(0)
        } else {
            counts.iter().try_fold(1u64, |n, c| n.checked_mul(*c))
        };
        match total {
            Some(total) => Ok(Self { counts, total, encoding }),
            None => fail(ErrorKind::Protocol, "array has more chunks than can be counted"),
        }
    }

    /// Number of chunks.
    pub fn len(&self) -> u64 {
        self.total
    }

    /// Whether a dimension is empty, so that there are no chunks.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Chunks along each dimension.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// How keys are made.
    pub fn encoding(&self) -> KeyEncoding {
        self.encoding
    }

    /// Whether chunks lie in directories below the array's own.
    pub fn is_nested(&self) -> bool {
        self.encoding.separator() == Separator::Slash && !self.counts.is_empty()
    }

    /// The coordinates of chunk `index`.
    pub fn coordinates(&self, index: u64) -> Option<Vec<u64>> {
        if index >= self.total {
            return None;
        }
        let mut rest = index;
        let mut coordinates = vec![0; self.counts.len()];
        for (coordinate, count) in coordinates.iter_mut().zip(&self.counts).rev() {
            *coordinate = rest % count;
            rest /= count;
        }
        Some(coordinates)
    }

    /// The number of the chunk at `coordinates`, if it is in the grid.
    pub fn linear(&self, coordinates: &[u64]) -> Option<u64> {
        if coordinates.len() != self.counts.len() || self.total == 0 {
            return None;
        }
        coordinates.iter().zip(&self.counts).try_fold(0u64, |index, (coordinate, count)| {
            // Below the total at every step, by the invariant.
            (coordinate < count).then(|| index * count + coordinate)
        })
    }

    /// The key of chunk `index`, relative to the array.
    pub fn key(&self, index: u64) -> Option<String> {
        let numbers: Vec<_> = self.coordinates(index)?.iter().map(u64::to_string).collect();
        let separator = self.encoding.separator().as_char().to_string();
        Some(match self.encoding {
            KeyEncoding::V2 { .. } if numbers.is_empty() => "0".to_owned(),
            KeyEncoding::V2 { .. } => numbers.join(&separator),
            KeyEncoding::Default { .. } => std::iter::once("c")
                .chain(numbers.iter().map(String::as_str))
                .collect::<Vec<_>>()
                .join(&separator),
        })
    }

    /// The number of the chunk called `key`: the exact inverse of [`ChunkGrid::key`].
    pub fn index(&self, key: &str) -> Option<u64> {
        let parts = key.split(self.encoding.separator().as_char());
        let mut parts = parts.take(ZARR_DIMENSIONS + 2);
        match self.encoding {
            KeyEncoding::V2 { .. } if self.counts.is_empty() => return (key == "0").then_some(0),
            KeyEncoding::V2 { .. } => {}
            KeyEncoding::Default { .. } => {
                parts.next().filter(|part| *part == "c")?;
            }
        }
        let coordinates: Vec<u64> = parts.map(number).collect::<Option<_>>()?;
        self.linear(&coordinates)
    }

    /// The array's own directory.
    pub fn top(&self) -> Level {
        Level { prefix: Vec::new(), opened: matches!(self.encoding, KeyEncoding::V2 { .. }) }
    }

    /// Whether there is such a directory.
    pub fn has(&self, level: &Level) -> bool {
        let is_within = level.prefix.iter().zip(&self.counts).all(|(coordinate, count)| coordinate < count);
        let top = self.top();
        is_within
            && (level.prefix.is_empty() || (self.is_nested() && level.prefix.len() < self.counts.len()))
            && (*level == top || self.is_nested())
    }

    /// Number of names in a directory.
    pub fn names(&self, level: &Level) -> u64 {
        if self.total == 0 {
            0
        } else if !self.is_nested() {
            self.total
        } else if !level.opened {
            1
        } else {
            self.counts.get(level.prefix.len()).copied().unwrap_or(0)
        }
    }

    /// The `n`-th name of a directory, in the order of the chunks, and what it is.
    pub fn entry(&self, level: &Level, n: u64) -> Option<(String, Place)> {
        if n >= self.names(level) {
            return None;
        }
        if !self.is_nested() {
            return Some((self.key(n)?, Place::Chunk(n)));
        }
        if !level.opened {
            return Some(("c".to_owned(), Place::Level(Level { prefix: Vec::new(), opened: true })));
        }
        let mut prefix = level.prefix.clone();
        prefix.push(n);
        let place = match self.linear(&prefix) {
            Some(chunk) => Place::Chunk(chunk),
            None => Place::Level(Level { prefix, opened: true }),
        };
        Some((n.to_string(), place))
    }

    /// What `name` is in a directory; `None` for names outside the grid.
    pub fn find(&self, level: &Level, name: &str) -> Option<Place> {
        if !self.is_nested() {
            return self.index(name).map(Place::Chunk);
        }
        let n = if level.opened { number(name)? } else { (name == "c").then_some(0)? };
        self.entry(level, n).map(|(_, place)| place)
    }

    /// The numbers of the chunks below a directory: without gaps, because its coordinates come first.
    pub fn span(&self, level: &Level) -> Range<u64> {
        let mut first = level.prefix.clone();
        first.resize(self.counts.len(), 0);
        let Some(start) = self.linear(&first) else { return 0..0 };
        let below: u64 = self.counts.iter().skip(level.prefix.len()).product();
        start..start + below
    }
}

/// A coordinate: digits without leading zeros.
fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const V2: KeyEncoding = KeyEncoding::V2 { separator: Separator::Dot };
    const V2_NESTED: KeyEncoding = KeyEncoding::V2 { separator: Separator::Slash };
    const V3: KeyEncoding = KeyEncoding::Default { separator: Separator::Slash };
    const V3_FLAT: KeyEncoding = KeyEncoding::Default { separator: Separator::Dot };

    fn grid(counts: &[u64], encoding: KeyEncoding) -> ChunkGrid {
        ChunkGrid::new(counts.to_vec(), encoding).unwrap()
    }

    #[test]
    fn keys() {
        // The IFS-NEMO high sfc grid of protocol.md 4.4.
        let high = grid(&[3653, 8, 17], V2);
        assert_eq!(high.len(), 496_808);
        assert_eq!(high.key(0).as_deref(), Some("0.0.0"));
        assert_eq!(high.key(17).as_deref(), Some("0.1.0"));
        assert_eq!(high.key(496_807).as_deref(), Some("3652.7.16"));
        assert_eq!(high.key(496_808), None);
        assert_eq!(grid(&[3653, 8, 17], V2_NESTED).key(17).as_deref(), Some("0/1/0"));
        assert_eq!(grid(&[3653, 8, 17], V3).key(17).as_deref(), Some("c/0/1/0"));
        assert_eq!(grid(&[3653, 8, 17], V3_FLAT).key(17).as_deref(), Some("c.0.1.0"));
        for key in [
            "",
            "0",
            "0.0",
            "0.0.0.0",
            "00.0.0",
            "0.0.17",
            "3653.0.0",
            "0.0.0 ",
            "+0.0.0",
            "-0.0.0",
            "0/0/0",
            "c.0.0.0",
            "0.0.18446744073709551616",
            ".0.0",
            "0..0",
            "٠.0.0",
        ] {
            assert_eq!(high.index(key), None, "{key}");
        }
        for key in [
            "",
            "c",
            "c/0/0",
            "c/0/0/0/0",
            "0/0/0",
            "c/00/0/0",
            "c.0.0.0",
            "C/0/0/0",
            "c/0/0/17",
            "/c/0/0/0",
            "c//0/0",
        ] {
            assert_eq!(grid(&[3653, 8, 17], V3).index(key), None, "{key}");
        }
    }

    #[test]
    fn scalars() {
        for (encoding, key) in [(V2, "0"), (V2_NESTED, "0"), (V3, "c"), (V3_FLAT, "c")] {
            let scalar = grid(&[], encoding);
            assert_eq!((scalar.len(), scalar.key(0).as_deref(), scalar.index(key)), (1, Some(key), Some(0)));
            assert_eq!(scalar.entry(&scalar.top(), 0), Some((key.to_owned(), Place::Chunk(0))));
            assert_eq!(scalar.find(&scalar.top(), key), Some(Place::Chunk(0)));
            assert_eq!(
                (scalar.names(&scalar.top()), scalar.index("1"), scalar.index("c.0")),
                (1, None, None)
            );
        }
    }

    #[test]
    fn empty_arrays() {
        for encoding in [V2, V2_NESTED, V3, V3_FLAT] {
            let empty = grid(&[5, 0, u64::MAX, u64::MAX], encoding);
            assert!(empty.is_empty());
            assert_eq!((empty.key(0), empty.index("0.0.0.0"), empty.names(&empty.top())), (None, None, 0));
            assert_eq!(
                (empty.entry(&empty.top(), 0), empty.find(&empty.top(), "c"), empty.span(&empty.top())),
                (None, None, 0..0)
            );
        }
    }

    #[test]
    fn too_many() {
        assert_eq!(ChunkGrid::new(vec![1 << 32, 1 << 32], V2).unwrap_err().kind(), ErrorKind::Protocol);
        assert_eq!(ChunkGrid::new(vec![1; 65], V2).unwrap_err().kind(), ErrorKind::Protocol);
        assert_eq!(grid(&[u64::MAX], V2).key(u64::MAX - 1), Some((u64::MAX - 1).to_string()));
        assert_eq!(grid(&[1; 64], V2).len(), 1);
    }

    #[test]
    fn nested_directories() {
        let v3 = grid(&[3, 2], V3);
        let top = v3.top();
        let Some((name, Place::Level(c))) = v3.entry(&top, 0) else { panic!("no directory") };
        assert_eq!((name.as_str(), v3.names(&top), v3.names(&c)), ("c", 1, 3));
        let Some(Place::Level(second)) = v3.find(&c, "1") else { panic!("no directory") };
        assert_eq!((v3.names(&second), v3.span(&second), second.prefix()), (2, 2..4, &[1][..]));
        assert_eq!(v3.find(&second, "1"), Some(Place::Chunk(3)));
        assert_eq!((v3.find(&second, "2"), v3.find(&c, "01"), v3.find(&top, "0")), (None, None, None));
        assert_eq!(v3.span(&top), 0..6);
        let v2 = grid(&[3], V2_NESTED);
        assert_eq!(v2.entry(&v2.top(), 2), Some(("2".into(), Place::Chunk(2))));
    }

    fn grids() -> impl Strategy<Value = ChunkGrid> {
        let encoding = prop::sample::select(vec![V2, V2_NESTED, V3, V3_FLAT]);
        let counts = prop_oneof![
            4 => prop::collection::vec(1u64..6, 0..5),
            1 => prop::collection::vec(1u64..2_000_000, 0..4),
            1 => prop::collection::vec(0u64..2, 0..64),
        ];
        (counts, encoding)
            .prop_filter_map("too many chunks", |(counts, encoding)| ChunkGrid::new(counts, encoding).ok())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn index_is_the_inverse_of_key(grid in grids(), at in any::<prop::sample::Index>()) {
            if !grid.is_empty() {
                let index = at.index(usize::try_from(grid.len()).unwrap()) as u64;
                let key = grid.key(index).unwrap();
                prop_assert_eq!(grid.index(&key), Some(index));
                // The way through the directories ends at the same chunk.
                let mut level = grid.top();
                let mut parts = key.split('/').peekable();
                while let Some(part) = parts.next() {
                    match grid.find(&level, part) {
                        Some(Place::Chunk(found)) => prop_assert!(found == index && parts.peek().is_none()),
                        Some(Place::Level(below)) => {
                            prop_assert!(grid.span(&below).contains(&index));
                            level = below;
                        }
                        None => prop_assert!(false, "{} not found", part),
                    }
                }
            }
        }

        #[test]
        fn only_keys_are_found(grid in grids(), key in "c?[./]?[0-9]{0,2}([./][0-9]{1,2}){0,4}") {
            if let Some(index) = grid.index(&key) {
                prop_assert_eq!(grid.key(index), Some(key));
            }
        }

        #[test]
        fn listings_agree_with_lookups(grid in grids()) {
            let mut levels = vec![grid.top()];
            let mut chunks = 0;
            while let Some(level) = levels.pop() {
                prop_assert_eq!(grid.entry(&level, grid.names(&level)), None);
                for n in 0..grid.names(&level).min(6) {
                    let (name, place) = grid.entry(&level, n).unwrap();
                    prop_assert_eq!(grid.find(&level, &name), Some(place.clone()));
                    match place {
                        Place::Level(below) => levels.push(below),
                        Place::Chunk(_) => chunks += 1,
                    }
                }
                if chunks > 200 {
                    break;
                }
            }
        }
    }
}
