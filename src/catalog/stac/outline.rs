//! The outline of a footprint, small enough to be kept for every product of a listing.
//!
//! Outer rings only, corners rounded to a millionth of a degree (0.1 m), and no more of them than needed to see
//! in a map what a product covers.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::lenient::Members;
use super::super::mgrs::Bbox;

/// Corners that are kept of one footprint, about; of more every second, third, … one.
const CORNERS: usize = 32;
/// Rings of one footprint: one for each side of the antimeridian, and some more.
const RINGS: usize = 8;
/// Bytes of a geometry that is looked at.
const LONGEST: usize = 256 << 10;
/// Units in a degree.
const UNIT: f64 = 1_000_000.0;

/// Longitude and latitude in millionths of a degree.
pub type Corner = [i32; 2];

/// The outer rings of a footprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Box<[Corner]>>")]
pub struct Outline(Box<[Box<[Corner]>]>);

impl TryFrom<Vec<Box<[Corner]>>> for Outline {
    type Error = &'static str;

    fn try_from(rings: Vec<Box<[Corner]>>) -> Result<Self, Self::Error> {
        Self::of_rings(rings).ok_or("not an outline")
    }
}

type Ring = Vec<Vec<f64>>;

impl Outline {
    /// The outline of a GeoJSON polygon or multi-polygon (RFC 7946 section 3.1); `None` for all else.
    pub(super) fn of_geometry(raw: &RawValue) -> Option<Self> {
        if raw.get().len() > LONGEST {
            return None;
        }
        let members = Members::of(raw);
        let coordinates = members.get("coordinates")?.get();
        let polygons: Vec<Vec<Ring>> = match members.text(&["type"])?.as_str() {
            "Polygon" => vec![serde_json::from_str(coordinates).ok()?],
            "MultiPolygon" => serde_json::from_str(coordinates).ok()?,
            _ => return None,
        };
        let outer: Vec<&Ring> = polygons.iter().filter_map(|rings| rings.first()).take(RINGS).collect();
        let corners: usize = outer.iter().map(|ring| ring.len()).sum();
        let step = corners.div_ceil(CORNERS).max(1);
        Self::of_rings(outer.into_iter().map(|ring| thin(ring, step)).collect::<Option<_>>()?)
    }

    /// An outline of these rings; `None` if one of them is none.
    pub fn of_rings(rings: Vec<Box<[Corner]>>) -> Option<Self> {
        let closed = |ring: &[Corner]| ring.len() >= 4 && ring.first() == ring.last();
        (!rings.is_empty() && rings.iter().all(|ring| closed(ring))).then(|| Self(rings.into()))
    }

    /// Its rings.
    pub fn rings(&self) -> &[Box<[Corner]>] {
        &self.0
    }

    /// It as a GeoJSON geometry.
    pub fn geometry(&self) -> Value {
        let degrees = |unit: i32| f64::from(unit) / UNIT;
        let ring = |ring: &[Corner]| -> Value {
            ring.iter()
                .map(|[longitude, latitude]| json!([degrees(*longitude), degrees(*latitude)]))
                .collect()
        };
        match &*self.0 {
            [only] => json!({ "type": "Polygon", "coordinates": [ring(only)] }),
            rings => {
                let polygons: Vec<Value> = rings.iter().map(|one| json!([ring(one)])).collect();
                json!({ "type": "MultiPolygon", "coordinates": polygons })
            }
        }
    }
}

/// A box as a geometry, cut at the antimeridian where it crosses that (RFC 7946 section 3.1.9).
pub fn geometry_of_box([west, south, east, north]: Bbox) -> Value {
    let ring = |west: f64, east: f64| {
        json!([[[west, south], [east, south], [east, north], [west, north], [west, south]]])
    };
    if west <= east {
        json!({ "type": "Polygon", "coordinates": ring(west, east) })
    } else {
        json!({ "type": "MultiPolygon", "coordinates": [ring(west, 180.0), ring(-180.0, east)] })
    }
}

/// Every `step`th corner of a ring, closed; `None` if a corner is not on earth.
fn thin(ring: &Ring, step: usize) -> Option<Box<[Corner]>> {
    let corner = |position: &Vec<f64>| -> Option<Corner> {
        let [longitude, latitude] = [*position.first()?, *position.get(1)?];
        let on_earth = longitude.abs() <= 360.0 && latitude.abs() <= 90.0;
        on_earth.then(|| [longitude, latitude].map(|degrees| (degrees * UNIT).round() as i32))
    };
    let mut thinned: Vec<Corner> = ring.iter().step_by(step).map(corner).collect::<Option<_>>()?;
    if thinned.first() != thinned.last() {
        thinned.push(*thinned.first()?);
    }
    Some(thinned.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<Outline> {
        Outline::of_geometry(&RawValue::from_string(text.to_owned()).unwrap())
    }

    #[test]
    fn polygons() {
        let square = r#"{"type":"Polygon","coordinates":[[[11,44],[13,44,5],[13.1234567,45],[11,44]],[[12,44],[12,45],[11,45],[12,44]]]}"#;
        let outline = read(square).unwrap();
        assert_eq!(
            outline.geometry()["coordinates"],
            json!([[[11.0, 44.0], [13.0, 44.0], [13.123457, 45.0], [11.0, 44.0]]])
        );
        let cut = r#"{"type":"MultiPolygon","coordinates":[[[[179,-17],[180,-17],[180,-16],[179,-17]]],[[[-180,-17],[-179,-17],[-180,-16],[-180,-17]]]]}"#;
        let cut = read(cut).unwrap();
        assert_eq!(cut.rings().len(), 2);
        assert_eq!(cut.geometry()["type"], "MultiPolygon");
        for text in [
            "null",
            r#"{"type":"Point","coordinates":[1,2]}"#,
            r#"{"type":"Polygon","coordinates":[]}"#,
            r#"{"type":"Polygon","coordinates":[[[1,2],[3,4]]]}"#,
            r#"{"type":"Polygon","coordinates":[[[1,200],[3,4],[5,6],[1,200]]]}"#,
            r#"{"type":"Polygon","coordinates":"x"}"#,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn boxes() {
        assert_eq!(geometry_of_box([1.0, 2.0, 3.0, 4.0])["type"], "Polygon");
        assert_eq!(geometry_of_box([179.0, 2.0, -179.0, 4.0])["coordinates"].as_array().unwrap().len(), 2);
    }

    proptest! {
        #[test]
        fn long_ones_are_thinned(corners in 4usize..3000) {
            let ring: Vec<[f64; 2]> = (0..corners).map(|n| [n as f64 * 0.01, 1.0]).chain([[0.0, 1.0]]).collect();
            let text = json!({ "type": "Polygon", "coordinates": [ring] }).to_string();
            let outline = read(&text).unwrap();
            prop_assert!((4..=CORNERS + 2).contains(&outline.rings()[0].len()));
        }
    }
}
