//! A tile, orbit or cell on a day: its products, each with its STAC item beside it.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::catalog::identifier::without_packing;
use crate::catalog::stac::{ItemRecord, Shape};
use crate::error::{ErrorKind, Result, fail};
use crate::namespace::cache_a::archive::{Archive, Day};
use crate::namespace::cache_a::product::{self, ITEM_SUFFIX};
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
            for record in level.products {
                if let Some(part) = part_of(record, name) {
                    return product::node(&self.archive, &self.collection, record, part).await;
                }
            }
            fail(ErrorKind::NotFound, format!("there is no product {name} here"))
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        Box::pin(async {
            let level = self.level();
            let deeper = level.deeper.into_iter().map(|name| Entry::named(name, Kind::Directory));
            let products = level.products.into_iter().flat_map(|record| {
                let kind = match record.shape {
                    Shape::Folder(_) => Kind::Directory,
                    Shape::File(_) => Kind::File,
                };
                let item = format!("{}{ITEM_SUFFIX}", encode(&record.name()));
                [Entry::named(encode(&record.name()), kind), Entry::named(item, Kind::File)]
            });
            Ok(Listing::of(deeper.chain(products).collect()))
        })
    }
}

/// What `name` asks of a product: itself, its item, or its archive. Its name is accepted with and without the
/// ending of its folder.
pub(super) fn part_of(record: &ItemRecord, name: &str) -> Option<product::Part> {
    let shown = encode(&record.name());
    let plain = encode(without_packing(&record.id));
    let is = |text: &str| text == shown || text == plain || text == encode(&record.id);
    if is(name) {
        return Some(product::Part::Itself);
    }
    if name.strip_suffix(ITEM_SUFFIX).is_some_and(is) {
        return Some(product::Part::Item);
    }
    name.strip_suffix(".zip").is_some_and(is).then_some(product::Part::Archive)
}
