//! What has been asked of a service and what came, by day and month: the arithmetic, without files.
//!
//! Each count stands under the date that it was made at, so that no clock can take one away: one that goes
//! backwards goes on with an earlier date, and finds that one's counts where they were left.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};

/// Days and months that are kept beside the one that is counted.
const DAYS: usize = 7;
const MONTHS: usize = 13;

/// Requests and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests that were sent, those that failed included.
    pub requests: u64,
    /// Bytes of answers that arrived, without their headers.
    pub bytes: u64,
}

impl Counts {
    /// Whether nothing has been counted.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    pub(super) fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    fn raise_to(&mut self, other: Self) {
        self.requests = self.requests.max(other.requests);
        self.bytes = self.bytes.max(other.bytes);
    }
}

/// For how long something is counted together. Both end at midnight UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// A calendar day.
    Day,
    /// A calendar month.
    Month,
}

impl Period {
    /// The first day of the one that `date` lies in: its name in the book.
    pub(super) fn begin(self, date: Date) -> Date {
        match self {
            Self::Day => date,
            Self::Month => date.first_of_month(),
        }
    }

    /// When the next one begins; the end of time if there is none.
    pub(super) fn end(self, date: Date) -> Timestamp {
        let next = match self {
            Self::Day => date.tomorrow(),
            Self::Month => date.last_of_month().tomorrow(),
        };
        let begins = next.and_then(|next| next.to_zoned(jiff::tz::TimeZone::UTC));
        begins.map_or(Timestamp::MAX, |begins| begins.timestamp())
    }
}

/// A time before which the service wants no request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pause {
    /// When it said so.
    since: Timestamp,
    /// When it may be asked again.
    pub(super) until: Timestamp,
    /// Whether the account's volume is used up, rather than the service busy.
    pub(super) quota: bool,
    /// The whole story, for a person.
    pub(super) why: String,
}

impl Pause {
    pub(super) fn new(now: Timestamp, seconds: i64, quota: bool, why: &str) -> Self {
        let until = now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
        Self { since: now, until, quota, why: why.to_owned() }
    }

    /// Seconds until its end, never more than it was made for: a clock that goes backwards does not prolong it.
    pub(super) fn left(&self, now: Timestamp) -> u64 {
        let seconds = |from: Timestamp| (self.until - from).total(Unit::Second).unwrap_or(0.0);
        // Both are below 2^63, and a negative number becomes 0.
        seconds(now).min(seconds(self.since)).ceil() as u64
    }
}

/// The counts of a service. **Invariant**: of a period they never become less.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Book {
    #[serde(default)]
    days: BTreeMap<Date, Counts>,
    /// By their first days.
    #[serde(default)]
    months: BTreeMap<Date, Counts>,
    #[serde(default)]
    pub(super) pause: Option<Pause>,
}

impl Book {
    /// Counts something at `date`.
    pub(super) fn add(&mut self, date: Date, counts: Counts) {
        for (period, most) in [(Period::Day, DAYS), (Period::Month, MONTHS)] {
            let (pages, begin) = (self.pages(period), period.begin(date));
            pages.entry(begin).or_default().add(counts);
            keep(pages, most, begin);
        }
    }

    /// Counts all that stands in `other`, too.
    pub(super) fn add_all(&mut self, other: &Self) {
        self.merge(other, Counts::add);
    }

    /// Takes up what `other` knew: a file that was removed or put back from a copy lost it.
    pub(super) fn raise_to(&mut self, other: &Self) {
        self.merge(other, Counts::raise_to);
    }

    fn merge(&mut self, other: &Self, how: fn(&mut Counts, Counts)) {
        for (period, most) in [(Period::Day, DAYS), (Period::Month, MONTHS)] {
            let theirs = if period == Period::Day { &other.days } else { &other.months };
            let pages = self.pages(period);
            for (begin, counts) in theirs {
                how(pages.entry(*begin).or_default(), *counts);
                keep(pages, most, *begin);
            }
        }
        if other.pause.as_ref().map(|pause| pause.until) > self.pause.as_ref().map(|pause| pause.until) {
            self.pause.clone_from(&other.pause);
        }
    }

    fn pages(&mut self, period: Period) -> &mut BTreeMap<Date, Counts> {
        match period {
            Period::Day => &mut self.days,
            Period::Month => &mut self.months,
        }
    }

    /// What was counted in the period of `date`.
    pub(super) fn of(&self, period: Period, date: Date) -> Counts {
        let pages = if period == Period::Day { &self.days } else { &self.months };
        pages.get(&period.begin(date)).copied().unwrap_or_default()
    }
}

/// The oldest pages go first, but not the one in use: a clock that was wrong once has left pages of the future.
fn keep(pages: &mut BTreeMap<Date, Counts>, most: usize, used: Date) {
    while pages.len() > most + 1 {
        let Some(oldest) = pages.keys().copied().find(|page| *page != used) else { return };
        pages.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn one(bytes: u64) -> Counts {
        Counts { requests: 1, bytes }
    }

    #[test]
    fn a_day_and_a_month_begin_anew() {
        let mut book = Book::default();
        let (last, first) = (date(2026, 11, 30), date(2026, 12, 1));
        book.add(date(2026, 11, 29), one(5));
        book.add(last, one(7));
        assert_eq!(book.of(Period::Day, last), one(7));
        assert_eq!(book.of(Period::Month, last), Counts { requests: 2, bytes: 12 });
        assert!(book.of(Period::Day, first).is_empty() && book.of(Period::Month, first).is_empty());
        assert_eq!(Period::Day.end(last), Period::Month.end(last));
        assert_eq!(Period::Month.end(date(2026, 12, 5)).to_string(), "2027-01-01T00:00:00Z");
        assert_eq!(Period::Month.end(date(2028, 2, 1)).to_string(), "2028-03-01T00:00:00Z");
    }

    #[test]
    fn a_clock_that_goes_back_and_forth_takes_nothing_away() {
        let mut book = Book::default();
        let (before, after) = (date(2026, 11, 30), date(2026, 12, 1));
        for date in [before, after, before, date(2099, 1, 1), before, after] {
            book.add(date, one(1));
        }
        assert_eq!([before, after].map(|date| book.of(Period::Day, date).requests), [3, 2]);
        assert_eq!([before, after].map(|date| book.of(Period::Month, date).requests), [3, 2]);
    }

    #[test]
    fn pages_of_a_wrong_clock_do_not_push_out_today() {
        let mut book = Book::default();
        (1..=28).for_each(|day| book.add(date(2099, 3, day), one(1)));
        let today = date(2026, 11, 23);
        (0..3).for_each(|_| book.add(today, one(1)));
        assert_eq!(book.of(Period::Day, today).requests, 3);
        assert_eq!(book.days.len(), DAYS + 1);
    }

    #[test]
    fn what_was_known_is_taken_up_again() {
        let today = date(2026, 11, 23);
        let (mut file, mut known) = (Book::default(), Book::default());
        (0..3).for_each(|_| known.add(today, one(10)));
        file.add(today, one(100));
        file.raise_to(&known);
        assert_eq!(file.of(Period::Month, today), Counts { requests: 3, bytes: 100 });
        file.raise_to(&known);
        file.add_all(&known);
        assert_eq!(file.of(Period::Day, today), Counts { requests: 6, bytes: 130 });
    }

    #[test]
    fn nothing_overflows() {
        let (mut book, today) = (Book::default(), date(2026, 11, 23));
        (0..3).for_each(|_| book.add(today, Counts { requests: u64::MAX, bytes: u64::MAX }));
        assert_eq!(book.of(Period::Day, today).bytes, u64::MAX);
        assert_eq!(Period::Day.end(Date::MAX), Timestamp::MAX);
    }

    #[test]
    fn a_pause_ends_at_its_time_whatever_the_clock_does() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let at = |hours: i64| now + jiff::SignedDuration::from_hours(hours);
        let pause = Pause::new(now, 7200, true, "x");
        assert_eq!([now, at(1), at(2), at(9)].map(|now| pause.left(now)), [7200, 3600, 0, 0]);
        assert_eq!(pause.left(at(-50_000)), 7200);
    }

    #[test]
    fn it_is_kept_as_text() {
        let mut book = Book::default();
        book.add(date(2026, 11, 23), one(9));
        book.pause = Some(Pause::new(Timestamp::UNIX_EPOCH, 60, false, "said so"));
        let text = serde_json::to_string(&book).unwrap();
        assert!(text.contains(r#""2026-11-01":{"requests":1,"bytes":9}"#), "{text}");
        assert_eq!(serde_json::from_str::<Book>(&text).unwrap(), book);
    }
}
