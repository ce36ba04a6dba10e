//! The background task: renews Cache-A's token ahead of its end, looks every second whether a `dcmsfs login`, a
//! `logout` or an edited netrc changed something, and tells a day ahead when a login ends.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::expiry::Watch;
use super::files::CacheALogin;
use super::{Inner, Kind, renewal};
use crate::error::ErrorKind;

/// How often the files' stamps are looked at: a login or logout counts at once for a person. Two calls of stat(2);
/// a watch by inotify would see nothing of another machine's login in a shared home.
const POLL: Duration = Duration::from_secs(1);

/// Between two renewals ahead of time: an answer that gives no life at all must not make a storm.
const FLOOR: Duration = Duration::from_secs(1);

/// First and longest pause after a renewal ahead of time that failed.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// Runs until it is dropped.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut plan = Plan::default();
    let mut watch = Watch::default();
    loop {
        sleep(plan.next_look().min(POLL)).await;
        if let Err(error) = renewal::reload(&inner).await {
            tracing::error!("{error}");
        }
        announce(&inner, &mut watch);
        let login = inner.vault.lock().access().map(|access| access.login.clone());
        // An account without a token: it is fetched before the first reader wants it.
        let absent = login.is_none() && inner.has_cache_a() && inner.account().is_some();
        if !plan.is_due(login.as_ref(), absent, Instant::now(), Timestamp::now()) {
            continue;
        }
        match renewal::ahead(&inner, login.as_ref()).await {
            Ok(()) => plan.succeeded(Instant::now()),
            Err(error) => {
                let again = plan.failed(Instant::now());
                // The token stays in use until it is refused.
                if !again && error.kind() == ErrorKind::LoginExpired && login.is_some() {
                    tracing::warn!("{error} (the present token is used until it ends)");
                } else if !again {
                    tracing::warn!("{error}; trying again");
                }
            }
        }
    }
}

/// Tells of logins that end within a day.
fn announce(inner: &Inner, watch: &mut Watch) {
    for (index, root) in inner.roots.iter().enumerate() {
        let end = inner.vault.lock().end(index, root, inner.settings.account.as_ref());
        if let Some(end) = end
            && watch.look(index, Some(end), Timestamp::now())
        {
            tracing::warn!(root = root.name, "the login ends at {:.0}: run `dcmsfs login` before", end.until);
        }
    }
}

impl Inner {
    fn has_cache_a(&self) -> bool {
        self.roots.iter().any(|root| root.kind == Kind::CacheAToken)
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
    /// Not before this for the next token either.
    floor: Option<Instant>,
}

impl Plan {
    /// Time until something could be due; without a token only the files are watched.
    fn next_look(&self) -> Duration {
        let due = self.due.map(|due| self.not_before.map_or(due, |pause| pause.max(due)));
        due.map_or(POLL, |due| due.saturating_duration_since(Instant::now())).max(Duration::from_millis(50))
    }

    /// Whether to act now; `absent`: there is no token, and a way to get one.
    fn is_due(&mut self, login: Option<&CacheALogin>, absent: bool, now: Instant, clock: Timestamp) -> bool {
        let token = login.map(|login| (login.obtained, login.expires));
        if token != self.token {
            *self = Self { token, not_before: self.floor, ..Self::default() };
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
        (late || absent) && self.not_before.is_none_or(|pause| now >= pause)
    }

    fn succeeded(&mut self, now: Instant) {
        self.failures = 0;
        self.floor = now.checked_add(FLOOR);
    }

    /// Whether it had failed for this token before.
    fn failed(&mut self, now: Instant) -> bool {
        let pause = PAUSES.0.saturating_mul(1 << self.failures.min(10)).min(PAUSES.1);
        self.failures += 1;
        self.not_before = Some(now + pause);
        self.failures > 1
    }
}

/// How long before the end of a token of this life it is renewed: a minute or a tenth, whichever is longer
/// (contract.md 8.8), but at most a fifth of its life, so that short ones are used and not only renewed; up to a
/// fifth of that earlier by `jitter` (0 to 1), so that many machines do not come at once.
fn margin(life: Duration, jitter: f64) -> Duration {
    let margin = (life / 10).max(Duration::from_secs(60)).min(life / 5);
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
        assert_eq!(margin(60, 0.0), 12.0);
        assert_eq!(margin(2, 0.0), 0.4);
        assert_eq!(margin(0, 1.0), 0.0);
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_without_a_life_are_no_storm() {
        let (mut plan, now) = (Plan::default(), Instant::now());
        let clock = |millis| Timestamp::from_millisecond(1_000_000 + millis).unwrap();
        let mut renewals = 0;
        let mut token = login(1000, 1001);
        for millis in (0..10_000).step_by(50) {
            let at = now + Duration::from_millis(millis);
            let wall = clock(i64::try_from(millis).unwrap());
            if plan.is_due(Some(&token), false, at, wall) {
                renewals += 1;
                plan.succeeded(at);
                token.obtained = Some(wall);
                token.expires = Some(wall);
            }
        }
        assert!((5..=10).contains(&renewals), "{renewals} in ten seconds");
    }

    #[tokio::test(start_paused = true)]
    async fn due_by_either_clock_and_not_in_a_pause() {
        let (mut plan, now) = (Plan::default(), Instant::now());
        let clock = |seconds| Timestamp::from_second(seconds).unwrap();
        let later = |seconds| now + Duration::from_secs(seconds);
        let token = login(1000, 1300);
        assert!(!plan.is_due(Some(&token), false, now, clock(1000)));
        assert!(!plan.is_due(Some(&token), false, later(220), clock(1220)));
        assert!(plan.is_due(Some(&token), false, later(241), clock(1000)), "the wall clock stands still");
        assert!(plan.is_due(Some(&token), false, later(0), clock(1241)), "the machine slept");
        assert!(!plan.failed(later(241)));
        assert!(!plan.is_due(Some(&token), false, later(243), clock(1243)));
        assert!(plan.is_due(Some(&token), false, later(246), clock(1246)));
        assert!(plan.failed(later(246)));
        assert!(!plan.is_due(Some(&token), false, later(255), clock(1255)), "the pause grows");
        let new = login(1256, 1556);
        assert!(!plan.is_due(Some(&new), false, later(256), clock(1256)));
        assert!(
            plan.is_due(Some(&login(100, 400)), false, later(257), clock(1257)),
            "over when it was found"
        );
        assert!(!plan.is_due(None, false, later(9999), clock(9999)));
        assert!(plan.is_due(None, true, later(9999), clock(9999)), "a password without a token");
        plan.failed(later(9999));
        assert!(!plan.is_due(None, true, later(10_000), clock(10_000)));
        let mut endless = login(1000, 1000);
        endless.expires = None;
        assert!(!plan.is_due(Some(&endless), false, later(9999), clock(9999)), "used until it is refused");
    }
}
