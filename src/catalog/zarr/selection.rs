//! A part of an array by index ranges, as NumPy writes them, and the chunks that hold it.
//!
//! ```text
//! part  = range { "," range }         of one dimension each, outer first; those that are left out are whole
//! range = [ first ] ":" [ end ]       the end is not in it; negative numbers count from the end
//!       | number                      one index
//!       | "..."                       as many whole dimensions as are missing, once
//! ```

use std::ops::Range;

use super::array::Array;
use crate::error::{ErrorKind, Result, fail};

/// A part of an array; the default is all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection(Vec<Pick>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pick {
    /// First index, and the one behind the last.
    Range(Option<i64>, Option<i64>),
    One(i64),
    Rest,
}

/// Chunks of an array: a box in its grid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picked {
    ranges: Vec<Range<u64>>,
    count: u64,
}

impl Selection {
    /// Reads what stands between brackets.
    ///
    /// # Errors
    /// `InvalidInput`, saying what would be right.
    pub fn parse(text: &str) -> Result<Self> {
        let picks: Option<Vec<Pick>> = text.split(',').map(|part| pick(part.trim())).collect();
        let several = |picks: &Vec<Pick>| picks.iter().filter(|pick| **pick == Pick::Rest).count() > 1;
        match picks.filter(|picks| !several(picks)) {
            Some(picks) => Ok(Self(picks)),
            None => fail(
                ErrorKind::InvalidInput,
                format!(
                    "[{text}] is no index range: write one for each dimension, such as [0:48,:,:], without steps"
                ),
            ),
        }
    }

    /// The chunks that hold it.
    ///
    /// # Errors
    /// `InvalidInput` when the array has fewer dimensions, an index lies outside it, or its chunks have different
    /// lengths, which index ranges cannot be turned into chunks of here.
    pub fn chunks(&self, array: &Array) -> Result<Picked> {
        let dimensions = array.shape.len();
        let given = self.0.iter().filter(|pick| **pick != Pick::Rest).count();
        if given > dimensions {
            let shape = &array.shape;
            return fail(
                ErrorKind::InvalidInput,
                format!("{given} index ranges for an array of {dimensions} dimensions, {shape:?}"),
            );
        }
        let whole = Pick::Range(None, None);
        let rest = self.0.iter().position(|pick| *pick == Pick::Rest).unwrap_or(self.0.len());
        let before = self.0[..rest].iter();
        let behind = self.0.get(rest + 1..).unwrap_or_default().iter();
        let missing = std::iter::repeat_n(&whole, dimensions - given);
        let picks = before.chain(missing).chain(behind);
        let counts = array.grid.counts().iter();
        let mut ranges = Vec::with_capacity(dimensions);
        for (((pick, length), chunk), count) in picks.zip(&array.shape).zip(&array.chunk_shape).zip(counts) {
            if *pick == whole {
                ranges.push(0..*count);
                continue;
            }
            if *chunk == 0 || length.div_ceil(*chunk) != *count {
                return fail(
                    ErrorKind::InvalidInput,
                    "the chunks of this array have different lengths: index ranges are not possible",
                );
            }
            let indices = pick.within(*length)?;
            ranges.push(match indices.is_empty() {
                true => 0..0,
                false => indices.start / chunk..indices.end.div_ceil(*chunk),
            });
        }
        // No more than all chunks, which can be counted.
        let count = ranges.iter().map(|range| range.end - range.start).product();
        Ok(Picked { ranges, count: if array.grid.is_empty() { 0 } else { count } })
    }
}

impl Pick {
    /// The indices in a dimension of this length; a range is cut to it, as NumPy does.
    fn within(self, length: u64) -> Result<Range<u64>> {
        let place = |index: i64| match index {
            ..0 => length.saturating_sub(index.unsigned_abs()),
            _ => index.unsigned_abs().min(length),
        };
        match self {
            Self::One(index) => {
                let inside = match index {
                    ..0 => index.unsigned_abs() <= length,
                    _ => index.unsigned_abs() < length,
                };
                if !inside {
                    return fail(ErrorKind::InvalidInput, format!("there is no index {index} in {length}"));
                }
                Ok(place(index)..place(index) + 1)
            }
            Self::Range(first, end) => Ok(first.map_or(0, place)..end.map_or(length, place)),
            Self::Rest => Ok(0..length),
        }
    }
}

impl Picked {
    /// Number of chunks.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The number in the grid of the `n`-th of them, in C order.
    pub fn number(&self, n: u64, array: &Array) -> Option<u64> {
        if n >= self.count {
            return None;
        }
        let mut rest = n;
        let mut coordinates = vec![0; self.ranges.len()];
        for (coordinate, range) in coordinates.iter_mut().zip(&self.ranges).rev() {
            let count = range.end - range.start;
            *coordinate = range.start + rest % count;
            rest /= count;
        }
        array.grid.linear(&coordinates)
    }
}

fn pick(text: &str) -> Option<Pick> {
    if text == "..." {
        return Some(Pick::Rest);
    }
    let number = |text: &str| -> Option<i64> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse().ok()).flatten()
    };
    match text.split_once(':') {
        None => number(text).map(Pick::One),
        Some((first, end)) => {
            let side = |text: &str| match text.trim() {
                "" => Some(None),
                text => number(text).map(Some),
            };
            Some(Pick::Range(side(first)?, side(end)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn array(shape: &[u64], chunks: &[u64]) -> Array {
        let document = format!(
            r#"{{"zarr_format":2,"shape":{shape:?},"chunks":{chunks:?},"dtype":"<f4","compressor":null}}"#
        );
        Array::parse_v2(&Bytes::from(document), None).unwrap()
    }

    fn keys(part: &str, array: &Array) -> Vec<String> {
        let picked = Selection::parse(part).unwrap().chunks(array).unwrap();
        (0..picked.len()).map(|n| array.grid.key(picked.number(n, array).unwrap()).unwrap()).collect()
    }

    #[test]
    fn chunks_of_a_part() {
        let cube = array(&[100, 10, 10], &[24, 5, 10]);
        assert_eq!(keys("0:48,:,:", &cube), ["0.0.0", "0.1.0", "1.0.0", "1.1.0"]);
        assert_eq!(keys("0:48", &cube), keys("0:48,...", &cube));
        assert_eq!(keys("0:48,...,3", &cube), ["0.0.0", "0.1.0", "1.0.0", "1.1.0"]);
        assert_eq!(keys("-1:, 7 ,0:1", &cube), ["4.1.0"]);
        assert_eq!(keys("95:1000,0:5,:", &cube), ["3.0.0", "4.0.0"]);
        assert_eq!(keys("23:25,0,0", &cube), ["0.0.0", "1.0.0"]);
        assert!(keys("48:48,:,:", &cube).is_empty() && keys("50:10,:,:", &cube).is_empty());
        assert_eq!(keys("...", &cube).len(), 10);
        assert_eq!(keys("...", &array(&[], &[])), ["0"]);
        assert!(keys(":", &array(&[0], &[5])).is_empty());
    }

    #[test]
    fn what_is_no_part() {
        for text in ["", "a", "0:1:2", "::2", "1.5", "0;1", "...,...", "+1", "0:1,", "--1", "1e3", "٣"] {
            let error = Selection::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
        }
        let line = array(&[10], &[5]);
        for text in ["0:1,0:1", "10", "-11", "99999999999999999"] {
            assert!(Selection::parse(text).unwrap().chunks(&line).is_err(), "{text}");
        }
        assert!(Selection::parse("99999999999999999999").is_err());
    }

    proptest! {
        /// As by looking at each index.
        #[test]
        fn as_one_by_one(length in 0u64..40, chunk in 1u64..9, first in -50i64..50, end in -50i64..50) {
            let array = array(&[length], &[chunk]);
            let clip = |index: i64| (if index < 0 { index + length as i64 } else { index }).clamp(0, length as i64);
            let mut expected: Vec<u64> = (clip(first)..clip(end)).map(|index| index as u64 / chunk).collect();
            expected.dedup();
            let picked = Selection::parse(&format!("{first}:{end}")).unwrap().chunks(&array).unwrap();
            let found: Vec<u64> = (0..picked.len()).filter_map(|n| picked.number(n, &array)).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn any_text_is_safe(text in "[-0-9:,. ]{0,12}|\\PC{0,8}") {
            if let Ok(part) = Selection::parse(&text) {
                let cube = array(&[100, 10, 10], &[24, 5, 10]);
                if let Ok(picked) = part.chunks(&cube) {
                    prop_assert!(picked.len() <= cube.grid.len());
                    prop_assert!(picked.is_empty() || picked.number(picked.len() - 1, &cube).is_some());
                }
            }
        }
    }
}
