//! One day of a collection: only buckets that hold products.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::civil::Date;

use crate::catalog::parse_bucket_name;
use crate::error::{ErrorKind, Result, fail};
use crate::namespace::cache_a::archive::{Archive, Day};
use crate::namespace::cache_a::bucket::BucketDirectory;
use crate::namespace::{Directory, Entry, Kind, Listing, Node};

/// A day, by its buckets.
pub(super) struct DayDirectory {
    archive: Arc<Archive>,
    collection: Arc<str>,
    date: Date,
}

impl DayDirectory {
    pub(super) fn new(archive: Arc<Archive>, collection: Arc<str>, date: Date) -> Self {
        Self { archive, collection, date }
    }

    /// The products that may lie in bucket `name`: a tile or cell is asked for by its box, anything else
    /// needs the whole day.
    async fn products(&self, name: &str) -> Result<Arc<Day>> {
        match parse_bucket_name(name).and_then(|name| name.bbox()) {
            Some(bbox) => self.archive.part_of_day(&self.collection, self.date, name, bbox).await,
            None => self.archive.day(&self.collection, self.date).await,
        }
    }
}

impl Directory for DayDirectory {
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Node>> {
        Box::pin(async move {
            let day = self.products(name).await?;
            let directory = BucketDirectory {
                archive: Arc::clone(&self.archive),
                collection: Arc::clone(&self.collection),
                day,
                path: vec![name.to_owned()],
            };
            if directory.is_empty() {
                return fail(
                    ErrorKind::NotFound,
                    format!("no product of {} on {} in {name}", self.collection, self.date),
                );
            }
            Ok(Node::directory(directory))
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        Box::pin(async {
            let day = self.archive.day(&self.collection, self.date).await?;
            let firsts = day.places.keys().filter_map(|levels| levels.first());
            let names: BTreeSet<&str> = firsts.map(String::as_str).collect();
            Ok(Listing::of(names.into_iter().map(|name| Entry::named(name, Kind::Directory)).collect()))
        })
    }

    fn holds_for(&self) -> Option<std::time::Duration> {
        Some(std::time::Duration::from_secs(60))
    }
}
