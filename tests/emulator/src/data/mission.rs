//! The missions: how their products are named, how large they are on the ground, what they say of themselves.

use std::fmt::Write;

use super::{compact, format_time};
use crate::content::mix;
use crate::grid::{Tile, round, tile_at, tile_named};

/// A mission, which is a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mission {
    Sentinel1,
    Sentinel2,
    Sentinel3,
    Sentinel5P,
    Mosaics,
    /// A collection of which no client knows anything: no tile, no cloud cover, its own kind of folder.
    Sentinel6,
}

/// One product, without its files.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) mission: Mission,
    /// Position in the collection.
    pub(crate) number: u64,
    /// The identifier, without the suffix of the folder.
    pub(crate) id: String,
    /// Start and end of the measurement in milliseconds.
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) bbox: [f64; 4],
    /// The footprint, closed.
    pub(crate) ring: Vec<[f64; 2]>,
    pub(crate) platform: &'static str,
    pub(crate) product_type: &'static str,
    pub(crate) tile: Option<Tile>,
    pub(crate) orbit: u32,
    pub(crate) relative_orbit: u32,
    pub(crate) cloud: Option<f64>,
}

const S3_TYPES: [&str; 4] = ["OL_2_LFR___", "SL_2_LST___", "SY_2_SYN___", "SR_2_LAN___"];
const S5P_TYPES: [&str; 8] = [
    "L2__NO2___",
    "L2__CH4___",
    "L2__O3____",
    "L2__SO2___",
    "L2__CO____",
    "L2__CLOUD_",
    "L2__AER_AI",
    "L2__HCHO__",
];
/// 24 September 2024, from which orbits are counted.
const EPOCH: i64 = 1_727_136_000_000;

impl Mission {
    pub(crate) const ALL: &[Mission] = &[
        Mission::Sentinel1,
        Mission::Sentinel2,
        Mission::Sentinel3,
        Mission::Sentinel5P,
        Mission::Mosaics,
        Mission::Sentinel6,
    ];

    pub(crate) fn collection(self) -> &'static str {
        match self {
            Mission::Sentinel1 => "SENTINEL-1",
            Mission::Sentinel2 => "SENTINEL-2",
            Mission::Sentinel3 => "SENTINEL-3",
            Mission::Sentinel5P => "SENTINEL-5P",
            Mission::Mosaics => "GLOBAL-MOSAICS",
            Mission::Sentinel6 => "SENTINEL-6",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Mission::Sentinel1 => "Sentinel-1 single look complex over Europe",
            Mission::Sentinel2 => "Sentinel-2 surface reflectance",
            Mission::Sentinel3 => "Sentinel-3 level 2",
            Mission::Sentinel5P => "Sentinel-5P level 2",
            Mission::Mosaics => "Sentinel-2 global quarterly mosaics",
            Mission::Sentinel6 => "Sentinel-6 altimetry",
        }
    }

    pub(crate) fn instrument(self, product_type: &str) -> &'static str {
        match self {
            Mission::Sentinel1 => "SAR",
            Mission::Sentinel2 | Mission::Mosaics => "MSI",
            Mission::Sentinel3 => match &product_type[..2] {
                "OL" => "OLCI",
                "SL" => "SLSTR",
                "SY" => "SYNERGY",
                _ => "SRAL",
            },
            Mission::Sentinel5P => "TROPOMI",
            Mission::Sentinel6 => "POSEIDON-4",
        }
    }

    /// What the folder of a product has after the identifier.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Mission::Sentinel1 | Mission::Sentinel2 => ".SAFE",
            Mission::Sentinel3 => ".SEN3",
            Mission::Sentinel5P | Mission::Mosaics | Mission::Sentinel6 => "",
        }
    }

    /// The value of `format`.
    pub(crate) fn format(self) -> &'static str {
        match self {
            Mission::Sentinel1 | Mission::Sentinel2 => "SAFE",
            Mission::Sentinel3 => "SEN3",
            Mission::Sentinel5P | Mission::Sentinel6 => "NetCDF",
            Mission::Mosaics => "GeoTIFF",
        }
    }

    /// The longest product in milliseconds.
    pub(crate) fn longest(self) -> i64 {
        match self {
            Mission::Mosaics => 93 * 86_400_000,
            _ => 7_200_000,
        }
    }
}

/// Where a product lies.
#[derive(Clone, Debug)]
pub(crate) enum Place<'a> {
    Point(f64, f64),
    Tile(&'a str),
}

impl Scene {
    /// The product that starts at `start` over `place`. `pick` chooses platform and product type.
    pub(crate) fn new(mission: Mission, number: u64, start: i64, place: &Place<'_>, pick: u64) -> Scene {
        let tile = matches!(mission, Mission::Sentinel2 | Mission::Mosaics).then(|| match place {
            Place::Point(lon, lat) => tile_at(*lon, *lat),
            Place::Tile(name) => tile_named(name).unwrap_or_else(|| tile_at(12.0, 42.0)),
        });
        let (lon, lat) = match place {
            Place::Point(lon, lat) => (*lon, *lat),
            Place::Tile(name) => tile_named(name).map_or((12.0, 42.0), |tile| (tile.bbox[0], tile.bbox[1])),
        };
        let shape = shape(mission, pick);
        let ring = match &tile {
            Some(tile) => tile.corners.to_vec(),
            None => slanted(lon, lat, shape.half_width, shape.half_height),
        };
        let edge = |axis: usize, from: f64, pick: fn(f64, f64) -> f64| {
            ring.iter().map(|corner| corner[axis]).fold(from, pick)
        };
        let (low, high) = (f64::INFINITY, f64::NEG_INFINITY);
        let bbox = [
            edge(0, low, f64::min),
            edge(1, low, f64::min),
            edge(0, high, f64::max),
            edge(1, high, f64::max),
        ];
        let (orbit, relative_orbit) = orbits(mission, shape.platform, start);
        let cloudy = mission == Mission::Sentinel2
            || mission == Mission::Sentinel3 && !shape.product_type.starts_with("SR");
        let cloud = cloudy.then(|| (mix(start as u64, pick) % 1000) as f64 / 10.0);
        let mut scene = Scene {
            mission,
            number,
            id: String::new(),
            start: start + shape.offset,
            end: start + shape.offset + shape.duration,
            bbox,
            ring: ring.iter().chain(ring.first()).copied().collect(),
            platform: shape.platform,
            product_type: shape.product_type,
            tile,
            orbit,
            relative_orbit,
            cloud,
        };
        scene.id = scene.name(pick);
        scene
    }

    /// The path of one of the product's files, as downloads name it.
    pub(crate) fn path(&self, file: &str) -> String {
        let mut path = format!("{}/{}/", self.mission.collection(), format_time(self.start, "%Y/%m/%d"));
        if self.mission != Mission::Sentinel5P {
            // Writing into a string does not fail.
            let _ = write!(path, "{}{}/", self.id, self.mission.suffix());
        }
        path + file
    }

    /// The name of the product as one zip, beside its files.
    pub(crate) fn archive(&self) -> String {
        format!("{}.zip", self.id)
    }

    fn name(&self, pick: u64) -> String {
        let (start, end) = (compact(self.start), compact(self.end));
        let made = compact(self.start + 6 * 3_600_000 + 17_000);
        let (platform, kind, orbit, relative) =
            (self.platform, self.product_type, self.orbit, self.relative_orbit);
        let tile = self.tile.as_ref().map_or("", |tile| &tile.name);
        match self.mission {
            Mission::Sentinel1 => {
                let (take, sum) = (orbit * 8 % 0xff_ffff, mix(u64::from(orbit), pick) & 0xffff);
                format!("{platform}_IW_SLC__1SDV_{start}_{end}_{orbit:06}_{take:06X}_{sum:04X}")
            }
            Mission::Sentinel2 => format!("{platform}_MSIL2A_{start}_N0511_R{relative:03}_T{tile}_{made}"),
            Mission::Sentinel3 => {
                let seconds = (self.end - self.start) / 1000;
                let cycle = 117 + (self.start - EPOCH).div_euclid(27 * 86_400_000);
                let frame = if kind.starts_with("SR") { "____" } else { "1980" };
                format!(
                    "{platform}_{kind}_{start}_{end}_{made}_{seconds:04}_{cycle:03}_{relative:03}_{frame}_PS1_O_NT_002"
                )
            }
            Mission::Sentinel5P => {
                let mode = ["OFFL", "NRTI", "RPRO"][(pick / 8 % 3) as usize];
                format!("{platform}_{mode}_{kind}_{start}_{end}_{orbit:05}_03_020701_{made}")
            }
            Mission::Mosaics => {
                let month: u32 = format_time(self.start, "%m").parse().unwrap_or(1);
                let year = format_time(self.start, "%Y");
                format!("Sentinel-2_mosaic_{year}_Q{}_{tile}_{}_0", month.div_ceil(3), pick)
            }
            Mission::Sentinel6 => format!("S6A_P4_2__LR_STD__ST_142_{relative:03}_{start}_{end}_F09"),
        }
    }
}

struct Shape {
    platform: &'static str,
    product_type: &'static str,
    half_width: f64,
    half_height: f64,
    duration: i64,
    /// Milliseconds that the name does not show.
    offset: i64,
}

fn shape(mission: Mission, pick: u64) -> Shape {
    let two = |a, b| if pick.is_multiple_of(2) { a } else { b };
    let shape = |platform, product_type, half_width, half_height, duration, offset| Shape {
        platform,
        product_type,
        half_width,
        half_height,
        duration,
        offset,
    };
    match mission {
        Mission::Sentinel1 => shape(two("S1A", "S1C"), "IW_SLC__1S", 1.7, 0.8, 27_000, 412),
        Mission::Sentinel2 => shape(two("S2A", "S2B"), "S2MSI2A", 0.0, 0.0, 0, 24),
        Mission::Sentinel3 => {
            let kind = S3_TYPES[(pick / 2 % 4) as usize];
            let (width, height, duration) =
                if kind.starts_with("SR") { (2.0, 40.0, 2_956_000) } else { (8.0, 6.0, 179_000) };
            shape(two("S3A", "S3B"), kind, width, height, duration, 301)
        }
        Mission::Sentinel5P => shape("S5P", S5P_TYPES[(pick % 8) as usize], 14.0, 9.0, 300_000, 0),
        Mission::Mosaics => shape("S2", "S2MSI_L3__MCQ", 0.0, 0.0, 0, 0),
        Mission::Sentinel6 => shape("S6A", "P4_2__LR_STD", 3.0, 30.0, 3_372_000, 7),
    }
}

/// Absolute and relative orbit: one orbit every 99 minutes, counted so that names are near the real ones.
fn orbits(mission: Mission, platform: &str, start: i64) -> (u32, u32) {
    let (base, period, first, cycle) = match (mission, platform) {
        (Mission::Sentinel1, "S1A") => (55_808, 5_924_000, 73, 175),
        (Mission::Sentinel1, _) => (2_800, 5_924_000, 172, 175),
        (Mission::Sentinel3, _) => (44_870, 6_059_000, 0, 385),
        (Mission::Sentinel5P, _) => (35_998, 6_090_000, 0, 227),
        (Mission::Sentinel6, _) => (17_800, 6_745_000, 0, 127),
        (_, "S2B") => (39_440, 6_042_000, 26, 143),
        _ => (48_350, 6_042_000, 140, 143),
    };
    let orbit = (base + (start - EPOCH).div_euclid(period)).clamp(1, 999_999) as u32;
    (orbit, (orbit + cycle * 10 - first) % cycle + 1)
}

/// A footprint that leans to the west as an orbit's track does.
fn slanted(lon: f64, lat: f64, half_width: f64, half_height: f64) -> Vec<[f64; 2]> {
    let (south, north) = ((lat - half_height).max(-89.0), (lat + half_height).min(89.0));
    let (west, east) = ((lon - half_width).max(-179.9), (lon + half_width).min(179.9));
    let lean = (east - west) / 10.0;
    vec![[west, north], [east - lean, north], [east, south], [west + lean, south]]
        .into_iter()
        .map(|corner: [f64; 2]| corner.map(round))
        .collect()
}
