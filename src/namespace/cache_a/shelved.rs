//! What of a catalogue is kept on disk, in which form, and for how long it is believed.
//!
//! Nothing here waits for a write: what is put on the shelf goes there in tasks of its own, for which only the end of the
//! mount waits ([`Archive::settle`]).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout};

use super::archive::Archive;
use super::products::{Age, Products, day_of};
use super::scope::Scope;
use super::span::Span;
use crate::catalog::shelf::Key;
use crate::catalog::stac::{Collection, Item, ItemRecord};

/// How long an item holds that tells no time.
const TIMELESS: Duration = Duration::from_secs(3600);
/// How long collections hold: they are few and hardly change.
const COLLECTIONS: Duration = Duration::from_secs(3600);

/// A listing on disk.
#[derive(Serialize)]
struct Listed<'a> {
    complete: bool,
    records: &'a [ItemRecord],
}

#[derive(Deserialize)]
struct Recalled {
    complete: bool,
    records: Vec<ItemRecord>,
}

/// Something that was kept, and whether it is still true.
pub(super) struct Known<T> {
    pub(super) what: T,
    pub(super) fresh: bool,
    pub(super) fetched: Timestamp,
}

impl Archive {
    /// A listing that was kept on disk.
    pub(super) async fn recall_listing(&self, scope: &Scope, span: Span) -> Option<Products> {
        let kept = self.options.shelf.get(self.listing_key(scope, span)).await?;
        // Thousands of records: not on a thread that others wait for.
        let read = tokio::task::spawn_blocking(move || {
            let recalled: Recalled = serde_json::from_slice(&kept.bytes).ok()?;
            Some(Products::new(recalled.records, age_of(span, kept.fetched, recalled.complete)))
        });
        read.await.ok().flatten()
    }

    /// Keeps a listing on disk.
    pub(super) fn shelve_listing(&self, scope: &Scope, span: Span, products: &Arc<Products>, complete: bool) {
        let (shelf, key, products) =
            (self.options.shelf.clone(), self.listing_key(scope, span), Arc::clone(products));
        self.shelving.spawn(async move {
            let fetched = products.age.fetched_at;
            let write = move || serde_json::to_vec(&Listed { complete, records: &products.records });
            if let Ok(Ok(text)) = tokio::task::spawn_blocking(write).await {
                shelf.put(key, text, fetched).await;
            }
        });
    }

    /// An item that was kept on disk.
    pub(super) async fn recall_item(&self, collection: &str, id: &str) -> Option<Known<Item>> {
        let kept = self.options.shelf.get(self.item_key(collection, id)).await?;
        let item = Item::parse(&Bytes::from(kept.bytes), None).ok()?;
        let keep = day_of(&item.record).map_or(TIMELESS, |day| Span::day(day).keep(kept.fetched));
        Some(Known { fresh: is_within(kept.fetched, keep), fetched: kept.fetched, what: item })
    }

    /// Keeps items on disk, but not those whose addresses need the page that they came with.
    pub(super) fn shelve_items(&self, collection: &str, items: Vec<Arc<Item>>) {
        let alone =
            |item: &Arc<Item>| Item::parse(&item.raw, None).is_ok_and(|again| again.assets == item.assets);
        let answers: Vec<(Key, Vec<u8>)> = items
            .iter()
            .filter(|item| alone(item))
            .map(|item| (self.item_key(collection, item.id()), item.raw.to_vec()))
            .collect();
        let shelf = self.options.shelf.clone();
        self.shelving.spawn(async move { shelf.put_all(answers, Timestamp::now()).await });
    }

    /// An item that is gone is not kept either.
    pub(super) async fn unshelve_item(&self, collection: &str, id: &str) {
        self.options.shelf.remove(self.item_key(collection, id)).await;
    }

    /// The collections as they were.
    pub(super) async fn recall_collections(&self) -> Option<Known<Vec<Collection>>> {
        let kept = self.options.shelf.get(self.collections_key()).await?;
        let documents: Vec<&RawValue> = serde_json::from_slice(&kept.bytes).ok()?;
        let read =
            |document: &&RawValue| Collection::parse(&Bytes::copy_from_slice(document.get().as_bytes())).ok();
        let collections: Vec<Collection> = documents.iter().filter_map(read).collect();
        let whole = collections.len() == documents.len();
        let fetched = kept.fetched;
        whole.then(|| Known { what: collections, fresh: is_within(fetched, COLLECTIONS), fetched })
    }

    /// Keeps the collections on disk.
    pub(super) fn shelve_collections(&self, collections: &[Collection]) {
        let documents: Option<Vec<&RawValue>> =
            collections.iter().map(|collection| serde_json::from_slice(&collection.raw).ok()).collect();
        let (shelf, key) = (self.options.shelf.clone(), self.collections_key());
        let Some(Ok(text)) = documents.map(|documents| serde_json::to_vec(&documents)) else { return };
        self.shelving.spawn(async move { shelf.put(key, text, Timestamp::now()).await });
    }

    /// The lengths that were learnt of files that no item tells, by the addresses of the files.
    pub(super) async fn recall_lengths(&self, files: &[&str]) -> Vec<Option<u64>> {
        let keys = files.iter().map(|file| length_key(file)).collect();
        let kept = self.options.shelf.get_all(keys).await.into_iter();
        kept.map(|kept| Some(u64::from_le_bytes(kept?.bytes.try_into().ok()?))).collect()
    }

    /// Remembers the length of a file.
    pub(super) fn shelve_length(&self, file: &str, length: u64) {
        let (shelf, key) = (self.options.shelf.clone(), length_key(file));
        self.shelving
            .spawn(async move { shelf.put(key, length.to_le_bytes().to_vec(), Timestamp::now()).await });
    }

    /// Waits until all is on disk, but no longer than `limit`.
    pub async fn settle(&self, limit: Duration) {
        self.shelving.close();
        let _ = timeout(limit, self.shelving.wait()).await;
    }

    fn listing_key(&self, scope: &Scope, span: Span) -> Key {
        let parts = [self.options.root.as_str(), &scope.collection, &scope.canonical, &span.to_string()];
        Key::of("listing", &parts)
    }

    fn item_key(&self, collection: &str, id: &str) -> Key {
        Key::of("item", &[self.options.root.as_str(), collection, id])
    }

    fn collections_key(&self) -> Key {
        Key::of("collections", &[self.options.root.as_str()])
    }
}

fn length_key(file: &str) -> Key {
    Key::of("length", &[file])
}

/// How old a listing is that was made at `fetched`.
pub(super) fn age_of(span: Span, fetched: Timestamp, complete: bool) -> Age {
    let now = Instant::now();
    let keep = span.keep(fetched);
    // A time in the future is of a clock that was wrong: then it counts as expired.
    let passed = since(fetched).unwrap_or(keep);
    let settled = complete && span.is_settled(fetched);
    Age { fetched: now.checked_sub(passed).unwrap_or(now), fetched_at: fetched, keep, settled }
}

fn is_within(fetched: Timestamp, keep: Duration) -> bool {
    since(fetched).is_some_and(|passed| passed < keep)
}

fn since(fetched: Timestamp) -> Option<Duration> {
    Timestamp::now().duration_since(fetched).try_into().ok()
}
