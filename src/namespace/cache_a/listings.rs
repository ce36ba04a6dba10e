//! Listings: each is searched for once, whoever wants it, and kept in memory and on disk for as long as data of its age
//! stays the same.
//!
//! A search goes on to its end even if nobody waits for it any more: who interrupts an `ls` mostly asks again.
//! When a listing has expired, it is searched for anew. What was listed of days long past is then old, but not
//! wrong: if the service takes its time or cannot be reached, the old listing is shown meanwhile.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use jiff::Timestamp;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::time::timeout;

use super::archive::{Archive, ITEM_BYTES};
use super::products::{Products, belongs};
use super::scope::Scope;
use super::shelved::age_of;
use super::span::Span;
use crate::catalog::stac::Item;
use crate::error::{Error, ErrorKind, Result};

/// Bytes of listings that are kept in memory.
const BYTES: u64 = 64 << 20;
/// How long an old listing that is not wrong is held back while it is searched for anew.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is listed: of which collection, under which conditions, on which days.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    collection: Arc<str>,
    canonical: Arc<str>,
    span: Span,
}

/// What was listed before a search.
pub(super) struct Before {
    pub(super) products: Arc<Products>,
    /// Only this bucket of it is searched.
    pub(super) place: Option<String>,
}

type Flight = Shared<BoxFuture<'static, Result<Arc<Products>>>>;

/// All listings of an archive.
pub(super) struct Listings {
    memory: Cache<Key, Arc<Products>>,
    flights: Mutex<HashMap<Key, Flight>>,
}

impl Listings {
    pub(super) fn new() -> Self {
        let weight = |_: &Key, products: &Arc<Products>| u32::try_from(products.bytes()).unwrap_or(u32::MAX);
        // Least recently used: moka's default would refuse what is listed for the first time.
        let policy = EvictionPolicy::lru();
        let memory = Cache::builder().max_capacity(BYTES).weigher(weight).eviction_policy(policy).build();
        Self { memory, flights: Mutex::default() }
    }
}

impl Archive {
    /// The products of some days, as old as they may be.
    ///
    /// # Errors
    /// What the service met.
    pub(super) async fn listing(self: &Arc<Self>, scope: &Scope, span: Span) -> Result<Arc<Products>> {
        self.listing_after(scope, span, None).await
    }

    /// The same; `before`: what was listed of a wider scope long ago, and the bucket that this one is about.
    pub(super) async fn listing_after(
        self: &Arc<Self>,
        scope: &Scope,
        span: Span,
        before: Option<Before>,
    ) -> Result<Arc<Products>> {
        let known = self.recall(scope, span).await;
        if let Some(known) = known.as_ref().filter(|known| self.is_believed(scope, span, known)) {
            return Ok(Arc::clone(known));
        }
        let before = known.clone().map(|products| Before { products, place: None }).or(before);
        let flight = self.flight(scope, span, before);
        let doubted = |old: &Arc<Products>| self.doubts_listing(&scope.collection, span, old.age.fetched_at);
        let Some(old) = known.filter(|old| old.age.settled && !doubted(old)) else { return flight.await };
        match timeout(PATIENCE, flight).await {
            Ok(Ok(new)) => Ok(new),
            Ok(Err(error)) if is_passing(&error) => {
                tracing::warn!(collection = &*scope.collection, %span, "an old listing is shown: {error}");
                Ok(old)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Ok(old),
        }
    }

    /// The listing if it is known and still true.
    pub(super) async fn fresh(&self, scope: &Scope, span: Span) -> Option<Arc<Products>> {
        self.recall(scope, span).await.filter(|known| self.is_believed(scope, span, known))
    }

    fn is_believed(&self, scope: &Scope, span: Span, known: &Products) -> bool {
        known.age.is_fresh() && !self.doubts_listing(&scope.collection, span, known.age.fetched_at)
    }

    /// The listing if it is in memory and still true.
    pub(super) fn in_memory(&self, scope: &Scope, span: Span) -> Option<Arc<Products>> {
        self.listings.memory.get(&key(scope, span)).filter(|known| self.is_believed(scope, span, known))
    }

    /// Remembers what was made from another listing.
    pub(super) fn keep_listing(&self, scope: &Scope, span: Span, products: &Arc<Products>) {
        self.listings.memory.insert(key(scope, span), Arc::clone(products));
    }

    /// The listing as it was, however long ago.
    pub(super) async fn recall(&self, scope: &Scope, span: Span) -> Option<Arc<Products>> {
        if let Some(known) = self.listings.memory.get(&key(scope, span)) {
            return Some(known);
        }
        let recalled = Arc::new(self.recall_listing(scope, span).await?);
        self.keep_listing(scope, span, &recalled);
        Some(recalled)
    }

    /// The search under way for this listing, begun if there is none. What is left of the products `before` stays.
    fn flight(self: &Arc<Self>, scope: &Scope, span: Span, before: Option<Before>) -> Flight {
        let key = key(scope, span);
        let mut flights = self.listings.flights.lock();
        if let Some(flight) = flights.get(&key) {
            return flight.clone();
        }
        let (archive, scope, ended) = (Arc::clone(self), scope.clone(), key.clone());
        let search = tokio::spawn(async move {
            let found = archive.search(&scope, span, before).await;
            let found = found.map(|(products, complete)| (Arc::new(products), complete));
            if let Ok((products, complete)) = &found {
                archive.keep_listing(&scope, span, products);
                archive.shelve_listing(&scope, span, products, *complete);
            }
            archive.listings.flights.lock().remove(&ended);
            found.map(|(products, _)| products)
        });
        let flight = search.map(|ended| {
            ended.unwrap_or_else(|error| {
                Err(Error::new(ErrorKind::Internal, format!("a search ended: {error}")))
            })
        });
        let flight = flight.boxed().shared();
        flights.insert(key, flight.clone());
        flight
    }

    /// Asks the service for the products of some days; whether it gave all of them.
    async fn search(&self, scope: &Scope, span: Span, before: Option<Before>) -> Result<(Products, bool)> {
        let mut records = Vec::new();
        let mut few = Vec::new();
        let mut bytes = 0;
        let (mut complete, mut whole) = (true, true);
        if let Some(query) = scope.expression.query(&scope.collection, span.window()?) {
            let mut take = |item: Item| {
                // An item without one instant matches every day that it touches, and is filed under one.
                if !belongs(&item.record, span) || !scope.expression.accepts(&item) {
                    return;
                }
                records.push(item.record.clone());
                bytes += item.raw.len() as u64;
                // The items of a small search are what is asked for next; those of a big one are too many.
                if bytes <= ITEM_BYTES / 4 {
                    few.push(item.detach());
                }
            };
            let walk = self.client.search(&query, &mut take).await?;
            (complete, whole) = (walk.complete, walk.whole);
            if let Some(reason) = &walk.reason {
                tracing::warn!(collection = &*scope.collection, %span, "the listing is incomplete: {reason}");
            }
        }
        if whole && bytes <= ITEM_BYTES / 4 {
            self.keep_items(&scope.collection, few).await;
        }
        // What an incomplete listing lacks need not have gone.
        if let Some(Before { products, place }) = before.filter(|_| complete) {
            let place = place.as_deref();
            records.extend(self.remains(&scope.collection, &products, &records, place).await);
        }
        Ok((Products::new(records, age_of(span, Timestamp::now(), complete)), complete))
    }
}

fn key(scope: &Scope, span: Span) -> Key {
    Key { collection: Arc::clone(&scope.collection), canonical: Arc::clone(&scope.canonical), span }
}

/// Whether the service may well answer later.
pub(super) fn is_passing(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unreachable | ErrorKind::Unavailable | ErrorKind::TimedOut | ErrorKind::Busy
    )
}

#[cfg(test)]
mod tests;
