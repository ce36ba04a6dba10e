//! What is kept of an item in a listing: enough to name it, place it, filter it and answer `stat`.
//!
//! A day of Sentinel-2 has about 10,000 items of 80 KiB JSON each; a record is about 300 bytes with its id and outline.

use std::fmt;
use std::num::NonZeroI64;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::identifier::{Bucket, without_packing};
use super::super::mgrs::Bbox;
use super::outline::Outline;

/// A compact item. On disk its members have names of one letter, and those that are missing take no room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemRecord {
    /// The item's id as served.
    #[serde(rename = "i")]
    pub id: Box<str>,
    /// `datetime`: when it was observed, if one instant says so.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub datetime: Option<Moment>,
    /// Start of the observation: `start_datetime`, `timeCoverageStart`, or the identifier's.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Moment>,
    /// End of the observation.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Moment>,
    /// When the service published it.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Moment>,
    /// West, south, east, north, rounded outwards.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub bbox: Option<[f32; 4]>,
    /// The footprint, where it is a polygon.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub outline: Option<Outline>,
    /// Percent.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub cloud_cover: Option<f32>,
    /// The directories that it is filed in.
    #[serde(rename = "k")]
    pub bucket: Bucket,
    /// Whether it is shown as a folder or as one file.
    #[serde(rename = "f")]
    pub shape: Shape,
    /// The service has it no more; it is known from before.
    #[serde(rename = "g", default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}

impl ItemRecord {
    /// The instant that decides under which day the item is filed.
    pub fn instant(&self) -> Option<Timestamp> {
        self.datetime.or(self.start).or(self.end).map(Moment::timestamp)
    }

    /// When the observation began, as far as the item says so.
    pub fn sensed(&self) -> Option<Timestamp> {
        self.start.or(self.datetime).or(self.end).map(Moment::timestamp)
    }

    /// The name of the product's folder or file, as text that still has to become a file name.
    pub fn name(&self) -> String {
        match &self.shape {
            Shape::Folder(packing) if without_packing(&self.id) == &*self.id => {
                format!("{}{packing}", self.id)
            }
            Shape::Folder(_) => self.id.to_string(),
            Shape::File(file) => file.name.to_string(),
        }
    }

    /// What it takes in memory beside itself, about.
    pub fn bytes(&self) -> usize {
        let rings = self.outline.iter().flat_map(Outline::rings);
        self.id.len() + rings.map(|ring| size_of_val(&**ring) + 32).sum::<usize>()
    }

    /// The footprint's box.
    pub fn footprint(&self) -> Option<Bbox> {
        self.bbox.map(|bbox| bbox.map(f64::from))
    }

    /// Whether `name` means this product: its id with or without what says how it is packed.
    pub fn is_called(&self, name: &str) -> bool {
        *self.id == *name || without_packing(&self.id) == without_packing(name)
    }
}

/// How a product is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shape {
    /// A folder with this ending.
    Folder(Packing),
    /// A single file (Sentinel-5P, or a product that exists as an archive only).
    File(Box<SingleFile>),
}

/// A product that is one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SingleFile {
    /// Its name, as served.
    pub name: Box<str>,
    /// Bytes, where the item says so.
    pub size: Option<u64>,
}

/// The ending of a product's folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Packing {
    /// None.
    #[default]
    Bare,
    /// `.SAFE`
    Safe,
    /// `.SEN3`
    Sen3,
}

impl Packing {
    /// How a folder called `name` is packed.
    pub fn of(name: &str) -> Self {
        match name.rsplit_once('.') {
            Some((_, "SAFE")) => Self::Safe,
            Some((_, "SEN3")) => Self::Sen3,
            _ => Self::Bare,
        }
    }

    /// The ending itself.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Bare => "",
            Self::Safe => ".SAFE",
            Self::Sen3 => ".SEN3",
        }
    }
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.suffix())
    }
}

/// An instant in eight bytes, also as an option: whole microseconds, earlier fractions cut off.
///
/// **Invariant**: the number is `2 × microseconds since 1970 + 1`, so it is never zero; all of jiff's
/// range (±2.6 × 10^17 µs) fits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment(NonZeroI64);

impl Moment {
    /// The instant again.
    pub fn timestamp(self) -> Timestamp {
        let micros = (self.0.get() - 1) / 2;
        // jiff counts its last second's fractions out of range here.
        Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        })
    }
}

impl From<Timestamp> for Moment {
    fn from(instant: Timestamp) -> Self {
        let micros = i64::try_from(instant.as_nanosecond().div_euclid(1000)).unwrap_or_default();
        Self(NonZeroI64::new(micros * 2 + 1).unwrap_or(NonZeroI64::MIN))
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.timestamp().fmt(f)
    }
}

/// A box in half the bytes, grown to the next number on each side so that nothing falls out.
pub(super) fn compact([west, south, east, north]: Bbox) -> [f32; 4] {
    let down = |degrees: f64| {
        let near = degrees as f32;
        if f64::from(near) > degrees { near.next_down() } else { near }
    };
    [down(west), down(south), -down(-east), -down(-north)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small() {
        assert!(size_of::<ItemRecord>() <= 160, "{}", size_of::<ItemRecord>());
        assert_eq!(size_of::<Option<Moment>>(), 8);
    }

    #[test]
    fn moments() {
        for instant in [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH] {
            let back = Moment::from(instant).timestamp();
            assert!((instant.as_nanosecond() - back.as_nanosecond()).abs() < 1000, "{instant} {back}");
        }
    }

    #[test]
    fn records_return_from_disk_and_take_little_there() {
        let item = r#"{"id":"S2A_MSIL2A_20240924T101031_N0511_R026_T32TQM_20240924T161048.SAFE","bbox":[11.4,44.1,13.1,45.2],
            "geometry":{"type":"Polygon","coordinates":[[[11.43071,42.426912],[12.763136,42.390881],[12.705562,41.404035],[11.393461,41.438846],[11.43071,42.426912]]]},
            "properties":{"datetime":"2024-09-24T10:10:31.024Z","eo:cloud_cover":12.3,"publicationDate":"2024-09-24T19:10:31Z"},
            "assets":{"a":{"href":"https://c.example/d?filename=x/S2A_MSIL2A_20240924T101031_N0511_R026_T32TQM_20240924T161048.SAFE/b.jp2"}}}"#;
        let mut record = super::super::Item::parse(&bytes::Bytes::from(item), None).unwrap().record;
        let text = serde_json::to_string(&record).unwrap();
        assert!(text.len() < 500, "{}: {text}", text.len());
        assert_eq!(serde_json::from_str::<ItemRecord>(&text).unwrap(), record);
        let buckets = [
            Bucket::RelativeOrbit(7),
            Bucket::TypeAndTrack("x".into(), None),
            Bucket::TypeAndArea("x".into(), "y".into()),
            Bucket::TypeAndOrbit("x".into(), Some(5)),
            Bucket::Grid("g".into()),
            Bucket::PathRow(1, 2),
            Bucket::Cell(-10, 20),
            Bucket::Unplaced,
        ];
        for bucket in buckets {
            record = ItemRecord { bucket, outline: None, shape: Shape::Folder(Packing::Sen3), ..record };
            let text = serde_json::to_string(&record).unwrap();
            assert_eq!(serde_json::from_str::<ItemRecord>(&text).unwrap(), record);
        }
    }

    proptest! {
        #[test]
        fn moments_return(micros in -10_000_000_000_000_000i64..10_000_000_000_000_000) {
            let instant = Timestamp::from_microsecond(micros).unwrap();
            prop_assert_eq!(Moment::from(instant).timestamp(), instant);
        }

        #[test]
        fn compact_boxes_hold_the_exact_ones(w in -180.0f64..180.0, s in -90.0f64..90.0, e in -180.0f64..180.0, n in -90.0f64..90.0) {
            let [cw, cs, ce, cn] = compact([w, s, e, n]).map(f64::from);
            prop_assert!(cw <= w && cs <= s && ce >= e && cn >= n);
            prop_assert!(w - cw < 1e-4 && ce - e < 1e-4 && s - cs < 1e-4 && cn - n < 1e-4);
        }
    }
}
