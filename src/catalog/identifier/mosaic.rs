//! Mosaics: `Sentinel-2_mosaic_2023_Q1_31SDV_0_0`, `Sentinel-1_IW_mosaic_2023_M01_31TCG_0_0`.
//!
//! Source: names of the Copernicus Data Space mosaics (protocol.md 3.5).

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

use super::super::mgrs::Tile;
use super::Mission;
use super::field::number;

/// A mosaic's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mosaic {
    /// Whose images were merged.
    pub mission: Mission,
    /// Four digits.
    pub year: i16,
    /// The part of the year.
    pub period: Period,
    /// The MGRS tile.
    pub tile: Tile,
    /// Start of the period.
    pub start: Timestamp,
    /// End of the period: the next one's start.
    pub stop: Timestamp,
}

/// The part of a year that a mosaic covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// 1–4.
    Quarter(i8),
    /// 1–12.
    Month(i8),
}

impl Mosaic {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (instrument, rest) = name.split_once("_mosaic_")?;
        let mission = match instrument {
            "Sentinel-2" => Mission::Sentinel2,
            _ if instrument.starts_with("Sentinel-1") => Mission::Sentinel1,
            _ => return None,
        };
        let mut fields = rest.split('_');
        let year = fields.next().filter(|year| year.len() == 4)?;
        let period = Period::parse(fields.next()?)?;
        let tile = Tile::parse(fields.next()?)?;
        fields.all(|field| number::<u32>(field).is_some()).then_some(())?;
        let year = number(year)?;
        let (start, stop) = period.of(year)?;
        Some(Self { mission, year, period, tile, start, stop })
    }
}

impl Period {
    fn parse(text: &str) -> Option<Self> {
        if let Some(quarter) = text.strip_prefix('Q') {
            return number(quarter).filter(|quarter| (1..=4).contains(quarter)).map(Self::Quarter);
        }
        let month = number(text.strip_prefix('M')?)?;
        (1..=12).contains(&month).then_some(Self::Month(month))
    }

    /// First instant, and first instant behind.
    fn of(self, year: i16) -> Option<(Timestamp, Timestamp)> {
        let (first, months) = match self {
            Self::Quarter(quarter) => (quarter * 3 - 2, 3),
            Self::Month(month) => (month, 1),
        };
        let last = first + months;
        let (next_year, last) = if last > 12 { (year.checked_add(1)?, last - 12) } else { (year, last) };
        let instant = |year, month| {
            let midnight = Date::new(year, month, 1).ok()?.at(0, 0, 0, 0);
            Offset::UTC.to_timestamp(midnight).ok()
        };
        Some((instant(year, first)?, instant(next_year, last)?))
    }
}
