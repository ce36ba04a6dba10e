//! Own limits of what is asked of a service, and how far they are used up.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::error::{Error, ErrorKind};
use crate::fetch::book::{Book, Period};

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The number of requests.
    Requests,
    /// The bytes of answers.
    Bytes,
}

/// A limit that the user has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The key of the configuration, with its table.
    pub setting: String,
    /// What is limited.
    pub measure: Measure,
    /// And for how long.
    pub period: Period,
    /// Requests or bytes.
    pub most: u64,
}

/// A limit and how far it is used up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    /// The limit.
    pub limit: Limit,
    /// Requests or bytes that have been counted.
    pub used: u64,
    /// When it begins anew.
    pub until: Timestamp,
}

impl Limit {
    pub(super) fn spent(&self, book: &Book, today: Date) -> Spent {
        let counts = book.of(self.period, today);
        let used = match self.measure {
            Measure::Requests => counts.requests,
            Measure::Bytes => counts.bytes,
        };
        Spent { limit: self.clone(), used, until: self.period.end(today) }
    }
}

impl Spent {
    /// Whether nothing more may be asked for.
    pub fn is_used_up(&self) -> bool {
        self.used >= self.limit.most
    }

    /// Whether four fifths are used up, or all of it.
    pub fn is_near(&self) -> bool {
        u128::from(self.used) * 5 >= u128::from(self.limit.most) * 4
    }

    /// Hundredths that are used up.
    pub fn percent(&self) -> u64 {
        let most = u128::from(self.limit.most.max(1));
        u64::try_from(u128::from(self.used) * 100 / most).unwrap_or(u64::MAX)
    }

    /// The limit for a person.
    pub fn most(&self) -> String {
        shown(self.limit.measure, self.limit.most)
    }

    /// What is used of it for a person.
    pub fn used(&self) -> String {
        shown(self.limit.measure, self.used)
    }

    pub(super) fn refusal(&self, service: &str) -> Error {
        let (setting, until) = (&self.limit.setting, self.until);
        let story = format!(
            "{service}: the limit `{setting}` of {} is used up until {until:.0}; what is cached can be read, and a \
             higher limit in the configuration holds from the next mount on",
            self.most(),
        );
        Error::new(ErrorKind::QuotaExceeded, story)
    }

    pub(super) fn warning(&self, service: &str) -> String {
        let (setting, until, percent) = (&self.limit.setting, self.until, self.percent());
        format!(
            "{service}: {percent} % of the limit `{setting}` are used up, {} of {}; it begins anew at {until:.0}",
            self.used(),
            self.most(),
        )
    }
}

/// What may still be asked for; `None` where there is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Bytes.
    pub bytes: Option<Share>,
    /// Requests.
    pub requests: Option<Share>,
}

/// A limit in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// All there is.
    pub most: u64,
    /// What is left of it.
    pub left: u64,
}

impl Allowance {
    /// Of the limits of one measure the one of which the least is left.
    pub(super) fn of(limits: &[Spent]) -> Self {
        let least = |measure| {
            let limits = limits.iter().filter(|spent| spent.limit.measure == measure);
            let shares = limits.map(|spent| {
                let most = spent.limit.most;
                Share { most, left: most.saturating_sub(spent.used) }
            });
            shares.min_by_key(|share| share.left)
        };
        Self { bytes: least(Measure::Bytes), requests: least(Measure::Requests) }
    }

    /// Of several services together, as far as they are limited.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let sum = |one: Option<Share>, two: Option<Share>| match (one, two) {
            (Some(one), Some(two)) => Some(Share {
                most: one.most.saturating_add(two.most),
                left: one.left.saturating_add(two.left),
            }),
            (one, two) => one.or(two),
        };
        Self { bytes: sum(self.bytes, other.bytes), requests: sum(self.requests, other.requests) }
    }

    /// Whether anything is limited.
    pub fn is_limited(self) -> bool {
        self.bytes.is_some() || self.requests.is_some()
    }
}

/// A count for a person, as exact as a setting is written.
fn shown(measure: Measure, count: u64) -> String {
    match measure {
        Measure::Requests => format!("{count} requests"),
        Measure::Bytes => {
            const UNITS: [(&str, u64); 4] =
                [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
            match UNITS.iter().find(|(_, unit)| count >= *unit) {
                Some((name, unit)) if count.is_multiple_of(*unit) => format!("{} {name}", count / unit),
                Some((name, unit)) => format!("{:.1} {name}", count as f64 / *unit as f64),
                None => format!("{count} bytes"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(measure: Measure, used: u64, most: u64) -> Spent {
        let limit = Limit { setting: "cache_b.x".into(), measure, period: Period::Day, most };
        Spent { limit, used, until: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn near_is_four_fifths_and_zero_allows_nothing() {
        let near = |used, most| spent(Measure::Bytes, used, most).is_near();
        assert_eq!([near(79, 100), near(80, 100), near(u64::MAX, u64::MAX)], [false, true, true]);
        assert!(spent(Measure::Requests, 0, 0).is_used_up());
        assert_eq!(spent(Measure::Requests, u64::MAX, 1).percent(), u64::MAX);
    }

    #[test]
    fn the_refusal_names_setting_limit_and_end() {
        let error = spent(Measure::Bytes, 9, 20 << 30).refusal("cache-b");
        assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
        for part in ["cache-b", "`cache_b.x`", "20 GiB", "1970-01-01T00:00:00Z", "cached"] {
            assert!(error.message().contains(part), "{error}");
        }
        let warning = spent(Measure::Requests, 410_000, 500_000).warning("cache-b");
        assert!(warning.contains("82 %") && warning.contains("410000 requests of 500000"), "{warning}");
    }

    #[test]
    fn the_least_that_is_left_counts_and_services_add_up() {
        let limits = [
            spent(Measure::Bytes, 10, 100),
            spent(Measure::Bytes, 990, 1000),
            spent(Measure::Requests, 9, 5),
        ];
        let one = Allowance::of(&limits);
        assert_eq!(one.bytes, Some(Share { most: 1000, left: 10 }));
        assert_eq!(one.requests, Some(Share { most: 5, left: 0 }));
        assert_eq!(one.and(one).bytes, Some(Share { most: 2000, left: 20 }));
        assert_eq!(one.and(Allowance::default()), one);
        assert!(!Allowance::default().is_limited());
    }
}
