//! Product names, parsed once: what a Sentinel product says about itself in its identifier.
//!
//! One file per mission holds its naming convention. A name that follows none of them is not an error:
//! `None`, and the item's properties decide. [`Bucket`] says which directories a product is filed under.

pub mod bucket;
mod field;
mod mosaic;
mod sentinel1;
mod sentinel2;
mod sentinel3;
mod sentinel5p;

pub use bucket::{Bucket, BucketName, Facts, parse_bucket_name};
pub use mosaic::{Mosaic, Period};
pub use sentinel1::Sentinel1;
pub use sentinel2::Sentinel2;
pub use sentinel3::{Place, Sentinel3};
pub use sentinel5p::Sentinel5P;

use jiff::Timestamp;

use super::mgrs::Tile;

/// Endings that say how a product is packed and are no part of its identity.
const PACKINGS: [&str; 7] = [".SAFE", ".SEN3", ".nc", ".zip", ".tar", ".tgz", ".tar.gz"];

/// The missions whose naming is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mission {
    /// C-band radar.
    Sentinel1,
    /// Multispectral imager; the quarterly mosaics too.
    Sentinel2,
    /// OLCI, SLSTR, SYNERGY, SRAL.
    Sentinel3,
    /// TROPOMI.
    Sentinel5P,
}

impl Mission {
    /// The mission that a property value names: `SENTINEL-2A`, `sentinel-2`, `Sentinel 5 Precursor`, …
    pub fn from_platform(text: &str) -> Option<Self> {
        let plain: String = text
            .chars()
            .take(40)
            .filter(char::is_ascii_alphanumeric)
            .collect::<String>()
            .to_ascii_lowercase();
        let number = plain.strip_prefix("sentinel").or_else(|| plain.strip_prefix('s'))?;
        match number {
            "5p" | "5precursor" => Some(Self::Sentinel5P),
            _ => match number.split_at_checked(1)? {
                ("1", "" | "a" | "b" | "c" | "d") => Some(Self::Sentinel1),
                ("2", "" | "a" | "b" | "c" | "d") => Some(Self::Sentinel2),
                ("3", "" | "a" | "b" | "c" | "d") => Some(Self::Sentinel3),
                _ => None,
            },
        }
    }
}

/// A product name, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identifier {
    /// Sentinel-1 products of all levels.
    Sentinel1(Sentinel1),
    /// Sentinel-2 L1C and L2A in the compact naming convention (since December 2016).
    Sentinel2(Sentinel2),
    /// Sentinel-3 products of all instruments.
    Sentinel3(Sentinel3),
    /// Sentinel-5P products.
    Sentinel5P(Sentinel5P),
    /// Quarterly and monthly mosaics.
    Mosaic(Mosaic),
}

impl Identifier {
    /// Reads a product name, with or without `.SAFE`, `.SEN3`, `.nc` or `.zip`. Any text is safe.
    pub fn parse(name: &str) -> Option<Self> {
        let name = without_packing(name);
        if !name.is_ascii() || name.len() > 255 {
            return None;
        }
        match name.get(..3)? {
            "S1A" | "S1B" | "S1C" | "S1D" => Sentinel1::parse(name).map(Self::Sentinel1),
            "S2A" | "S2B" | "S2C" | "S2D" => Sentinel2::parse(name).map(Self::Sentinel2),
            "S3A" | "S3B" | "S3C" | "S3D" | "S3_" => Sentinel3::parse(name).map(Self::Sentinel3),
            "S5P" => Sentinel5P::parse(name).map(Self::Sentinel5P),
            "Sen" => Mosaic::parse(name).map(Self::Mosaic),
            _ => None,
        }
    }

    /// The mission.
    pub fn mission(&self) -> Mission {
        match self {
            Self::Sentinel1(_) => Mission::Sentinel1,
            Self::Sentinel2(_) => Mission::Sentinel2,
            Self::Sentinel3(_) => Mission::Sentinel3,
            Self::Sentinel5P(_) => Mission::Sentinel5P,
            Self::Mosaic(mosaic) => mosaic.mission,
        }
    }

    /// The processing level as the product says it: `1`, `1C`, `2A`, `2`, `3`.
    pub fn level(&self) -> &str {
        match self {
            Self::Sentinel1(product) => &product.level,
            Self::Sentinel2(product) => &product.level,
            Self::Sentinel3(product) => &product.level,
            Self::Sentinel5P(product) => product.level(),
            Self::Mosaic(_) => "3",
        }
    }

    /// The product type as it is written in the name: `SLC_`, `MSIL2A`, `OL_2_LFR___`, `L2__NO2___`, `mosaic`.
    pub fn product_type(&self) -> &str {
        match self {
            Self::Sentinel1(product) => &product.product_type,
            Self::Sentinel2(product) => &product.product_type,
            Self::Sentinel3(product) => &product.product_type,
            Self::Sentinel5P(product) => &product.product_type,
            Self::Mosaic(_) => "mosaic",
        }
    }

    /// First instant of the observation.
    pub fn start(&self) -> Timestamp {
        match self {
            Self::Sentinel1(product) => product.start,
            Self::Sentinel2(product) => product.start,
            Self::Sentinel3(product) => product.start,
            Self::Sentinel5P(product) => product.start,
            Self::Mosaic(product) => product.start,
        }
    }

    /// End of the observation; Sentinel-2 names only its start.
    pub fn stop(&self) -> Option<Timestamp> {
        match self {
            Self::Sentinel1(product) => Some(product.stop),
            Self::Sentinel2(_) => None,
            Self::Sentinel3(product) => Some(product.stop),
            Self::Sentinel5P(product) => Some(product.stop),
            Self::Mosaic(product) => Some(product.stop),
        }
    }

    /// When the product was made, where the name says so.
    pub fn processed(&self) -> Option<Timestamp> {
        match self {
            Self::Sentinel1(_) | Self::Mosaic(_) => None,
            Self::Sentinel2(product) => Some(product.processed),
            Self::Sentinel3(product) => Some(product.processed),
            Self::Sentinel5P(product) => Some(product.processed),
        }
    }

    /// Orbit since launch.
    pub fn absolute_orbit(&self) -> Option<u32> {
        match self {
            Self::Sentinel1(product) => Some(product.absolute_orbit),
            Self::Sentinel5P(product) => Some(product.absolute_orbit),
            _ => None,
        }
    }

    /// Orbit within the repeat cycle: read from the name, for Sentinel-1 computed.
    pub fn relative_orbit(&self) -> Option<u16> {
        match self {
            Self::Sentinel1(product) => product.relative_orbit(),
            Self::Sentinel2(product) => Some(product.relative_orbit),
            Self::Sentinel3(product) => product.relative_orbit(),
            Self::Sentinel5P(_) | Self::Mosaic(_) => None,
        }
    }

    /// The MGRS tile.
    pub fn tile(&self) -> Option<Tile> {
        match self {
            Self::Sentinel2(product) => Some(product.tile),
            Self::Mosaic(product) => Some(product.tile),
            _ => None,
        }
    }
}

/// A product's name without the ending that says how it is packed (protocol.md 3.3: an id with and
/// without `.SAFE` is the same product).
pub fn without_packing(name: &str) -> &str {
    let ending = PACKINGS.iter().filter(|ending| name.ends_with(*ending)).max_by_key(|ending| ending.len());
    ending.and_then(|ending| name.strip_suffix(ending)).filter(|rest| !rest.is_empty()).unwrap_or(name)
}

/// The ways a service may spell the id of the product that a person calls `name`, most likely first.
///
/// Some catalogues end ids in `.SAFE` or `.SEN3`, some do not (protocol.md 3.2, 3.5).
pub fn spellings(name: &str) -> Vec<String> {
    let plain = without_packing(name);
    let mut spellings = vec![name.to_owned()];
    let endings: &[&str] = match Identifier::parse(plain).map(|identifier| identifier.mission()) {
        Some(Mission::Sentinel1 | Mission::Sentinel2) => &["", ".SAFE"],
        Some(Mission::Sentinel3) => &["", ".SEN3"],
        Some(Mission::Sentinel5P) => &["", ".nc"],
        None => &[""],
    };
    for ending in endings {
        let spelling = format!("{plain}{ending}");
        if !spellings.contains(&spelling) {
            spellings.push(spelling);
        }
    }
    spellings
}

#[cfg(test)]
mod made;
#[cfg(test)]
mod tests;
