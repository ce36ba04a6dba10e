//! A STAC API as directories: collection, date, bucket (tile, orbit, cell), product, files.
//!
//! [`Archive`] is the shared, cached view of the service; the directories are keys into it.

mod archive;
mod bucket;
mod by_id;
mod dates;
mod day;
mod product;

pub use archive::{Archive, Options};

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::catalog::stac::Collection;
use crate::error::{ErrorKind, Result, fail};
use crate::namespace::name::encode;
use crate::namespace::static_tree::StaticDirectory;
use crate::namespace::{Directory, Entry, Kind, Listing, Node};

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
        let by_date = dates::Dates::years(Arc::clone(&self.archive), collection);
        let by_id =
            by_id::ById { archive: Arc::clone(&self.archive), collection: collection.id.as_str().into() };
        Node::directory(StaticDirectory::of([
            ("collection.json", Node::bytes(collection.raw.clone(), None)),
            ("by-date", Node::directory(by_date)),
            ("by-id", Node::directory(by_id)),
        ]))
    }
}
