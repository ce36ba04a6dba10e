//! Sentinel-2: `S2A_MSIL2A_20240924T101031_N0511_R022_T32TQM_20240924T160000`.
//!
//! Source: Sentinel-2 Products Specification, compact naming convention (since December 2016).

use jiff::Timestamp;

use super::super::mgrs::Tile;
use super::field::{number, time};

/// A Sentinel-2 product name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentinel2 {
    /// `A`, `B`, `C` or `D`.
    pub satellite: char,
    /// `MSIL1C` or `MSIL2A`.
    pub product_type: String,
    /// `1C` or `2A`.
    pub level: String,
    /// Start of the data take.
    pub start: Timestamp,
    /// Processing baseline without the dot: 511 is 05.11.
    pub baseline: u16,
    /// 1–143.
    pub relative_orbit: u16,
    /// The MGRS tile.
    pub tile: Tile,
    /// Product discriminator: close to when the product was made.
    pub processed: Timestamp,
}

impl Sentinel2 {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut fields = name.split('_');
        let satellite = fields.next()?.chars().nth(2)?;
        let product_type = fields.next()?;
        let level = product_type.strip_prefix("MSIL").filter(|level| matches!(*level, "1B" | "1C" | "2A"))?;
        let start = time(fields.next()?)?;
        let baseline = number(fields.next()?.strip_prefix('N')?)?;
        let relative_orbit = number(fields.next()?.strip_prefix('R')?)?;
        let tile = Tile::parse(fields.next().filter(|tile| tile.starts_with('T'))?)?;
        let processed = time(fields.next()?)?;
        Some(Self {
            satellite,
            product_type: product_type.to_owned(),
            level: level.to_owned(),
            start,
            baseline,
            relative_orbit,
            tile,
            processed,
        })
    }
}
