//! What has passed through a door since the mount began.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::error::Error;

/// Bytes and requests of one service since the mount began.
#[derive(Debug, Default)]
pub struct Traffic {
    requests: AtomicU64,
    bytes: AtomicU64,
    failures: AtomicU64,
    guesses: AtomicU64,
    right: AtomicU64,
    /// Why the last request failed; nothing once one has succeeded again.
    problem: Mutex<Option<Error>>,
}

impl Traffic {
    /// Requests sent, bytes received, requests that failed.
    pub fn totals(&self) -> (u64, u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.requests), read(&self.bytes), read(&self.failures))
    }

    /// Chunks that were fetched ahead of a reader, and those of them that were read.
    pub fn guesses(&self) -> (u64, u64) {
        (self.guesses.load(Ordering::Relaxed), self.right.load(Ordering::Relaxed))
    }

    /// A chunk has been asked for that nobody has opened yet.
    pub fn guessed(&self) {
        self.guesses.fetch_add(1, Ordering::Relaxed);
    }

    /// One of them was opened.
    pub fn guess_was_right(&self) {
        self.right.fetch_add(1, Ordering::Relaxed);
    }

    /// Why the last request failed, if it did.
    pub fn problem(&self) -> Option<Error> {
        self.problem.lock().clone()
    }

    pub(super) fn sent(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn received(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, error: &Error) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        *self.problem.lock() = Some(error.clone());
    }

    pub(super) fn answered(&self) {
        *self.problem.lock() = None;
    }
}
