//! Years, months and days.
//!
//! Years come from arithmetic: listed is what the collection's temporal extent says; any other day up to tomorrow
//! can be looked up too, because extents are often out of date. Months and days also come from arithmetic where a
//! search for them would be a walk through the archive; of a tile, a place or some products, those are listed that
//! hold products.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::bucket::BucketDirectory;
use super::day::DayDirectory;
use super::footprints;
use super::mosaic;
use super::products::{Products, place_of};
use super::scope::Scope;
use super::span::Span;
use crate::catalog::expression::Grain;
use crate::catalog::stac::{Extent, ItemRecord};
use crate::error::{ErrorKind, Result, fail};
use crate::namespace::{Directory, Entry, Kind, Listing, Node};

/// Days before this are not looked up: no Earth observation is older.
const FIRST_YEAR: i16 = 1957;

/// Products of one map or mosaic whose search names no time: decades of a tile.
const MOST: usize = 5_000;

/// A search for so much time may be walked through day by day.
const FEW: SignedDuration = SignedDuration::from_hours(62 * 24);

/// A level of the date tree.
pub(super) struct Dates {
    scope: Scope,
    level: Level,
    /// File names of the bucket that stands above the dates; empty: it stands below them.
    place: Arc<[String]>,
}

/// Which names a level has: arithmetic on the first and the last day.
#[derive(Clone, Copy)]
struct Calendar {
    /// An open start is the first day that can be looked up, an open end today.
    first: Option<Date>,
    last: Option<Date>,
    level: Level,
}

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Years,
    Months(i16),
    Days(i16, i8),
}

/// What a name stands for.
enum Found {
    Level(Level),
    Day(Date),
}

impl Calendar {
    fn extent(&self, today: Date) -> (Date, Date) {
        let last = self.last.unwrap_or(today).min(today);
        (self.first.unwrap_or(date(FIRST_YEAR, 1, 1)), last)
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
}

impl Level {
    fn width(self) -> usize {
        if matches!(self, Self::Years) { 4 } else { 2 }
    }

    /// The number of this level in a date.
    fn number(self, day: Date) -> i16 {
        match self {
            Self::Years => day.year(),
            Self::Months(_) => day.month().into(),
            Self::Days(..) => day.day().into(),
        }
    }

    /// What is searched at once to see which names hold products; `None`: they come from arithmetic.
    fn searched(self, grain: Grain) -> Option<Span> {
        match self {
            Self::Months(year) if grain >= Grain::Year => Some(Span::year(year)),
            Self::Days(year, _) if grain >= Grain::Year => Some(Span::year(year)),
            Self::Days(year, month) if grain >= Grain::Month => Some(Span::month(year, month)),
            _ => None,
        }
    }

    /// What `name` is: a real date up to tomorrow, in its one spelling.
    fn find(self, name: &str, today: Date) -> Option<Found> {
        if name.len() != self.width() || !name.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number: i16 = name.parse().ok()?;
        let small = i8::try_from(number).unwrap_or(0);
        let (found, begins) = match self {
            Self::Years => (Found::Level(Self::Months(number)), Date::new(number, 1, 1).ok()?),
            Self::Months(year) => (Found::Level(Self::Days(year, small)), Date::new(year, small, 1).ok()?),
            Self::Days(year, month) => {
                let day = Date::new(year, month, small).ok()?;
                (Found::Day(day), day)
            }
        };
        let tomorrow = today.checked_add(1.day()).unwrap_or(today);
        (begins.year() >= FIRST_YEAR && begins <= tomorrow).then_some(found)
    }

    /// Whether a name of this level can hold something of an interval whose end is not counted.
    fn meets(self, found: &Found, (from, to): (Option<Timestamp>, Option<Timestamp>)) -> bool {
        let span = match *found {
            Found::Level(Self::Months(year)) => Span::year(year),
            Found::Level(Self::Days(year, month)) => Span::month(year, month),
            Found::Day(day) => Span::day(day),
            Found::Level(Self::Years) => return true,
        };
        let Ok((first, behind)) = span.window() else { return false };
        from.is_none_or(|from| from < behind) && to.is_none_or(|to| to > first)
    }
}

impl Dates {
    /// The years of a scope. `place`: the bucket that all of it lies in, if that stands above.
    pub(super) fn years(scope: Scope, place: Vec<String>) -> Self {
        Self { scope, level: Level::Years, place: place.into() }
    }

    /// What can be said without a search; `None`: whether there is such a day has to be asked.
    fn find(&self, name: &str) -> Option<Result<Node>> {
        if self.level == Level::Years && (name == footprints::NAME || mosaic::asked(name).is_some()) {
            return None;
        }
        let interval = self.scope.expression.interval();
        let found = self.level.find(name, today()).filter(|found| self.level.meets(found, interval));
        match found {
            Some(Found::Level(level)) => {
                let (scope, place) = (self.scope.clone(), Arc::clone(&self.place));
                Some(Ok(Node::directory(Self { scope, level, place })))
            }
            Some(Found::Day(date)) if self.place.is_empty() => {
                Some(Ok(Node::directory(DayDirectory { scope: self.scope.clone(), date })))
            }
            Some(Found::Day(_)) => None,
            None => Some(fail(ErrorKind::NotFound, format!("{name} is not a date that can be here"))),
        }
    }

    /// First and last day of what is searched for, as far as known.
    fn days(&self, extent: Extent) -> (Option<Date>, Option<Date>) {
        let day = |instant: Timestamp| instant.to_zoned(TimeZone::UTC).date();
        let (from, to) = self.scope.expression.interval();
        // The end of an expression is not counted any more; that of an extent is.
        let to = to.and_then(|to| to.checked_sub(1.nanosecond()).ok());
        let first = extent.start.into_iter().chain(from).max().map(day);
        (first, extent.end.into_iter().chain(to).min().map(day))
    }

    async fn calendar(&self) -> Result<Calendar> {
        let extent = self.scope.archive.extent(&self.scope.collection).await?;
        let (first, last) = self.days(extent);
        Ok(Calendar { first, last, level: self.level })
    }

    async fn numbers(&self) -> Result<Vec<i16>> {
        let calendar = self.calendar().await?;
        let Some(span) = self.level.searched(self.scope.expression.grain()) else {
            return Ok(calendar.numbers(today()));
        };
        let here = |day: &Date| match self.level {
            Level::Days(_, month) => day.month() == month,
            _ => true,
        };
        let products = self.scope.products(span).await?;
        let days = products.days(&self.place).filter(here);
        Ok(days.map(|day| self.level.number(day)).collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// All that is found, in one map or mosaic: only where that is not a walk through the archive.
    async fn together(&self, name: &str) -> Result<Node> {
        if self.scope.expression.grain() == Grain::Day {
            return fail(ErrorKind::NotFound, "too much is found here for one map: add bbox, tile or id");
        }
        let calendar = self.calendar().await?;
        let (first, last) = calendar.extent(today());
        let found = match self.scope.expression.is_bounded() {
            true => vec![self.scope.products(Span { first, last }).await?],
            false => self.history(name, calendar.first, last).await?,
        };
        let here = |record: &&ItemRecord| place_of(record).starts_with(&self.place);
        let records = found.iter().flat_map(|products| &products.records).filter(here).cloned().collect();
        let path = match self.place.is_empty() {
            true => footprints::path_by_date,
            false => footprints::path_by_date_alone,
        };
        match mosaic::asked(name) {
            Some(kind) => mosaic::node(&self.scope, kind, records, path).await,
            None => Ok(footprints::node(records, path)),
        }
    }

    /// The products of all years or months, whichever days are listed from, too. The last one first, so that too many
    /// are noticed early.
    ///
    /// # Errors
    /// `TooLarge` where they are no bounded number of searches or too many; what the service met.
    async fn history(&self, name: &str, first: Option<Date>, last: Date) -> Result<Vec<Arc<Products>>> {
        let too_much = |count: &str| {
            let year = last.year();
            let reason =
                format!("{name}: {count} would be in it: use a search with a time, such as date={year}");
            fail(ErrorKind::TooLarge, reason)
        };
        let Some(first) = first else { return too_much("all of the archive's time") };
        let years = (first.year()..=last.year()).rev();
        let spans: Vec<Span> = match self.scope.expression.grain() {
            Grain::Year => years.map(Span::year).collect(),
            _ => years.flat_map(|year| (1..=12).rev().map(move |month| Span::month(year, month))).collect(),
        };
        let (mut found, mut count) = (Vec::new(), 0);
        for span in spans.into_iter().filter(|span| span.last >= first && span.first <= last) {
            let products = self.scope.products(span).await?;
            count += products.records.len();
            if count > MOST {
                return too_much(&format!("more than {MOST} products"));
            }
            found.push(products);
        }
        Ok(found)
    }
}

fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

impl Directory for Dates {
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Node>> {
        Box::pin(async move {
            if let Some(found) = self.find(name) {
                return found;
            }
            match self.level.find(name, today()) {
                Some(Found::Day(day)) => {
                    let products = self.scope.products(Span::day(day)).await?;
                    BucketDirectory::node(&self.scope, products, self.place.to_vec(), day)
                }
                _ => self.together(name).await,
            }
        })
    }

    fn at_hand(&self, name: &str) -> Option<Result<Node>> {
        self.find(name)
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        Box::pin(async {
            let width = self.level.width();
            let name = |number: i16| format!("{number:0width$}");
            let names = self.numbers().await?.into_iter().map(name);
            let names = names.map(|name| Entry::named(name, Kind::Directory));
            let map = self.level == Level::Years && self.scope.expression.is_bounded();
            let map = map.then(|| Entry::named(footprints::NAME, Kind::File));
            Ok(Listing::of(names.chain(map).collect()))
        })
    }

    /// Where each day is a search of its own, unless the search itself is for few days.
    fn is_vast(&self) -> bool {
        let few = match self.scope.expression.interval() {
            (Some(from), Some(to)) => to.duration_since(from) <= FEW,
            _ => false,
        };
        let by_day = self.scope.expression.grain() == Grain::Day;
        by_day && !few && !matches!(self.level, Level::Days(..))
    }

    fn absent_for(&self) -> Duration {
        Duration::from_secs(if self.place.is_empty() { 600 } else { 60 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(level: Level) -> Calendar {
        Calendar { first: Some(date(2014, 10, 3)), last: Some(date(2024, 9, 24)), level }
    }

    #[test]
    fn the_extent_is_listed() {
        let today = date(2026, 11, 22);
        assert_eq!(calendar(Level::Years).numbers(today), (2014..=2024).collect::<Vec<_>>());
        assert_eq!(calendar(Level::Months(2014)).numbers(today), [10, 11, 12]);
        assert_eq!(calendar(Level::Days(2014, 10)).numbers(today).len(), 29);
        assert_eq!(calendar(Level::Days(2024, 2)).numbers(today).len(), 29);
        assert_eq!(Calendar { last: None, ..calendar(Level::Months(2026)) }.numbers(today).len(), 11);
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
            assert!(right.iter().all(|name| at.find(name, today).is_some()), "{right:?}");
            assert!(wrong.iter().all(|name| at.find(name, today).is_none()), "{wrong:?}");
        }
    }
}
