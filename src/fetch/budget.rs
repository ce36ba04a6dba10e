//! How much may be asked of a service: own limits by day and month, and pauses that the service wants.
//!
//! Everything is counted, with or without limits, and by all mounts of the user in one ledger. Nobody waits for
//! a disk on the way of a read: counts gather in memory and are written by one thread at a time behind the reads'
//! backs, at the latest a second later. Only where there is a limit, a request waits for its entry: it is counted
//! in the ledger before it is sent, so that all mounts together never send one too many. That is one turn of the
//! writer for all that ask at the same moment. Should the ledger not work or be slow, counting goes on in memory:
//! no read fails for the bookkeeping.

mod writer;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use crate::backend::LONGEST_WAIT;
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::book::{Book, Counts, Pause, Period};
use crate::fetch::ledger::Ledger;
use crate::fetch::limits::{Allowance, Limit, Spent};

/// Counts are written at the latest so long after they were made, or when there are so many.
const LATEST: Duration = Duration::from_secs(1);
const REQUESTS: u64 = 64;
const BYTES: u64 = 16 << 20;
/// How long a request waits for its entry before it goes on without.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long nothing is asked after a service said that the volume is used up, and not until when.
pub const UNNAMED_PAUSE: Duration = Duration::from_secs(3600);
/// The longest pause of a service that is only busy; one that has a quota may mean the end of a month.
const BUSY_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// What a budget is made of.
#[derive(Debug)]
pub struct BudgetSettings {
    /// The service's name, for messages.
    pub service: String,
    /// The service's address, for whoever looks into the ledger.
    pub address: String,
    /// Where the ledger is kept: a directory for this service alone.
    pub directory: PathBuf,
    /// Own limits.
    pub limits: Vec<Limit>,
    /// How many files may be asked for at a time that nobody has opened.
    pub ahead: usize,
}

/// What there is to say of a budget.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// What all mounts of the user have asked for today.
    pub today: Counts,
    /// And this month.
    pub month: Counts,
    /// Each limit and how far it is used up.
    pub limits: Vec<Spent>,
    /// Until when the service wants no request, if it does not.
    pub paused: Option<Timestamp>,
    /// Why counts are not kept for now.
    pub trouble: Option<String>,
}

/// The budget of one service; clones share it. The default one counts in memory and allows everything.
#[derive(Clone, Default)]
pub struct Budget(Arc<Inner>);

#[derive(Default)]
struct Inner {
    service: String,
    limits: Vec<Limit>,
    ahead: usize,
    ledger: Option<Ledger>,
    state: Mutex<State>,
    /// **Invariant**: at most one thread writes.
    writing: AtomicBool,
    /// Somebody will begin to write within [`LATEST`].
    due: AtomicBool,
    /// The writer has kept somebody waiting too long.
    stuck: AtomicBool,
}

/// A request that waits for its entry.
type Ask = oneshot::Sender<Result<()>>;

#[derive(Default)]
struct State {
    /// What stood in the ledger last.
    book: Book,
    /// Counted since the writer began last.
    fresh: Counts,
    /// What could not be written yet.
    unwritten: Book,
    /// In order of asking.
    asking: Vec<Ask>,
    /// **Invariant**: while the instant lies ahead, no request leaves for the service.
    pause: Option<(Instant, Error)>,
    /// Limits that were told of: which, in which period, and whether as used up.
    told: BTreeSet<(usize, Date, bool)>,
    /// Whether any of them was nearly used up at the last entry.
    near: bool,
    trouble: Option<String>,
}

impl State {
    /// All that is counted, whether written or not.
    fn total(&self, today: Date) -> Book {
        let mut book = self.book.clone();
        book.add_all(&self.unwritten);
        book.add(today, self.fresh);
        book
    }

    fn pause_until(&mut self, until: Instant, error: Error) {
        if self.pause.as_ref().is_none_or(|(held, _)| *held < until) {
            self.pause = Some((until, error));
        }
    }
}

fn today() -> Date {
    TimeZone::UTC.to_datetime(Timestamp::now()).date()
}

impl Budget {
    /// The budget of a service, with what earlier mounts have counted and been told. Reads two small files.
    pub fn open(settings: BudgetSettings) -> Self {
        let BudgetSettings { service, address, directory, limits, ahead } = settings;
        let ledger = Ledger::new(directory, &address);
        let mut state = State::default();
        match ledger.read() {
            Ok(found) => state.book = found.book,
            Err(error) => state.trouble = Some(error.to_string()),
        }
        let budget = Self(Arc::new(Inner {
            service,
            limits,
            ahead,
            ledger: Some(ledger),
            state: state.into(),
            ..Inner::default()
        }));
        let mut state = budget.0.state.lock();
        budget.take_up_pause(&mut state);
        budget.tell(&mut state, today());
        drop(state);
        budget
    }

    /// Waits until one more request may be sent, which is a matter of the ledger only, and counts it.
    ///
    /// # Errors
    /// `QuotaExceeded` when an own limit is used up.
    pub async fn admit(&self) -> Result<()> {
        let inner = &self.0;
        if inner.limits.is_empty() {
            self.count(Counts { requests: 1, bytes: 0 });
            return Ok(());
        }
        if inner.ledger.is_some() && !inner.stuck.load(Ordering::Relaxed) {
            let (ask, answer) = oneshot::channel();
            inner.state.lock().asking.push(ask);
            self.write_soon();
            if let Ok(Ok(answer)) = timeout(PATIENCE, answer).await {
                return answer;
            }
            inner.stuck.store(true, Ordering::Relaxed);
        }
        let mut state = inner.state.lock();
        self.allow(&mut state.total(today()), today())?;
        state.fresh.add(Counts { requests: 1, bytes: 0 });
        Ok(())
    }

    /// Counts bytes of an answer.
    pub fn received(&self, bytes: usize) {
        self.count(Counts { requests: 0, bytes: bytes as u64 });
    }

    /// An answer has come to its end: what it brought matters to other mounts where there are limits.
    pub fn ended(&self) {
        if !self.0.limits.is_empty() {
            self.write_soon();
        }
    }

    /// How many files may be asked for at a time that nobody has opened.
    pub fn ahead(&self) -> usize {
        self.0.ahead
    }

    /// Whether something may be asked for that nobody waits for: not in a pause, and not once a limit is nearly
    /// used up.
    pub fn may_guess(&self) -> bool {
        let state = self.0.state.lock();
        !state.near && state.pause.as_ref().is_none_or(|(until, _)| *until <= Instant::now())
    }

    /// Until when the service wants no request, and what it said.
    pub fn pause(&self) -> Option<(Instant, Error)> {
        self.0.state.lock().pause.clone().filter(|(until, _)| *until > Instant::now())
    }

    /// The service wants no request for `wait`, which all mounts now hold to; gives the error for readers.
    pub fn pause_for(&self, wait: Duration, error: Error) -> Error {
        let quota = error.kind() == ErrorKind::QuotaExceeded;
        let wait = if quota { wait } else { wait.min(BUSY_PAUSE) };
        let mut state = self.0.state.lock();
        let held = state.pause.as_ref().is_some_and(|(until, _)| *until > Instant::now());
        let pause =
            Pause::new(Timestamp::now(), i64::try_from(wait.as_secs()).unwrap_or(0), quota, error.message());
        let error = self.story(&pause, error);
        if wait > LONGEST_WAIT && !held {
            tracing::warn!("{error}");
        }
        state.pause_until(Instant::now() + wait, error.clone());
        state.unwritten.pause = Some(pause);
        drop(state);
        self.write_soon();
        error
    }

    /// What there is to say of it.
    pub fn account(&self) -> Account {
        let (state, today) = (self.0.state.lock(), today());
        let total = state.total(today);
        let paused = state.pause.as_ref().and_then(|(until, _)| until.checked_duration_since(Instant::now()));
        let paused = paused.filter(|left| !left.is_zero());
        Account {
            today: total.of(Period::Day, today),
            month: total.of(Period::Month, today),
            limits: self.0.limits.iter().map(|limit| limit.spent(&total, today)).collect(),
            paused: paused.and_then(|left| Timestamp::now().checked_add(left).ok()),
            trouble: state.trouble.clone(),
        }
    }

    /// What may still be asked for, where that is limited.
    pub fn allowance(&self) -> Allowance {
        Allowance::of(&self.account().limits)
    }

    /// Writes what has been counted. Blocks.
    pub fn settle(&self) {
        if self.0.ledger.is_some() && !self.0.writing.swap(true, Ordering::AcqRel) {
            self.write();
        }
    }

    fn count(&self, counts: Counts) {
        let mut state = self.0.state.lock();
        state.fresh.add(counts);
        let many = state.fresh.requests >= REQUESTS || state.fresh.bytes >= BYTES;
        drop(state);
        if many {
            self.write_soon();
        } else if self.0.ledger.is_some() && !self.0.due.swap(true, Ordering::AcqRel) {
            let budget = self.clone();
            let wait = async move {
                sleep(LATEST).await;
                budget.0.due.store(false, Ordering::Release);
                budget.write_soon();
            };
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(wait);
            }
        }
    }

    /// Begins to write if nobody does.
    fn write_soon(&self) {
        if self.0.ledger.is_some()
            && !self.0.writing.swap(true, Ordering::AcqRel)
            && let Ok(runtime) = Handle::try_current()
        {
            let budget = self.clone();
            runtime.spawn_blocking(move || budget.write());
        }
    }

    /// Counts one more request, if no limit is used up.
    fn allow(&self, book: &mut Book, today: Date) -> Result<()> {
        let spent = self.0.limits.iter().map(|limit| limit.spent(book, today)).find(Spent::is_used_up);
        match spent {
            Some(spent) => Err(spent.refusal(&self.0.service)),
            None => {
                book.add(today, Counts { requests: 1, bytes: 0 });
                Ok(())
            }
        }
    }

    /// A pause that another mount was told, or an earlier one.
    fn take_up_pause(&self, state: &mut State) {
        let Some(pause) = state.book.pause.clone() else { return };
        let left = pause.left(Timestamp::now());
        if left > 0 {
            let kind = if pause.quota { ErrorKind::QuotaExceeded } else { ErrorKind::Busy };
            let error = self.story(&pause, Error::new(kind, pause.why.as_str()));
            state.pause_until(Instant::now() + Duration::from_secs(left), error);
        }
    }

    fn story(&self, pause: &Pause, error: Error) -> Error {
        match pause.quota {
            true => error.then(format!(
                "no request is sent to {} before {:.0}; what is cached can be read",
                self.0.service, pause.until
            )),
            false => error,
        }
    }
}

#[cfg(test)]
mod tests;
