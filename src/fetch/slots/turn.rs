//! Whose turn it is among processes: a locked file beside those of the slots.
//!
//! Whoever waits for a slot holds the turn, and whoever wants one needs the turn first. So a process that gives a slot
//! back and wants it again at once does not get it before one that has waited; and whoever holds a slot sees that
//! somebody else waits.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How often it is looked whether another process waits.
const LOOK: Duration = Duration::from_millis(100);
/// Another process that waits takes what is free within this time.
const TAKEN: Duration = Duration::from_millis(300);

/// The file of the turn.
pub(super) struct Turn {
    file: PathBuf,
    /// How many of this process hold it: one at most, but for the moment of handing it over.
    own: Arc<AtomicUsize>,
    looked: Mutex<Looked>,
}

#[derive(Default)]
struct Looked {
    at: Option<Instant>,
    wanted: bool,
    /// When one gave way to another process last.
    gave: Option<Instant>,
}

/// The turn, until dropped.
pub(super) struct Held {
    _lock: Option<File>,
    own: Arc<AtomicUsize>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.own.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Turn {
    pub(super) fn new(directory: &Path) -> Self {
        Self { file: directory.join("turn"), own: Arc::default(), looked: Mutex::default() }
    }

    /// The turn, if nobody has it. Trouble with the file is no reason to wait.
    pub(super) fn take(&self) -> Option<Held> {
        let lock = self.lock().ok()?;
        self.own.fetch_add(1, Ordering::AcqRel);
        Some(Held { _lock: lock, own: Arc::clone(&self.own) })
    }

    /// Whether somebody has it: then nobody takes what is free without having waited.
    pub(super) fn is_taken(&self) -> bool {
        self.lock().is_err()
    }

    /// Whether another process waits for whom nobody here has given way yet. Looked for now and then only.
    pub(super) fn is_wanted(&self) -> bool {
        let mut looked = self.looked.lock();
        if looked.at.is_none_or(|at| at.elapsed() >= LOOK) {
            looked.at = Some(Instant::now());
            looked.wanted = self.is_taken() && self.own.load(Ordering::Acquire) == 0;
        }
        looked.wanted && looked.gave.is_none_or(|gave| gave.elapsed() >= TAKEN)
    }

    /// Takes it on to give way to another process; `false` when none waits.
    pub(super) fn give_way(&self) -> bool {
        let wanted = self.is_wanted();
        let mut looked = self.looked.lock();
        if wanted {
            looked.gave = Some(Instant::now());
        }
        wanted
    }

    /// The lock; an error when somebody has it.
    fn lock(&self) -> Result<Option<File>, ()> {
        let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&self.file);
        let Ok(file) = opened else { return Ok(None) };
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Err(()),
            Err(TryLockError::Error(_)) => Ok(None),
        }
    }
}
