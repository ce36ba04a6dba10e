//! How each root stands, for the log, for `status` and for messages.

use jiff::Timestamp;

use super::{Root, Vault, name_in_netrc, same};
use crate::credentials::expiry::End;
use crate::credentials::files::Account;
use crate::credentials::{
    AccountState, AccountStatus, CredentialSettings, Kind, RootCredential, netrc, token,
};
use crate::error::{Error, ErrorKind};
use crate::transport::Keyring;

impl Vault {
    /// When the login of a root ends unless the user acts; `None` if it does not, or that is not known.
    pub(in crate::credentials) fn end(
        &self,
        index: usize,
        root: &RootCredential,
        given: Option<&Account>,
    ) -> Option<End> {
        if self.account(given).is_some() {
            return None;
        }
        if root.kind == Kind::CacheAToken {
            let login = &self.access.as_ref()?.login;
            let renewable = login.refresh_token.is_some();
            let until = if renewable { login.refresh_expires } else { login.expires };
            return Some(End { obtained: login.obtained, until: until?, renewable });
        }
        let current = self.roots[index].current.as_ref()?;
        let kept = self.stored.cache_b.as_ref().filter(|kept| same(&kept.password, current));
        let until = kept.and_then(|kept| kept.expires).or_else(|| token::end_by_claim(current))?;
        Some(End { obtained: kept.and_then(|kept| kept.obtained), until, renewable: false })
    }

    /// The place that the user would mend, for a message.
    pub(in crate::credentials) fn way_out(
        &self,
        root: &RootCredential,
        settings: &CredentialSettings,
    ) -> String {
        if let Some(problem) = self.source_problem(root) {
            return problem.message().to_owned();
        }
        if let Kind::S3(file) = &root.kind {
            return format!(
                "put keys that it knows into {}, profile [{}]",
                file.path.display(),
                file.profile
            );
        }
        let host = name_in_netrc(root);
        let netrc = settings.netrc.as_ref().map(|path| match netrc::find(&self.netrc, host) {
            Some(entry) => format!("renew the entry for {host} in {} (line {})", path.display(), entry.line),
            None => format!("add an entry for {host} to {}", path.display()),
        });
        match (&root.kind, netrc) {
            (Kind::CacheBOfflineToken { .. }, Some(netrc)) => format!("run `dcmsfs login` or {netrc}"),
            (Kind::Key { .. } | Kind::BearerKey, netrc) => {
                let login = format!("run `dcmsfs login --root {}`", root.name);
                netrc.map_or(login.clone(), |netrc| format!("{login} or {netrc}"))
            }
            _ => "run `dcmsfs login`".to_owned(),
        }
    }

    /// How a root stands, for people.
    pub(in crate::credentials) fn status(
        &self,
        index: usize,
        root: &RootCredential,
        given: Option<&Account>,
        keyring: &Keyring,
        now: Timestamp,
    ) -> AccountStatus {
        let until = self.end(index, root, given).map(|end| end.until);
        let kept = &self.roots[index];
        let refused = kept.current.as_ref().is_some_and(|current| kept.has_refused(current));
        let (state, user) = match (&root.kind, &self.access) {
            (Kind::None, _) => (AccountState::NotNeeded, None),
            (Kind::CacheAToken, None) => (AccountState::Missing, None),
            (Kind::CacheAToken, Some(access)) => {
                let over =
                    kept.problem.as_ref().is_some_and(|problem| problem.kind() == ErrorKind::LoginExpired);
                let past = until.is_some_and(|until| until <= now);
                let state =
                    if over || past { AccountState::Expired } else { AccountState::LoggedIn { until } };
                (state, Some(access.login.user.clone()))
            }
            _ if !keyring.holds(&root.scope) => (AccountState::Missing, None),
            _ if refused => (AccountState::Expired, self.offline_user(kept)),
            _ => (AccountState::LoggedIn { until }, self.offline_user(kept)),
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
        if let Kind::S3(_) = root.kind {
            return self.s3_problem.as_ref();
        }
        let file = root.kind != Kind::None;
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
