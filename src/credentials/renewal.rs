//! The one renewal at a time, and the memory that keeps a storm of readers from becoming a storm of logins.
//!
//! A renewal runs in a task of its own: a reader who is killed in the middle must not lose a refresh token
//! that the provider has already replaced. What may be tried, in this order:
//! - another process, or `dcmsfs login`, has put a new secret into the file, or netrc has changed;
//! - Cache-A: the refresh grant;
//! - the kept or given password, at most once a minute (`password`);
//! - else the user has to act.
//!
//! The lock of the credentials file is held from the look into it to the writing of what is new, so that of several
//! processes one renews and the others find it done.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use super::files::{self, CacheALogin};
use super::password::{self, Last, Service};
use super::vault::same;
use super::{Inner, Kind, NewLogin, private_file, token};
use crate::error::{Error, ErrorKind, Result, fail};

/// Answered from memory after the user was found to be needed, or the service to refuse what is fresh.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// Answered from memory after the provider could not be asked, or failed.
const OUTAGE_PAUSE: Duration = Duration::from_secs(5);

/// A secret younger than this, or than half its life, is fresh: if it is refused, another will be too.
const FRESH: Duration = Duration::from_secs(60);

/// What is remembered between renewals.
#[derive(Default)]
pub(super) struct Memory {
    /// By root: the failure for this generation, good until then.
    failures: HashMap<usize, (u64, Instant, Error)>,
    /// The last login by password.
    last_login: Last,
}

impl Memory {
    fn failure(&self, root: usize, seen: u64) -> Option<Error> {
        let (generation, until, error) = self.failures.get(&root)?;
        (*generation == seen && Instant::now() < *until).then(|| error.clone())
    }
}

/// See `Credentials::renew`.
pub(super) async fn renew(inner: &Arc<Inner>, url: &Url, seen: u64) -> Result<()> {
    if inner.keyring.generation(url) != seen {
        return Ok(());
    }
    let Some(root) = root_of(inner, url) else {
        let host = url.host_str().unwrap_or_default();
        return fail(
            ErrorKind::LoginRejected,
            format!("{host} wants a login, but none is configured for this address"),
        );
    };
    let mut memory = Arc::clone(&inner.renewal).lock_owned().await;
    // The ones who waited meanwhile find it done.
    if inner.keyring.generation(url) != seen {
        return Ok(());
    }
    if let Some(error) = memory.failure(root, seen) {
        // A login that was made meanwhile helps at once, not when the refresher looks next.
        reload(inner).await?;
        return if inner.keyring.generation(url) == seen { Err(error) } else { Ok(()) };
    }
    let inner = Arc::clone(inner);
    let task = tokio::spawn(async move {
        let outcome = refused(&inner, root, &mut memory).await;
        if let Err(error) = &outcome {
            remember(&inner, root, seen, &mut memory, error);
        }
        outcome
    });
    task.await.unwrap_or_else(|_| fail(ErrorKind::Internal, "the renewal of the login failed"))
}

/// Renews Cache-A's token, if it is still `ending`, before it ends, or gets the first one. Called by the refresher;
/// the failure stays out of the readers' memory, since the token may still be good.
pub(super) async fn ahead(inner: &Arc<Inner>, ending: Option<&CacheALogin>) -> Result<()> {
    let mut memory = Arc::clone(&inner.renewal).lock_owned().await;
    // A reader who met a 401 may have been first.
    let now = in_use(inner);
    let still = match (&now, ending) {
        (Some(now), Some(ending)) => same(&now.access_token, &ending.access_token),
        (now, ending) => now.is_none() && ending.is_none(),
    };
    if !still {
        return Ok(());
    }
    let inner = Arc::clone(inner);
    let task = tokio::spawn(async move { renew_cache_a(&inner, &mut memory).await });
    task.await.unwrap_or_else(|_| fail(ErrorKind::Internal, "the renewal of the login failed"))
}

fn in_use(inner: &Inner) -> Option<CacheALogin> {
    inner.vault.lock().access().map(|access| access.login.clone())
}

/// The root with the narrowest scope around `url`.
fn root_of(inner: &Inner, url: &Url) -> Option<usize> {
    let around = inner.roots.iter().enumerate().filter(|(_, root)| root.scope.contains(url));
    around.max_by_key(|(_, root)| root.scope.depth()).map(|(index, _)| index)
}

fn remember(inner: &Inner, root: usize, seen: u64, memory: &mut Memory, error: &Error) {
    let outage = !matches!(error.kind(), ErrorKind::LoginExpired | ErrorKind::LoginRejected);
    let pause = if outage { error.wait().unwrap_or(OUTAGE_PAUSE).min(REFUSED_PAUSE) } else { REFUSED_PAUSE };
    memory.failures.insert(root, (seen, Instant::now() + pause, error.clone()));
    let news = inner.vault.lock().set_problem(root, error.clone());
    if news && !outage {
        // Once for each state of things (contract.md 4.1), not once for each reader.
        tracing::warn!(root = inner.roots[root].name, "{error}");
    }
}

/// The service answered 401 to the secret of `root`.
async fn refused(inner: &Arc<Inner>, root: usize, memory: &mut Memory) -> Result<()> {
    let place = &inner.roots[root];
    let host = place.scope.origin().host().to_owned();
    match &place.kind {
        Kind::None => fail(
            ErrorKind::LoginRejected,
            format!("{host} wants a login, but {} is configured to have none", place.name),
        ),
        Kind::CacheAToken => {
            let fresh = inner.vault.lock().access().is_some_and(|access| {
                let life = access.login.expires.zip(access.login.obtained);
                let life = life.and_then(|(end, start)| Duration::try_from(end.duration_since(start)).ok());
                let fresh = life.map_or(FRESH, |life| FRESH.min(life / 2));
                access.since.is_some_and(|since| since.elapsed() < fresh)
            });
            if fresh {
                return fail(
                    ErrorKind::LoginRejected,
                    format!(
                        "{host} refuses a token that was just renewed: does the account have access to {}?",
                        place.name
                    ),
                );
            }
            renew_cache_a(inner, memory).await
        }
        Kind::Key { .. } | Kind::BearerKey | Kind::CacheBOfflineToken { .. } | Kind::S3(_) => {
            renew_from_files(inner, root, &host, memory).await
        }
    }
}

/// A new Cache-A token: from the file if somebody else renewed, by refresh grant, by password, or not.
async fn renew_cache_a(inner: &Arc<Inner>, memory: &mut Memory) -> Result<()> {
    let identity = &inner.settings.identity;
    let before = in_use(inner);
    let lock = inner.lock().await?;
    reload(inner).await?;
    let login = in_use(inner);
    let token = |login: &Option<CacheALogin>| login.as_ref().map(|login| login.access_token.clone());
    if let Some(now) = token(&login)
        && token(&before).is_none_or(|before| !same(&before, &now))
    {
        return Ok(());
    }
    if let Some(login) = &login
        && let Some(refresh) = &login.refresh_token
    {
        match token::from_refresh(&inner.session, identity, &identity.cache_a, refresh).await {
            Ok(tokens) => {
                let user = login.user.clone();
                return keep(inner, NewLogin { user, cache_a: Some(tokens), ..NewLogin::default() }).await;
            }
            Err(error) if error.kind() == ErrorKind::LoginExpired => {
                tracing::info!("{error}");
                inner.vault.lock().drop_refresh_token();
            }
            Err(error) => return Err(error.context("renewing the DestinE login")),
        }
    }
    if let Some(login) =
        password::again(inner, &mut memory.last_login, lock.as_ref(), Service::CacheA).await?
    {
        return keep(inner, login).await;
    }
    let story =
        if login.is_some() { "the DestinE login has expired" } else { "there is no DestinE login yet" };
    let root = inner.roots.iter().find(|root| root.kind == Kind::CacheAToken);
    let way_out = root.map(|root| inner.vault.lock().way_out(root, &inner.settings)).unwrap_or_default();
    fail(ErrorKind::LoginExpired, format!("{story}: {way_out}"))
}

/// Cache-B and other password hosts: another source, or a new offline token by password. The offline token
/// itself never goes into a refresh grant (contract.md 8.9).
async fn renew_from_files(inner: &Arc<Inner>, root: usize, host: &str, memory: &mut Memory) -> Result<()> {
    let offline = matches!(inner.roots[root].kind, Kind::CacheBOfflineToken { .. });
    let keys = matches!(inner.roots[root].kind, Kind::S3(_));
    let before = inner.keyring.generation_of(&inner.roots[root].scope);
    let lock = if offline { inner.lock().await? } else { None };
    reload(inner).await?;
    if inner.keyring.generation_of(&inner.roots[root].scope) != before {
        return Ok(());
    }
    {
        let mut vault = inner.vault.lock();
        if vault.since(root).is_some_and(|since| since.elapsed() < FRESH) {
            return fail(ErrorKind::LoginRejected, format!("{host} refuses a token of a login just made"));
        }
        vault.refuse(root);
        if inner.choose(&mut vault, root) {
            return Ok(());
        }
    }
    if offline
        && let Some(login) =
            password::again(inner, &mut memory.last_login, lock.as_ref(), Service::CacheB).await?
    {
        return keep(inner, login).await;
    }
    let way_out = inner.vault.lock().way_out(&inner.roots[root], &inner.settings);
    let (kind, story) = match (inner.keyring.holds(&inner.roots[root].scope), offline) {
        (true, true) => (ErrorKind::LoginExpired, "refuses the offline token"),
        (true, false) if keys => (ErrorKind::LoginRejected, "refuses the S3 keys"),
        (true, false) => (ErrorKind::LoginRejected, "refuses the password"),
        (false, _) if keys => (ErrorKind::LoginRejected, "wants S3 keys and there are none"),
        (false, _) => (ErrorKind::LoginExpired, "wants a login and there is none"),
    };
    fail(kind, format!("{host} {story}: {way_out}"))
}

/// Puts what a renewal brought to use and into the file, whose lock the caller holds.
async fn keep(inner: &Inner, login: NewLogin) -> Result<()> {
    let (cache_a, cache_b) = login.parts()?;
    {
        let mut vault = inner.vault.lock();
        if let Some(login) = &cache_a {
            inner.install(&mut vault, login.clone(), Some(Instant::now()));
        }
        if let Some(login) = &cache_b {
            inner.install_offline(&mut vault, login.clone());
        }
    }
    let Some(file) = inner.settings.file.clone() else { return Ok(()) };
    let given = inner.settings.account.is_some();
    let saved = off_the_runtime(move || {
        // Saved only into a file that is there and understood: a login that was just forgotten must not come back.
        // Who gave the password wants to stay logged in.
        if !given && private_file::stamp(&file).is_none() {
            return Ok(());
        }
        let mut stored = files::load(&file)?;
        stored.cache_a = cache_a.or(stored.cache_a);
        stored.cache_b = cache_b.or(stored.cache_b);
        files::save(&file, &stored)
    });
    if let Err(error) = saved.await.and_then(|saved| saved) {
        // Not saved is no reason not to use it.
        tracing::warn!("the renewed login could not be saved: {error}");
    }
    Ok(())
}

/// File work: the home directory may be on a slow network file system.
async fn off_the_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Error::new(ErrorKind::Internal, "reading or writing the credentials failed"))
}

pub(super) async fn reload(inner: &Arc<Inner>) -> Result<()> {
    let inner = Arc::clone(inner);
    off_the_runtime(move || inner.reload()).await
}

impl Inner {
    /// The right to renew what the credentials file holds; `None` without a file that could be written.
    async fn lock(&self) -> Result<Option<private_file::Lock>> {
        match &self.settings.file {
            Some(file) => private_file::lock(file).await,
            None => Ok(None),
        }
    }
}
