//! A tile, orbit or cell on a day: its products, each with its STAC item beside it, and their footprints.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::civil::Date;

use super::footprints;
use super::mosaic;
use super::product::{self, ITEM_SUFFIX, Part};
use super::products::{Products, place_of};
use super::scope::Scope;
use crate::catalog::stac::ItemRecord;
use crate::error::{ErrorKind, Result, fail};
use crate::namespace::name::encode;
use crate::namespace::{Directory, Entry, Kind, Listing, Node};

/// What is believed for longer is as good as fixed.
const LONG: Duration = Duration::from_secs(3600);

/// The products of a day whose bucket begins with `path`. It holds the listing that it was found in, so what
/// is seen inside it is of one moment.
pub(super) struct BucketDirectory {
    scope: Scope,
    products: Arc<Products>,
    /// File names of the levels, outer first.
    path: Vec<String>,
}

/// What stands right below a level: deeper levels, and the records of products.
struct Level<'a> {
    deeper: BTreeSet<&'a str>,
    products: Vec<&'a ItemRecord>,
}

impl BucketDirectory {
    /// The bucket `path` of a day whose products were found.
    ///
    /// # Errors
    /// `NotFound` when there is no product in it.
    pub(super) fn node(scope: &Scope, products: Arc<Products>, path: Vec<String>, day: Date) -> Result<Node> {
        let directory = Self { scope: scope.clone(), products, path };
        let level = directory.level();
        if level.deeper.is_empty() && level.products.is_empty() {
            let place = directory.path.join("/");
            return fail(
                ErrorKind::NotFound,
                format!("no product of {} on {day} in {place}", scope.collection),
            );
        }
        Ok(Node::directory(directory))
    }

    /// The first level of a day whose products were found: its buckets.
    pub(super) fn all(scope: &Scope, products: Arc<Products>) -> Listing {
        Self { scope: scope.clone(), products, path: Vec::new() }.entries()
    }

    /// The product that answers to a file name; the name may be one of another bucket of the day.
    fn here(&self, name: &str) -> Option<&ItemRecord> {
        self.products.named(name).filter(|record| place_of(record) == self.path)
    }

    fn deeper(&self, name: &str) -> Node {
        let path = self.path.iter().cloned().chain([name.to_owned()]).collect();
        Node::directory(Self { scope: self.scope.clone(), products: Arc::clone(&self.products), path })
    }

    fn entries(&self) -> Listing {
        let level = self.level();
        let deeper = level.deeper.into_iter().map(|name| Entry::of(name, self.deeper(name)));
        let map = (!level.products.is_empty()).then(|| Entry::named(footprints::NAME, Kind::File));
        let (mut products, mut items) = (Vec::new(), Vec::new());
        for record in level.products {
            let name = encode(&record.name());
            items.push(Entry::named(format!("{name}{ITEM_SUFFIX}"), Kind::File));
            products.push(match product::folder(&self.scope.archive, &self.scope.collection, record) {
                Some(folder) => Entry::of(name, folder),
                None => Entry::named(name, Kind::File),
            });
        }
        // Last what is only a name, which is told faster.
        Listing::of(deeper.chain(products).chain(items).chain(map).collect())
    }

    fn level(&self) -> Level<'_> {
        let mut level = Level { deeper: BTreeSet::new(), products: Vec::new() };
        let from = self.products.places.range(self.path.clone()..);
        for (names, records) in from.take_while(|(names, _)| names.starts_with(&self.path)) {
            match names.get(self.path.len()) {
                Some(next) => {
                    level.deeper.insert(next.as_str());
                }
                None => {
                    let found = records.iter().filter_map(|index| self.products.records.get(*index));
                    level.products.extend(found);
                }
            }
        }
        level
    }
}

impl Directory for BucketDirectory {
    /// Folders of products, which `find` and `ls -l` look up by the thousand.
    fn at_hand(&self, name: &str) -> Option<Result<Node>> {
        let (product, part) = Part::asked(name);
        let record = self.here(product).filter(|_| part == Part::Itself)?;
        product::folder(&self.scope.archive, &self.scope.collection, record).map(Ok)
    }

    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Node>> {
        Box::pin(async move {
            let level = self.level();
            if level.deeper.contains(name) {
                return Ok(self.deeper(name));
            }
            if name == footprints::NAME && !level.products.is_empty() {
                let shown = level.products.iter().map(|record| (*record).clone()).collect();
                return Ok(footprints::node(shown, |record| encode(&record.name())));
            }
            if let Some(kind) = mosaic::asked(name).filter(|_| !level.products.is_empty()) {
                let shown = level.products.iter().map(|record| (*record).clone()).collect();
                return mosaic::node(&self.scope, kind, shown, |record| encode(&record.name())).await;
            }
            let (product, part) = Part::asked(name);
            match self.here(product) {
                Some(record) => {
                    product::node(&self.scope.archive, &self.scope.collection, record, part).await
                }
                None => fail(ErrorKind::NotFound, format!("there is no product {name} here")),
            }
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        Box::pin(async { Ok(self.entries()) })
    }

    fn list_at_hand(&self) -> Option<Listing> {
        Some(self.entries())
    }

    fn edition(&self) -> Option<u64> {
        Some(self.products.number)
    }
    fn holds_for(&self) -> Option<Duration> {
        // Nothing here changes before the listing does; then the level above gives another directory.
        Some(self.products.age.keep).filter(|keep| *keep < LONG)
    }
}
