//! What is known of one Zarr host, shared by all its directories: which stores are open, with their nodes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moka::future::Cache;
use moka::ops::compute::Op;
use tokio::time::{Instant, timeout};
use url::Url;

use crate::catalog::shelf::Shelf;
use crate::catalog::zarr::{Node, Store, Version};
use crate::error::{ErrorKind, Result, fail};
use crate::fetch::{Allowance, Fetch};
use crate::namespace::cache_b::absent::Absent;
use crate::namespace::cache_b::documents::{Document, Documents};
use crate::namespace::cache_b::likely::Likely;
use crate::object::ObjectId;
use crate::store::{Access, Format, Remote};

/// Bytes of stores that are kept open.
const KEPT: u64 = 64 << 20;

/// A store whose metadata has been read.
#[derive(Clone)]
pub(super) struct OpenStore {
    /// Its path on the host.
    pub(super) path: Arc<str>,
    /// Its nodes, as far as consolidated metadata names them.
    pub(super) store: Arc<Store>,
    /// The document at its root that it was read from, byte for byte.
    pub(super) root: (&'static str, Bytes),
    /// Until when that holds.
    pub(super) until: Instant,
    /// Stands for the document and its version.
    mark: Arc<str>,
}

impl OpenStore {
    /// Whether it holds without asking again.
    pub(super) fn is_fresh(&self) -> bool {
        self.until > Instant::now()
    }

    /// Bytes that it takes, about: the document, and as much again for the nodes read from it.
    fn weight(&self) -> u32 {
        u32::try_from(2 * self.root.1.len() + 1024).unwrap_or(u32::MAX)
    }
}

/// A node of a store.
pub(super) struct Described {
    pub(super) node: Node,
    /// Until when its metadata holds.
    pub(super) until: Instant,
    /// Stands for its metadata: another mark, other metadata.
    pub(super) mark: Arc<str>,
}

/// The stores of a host.
pub struct Stores {
    /// Paths of the stores that are listed.
    pub(super) listed: Vec<String>,
    pub(super) documents: Documents,
    pub(super) absent: Absent,
    open: Cache<String, OpenStore>,
    likely: Likely,
}

impl Stores {
    /// The host at `base` (which ends with `/`); asks nothing yet. What is learnt is kept on `shelf`; metadata
    /// `holds` so long without asking again.
    pub fn new(base: Url, listed: Vec<String>, fetch: Fetch, shelf: Shelf, holds: Duration) -> Arc<Self> {
        Arc::new(Self {
            listed: listed.iter().map(|path| path.trim_matches('/').to_owned()).collect(),
            absent: Absent::new(shelf.clone()),
            likely: Likely::new(base.clone(), shelf.clone()),
            documents: Documents::new(base, fetch, shelf, holds),
            open: Cache::builder()
                .max_capacity(KEPT)
                .weigher(|_: &String, store: &OpenStore| store.weight())
                .build(),
        })
    }

    /// Asks whether anybody answers at the host.
    ///
    /// # Errors
    /// `Unreachable`, `TimedOut` or `Protocol` (TLS) when there is no answer at all.
    pub async fn check(&self) -> Result<()> {
        self.documents.check().await
    }

    /// Waits until all that was learnt is on the shelf, but no longer than `limit`.
    pub async fn settle(&self, limit: Duration) {
        let all = async {
            for shelving in [self.documents.shelving(), self.absent.shelving(), self.likely.shelving()] {
                shelving.close();
                shelving.wait().await;
            }
        };
        let _ = timeout(limit, all).await;
    }

    /// Opens the store at `path`, or looks whether it is still what it was.
    ///
    /// # Errors
    /// `NotFound` when there is none, `Changed` when there was one and is none any more, `Forbidden` when the host
    /// does not let us look, `Protocol` when its metadata is no metadata.
    pub(super) async fn open(&self, path: &str) -> Result<OpenStore> {
        let refreshed = self.open.entry_by_ref(path).and_try_compute_with(|entry| async {
            match entry.map(moka::Entry::into_value) {
                Some(held) if held.is_fresh() => Ok(Op::Nop),
                held => self.renewed(path, held).await.map(Op::Put),
            }
        });
        match refreshed.await?.into_entry().map(moka::Entry::into_value) {
            Some(store) => Ok(store),
            None => fail(ErrorKind::Internal, format!("{path}: lost while it was opened")),
        }
    }

    /// The store as it is now; `held` is what it was.
    async fn renewed(&self, path: &str, held: Option<OpenStore>) -> Result<OpenStore> {
        if let Some(held) = &held {
            let Document { bytes, version, until } = self.documents.get(path, held.root.0).await?;
            if let Some(bytes) = bytes {
                if bytes == held.root.1 {
                    let mark = mark(&bytes, &version);
                    return Ok(OpenStore { until, mark, ..held.clone() });
                }
                tracing::info!("{path}: its metadata has changed");
            }
        }
        match self.read_root(path).await {
            // To a program that has it open, "not found" would mean that its chunks are empty.
            Err(error) if error.kind() == ErrorKind::NotFound && held.is_some() => fail(
                ErrorKind::Changed,
                format!(
                    "the store {path} was there and is gone from {}: look for it under another name or on another host \
                     ([[cache_b.root]])",
                    self.documents.base()
                ),
            ),
            opened => opened,
        }
    }

    async fn read_root(&self, path: &str) -> Result<OpenStore> {
        let mut refused = None;
        for name in self.likely.order(path, &self.documents.url(path)).await {
            // Some object stores answer 403 for what is not there (protocol.md 4.1), so one refusal is not the
            // end; if nothing can be read, it was one.
            let Document { bytes, version, until } = match self.documents.get(path, name).await {
                Ok(document) => document,
                Err(error) if error.kind() == ErrorKind::Forbidden => {
                    refused.get_or_insert(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let Some(bytes) = bytes else { continue };
            let store = match name {
                ".zmetadata" => Store::parse_v2_consolidated(&bytes),
                "zarr.json" => Store::parse_v3(&bytes),
                _ => self.lone_root(path, name, &bytes).await,
            };
            let store = Arc::new(store.map_err(|error| error.context(format!("{path}/{name}")))?);
            for problem in &store.problems {
                tracing::warn!("{path}: {} is left out: {}", problem.key, problem.reason);
            }
            self.likely.note(path, name);
            let mark = mark(&bytes, &version);
            return Ok(OpenStore { path: path.into(), store, root: (name, bytes), until, mark });
        }
        match refused {
            Some(error) => Err(error),
            None => {
                fail(ErrorKind::NotFound, format!("there is no store {path} at {}", self.documents.base()))
            }
        }
    }

    /// A v2 store without consolidated metadata, as a consolidated one that knows its root only.
    async fn lone_root(&self, path: &str, name: &str, document: &Bytes) -> Result<Store> {
        let attributes = self.documents.get(path, ".zattrs").await?.bytes;
        let member = |name: &str, bytes: &Bytes| {
            Some(format!("{}:{}", serde_json::to_string(name).ok()?, std::str::from_utf8(bytes).ok()?))
        };
        let members: Vec<String> = [(name, Some(document)), (".zattrs", attributes.as_ref())]
            .into_iter()
            .filter_map(|(name, bytes)| member(name, bytes?))
            .collect();
        let text = format!("{{\"zarr_consolidated_format\":1,\"metadata\":{{{}}}}}", members.join(","));
        let mut store = Store::parse_v2_consolidated(&text.into())?;
        store.consolidated = name == ".zarray";
        Ok(store)
    }

    /// The node at `path` in `store`; one that consolidated metadata does not know is asked for.
    ///
    /// # Errors
    /// `NotFound` when there is none, `Protocol` when its metadata is wrong.
    pub(super) async fn node(&self, store: &OpenStore, path: &str) -> Result<Described> {
        if let Some(node) = store.store.node(path)? {
            let (until, mark) = (store.until, Arc::clone(&store.mark));
            return Ok(Described { node: node.clone(), until, mark });
        }
        let missing = || fail(ErrorKind::NotFound, format!("{} has no node {path}", store.path));
        if store.store.consolidated {
            return missing();
        }
        let full = format!("{}/{path}", store.path);
        let names: &[_] = match store.store.version {
            Version::V2 => &[".zarray", ".zgroup"],
            Version::V3 => &["zarr.json"],
        };
        for name in names {
            let Document { bytes, version, mut until } = self.documents.get(&full, name).await?;
            let Some(bytes) = bytes else { continue };
            let mut attributes = None;
            if store.store.version == Version::V2 {
                let beside = self.documents.get(&full, ".zattrs").await?;
                (attributes, until) = (beside.bytes, until.min(beside.until));
            }
            let node = match *name {
                ".zarray" => Node::parse_v2_array(&bytes, attributes.as_ref()),
                ".zgroup" => Node::parse_v2_group(&bytes, attributes.as_ref()),
                _ => Node::parse_v3(&bytes),
            };
            let node = node.map_err(|error| error.context(&full))?;
            return Ok(Described { node, until, mark: mark(&bytes, &version) });
        }
        missing()
    }

    /// The chunk file `key`; `sharded` ones are read in parts, all others from end to end. `edge` tells apart the
    /// versions of a chunk that is only partly inside of the array: it is written again when the array grows.
    pub(super) fn chunk(&self, key: &str, sharded: bool, edge: Option<&str>) -> Remote {
        let url = self.documents.url(key);
        let fetch = self.documents.fetch();
        let access = if sharded { Access::Parts(Format::Other) } else { Access::Whole };
        let id = match edge {
            Some(edge) => ObjectId::new(fetch.service(), &format!("{url}#{edge}")),
            None => ObjectId::new(fetch.service(), url.as_str()),
        };
        Remote { id, url, length: None, updated: None, checksum: None, access, fetch: fetch.clone() }
    }

    /// What may still be asked of the host.
    pub(super) fn allowance(&self) -> Allowance {
        self.documents.fetch().budget().allowance()
    }
}

fn mark(document: &Bytes, version: &crate::object::Validator) -> Arc<str> {
    let mut hash = blake3::Hasher::new();
    for part in [version.etag.as_deref(), version.last_modified.as_deref()] {
        hash.update(part.unwrap_or_default().as_bytes()).update(b"\n");
    }
    hash.update(document);
    hash.finalize().to_hex().as_str().into()
}
