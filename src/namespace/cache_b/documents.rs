//! Metadata documents of a host: in memory, on the shelf, else asked for; after a while asked whether they still
//! hold.
//!
//! A document holds for a time that is a setting. Then the host is asked with its entity tag or date, so that an unchanged one costs
//! no bytes. If the host cannot be asked, what was known goes on being true for [`UNASKED`]: a store that was opened
//! stays readable, as far as its chunks are in the cache.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use moka::future::Cache;
use moka::ops::compute::Op;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::catalog::limits::DOCUMENT_BYTES;
use crate::catalog::shelf::{Kept, Key, Shelf};
use crate::error::{ErrorKind, Result, fail};
use crate::fetch::Fetch;
use crate::object::Validator;
use crate::transport::header::HeaderMap;
use crate::transport::{Method, Purpose, Request, RequestBody};

/// How long one is believed on when the host could not be asked.
const UNASKED: Duration = Duration::from_secs(60);
/// How long a failure is remembered when nothing was known before (contract.md 3.3).
const REMEMBER_FAILURE: Duration = Duration::from_secs(2);
/// How long the headers of a document may take (contract.md 4.3).
const FIRST_BYTE: Duration = Duration::from_secs(30);
/// Bytes of documents that are kept in memory.
const KEPT: u64 = 64 << 20;

/// A document, or that there is none, as the host last said.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// Byte for byte; `None`: the host has none.
    pub(super) bytes: Option<Bytes>,
    /// The version, where the host tells one.
    pub(super) version: Validator,
    /// Until when it holds.
    pub(super) until: Instant,
}

/// What is in memory: a document, or why there is none.
#[derive(Clone)]
struct Held(Result<Document>, Instant);

/// The documents of a host.
pub(super) struct Documents {
    base: Url,
    fetch: Fetch,
    shelf: Shelf,
    held: Cache<String, Held>,
    shelving: TaskTracker,
    /// How long a document holds without asking again.
    holds: Duration,
}

/// What stands before a document's bytes on the shelf.
#[derive(Serialize, Deserialize)]
struct Label {
    found: bool,
    etag: Option<String>,
    last_modified: Option<String>,
}

impl Documents {
    pub(super) fn new(base: Url, fetch: Fetch, shelf: Shelf, holds: Duration) -> Self {
        let weight = |path: &String, held: &Held| {
            let document = held.0.as_ref().ok().and_then(|document| document.bytes.as_ref());
            let bytes = path.len() + document.map_or(0, Bytes::len) + 200;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let held = Cache::builder().max_capacity(KEPT).weigher(weight).build();
        Self { base, fetch, shelf, held, shelving: TaskTracker::new(), holds }
    }

    /// The document `name` in the directory `path`, which held a moment ago or holds still.
    ///
    /// # Errors
    /// What the host met, if nothing was known before; `Protocol` for a web page in place of a document.
    pub(super) async fn get(&self, path: &str, name: &str) -> Result<Document> {
        let key = format!("{path}/{name}");
        if let Some(Held(held, until)) = self.held.get(&key).await
            && until > Instant::now()
        {
            return held;
        }
        let refreshed = self.held.entry_by_ref(&key).and_compute_with(|entry| async {
            let held = entry.map(moka::Entry::into_value);
            match held {
                // Somebody else has asked meanwhile.
                Some(Held(_, until)) if until > Instant::now() => Op::Nop,
                held => Op::Put(self.renewed(&key, held.and_then(|held| held.0.ok())).await),
            }
        });
        match refreshed.await.into_entry().map(moka::Entry::into_value) {
            Some(Held(held, _)) => held,
            None => fail(ErrorKind::Internal, format!("{key}: lost on its way")),
        }
    }

    /// Asks the host, unless the shelf knows; `known`: what held before.
    async fn renewed(&self, key: &str, known: Option<Document>) -> Held {
        let known = match known {
            Some(known) => Some(known),
            None => {
                let kept = self.shelf.get(self.shelf_key(key)).await;
                kept.and_then(|kept| recalled(kept, self.holds))
            }
        };
        if let Some(known) = known.clone().filter(|known| known.until > Instant::now()) {
            let until = known.until;
            return Held(Ok(known), until);
        }
        match (self.ask(key, known.as_ref()).await, known) {
            (Ok(document), _) => {
                self.keep(key, &document);
                let until = document.until;
                Held(Ok(document), until)
            }
            // Whatever holds the host back, what it said before is the best there is.
            (Err(error), Some(known)) if error.kind() != ErrorKind::Forbidden => {
                tracing::debug!("{key} is taken as it was: {error}");
                let until = Instant::now() + UNASKED.min(self.holds);
                Held(Ok(Document { until, ..known }), until)
            }
            // A login counts at once; without one nothing is asked, so there is nothing to spare.
            (Err(error), _) if error.kind() == ErrorKind::LoginExpired => Held(Err(error), Instant::now()),
            (Err(error), _) => Held(Err(error), Instant::now() + REMEMBER_FAILURE),
        }
    }

    async fn ask(&self, key: &str, known: Option<&Document>) -> Result<Document> {
        let until = || Instant::now() + self.holds;
        let seen = known.filter(|known| known.bytes.is_some());
        let version = seen.map(|known| known.version.clone()).unwrap_or_default();
        match self.fetch.document_unless(request(self.url(key)), DOCUMENT_BYTES, &version).await {
            Ok(Some(document)) if document.bytes.trim_ascii_start().starts_with(b"<") => {
                fail(ErrorKind::Protocol, format!("{key}: a web page in place of metadata"))
            }
            Ok(Some(document)) => {
                Ok(Document { bytes: Some(document.bytes), version: document.version, until: until() })
            }
            Ok(None) => match seen {
                Some(known) => Ok(Document { until: until(), ..known.clone() }),
                None => fail(ErrorKind::Protocol, format!("{key}: unchanged, but nothing was known of it")),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Ok(Document { bytes: None, version: Validator::default(), until: until() })
            }
            Err(error) => Err(error),
        }
    }

    /// Puts a document on the shelf, behind the back of who waits for it.
    fn keep(&self, key: &str, document: &Document) {
        let Validator { etag, last_modified } = document.version.clone();
        let label = Label { found: document.bytes.is_some(), etag, last_modified };
        let Ok(mut text) = serde_json::to_vec(&label) else { return };
        text.push(b'\n');
        text.extend_from_slice(document.bytes.as_deref().unwrap_or_default());
        let (shelf, key) = (self.shelf.clone(), self.shelf_key(key));
        self.shelving.spawn(async move { shelf.put(key, text, Timestamp::now()).await });
    }

    /// What is still on its way to the shelf.
    pub(super) fn shelving(&self) -> &TaskTracker {
        &self.shelving
    }

    fn shelf_key(&self, key: &str) -> Key {
        Key::of("zarr", &[self.base.as_str(), key])
    }

    /// The address of the object `key`.
    pub(super) fn url(&self, key: &str) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(key.split('/'));
        }
        url
    }

    /// The door to the host.
    pub(super) fn fetch(&self) -> &Fetch {
        &self.fetch
    }

    /// Where the host is.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// Asks whether anybody answers at the host. What it answers does not matter: hosts of stores have no document
    /// at their root (protocol.md 4.1).
    pub(super) async fn check(&self) -> Result<()> {
        match self.fetch.document(request(self.base.clone()), DOCUMENT_BYTES).await {
            Err(error) if matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::TimedOut) => {
                Err(error.context(self.fetch.service()))
            }
            _ => Ok(()),
        }
    }
}

/// What was put on the shelf, and until when it holds: in the past, if it does not.
fn recalled(kept: Kept, holds: Duration) -> Option<Document> {
    let end = kept.bytes.iter().position(|byte| *byte == b'\n')?;
    let label: Label = serde_json::from_slice(&kept.bytes[..end]).ok()?;
    let bytes = label.found.then(|| Bytes::from(kept.bytes).slice(end + 1..));
    let version = Validator { etag: label.etag, last_modified: label.last_modified };
    // A time in the future is of a clock that was wrong.
    let age: Duration = Timestamp::now().duration_since(kept.fetched).try_into().unwrap_or(holds);
    Some(Document { bytes, version, until: Instant::now() + holds.saturating_sub(age) })
}

fn request(url: Url) -> Request {
    Request {
        method: Method::GET,
        url,
        headers: HeaderMap::new(),
        body: RequestBody::Empty,
        purpose: Purpose::Metadata,
        first_byte: FIRST_BYTE,
    }
}
