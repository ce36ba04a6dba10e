//! What was loaded, and which of several secrets a root gets.
//!
//! Invariants:
//! - a file's token replaces ours only if the file has changed since we last read it: after a renewal that
//!   could not be saved, the file still holds the older one;
//! - a secret that a service refused is not offered to it again for a while, so two stale sources do not take
//!   turns; with nothing else at hand it stays in use, since the service may change its mind.

mod standing;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::files::{self, Account, CacheALogin, Stored};
use super::netrc::{self, Entry};
use super::password::Service;
use super::private_file::{self, Stamp};
use super::s3_file::{self, S3File};
use super::{Inner, Kind, RootCredential};
use crate::error::{Error, Result};
use crate::transport::{Authorization, S3Keys};

/// A refused secret is passed over for this long.
const REFUSED: Duration = Duration::from_secs(600);

/// Cache-A's token in use.
pub(super) struct Access {
    pub(super) login: CacheALogin,
    /// When we got it ourselves; `None` if it was read from the file.
    pub(super) since: Option<Instant>,
}

/// What is known of a root beside its secret.
#[derive(Default)]
struct Root {
    /// The secret in the keyring.
    current: Option<SecretString>,
    /// Refused ones and when.
    refused: Vec<(SecretString, Instant)>,
    /// When we got `current` by a login of our own.
    since: Option<Instant>,
    problem: Option<Error>,
}

impl Root {
    fn has_refused(&self, secret: &SecretString) -> bool {
        self.refused.iter().any(|(other, when)| same(other, secret) && when.elapsed() < REFUSED)
    }
}

/// Stamps of the credentials file, of netrc and of the S3 keys when they were last read; `None` before the first time.
pub(super) type LastRead = [Option<Option<Stamp>>; 3];

pub(super) struct Vault {
    /// Content of the credentials file when it was last read.
    stored: Stored,
    netrc: Vec<Entry>,
    netrc_modified: SystemTime,
    file_problem: Option<Error>,
    netrc_problem: Option<Error>,
    /// There is one such service at most.
    s3: Option<S3Keys>,
    s3_problem: Option<Error>,
    access: Option<Access>,
    roots: Vec<Root>,
    /// The account whose password was refused: it is not tried again until somebody logs in.
    refused_account: Option<Account>,
}

/// The host as netrc writes it: IPv6 addresses without brackets.
fn name_in_netrc(root: &RootCredential) -> &str {
    root.scope.origin().host().trim_matches(['[', ']'])
}

pub(super) fn same(one: &SecretString, two: &SecretString) -> bool {
    one.expose_secret() == two.expose_secret()
}

impl Vault {
    pub(super) fn new(roots: usize) -> Self {
        Self {
            stored: Stored::default(),
            netrc: Vec::new(),
            netrc_modified: SystemTime::UNIX_EPOCH,
            file_problem: None,
            netrc_problem: None,
            s3: None,
            s3_problem: None,
            access: None,
            roots: std::iter::repeat_with(Root::default).take(roots).collect(),
            refused_account: None,
        }
    }

    pub(super) fn access(&self) -> Option<&Access> {
        self.access.as_ref()
    }

    /// The account that `given` or the file names, unless it was refused.
    fn account(&self, given: Option<&Account>) -> Option<Account> {
        let refused =
            |account: &&Account| self.refused_account.as_ref().is_some_and(|other| other.is(account));
        given.into_iter().chain(&self.stored.account).find(|account| !refused(account)).cloned()
    }

    /// The password of `account` was refused.
    pub(super) fn refuse_account(&mut self, account: Account) {
        self.refused_account = Some(account);
    }

    /// When `root` got a secret by our own login.
    pub(super) fn since(&self, root: usize) -> Option<Instant> {
        self.roots[root].since
    }

    /// The refresh token was refused: it is not tried again.
    pub(super) fn drop_refresh_token(&mut self) {
        if let Some(access) = &mut self.access {
            access.login.refresh_token = None;
        }
    }

    /// The secret of `root` was refused by the service.
    pub(super) fn refuse(&mut self, root: usize) {
        let root = &mut self.roots[root];
        if let Some(current) = root.current.clone() {
            root.refused.retain(|(other, when)| !same(other, &current) && when.elapsed() < REFUSED);
            root.refused.push((current, Instant::now()));
        }
    }

    /// Remembers why a root is without a working secret. Whether that is news.
    pub(super) fn set_problem(&mut self, root: usize, problem: Error) -> bool {
        let before = self.roots[root].problem.replace(problem.clone());
        before.is_none_or(|before| before.message() != problem.message())
    }

    /// The key that is kept for exactly this address.
    fn key(&self, root: &RootCredential, login: &str) -> Option<(String, SecretString)> {
        let key = self.stored.key.iter().find(|key| key.is_for(&root.scope))?;
        Some((key.user.clone().unwrap_or_else(|| login.to_owned()), key.secret.clone()))
    }

    /// The secrets that `kind` could use, newest first, with the login name that goes with them.
    fn candidates(&self, root: &RootCredential) -> Vec<(String, SecretString)> {
        let entry = netrc::find(&self.netrc, name_in_netrc(root));
        let of_netrc = |login: &str| {
            entry.and_then(|entry| {
                Some((entry.login.clone().unwrap_or_else(|| login.to_owned()), entry.password.clone()?))
            })
        };
        match &root.kind {
            Kind::CacheAToken | Kind::None => Vec::new(),
            Kind::S3(_) => self.s3.iter().map(|keys| (String::new(), s3_file::whole(keys))).collect(),
            Kind::Key { login } => self.key(root, login).into_iter().chain(of_netrc(login)).collect(),
            Kind::BearerKey => self.key(root, "").into_iter().chain(of_netrc("")).collect(),
            Kind::CacheBOfflineToken { login } => {
                let kept = self.stored.cache_b.as_ref();
                let file = kept.map(|kept| (login.clone(), kept.password.clone()));
                let obtained =
                    kept.and_then(|kept| kept.obtained).map_or(SystemTime::UNIX_EPOCH, SystemTime::from);
                let mut both: Vec<_> = file.into_iter().chain(of_netrc(login)).collect();
                if self.netrc_modified > obtained && both.len() == 2 {
                    both.swap(0, 1);
                }
                both
            }
        }
    }
}

impl Inner {
    /// Reads the files again if they have changed, and puts what is new into the keyring.
    ///
    /// Blocks on the files; the vault stays free meanwhile.
    pub(super) fn reload(&self) {
        // One at a time, so that an older content is never taken over after a newer one.
        let mut read = self.read.lock();
        let stamp = |path: &Option<PathBuf>| path.as_deref().and_then(private_file::stamp);
        // Before reading: a change in between is then seen the next time.
        let s3 = self.roots.iter().find_map(|root| match &root.kind {
            Kind::S3(file) => Some(file),
            _ => None,
        });
        let stamps = [
            Some(stamp(&self.settings.file)),
            Some(stamp(&self.settings.netrc)),
            Some(s3.and_then(|file| private_file::stamp(&file.path))),
        ];
        if *read == stamps {
            return;
        }
        let stored = (read[0] != stamps[0])
            .then(|| self.settings.file.as_deref().map_or_else(|| Ok(Stored::default()), files::load));
        let netrc = (read[1] != stamps[1])
            .then(|| self.settings.netrc.as_deref().map_or(Ok(None), private_file::read));
        let s3 = s3.filter(|_| read[2] != stamps[2]).map(S3File::read);
        *read = stamps;
        let mut vault = self.vault.lock();
        if let Some(stored) = stored {
            vault.file_problem = keep(stored, |stored| self.adopt(&mut vault, stored));
        }
        if let Some(content) = netrc {
            vault.netrc_problem = keep(content, |content| {
                vault.netrc = content.as_ref().map_or_else(Vec::new, |content| netrc::parse(&content.bytes));
                vault.netrc_modified = content.map_or(SystemTime::UNIX_EPOCH, |content| content.modified);
            });
        }
        if let Some(keys) = s3 {
            vault.s3_problem = keep(keys, |keys| vault.s3 = Some(keys));
        }
        for (index, root) in self.roots.iter().enumerate() {
            if root.kind != Kind::CacheAToken {
                vault.roots[index].problem = None;
                self.choose(&mut vault, index);
            }
        }
    }

    /// Takes over what the credentials file says now.
    fn adopt(&self, vault: &mut Vault, stored: Stored) {
        let before = vault.stored.cache_a.as_ref().map(|login| &login.access_token);
        let now = stored.cache_a.as_ref().map(|login| &login.access_token);
        let changed = match (before, now) {
            (Some(before), Some(now)) => !same(before, now),
            (before, now) => before.is_some() != now.is_some(),
        };
        vault.stored = stored;
        if !changed {
            return;
        }
        // Somebody has logged in since: the password may be right again.
        vault.refused_account = None;
        match vault.stored.cache_a.clone() {
            // Our own renewal, saved a moment ago, comes back from the file.
            Some(login)
                if vault
                    .access
                    .as_ref()
                    .is_some_and(|own| same(&own.login.access_token, &login.access_token)) => {}
            Some(login) => self.install(vault, login, None),
            None => {
                vault.access = None;
                for root in self.roots.iter().filter(|root| root.kind == Kind::CacheAToken) {
                    self.keyring.remove(&root.scope);
                }
            }
        }
    }

    /// Puts a Cache-A token to use.
    pub(super) fn install(&self, vault: &mut Vault, login: CacheALogin, since: Option<Instant>) {
        for (index, root) in self.roots.iter().enumerate().filter(|(_, root)| root.kind == Kind::CacheAToken)
        {
            self.keyring.set(&root.scope, Authorization::Bearer(login.access_token.clone()));
            vault.roots[index].problem = None;
        }
        vault.access = Some(Access { login, since });
    }

    /// Puts an offline token of our own login to use.
    pub(super) fn install_offline(&self, vault: &mut Vault, login: files::CacheBLogin) {
        vault.stored.cache_b = Some(login.clone());
        for (index, root) in self.roots.iter().enumerate() {
            if matches!(root.kind, Kind::CacheBOfflineToken { .. }) && self.choose(vault, index) {
                let kept = &mut vault.roots[index];
                let ours = kept.current.as_ref().is_some_and(|current| same(current, &login.password));
                kept.since = ours.then(Instant::now);
            }
        }
    }

    /// The account to log in with without the person, if there is one.
    pub(super) fn account(&self) -> Option<Account> {
        self.vault.lock().account(self.settings.account.as_ref())
    }

    /// Whether a service has no secret that could work.
    pub(super) fn needs(&self, service: Service) -> bool {
        let vault = self.vault.lock();
        let over = |end: Option<Timestamp>| end.is_some_and(|end| end <= Timestamp::now());
        self.roots.iter().enumerate().any(|(index, root)| match (service, &root.kind) {
            (Service::CacheA, Kind::CacheAToken) => {
                vault.access.as_ref().is_none_or(|access| over(access.login.expires))
            }
            (Service::CacheB, Kind::CacheBOfflineToken { .. }) => {
                let kept = &vault.roots[index];
                kept.current.as_ref().is_none_or(|current| kept.has_refused(current))
            }
            _ => false,
        })
    }

    /// Gives a root the newest secret that was not refused. Whether the keyring has changed.
    pub(super) fn choose(&self, vault: &mut Vault, index: usize) -> bool {
        let root = &self.roots[index];
        let candidates = vault.candidates(root);
        let known = !candidates.is_empty();
        let Some((user, password)) =
            candidates.into_iter().find(|(_, secret)| !vault.roots[index].has_refused(secret))
        else {
            // Refused ones stay in place: the service's answer is better than none.
            if !known && vault.roots[index].current.take().is_some() {
                self.keyring.remove(&root.scope);
            }
            return false;
        };
        let kept = &mut vault.roots[index];
        if kept.current.as_ref().is_some_and(|current| same(current, &password)) {
            return false;
        }
        *kept = Root {
            refused: std::mem::take(&mut kept.refused),
            current: Some(password.clone()),
            ..Root::default()
        };
        let secret = match (&root.kind, &vault.s3) {
            (Kind::BearerKey, _) => Authorization::Bearer(password),
            (Kind::S3(_), Some(keys)) => Authorization::Signed(Box::new(keys.clone())),
            _ => Authorization::Basic { user, password },
        };
        self.keyring.set(&root.scope, secret);
        true
    }
}

/// Uses what was read, or says once why it cannot be; what was known before then stays.
fn keep<T>(outcome: Result<T>, take: impl FnOnce(T)) -> Option<Error> {
    match outcome {
        Ok(value) => {
            take(value);
            None
        }
        Err(problem) => {
            tracing::warn!("{problem}");
            Some(problem)
        }
    }
}
