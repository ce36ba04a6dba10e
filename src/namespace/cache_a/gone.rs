//! What leaves a rolling archive (protocol.md 3.1).
//!
//! That a product has gone shows in two ways: a new listing is without it, or a file of it is not found. Then nothing
//! that was known of its day is believed any more. What is left of it are the files that are complete on disk: as long
//! as there are any, it stays where it was, with those only.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use parking_lot::Mutex;

use super::archive::Archive;
use super::products::{Products, day_of, place_of};
use super::span::Span;
use crate::catalog::stac::{Asset, Item, ItemRecord};

/// Seconds between two doubts about a day: a catalogue that lists what its service has not must not be searched anew for
/// each file.
const PAUSE: i64 = 60;
/// Days in doubt that are remembered.
const MOST: usize = 1000;

/// When something of a collection's day was not found.
#[derive(Default)]
pub(super) struct Doubts(Mutex<HashMap<Day, Timestamp>>);

/// Of which collection; none for products without a date.
type Day = (Arc<str>, Option<Date>);

impl Doubts {
    fn note(&self, collection: &Arc<str>, day: Option<Date>, now: Timestamp) {
        let mut doubts = self.0.lock();
        if doubts.len() >= MOST {
            // What was known before is as good as expired anyway, mostly.
            doubts.clear();
        }
        let last = doubts.entry((Arc::clone(collection), day)).or_insert(Timestamp::MIN);
        if now.as_second() >= last.as_second().saturating_add(PAUSE) {
            *last = now;
        }
    }

    /// Whether what was learnt of a day at `fetched` is in doubt.
    fn meet(&self, collection: &Arc<str>, day: Option<Date>, fetched: Timestamp) -> bool {
        let doubts = self.0.lock();
        // The usual case, asked for each name.
        !doubts.is_empty() && doubts.get(&(Arc::clone(collection), day)).is_some_and(|when| fetched <= *when)
    }
}

impl Archive {
    /// A file of the product `id` was not found.
    pub(super) async fn lost(&self, collection: &Arc<str>, id: &str, day: Option<Date>) {
        tracing::info!(%collection, id, "the service has lost a file; its listing is asked for again");
        self.doubts.note(collection, day, Timestamp::now());
        self.forget(collection, id).await;
    }

    /// Whether something was not found of this day since it was listed.
    pub(super) fn doubts_listing(&self, collection: &Arc<str>, span: Span, fetched: Timestamp) -> bool {
        // Of longer spans a product more or less is not worth a search through all of it.
        span.is_day() && self.doubts.meet(collection, Some(span.first), fetched)
    }

    /// The same of an item.
    pub(super) fn doubts_item(&self, collection: &Arc<str>, item: &Item, fetched: Timestamp) -> bool {
        self.doubts.meet(collection, day_of(&item.record), fetched)
    }

    /// Those of the products `before` that are not `now`, and of which something is left. `place`: the first level of
    /// the buckets that were searched; all without it.
    pub(super) async fn remains(
        &self,
        collection: &Arc<str>,
        before: &Products,
        now: &[ItemRecord],
        place: Option<&str>,
    ) -> Vec<ItemRecord> {
        let there: HashSet<&str> = now.iter().map(|record| &*record.id).collect();
        let here = |record: &&ItemRecord| {
            place.is_none_or(|place| place_of(record).first().is_some_and(|first| first == place))
        };
        let mut remains = Vec::new();
        for record in before.records.iter().filter(here).filter(|record| !there.contains(&*record.id)) {
            let item = self.recall_item(collection, &record.id).await;
            if item.is_some_and(|item| self.is_left(&item.what)) {
                remains.push(ItemRecord { gone: true, ..record.clone() });
            }
        }
        remains
    }

    /// Whether a product is known to have gone, as far as its item is in memory.
    pub(super) fn is_gone(&self, collection: &Arc<str>, id: &str) -> bool {
        self.item_at_hand(collection, id).is_some_and(|item| item.record.gone)
    }

    /// Whether some file of an item is complete on disk.
    pub(super) fn is_left(&self, item: &Item) -> bool {
        item.assets.iter().any(|asset| self.is_complete(asset))
    }

    /// Whether a file is complete on disk.
    pub(super) fn is_complete(&self, asset: &Asset) -> bool {
        self.remote(asset).is_some_and(|remote| self.options.store.cached(&remote).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_in_doubt_once_a_minute() {
        let (doubts, collection) = (Doubts::default(), Arc::from("c"));
        let at = |second: i64| Timestamp::from_second(1_700_000_000 + second).unwrap();
        let day = Some(jiff::civil::date(2024, 9, 24));
        assert!(!doubts.meet(&collection, day, at(0)));
        doubts.note(&collection, day, at(10));
        assert!(doubts.meet(&collection, day, at(9)) && !doubts.meet(&collection, day, at(11)));
        assert!(!doubts.meet(&collection, None, at(9)) && !doubts.meet(&"d".into(), day, at(9)));
        doubts.note(&collection, day, at(30));
        assert!(!doubts.meet(&collection, day, at(20)), "the second follows too soon");
        doubts.note(&collection, day, at(70));
        assert!(doubts.meet(&collection, day, at(20)));
    }
}
