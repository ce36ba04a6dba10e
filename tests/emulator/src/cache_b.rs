//! The Zarr host of Cache-B: Basic authentication with an offline token, quotas, and plain objects.

mod demo;
mod globe;
mod huge;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header;
use parking_lot::RwLock;

use crate::accounts;
use crate::content::Content;
use crate::disk::{Disk, Objects};
use crate::emulator::Shared;
use crate::journal::Endpoint;
use crate::options::DataSet;
use crate::reply::{ObjectRules, Reply};
use crate::request::{Request, decode};
use huge::Huge;

/// The root of the host.
pub(crate) const PATH: &str = "/cacheb/";

/// Answers a request to the Zarr host.
pub(crate) async fn answer(shared: &Arc<Shared>, request: &Request) -> Reply {
    let behaviour = shared.behaviour.read().cache_b.clone();
    match request.method.as_str() {
        "GET" => {}
        "HEAD" if behaviour.head => {}
        _ => return Reply::method_not_allowed("GET"),
    }
    let user = match credential(request) {
        Some(Credential::Basic(login, token)) if login == accounts::CACHE_B_LOGIN => {
            shared.identity.user_of_offline(&token)
        }
        Some(Credential::Basic(login, key)) if login == accounts::API_LOGIN => {
            (key == accounts::API_KEY).then(|| accounts::USER.to_owned())
        }
        Some(Credential::Bearer(token)) if behaviour.bearer => shared.identity.user_of_access(&token),
        None if behaviour.public => Some(String::new()),
        _ => None,
    };
    let Some(user) = user else {
        return Reply::error(401, "wrong or missing credential")
            .with(header::WWW_AUTHENTICATE, "Basic realm=\"DCMS\"");
    };
    if behaviour.forbidden || user == accounts::UNENTITLED_USER {
        return Reply::error(403, "this data needs the upgraded access");
    }
    let total = |count: fn(&crate::journal::Totals) -> u64| {
        [Endpoint::ZarrDirectory, Endpoint::ZarrMetadata, Endpoint::ZarrChunk]
            .iter()
            .map(|endpoint| count(&shared.journal.totals(*endpoint)))
            .sum::<u64>()
    };
    let over = behaviour.request_quota.is_some_and(|quota| total(|totals| totals.requests) > quota)
        || behaviour.byte_quota.is_some_and(|quota| total(|totals| totals.bytes) >= quota);
    if over {
        let reply = Reply::error(429, "quota exceeded");
        return match &behaviour.retry_after {
            Some(value) => reply.with(header::RETRY_AFTER, value),
            None => reply,
        };
    }
    let key = decode(request.path.strip_prefix(PATH).unwrap_or(""));
    if !shared.stores.is_ready(&key) {
        // Encoding takes a while and would hold up all other requests of this thread.
        let (shared, key) = (Arc::clone(shared), key.clone());
        let writing = tokio::task::spawn_blocking(move || shared.stores.get(&key).is_some());
        if writing.await.is_err() {
            return Reply::error(500, "the store could not be written");
        }
    }
    let Some(content) = shared.stores.get(&key) else {
        let text = if behaviour.absent == 403 { "access denied" } else { "no such key" };
        return Reply::error(behaviour.absent, text);
    };
    let name = key.rsplit('/').next().unwrap_or("");
    let json = name.starts_with(".z") || name == "zarr.json";
    let media = if json { "application/json" } else { "application/octet-stream" };
    let rules = ObjectRules {
        range: behaviour.range,
        content_length: behaviour.content_length,
        etag: behaviour.etag,
        last_modified: behaviour.etag,
    };
    Reply::object(request, &key, shared.present(&key, content), media, &rules)
}

enum Credential {
    Basic(String, String),
    Bearer(String),
}

fn credential(request: &Request) -> Option<Credential> {
    if let Some(token) = request.bearer() {
        return Some(Credential::Bearer(token.to_owned()));
    }
    let (scheme, text) = request.header(header::AUTHORIZATION)?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok()?;
    let (login, password) = text.split_once(':')?;
    Some(Credential::Basic(login.to_owned(), password.to_owned()))
}

/// A path as that of its store and the key in it.
fn split(path: &str) -> Option<(&str, &str)> {
    let at = path.find(".zarr/")? + ".zarr".len();
    Some((&path[..at], &path[at + 1..]))
}

/// All stores.
pub(crate) struct Stores {
    small: Vec<Small>,
    huge: Option<Huge>,
    disk: BTreeMap<String, Objects>,
    /// What has been written or removed (`None`) since the start.
    changes: RwLock<BTreeMap<String, Option<Bytes>>>,
    /// Stores that have been removed.
    gone: RwLock<BTreeSet<String>>,
}

/// A store that is written once, when it is first asked for.
struct Small {
    path: &'static str,
    write: fn() -> demo::Objects,
    objects: OnceLock<demo::Objects>,
}

impl Stores {
    pub(crate) fn new(data: &DataSet, disk: &Disk) -> Stores {
        let small =
            demo::STORES.iter().map(|(path, write)| Small { path, write: *write, objects: OnceLock::new() });
        let huge = match data {
            DataSet::Demo => None,
            DataSet::Synthetic(scale) => Some(Huge::new(scale)),
        };
        Stores {
            small: small.collect(),
            huge,
            disk: disk.stores(),
            changes: RwLock::default(),
            gone: RwLock::default(),
        }
    }

    /// The paths of all stores.
    pub(crate) fn names(&self) -> Vec<String> {
        let small = self.small.iter().map(|store| store.path.to_owned());
        small
            .chain(self.huge.iter().map(|_| huge::PATH.to_owned()))
            .chain(self.disk.keys().cloned())
            .collect()
    }

    /// Writes or removes an object.
    pub(crate) fn put(&self, path: &str, bytes: Option<Bytes>) {
        self.changes.write().insert(path.to_owned(), bytes);
    }

    /// Removes a store, or brings it back.
    pub(crate) fn remove(&self, store: &str, gone: bool) {
        let mut all = self.gone.write();
        if gone {
            all.insert(store.to_owned())
        } else {
            all.remove(store)
        };
    }

    /// An object by its path below the host's root.
    pub(crate) fn get(&self, path: &str) -> Option<Content> {
        if split(path).is_some_and(|(store, _)| self.gone.read().contains(store)) {
            return None;
        }
        if let Some(change) = self.changes.read().get(path) {
            return change.clone().map(Content::bytes);
        }
        if let Some(key) = path.strip_prefix(huge::PATH).and_then(|rest| rest.strip_prefix('/')) {
            return self.huge.as_ref()?.get(key);
        }
        if let Some((store, key)) = split(path)
            && let Some(objects) = self.disk.get(store)
        {
            return objects.get(key).map(|bytes| Content::bytes(bytes.clone()));
        }
        let (store, key) = self.small(path)?;
        store.objects.get_or_init(store.write).get(key).map(|bytes| Content::bytes(bytes.clone()))
    }

    /// Whether an object can be had without writing its store first.
    fn is_ready(&self, path: &str) -> bool {
        self.small(path).is_none_or(|(store, _)| store.objects.get().is_some())
    }

    /// The small store of a path, and the key in it.
    fn small<'a>(&self, path: &'a str) -> Option<(&Small, &'a str)> {
        let within = |store: &Small| path.strip_prefix(store.path)?.strip_prefix('/');
        self.small.iter().find_map(|store| Some((store, within(store)?)))
    }
}
