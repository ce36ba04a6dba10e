//! Where an item lies: its box, from `bbox` or from the geometry, and whether two boxes meet.
//!
//! Boxes are STAC's: west, south, east, north in degrees; `west > east` crosses the antimeridian.

use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::super::lenient::Members;
use super::super::mgrs::Bbox;

/// Nesting of coordinates: a multi-polygon has 4 levels, a collection of them is read shape by shape.
const DEPTH: u8 = 6;

/// A box from a `bbox` member of 4 or 6 numbers (STAC 1.0.0 item: height limits are the third of each).
pub(super) fn of_bbox(raw: &RawValue) -> Option<Bbox> {
    let flat = || serde_json::from_str::<[f64; 4]>(raw.get()).ok();
    let high = || serde_json::from_str::<[f64; 6]>(raw.get()).ok().map(|[w, s, _, e, n, _]| [w, s, e, n]);
    flat().or_else(high).and_then(normal)
}

/// The box around a GeoJSON geometry; the narrower way around the earth if it touches the antimeridian.
pub(super) fn of_geometry(raw: &RawValue) -> Option<Bbox> {
    let members = Members::of(raw);
    let extent: Extent = serde_json::from_str(members.get("coordinates")?.get()).ok()?;
    extent.bbox()
}

/// A box in good order: finite, latitudes within the earth, longitudes within ±180.
pub fn normal([west, south, east, north]: Bbox) -> Option<Bbox> {
    let finite = [west, south, east, north].iter().all(|number| number.is_finite() && number.abs() <= 720.0);
    if !finite || south > north {
        return None;
    }
    let (south, north) = (south.clamp(-90.0, 90.0), north.clamp(-90.0, 90.0));
    if east - west >= 360.0 {
        return Some([-180.0, south, 180.0, north]);
    }
    let wrap = |degrees: f64| {
        if (-180.0..=180.0).contains(&degrees) {
            degrees
        } else {
            (degrees + 180.0).rem_euclid(360.0) - 180.0
        }
    };
    Some([wrap(west), south, wrap(east), north])
}

/// Whether two boxes have a point in common, edges included.
pub fn intersects(a: Bbox, b: Bbox) -> bool {
    let spans = |[west, _, east, _]: Bbox| {
        if west <= east { [(west, east), (west, east)] } else { [(west, 180.0), (-180.0, east)] }
    };
    let meet = spans(a).iter().any(|one| spans(b).iter().any(|two| one.0 <= two.1 && two.0 <= one.1));
    meet && a[1] <= b[3] && b[1] <= a[3]
}

/// Least and greatest coordinates, longitudes counted both from −180 and from 0.
struct Extent {
    west: [f64; 2],
    east: [f64; 2],
    south: f64,
    north: f64,
}

impl Extent {
    const NOTHING: Self = Self { west: [f64::MAX; 2], east: [f64::MIN; 2], south: f64::MAX, north: f64::MIN };

    fn add(&mut self, longitude: f64, latitude: f64) {
        for (counting, longitude) in [longitude, longitude.rem_euclid(360.0)].into_iter().enumerate() {
            self.west[counting] = self.west[counting].min(longitude);
            self.east[counting] = self.east[counting].max(longitude);
        }
        self.south = self.south.min(latitude);
        self.north = self.north.max(latitude);
    }

    fn join(&mut self, other: &Self) {
        for counting in 0..2 {
            self.west[counting] = self.west[counting].min(other.west[counting]);
            self.east[counting] = self.east[counting].max(other.east[counting]);
        }
        self.south = self.south.min(other.south);
        self.north = self.north.max(other.north);
    }

    fn bbox(&self) -> Option<Bbox> {
        let [plain, shifted] = [0, 1].map(|counting| self.east[counting] - self.west[counting]);
        let counting = usize::from(plain > 180.0 && shifted < 180.0);
        normal([self.west[counting], self.south, self.east[counting], self.north])
    }
}

impl<'de> Deserialize<'de> for Extent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(Coordinates(DEPTH))? {
            Part::Shape(extent) => Ok(extent),
            Part::Number(_) => Err(de::Error::custom("coordinates are not a list")),
        }
    }
}

enum Part {
    Number(f64),
    Shape(Extent),
}

/// Reads a position or a list of such, `.0` levels deep at most.
struct Coordinates(u8);

impl<'de> de::DeserializeSeed<'de> for Coordinates {
    type Value = Part;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Part, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Coordinates {
    type Value = Part;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("coordinates")
    }

    fn visit_f64<E>(self, number: f64) -> Result<Part, E> {
        Ok(Part::Number(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Part, E> {
        Ok(Part::Number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Part, E> {
        Ok(Part::Number(number as f64))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Part, A::Error> {
        let Some(below) = self.0.checked_sub(1) else {
            return Err(de::Error::custom("coordinates are nested too deep"));
        };
        let mut extent = Extent::NOTHING;
        let mut position = [None; 2];
        let mut place = 0usize;
        while let Some(part) = seq.next_element_seed(Coordinates(below))? {
            match part {
                Part::Shape(inner) => extent.join(&inner),
                Part::Number(number) => {
                    if let Some(slot) = position.get_mut(place) {
                        *slot = Some(number);
                    }
                }
            }
            place = place.saturating_add(1);
        }
        if let [Some(longitude), Some(latitude)] = position {
            extent.add(longitude, latitude);
        }
        Ok(Part::Shape(extent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn boxes() {
        assert_eq!(of_bbox(&raw("[1,2,3,4]")), Some([1.0, 2.0, 3.0, 4.0]));
        assert_eq!(of_bbox(&raw("[1,2,0,3,4,100]")), Some([1.0, 2.0, 3.0, 4.0]));
        assert_eq!(of_bbox(&raw("[179.2,-17.2,-179.7,-16.2]")), Some([179.2, -17.2, -179.7, -16.2]));
        assert_eq!(of_bbox(&raw("[350,-1,370,1]")), Some([-10.0, -1.0, 10.0, 1.0]));
        for text in ["[]", "[1,2,3]", "[1,5,3,4]", "[1,2,null,4]", "null", "[1e300,0,0,0]", "\"1,2,3,4\""] {
            assert_eq!(of_bbox(&raw(text)), None, "{text}");
        }
    }

    #[test]
    fn geometries() {
        let polygon = r#"{"type":"Polygon","coordinates":[[[11,44],[13,44,5],[13,45],[11,45],[11,44]]]}"#;
        assert_eq!(of_geometry(&raw(polygon)), Some([11.0, 44.0, 13.0, 45.0]));
        assert_eq!(of_geometry(&raw(r#"{"coordinates":[7,8]}"#)), Some([7.0, 8.0, 7.0, 8.0]));
        // Cut at the antimeridian (RFC 7946 3.1.9): the narrow box, not the whole earth.
        let cut = r#"{"coordinates":[[[[179,-17],[180,-17],[180,-16],[179,-17]]],[[[-180,-17],[-179.5,-17],[-180,-16],[-180,-17]]]]}"#;
        assert_eq!(of_geometry(&raw(cut)), Some([179.0, -17.0, -179.5, -16.0]));
        for text in [
            "null",
            "{}",
            r#"{"coordinates":[]}"#,
            r#"{"coordinates":5}"#,
            r#"{"coordinates":[[[[[[[[1,2]]]]]]]]}"#,
        ] {
            assert_eq!(of_geometry(&raw(text)), None, "{text}");
        }
    }

    #[test]
    fn meeting() {
        let fiji = [179.0, -17.0, -179.0, -16.0];
        assert!(intersects(fiji, [-180.0, -20.0, -179.5, -10.0]));
        assert!(intersects(fiji, [179.5, -20.0, 179.6, -10.0]));
        assert!(intersects(fiji, [170.0, -20.0, -170.0, -10.0]));
        assert!(!intersects(fiji, [-10.0, -20.0, 10.0, -10.0]));
        assert!(!intersects(fiji, [179.0, 0.0, -179.0, 1.0]));
        assert!(intersects([0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 2.0, 2.0]));
    }

    proptest! {
        #[test]
        fn meeting_is_mutual_and_holds_with_oneself(a in boxes_(), b in boxes_()) {
            prop_assert_eq!(intersects(a, b), intersects(b, a));
            prop_assert!(intersects(a, a));
        }
    }

    fn boxes_() -> impl Strategy<Value = Bbox> {
        (-180.0f64..=180.0, -90.0f64..=90.0, -180.0f64..=180.0, -90.0f64..=90.0)
            .prop_map(|(w, s, e, n)| [w, s.min(n), e, s.max(n)])
    }
}
