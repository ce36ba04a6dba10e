//! From settings to a filesystem: every layer, bottom-up, and the root directory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use url::Url;

use crate::backend::download::{Download, DownloadMethod};
use crate::backend::s3::S3;
use crate::backend::zarr_http::ZarrHttp;
use crate::catalog::expression::Expression;
use crate::catalog::shelf::{Room, Shelf};
use crate::credentials::{
    Account, Client, CredentialSettings, Credentials, IdentitySettings, Kind, RootCredential,
};
use crate::error::Result;
use crate::fetch::budget::Budget;
use crate::filesystem::Filesystem;
use crate::fuse::report;
use crate::namespace::cache_a::{self, Archive};
use crate::namespace::cache_b::{self, Stores};
use crate::namespace::static_tree::StaticDirectory;
use crate::namespace::{Content, Directory, FileNode, Node, Times, Told};
use crate::run::cache;
use crate::run::doors::{Allowed, Doors};
use crate::run::places;
use crate::run::readme;
use crate::run::s3::S3Plan;
use crate::run::status::plain;
use crate::run::status_report::{Report, Root};
use crate::settings::quantity::{parse_duration, parse_size};
use crate::settings::{Access, CACHE_A, Credential, Method, Settings, address, expand};
use crate::store::Store;
use crate::store::disk::{Disk, DiskSettings};
use crate::transport::{Keyring, Origin, Policy, Scope, Transport};

/// How long the headers of an answer may take (contract.md 4.3).
const FIRST_BYTE: Duration = Duration::from_secs(30);
/// Most bytes of listings and items on disk.
const SHELF: u64 = 1 << 30;

/// A filesystem, and what must live as long as it.
pub(super) struct Built {
    pub(super) filesystem: Filesystem,
    /// What the mount table shows as the source.
    pub(super) source: String,
    /// The same tree, for who walks through it without a mount.
    pub(super) root: Arc<dyn Directory>,
    pub(super) store: Store,
    pub(super) shelf: Shelf,
    _credentials: Credentials,
    budgets: Vec<Budget>,
    archives: Vec<Arc<Archive>>,
    hosts: Vec<Arc<Stores>>,
}

impl Built {
    /// Writes to disk what was read last, as far as that takes no longer than `limit`.
    pub(super) async fn flush(self, limit: Duration) {
        for archive in &self.archives {
            archive.settle(limit / 2).await;
        }
        for host in &self.hosts {
            host.settle(limit / 4).await;
        }
        let counted = tokio::task::spawn_blocking(move || self.budgets.iter().for_each(Budget::settle));
        let _ = timeout(limit, counted).await;
        let _ = tokio::task::spawn_blocking(move || self.store.flush(limit)).await;
    }

    /// Asks every service whether it is what the settings say.
    ///
    /// # Errors
    /// What the first of them met that does not answer or is something else.
    pub(super) async fn check(&self) -> Result<()> {
        let hint = "check the address, leave the service out, or mount all the same with --offline";
        for archive in &self.archives {
            archive.check().await.map_err(|error| error.then(hint))?;
        }
        for host in &self.hosts {
            host.check().await.map_err(|error| error.then(hint))?;
        }
        Ok(())
    }
}

/// Builds all of it; `account`: what the mount may log in with by itself. Must be called inside the runtime; asks no
/// service, so that a mount comes up without a network.
///
/// # Errors
/// `Configuration`, naming the setting.
pub(super) fn build(settings: &Settings, point: &Path, account: Option<Account>) -> Result<Built> {
    let plan = Plan::of(settings)?;
    let keyring = Keyring::new();
    let transport = Transport::new(plan.policy(settings)?, keyring.clone())?;
    let kept = CredentialSettings { account, ..credential_settings(settings)? };
    let credentials = Credentials::new(kept, keyring.clone(), plan.credentials()?)?;
    for root in &plan.archives {
        // The narrower scope wins: searching never needs, and never spends, a login.
        keyring.remove(&Scope::below(&root.url)?);
    }
    let memory = parse_size("cache.memory", &settings.cache.memory)?;
    let disk = Some(cache::settings(settings)?).filter(|disk| disk.size > 0);
    // Beside the cache of files, and with a share of its size: some 500 bytes for each product that was ever listed.
    let room = |disk: &DiskSettings| Room { most: (disk.size / 10).min(SHELF), min_free: disk.min_free };
    let disk_settings = disk.as_ref().map(|disk| (disk.dir.clone(), room(disk)));
    let disk = disk.map(Disk::open).transpose()?;
    let shelf = disk_settings.map_or_else(Shelf::default, |(dir, room)| Shelf::open(&dir, room));
    let store = Store::new(memory, disk, tokio::runtime::Handle::current());
    let doors = Doors::new(credentials.clone(), keyring.clone());

    let mut nodes: BTreeMap<Arc<str>, Node> = BTreeMap::new();
    let (mut roots, mut archives, mut hosts) = (Vec::new(), Vec::new(), Vec::new());
    for root in &plan.archives {
        let fetch = match &root.s3 {
            Some(s3) => {
                let backend = S3::new(&root.name, s3.objects.clone(), FIRST_BYTE, transport.clone());
                doors.of_process(Arc::new(backend), s3.requests, s3.objects.url(), Allowed::default())
            }
            None => {
                let backend = Download::new(&root.name, root.method, FIRST_BYTE, transport.clone());
                doors.of_user(Arc::new(backend), root.downloads, &root.url)?
            }
        };
        let archive = Archive::new(cache_a::Options {
            root: root.url.clone(),
            download: root.download.clone(),
            objects: root.s3.as_ref().map(|s3| s3.objects.clone()),
            collections: root.collections.clone(),
            restriction: root.restriction.clone(),
            fetch: fetch.clone(),
            shelf: shelf.clone(),
            store: store.clone(),
        });
        archives.push(Arc::clone(&archive));
        nodes.insert(root.name.as_str().into(), cache_a::root(archive));
        roots.push(Root { name: root.name.clone(), url: root.url.clone(), fetch });
    }
    if !settings.view.is_empty() {
        nodes.insert("views".into(), views(settings, &roots, &archives)?);
    }
    let metadata_ttl = parse_duration("cache_b.metadata_ttl", &settings.cache_b.metadata_ttl)?;
    for root in &plan.hosts {
        let backend =
            Arc::new(ZarrHttp::new(&root.name, FIRST_BYTE, transport.clone(), root.credential.way_out()));
        let fetch = doors.of_process(backend, root.requests, &root.url, root.allowed.clone());
        let stores =
            Stores::new(root.url.clone(), root.stores.clone(), fetch.clone(), shelf.clone(), metadata_ttl);
        hosts.push(Arc::clone(&stores));
        nodes.insert(root.name.as_str().into(), cache_b::root(stores));
        roots.push(Root { name: root.name.clone(), url: root.url.clone(), fetch });
    }

    let budgets = roots.iter().map(|root| root.fetch.budget().clone()).collect();
    let report = Arc::new(Report::new(point, roots, credentials.clone(), store.clone()));
    let live = |make: Box<dyn Fn() -> bytes::Bytes + Send + Sync>| {
        let content = Content::Live(make);
        Node::File(Arc::new(FileNode {
            content,
            times: Times::default(),
            attributes: Vec::new(),
            estimate: None,
            cell: None,
            told: Told::default(),
        }))
    };
    let status = Arc::clone(&report);
    let own = [
        ("status.json", live(Box::new(move || status.json().into()))),
        ("errors", live(Box::new(|| errors().into()))),
    ];
    nodes.insert(".dcmsfs".into(), Node::directory(StaticDirectory::of(own)));
    nodes.insert("README.txt".into(), live(Box::new(move || readme::text(&report).into())));

    let ttl = parse_duration("mount.attr_ttl", &settings.mount.attr_ttl)?;
    let root: Arc<dyn Directory> = Arc::new(StaticDirectory::of(nodes));
    let filesystem = Filesystem::new(Arc::clone(&root), store.clone(), ttl);
    let host = plan.archives.first().map(|root| &root.url).or(plan.hosts.first().map(|root| &root.url));
    let source = format!("dcmsfs:{}", host.and_then(Url::host_str).unwrap_or_default());
    Ok(Built { filesystem, source, root, store, shelf, _credentials: credentials, budgets, archives, hosts })
}

/// The saved searches, each as a directory. `roots` begin with those of the archives, and each search names one of them.
fn views(settings: &Settings, roots: &[Root], archives: &[Arc<Archive>]) -> Result<Node> {
    let mut views: BTreeMap<Arc<str>, Node> = BTreeMap::new();
    for (name, view) in &settings.view {
        let wanted = if view.catalog.is_empty() { CACHE_A } else { &view.catalog };
        let named = roots.iter().zip(archives).find(|(root, _)| root.name == wanted);
        let Some((_, archive)) = named else { continue };
        views.insert(name.as_str().into(), cache_a::view(archive, &view.collection, &view.expression(name)?));
    }
    Ok(Node::directory(StaticDirectory::of(views)))
}

/// What programs met lately, for `.dcmsfs/errors`.
fn errors() -> String {
    report::recent().iter().map(|line| plain(line) + "\n").collect()
}

/// What is to be shown, with addresses read.
struct Plan {
    archives: Vec<ArchivePlan>,
    hosts: Vec<HostPlan>,
}

struct ArchivePlan {
    name: String,
    url: Url,
    download: Option<Url>,
    method: DownloadMethod,
    downloads: usize,
    s3: Option<S3Plan>,
    collections: Vec<String>,
    restriction: Expression,
    login: bool,
}

struct HostPlan {
    name: String,
    url: Url,
    stores: Vec<String>,
    requests: usize,
    credential: Credential,
    login: String,
    allowed: Allowed,
}

impl Plan {
    fn of(settings: &Settings) -> Result<Self> {
        let (mut archives, mut hosts) = (Vec::new(), Vec::new());
        let a = &settings.cache_a;
        if !a.url.is_empty() {
            let download = Some(&a.download_url).filter(|url| !url.is_empty());
            archives.push(ArchivePlan {
                name: CACHE_A.into(),
                url: address("cache_a.url", &a.url)?,
                download: download.map(|url| address("cache_a.download_url", url)).transpose()?,
                method: match a.download_method {
                    Method::Auto => DownloadMethod::Auto,
                    Method::Post => DownloadMethod::Post,
                    Method::Get => DownloadMethod::Get,
                },
                downloads: a.downloads,
                s3: (a.access == Access::S3).then(|| S3Plan::of(&a.s3)).transpose()?,
                collections: a.collections.clone(),
                restriction: a.restriction()?,
                login: true,
            });
        }
        for catalog in &settings.catalog {
            archives.push(ArchivePlan {
                name: catalog.name.clone(),
                url: address("catalog.url", &catalog.url)?,
                download: None,
                method: DownloadMethod::Auto,
                downloads: catalog.downloads,
                s3: None,
                collections: Vec::new(),
                restriction: Expression::default(),
                login: false,
            });
        }
        let b = &settings.cache_b;
        if !b.url.is_empty() {
            hosts.push(HostPlan {
                name: "cache-b".into(),
                url: base("cache_b.url", &b.url)?,
                stores: b.stores.clone(),
                requests: b.requests,
                credential: b.credential,
                login: b.login.clone(),
                allowed: Allowed { limits: b.limits()?, ahead: b.ahead },
            });
        }
        for root in &b.root {
            hosts.push(HostPlan {
                name: root.name.clone(),
                url: base("cache_b.root.url", &root.url)?,
                stores: root.stores.clone(),
                requests: root.requests,
                credential: root.credential,
                login: root.login.clone(),
                allowed: Allowed { limits: root.limits()?, ahead: root.ahead },
            });
        }
        Ok(Self { archives, hosts })
    }

    /// The hosts that may be talked to at all.
    fn policy(&self, settings: &Settings) -> Result<Policy> {
        let mut hosts = Vec::new();
        for root in &self.archives {
            hosts.push(Origin::of(&root.url)?);
            hosts.extend(root.download.as_ref().map(Origin::of).transpose()?);
            hosts.extend(root.s3.as_ref().map(|s3| Origin::of(s3.objects.url())).transpose()?);
        }
        for root in &self.hosts {
            hosts.push(Origin::of(&root.url)?);
        }
        for host in &settings.network.hosts {
            hosts.push(Origin::of(&address("network.hosts", host)?)?);
        }
        Ok(Policy { hosts, allow_foreign: settings.network.allow_foreign, ..Policy::default() })
    }

    /// Which secret belongs to which addresses. The search of Cache-A is public (protocol.md 1) and gets none;
    /// what lies beside it, the download address above all, gets the token.
    fn credentials(&self) -> Result<Vec<RootCredential>> {
        let mut credentials = Vec::new();
        for root in self.archives.iter().filter(|root| root.login) {
            if let Some(s3) = &root.s3 {
                let (name, scope) = (root.name.clone(), Scope::below(s3.objects.url())?);
                credentials.push(RootCredential { name, scope, kind: Kind::S3(s3.keys.clone()) });
                continue;
            }
            let scope = Scope::below(root.download.as_ref().unwrap_or(&beside(&root.url)))?;
            credentials.push(RootCredential { name: root.name.clone(), scope, kind: Kind::CacheAToken });
        }
        for root in &self.hosts {
            let login = root.login.clone();
            let kind = match root.credential {
                Credential::OfflineToken => Kind::CacheBOfflineToken { login },
                Credential::ApiKey => Kind::Key { login },
                Credential::Bearer => Kind::BearerKey,
                Credential::None => Kind::None,
            };
            credentials.push(RootCredential {
                name: root.name.clone(),
                scope: Scope::below(&root.url)?,
                kind,
            });
        }
        Ok(credentials)
    }
}

/// What holds files of the API at `url`: for `https://h/stac/api` all of `https://h/stac/` (protocol.md 3.4:
/// `https://h/stac/download`); for an API at the top of its host `https://h/download`.
fn beside(url: &Url) -> Url {
    let mut beside = url.clone();
    if let Ok(mut path) = beside.path_segments_mut() {
        path.pop_if_empty().pop().push("");
    }
    if beside.path() == "/" {
        beside.set_path("/download");
    }
    beside
}

/// An address that names are put behind.
pub(super) fn base(key: &str, text: &str) -> Result<Url> {
    let mut url = address(key, text)?;
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

/// Where logins are made and kept.
///
/// # Errors
/// `Configuration`, naming the setting.
pub(super) fn credential_settings(settings: &Settings) -> Result<CredentialSettings> {
    let identity = &settings.identity;
    let client = |id: &str, key: &str, redirect: &str, scope: &str| -> Result<Client> {
        // Checked as an address, but sent letter by letter as the provider has it registered.
        address(key, redirect)?;
        Ok(Client { id: id.into(), redirect_uri: redirect.into(), scope: scope.into() })
    };
    let home = places::home();
    let file = |path: &str| Some(expand(path, &home)).filter(|_| !path.is_empty());
    Ok(CredentialSettings {
        identity: IdentitySettings {
            url: address("identity.url", &identity.url)?,
            realm: identity.realm.clone(),
            cache_a: client(
                &identity.cache_a_client,
                "identity.cache_a_redirect",
                &identity.cache_a_redirect,
                "openid",
            )?,
            cache_b: client(
                &identity.cache_b_client,
                "identity.cache_b_redirect",
                &identity.cache_b_redirect,
                "openid offline_access",
            )?,
        },
        file: file(&settings.credentials.file),
        netrc: file(&settings.credentials.netrc),
        account: None,
    })
}
