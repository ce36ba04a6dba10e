//! A STAC API as directories: collection, date, bucket (tile, orbit, cell),
//! product, files; the same by tile, by identifier and by search.
//!
//! [`Archive`] is the shared, cached view of the service; the directories are keys into it.

mod archive;
mod bucket;
mod by_id;
mod by_tile;
mod dates;
mod day;
mod footprints;
mod gone;
mod listings;
mod mosaic;
mod product;
mod products;
mod scope;
mod search;
mod shelved;
mod span;

pub use archive::{Archive, Options};

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use self::by_id::ById;
use self::by_tile::ByTile;
use self::dates::Dates;
use self::scope::Scope;
use self::search::Searches;
use crate::catalog::expression::Expression;
use crate::catalog::stac::Collection;
use crate::error::{ErrorKind, Result, fail};
use crate::namespace::name::encode;
use crate::namespace::static_tree::StaticDirectory;
use crate::namespace::{Directory, Entry, Kind, Listing, Node};

/// A search of the configuration, as a directory.
pub fn view(archive: &Arc<Archive>, collection: &str, expression: &Expression) -> Node {
    search::saved(Arc::clone(archive), collection, expression)
}

/// The directory of all collections of an archive.
pub fn root(archive: Arc<Archive>) -> Node {
    Node::directory(Collections { archive })
}

/// All collections, read from the service at run time: never a closed list (protocol.md 3.1).
struct Collections {
    archive: Arc<Archive>,
}

impl Directory for Collections {
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Node>> {
        Box::pin(async move {
            let collections = self.archive.collections().await?;
            match collections.iter().find(|collection| encode(&collection.id) == name) {
                Some(collection) => Ok(self.collection(collection)),
                None => fail(ErrorKind::NotFound, format!("the service has no collection {name}")),
            }
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        Box::pin(async {
            let collections = self.archive.collections().await?;
            let entry = |collection: &Collection| Entry::named(encode(&collection.id), Kind::Directory);
            Ok(Listing::of(collections.iter().map(entry).collect()))
        })
    }

    fn holds_for(&self) -> Option<Duration> {
        Some(Duration::from_secs(600))
    }
}

impl Collections {
    fn collection(&self, collection: &Collection) -> Node {
        let id: Arc<str> = collection.id.as_str().into();
        let archive = || Arc::clone(&self.archive);
        let scope = Scope::new(archive(), Arc::clone(&id), &Expression::default());
        let by_date = Dates::years(scope.clone(), Vec::new());
        let by_id = ById { archive: archive(), collection: Arc::clone(&id) };
        Node::directory(StaticDirectory::of([
            ("collection.json", Node::bytes(collection.raw.clone(), None)),
            ("by-date", Node::directory(by_date)),
            ("by-id", Node::directory(by_id)),
            ("by-tile", Node::directory(ByTile { scope })),
            ("search", Node::directory(Searches { archive: archive(), collection: id })),
        ]))
    }
}
