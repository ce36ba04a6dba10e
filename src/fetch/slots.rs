//! How many transfers may run at once, as values that are released by drop.
//!
//! Cache-A allows two downloads per *user*, whatever the number of mounts, commands and processes
//! (protocol.md 3.4). So a slot is two things: a permit of this process, handed out in order of asking,
//! and a locked file in a directory that all processes of the user share. The kernel drops the lock of a
//! process that dies, so a crash never leaks a slot.

mod turn;

use std::collections::VecDeque;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use crate::error::{Error, ErrorKind, Result, fail};
use crate::fetch::slots::turn::Turn;

/// How long the service is asked for less after it said that there was too much (contract.md 4.2).
const NARROWED: Duration = Duration::from_secs(60);
/// Pauses between looks at the lock files of other processes: first, and longest.
const LOOK: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));

/// How long the turn of another process is waited for: it may have been stopped.
const TURN: Duration = Duration::from_secs(10);

/// Where slots come from: this process, or all processes of the user; later all machines.
pub trait Slots: Send + Sync {
    /// Waits for a slot in order of asking. Fails with `TimedOut` after the queue limit.
    fn acquire(&self) -> BoxFuture<'_, Result<Slot>>;
    /// A slot for reading ahead, if one is free now. All slots but one may be held this way, so that a
    /// reader never finds them all taken by guesses.
    fn spare(&self) -> Option<Slot>;
    /// Whether [`Self::spare`] may give one; cheap.
    fn may_spare(&self) -> bool;
    /// Resolves when that may have become so, in this process.
    fn freed(&self) -> Notified<'_>;
    /// The service complained about too many: allow one at a time for a minute.
    fn narrow(&self);
    /// Slots in use and slots there are.
    fn usage(&self) -> (usize, usize);
}

/// The right to run one transfer, until dropped.
pub struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    narrowing: Arc<Narrowing>,
    queue: Arc<Queue>,
    lock: Option<File>,
    running: Option<Counted>,
    ahead: Arc<Ahead>,
}

impl Slot {
    /// The mark of a slot that was given for reading ahead.
    pub fn ahead(&self) -> Arc<Ahead> {
        Arc::clone(&self.ahead)
    }

    /// Who waits for a slot of the same kind.
    pub fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }
}

/// Marks a slot that was given for reading ahead, until somebody waits for what it brings.
pub struct Ahead {
    counted: Mutex<Option<Counted>>,
    queue: Arc<Queue>,
}

impl Ahead {
    /// A reader waits for the transfer: it is a guess no more, and another may be made.
    pub fn promote(&self) {
        if self.counted.lock().take().is_some() {
            self.queue.freed.notify_waiters();
        }
    }
}

/// Those who wait for a slot, so that a transfer that nobody waits for can give way.
#[derive(Default)]
pub struct Queue {
    waiting: Mutex<VecDeque<u64>>,
    tickets: AtomicU64,
    bell: Notify,
    /// Rung when a slot was given back, or a guess turned into what somebody waits for.
    freed: Notify,
    /// Those of other processes, where slots are shared with them.
    others: Option<Turn>,
}

impl Queue {
    /// Whether somebody waits for whom nobody has given way yet.
    pub fn is_wanted(&self) -> bool {
        !self.waiting.lock().is_empty() || self.others.as_ref().is_some_and(Turn::is_wanted)
    }

    /// Takes it on to give way to the first who waits; `false` when nobody waits any more. The slot must
    /// then be dropped.
    pub fn give_way(&self) -> bool {
        let own = self.waiting.lock().pop_front();
        own.is_some() || self.others.as_ref().is_some_and(Turn::give_way)
    }

    /// Resolves when somebody begins to wait.
    pub fn wanted(&self) -> Notified<'_> {
        self.bell.notified()
    }

    fn enter(&self) -> Waiting<'_> {
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        self.waiting.lock().push_back(ticket);
        self.bell.notify_waiters();
        Waiting { queue: self, ticket }
    }
}

/// One who waits, until dropped.
struct Waiting<'a> {
    queue: &'a Queue,
    ticket: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.queue.waiting.lock().retain(|ticket| *ticket != self.ticket);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // The mark may outlive the slot.
        self.ahead.promote();
        // Whoever is told that a slot is free finds it free.
        drop((self.lock.take(), self.running.take()));
        if let Some(permit) = self.permit.take() {
            self.narrowing.keep_back(permit);
        }
        self.queue.freed.notify_waiters();
    }
}

/// Permits that are kept back for a while: whichever comes back first, whoever waits for it.
#[derive(Default)]
struct Narrowing {
    wanted: AtomicUsize,
    kept: AtomicUsize,
}

impl Narrowing {
    /// Keeps the permit if there are not enough kept yet, else gives it back.
    fn keep_back(&self, permit: OwnedSemaphorePermit) {
        let less = |wanted: usize| wanted.checked_sub(1);
        if self.wanted.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok() {
            self.kept.fetch_add(1, Ordering::AcqRel);
            permit.forget();
        }
    }
}

/// One more, until dropped.
pub(super) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub(super) fn new(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(counter))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Slots of this process, and of all processes that share `directory` if one is given.
pub struct UserSlots {
    permits: Arc<Semaphore>,
    count: usize,
    /// Slots that are held, by transfers of any kind and by reading ahead.
    running: Arc<AtomicUsize>,
    ahead: Arc<AtomicUsize>,
    narrowed: Arc<AtomicBool>,
    narrowing: Arc<Narrowing>,
    queue: Arc<Queue>,
    directory: Option<PathBuf>,
    queue_limit: Duration,
}

impl UserSlots {
    /// `count` slots in this process only.
    pub fn local(count: usize, queue_limit: Duration) -> Self {
        let count = count.max(1);
        Self {
            permits: Arc::new(Semaphore::new(count)),
            count,
            running: Arc::default(),
            ahead: Arc::default(),
            narrowed: Arc::default(),
            narrowing: Arc::default(),
            queue: Arc::default(),
            directory: None,
            queue_limit,
        }
    }

    /// `count` slots over all processes that name the same `directory` (made 0700 when missing).
    pub fn shared(count: usize, directory: PathBuf, queue_limit: Duration) -> Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(|error| {
            Error::new(
                ErrorKind::Configuration,
                format!("cannot make the directory of download slots {}: {error}", directory.display()),
            )
        })?;
        let queue = Arc::new(Queue { others: Some(Turn::new(&directory)), ..Queue::default() });
        Ok(Self { queue, directory: Some(directory), ..Self::local(count, queue_limit) })
    }

    fn slot(
        &self,
        permit: OwnedSemaphorePermit,
        lock: Option<File>,
        running: Counted,
        ahead: Option<Counted>,
    ) -> Slot {
        Slot {
            permit: Some(permit),
            narrowing: Arc::clone(&self.narrowing),
            queue: Arc::clone(&self.queue),
            lock,
            running: Some(running),
            ahead: Arc::new(Ahead { counted: Mutex::new(ahead), queue: Arc::clone(&self.queue) }),
        }
    }

    /// One of the lock files, if any is free. Trouble with the files themselves does not stop reading:
    /// the limit then holds for this process alone.
    fn lock(&self) -> Locked {
        let Some(directory) = &self.directory else { return Locked::Unshared };
        for index in 0..self.count {
            let opened = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(directory.join(index.to_string()));
            let Ok(file) = opened else { return Locked::Unshared };
            match file.try_lock() {
                Ok(()) => return Locked::Here(file),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(_)) => return Locked::Unshared,
            }
        }
        Locked::AllTaken
    }
}

enum Locked {
    Here(File),
    Unshared,
    AllTaken,
}

impl Slots for UserSlots {
    fn acquire(&self) -> BoxFuture<'_, Result<Slot>> {
        let waiting = async {
            let mut waits = None;
            let permit = match Arc::clone(&self.permits).try_acquire_owned() {
                Ok(permit) => permit,
                Err(_) => {
                    waits = Some(self.queue.enter());
                    let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
                        return fail(ErrorKind::Internal, "the download slots are closed");
                    };
                    permit
                }
            };
            let (mut pause, mut turn, began) = (LOOK.0, None, Instant::now());
            loop {
                if let (None, Some(others)) = (&turn, &self.queue.others) {
                    turn = others.take();
                }
                let mine = turn.is_some() || self.queue.others.is_none() || began.elapsed() >= TURN;
                let lock = match if mine { self.lock() } else { Locked::AllTaken } {
                    Locked::Here(file) => Some(file),
                    Locked::Unshared => None,
                    Locked::AllTaken => {
                        // The permit stays: whoever gives way here frees a lock file.
                        waits.get_or_insert_with(|| self.queue.enter());
                        // Whose turn it is looks often: a slot is idle until it is seen.
                        sleep(if turn.is_some() { LOOK.0 } else { pause }).await;
                        pause = (pause * 2).min(LOOK.1);
                        continue;
                    }
                };
                let running = Counted::new(&self.running);
                return Ok(self.slot(permit, lock, running, None));
            }
        };
        Box::pin(async move {
            match timeout(self.queue_limit, waiting).await {
                Ok(slot) => slot,
                Err(_) => fail(
                    ErrorKind::TimedOut,
                    format!("no download slot became free within {} s", self.queue_limit.as_secs()),
                ),
            }
        })
    }

    fn spare(&self) -> Option<Slot> {
        let ahead = Counted::new(&self.ahead);
        if self.ahead.load(Ordering::Acquire) >= self.count {
            return None;
        }
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        if self.queue.others.as_ref().is_some_and(Turn::is_taken) {
            return None;
        }
        let lock = match self.lock() {
            Locked::Here(file) => Some(file),
            Locked::Unshared => None,
            Locked::AllTaken => return None,
        };
        let running = Counted::new(&self.running);
        Some(self.slot(permit, lock, running, Some(ahead)))
    }

    fn may_spare(&self) -> bool {
        self.permits.available_permits() > 0 && self.ahead.load(Ordering::Acquire) + 1 < self.count
    }

    fn freed(&self) -> Notified<'_> {
        self.queue.freed.notified()
    }

    fn narrow(&self) {
        if self.count < 2 || self.narrowed.swap(true, Ordering::AcqRel) {
            return;
        }
        self.narrowing.wanted.store(self.count - 1, Ordering::Release);
        while self.narrowing.wanted.load(Ordering::Acquire) > 0 {
            let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else { break };
            self.narrowing.keep_back(permit);
        }
        let (permits, narrowed) = (Arc::clone(&self.permits), Arc::clone(&self.narrowed));
        let narrowing = Arc::clone(&self.narrowing);
        tokio::spawn(async move {
            sleep(NARROWED).await;
            narrowing.wanted.store(0, Ordering::Release);
            permits.add_permits(narrowing.kept.swap(0, Ordering::AcqRel));
            narrowed.store(false, Ordering::Release);
        });
    }

    fn usage(&self) -> (usize, usize) {
        (self.running.load(Ordering::Acquire), self.count)
    }
}

#[cfg(test)]
mod tests;
