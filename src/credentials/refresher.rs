//! The background task: renews Cache-A's token ahead of its end, and looks every few seconds whether a
//! `dcmsfs login` or an edited netrc brought something new.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::files::CacheALogin;
use super::{Inner, renewal};
use crate::error::ErrorKind;

/// How often the files' stamps are looked at: "picks up a new login at once".
const POLL: Duration = Duration::from_secs(3);

/// First and longest pause after a renewal ahead of time that failed.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// Runs until it is dropped.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut plan = Plan::default();
    loop {
        sleep(plan.next_look().min(POLL)).await;
        if let Err(error) = renewal::reload(&inner).await {
            tracing::error!("{error}");
        }
        let login = inner.vault.lock().access().map(|access| access.login.clone());
        let due = plan.is_due(login.as_ref(), Instant::now(), Timestamp::now());
        let Some(ending) = login.filter(|_| due) else { continue };
        match renewal::ahead(&inner, &ending).await {
            Ok(()) => plan.succeeded(),
            Err(error) => {
                let again = plan.failed(Instant::now());
                // The token stays in use until it is refused.
                if !again && error.kind() == ErrorKind::LoginExpired {
                    tracing::warn!("{error} (the present token is used until it ends)");
                } else if !again {
                    tracing::warn!("{error}; trying again");
                }
            }
        }
    }
}

/// When to renew which token. Pure but for the jitter.
#[derive(Default)]
struct Plan {
    /// The token that it is about, by the moment it was given and its end.
    token: Option<(Option<Timestamp>, Option<Timestamp>)>,
    /// By the monotonic clock, so that a jump of the wall clock does not hide the end.
    due: Option<Instant>,
    /// By the wall clock, so that a machine that slept notices.
    due_by_clock: Option<Timestamp>,
    failures: u32,
    not_before: Option<Instant>,
}

impl Plan {
    /// Time until something could be due; without a token only the files are watched.
    fn next_look(&self) -> Duration {
        let due = self.due.map(|due| self.not_before.map_or(due, |pause| pause.max(due)));
        due.map_or(POLL, |due| due.saturating_duration_since(Instant::now())).max(Duration::from_millis(50))
    }

    fn is_due(&mut self, login: Option<&CacheALogin>, now: Instant, clock: Timestamp) -> bool {
        let token = login.map(|login| (login.obtained, login.expires));
        if token != self.token {
            *self = Self { token, ..Self::default() };
            if let Some(expires) = login.and_then(|login| login.expires) {
                let left = Duration::try_from(expires.duration_since(clock)).unwrap_or_default();
                let life =
                    login.and_then(|login| login.obtained).map(|obtained| expires.duration_since(obtained));
                let life = life.and_then(|life| Duration::try_from(life).ok()).unwrap_or(left);
                let wait = left.saturating_sub(margin(life, jitter()));
                self.due = now.checked_add(wait);
                self.due_by_clock = clock.checked_add(wait).ok();
            }
        }
        let late =
            self.due.is_some_and(|due| now >= due) || self.due_by_clock.is_some_and(|due| clock >= due);
        late && self.not_before.is_none_or(|pause| now >= pause)
    }

    fn succeeded(&mut self) {
        self.failures = 0;
        self.not_before = None;
    }

    /// Whether it had failed for this token before.
    fn failed(&mut self, now: Instant) -> bool {
        let pause = PAUSES.0.saturating_mul(1 << self.failures.min(10)).min(PAUSES.1);
        self.failures += 1;
        self.not_before = Some(now + pause);
        self.failures > 1
    }
}

/// How long before the end of a token of this life it is renewed: a minute or a tenth, whichever is longer,
/// but at most half its life (contract.md 8.8); up to a fifth earlier by `jitter` (0 to 1), so that many
/// machines do not come at once.
fn margin(life: Duration, jitter: f64) -> Duration {
    let margin = (life / 10).max(Duration::from_secs(60)).min(life / 2);
    (margin + margin.mul_f64(jitter / 5.0)).min(life)
}

fn jitter() -> f64 {
    f64::from(RandomState::new().hash_one(0) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(obtained: i64, expires: i64) -> CacheALogin {
        CacheALogin {
            user: String::new(),
            access_token: "a".into(),
            refresh_token: None,
            obtained: Timestamp::from_second(obtained).ok(),
            expires: Timestamp::from_second(expires).ok(),
            refresh_expires: None,
        }
    }

    #[test]
    fn margins() {
        let margin = |life, jitter| super::margin(Duration::from_secs(life), jitter).as_secs_f64();
        assert_eq!(margin(36_000, 0.0), 3600.0);
        assert_eq!(margin(300, 0.0), 60.0);
        assert_eq!(margin(300, 1.0), 72.0);
        assert_eq!(margin(60, 0.0), 30.0);
        assert_eq!(margin(2, 0.0), 1.0);
        assert_eq!(margin(0, 1.0), 0.0);
    }

    #[tokio::test(start_paused = true)]
    async fn due_by_either_clock_and_not_in_a_pause() {
        let (mut plan, now) = (Plan::default(), Instant::now());
        let clock = |seconds| Timestamp::from_second(seconds).unwrap();
        let later = |seconds| now + Duration::from_secs(seconds);
        let token = login(1000, 1300);
        assert!(!plan.is_due(Some(&token), now, clock(1000)));
        assert!(!plan.is_due(Some(&token), later(220), clock(1220)));
        assert!(plan.is_due(Some(&token), later(241), clock(1000)), "the wall clock stands still");
        assert!(plan.is_due(Some(&token), later(0), clock(1241)), "the machine slept");
        assert!(!plan.failed(later(241)));
        assert!(!plan.is_due(Some(&token), later(243), clock(1243)));
        assert!(plan.is_due(Some(&token), later(246), clock(1246)));
        assert!(plan.failed(later(246)));
        assert!(!plan.is_due(Some(&token), later(255), clock(1255)), "the pause grows");
        let new = login(1256, 1556);
        assert!(!plan.is_due(Some(&new), later(256), clock(1256)));
        assert!(plan.is_due(Some(&login(100, 400)), later(257), clock(1257)), "over when it was found");
        assert!(!plan.is_due(None, later(9999), clock(9999)));
        let mut endless = login(1000, 1000);
        endless.expires = None;
        assert!(!plan.is_due(Some(&endless), later(9999), clock(9999)), "used until it is refused");
    }
}
