//! A block that is on its way: many wait for it, one transfer brings it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::error::{Error, Result};
use crate::fetch::slots::Ahead;

/// What asking for a block gives.
pub(super) enum Claimed {
    /// Its bytes.
    Here(Bytes),
    /// It is on disk.
    Stored,
    /// A transfer has been told to bring it.
    Awaited(Waiter),
    /// It comes in its turn: ask again when a transfer of the object has been answered, or has ended.
    Later,
    /// A transfer failed to bring it a moment ago.
    Failed(Error),
}

/// One transfer, as those who wait for it see it.
pub(super) struct Carrier {
    /// Its number among the transfers of its object.
    pub(super) id: u64,
    waiters: AtomicUsize,
    /// The mark of its slot, if that was given for reading ahead.
    ahead: Option<Arc<Ahead>>,
}

impl Carrier {
    pub(super) fn new(id: u64, ahead: Option<Arc<Ahead>>) -> Arc<Self> {
        Arc::new(Self { id, waiters: AtomicUsize::new(0), ahead })
    }

    /// Whether a reader waits for any of its blocks.
    pub(super) fn is_awaited(&self) -> bool {
        self.waiters.load(Ordering::Acquire) > 0
    }
}

/// A reader who waits for a block, until dropped.
pub(super) struct Waiter {
    awaited: Arc<Awaited>,
    carrier: Arc<Carrier>,
}

impl Waiter {
    /// What is waited for is not a guess any more.
    pub(super) fn new(awaited: Arc<Awaited>, carrier: Arc<Carrier>) -> Self {
        carrier.waiters.fetch_add(1, Ordering::AcqRel);
        if let Some(ahead) = &carrier.ahead {
            ahead.promote();
        }
        Self { awaited, carrier }
    }

    /// The bytes; `None` when the transfer was given up because nobody seemed to want it: ask again.
    pub(super) async fn wait(&self) -> Result<Option<Bytes>> {
        self.awaited.wait().await
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.carrier.waiters.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A block on its way. **Invariant**: the transfer that owns it settles it, on every path; then nothing
/// changes any more. Waiters hold the bytes themselves, so the cache may drop the block at once.
#[derive(Default)]
pub(super) struct Awaited {
    outcome: OnceLock<Result<Option<Bytes>>>,
    bell: Notify,
}

impl Awaited {
    async fn wait(&self) -> Result<Option<Bytes>> {
        loop {
            let rung = self.bell.notified();
            tokio::pin!(rung);
            // Registered before the look, so that a bell between look and wait is not missed.
            rung.as_mut().enable();
            if let Some(outcome) = self.outcome.get() {
                return outcome.clone();
            }
            rung.await;
        }
    }

    /// Tells all waiters.
    pub(super) fn settle(&self, outcome: Result<Option<Bytes>>) {
        if self.outcome.set(outcome).is_ok() {
            self.bell.notify_waiters();
        }
    }
}
