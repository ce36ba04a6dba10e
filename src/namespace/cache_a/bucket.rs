//! A tile, orbit or cell on a day: its products, each with its STAC item beside it.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::catalog::stac::ItemRecord;
use crate::error::{ErrorKind, Result, fail};
use crate::namespace::cache_a::archive::{Archive, Day};
use crate::namespace::cache_a::product::{self, ITEM_SUFFIX, Part};
use crate::namespace::name::encode;
use crate::namespace::{Directory, Entry, Kind, Listing, Node};

/// The products of a day whose bucket begins with `path`. It holds the listing that it was found in, so what
/// is seen inside it is of one moment.
pub(super) struct BucketDirectory {
    pub(super) archive: Arc<Archive>,
    pub(super) collection: Arc<str>,
    pub(super) day: Arc<Day>,
    /// File names of the levels, outer first.
    pub(super) path: Vec<String>,
}

/// What stands right below a level: deeper levels, and the records of products.
struct Level<'a> {
    deeper: BTreeSet<&'a str>,
    products: Vec<&'a ItemRecord>,
}

impl BucketDirectory {
    pub(super) fn is_empty(&self) -> bool {
        let level = self.level();
        level.deeper.is_empty() && level.products.is_empty()
    }

    fn level(&self) -> Level<'_> {
        let mut level = Level { deeper: BTreeSet::new(), products: Vec::new() };
        let from = self.day.places.range(self.path.clone()..);
        for (names, records) in from.take_while(|(names, _)| names.starts_with(&self.path)) {
            match names.get(self.path.len()) {
                Some(next) => {
                    level.deeper.insert(next.as_str());
                }
                None => {
                    level.products.extend(records.iter().filter_map(|index| self.day.records.get(*index)))
                }
            }
        }
        level
    }
}

impl Directory for BucketDirectory {
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Node>> {
        Box::pin(async move {
            let level = self.level();
            if level.deeper.contains(name) {
                let path = self.path.iter().cloned().chain([name.to_owned()]).collect();
                let (archive, collection) = (Arc::clone(&self.archive), Arc::clone(&self.collection));
                return Ok(Node::directory(Self { archive, collection, day: Arc::clone(&self.day), path }));
            }
            let (product, part) = Part::asked(name);
            let record = self.day.names.get(product).and_then(|index| self.day.records.get(*index));
            // The name may be one of another bucket of the day.
            match record.filter(|record| level.products.iter().any(|here| here.id == record.id)) {
                Some(record) => product::node(&self.archive, &self.collection, record, part).await,
                None => fail(ErrorKind::NotFound, format!("there is no product {name} here")),
            }
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        Box::pin(async {
            let level = self.level();
            let deeper = level.deeper.into_iter().map(|name| Entry::named(name, Kind::Directory));
            let products = level.products.into_iter().flat_map(|record| {
                let name = encode(&record.name());
                let item = Entry::named(format!("{name}{ITEM_SUFFIX}"), Kind::File);
                let product = match product::folder(&self.archive, &self.collection, record) {
                    Some(folder) => Entry::of(name, folder),
                    None => Entry::named(name, Kind::File),
                };
                [product, item]
            });
            Ok(Listing::of(deeper.chain(products).collect()))
        })
    }
}
