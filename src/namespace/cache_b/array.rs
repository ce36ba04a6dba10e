//! An array: its metadata files, and its chunks by arithmetic. Listing half a million chunks costs no request
//! and no memory; looking one up is the beginning of its download.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::catalog::limits::LISTED_CHUNKS;
use crate::catalog::zarr::{Array, Level, Node as ZarrNode, Place, Selection};
use crate::error::{Error, ErrorKind, Result, fail};
use crate::namespace::cache_b::absent;
use crate::namespace::cache_b::group::{GroupDirectory, left};
use crate::namespace::cache_b::stores::Described;
use crate::namespace::{
    Attributes, Cell, Chunks, Content, Directory, Entry, FileNode, Kind, Listing, Lost, Node, Times, Told,
};

/// A directory of chunks: the array's own, or one of those that `/` in chunk keys makes.
pub(super) struct ArrayDirectory {
    node: Arc<GroupDirectory>,
    /// The array as it was last seen: it may grow.
    seen: Mutex<Seen>,
    level: Level,
    /// The array's own directory also holds its metadata files.
    top: bool,
}

/// An array at some time.
#[derive(Clone)]
struct Seen {
    array: Arc<Array>,
    /// Until when it is so without asking.
    until: Instant,
    /// Stands for its metadata.
    mark: Arc<str>,
}

impl ArrayDirectory {
    pub(super) fn top(node: GroupDirectory, array: Arc<Array>, described: &Described) -> Self {
        let level = array.grid.top();
        let seen = Seen { array, until: described.until, mark: Arc::clone(&described.mark) };
        Self::new(Arc::new(node), seen, level, true)
    }

    fn new(node: Arc<GroupDirectory>, seen: Seen, level: Level, top: bool) -> Self {
        Self { node, seen: Mutex::new(seen), level, top }
    }

    /// The array if it is known to be so still.
    fn seen(&self) -> Option<Seen> {
        Some(self.seen.lock().clone()).filter(|seen| seen.until > Instant::now())
    }

    /// The array as it is now.
    async fn now(&self) -> Result<Seen> {
        if let Some(seen) = self.seen() {
            return Ok(seen);
        }
        let described = self.node.described().await?;
        let gone = || fail(ErrorKind::Changed, format!("{} is another array now", self.node.full_path()));
        let ZarrNode::Array(array) = described.node else { return gone() };
        if !array.grid.has(&self.level) {
            return gone();
        }
        let seen = Seen { array, until: described.until, mark: described.mark };
        *self.seen.lock() = seen.clone();
        Ok(seen)
    }

    fn level(&self, seen: Seen, level: Level) -> Node {
        Node::directory(Self::new(Arc::clone(&self.node), seen, level, false))
    }

    fn missing<T>(&self, name: &str) -> Result<T> {
        fail(ErrorKind::NotFound, format!("{} has no {name}", self.node.full_path()))
    }

    fn is_own_document(&self, name: &str) -> bool {
        self.top && GroupDirectory::is_document(name)
    }
}

/// The file of a chunk, unless it is known to be absent.
async fn chunk(node: &Arc<GroupDirectory>, seen: &Seen, number: u64) -> Result<Node> {
    let missing = || Error::new(ErrorKind::NotFound, format!("{} has no such chunk", node.full_path()));
    chunk_file(node, seen, number).await.map(|(_, file)| Node::File(Arc::new(file))).ok_or_else(missing)
}

/// A chunk's key below its array, and its file, unless it is known to be absent. Shards are read in parts, so nothing
/// is to be said of what comes after one.
async fn chunk_file(node: &Arc<GroupDirectory>, seen: &Seen, number: u64) -> Option<(String, FileNode)> {
    let address = node.stores.documents.url(&node.full_path());
    let place = absent::Place { array: address.as_str(), mark: &seen.mark };
    let bit = node.stores.absent.of(place, number).await;
    let array = &seen.array;
    let key = array.grid.key(number).filter(|_| !bit.is_set())?;
    let path = format!("{}/{key}", node.full_path());
    let sharded = array.inner_chunk_shape.is_some();
    let remote = node.stores.chunk(&path, sharded, array.edge(number).as_deref());
    let cell = (!sharded).then(|| cell(node, seen, array.grid.coordinates(number).unwrap_or_default()));
    let stores = Arc::downgrade(&node.stores);
    let lost: Lost = Box::new(move || {
        if let Some(stores) = stores.upgrade() {
            stores.absent.note(&bit);
        }
        Box::pin(ready(()))
    });
    let file = FileNode {
        content: Content::Remote(remote),
        times: Times::default(),
        attributes: Attributes::new(),
        estimate: Some(array.estimated_bytes()),
        cell,
        told: Told { lost: Some(lost), ..Told::default() },
    };
    Some((key, file))
}

fn cell(node: &Arc<GroupDirectory>, seen: &Seen, at: Vec<u64>) -> Cell {
    let (counts, grid) = (seen.array.grid.counts().into(), node.identity());
    let (node, seen) = (Arc::clone(node), seen.clone());
    let neighbour = move |at: &[u64]| {
        let (node, seen, number) = (Arc::clone(&node), seen.clone(), seen.array.grid.linear(at));
        Box::pin(async move {
            match number {
                Some(number) => chunk(&node, &seen, number).await,
                None => fail(ErrorKind::NotFound, format!("{} has no such chunk", node.full_path())),
            }
        }) as BoxFuture<'static, Result<Node>>
    };
    Cell { grid, counts, at, node: Arc::new(neighbour) }
}

impl Directory for ArrayDirectory {
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Node>> {
        Box::pin(async move {
            if self.is_own_document(name) {
                return self.node.document(name).await;
            }
            let seen = self.now().await?;
            match seen.array.grid.find(&self.level, name) {
                Some(Place::Level(level)) => Ok(self.level(seen, level)),
                Some(Place::Chunk(number)) => chunk(&self.node, &seen, number).await,
                None => self.missing(name),
            }
        })
    }

    /// Names outside the grid cost no request.
    fn at_hand(&self, name: &str) -> Option<Result<Node>> {
        if self.is_own_document(name) {
            return None;
        }
        let seen = self.seen()?;
        match seen.array.grid.find(&self.level, name) {
            Some(Place::Level(level)) => Some(Ok(self.level(seen, level))),
            // Whether it is absent may have to be read from disk.
            Some(Place::Chunk(_)) => None,
            None => Some(self.missing(name)),
        }
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        Box::pin(async {
            let Seen { array, .. } = self.now().await?;
            let count = array.grid.names(&self.level);
            if count > LISTED_CHUNKS {
                return fail(
                    ErrorKind::TooLarge,
                    format!(
                        "{} has {count} chunks, too many to list: open them by name",
                        self.node.full_path()
                    ),
                );
            }
            let documents = if self.top { self.node.listed_documents().await? } else { Vec::new() };
            let level = self.level.clone();
            Ok(Listing::of(documents).and(count, move |number| {
                let (name, place) = array.grid.entry(&level, number)?;
                let kind = match place {
                    Place::Chunk(_) => Kind::File,
                    Place::Level(_) => Kind::Directory,
                };
                Some(Entry::named(name, kind))
            }))
        })
    }

    /// As long as the metadata: what lies outside of the grid may come to lie in it.
    fn absent_for(&self) -> Duration {
        left(self.seen.lock().until)
    }

    fn holds_for(&self) -> Option<Duration> {
        Some(left(self.seen.lock().until))
    }

    /// The names depend on the numbers of chunks only.
    fn edition(&self) -> Option<u64> {
        let seen = self.seen()?;
        let digest = blake3::hash(format!("{:?}", seen.array.grid).as_bytes());
        digest.as_bytes().first_chunk().map(|first| u64::from_le_bytes(*first))
    }

    fn chunks(&self, part: &Selection) -> Option<Result<Chunks>> {
        let (node, seen) = (Arc::clone(&self.node), self.seen.lock().clone());
        self.top.then(|| {
            let array = &seen.array;
            let picked = part.chunks(array).map_err(|error| error.context(node.full_path()))?;
            let values = array.chunk_shape.iter().try_fold(1u64, |all, length| all.checked_mul(*length));
            let plain = values.zip(array.item_size).and_then(|(values, size)| values.checked_mul(size));
            Ok(Chunks {
                count: picked.len(),
                bytes: array.chunk_bytes.or(plain),
                exact: array.chunk_bytes.is_some(),
                fetch: node.stores.documents.fetch().clone(),
                make: Arc::new(move |n| {
                    let (node, seen, number) =
                        (Arc::clone(&node), seen.clone(), picked.number(n, &seen.array));
                    Box::pin(async move { chunk_file(&node, &seen, number?).await })
                }),
            })
        })
    }

    fn attributes(&self) -> Attributes {
        let array = Arc::clone(&self.seen.lock().array);
        let list = |numbers: &[u64]| Bytes::from(serde_json::to_vec(numbers).unwrap_or_default());
        let mut attributes = vec![
            ("user.zarr.shape".to_owned(), list(&array.shape)),
            ("user.zarr.chunks".to_owned(), list(&array.chunk_shape)),
            ("user.zarr.dtype".to_owned(), Bytes::from(array.data_type.clone())),
        ];
        if let Some(names) = &array.dimension_names {
            let names = serde_json::to_vec(names).unwrap_or_default();
            attributes.push(("user.zarr.dimensions".into(), names.into()));
        }
        attributes
    }
}
