//! Who we are to the services: where secrets come from, when they are renewed, what the user has to do.
//!
//! The secrets themselves sit in `transport`'s keyring, by address; this room fills it. Three things do:
//! - the start, from the credentials file, `~/.netrc` and a file of S3 keys (`vault`);
//! - the refresher task, which renews Cache-A's token ahead of its end and notices a new `dcmsfs login`
//!   within a second (`refresher`);
//! - `renew`, which whoever met a 401 calls: one renewal for all of them (`renewal`).
//!
//! Nothing here passes through `fetch`: a login must not wait for a download slot.

pub mod browser;
mod expiry;
pub mod files;
mod form;
pub mod login;
pub mod netrc;
mod password;
mod private_file;
mod refresher;
mod renewal;
mod revocation;
mod s3_file;
#[cfg(test)]
mod tests;
mod token;
mod vault;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use secrecy::SecretString;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use self::renewal::Memory;
use self::vault::{LastRead, Vault};
pub use files::Account;
pub use s3_file::{S3File, usual as usual_s3_file};
pub use token::TokenSet;

use crate::error::{Error, ErrorKind, Result};
use crate::transport::session::Session;
use crate::transport::{Keyring, Scope};

/// The identity provider and how the two clients are known to it (protocol.md 2.1, 2.4).
#[derive(Clone, Debug)]
pub struct IdentitySettings {
    /// Its address, `https://auth.destine.eu`.
    pub url: Url,
    /// Its realm, `desp`.
    pub realm: String,
    /// Cache-A's client.
    pub cache_a: Client,
    /// Cache-B's client.
    pub cache_b: Client,
}

/// An OpenID Connect client without a secret.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its name at the provider.
    pub id: String,
    /// Where the provider sends the code; never visited. Kept as text: the provider compares it letter by
    /// letter with what it has registered, and a parsed URL would gain a slash at its end.
    pub redirect_uri: String,
    /// What is asked for.
    pub scope: String,
}

impl IdentitySettings {
    /// The provider at `url` with the published clients (protocol.md 2.4, sources S2 to S4).
    pub fn published(url: Url, realm: &str) -> Self {
        let client = |id: &str, redirect_uri: &str, scope: &str| Client {
            id: id.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            scope: scope.to_owned(),
        };
        Self {
            url,
            realm: realm.to_owned(),
            cache_a: client("dcms_client", "http://localhost:5000", "openid"),
            cache_b: client("edh-public", "https://cacheb.dcms.destine.eu/", "openid offline_access"),
        }
    }

    /// An endpoint of the realm: `auth`, `token`.
    fn endpoint(&self, name: &str) -> Result<Url> {
        self.below(&["protocol", "openid-connect", name])
    }

    /// Where a person manages the account.
    fn account_page(&self) -> String {
        self.below(&["account", ""]).map_or_else(|_| self.url.to_string(), |url| url.to_string())
    }

    fn below(&self, path: &[&str]) -> Result<Url> {
        let mut url = self.url.clone();
        let wrong =
            || Error::new(ErrorKind::Configuration, format!("identity.url: {} has no path", self.url));
        url.path_segments_mut()
            .map_err(|()| wrong())?
            .pop_if_empty()
            .extend(["realms", &self.realm])
            .extend(path);
        Ok(url)
    }
}

/// Where secrets are kept.
#[derive(Clone, Debug)]
pub struct CredentialSettings {
    /// The identity provider.
    pub identity: IdentitySettings,
    /// The credentials file (`credentials.file`).
    pub file: Option<PathBuf>,
    /// `~/.netrc` (`credentials.netrc`).
    pub netrc: Option<PathBuf>,
    /// What whoever started the program gave it to log in with; goes before the account of the file.
    pub account: Option<Account>,
}

/// What a service wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Cache-A: the access token of `dcmsfs login` as Bearer.
    CacheAToken,
    /// Cache-B: the offline token, of `dcmsfs login` or netrc, as password of HTTP Basic.
    CacheBOfflineToken {
        /// The login name for an offline token that comes without one (`anonymous`).
        login: String,
    },
    /// An API key, of `dcmsfs login --root` or netrc, as password of HTTP Basic.
    Key {
        /// The login name for a key that comes without one (`edh`).
        login: String,
    },
    /// The same as Bearer.
    BearerKey,
    /// S3 keys that requests are signed with.
    S3(S3File),
    /// No login.
    None,
}

/// A part of a service and the credential that it wants.
#[derive(Clone, Debug)]
pub struct RootCredential {
    /// Its name for people: `cache-a`.
    pub name: String,
    /// The addresses that get the secret.
    pub scope: Scope,
    /// Which secret.
    pub kind: Kind,
}

/// How an account stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountState {
    /// There is a secret, and nobody has refused it. `until`: when a new login is needed, if known.
    LoggedIn {
        /// The end of what can be renewed without the user.
        until: Option<Timestamp>,
    },
    /// There was a secret; the user must log in again.
    Expired,
    /// There is none.
    Missing,
    /// None is wanted.
    NotNeeded,
}

/// One line of `dcmsfs status`; no secrets in it.
#[derive(Clone, Debug)]
pub struct AccountStatus {
    /// The root's name.
    pub name: String,
    /// How it stands.
    pub state: AccountState,
    /// Who is logged in, if known.
    pub user: Option<String>,
    /// What is wrong and the way out.
    pub problem: Option<String>,
}

struct Inner {
    settings: CredentialSettings,
    keyring: Keyring,
    roots: Vec<RootCredential>,
    /// For refresh grants; a login gets its own, with its own cookies.
    session: Session,
    /// What was loaded. Lock order: `renewal`, `read`, `vault`; the last two are never held across an await.
    vault: Mutex<Vault>,
    /// Held while the files are read.
    read: Mutex<LastRead>,
    /// Held for the length of a renewal: the single flight.
    renewal: Arc<tokio::sync::Mutex<Memory>>,
}

struct Handle {
    inner: Arc<Inner>,
    _refresher: AbortOnDropHandle<()>,
}

/// The secrets' keeper, cheap to clone. The refresher ends with the last clone.
#[derive(Clone)]
pub struct Credentials(Arc<Handle>);

impl Credentials {
    /// Loads what there is into `keyring` and starts the refresher. Needs a runtime; asks no network.
    ///
    /// Files that cannot be used are logged and shown by `status`. Fails with `Configuration` if the identity
    /// provider's address is not https (or http on a loopback address).
    pub fn new(settings: CredentialSettings, keyring: Keyring, roots: Vec<RootCredential>) -> Result<Self> {
        let session = login::session(&settings.identity)?;
        let vault = Mutex::new(Vault::new(roots.len()));
        let inner = Arc::new(Inner {
            settings,
            keyring,
            roots,
            session,
            vault,
            read: Mutex::default(),
            renewal: Arc::default(),
        });
        inner.reload();
        let refresher = tokio::spawn(refresher::run(Arc::clone(&inner)));
        Ok(Self(Arc::new(Handle { inner, _refresher: AbortOnDropHandle::new(refresher) })))
    }

    /// Renews the secret for `url`, which the service refused when it was of generation `seen` (see
    /// `transport::Response::generation`). Success means: try again, once.
    ///
    /// All callers share one renewal, and it goes on if a caller gives up. Fails with `LoginExpired` if the
    /// user must act, `LoginRejected` if a fresh secret was refused, else with what kept the provider from
    /// answering. A failure is answered from memory for a while, so a storm of reads is no storm of logins.
    pub async fn renew(&self, url: &Url, seen: u64) -> Result<()> {
        renewal::renew(&self.0.inner, url, seen).await
    }

    /// Reads the credentials file and netrc again if they have changed. The refresher does so every few
    /// seconds; this is for SIGHUP and tests.
    pub fn reload(&self) {
        self.0.inner.reload();
    }

    /// How the accounts stand, one line per root.
    pub fn status(&self) -> Vec<AccountStatus> {
        let inner = &self.0.inner;
        let vault = inner.vault.lock();
        let lines = inner.roots.iter().enumerate();
        let given = inner.settings.account.as_ref();
        lines
            .map(|(index, root)| vault.status(index, root, given, &inner.keyring, Timestamp::now()))
            .collect()
    }
}

/// What a login brought, to be kept.
#[derive(Default)]
pub struct NewLogin {
    /// Who logged in.
    pub user: String,
    /// Cache-A's tokens.
    pub cache_a: Option<TokenSet>,
    /// Cache-B's tokens; only the refresh token of it, the offline token, is kept.
    pub cache_b: Option<TokenSet>,
    /// The password, if the user wants it kept; a former one is forgotten otherwise.
    pub keep_password: Option<SecretString>,
}

impl NewLogin {
    /// The two parts in the form in which they are kept.
    fn parts(&self) -> Result<(Option<files::CacheALogin>, Option<files::CacheBLogin>)> {
        let cache_a = self.cache_a.as_ref().map(|tokens| files::CacheALogin::new(&self.user, tokens));
        let cache_b = self.cache_b.as_ref().map(|tokens| files::CacheBLogin::new(&self.user, tokens));
        Ok((cache_a, cache_b.transpose()?))
    }
}

/// Puts a login into the credentials file; running mounts pick it up by themselves.
///
/// Parts that this login did not bring stay. Fails with `Configuration`, `TimedOut` if another process holds
/// the file, `Protocol` if Cache-B's tokens lack the offline token.
pub async fn save_login(file: &Path, login: &NewLogin) -> Result<()> {
    let (cache_a, cache_b) = login.parts()?;
    files::update(file, |stored| {
        stored.cache_a = cache_a.or(stored.cache_a.take());
        stored.cache_b = cache_b.or(stored.cache_b.take());
        let keep =
            |password: &SecretString| files::Account { user: login.user.clone(), password: password.clone() };
        stored.account = login.keep_password.as_ref().map(keep);
    })
    .await
}

/// Keeps `key` for the Zarr host at `url`; running mounts pick it up by themselves.
///
/// Fails with `Configuration`, `TimedOut` if another process holds the file.
pub async fn save_key(file: &Path, url: &Url, user: Option<&str>, key: SecretString) -> Result<()> {
    let key = files::Key { url: url.to_string(), user: user.map(str::to_owned), secret: key };
    files::update(file, |stored| {
        stored.key.retain(|other| other.url != key.url);
        stored.key.push(key);
    })
    .await
}

/// Forgets the key of the Zarr host at `url`; whether there was one.
///
/// Fails as [`save_key`].
pub async fn forget_key(file: &Path, url: &Url) -> Result<bool> {
    let mut found = false;
    files::update(file, |stored| {
        let before = stored.key.len();
        stored.key.retain(|other| other.url != url.as_str());
        found = stored.key.len() < before;
    })
    .await?;
    Ok(found)
}

/// What a logout met.
pub struct Forgotten {
    /// Whether the entry of `~/.netrc` with the same offline token is gone too; an error if it could not be.
    pub netrc: Result<bool>,
    /// Whether the tokens were revoked at the provider; an error if it could not be asked.
    pub revoked: Result<bool>,
}

/// Forgets all that `dcmsfs login` kept but the keys of Zarr hosts, here first and then at the provider; running mounts notice. `host` is
/// Cache-B's, whose entry in `~/.netrc` goes if it holds the token that was kept. `None` if there was nothing.
///
/// Fails with `Configuration` if the file cannot be removed, `TimedOut` if another process holds it.
pub async fn forget_login(settings: &CredentialSettings, host: &str) -> Result<Option<Forgotten>> {
    let Some(file) = &settings.file else { return Ok(None) };
    let Some(stored) = files::remove(file).await? else { return Ok(None) };
    let netrc = match (&settings.netrc, &stored.cache_b) {
        (Some(netrc), Some(login)) => netrc::remove(netrc, host, &login.password),
        _ => Ok(false),
    };
    // Last: without a network the login is forgotten all the same.
    let revoked = revocation::revoke(settings, &stored).await;
    Ok(Some(Forgotten { netrc, revoked }))
}
