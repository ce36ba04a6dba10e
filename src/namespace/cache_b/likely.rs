//! Which document a store is likely to have at its root. Each wrong guess is a request of a counted number
//! (protocol.md 4.5), and nothing but what was seen before can tell.
//!
//! Stores of one collection are written by one program. So what the last one had comes first, then what is published of
//! a collection, then what the host had last. It is kept on the shelf, for the next mount and for others.
//!
//! What a program asks for is no evidence: zarr-python 3 begins with `zarr.json` and GDAL with `.zmetadata`, whatever
//! the store is; and whether there is a store at all has to be told before a name in it is asked for.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::catalog::shelf::{Key, Shelf};

/// The documents that a store may have at its root, those first that tell of all nodes.
pub(super) const ROOTS: [&str; 4] = [".zmetadata", "zarr.json", ".zgroup", ".zarray"];

/// Parts of addresses of which it is known what is there (protocol.md 4.3, 7).
const PUBLISHED: [(&str, &str); 3] = [
    ("/d1-climate-dt/", ".zmetadata"),
    ("/climate-dt-2/", "zarr.json"),
    ("earthdatahub.destine.eu/era5/", "zarr.json"),
];

/// What the stores of a host were like.
pub(super) struct Likely {
    base: Url,
    shelf: Shelf,
    /// The document by which the last store of a collection was opened; of the host: under an empty name.
    last: Arc<Mutex<HashMap<String, &'static str>>>,
    /// Held while one of them is written, so that nothing older is written last.
    writing: Arc<tokio::sync::Mutex<()>>,
    shelving: TaskTracker,
}

impl Likely {
    pub(super) fn new(base: Url, shelf: Shelf) -> Self {
        Self { base, shelf, last: Arc::default(), writing: Arc::default(), shelving: TaskTracker::new() }
    }

    /// The documents in the order in which to ask for them at the root of the store `path`, whose address is `url`.
    pub(super) async fn order(&self, path: &str, url: &Url) -> [&'static str; 4] {
        let mut likely = self.last(collection(path)).await.or_else(|| published(url));
        if likely.is_none() {
            likely = self.last("").await;
        }
        in_order(likely)
    }

    /// Notes that the store `path` was opened by the document `name`. Needs a runtime.
    pub(super) fn note(&self, path: &str, name: &'static str) {
        for scope in [collection(path), ""] {
            if self.last.lock().insert(scope.to_owned(), name) != Some(name) {
                let (shelf, key, scope) = (self.shelf.clone(), self.key(scope), scope.to_owned());
                let (last, writing) = (Arc::clone(&self.last), Arc::clone(&self.writing));
                self.shelving.spawn(async move {
                    let _one = writing.lock().await;
                    let name = last.lock().get(&scope).copied().unwrap_or(name);
                    shelf.put(key, name.into(), Timestamp::now()).await;
                });
            }
        }
    }

    /// What is still on its way to the shelf.
    pub(super) fn shelving(&self) -> &TaskTracker {
        &self.shelving
    }

    async fn last(&self, scope: &str) -> Option<&'static str> {
        if let Some(name) = self.last.lock().get(scope) {
            return Some(name);
        }
        let kept = self.shelf.get(self.key(scope)).await?;
        let name = ROOTS.into_iter().find(|name| name.as_bytes() == kept.bytes)?;
        // What was opened meanwhile is newer.
        Some(*self.last.lock().entry(scope.to_owned()).or_insert(name))
    }

    fn key(&self, scope: &str) -> Key {
        Key::of("zarr-root", &[self.base.as_str(), scope])
    }
}

/// What stores lie in.
fn collection(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(collection, _)| collection)
}

fn published(url: &Url) -> Option<&'static str> {
    PUBLISHED.iter().find(|(part, _)| url.as_str().contains(part)).map(|(_, name)| *name)
}

/// `likely` first. Only `.zmetadata` stays before what tells less and is there beside it.
fn in_order(likely: Option<&str>) -> [&'static str; 4] {
    let mut order = ROOTS;
    order.sort_by_key(|name| match *name {
        _ if Some(*name) == likely => 1,
        ".zmetadata" if likely != Some("zarr.json") => 0,
        _ => 2,
    });
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::shelf::Room;

    fn host() -> Url {
        Url::parse("https://data.earthdatahub.destine.eu/").unwrap()
    }

    async fn first(likely: &Likely, path: &str) -> &'static str {
        likely.order(path, &likely.base.join(path).unwrap()).await[0]
    }

    #[test]
    fn what_tells_of_all_nodes_comes_before_what_is_there_beside_it() {
        assert_eq!(in_order(None), ROOTS);
        assert_eq!(in_order(Some(".zmetadata")), ROOTS);
        assert_eq!(in_order(Some("zarr.json")), ["zarr.json", ".zmetadata", ".zgroup", ".zarray"]);
        assert_eq!(in_order(Some(".zgroup")), [".zmetadata", ".zgroup", "zarr.json", ".zarray"]);
        assert_eq!(in_order(Some(".zarray")), [".zmetadata", ".zarray", "zarr.json", ".zgroup"]);
    }

    #[tokio::test]
    async fn the_collection_then_what_is_published_then_the_host_also_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let likely =
            || Likely::new(host(), Shelf::open(directory.path(), Room { most: 1 << 20, min_free: 0 }));
        let one = likely();
        for (path, expected) in [
            ("d1-climate-dt/a.zarr", ".zmetadata"),
            ("climate-dt-2/a.zarr", "zarr.json"),
            ("era5/a.zarr", "zarr.json"),
            ("public/a.zarr", ".zmetadata"),
        ] {
            assert_eq!(first(&one, path).await, expected, "{path}");
        }
        one.note("public/a.zarr", "zarr.json");
        one.note("era5/frozen.zarr", ".zmetadata");
        one.shelving.close();
        one.shelving.wait().await;
        for likely in [&one, &likely()] {
            assert_eq!(first(likely, "public/b.zarr").await, "zarr.json");
            assert_eq!(first(likely, "era5/b.zarr").await, ".zmetadata");
            assert_eq!(first(likely, "climate-dt-2/b.zarr").await, "zarr.json", "not as the host was last");
            assert_eq!(first(likely, "unknown/b.zarr").await, ".zmetadata", "as the host was last");
        }
        let other = Url::parse("https://h.example/").unwrap();
        let other = Likely::new(other, Shelf::open(directory.path(), Room { most: 1 << 20, min_free: 0 }));
        assert_eq!(first(&other, "public/b.zarr").await, ".zmetadata", "another host");
    }
}
