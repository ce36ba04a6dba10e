//! The products of some days, as they were found by one search: by place and by name.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tokio::time::Instant;

use super::product::names_of;
use super::span::Span;
use crate::catalog::bucket;
use crate::catalog::stac::ItemRecord;
use crate::namespace::FIXED;
use crate::namespace::name::encode;

/// What a record costs, about, without its id and outline, its place and names included.
const RECORD: usize = 500;

/// How old a listing is, and how long it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Age {
    /// When its search ended.
    pub(super) fetched: Instant,
    /// The same for the shelf, which outlives the process.
    pub(super) fetched_at: Timestamp,
    pub(super) keep: Duration,
    /// Whether it is complete and of days that hardly change any more.
    pub(super) settled: bool,
}

impl Age {
    pub(super) fn is_fresh(&self) -> bool {
        !self.left().is_zero()
    }

    /// How long it still holds.
    pub(super) fn left(&self) -> Duration {
        self.keep.saturating_sub(self.fetched.elapsed())
    }
}

/// The products that a search found.
pub(super) struct Products {
    /// In the order of their ids, each once.
    pub(super) records: Vec<ItemRecord>,
    /// The records of each bucket, by the file names of its levels.
    pub(super) places: BTreeMap<Vec<String>, Vec<usize>>,
    /// The record behind each file name that a product answers to, by the hash of the name: names would be half of the
    /// memory.
    names: HashMap<u64, u32>,
    hasher: RandomState,
    pub(super) age: Age,
    /// No other listing of this mount has the same.
    pub(super) number: u64,
}

/// Numbers of listings; 0 is for what never changes.
static NUMBERS: AtomicU64 = AtomicU64::new(FIXED + 1);

impl Products {
    pub(super) fn new(mut records: Vec<ItemRecord>, age: Age) -> Self {
        records.sort_by(|one, two| one.id.cmp(&two.id));
        records.dedup_by(|one, two| one.id == two.id);
        records.shrink_to_fit();
        let mut places: BTreeMap<Vec<String>, Vec<usize>> = BTreeMap::new();
        let (mut names, hasher) = (HashMap::new(), RandomState::new());
        for (index, record) in records.iter().enumerate() {
            places.entry(place_of(record)).or_default().push(index);
            for name in names_of(record) {
                names.entry(hasher.hash_one(&*name)).or_insert(index as u32);
            }
        }
        names.shrink_to_fit();
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        Self { records, places, names, hasher, age, number }
    }

    /// The product that answers to a file name.
    pub(super) fn named(&self, name: &str) -> Option<&ItemRecord> {
        let index = self.names.get(&self.hasher.hash_one(name))?;
        // Two names of one hash are as good as impossible, and then one of them is not found.
        self.records.get(*index as usize).filter(|record| names_of(record).any(|known| known == name))
    }

    /// Those of one day among them.
    pub(super) fn of_day(&self, day: Date) -> Self {
        let here = |record: &&ItemRecord| day_of(record) == Some(day);
        Self::new(self.records.iter().filter(here).cloned().collect(), self.age)
    }

    /// The days that have products below the bucket `path`.
    pub(super) fn days(&self, path: &[String]) -> impl Iterator<Item = Date> {
        let records =
            self.records.iter().filter(move |record| path.is_empty() || place_of(record).starts_with(path));
        records.filter_map(day_of)
    }

    /// What it takes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        RECORD + self.records.iter().map(|record| RECORD + record.bytes()).sum::<usize>()
    }
}

/// The file names of the bucket's levels.
pub(super) fn place_of(record: &ItemRecord) -> Vec<String> {
    bucket(record).iter().map(|name| encode(name)).collect()
}

/// The day that a product is filed under.
pub(super) fn day_of(record: &ItemRecord) -> Option<Date> {
    record.instant().map(|instant| instant.to_zoned(TimeZone::UTC).date())
}

/// Whether an item belongs into the listing of `span`. One without an instant was found by the search and is
/// taken at its word.
pub(super) fn belongs(record: &ItemRecord, span: Span) -> bool {
    day_of(record).is_none_or(|day| span.first <= day && day <= span.last)
}
