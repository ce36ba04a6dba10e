//! An array: its metadata files, and its chunks by arithmetic. Listing half a million chunks costs no request
//! and no memory; looking one up is the beginning of its download.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};

use crate::catalog::limits::LISTED_CHUNKS;
use crate::catalog::zarr::{Array, Level, Place, Selection};
use crate::error::{Error, ErrorKind, Result, fail};
use crate::namespace::cache_b::group::GroupDirectory;
use crate::namespace::{
    Attributes, Cell, Chunks, Content, Directory, Entry, FIXED, FileNode, Kind, Listing, Node, Times, Told,
};
use crate::store::Remote;

/// How long an absent chunk stays absent without asking again: chunks never change once written.
const ABSENT: Duration = Duration::from_secs(3600);

/// A directory of chunks: the array's own, or one of those that `/` in chunk keys makes.
pub(super) struct ArrayDirectory {
    node: Arc<GroupDirectory>,
    array: Arc<Array>,
    level: Level,
    /// The array's own directory also holds its metadata files.
    top: bool,
}

impl ArrayDirectory {
    pub(super) fn top(node: GroupDirectory, array: Arc<Array>) -> Self {
        let level = array.grid.top();
        Self { node: Arc::new(node), array, level, top: true }
    }

    fn place(&self, place: Place) -> Result<Node> {
        match place {
            Place::Level(level) => {
                let (node, array) = (Arc::clone(&self.node), Arc::clone(&self.array));
                Ok(Node::directory(Self { node, array, level, top: false }))
            }
            Place::Chunk(number) => match chunk(&self.node, &self.array, number) {
                Some(file) => Ok(file),
                None => self.missing("chunk"),
            },
        }
    }

    fn missing<T>(&self, name: &str) -> Result<T> {
        fail(ErrorKind::NotFound, format!("{} has no {name}", self.node.full_path()))
    }
}

/// The key of a chunk below its array, and where it is.
fn remote(node: &GroupDirectory, array: &Array, number: u64) -> Option<(String, Remote)> {
    let key = array.grid.key(number)?;
    let path = format!("{}/{key}", node.full_path());
    Some((key, node.stores.chunk(&path, array.inner_chunk_shape.is_some())))
}

/// The file of a chunk. Shards are read in parts, so nothing is to be said of what comes after one.
fn chunk(node: &Arc<GroupDirectory>, array: &Arc<Array>, number: u64) -> Option<Node> {
    let content = Content::Remote(remote(node, array, number)?.1);
    let sharded = array.inner_chunk_shape.is_some();
    let cell = (!sharded).then(|| cell(node, array, array.grid.coordinates(number).unwrap_or_default()));
    let (times, attributes) = (Times::default(), Attributes::new());
    Some(Node::File(Arc::new(FileNode { content, times, attributes, cell, told: Told::default() })))
}

fn cell(node: &Arc<GroupDirectory>, array: &Arc<Array>, at: Vec<u64>) -> Cell {
    let (counts, grid) = (array.grid.counts().into(), node.identity());
    let (node, array) = (Arc::clone(node), Arc::clone(array));
    let neighbour = move |at: &[u64]| {
        let found = array.grid.linear(at).and_then(|number| chunk(&node, &array, number));
        let missing = || Error::new(ErrorKind::NotFound, format!("{} has no such chunk", node.full_path()));
        Box::pin(ready(found.ok_or_else(missing))) as BoxFuture<'static, Result<Node>>
    };
    Cell { grid, counts, at, node: Arc::new(neighbour) }
}

impl Directory for ArrayDirectory {
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Node>> {
        Box::pin(async move {
            if self.top && GroupDirectory::is_document(name) {
                return self.node.document(name).await;
            }
            match self.array.grid.find(&self.level, name) {
                Some(place) => self.place(place),
                None => self.missing(name),
            }
        })
    }

    /// Names outside the grid cost no request.
    fn at_hand(&self, name: &str) -> Option<Result<Node>> {
        if self.top && GroupDirectory::is_document(name) {
            return None;
        }
        Some(match self.array.grid.find(&self.level, name) {
            Some(place) => self.place(place),
            None => self.missing(name),
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        Box::pin(async {
            let count = self.array.grid.names(&self.level);
            if count > LISTED_CHUNKS {
                return fail(
                    ErrorKind::TooLarge,
                    format!(
                        "{} has {count} chunks, too many to list: open them by name",
                        self.node.full_path()
                    ),
                );
            }
            let documents = if self.top { self.node.listed_documents() } else { Vec::new() };
            let (array, level) = (Arc::clone(&self.array), self.level.clone());
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

    fn chunks(&self, part: &Selection) -> Option<Result<Chunks>> {
        let (node, array) = (Arc::clone(&self.node), Arc::clone(&self.array));
        self.top.then(|| {
            let picked = part.chunks(&array).map_err(|error| error.context(node.full_path()))?;
            let values = array.chunk_shape.iter().try_fold(1u64, |all, length| all.checked_mul(*length));
            let plain = values.zip(array.item_size).and_then(|(values, size)| values.checked_mul(size));
            Ok(Chunks {
                count: picked.len(),
                bytes: array.chunk_bytes.or(plain),
                exact: array.chunk_bytes.is_some(),
                make: Arc::new(move |n| remote(&node, &array, picked.number(n, &array)?)),
            })
        })
    }

    fn absent_for(&self) -> Duration {
        ABSENT
    }

    fn edition(&self) -> Option<u64> {
        Some(FIXED)
    }

    fn attributes(&self) -> Attributes {
        let array = &self.array;
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
