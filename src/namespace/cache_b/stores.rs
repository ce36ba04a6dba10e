//! What is known of one Zarr host, shared by all its directories: opened stores and metadata documents.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moka::future::Cache;
use url::Url;

use crate::catalog::limits::DOCUMENT_BYTES;
use crate::catalog::zarr::{Node, Store, Version};
use crate::error::{Error, ErrorKind, Result, fail};
use crate::fetch::{Allowance, Fetch};
use crate::object::ObjectId;
use crate::store::{Access, Format, Remote};
use crate::transport::header::HeaderMap;
use crate::transport::{Method, Purpose, Request, RequestBody};

/// How long metadata holds: stores are versioned, and only their metadata may be written again.
const HOLDS: Duration = Duration::from_secs(600);
/// How long the headers of a document may take (contract.md 4.3).
const FIRST_BYTE: Duration = Duration::from_secs(30);
/// Bytes of documents that are kept.
const KEPT: u64 = 64 << 20;

/// A store whose metadata has been read.
pub(super) struct OpenStore {
    /// Its path on the host.
    pub(super) path: String,
    /// Its nodes, as far as consolidated metadata names them.
    pub(super) store: Store,
    /// The document at its root that tells of all nodes, byte for byte.
    pub(super) root_document: Option<(&'static str, Bytes)>,
}

impl OpenStore {
    /// Bytes that it takes, about: the document, and as much again for the nodes read from it.
    fn weight(&self) -> u32 {
        let document = self.root_document.as_ref().map_or(0, |(_, bytes)| bytes.len());
        u32::try_from(2 * document + 1024).unwrap_or(u32::MAX)
    }
}

/// The stores of a host.
pub struct Stores {
    base: Url,
    /// Paths of the stores that are listed.
    pub(super) listed: Vec<String>,
    fetch: Fetch,
    open: Cache<String, Arc<OpenStore>>,
    /// By path; `None`: the host has no such document.
    documents: Cache<String, Option<Bytes>>,
}

impl Stores {
    /// The host at `base` (which ends with `/`); asks nothing yet.
    pub fn new(base: Url, listed: Vec<String>, fetch: Fetch) -> Arc<Self> {
        let weight = |path: &String, document: &Option<Bytes>| {
            let bytes = path.len() + document.as_ref().map_or(0, Bytes::len) + 100;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let listed = listed.iter().map(|path| path.trim_matches('/').to_owned()).collect();
        Arc::new(Self {
            base,
            listed,
            fetch,
            open: Cache::builder()
                .max_capacity(KEPT)
                .weigher(|_: &String, store: &Arc<OpenStore>| store.weight())
                .time_to_live(HOLDS)
                .build(),
            documents: Cache::builder().max_capacity(KEPT).weigher(weight).time_to_live(HOLDS).build(),
        })
    }

    /// Asks whether anybody answers at the host. What it answers does not matter: hosts of stores have no
    /// document at their root (protocol.md 4.1).
    ///
    /// # Errors
    /// `Unreachable`, `TimedOut` or `Protocol` (TLS) when there is no answer at all.
    pub async fn check(&self) -> Result<()> {
        match self.fetch.document(document_request(self.base.clone()), DOCUMENT_BYTES).await {
            Err(error) if matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::TimedOut) => {
                Err(error.context(self.fetch.service()))
            }
            _ => Ok(()),
        }
    }

    /// Opens the store at `path`: consolidated metadata of v2, then v3's, then a root without either.
    ///
    /// # Errors
    /// `NotFound` when there is none, `Forbidden` when the host does not let us look, `Protocol` when its
    /// metadata is no metadata.
    pub(super) async fn open(&self, path: &str) -> Result<Arc<OpenStore>> {
        let opened = self.open.try_get_with(path.to_owned(), self.read_root(path)).await;
        opened.map_err(|error| error.as_ref().clone())
    }

    async fn read_root(&self, path: &str) -> Result<Arc<OpenStore>> {
        let mut refused = None;
        for name in [".zmetadata", "zarr.json", ".zgroup", ".zarray"] {
            // Some object stores answer 403 for what is not there (protocol.md 4.1), so one refusal is not the
            // end; if nothing can be read, it was one.
            let document = match self.document(path, name).await {
                Ok(Some(document)) => document,
                Ok(None) => continue,
                Err(error) if error.kind() == ErrorKind::Forbidden => {
                    refused.get_or_insert(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let store = match name {
                ".zmetadata" => Store::parse_v2_consolidated(&document),
                "zarr.json" => Store::parse_v3(&document),
                _ => self.lone_root(path, name, &document).await,
            };
            let store = store.map_err(|error| error.context(format!("{path}/{name}")))?;
            for problem in &store.problems {
                tracing::warn!("{path}: {} is left out: {}", problem.key, problem.reason);
            }
            let root_document = matches!(name, ".zmetadata" | "zarr.json").then_some((name, document));
            return Ok(Arc::new(OpenStore { path: path.to_owned(), store, root_document }));
        }
        match refused {
            Some(error) => Err(error.context(
                "no right to this store (Climate DT data need the upgraded access of \
                 https://platform.destine.eu/access-policy-upgrade)",
            )),
            None => fail(ErrorKind::NotFound, format!("there is no store {path}")),
        }
    }

    /// A v2 store without consolidated metadata, as a consolidated one that knows its root only.
    async fn lone_root(&self, path: &str, name: &str, document: &Bytes) -> Result<Store> {
        let attributes = self.document(path, ".zattrs").await?;
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
    pub(super) async fn node(&self, store: &OpenStore, path: &str) -> Result<Node> {
        if let Some(node) = store.store.node(path)? {
            return Ok(node.clone());
        }
        let missing = || fail(ErrorKind::NotFound, format!("{} has no node {path}", store.path));
        if store.store.consolidated {
            return missing();
        }
        let full = format!("{}/{path}", store.path);
        if store.store.version == Version::V3 {
            return match self.document(&full, "zarr.json").await? {
                Some(document) => Node::parse_v3(&document),
                None => missing(),
            };
        }
        for name in [".zarray", ".zgroup"] {
            if let Some(document) = self.document(&full, name).await? {
                let attributes = self.document(&full, ".zattrs").await?;
                return match name {
                    ".zarray" => Node::parse_v2_array(&document, attributes.as_ref()),
                    _ => Node::parse_v2_group(&document, attributes.as_ref()),
                };
            }
        }
        missing()
    }

    /// A metadata document, byte for byte as the host has it; `None` when it has none.
    ///
    /// # Errors
    /// What the host met; `Protocol` for a web page in place of a document.
    pub(super) async fn document(&self, path: &str, name: &str) -> Result<Option<Bytes>> {
        let key = format!("{path}/{name}");
        let ask = async {
            let request = document_request(self.url(&key));
            match self.fetch.document(request, DOCUMENT_BYTES).await {
                Ok(document) if document.bytes.trim_ascii_start().starts_with(b"<") => {
                    fail(ErrorKind::Protocol, format!("{key}: a web page in place of metadata"))
                }
                Ok(document) => Ok(Some(document.bytes)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        };
        let document = self.documents.try_get_with(key.clone(), ask).await;
        document.map_err(|error: Arc<Error>| error.as_ref().clone())
    }

    /// The chunk file `key`; `sharded` ones are read in parts, all others from end to end.
    pub(super) fn chunk(&self, key: &str, sharded: bool) -> Remote {
        let url = self.url(key);
        let access = if sharded { Access::Parts(Format::Other) } else { Access::Whole };
        let id = ObjectId::new(self.fetch.service(), url.as_str());
        Remote { id, url, length: None, updated: None, checksum: None, access, fetch: self.fetch.clone() }
    }

    /// What may still be asked of the host.
    pub(super) fn allowance(&self) -> Allowance {
        self.fetch.budget().allowance()
    }

    /// The address of what has this path.
    pub(super) fn address(&self, path: &str) -> String {
        self.url(path).into()
    }

    fn url(&self, key: &str) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(key.split('/'));
        }
        url
    }
}

fn document_request(url: Url) -> Request {
    Request {
        method: Method::GET,
        url,
        headers: HeaderMap::new(),
        body: RequestBody::Empty,
        purpose: Purpose::Metadata,
        first_byte: FIRST_BYTE,
    }
}
