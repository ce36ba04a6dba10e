//! One tile: its name, whether it exists, the box to search it by; and which tiles there are.
//!
//! "Exists" is generous: the box of the square touches the cell of its zone and band. A name that passes
//! costs at most one small search; a real tile is never refused.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::mercator::unproject;

/// West, south, east, north in degrees. `west > east` means that the box crosses the antimeridian
/// (STAC API 1.0.0 item-search, after RFC 7946 section 5.2).
pub type Bbox = [f64; 4];

/// Latitude bands from south to north; each is 8° high from 80° S, X is 12° high.
const BANDS: &[u8; 20] = b"CDEFGHJKLMNPQRSTUVWX";
/// Row letters from south to north, 100 km each, repeated.
const ROWS: &[u8; 20] = b"ABCDEFGHJKLMNPQRSTUV";
/// Column letters from west to east by (zone − 1) modulo 3, from easting 100 km.
const COLUMNS: [&[u8; 8]; 3] = [b"ABCDEFGH", b"JKLMNPQR", b"STUVWXYZ"];

/// Side of a square, metres.
const SIDE: f64 = 100_000.0;
/// How far a Sentinel-2 tile reaches beyond its square in the east and south, metres, and then some.
const OVERLAP: f64 = 10_000.0;
/// Slack on every side, metres: the tile's origin is up to 60 m outside the square.
const SLACK: f64 = 1_000.0;
/// Points per side when a square's outline is turned into a box.
const SAMPLES: u8 = 8;

/// A 100 km square of the grid. Written without the leading `T`: `32TQM`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tile {
    zone: u8,
    band: u8,
    column: u8,
    row: u8,
}

impl Tile {
    /// The tile named `32TQM`, `T32TQM` or `MGRS-32TQM`; the zone's leading zero may be missing.
    ///
    /// `None` for anything that is not a square of the grid. Letters are upper case only, so that every
    /// tile has one directory name.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("MGRS-").or_else(|| text.strip_prefix('T')).unwrap_or(text).as_bytes();
        let (digits, letters) = text.split_at_checked(text.len().checked_sub(3)?)?;
        if digits.is_empty() || digits.len() > 2 || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let zone = digits.iter().fold(0, |zone, digit| zone * 10 + (digit - b'0'));
        let &[band, column, row] = letters else { return None };
        let tile = Self { zone, band, column, row };
        (cell(zone, band).is_some() && tile.northing().is_some()).then_some(tile)
    }

    /// UTM zone, 1–60.
    pub fn zone(self) -> u8 {
        self.zone
    }

    /// Latitude band, `C`–`X`.
    pub fn band(self) -> char {
        char::from(self.band)
    }

    /// Column and row letter, for example `QM`.
    pub fn square(self) -> String {
        [char::from(self.column), char::from(self.row)].iter().collect()
    }

    /// The name of the tile's directory: `T32TQM`, the zone always with two digits.
    pub fn directory(self) -> String {
        format!("T{self}")
    }

    /// A box that holds all of the Sentinel-2 tile, and not much more.
    pub fn bbox(self) -> Bbox {
        let (Some(east), Some(north)) = (self.easting(), self.northing()) else {
            // Unreachable: `parse` and `squares` admit only tiles that have both.
            return [-180.0, -90.0, 180.0, 90.0];
        };
        let [west, south, east, north] = outline(
            self.zone,
            [east - SLACK, north - OVERLAP - SLACK, east + SIDE + OVERLAP + SLACK, north + SIDE + SLACK],
        );
        [wrap(west), south, wrap(east), north]
    }

    /// Easting of the square's west side, metres.
    fn easting(self) -> Option<f64> {
        let letters = COLUMNS[usize::from(self.zone.checked_sub(1)? % 3)];
        let index = letters.iter().position(|letter| *letter == self.column)?;
        Some(SIDE * (index as f64 + 1.0))
    }

    /// Northing of the square's south side, metres from the equator; `None` if the square does not touch
    /// the cell of its zone and band.
    fn northing(self) -> Option<f64> {
        let cell = cell(self.zone, self.band)?;
        let easting = self.easting()?;
        let letter = ROWS.iter().position(|letter| *letter == self.row)? as i32;
        // Even zones begin with F at the equator. 10 000 km, the south's false northing, is a multiple
        // of the 2000 km after which letters repeat, so both hemispheres count alike from the equator.
        let offset = if self.zone.is_multiple_of(2) { 5 } else { 0 };
        let residue = (letter - offset).rem_euclid(20);
        (-5..5).map(|turn| f64::from(turn * 20 + residue) * SIDE).find(|northing| {
            // Rough check first: far from the band the projection is not worth its cost.
            let middle = (northing + SIDE / 2.0) / 111_000.0;
            middle > cell[1] - 3.0
                && middle < cell[3] + 3.0
                && touches(outline(self.zone, [easting, *northing, easting + SIDE, northing + SIDE]), cell)
        })
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [band, column, row] = [self.band, self.column, self.row].map(char::from);
        write!(f, "{:02}{band}{column}{row}", self.zone)
    }
}

impl From<Tile> for String {
    fn from(tile: Tile) -> Self {
        tile.to_string()
    }
}

impl TryFrom<String> for Tile {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not a tile")
    }
}

impl fmt::Debug for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// All zones.
pub fn zones() -> std::ops::RangeInclusive<u8> {
    1..=60
}

/// The bands of a zone from south to north; empty if there is no such zone.
pub fn bands(zone: u8) -> Vec<char> {
    BANDS.iter().filter(|band| cell(zone, **band).is_some()).map(|band| char::from(*band)).collect()
}

/// The tiles of a zone and band, by column and row letter; empty if there is no such cell.
pub fn squares(zone: u8, band: char) -> Vec<Tile> {
    let Ok(band) = u8::try_from(band) else { return Vec::new() };
    if cell(zone, band).is_none() {
        return Vec::new();
    }
    let columns = COLUMNS[usize::from((zone - 1) % 3)];
    let tiles = columns.iter().flat_map(|column| ROWS.iter().map(move |row| (*column, *row)));
    tiles
        .map(|(column, row)| Tile { zone, band, column, row })
        .filter(|tile| tile.northing().is_some())
        .collect()
}

/// West, south, east, north of a zone's part of a band; `None` where there is none.
fn cell(zone: u8, band: u8) -> Option<Bbox> {
    if !zones().contains(&zone) {
        return None;
    }
    let index = BANDS.iter().position(|known| *known == band)? as f64;
    let south = -80.0 + 8.0 * index;
    let north = if band == b'X' { 84.0 } else { south + 8.0 };
    let (west, east) = match (band, zone) {
        (b'V', 31) => (0.0, 3.0),
        (b'V', 32) => (3.0, 12.0),
        (b'X', 31) => (0.0, 9.0),
        (b'X', 33) => (9.0, 21.0),
        (b'X', 35) => (21.0, 33.0),
        (b'X', 37) => (33.0, 42.0),
        (b'X', 32 | 34 | 36) => return None,
        _ => {
            let west = f64::from(zone) * 6.0 - 186.0;
            (west, west + 6.0)
        }
    };
    Some([west, south, east, north])
}

/// The box in degrees, longitudes not wrapped, around a rectangle of a zone in metres.
fn outline(zone: u8, [west, south, east, north]: [f64; 4]) -> Bbox {
    let mut bbox = [f64::MAX, f64::MAX, f64::MIN, f64::MIN];
    for step in 0..=SAMPLES {
        let part = f64::from(step) / f64::from(SAMPLES);
        let (x, y) = (west + (east - west) * part, south + (north - south) * part);
        for (e, n) in [(x, south), (x, north), (west, y), (east, y)] {
            let (longitude, latitude) = unproject(zone, e, n);
            bbox = [
                bbox[0].min(longitude),
                bbox[1].min(latitude),
                bbox[2].max(longitude),
                bbox[3].max(latitude),
            ];
        }
    }
    bbox
}

/// Whether two boxes without wrapped longitudes overlap.
fn touches(a: Bbox, b: Bbox) -> bool {
    a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}

/// A longitude brought into −180..=180.
fn wrap(longitude: f64) -> f64 {
    if longitude > 180.0 {
        longitude - 360.0
    } else if longitude < -180.0 {
        longitude + 360.0
    } else {
        longitude
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bbox(name: &str) -> Bbox {
        Tile::parse(name).unwrap_or_else(|| panic!("{name} is a tile")).bbox()
    }

    fn near(name: &str, expected: Bbox, tolerance: f64) {
        let found = bbox(name);
        for (one, two) in found.iter().zip(expected) {
            assert!((one - two).abs() < tolerance, "{name}: {found:?}, expected {expected:?}");
        }
    }

    #[test]
    fn known_tiles() {
        near("T32TQM", [11.4, 41.4, 12.8, 42.4], 0.1);
        near("T32TQQ", [11.5, 44.1, 13.0, 45.1], 0.1);
        near("31UFU", [4.5, 52.2, 6.2, 53.2], 0.1);
        // Boxes of published products: they lie inside, and not far inside.
        for (name, [w, s, e, n]) in [
            ("T32VKR", [2.881_305, 62.917_88, 4.888_851, 63.904_903]),
            ("MGRS-31SDV", [1.888_075, 35.237_543, 3.000_445, 36.144_898]),
        ] {
            let found = bbox(name);
            assert!(found[0] < w && found[1] < s && found[2] > e && found[3] > n, "{name}: {found:?}");
            near(name, [w, s, e, n], 0.4);
        }
        near("T32TMT", [7.7, 46.85, 9.1, 47.85], 0.1);
        // Cape Town lies in 34HBH.
        let [w, s, e, n] = bbox("34HBH");
        assert!(w < 18.42 && e > 18.42 && s < -33.92 && n > -33.92);
    }

    #[test]
    fn the_antimeridian() {
        let [w, s, e, n] = bbox("T01KAB");
        assert!(w > 178.5 && e < -178.5 && w > e, "{w} {e}");
        assert!(s < -17.25 && s > -17.5 && n > -16.25 && n < -16.0, "{s} {n}");
        let [w, _, e, _] = bbox("T60KXF");
        assert!(w > 177.0 && w < 180.0 && e > w, "{w} {e}");
    }

    #[test]
    fn leading_zero() {
        assert_eq!(Tile::parse("MGRS-1KAB"), Tile::parse("T01KAB"));
        assert_eq!(Tile::parse("1KAB").unwrap().directory(), "T01KAB");
    }

    #[test]
    fn exceptions() {
        assert!(Tile::parse("31VCG").is_some_and(|t| t.bbox()[0] < 3.0));
        // East of 3° the band V belongs to zone 32.
        assert!(Tile::parse("31VFG").is_none());
        for name in ["32XMG", "34XDG", "36XVG", "61TQM", "00TQM", "32IQM", "32TIM", "32TQO", "32TQW"] {
            assert!(Tile::parse(name).is_none(), "{name}");
        }
        assert!(bands(32).iter().all(|band| *band != 'X'));
        assert_eq!(bands(33).len(), 20);
        assert!(bands(0).is_empty() && bands(61).is_empty());
        assert!(squares(33, 'X').len() > 10);
        assert!(squares(32, 'X').is_empty() && squares(32, 'é').is_empty());
    }

    #[test]
    fn lower_case_and_rubbish() {
        for name in
            ["", "T", "TTT", "t32tqm", "32tqm", "T32TQMX", "T132TQM", "32TQ", "T 2TQM", "é2TQM", "ÄÖÜ"]
        {
            assert!(Tile::parse(name).is_none(), "{name}");
        }
    }

    #[test]
    fn every_listed_tile_parses_and_is_a_bounded_box() {
        let mut tiles = 0;
        for zone in zones() {
            for band in bands(zone) {
                for tile in squares(zone, band) {
                    assert_eq!(Tile::parse(&tile.directory()), Some(tile));
                    let [w, s, e, n] = tile.bbox();
                    assert!(n > s && n - s < 1.6, "{tile}: {s} {n}");
                    let width = if w > e { e + 360.0 - w } else { e - w };
                    assert!(width > 0.5 && width < 16.0, "{tile}: {w} {e}");
                    assert!((-180.0..=180.0).contains(&w) && (-180.0..=180.0).contains(&e));
                    tiles += 1;
                }
            }
        }
        assert!((56_000..80_000).contains(&tiles), "{tiles}");
    }

    proptest! {
        #[test]
        fn every_place_is_in_a_tile_of_its_cell(longitude in -180.0f64..180.0, latitude in -80.0f64..84.0) {
            let found = zones().filter(|zone| {
                // Only zones that can hold the point: listing all is slow in a debug build.
                (super::super::mercator::central_meridian(*zone) - longitude).abs() <= 9.0
            }).flat_map(|zone| bands(zone).into_iter().map(move |band| (zone, band))).filter(|(zone, band)| {
                let [w, s, e, n] = cell(*zone, *band as u8).unwrap();
                w <= longitude && longitude < e && s <= latitude && latitude <= n
            }).flat_map(|(zone, band)| squares(zone, band)).any(|tile| {
                let [w, s, e, n] = tile.bbox();
                let inside = if w > e { longitude >= w || longitude <= e } else { w <= longitude && longitude <= e };
                inside && s <= latitude && latitude <= n
            });
            prop_assert!(found);
        }

        #[test]
        fn any_text_gives_no_panic(text in "\\PC{0,12}") {
            let _ = Tile::parse(&text);
        }

        #[test]
        fn names_return(text in "T?[0-9]{1,2}[A-Z]{3}") {
            if let Some(tile) = Tile::parse(&text) {
                prop_assert_eq!(Tile::parse(&tile.to_string()), Some(tile));
            }
        }
    }
}
