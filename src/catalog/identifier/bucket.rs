//! Which directories under a day a product is filed in, and what such a directory's name asks for.
//!
//! The table is tree.md "Tile level". A bucket is decided once, when an item is read, and kept small in its
//! record; [`parse_bucket_name`] goes the other way, so that a lookup of one name needs no listing.

use serde::{Deserialize, Serialize};

use super::super::mgrs::{Bbox, Tile};
use super::field::number;
use super::{Identifier, Mission, Place};

/// Name of the directory for items about whose place nothing is known.
const UNPLACED: &str = "unplaced";

/// Where a product belongs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Bucket {
    /// Sentinel-2, mosaics, and all else with an MGRS tile.
    Tile(Tile),
    /// Sentinel-1: the track.
    RelativeOrbit(u16),
    /// Sentinel-3: the product type, then the track, an area, or nothing.
    TypeAndTrack(Box<str>, Option<u16>),
    /// Sentinel-3 products of a named area: the product type, then the area.
    TypeAndArea(Box<str>, Box<str>),
    /// Sentinel-5P: the product type, then the orbit since launch.
    TypeAndOrbit(Box<str>, Option<u32>),
    /// Any other grid, by its `grid:code`.
    Grid(Box<str>),
    /// Landsat's World Reference System.
    PathRow(u16, u16),
    /// South-west corner in degrees of the 10° cell that holds the centre of the footprint.
    Cell(i16, i16),
    /// Nothing is known.
    Unplaced,
}

/// What an item's properties say about its place; text as served.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// `platform`, `constellation` or `platformName`.
    pub mission: Option<Mission>,
    /// `s2:mgrs_tile`, or put together from `mgrs:utm_zone` and its sisters.
    pub mgrs_tile: Option<String>,
    /// `grid:code`.
    pub grid_code: Option<String>,
    /// `product:type`, `productType` or the mission's own property.
    pub product_type: Option<String>,
    /// `sat:relative_orbit`.
    pub relative_orbit: Option<u16>,
    /// `sat:absolute_orbit`.
    pub absolute_orbit: Option<u32>,
    /// Landsat's path and row.
    pub path_row: Option<(u16, u16)>,
    /// The footprint's box.
    pub bbox: Option<Bbox>,
}

impl Bucket {
    /// Files a product: by its mission's rule, else by whatever grid is named, else by its centre.
    pub fn decide(identifier: Option<&Identifier>, facts: Facts) -> Self {
        let mission = identifier.map(Identifier::mission).or(facts.mission);
        let product_type = || facts.product_type.clone().map(String::into_boxed_str);
        let by_mission = match (identifier, mission) {
            (Some(Identifier::Mosaic(_)), _) => None,
            (Some(Identifier::Sentinel3(product)), _) => {
                let kind = product.product_type.as_str().into();
                Some(match &product.place {
                    Place::Orbit { relative_orbit, .. } => Self::TypeAndTrack(kind, Some(*relative_orbit)),
                    Place::Area(area) => Self::TypeAndArea(kind, area.as_str().into()),
                })
            }
            (Some(Identifier::Sentinel5P(product)), _) => {
                Some(Self::TypeAndOrbit(product.product_type.as_str().into(), Some(product.absolute_orbit)))
            }
            (_, Some(Mission::Sentinel1)) => {
                let computed = || identifier.and_then(Identifier::relative_orbit);
                facts.relative_orbit.or_else(computed).map(Self::RelativeOrbit)
            }
            (_, Some(Mission::Sentinel3)) => {
                product_type().map(|kind| Self::TypeAndTrack(kind, facts.relative_orbit))
            }
            (_, Some(Mission::Sentinel5P)) => {
                product_type().map(|kind| Self::TypeAndOrbit(kind, facts.absolute_orbit))
            }
            _ => None,
        };
        by_mission.unwrap_or_else(|| Self::by_grid(identifier, facts))
    }

    fn by_grid(identifier: Option<&Identifier>, facts: Facts) -> Self {
        let named = |text: &Option<String>| text.as_deref().and_then(Tile::parse);
        let tile = named(&facts.grid_code).or_else(|| named(&facts.mgrs_tile));
        if let Some(tile) = tile.or_else(|| identifier.and_then(Identifier::tile)) {
            return Self::Tile(tile);
        }
        if let Some(code) = facts.grid_code {
            return Self::Grid(code.into());
        }
        if let Some((path, row)) = facts.path_row {
            return Self::PathRow(path, row);
        }
        facts.bbox.map_or(Self::Unplaced, Self::cell_of)
    }

    /// The names of the directories, outer first; text as the server gave it, not yet a file name.
    pub fn levels(&self) -> Vec<String> {
        let unplaced = || UNPLACED.to_owned();
        match self {
            Self::Tile(tile) => vec![tile.directory()],
            Self::RelativeOrbit(orbit) => vec![track(*orbit)],
            Self::TypeAndTrack(kind, orbit) => vec![kind.to_string(), orbit.map_or_else(unplaced, track)],
            Self::TypeAndArea(kind, area) => vec![kind.to_string(), area.to_string()],
            Self::TypeAndOrbit(kind, orbit) => {
                vec![kind.to_string(), orbit.map_or_else(unplaced, absolute_orbit)]
            }
            Self::Grid(code) => vec![code.to_string()],
            Self::PathRow(path, row) => vec![path_row_name(*path, *row)],
            Self::Cell(south, west) => vec![cell(*south, *west)],
            Self::Unplaced => vec![unplaced()],
        }
    }

    /// The 10° cell of a box's centre; boxes over the antimeridian are understood.
    pub fn cell_of([west, south, east, north]: Bbox) -> Self {
        let east = if east < west { east + 360.0 } else { east };
        let (longitude, latitude) = (f64::midpoint(west, east), f64::midpoint(south, north));
        if !longitude.is_finite() || !latitude.is_finite() {
            return Self::Unplaced;
        }
        let longitude = (longitude + 180.0).rem_euclid(360.0) - 180.0;
        // The pole belongs to the last cell. The casts cannot lose anything after the clamps.
        let corner = |degrees: f64, last: f64| ((degrees / 10.0).floor() * 10.0).clamp(-180.0, last) as i16;
        Self::Cell(corner(latitude.clamp(-90.0, 90.0), 80.0), corner(longitude, 170.0))
    }
}

/// What a directory name at the bucket levels asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BucketName {
    /// `T32TQM`.
    Tile(Tile),
    /// `R117`.
    RelativeOrbit(u16),
    /// `O34998`.
    Orbit(u32),
    /// `OL_2_LFR___` (11 characters, Sentinel-3) or `L2__NO2___` (10, Sentinel-5P).
    ProductType(String),
    /// `P193R026`.
    PathRow(u16, u16),
    /// `N40E010`.
    Cell(i16, i16),
    /// `unplaced`.
    Unplaced,
    /// A `grid:code` or an area: only a listing can tell whether it exists.
    Other(String),
}

impl BucketName {
    /// The box that holds every footprint of the bucket, where its name says so: one small search.
    pub fn bbox(&self) -> Option<Bbox> {
        match self {
            Self::Tile(tile) => Some(tile.bbox()),
            Self::Cell(south, west) => {
                let (south, west) = (f64::from(*south), f64::from(*west));
                Some([west, south, west + 10.0, south + 10.0])
            }
            _ => None,
        }
    }
}

/// Reads a directory name. Only the one canonical spelling of each kind is recognised; `None` is for names
/// that no bucket has (empty, dots only, with `/` or control characters).
pub fn parse_bucket_name(name: &str) -> Option<BucketName> {
    let bad = name.is_empty()
        || name.len() > 255
        || name.bytes().all(|b| b == b'.')
        || name.chars().any(|c| c == '/' || c.is_control());
    if bad {
        return None;
    }
    if name == UNPLACED {
        return Some(BucketName::Unplaced);
    }
    // What is read must be written the same again: `R07` and `R007` are not two directories.
    let tile = name.strip_prefix('T').and_then(Tile::parse);
    let orbit = name.strip_prefix('R').and_then(number);
    let absolute = name.strip_prefix('O').and_then(number);
    let readings = [
        tile.map(|tile| (tile.directory(), BucketName::Tile(tile))),
        orbit.map(|orbit| (track(orbit), BucketName::RelativeOrbit(orbit))),
        absolute.map(|orbit| (absolute_orbit(orbit), BucketName::Orbit(orbit))),
        path_row(name).map(|(path, row)| (path_row_name(path, row), BucketName::PathRow(path, row))),
        parse_cell(name).map(|(south, west)| (cell(south, west), BucketName::Cell(south, west))),
    ];
    if let Some((_, found)) = readings.into_iter().flatten().find(|(written, _)| written == name) {
        return Some(found);
    }
    Some(if is_product_type(name) {
        BucketName::ProductType(name.to_owned())
    } else {
        BucketName::Other(name.to_owned())
    })
}

fn track(orbit: u16) -> String {
    format!("R{orbit:03}")
}

fn absolute_orbit(orbit: u32) -> String {
    format!("O{orbit:05}")
}

fn path_row_name(path: u16, row: u16) -> String {
    format!("P{path:03}R{row:03}")
}

fn cell(south: i16, west: i16) -> String {
    let (vertical, horizontal) = (if south < 0 { 'S' } else { 'N' }, if west < 0 { 'W' } else { 'E' });
    format!("{vertical}{:02}{horizontal}{:03}", south.unsigned_abs(), west.unsigned_abs())
}

fn parse_cell(name: &str) -> Option<(i16, i16)> {
    let read = |text: &str, positive: char, negative: char| {
        let sign = text.chars().next()?;
        let degrees = number::<i16>(text.get(1..)?)?;
        [(positive, 1), (negative, -1)].iter().find(|(c, _)| *c == sign).map(|(_, factor)| degrees * factor)
    };
    let (south, west) = name.split_at_checked(3)?;
    let (south, west) = (read(south, 'N', 'S')?, read(west, 'E', 'W')?);
    let known =
        (-90..=80).contains(&south) && (-180..=170).contains(&west) && south % 10 == 0 && west % 10 == 0;
    known.then_some((south, west))
}

fn path_row(name: &str) -> Option<(u16, u16)> {
    let (path, row) = name.strip_prefix('P')?.split_once('R')?;
    Some((number(path)?, number(row)?))
}

/// The shape of Sentinel-3's and Sentinel-5P's padded product types.
fn is_product_type(name: &str) -> bool {
    let bytes = name.as_bytes();
    let code = super::field::is_code(name);
    match bytes.len() {
        11 => code && bytes[2] == b'_' && bytes[4] == b'_' && (bytes[3].is_ascii_digit() || bytes[3] == b'_'),
        10 => code && bytes[0] == b'L' && bytes[1].is_ascii_digit(),
        _ => false,
    }
}
