//! The settings that limit how much is asked of a Zarr host.

use crate::error::Result;
use crate::fetch::{Limit, Measure, Period};
use crate::settings::quantity::{parse_count, parse_size};
use crate::settings::{CacheB, ZarrRoot};

/// One limit as it is written; empty: none.
struct Written<'a>(&'static str, &'a str, Measure, Period);

impl CacheB {
    /// The limits of `cache-b`.
    ///
    /// # Errors
    /// `Configuration`, naming the key.
    pub fn limits(&self) -> Result<Vec<Limit>> {
        read(
            "cache_b",
            [
                Written("bytes_per_day", &self.bytes_per_day, Measure::Bytes, Period::Day),
                Written("bytes_per_month", &self.bytes_per_month, Measure::Bytes, Period::Month),
                Written("requests_per_day", &self.requests_per_day, Measure::Requests, Period::Day),
                Written("requests_per_month", &self.requests_per_month, Measure::Requests, Period::Month),
            ],
        )
    }
}

impl ZarrRoot {
    /// The limits of this root.
    ///
    /// # Errors
    /// `Configuration`, naming the key.
    pub fn limits(&self) -> Result<Vec<Limit>> {
        read(
            "cache_b.root",
            [
                Written("bytes_per_day", &self.bytes_per_day, Measure::Bytes, Period::Day),
                Written("bytes_per_month", &self.bytes_per_month, Measure::Bytes, Period::Month),
                Written("requests_per_day", &self.requests_per_day, Measure::Requests, Period::Day),
                Written("requests_per_month", &self.requests_per_month, Measure::Requests, Period::Month),
            ],
        )
    }
}

fn read(table: &str, written: [Written<'_>; 4]) -> Result<Vec<Limit>> {
    let limit = |Written(key, text, measure, period): Written<'_>| {
        let setting = format!("{table}.{key}");
        let most = match measure {
            Measure::Bytes => parse_size(&setting, text)?,
            Measure::Requests => parse_count(&setting, text)?,
        };
        Ok(Limit { setting, measure, period, most })
    };
    written.into_iter().filter(|Written(_, text, ..)| !text.trim().is_empty()).map(limit).collect()
}
