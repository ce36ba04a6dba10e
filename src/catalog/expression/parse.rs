//! The grammar of search expressions, and what is said of a wrong one.
//!
//! ```text
//! expression = condition { "," condition }
//! condition  = "bbox=" west ":" south ":" east ":" north        degrees; 6 numbers: heights are skipped
//!            | "date=" side [ ".." side ]                       side: 2024, 2024-06, 2024-06-01, an instant, or empty
//!            | "cloud" comparison percent                       also by its name, eo:cloud_cover
//!            | "id=" identifier                                 several: any of them
//!            | "tile=" name                                     32TQM or T32TQM
//!            | property comparison value                        any other property; several values: any of them
//! comparison = "=" | "<" | "<=" | ">" | ">="
//! ```
//!
//! In values, `%2C` stands for a comma and `%2F` for a slash, which no name of a directory can hold.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use percent_encoding::percent_decode_str;

use super::super::lenient;
use super::super::mgrs::{Bbox, Tile};
use super::super::quote::quote;
use super::super::stac::Comparison;
use super::super::stac::footprint::normal;
use super::{Attribute, Expression};
use crate::error::{ErrorKind, Result, fail};

/// Conditions of one expression.
const MOST: usize = 100;
/// The longer signs first, so that `<=` is not read as `<`.
const COMPARISONS: [Comparison; 5] = [
    Comparison::LessOrEqual,
    Comparison::GreaterOrEqual,
    Comparison::Less,
    Comparison::Greater,
    Comparison::Equal,
];

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// `InvalidInput`, saying which condition is wrong and what would be right.
    pub fn parse(text: &str) -> Result<Self> {
        let mut expression = Self::default();
        for (number, condition) in text.split(',').enumerate() {
            if number == MOST {
                return wrong(text, &format!("more than {MOST} conditions"));
            }
            expression.add(condition)?;
        }
        Ok(expression)
    }

    fn add(&mut self, condition: &str) -> Result<()> {
        let Some((name, comparison, value)) = split(condition) else {
            return wrong(
                condition,
                "not a condition such as cloud<20, bbox=6:45:8:47, date=2024-06-01..2024-08-31, tile=32TQM or productType=S2MSI2A",
            );
        };
        let Ok(value) = percent_decode_str(value).decode_utf8() else {
            return wrong(condition, "what % stands for is no text");
        };
        let value = value.trim();
        let only_equal = comparison == Comparison::Equal;
        match name {
            "bbox" | "date" | "datetime" | "id" | "tile" if !only_equal => {
                return wrong(condition, &format!("{name} goes with = only"));
            }
            "bbox" if self.boxes.is_empty() => match bbox(value) {
                Some(bbox) => self.boxes.push(bbox),
                None => return wrong(condition, BBOX),
            },
            "date" | "datetime" if self.from.is_none() && self.to.is_none() => match interval(value) {
                Some(sides) => (self.from, self.to) = sides,
                None => return wrong(condition, DATE),
            },
            "tile" if self.tiles.is_empty() => match Tile::parse(value) {
                Some(tile) => self.tiles.push(tile),
                None => return wrong(condition, "not a tile of the MGRS grid, such as tile=32TQM"),
            },
            "bbox" | "date" | "datetime" | "tile" => {
                return wrong(condition, &format!("{name} is there twice"));
            }
            "id" if value.is_empty() => return wrong(condition, "an identifier is expected"),
            "id" => self.ids.push(value.to_owned()),
            "cloud" | "eo:cloud_cover" => match value.trim_end_matches('%').parse::<f64>() {
                Ok(percent) if (0.0..=100.0).contains(&percent) => self.clouds.push((comparison, percent)),
                _ => return wrong(condition, "percent are expected, 0 to 100, as in cloud<20"),
            },
            _ if value.is_empty() => return wrong(condition, "there is no value"),
            _ if !only_equal && !Attribute::has_order(value) => {
                return wrong(condition, &format!("{comparison} needs a number or a time"));
            }
            _ => self.attributes.push(Attribute { name: name.into(), comparison, value: value.into() }),
        }
        Ok(())
    }
}

const BBOX: &str = "four degrees are expected, west:south:east:north, as in bbox=6:45:8:47";
const DATE: &str = "a time or two are expected, the earlier first, as in date=2024-06-01..2024-08-31, date=2024-06 or date=2024..";

fn wrong<T>(condition: &str, reason: &str) -> Result<T> {
    fail(ErrorKind::InvalidInput, format!("search: `{}`: {reason}", quote(condition)))
}

/// Name, comparison and value; the name is a property's.
fn split(condition: &str) -> Option<(&str, Comparison, &str)> {
    let at = condition.find(['<', '>', '='])?;
    let (name, rest) = condition.split_at(at);
    let comparison = COMPARISONS.into_iter().find(|comparison| rest.starts_with(comparison.sign()))?;
    let name = name.trim();
    let plain = |c: char| c.is_alphanumeric() || "_-:.".contains(c);
    (!name.is_empty() && name.chars().all(plain))
        .then(|| (name, comparison, &rest[comparison.sign().len()..]))
}

fn bbox(text: &str) -> Option<Bbox> {
    let numbers: Vec<f64> =
        text.split(':').map(|number| number.trim().parse().ok()).collect::<Option<_>>()?;
    let flat = match *numbers.as_slice() {
        [west, south, east, north] | [west, south, _, east, north, _] => [west, south, east, north],
        _ => return None,
    };
    let on_earth =
        flat[0].abs() <= 180.0 && flat[2].abs() <= 180.0 && flat[1].abs() <= 90.0 && flat[3].abs() <= 90.0;
    normal(flat).filter(|_| on_earth)
}

/// From the first instant to the first one behind; each side may be open, but not both.
fn interval(text: &str) -> Option<(Option<Timestamp>, Option<Timestamp>)> {
    let Some((from, to)) = text.split_once("..") else {
        let (from, to) = period(text)?;
        return Some((Some(from), Some(to)));
    };
    let side = |text: &str| match text.trim() {
        "" => Some(None),
        text => period(text).map(Some),
    };
    let (from, to) = (side(from)?.map(|(from, _)| from), side(to)?.map(|(_, to)| to));
    match (from, to) {
        (None, None) => None,
        (Some(from), Some(to)) if from >= to => None,
        sides => Some(sides),
    }
}

/// The first instant of a year, month, day or instant, and the first one behind it.
fn period(text: &str) -> Option<(Timestamp, Timestamp)> {
    let text = text.trim();
    let digits =
        |text: &str, most: usize| text.len() == most && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = text.split('-').collect();
    let (first, behind) = match *parts.as_slice() {
        [year] if digits(year, 4) => {
            let first = Date::new(year.parse().ok()?, 1, 1).ok()?;
            (first, first.checked_add(1.year()).ok()?)
        }
        [year, month] if digits(year, 4) && digits(month, 2) => {
            let first = Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok()?;
            (first, first.checked_add(1.month()).ok()?)
        }
        [year, month, day] if digits(year, 4) && digits(month, 2) && digits(day, 2) => {
            let first = Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()?;
            (first, first.tomorrow().ok()?)
        }
        _ => {
            let instant = lenient::instant(text)?;
            return Some((instant, instant.checked_add(SignedDuration::from_micros(1)).ok()?));
        }
    };
    let midnight = |date: Date| date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    Some((midnight(first)?, midnight(behind)?))
}
