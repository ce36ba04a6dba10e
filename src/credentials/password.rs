//! A login without the person: by the password that the user allowed to keep, or that the service manager gave.
//!
//! At most one a minute whatever happens, counted over all processes that share the credentials file: providers
//! lock accounts after some wrong passwords (contract.md 5.1). The time of the last one stands in the lock file;
//! our own memory counts as well, since there may be no such file, and wall clocks jump.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::login::{self, go_through_again, log_in};
use super::private_file::Lock;
use super::{Account, Inner, NewLogin};
use crate::error::{Error, ErrorKind, Result, fail};

/// Logins by password at most this often.
pub(super) const PAUSE: Duration = Duration::from_secs(60);

/// The last login and how it ended.
#[derive(Default)]
pub(super) struct Last(Option<(Instant, Option<Error>)>);

/// Which service's secret is wanted; one login may bring both.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    CacheA,
    CacheB,
}

/// Logs in for `wanted`, and for the other service too if it has nothing that works. `None` if there is no
/// password.
///
/// Fails like `login::log_in`; with the last failure, or `Busy`, within a minute of the last attempt.
pub(super) async fn again(
    inner: &Inner,
    last: &mut Last,
    lock: Option<&Lock>,
    wanted: Service,
) -> Result<Option<NewLogin>> {
    let Some(account) = inner.account() else { return Ok(None) };
    if let Some(left) = last.pause().max(lock.and_then(noted)) {
        let outcome = last.0.as_ref().and_then(|(_, outcome)| outcome.clone());
        let early =
            || Error::new(ErrorKind::Busy, "logged in less than a minute ago: waiting before the next login");
        return Err(outcome.unwrap_or_else(early).retry_after(left));
    }
    // Before it is tried: a process that is killed in the middle has tried all the same.
    if let Some(lock) = lock {
        lock.set_note(Timestamp::now());
    }
    let outcome = converse(inner, &account, wanted).await;
    last.0 = Some((Instant::now(), outcome.as_ref().err().cloned()));
    if outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::LoginRejected) {
        inner.vault.lock().refuse_account(account);
    }
    outcome.map(Some)
}

/// One conversation with the provider. The second client is let in without the password, or not: it is given once.
async fn converse(inner: &Inner, account: &Account, wanted: Service) -> Result<NewLogin> {
    let refuse_code =
        |_: &str| fail(ErrorKind::LoginExpired, "the account asks for a one-time code: run `dcmsfs login`");
    let identity = &inner.settings.identity;
    let session = login::session(identity)?;
    let Account { user, password } = account;
    let (first, second, other) = match wanted {
        Service::CacheA => (&identity.cache_a, &identity.cache_b, Service::CacheB),
        Service::CacheB => (&identity.cache_b, &identity.cache_a, Service::CacheA),
    };
    let mine = log_in(&session, identity, first, user, password, refuse_code).await?;
    let mut others = None;
    if inner.needs(other) {
        match go_through_again(&session, identity, second, user).await {
            Ok(tokens) => others = Some(tokens),
            Err(error) => {
                tracing::info!(client = second.id, "logged in, but not for the other service: {error}")
            }
        }
    }
    let (cache_a, cache_b) = match wanted {
        Service::CacheA => (Some(mine), others),
        Service::CacheB => (others, Some(mine)),
    };
    Ok(NewLogin { user: user.clone(), cache_a, cache_b, keep_password: None })
}

impl Last {
    fn pause(&self) -> Option<Duration> {
        let (when, _) = self.0.as_ref()?;
        PAUSE.checked_sub(when.elapsed()).filter(|left| !left.is_zero())
    }
}

/// What is left of the minute by the note that processes share. A time in the future is of a clock that was wrong.
fn noted(lock: &Lock) -> Option<Duration> {
    let since = Duration::try_from(Timestamp::now().duration_since(lock.note()?)).ok()?;
    PAUSE.checked_sub(since).filter(|left| !left.is_zero())
}
