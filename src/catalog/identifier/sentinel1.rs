//! Sentinel-1: `S1A_IW_SLC__1SDV_20240924T053504_20240924T053531_055810_06D1F5_ABCD`.
//!
//! Source: Sentinel-1 Product Specification, naming convention. The last field (a checksum) is missing in some
//! catalogues, and repackaged products append their own (`_COG`).

use jiff::Timestamp;

use super::field::{at, is_code, number, time, underscores};

/// Orbits of a repeat cycle.
const CYCLE: u32 = 175;

/// A Sentinel-1 product name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentinel1 {
    /// `A`, `B`, `C` or `D`.
    pub satellite: char,
    /// `IW`, `EW`, `WV`, `S1`–`S6`, …
    pub mode: String,
    /// With padding: `SLC_`, `GRDH`, `OCN_`, `RAW_`.
    pub product_type: String,
    /// `0`, `1` or `2`.
    pub level: String,
    /// `SH`, `SV`, `DH`, `DV`, …
    pub polarisation: String,
    /// First instant of the observation.
    pub start: Timestamp,
    /// End of the observation.
    pub stop: Timestamp,
    /// Orbit since launch.
    pub absolute_orbit: u32,
    /// Data take, hexadecimal as written.
    pub data_take: String,
}

impl Sentinel1 {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let mode = at(name, 4..6)?;
        let product_type = at(name, 7..11)?;
        let level = at(name, 12..13)?;
        let polarisation = at(name, 14..16)?;
        let data_take = at(name, 56..62)?;
        let rest = at(name, 62..name.len())?;
        let good = underscores(name, &[3, 6, 11, 16, 32, 48, 55])
            && is_code(mode)
            && is_code(product_type)
            && is_code(polarisation)
            && level.bytes().all(|b| b.is_ascii_digit())
            && data_take.bytes().all(|b| b.is_ascii_hexdigit())
            && (rest.is_empty() || rest.starts_with('_'));
        good.then_some(())?;
        Some(Self {
            satellite: char::from(*name.as_bytes().get(2)?),
            mode: mode.to_owned(),
            product_type: product_type.to_owned(),
            level: level.to_owned(),
            polarisation: polarisation.to_owned(),
            start: time(at(name, 17..32)?)?,
            stop: time(at(name, 33..48)?)?,
            absolute_orbit: number(at(name, 49..55)?)?,
            data_take: data_take.to_owned(),
        })
    }

    /// The track on the ground, 1–175, from the absolute orbit (tree.md "Tile level"). The satellites were
    /// phased differently; for one whose offset is not known the answer is `None`.
    pub fn relative_orbit(&self) -> Option<u16> {
        let offset: u32 = match self.satellite {
            'A' => 73,
            'B' => 27,
            'C' => 172,
            _ => return None,
        };
        // Adding a cycle keeps the first orbits after launch from going below zero.
        let phase = (self.absolute_orbit.checked_add(CYCLE)? - offset) % CYCLE;
        u16::try_from(phase + 1).ok()
    }
}
