//! A group of a store: its metadata files and its nodes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::catalog::zarr::{Node as ZarrNode, Version};
use crate::error::{ErrorKind, Result, fail};
use crate::namespace::cache_b::array::ArrayDirectory;
use crate::namespace::cache_b::stores::{Described, OpenStore, Stores};
use crate::namespace::name::{decode, encode};
use crate::namespace::{Directory, Entry, Kind, Listing, Node};

/// What writers put into a group that they repeat.
const MEMBER: &[u8] = b"\"consolidated_metadata\"";

/// A group, and what is common to groups and arrays: the metadata files beside the children.
pub(super) struct GroupDirectory {
    pub(super) stores: Arc<Stores>,
    /// The store as it was last seen.
    seen: Mutex<OpenStore>,
    /// Path of the node in the store; the root's is empty.
    path: String,
}

impl GroupDirectory {
    /// The directory of the node at `path`, group or array.
    pub(super) async fn node(stores: &Arc<Stores>, store: OpenStore, path: &str) -> Result<Node> {
        let described = stores.node(&store, path).await?;
        let group = Self { stores: Arc::clone(stores), seen: Mutex::new(store), path: path.to_owned() };
        Ok(match described.node {
            ZarrNode::Group(_) => Node::directory(group),
            ZarrNode::Array(ref array) => {
                let array = Arc::clone(array);
                Node::directory(ArrayDirectory::top(group, array, &described))
            }
        })
    }

    /// The store, as it is now.
    async fn store(&self) -> Result<OpenStore> {
        let seen = self.seen.lock().clone();
        if seen.is_fresh() {
            return Ok(seen);
        }
        let store = self.stores.open(&seen.path).await?;
        *self.seen.lock() = store.clone();
        Ok(store)
    }

    /// What is here now.
    pub(super) async fn described(&self) -> Result<Described> {
        self.stores.node(&self.store().await?, &self.path).await
    }

    /// Path of the node on the host.
    pub(super) fn full_path(&self) -> String {
        let store = Arc::clone(&self.seen.lock().path);
        if self.path.is_empty() { store.as_ref().to_owned() } else { format!("{store}/{}", self.path) }
    }

    /// A number that stands for the node, among all nodes of all hosts.
    pub(super) fn identity(&self) -> u64 {
        let digest = blake3::hash(self.stores.documents.url(&self.full_path()).as_str().as_bytes());
        digest.as_bytes().first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
    }

    /// Whether `name` is that of a metadata file in either version of the format.
    pub(super) fn is_document(name: &str) -> bool {
        [".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json"].contains(&name)
    }

    /// A metadata file: the server's own bytes; where the consolidated document tells it already, that part of it.
    pub(super) async fn document(&self, name: &str) -> Result<Node> {
        let store = self.store().await?;
        let missing = || fail(ErrorKind::NotFound, format!("{} has no {name}", self.full_path()));
        let possible: &[&str] = match store.store.version {
            Version::V2 => &[".zarray", ".zattrs", ".zgroup", ".zmetadata"],
            Version::V3 => &["zarr.json"],
        };
        if !possible.contains(&name) {
            return missing();
        }
        if self.path.is_empty() && store.root.0 == name {
            return Ok(Node::bytes(store.root.1.clone(), None));
        }
        let part = store.store.file(&self.path, name);
        // A group may have a consolidated document of its own; and where one is repeated in another, writers put a
        // member into it: of version 3 many, of version 2 zarr-python 3.
        let is_group = matches!(store.store.node(&self.path), Ok(Some(ZarrNode::Group(_))));
        let more = part.as_ref().is_some_and(|part| {
            name == "zarr.json" || part.windows(MEMBER.len()).any(|window| window == MEMBER)
        });
        let other = name == ".zmetadata" || (is_group && more && name != ".zattrs");
        if store.store.consolidated && !other {
            return part.map_or_else(missing, |part| Ok(Node::bytes(part, None)));
        }
        match self.stores.documents.get(&self.full_path(), name).await?.bytes.or(part) {
            Some(bytes) => Ok(Node::bytes(bytes, None)),
            None => missing(),
        }
    }

    /// The metadata files that are known to be there.
    pub(super) async fn listed_documents(&self) -> Result<Vec<Entry>> {
        let store = self.store().await?;
        let mut names = store.store.documents(&self.path);
        if self.path.is_empty() && !names.contains(&store.root.0) {
            names.push(store.root.0);
        }
        Ok(names.into_iter().map(|name| Entry::named(name, Kind::File)).collect())
    }
}

/// How long what is known until `until` may be believed.
pub(super) fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

impl Directory for GroupDirectory {
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Node>> {
        Box::pin(async move {
            if Self::is_document(name) {
                return self.document(name).await;
            }
            let Some(text) = decode(name).filter(|text| encode(text) == name && !text.contains('/')) else {
                return fail(ErrorKind::NotFound, format!("{} has no node {name}", self.full_path()));
            };
            let path = if self.path.is_empty() { text } else { format!("{}/{text}", self.path) };
            Self::node(&self.stores, self.store().await?, &path).await
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        Box::pin(async {
            let mut entries = self.listed_documents().await?;
            let store = self.store().await?;
            let children = store.store.children(&self.path).into_iter().flatten();
            entries.extend(children.map(|name| Entry::named(encode(name), Kind::Directory)));
            Ok(Listing::of(entries))
        })
    }

    fn holds_for(&self) -> Option<Duration> {
        Some(left(self.seen.lock().until))
    }
}
