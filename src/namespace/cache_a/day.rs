//! One day: only buckets that hold products.

use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::civil::Date;

use super::bucket::BucketDirectory;
use super::scope::Scope;
use super::span::Span;
use crate::error::Result;
use crate::namespace::{Directory, Listing, Node};

/// How long the kernel believes a name of a known day, at most: then it asks again, which costs no request.
const AGAIN: Duration = Duration::from_secs(600);

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
            if let Ok(next) = self.date.tomorrow() {
                self.scope.foresee(Span::day(next));
            }
            Ok(BucketDirectory::all(&self.scope, products))
        })
    }

    fn edition(&self) -> Option<u64> {
        self.scope.in_memory(Span::day(self.date)).map(|products| products.number)
    }

    /// As long as the listing that its names come from; a minute where they were asked for one by one.
    fn holds_for(&self) -> Option<Duration> {
        let listed = self.scope.in_memory(Span::day(self.date));
        Some(listed.map_or(Duration::from_secs(60), |products| products.age.left().min(AGAIN)))
    }
}
