//! One day: only buckets that hold products.

use std::collections::BTreeSet;

use futures_util::future::BoxFuture;
use jiff::civil::Date;

use super::bucket::BucketDirectory;
use super::scope::Scope;
use super::span::Span;
use crate::error::Result;
use crate::namespace::{Directory, Entry, Kind, Listing, Node};

/// A day, by its buckets.
pub(super) struct DayDirectory {
    pub(super) scope: Scope,
    pub(super) date: Date,
}

impl Directory for DayDirectory {
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Node>> {
        Box::pin(async move {
            let products = self.scope.products_in(self.date, name).await?;
            BucketDirectory::node(&self.scope, products, vec![name.to_owned()], self.date)
        })
    }

    /// The buckets of a day that is in memory.
    fn at_hand(&self, name: &str) -> Option<Result<Node>> {
        let products = self.scope.in_memory(Span::day(self.date))?;
        Some(BucketDirectory::node(&self.scope, products, vec![name.to_owned()], self.date))
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        Box::pin(async {
            let products = self.scope.products(Span::day(self.date)).await?;
            let firsts = products.places.keys().filter_map(|levels| levels.first());
            let names: BTreeSet<&str> = firsts.map(String::as_str).collect();
            Ok(Listing::of(names.into_iter().map(|name| Entry::named(name, Kind::Directory)).collect()))
        })
    }

    fn holds_for(&self) -> Option<std::time::Duration> {
        Some(std::time::Duration::from_secs(60))
    }
}
