//! Sentinel-3: `S3A_OL_2_LFR____20240924T093012_20240924T093312_20240924T113456_0179_117_250_1980_PS1_O_NR_002`.
//!
//! Fixed widths; the 17 characters after the times are a duration, cycle, orbit and frame for pieces of an orbit,
//! `GLOBAL___________` or the name of an area for others. Source: Sentinel-3 PDGS File Naming Convention
//! (EUM/LEO-SEN3/SPE/10/0070), section 3.2.

use jiff::Timestamp;

use super::field::{at, is_code, number, time, underscores};

/// A Sentinel-3 product name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentinel3 {
    /// `A`, `B`, …, or `_` for products of both.
    pub satellite: char,
    /// Source, level and data type with padding, 11 characters: `OL_2_LFR___`.
    pub product_type: String,
    /// `0`, `1`, `2`, or `_`.
    pub level: String,
    /// First instant of the observation.
    pub start: Timestamp,
    /// End of the observation.
    pub stop: Timestamp,
    /// When the product was made.
    pub processed: Timestamp,
    /// What part of the orbit or of the earth.
    pub place: Place,
    /// `NR`, `ST` or `NT`; empty if the name ends early.
    pub timeliness: String,
}

/// The instance field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A piece of an orbit.
    Orbit {
        /// Length of the observation, seconds.
        duration: u32,
        /// Repeat cycle since launch.
        cycle: u16,
        /// Orbit in the cycle, 1–385.
        relative_orbit: u16,
        /// Frame along the orbit, where the product is cut into frames.
        frame: Option<u16>,
    },
    /// A named area, padding removed: `GLOBAL`, `AFRICA`.
    Area(String),
}

impl Sentinel3 {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let product_type = at(name, 4..15)?;
        let good = underscores(name, &[3, 15, 31, 47, 63]) && is_code(product_type);
        good.then_some(())?;
        Some(Self {
            satellite: char::from(*name.as_bytes().get(2)?),
            product_type: product_type.to_owned(),
            level: at(name, 7..8)?.to_owned(),
            start: time(at(name, 16..31)?)?,
            stop: time(at(name, 32..47)?)?,
            processed: time(at(name, 48..63)?)?,
            place: Place::parse(at(name, 64..81)?)?,
            timeliness: at(name, 88..90).unwrap_or_default().to_owned(),
        })
    }

    /// Orbit in the repeat cycle, where the product belongs to one.
    pub fn relative_orbit(&self) -> Option<u16> {
        match &self.place {
            Place::Orbit { relative_orbit, .. } => Some(*relative_orbit),
            Place::Area(_) => None,
        }
    }
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let orbit = || {
            underscores(text, &[4, 8, 12]).then_some(())?;
            Some(Self::Orbit {
                duration: number(at(text, 0..4)?)?,
                cycle: number(at(text, 5..8)?)?,
                relative_orbit: number(at(text, 9..12)?)?,
                frame: number(at(text, 13..17)?),
            })
        };
        let area = text.trim_end_matches('_');
        orbit().or_else(|| is_code(area).then(|| Self::Area(area.to_owned())))
    }
}
