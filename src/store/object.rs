//! One version of one remote file: what is known of it, and where its blocks are kept.

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::backend::answer::Answer;
use crate::error::{Error, ErrorKind, Result};
use crate::object::{ByteRange, Validator};
use crate::store::claim::{Awaited, Carrier};
use crate::store::disk::Entry;
use crate::store::memory::BlockKey;
use crate::store::{Access, Format, Remote, Shared};

/// How long transfers of a file go on that nobody has open.
const LINGER: Duration = Duration::from_secs(2);

/// One version of one remote file.
pub struct Object {
    pub(super) remote: Remote,
    /// Unique in this process: the key of the version's blocks in memory.
    version_number: u64,
    pub(super) shared: Arc<Shared>,
    pub(super) state: Mutex<State>,
    /// Its place on disk, once length and version are known.
    pub(super) entry: OnceLock<Arc<Entry>>,
    /// Whether the complete file on disk has been checked, or is being.
    checked: AtomicBool,
    /// Rung when an answer has told something, the version is found stale, or a transfer has ended.
    pub(super) news: Notify,
    /// The block that a reader asked for last, hits in memory included; [`NOBODY`] before the first.
    wanted: AtomicU64,
    /// Rung when that changes: a transfer may be holding back.
    interest: Notify,
    /// Up to this block there is something to be fetched for its readers.
    reach: AtomicU64,
    /// Blocks of one part, once it is wanted whole.
    pub(super) part_size: OnceLock<u64>,
    /// Whether a slot for the rest of it is waited for.
    pub(super) later: AtomicBool,
    /// Reads so far, and whether nobody has it open any more.
    reads: AtomicU64,
    left: AtomicBool,
    /// How often in a row the versions before it had the wrong checksum, and when this one was found so.
    pub(super) failed_before: u32,
    pub(super) condemned: Mutex<Option<Instant>>,
}

/// No reader has asked for a block yet.
const NOBODY: u64 = u64::MAX;

#[derive(Default)]
pub(super) struct State {
    pub(super) length: Option<u64>,
    pub(super) version: Validator,
    /// The length that the server told when it differs from `length`.
    told: Option<u64>,
    /// Why nothing more can be read of this version.
    pub(super) fate: Option<Error>,
    pub(super) awaited: FxHashMap<u64, Promise>,
    /// Why blocks could not be brought, and until when that is not tried again.
    pub(super) failed: FxHashMap<u64, (Instant, Error)>,
    /// Until when no guess is made: the last one failed, which is nothing to a reader.
    pub(super) doubted: Option<Instant>,
    /// The transfer that brings the object from its first byte on.
    pub(super) stream: Option<Stream>,
    pub(super) flights: u64,
    /// Transfers under way.
    pub(super) running: usize,
    /// Who waits for the length and nothing else.
    pub(super) length_waiters: usize,
    /// Whether some of what came could not be given to the disk, and whether that is being waited for.
    pub(super) dropped: bool,
    pub(super) catching_up: bool,
}

pub(super) struct Promise {
    pub(super) awaited: Arc<Awaited>,
    pub(super) carrier: Arc<Carrier>,
}

pub(super) struct Stream {
    pub(super) carrier: Arc<Carrier>,
    /// The first block that it has not brought.
    pub(super) next: u64,
}

impl Object {
    /// The version that is on disk, if there is one and its length is not contradicted by `length`; else a
    /// version of which nothing but `length` is known.
    pub(super) fn new(
        remote: &Remote,
        length: Option<u64>,
        shared: &Arc<Shared>,
        stored: Option<Arc<Entry>>,
        failed_before: u32,
    ) -> Arc<Self> {
        static VERSIONS: AtomicU64 = AtomicU64::new(0);
        let same = |entry: &Arc<Entry>| {
            let updated = remote.updated.as_deref();
            length.is_none_or(|length| length == entry.length()) && !differ(updated, entry.updated())
        };
        let stored = stored.filter(same);
        let state = match &stored {
            Some(entry) => {
                State { length: Some(entry.length()), version: entry.version().clone(), ..State::default() }
            }
            None => State { length, ..State::default() },
        };
        let object = Arc::new(Self {
            remote: remote.clone(),
            version_number: VERSIONS.fetch_add(1, Ordering::Relaxed),
            shared: Arc::clone(shared),
            state: Mutex::new(state),
            entry: stored.map(OnceLock::from).unwrap_or_default(),
            checked: AtomicBool::new(false),
            news: Notify::new(),
            wanted: AtomicU64::new(NOBODY),
            interest: Notify::new(),
            reach: AtomicU64::new(0),
            part_size: OnceLock::new(),
            later: AtomicBool::new(false),
            reads: AtomicU64::new(0),
            left: AtomicBool::new(false),
            failed_before,
            condemned: Mutex::default(),
        });
        if let Some(entry) = object.entry() {
            object.expect_checksum(entry);
        }
        object
    }

    /// Bytes in the object, if known.
    pub fn known_length(&self) -> Option<u64> {
        self.state.lock().length
    }

    /// How programs go through it.
    pub fn format(&self) -> Format {
        match self.remote.access {
            Access::Parts(format) => format,
            Access::Whole => Format::Other,
        }
    }

    /// A number that differs between versions, for as long as the process lives.
    pub fn version_number(&self) -> u64 {
        self.version_number
    }

    pub(super) fn is_stale(&self) -> bool {
        self.state.lock().fate.is_some()
    }

    /// Whether the catalogue speaks of another version by now, and the server has named none.
    pub(super) fn is_outdated(&self, remote: &Remote) -> bool {
        differ(self.remote.updated.as_deref(), remote.updated.as_deref()) && self.version().is_none()
    }

    /// The length that the server told, once this version was found stale.
    pub(super) fn told_length(&self) -> Option<u64> {
        self.state.lock().told
    }

    pub(super) fn key(&self, block: u64) -> BlockKey {
        BlockKey { version: self.version_number, block }
    }

    /// A reader asks for `block`, or has just been given it from memory.
    pub(super) fn note_interest(&self, block: u64) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.wanted.swap(block, Ordering::AcqRel) != block {
            self.interest.notify_waiters();
        }
    }

    /// Whether transfers are under way, or have brought what is not on disk yet.
    pub(super) fn has_come_lately(&self) -> bool {
        let state = self.state.lock();
        state.running > 0 || (state.flights > 0 && self.entry().is_some_and(|entry| !entry.is_complete()))
    }

    /// Its last reader is gone: what comes behind where it stood is not wanted any more, unless it is opened
    /// again at once, as GDAL does.
    pub(super) async fn leave(self: &Arc<Self>) {
        let reads = self.reads.load(Ordering::Relaxed);
        sleep(LINGER).await;
        if self.reads.load(Ordering::Relaxed) == reads {
            self.left.store(true, Ordering::Relaxed);
        }
    }

    /// Its readers are worth fetching up to `block`.
    pub(super) fn reaches(&self, block: u64) {
        self.reach.fetch_max(block, Ordering::AcqRel);
    }

    /// Up to where its readers are worth fetching.
    pub(super) fn reach(&self) -> u64 {
        self.reach.load(Ordering::Acquire)
    }

    /// Somebody wants more of it.
    pub(super) fn is_wanted_again(&self) {
        self.left.store(false, Ordering::Relaxed);
    }

    /// Whether its readers are gone.
    pub(super) fn is_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }

    /// The block that a reader asked for last, if any has.
    pub(super) fn wanted(&self) -> Option<u64> {
        Some(self.wanted.load(Ordering::Acquire)).filter(|block| *block != NOBODY)
    }

    /// Waits, for `patience` at most, until something is so that changes with what readers ask for; whether it is.
    pub(super) async fn comes_to(&self, patience: Duration, so: impl Fn() -> bool) -> bool {
        let becomes_so = async {
            while !so() {
                // The short wait covers a reader who asks between the look and the wait.
                let _ = timeout(Duration::from_millis(50), self.interest.notified()).await;
            }
        };
        timeout(patience, becomes_so).await.is_ok()
    }

    /// Its place on disk, if it has one.
    pub(super) fn entry(&self) -> Option<&Arc<Entry>> {
        self.entry.get()
    }

    pub(super) fn is_stored(&self, block: u64) -> bool {
        self.entry().is_some_and(|entry| entry.holds(block))
    }

    /// The bytes of `range` from disk, if all of them are there. What is found damaged is not there any
    /// more afterwards.
    pub(super) async fn stored(&self, range: ByteRange) -> Option<Bytes> {
        let entry = Arc::clone(self.entry()?);
        if let Some(bytes) = entry.read_now(range) {
            return Some(bytes);
        }
        self.shared.runtime.spawn_blocking(move || entry.read(range)).await.ok()?
    }

    /// The whole of this version as a file on disk, if it is there and this process has checked it. What an
    /// earlier process left is checked behind the back of its first reader.
    pub(super) fn complete_file(&self) -> Option<Arc<File>> {
        let entry = self.entry().filter(|entry| entry.is_complete())?;
        let file = entry.complete_file();
        if file.is_none() && !self.checked.swap(true, Ordering::Relaxed) {
            let entry = Arc::clone(entry);
            self.shared.runtime.spawn_blocking(move || entry.verify());
        }
        file
    }

    /// Takes in what an answer tells about length and version.
    ///
    /// # Errors
    /// `Changed` when it contradicts what earlier answers or the catalogue told: bytes of two versions
    /// never meet. The next open sees the new version.
    pub(super) fn learn(&self, answer: &Answer) -> Result<()> {
        let mut state = self.state.lock();
        if let Some(error) = &state.fate {
            return Err(error.clone());
        }
        let path = self.remote.url.path();
        let fate = match (state.length, answer.total) {
            (Some(known), Some(told)) if known != told => {
                state.told = Some(told);
                Some(format!("{path} has {told} bytes on the server, not {known}"))
            }
            _ if state.version.contradicts(&answer.version) => {
                state.told = answer.total;
                Some(format!("{path} changed on the server while it was read"))
            }
            _ => None,
        };
        if let Some(message) = fate {
            let error = Error::new(ErrorKind::Changed, message);
            state.fate = Some(error.clone());
            drop(state);
            if let Some(entry) = self.entry() {
                entry.discard();
            }
            self.news.notify_waiters();
            return Err(error);
        }
        if state.version == Validator::default() {
            state.version = answer.version.clone();
        }
        if state.length.is_none() {
            state.length = answer.total;
        }
        drop(state);
        self.news.notify_waiters();
        Ok(())
    }

    /// The length was found by coming to the end.
    pub(super) fn ended_at(&self, length: u64) {
        self.state.lock().length = Some(length);
        self.news.notify_waiters();
    }

    /// The server has shown by its bytes that the object has another length.
    pub(super) fn is_told(&self, length: u64) {
        self.state.lock().told = Some(length);
    }

    pub(super) fn version(&self) -> Option<Validator> {
        Some(self.state.lock().version.clone()).filter(|version| *version != Validator::default())
    }
}

/// Whether both tell a version, and not the same.
pub(super) fn differ(one: Option<&str>, other: Option<&str>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one != other)
}
