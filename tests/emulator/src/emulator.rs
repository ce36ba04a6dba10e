//! The running emulator: its two listeners, its state and what a test may ask it.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::behaviour::Behaviour;
use crate::cache_b::{self, Stores};
use crate::content::Content;
use crate::data::Catalogue;
use crate::disk::Disk;
use crate::download::{self, Gate};
use crate::fault::Faults;
use crate::identity::Identity;
use crate::journal::{Host, Journal};
use crate::options::Options;
use crate::rate::{Network, Relay};
use crate::request::Request;
use crate::{accounts, wire};

/// A running stand-in for the services. Dropping it closes its listeners and connections.
#[derive(Debug)]
pub struct Emulator {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

/// What all requests look at.
pub(crate) struct Shared {
    pub(crate) url: String,
    pub(crate) foreign_url: String,
    pub(crate) behaviour: RwLock<Behaviour>,
    pub(crate) faults: Faults,
    pub(crate) journal: Arc<Journal>,
    pub(crate) catalogue: Catalogue,
    pub(crate) stores: Stores,
    pub(crate) identity: Identity,
    pub(crate) gate: Arc<Gate>,
    pub(crate) relay: RwLock<Arc<Relay>>,
    /// Objects that have changed: how often, and by how many bytes their length.
    versions: Mutex<HashMap<String, (u64, i64)>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Emulator {
    /// Starts an emulator on the current runtime.
    ///
    /// # Errors
    /// If an address cannot be listened on, or the files cannot be read.
    pub async fn start(options: Options) -> io::Result<Emulator> {
        let services = TcpListener::bind(options.listen).await?;
        let foreign = TcpListener::bind(options.foreign_listen).await?;
        let disk = match &options.files {
            Some(directory) => Disk::load(directory)?,
            None => Disk::default(),
        };
        let shared = Arc::new(Shared {
            url: format!("http://{}", services.local_addr()?),
            foreign_url: format!("http://{}", foreign.local_addr()?),
            behaviour: RwLock::new(options.behaviour.clone()),
            faults: Faults::default(),
            journal: Arc::new(Journal::new()),
            catalogue: Catalogue::new(&options.data, &disk),
            stores: Stores::new(&options.data, &disk),
            identity: Identity::new(),
            gate: Arc::new(Gate::default()),
            relay: RwLock::new(Relay::new(options.network())),
            versions: Mutex::default(),
        });
        let tasks = vec![
            tokio::spawn(wire::serve(services, Host::Services, Arc::clone(&shared))),
            tokio::spawn(wire::serve(foreign, Host::Foreign, Arc::clone(&shared))),
        ];
        Ok(Emulator { shared, tasks })
    }

    /// The one origin of all services, without a slash at the end.
    pub fn url(&self) -> String {
        self.shared.url.clone()
    }

    /// The origin of the foreign host, without a slash at the end.
    pub fn foreign_url(&self) -> String {
        self.shared.foreign_url.clone()
    }

    /// The root of the search API.
    pub fn stac_url(&self) -> String {
        format!("{}/stac/api", self.shared.url)
    }

    /// The address that takes `?filename=`.
    pub fn download_url(&self) -> String {
        format!("{}{}", self.shared.url, download::PATH)
    }

    /// The root of the Zarr host, with a slash at the end.
    pub fn cache_b_url(&self) -> String {
        format!("{}{}", self.shared.url, cache_b::PATH)
    }

    /// The base of the identity provider; the realm is [`accounts::REALM`].
    pub fn identity_url(&self) -> String {
        self.shared.url.clone()
    }

    /// The stores that exist, as paths below [`Emulator::cache_b_url`].
    pub fn stores(&self) -> Vec<String> {
        self.shared.stores.names()
    }

    /// The record of requests.
    pub fn journal(&self) -> &Journal {
        &self.shared.journal
    }

    /// The rules that break requests.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// The present behaviour.
    pub fn behaviour(&self) -> Behaviour {
        self.shared.behaviour.read().clone()
    }

    /// Replaces the behaviour, from the next request on.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        *self.shared.behaviour.write() = behaviour;
    }

    /// Changes single switches of the behaviour.
    pub fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.shared.behaviour.write());
    }

    /// Changes the network, for connections that are made from now on.
    pub fn set_network(&self, network: Network) {
        self.shared.set_network(network);
    }

    /// An access token of [`accounts::USER`], as a login would give.
    pub fn access_token(&self) -> String {
        let lifetime = self.shared.behaviour.read().login.access_lifetime;
        self.shared.identity.issue_access(accounts::USER, accounts::CACHE_A_CLIENT, lifetime)
    }

    /// Makes every token that was ever issued invalid, [`accounts::OFFLINE_TOKEN`] included.
    pub fn revoke_tokens(&self) {
        self.shared.identity.revoke();
    }

    /// The true content of an object: `path` is what a download is asked with (`?filename=` value, any form)
    /// or a key below [`Emulator::cache_b_url`]. `None` if no such object exists.
    pub fn expect(&self, path: &str) -> Option<Content> {
        self.shared.object(path)
    }

    /// All true bytes of an object. For small ones: the largest have gigabytes.
    pub fn expect_bytes(&self, path: &str) -> Option<Vec<u8>> {
        self.expect(path).map(|content| content.to_vec())
    }

    /// True bytes of a part of an object, fewer at its end.
    pub fn expect_range(&self, path: &str, offset: u64, len: usize) -> Option<Vec<u8>> {
        self.expect(path).map(|content| content.read(offset, len).to_vec())
    }

    /// The true size of an object.
    pub fn expect_size(&self, path: &str) -> Option<u64> {
        self.expect(path).map(|content| content.len())
    }

    /// The download paths and sizes of a product's files, by its collection and its identifier.
    pub fn files(&self, collection: &str, id: &str) -> Vec<(String, u64)> {
        self.shared.catalogue.paths(collection, id)
    }

    /// Writes an object of the Zarr host, or removes it (`None`): `key` is a path below [`Emulator::cache_b_url`].
    pub fn put(&self, key: &str, bytes: Option<Vec<u8>>) {
        self.shared.stores.put(key, bytes.map(Into::into));
    }

    /// Removes a store of the Zarr host with all that is in it, or brings it back.
    pub fn remove_store(&self, store: &str, gone: bool) {
        self.shared.stores.remove(store, gone);
    }

    /// Changes an object: from now on it has other bytes, another entity tag and `longer` bytes more.
    pub fn touch(&self, path: &str, longer: i64) {
        self.shared.bump(&self.shared.key_of(path), longer);
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Shared {
    pub(crate) fn set_network(&self, network: Network) {
        *self.relay.write() = Relay::new(network);
    }

    /// The name under which changes of the object of this request are kept.
    pub(crate) fn object_key(&self, request: &Request) -> String {
        self.key_of(&download::asked_path(request).unwrap_or_else(|| request.path.clone()))
    }

    /// The name under which changes of the object at a path are kept.
    pub(crate) fn key_of(&self, path: &str) -> String {
        let key = path.strip_prefix(cache_b::PATH).unwrap_or(path);
        download::canonical(&self.catalogue, path).unwrap_or_else(|| key.to_owned())
    }

    pub(crate) fn bump(&self, key: &str, longer: i64) {
        let mut versions = self.versions.lock();
        let (version, difference) = versions.entry(key.to_owned()).or_default();
        *version += 1;
        *difference += longer;
    }

    /// The present version of an object.
    pub(crate) fn present(&self, key: &str, content: Content) -> Content {
        let (version, longer) = self.versions.lock().get(key).copied().unwrap_or_default();
        content.changed(version, longer)
    }

    /// An object by a download path or a Zarr key.
    pub(crate) fn object(&self, path: &str) -> Option<Content> {
        if let Some((key, content, _)) = download::find(&self.catalogue, path) {
            return Some(self.present(&key, content));
        }
        let key = path.strip_prefix(cache_b::PATH).unwrap_or(path);
        self.stores.get(key).map(|content| self.present(key, content))
    }
}
