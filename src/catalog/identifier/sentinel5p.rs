//! Sentinel-5P: `S5P_OFFL_L2__NO2____20240924T101010_20240924T115140_35998_03_020701_20240926T050505`.
//!
//! Fixed widths. Source: Sentinel-5P File Naming Convention (S5P-RS-ESA-SY-0002 tailoring), section 3.

use jiff::Timestamp;

use super::field::{at, is_code, number, time, underscores};

/// A Sentinel-5P product name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentinel5P {
    /// `NRTI`, `OFFL`, `RPRO`.
    pub class: String,
    /// With padding, 10 characters: `L2__NO2___`.
    pub product_type: String,
    /// First instant of the observation.
    pub start: Timestamp,
    /// End of the observation.
    pub stop: Timestamp,
    /// Orbit since launch.
    pub absolute_orbit: u32,
    /// Collection number.
    pub collection: u8,
    /// Processor version as written, for example `020701`.
    pub version: String,
    /// When the product was made.
    pub processed: Timestamp,
}

impl Sentinel5P {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let class = at(name, 4..8)?;
        let product_type = at(name, 9..19)?;
        let version = at(name, 61..67)?;
        let good = underscores(name, &[3, 8, 19, 35, 51, 57, 60, 67])
            && is_code(class)
            && is_code(product_type)
            && version.bytes().all(|b| b.is_ascii_digit());
        good.then_some(())?;
        Some(Self {
            class: class.to_owned(),
            product_type: product_type.to_owned(),
            start: time(at(name, 20..35)?)?,
            stop: time(at(name, 36..51)?)?,
            absolute_orbit: number(at(name, 52..57)?)?,
            collection: number(at(name, 58..60)?)?,
            version: version.to_owned(),
            processed: time(at(name, 68..83)?)?,
        })
    }

    /// `1B` or `2`, from the product type.
    pub fn level(&self) -> &str {
        let level = self.product_type.strip_prefix('L').unwrap_or_default();
        level.split('_').next().unwrap_or_default()
    }
}
