//! A block that is on its way: many wait for it, one transfer brings it.

use std::sync::OnceLock;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::error::Result;

/// What asking for a block gives.
pub(super) enum Claimed {
    /// Its bytes.
    Here(Bytes),
    /// A transfer has been told to bring it.
    Awaited(std::sync::Arc<Awaited>),
}

/// A block on its way. **Invariant**: the transfer that owns it settles it, on every path; then nothing
/// changes any more. Waiters hold the bytes themselves, so the cache may drop the block at once.
#[derive(Default)]
pub(super) struct Awaited {
    outcome: OnceLock<Result<Option<Bytes>>>,
    bell: Notify,
}

impl Awaited {
    /// The bytes; `None` when the transfer was given up because nobody seemed to want it: ask again.
    pub(super) async fn wait(&self) -> Result<Option<Bytes>> {
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
