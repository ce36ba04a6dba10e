//! The one door to the network for every remote byte: a slot, a deadline, retries, a count.
//!
//! One [`Fetch`] stands before one service. A transfer holds its slot until its body has ended or is
//! dropped; a retry that sleeps gives the slot back. When the service names a time before which it wants
//! no request, nobody sends one.

mod book;
pub mod budget;
mod connections;
mod documents;
mod ledger;
mod limits;
pub mod retry;
pub mod slots;
mod traffic;
mod transfer;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::sync::futures::Notified;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use url::Url;

use crate::backend::answer::{Answer, Length};
use crate::backend::{Ask, Backend, LONGEST_WAIT};
use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind, Result};
pub use crate::fetch::book::{Counts, Period};
use crate::fetch::budget::{Budget, UNNAMED_PAUSE};
use crate::fetch::connections::Connections;
pub use crate::fetch::documents::Document;
pub use crate::fetch::limits::{Allowance, Limit, Measure, Spent};
use crate::fetch::retry::Retry;
use crate::fetch::slots::{Slot, Slots};
pub use crate::fetch::traffic::Traffic;
pub use crate::fetch::transfer::Transfer;
use crate::transport::Keyring;

/// Documents (listings, metadata) in flight at once for one service; they hold no download slot.
const DOCUMENTS: usize = 8;
/// How long a service may take to begin a transfer, all tries together, queueing and pauses apart
/// (contract.md 4.3: one block).
const BEGIN_LIMIT: Duration = Duration::from_secs(60);

/// Renewals of the login for one operation. One is enough for a token that has ended; who queued for a slot after it
/// may find that a short one has ended again. A fresh token that is refused is not renewed (`Credentials::renew`).
const RENEWALS: u32 = 3;

/// How long a service that gave no part is not asked for one again: it may have been one odd node of many.
const NO_RANGES: Duration = Duration::from_secs(600);

struct Inner {
    backend: Arc<dyn Backend>,
    slots: Arc<dyn Slots>,
    documents: Semaphore,
    credentials: Credentials,
    keyring: Keyring,
    /// Learnt once per service: whether a part can be asked for.
    ranges: Mutex<Option<(bool, Instant)>>,
    connections: Connections,
    traffic: Traffic,
    budget: Budget,
}

/// The door to one service; clones share it.
#[derive(Clone)]
pub struct Fetch(Arc<Inner>);

impl Fetch {
    /// The door to the service behind `backend`, of which everything may be asked within `budget`.
    pub fn new(
        backend: Arc<dyn Backend>,
        slots: Arc<dyn Slots>,
        credentials: Credentials,
        keyring: Keyring,
        budget: Budget,
    ) -> Self {
        Self(Arc::new(Inner {
            backend,
            slots,
            documents: Semaphore::new(DOCUMENTS),
            credentials,
            keyring,
            ranges: Mutex::default(),
            connections: Connections::default(),
            traffic: Traffic::default(),
            budget,
        }))
    }

    /// The service's name.
    pub fn service(&self) -> &str {
        self.0.backend.name()
    }

    /// Whether the service can give parts; `None` until the first answer told.
    pub fn ranges(&self) -> Option<bool> {
        let learnt = *self.0.ranges.lock();
        learnt.filter(|(can, when)| *can || when.elapsed() < NO_RANGES).map(|(can, _)| can)
    }

    /// What has been sent and received.
    pub fn traffic(&self) -> &Traffic {
        &self.0.traffic
    }

    /// What may be asked of the service.
    pub fn budget(&self) -> &Budget {
        &self.0.budget
    }

    /// Slots in use and slots there are.
    pub fn slots(&self) -> (usize, usize) {
        self.0.slots.usage()
    }

    /// Whether so many transfers at once would need a new connection, which costs some round trips and is slow at first:
    /// likely when there were never so many.
    pub fn needs_connection(&self, transfers: usize) -> bool {
        self.0.connections.need(transfers)
    }

    /// Whether a slot for reading ahead may be free; cheap.
    pub fn may_spare(&self) -> bool {
        self.0.slots.may_spare() && self.0.budget.may_guess()
    }

    /// Resolves when a slot for reading ahead may have become free, in this process.
    pub fn slot_freed(&self) -> Notified<'_> {
        self.0.slots.freed()
    }

    /// A slot for reading ahead, if one is free now.
    pub fn spare_slot(&self) -> Option<Slot> {
        self.0.budget.may_guess().then(|| self.0.slots.spare())?
    }

    /// Begins a transfer: waits for a slot unless one is handed in, asks, and judges the headers.
    /// Tries again where that may help; the slot is given back while it waits. With a slot that was handed in,
    /// a guess, there is one try.
    ///
    /// # Errors
    /// What the last try met; `TimedOut` when the service took too long in all.
    pub async fn begin(&self, url: &Url, ask: &Ask, slot: Option<Slot>) -> Result<Transfer> {
        let mut retry = Retry::default();
        let guess = slot.is_some();
        let mut slot = slot.filter(|_| self.is_welcome());
        let mut renewals = 0;
        let mut left = BEGIN_LIMIT;
        loop {
            self.wait_until_welcome().await?;
            let held = match slot.take() {
                Some(slot) => slot,
                None => {
                    self.0.connections.spare(&*self.0.slots).await;
                    self.0.slots.acquire().await?
                }
            };
            if !self.admit().await? {
                continue;
            }
            let brief = self.0.connections.ask(ask.range);
            self.0.connections.give_way(&*self.0.slots, guess).await;
            let seen = self.0.keyring.generation(url);
            // Only time spent asking counts: a queue or a pause that the service wants is not its slowness.
            let began = Instant::now();
            let answered = timeout(left, self.0.backend.ask(url, ask)).await;
            left = left.saturating_sub(began.elapsed());
            let error = match answered.unwrap_or_else(|_| Err(self.no_answer(url))) {
                Ok(answer) => {
                    self.0.traffic.answered();
                    self.learn_ranges(ask, &answer);
                    self.0.connections.answered(self.0.slots.usage().0);
                    return Ok(Transfer {
                        answer,
                        fetch: self.clone(),
                        slot: held,
                        answered: began.elapsed(),
                        _brief: brief,
                    });
                }
                Err(error) => self.note(error),
            };
            let error = self.too_many(error);
            drop((held, brief));
            if left.is_zero() || guess {
                return Err(error);
            }
            let recovered = self.recover(error, url, seen, &mut renewals, &mut retry).await;
            // What more patience did not change was not "too many at once".
            recovered
                .map_err(|error| if error.kind() == ErrorKind::Busy { error.original() } else { error })?;
        }
    }

    /// What an answer proves: a part was given, or the whole although it is more than was asked for.
    fn learn_ranges(&self, ask: &Ask, answer: &Answer) {
        // Another version than the one asked for comes whole (RFC 9110 13.1.5); that proves nothing.
        let other = ask.version.as_ref().is_some_and(|version| version.contradicts(&answer.version));
        if let Some(range) = ask.range.filter(|_| !other)
            && (answer.partial || answer.total.is_none_or(|total| total > range.end))
        {
            *self.0.ranges.lock() = Some((answer.partial, Instant::now()));
        }
    }

    /// The length of the object at `url`, where the service tells it without sending bytes.
    pub async fn length(&self, url: &Url) -> Result<Option<Length>> {
        let mut retry = Retry::default();
        let mut renewals = 0;
        loop {
            self.wait_until_welcome().await?;
            let _permit = self.0.slots.acquire().await?;
            if !self.admit().await? {
                continue;
            }
            let seen = self.0.keyring.generation(url);
            let error = match self.0.backend.length(url).await {
                Ok(length) => {
                    self.0.traffic.answered();
                    return Ok(length);
                }
                Err(error) => self.note(error),
            };
            drop(_permit);
            self.recover(error, url, seen, &mut renewals, &mut retry).await?;
        }
    }

    /// Counts one more request; `false`: whoever waited for a slot does not know yet that the service wants a pause
    /// meanwhile.
    async fn admit(&self) -> Result<bool> {
        self.0.budget.admit().await?;
        let welcome = self.is_welcome();
        if welcome {
            self.0.traffic.sent();
        }
        Ok(welcome)
    }

    fn received(&self, bytes: usize) {
        self.0.traffic.received(bytes);
        self.0.budget.received(bytes);
    }

    fn is_welcome(&self) -> bool {
        self.0.budget.pause().is_none()
    }

    /// Waits out a pause that the service asked for, or fails when it is longer than a reader waits.
    async fn wait_until_welcome(&self) -> Result<()> {
        if let Some((until, error)) = self.0.budget.pause() {
            if until.saturating_duration_since(Instant::now()) > LONGEST_WAIT {
                return Err(error);
            }
            sleep_until(until).await;
        }
        Ok(())
    }

    /// Either mends what went wrong and returns for another try, or gives the error up.
    async fn recover(
        &self,
        error: Error,
        url: &Url,
        seen: u64,
        renewals: &mut u32,
        retry: &mut Retry,
    ) -> Result<()> {
        if error.kind() == ErrorKind::LoginRejected && *renewals < RENEWALS {
            *renewals += 1;
            return self.0.credentials.renew(url, seen).await;
        }
        match retry.after(&error) {
            Some(delay) => {
                tracing::debug!(service = self.service(), ?delay, "trying again: {error}");
                sleep(delay).await;
                Ok(())
            }
            None => Err(error),
        }
    }

    fn no_answer(&self, url: &Url) -> Error {
        let limit = BEGIN_LIMIT.as_secs();
        Error::new(
            ErrorKind::TimedOut,
            format!("{}: no answer for {} within {limit} s", self.service(), url.path()),
        )
    }

    fn note(&self, error: Error) -> Error {
        // What is not there is an answer: most chunks of some stores are absent (protocol.md 4.3).
        if error.kind() == ErrorKind::NotFound {
            self.0.traffic.answered();
            return error;
        }
        // A volume that is used up stays so for a while, also if the service does not say until when.
        let used_up = error.kind() == ErrorKind::QuotaExceeded;
        let error = match error.wait().or(used_up.then_some(UNNAMED_PAUSE)) {
            Some(wait) => self.0.budget.pause_for(wait, error),
            None => error,
        };
        self.0.traffic.failed(&error);
        error
    }

    /// The service had too many downloads at once: ask for fewer, and come back.
    fn too_many(&self, error: Error) -> Error {
        let others = self.0.slots.usage().0 > 1;
        let error = match error.kind() {
            ErrorKind::Forbidden if others && self.0.backend.forbids_when_busy() => {
                error.reclassify(ErrorKind::Busy)
            }
            _ => error,
        };
        if error.kind() == ErrorKind::Busy {
            self.0.slots.narrow();
        }
        error
    }
}
