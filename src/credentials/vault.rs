//! What was loaded, and which of several secrets a root gets.
//!
//! Invariants:
//! - a file's token replaces ours only if the file has changed since we last read it: after a renewal that
//!   could not be saved, the file still holds the older one;
//! - a secret that a service refused is not offered to it again for a while, so two stale sources do not take
//!   turns; with nothing else at hand it stays in use, since the service may change its mind.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::files::{self, Account, CacheALogin, Stored};
use super::netrc::{self, Entry};
use super::private_file::{self, Stamp};
use super::{AccountState, AccountStatus, Inner, Kind, RootCredential};
use crate::error::{Error, ErrorKind, Result};
use crate::transport::{Authorization, Keyring};

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

/// Stamps of the credentials file and of netrc when they were last read; `None` before the first time.
pub(super) type LastRead = [Option<Option<Stamp>>; 2];

pub(super) struct Vault {
    /// Content of the credentials file when it was last read.
    stored: Stored,
    netrc: Vec<Entry>,
    netrc_modified: SystemTime,
    file_problem: Option<Error>,
    netrc_problem: Option<Error>,
    access: Option<Access>,
    roots: Vec<Root>,
    /// The kept password was refused: it is not tried again until the file changes.
    pub(super) account_refused: bool,
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
            access: None,
            roots: std::iter::repeat_with(Root::default).take(roots).collect(),
            account_refused: false,
        }
    }

    pub(super) fn access(&self) -> Option<&Access> {
        self.access.as_ref()
    }

    /// The kept account, unless it was refused.
    pub(super) fn account(&self) -> Option<Account> {
        self.stored.account.clone().filter(|_| !self.account_refused)
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

    /// Remembers why a root is without a working secret.
    pub(super) fn set_problem(&mut self, root: usize, problem: Error) {
        self.roots[root].problem = Some(problem);
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
            Kind::NetrcBasic { login } => of_netrc(login).into_iter().collect(),
            Kind::NetrcBearer => of_netrc("").into_iter().collect(),
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

    /// The place that the user would mend, for a message.
    pub(super) fn way_out(&self, root: &RootCredential, settings: &super::CredentialSettings) -> String {
        if let Some(problem) = self.source_problem(root) {
            return problem.message().to_owned();
        }
        let host = name_in_netrc(root);
        let netrc = settings.netrc.as_ref().map(|path| match netrc::find(&self.netrc, host) {
            Some(entry) => format!("renew the entry for {host} in {} (line {})", path.display(), entry.line),
            None => format!("add an entry for {host} to {}", path.display()),
        });
        match (&root.kind, netrc) {
            (Kind::CacheBOfflineToken { .. }, Some(netrc)) => format!("run `dcmsfs login` or {netrc}"),
            (Kind::NetrcBasic { .. } | Kind::NetrcBearer, Some(netrc)) => netrc,
            _ => "run `dcmsfs login`".to_owned(),
        }
    }

    pub(super) fn status(
        &self,
        index: usize,
        root: &RootCredential,
        keyring: &Keyring,
        now: Timestamp,
    ) -> AccountStatus {
        let kept = &self.roots[index];
        let refused = kept.current.as_ref().is_some_and(|current| kept.has_refused(current));
        let (state, user) = match (&root.kind, &self.access) {
            (Kind::None, _) => (AccountState::NotNeeded, None),
            (Kind::CacheAToken, None) => (AccountState::Missing, None),
            (Kind::CacheAToken, Some(access)) => {
                let login = &access.login;
                let until = if self.account().is_some() {
                    None
                } else if login.refresh_token.is_some() {
                    login.refresh_expires
                } else {
                    login.expires
                };
                let over =
                    kept.problem.as_ref().is_some_and(|problem| problem.kind() == ErrorKind::LoginExpired);
                let past = until.is_some_and(|until| until <= now);
                let state =
                    if over || past { AccountState::Expired } else { AccountState::LoggedIn { until } };
                (state, Some(login.user.clone()))
            }
            _ if !keyring.holds(&root.scope) => (AccountState::Missing, None),
            _ if refused => (AccountState::Expired, self.offline_user(kept)),
            _ => (AccountState::LoggedIn { until: None }, self.offline_user(kept)),
        };
        let problem = kept.problem.as_ref().or_else(|| self.source_problem(root));
        AccountStatus {
            name: root.name.clone(),
            state,
            user: user.filter(|user| !user.is_empty()),
            problem: problem.map(|problem| problem.message().to_owned()),
        }
    }

    /// Why a file that could hold the secret of `root` is not used.
    fn source_problem(&self, root: &RootCredential) -> Option<&Error> {
        let file = matches!(root.kind, Kind::CacheAToken | Kind::CacheBOfflineToken { .. });
        let netrc = !matches!(root.kind, Kind::CacheAToken | Kind::None);
        let file = self.file_problem.as_ref().filter(|_| file);
        file.or(self.netrc_problem.as_ref().filter(|_| netrc))
    }

    /// Whose offline token is in use, if it is that of the credentials file.
    fn offline_user(&self, root: &Root) -> Option<String> {
        let kept = self.stored.cache_b.as_ref()?;
        let current = root.current.as_ref()?;
        same(&kept.password, current).then(|| kept.user.clone())
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
        let stamps = [Some(stamp(&self.settings.file)), Some(stamp(&self.settings.netrc))];
        if *read == stamps {
            return;
        }
        let stored = (read[0] != stamps[0])
            .then(|| self.settings.file.as_deref().map_or_else(|| Ok(Stored::default()), files::load));
        let netrc = (read[1] != stamps[1])
            .then(|| self.settings.netrc.as_deref().map_or(Ok(None), private_file::read));
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
        let unchanged = match (&vault.stored.account, &stored.account) {
            (Some(before), Some(now)) => before.user == now.user && same(&before.password, &now.password),
            _ => false,
        };
        vault.account_refused &= unchanged;
        vault.stored = stored;
        if !changed {
            return;
        }
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
    pub(super) fn install_offline(&self, vault: &mut Vault, index: usize, login: files::CacheBLogin) {
        let Kind::CacheBOfflineToken { login: user } = &self.roots[index].kind else { return };
        let secret = Authorization::Basic { user: user.clone(), password: login.password.clone() };
        self.keyring.set(&self.roots[index].scope, secret);
        vault.roots[index] =
            Root { current: Some(login.password.clone()), since: Some(Instant::now()), ..Root::default() };
        vault.stored.cache_b = Some(login);
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
        let secret = match root.kind {
            Kind::NetrcBearer => Authorization::Bearer(password),
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
