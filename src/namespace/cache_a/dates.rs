//! Years, months and days from arithmetic: no request.
//!
//! Listed is what the collection's temporal extent says; any other day up to tomorrow can be looked up too,
//! because extents are often out of date.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::catalog::stac::Collection;
use crate::error::{ErrorKind, Result, fail};
use crate::namespace::cache_a::archive::Archive;
use crate::namespace::cache_a::day::DayDirectory;
use crate::namespace::{Directory, Entry, Kind, Listing, Node};

/// Days before this are not looked up: no Earth observation is older.
const FIRST_YEAR: i16 = 1957;

/// A level of the date tree.
pub(super) struct Dates {
    archive: Arc<Archive>,
    collection: Arc<str>,
    calendar: Calendar,
}

/// Which names a level has: arithmetic on the collection's extent.
#[derive(Clone, Copy)]
struct Calendar {
    /// An open start is the first day that can be looked up, an open end today.
    first: Option<Date>,
    last: Option<Date>,
    level: Level,
}

#[derive(Clone, Copy)]
enum Level {
    Years,
    Months(i16),
    Days(i16, i8),
}

/// What a name stands for.
enum Found {
    Level(Calendar),
    Day(Date),
}

impl Calendar {
    fn extent(&self, today: Date) -> (Date, Date) {
        let last = self.last.unwrap_or(today).min(today);
        (self.first.unwrap_or(date(FIRST_YEAR, 1, 1)).min(last), last)
    }

    /// The numbers that this level lists.
    fn numbers(&self, today: Date) -> Vec<i16> {
        let (first, last) = self.extent(today);
        let within = |from: Date, to: Date| from <= last && to >= first;
        match self.level {
            Level::Years => (first.year()..=last.year()).collect(),
            Level::Months(year) => {
                let month = |month: i8| date(year, month, 1);
                (1..=12).filter(|n| within(month(*n), month(*n).last_of_month())).map(i16::from).collect()
            }
            Level::Days(year, month) => {
                let days = date(year, month, 1).days_in_month();
                let day = |day: i8| date(year, month, day);
                (1..=days).filter(|n| within(day(*n), day(*n))).map(i16::from).collect()
            }
        }
    }

    fn width(&self) -> usize {
        if matches!(self.level, Level::Years) { 4 } else { 2 }
    }

    /// What `name` is: a real date up to tomorrow, in its one spelling.
    fn find(&self, name: &str, today: Date) -> Option<Found> {
        if name.len() != self.width() || !name.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number: i16 = name.parse().ok()?;
        let small = i8::try_from(number).unwrap_or(0);
        let below = |level| Found::Level(Self { level, ..*self });
        let (found, begins) = match self.level {
            Level::Years => (below(Level::Months(number)), Date::new(number, 1, 1).ok()?),
            Level::Months(year) => (below(Level::Days(year, small)), Date::new(year, small, 1).ok()?),
            Level::Days(year, month) => {
                let day = Date::new(year, month, small).ok()?;
                (Found::Day(day), day)
            }
        };
        let tomorrow = today.checked_add(1.day()).unwrap_or(today);
        (begins.year() >= FIRST_YEAR && begins <= tomorrow).then_some(found)
    }
}

impl Dates {
    /// The years of a collection.
    pub(super) fn years(archive: Arc<Archive>, collection: &Collection) -> Self {
        let day = |instant: Timestamp| instant.to_zoned(TimeZone::UTC).date();
        let (first, last) = (collection.extent.start.map(day), collection.extent.end.map(day));
        let calendar = Calendar { first, last, level: Level::Years };
        Self { archive, collection: collection.id.as_str().into(), calendar }
    }

    fn find(&self, name: &str) -> Result<Node> {
        let (archive, collection) = (Arc::clone(&self.archive), Arc::clone(&self.collection));
        match self.calendar.find(name, today()) {
            Some(Found::Level(calendar)) => Ok(Node::directory(Self { archive, collection, calendar })),
            Some(Found::Day(date)) => Ok(Node::directory(DayDirectory::new(archive, collection, date))),
            None => fail(ErrorKind::NotFound, format!("{name} is not a date of this collection")),
        }
    }
}

fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

impl Directory for Dates {
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Node>> {
        Box::pin(async move { self.find(name) })
    }

    fn at_hand(&self, name: &str) -> Option<Result<Node>> {
        Some(self.find(name))
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        Box::pin(async {
            let width = self.calendar.width();
            let name = |number: i16| format!("{number:0width$}");
            let names = self.calendar.numbers(today()).into_iter().map(name);
            Ok(Listing::of(names.map(|name| Entry::named(name, Kind::Directory)).collect()))
        })
    }

    fn absent_for(&self) -> Duration {
        Duration::from_secs(600)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(level: Level) -> Calendar {
        Calendar { first: Some(date(2014, 10, 3)), last: Some(date(2024, 9, 24)), level }
    }

    #[test]
    fn the_extent_is_listed() {
        let today = date(2026, 11, 22);
        assert_eq!(level(Level::Years).numbers(today), (2014..=2024).collect::<Vec<_>>());
        assert_eq!(level(Level::Months(2014)).numbers(today), [10, 11, 12]);
        assert_eq!(level(Level::Days(2014, 10)).numbers(today).len(), 29);
        assert_eq!(level(Level::Days(2024, 2)).numbers(today).len(), 29);
        assert_eq!(Calendar { last: None, ..level(Level::Months(2026)) }.numbers(today).len(), 11);
    }

    #[test]
    fn only_real_dates_in_their_one_spelling_exist() {
        let today = date(2026, 11, 22);
        for (at, right, wrong) in [
            (Level::Years, &["2024", "1999"][..], &["24", "02024", "1900", "2027", "x", "-024", ""][..]),
            (Level::Months(2024), &["01", "12"], &["1", "13", "00", "+1"]),
            (Level::Days(2024, 2), &["29"], &["30", "00", "9"]),
            (Level::Days(2026, 11), &["22", "23"], &["24"]),
        ] {
            assert!(right.iter().all(|name| level(at).find(name, today).is_some()), "{right:?}");
            assert!(wrong.iter().all(|name| level(at).find(name, today).is_none()), "{wrong:?}");
        }
    }
}
