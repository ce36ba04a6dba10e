//! Days in a row: what one search asks for and one listing holds.

use jiff::Timestamp;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use std::fmt;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

/// The days from `first` to `last`, both counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Span {
    pub(super) first: Date,
    pub(super) last: Date,
}

impl Span {
    pub(super) fn day(day: Date) -> Self {
        Self { first: day, last: day }
    }

    pub(super) fn month(year: i16, month: i8) -> Self {
        let first = date(year, month, 1);
        Self { first, last: first.last_of_month() }
    }

    pub(super) fn year(year: i16) -> Self {
        Self { first: date(year, 1, 1), last: date(year, 12, 31) }
    }

    pub(super) fn is_day(&self) -> bool {
        self.first == self.last
    }

    /// From the midnight of its first day to the one after its last, UTC (tree.md).
    pub(super) fn window(&self) -> Result<(Timestamp, Timestamp)> {
        let midnight = |date: Date| date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
        let ends = midnight(self.first).and_then(|start| Ok((start, midnight(self.last.tomorrow()?)?)));
        ends.map_err(|_| Error::new(ErrorKind::NotFound, format!("{self} cannot be searched")))
    }

    /// How long its listing holds: today's changes by the minute, last year's hardly ever.
    pub(super) fn keep(&self, now: Timestamp) -> Duration {
        Duration::from_secs(match self.age(now) {
            i32::MIN..=1 => 60,
            2..=30 => 15 * 60,
            31..=365 => 6 * 3600,
            _ => 24 * 3600,
        })
    }

    /// Whether it is so long ago that products hardly appear any more: what was listed then is old, but not
    /// wrong.
    pub(super) fn is_settled(&self, now: Timestamp) -> bool {
        self.age(now) > 30
    }

    /// Days since its last one.
    fn age(&self, now: Timestamp) -> i32 {
        now.to_zoned(TimeZone::UTC).date().since(self.last).map_or(0, |span| span.get_days())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_day() { write!(f, "{}", self.first) } else { write!(f, "{}..{}", self.first, self.last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_hold_by_the_age_of_their_data() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let keep = |day: Date| Span::day(day).keep(now);
        assert_eq!(keep(date(2026, 11, 22)), Duration::from_secs(60));
        assert_eq!(keep(date(2026, 11, 10)), Duration::from_secs(900));
        assert_eq!(keep(date(2026, 9, 24)), Duration::from_secs(6 * 3600));
        assert_eq!(keep(date(2024, 9, 24)), Duration::from_secs(24 * 3600));
        assert_eq!(keep(date(2027, 1, 1)), Duration::from_secs(60));
        assert_eq!(Span::year(2026).keep(now), Duration::from_secs(60));
        assert!(Span::month(2026, 9).is_settled(now) && !Span::month(2026, 10).is_settled(now));
    }

    #[test]
    fn a_day_is_half_open_in_utc() {
        let (start, end) = Span::day(date(2024, 2, 29)).window().unwrap();
        assert_eq!(
            (start.to_string(), end.to_string()),
            ("2024-02-29T00:00:00Z".into(), "2024-03-01T00:00:00Z".into())
        );
        assert_eq!(Span::month(2024, 2).last, date(2024, 2, 29));
    }
}
