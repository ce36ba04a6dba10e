//! A group of a store: its metadata files and its nodes.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::catalog::zarr::{self, Version};
use crate::error::{ErrorKind, Result, fail};
use crate::namespace::cache_b::array::ArrayDirectory;
use crate::namespace::cache_b::stores::{OpenStore, Stores};
use crate::namespace::name::{decode, encode};
use crate::namespace::{Directory, Entry, Kind, Listing, Node};

/// A group, and what is common to groups and arrays: the metadata files beside the children.
pub(super) struct GroupDirectory {
    pub(super) stores: Arc<Stores>,
    pub(super) store: Arc<OpenStore>,
    /// Path of the node in the store; the root's is empty.
    pub(super) path: String,
}

impl GroupDirectory {
    /// The directory of the node at `path`, group or array.
    pub(super) async fn node(stores: &Arc<Stores>, store: Arc<OpenStore>, path: &str) -> Result<Node> {
        let node = stores.node(&store, path).await?;
        let group = Self { stores: Arc::clone(stores), store, path: path.to_owned() };
        Ok(match node {
            zarr::Node::Group(_) => Node::directory(group),
            zarr::Node::Array(array) => Node::directory(ArrayDirectory::top(group, Arc::from(array))),
        })
    }

    /// Path of the node on the host.
    pub(super) fn full_path(&self) -> String {
        if self.path.is_empty() {
            self.store.path.clone()
        } else {
            format!("{}/{}", self.store.path, self.path)
        }
    }

    /// A number that stands for the node, among all nodes of all hosts.
    pub(super) fn identity(&self) -> u64 {
        let digest = blake3::hash(self.stores.address(&self.full_path()).as_bytes());
        digest.as_bytes().first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
    }

    /// The names that metadata files of this version of the format have.
    fn documents(&self) -> &'static [&'static str] {
        match self.store.store.version {
            Version::V2 => &[".zarray", ".zattrs", ".zgroup", ".zmetadata"],
            Version::V3 => &["zarr.json"],
        }
    }

    /// Whether `name` is that of a metadata file in either version of the format.
    pub(super) fn is_document(name: &str) -> bool {
        [".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json"].contains(&name)
    }

    /// A metadata file: the server's own bytes; where it has only the consolidated document, that part of it.
    pub(super) async fn document(&self, name: &str) -> Result<Node> {
        let missing = || fail(ErrorKind::NotFound, format!("{} has no {name}", self.full_path()));
        if !self.documents().contains(&name) {
            return missing();
        }
        if let Some((held, bytes)) = &self.store.root_document
            && self.path.is_empty()
            && *held == name
        {
            return Ok(Node::bytes(bytes.clone(), None));
        }
        let known = self.store.store.document(&self.path, name);
        if self.store.store.consolidated && known.is_none() && name != ".zmetadata" {
            return missing();
        }
        match self.stores.document(&self.full_path(), name).await? {
            Some(bytes) => Ok(Node::bytes(bytes, None)),
            None => match known {
                Some(part) => Ok(Node::bytes(Bytes::copy_from_slice(part), None)),
                None => missing(),
            },
        }
    }

    /// The metadata files that are known to be there.
    pub(super) fn listed_documents(&self) -> Vec<Entry> {
        let mut names = self.store.store.documents(&self.path);
        if let Some((name, _)) = self.store.root_document.as_ref().filter(|_| self.path.is_empty())
            && !names.contains(name)
        {
            names.push(name);
        }
        names.into_iter().map(|name| Entry::named(name, Kind::File)).collect()
    }
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
            Self::node(&self.stores, Arc::clone(&self.store), &path).await
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        Box::pin(async {
            let children = self.store.store.children(&self.path).into_iter().flatten();
            let nodes = children.map(|name| Entry::named(encode(name), Kind::Directory));
            Ok(Listing::of(self.listed_documents().into_iter().chain(nodes).collect()))
        })
    }
}
