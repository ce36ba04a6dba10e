//! One version of one remote file: what is known of it, which of its blocks are on their way, and how its
//! transfers are begun and ended.
//!
//! Lock order: `state` is the only lock, never held across an await.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::backend::answer::Answer;
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::slots::Slot;
use crate::object::Validator;
use crate::store::claim::{Awaited, Claimed};
use crate::store::flight::{End, Flight};
use crate::store::memory::{BlockKey, Memory};
use crate::store::{Access, Remote};

/// How long a failure answers for its block without another try: the kernel asks twice for a failing
/// page, and each would cost a full round of retries (contract.md 3.3).
const REMEMBER_FAILURE: Duration = Duration::from_secs(2);

/// Why a block is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// A reader waits for it.
    Now,
    /// Only the length is wanted; the bytes may stop coming when nobody else asks.
    Length,
}

/// One version of one remote file.
pub struct Object {
    pub(super) remote: Remote,
    /// Unique in this process: the key of the version's blocks.
    version_number: u64,
    pub(super) memory: Memory,
    runtime: Handle,
    pub(super) state: Mutex<State>,
    /// Rung when the length is learnt, the version found stale, or a transfer has ended.
    pub(super) news: Notify,
    /// The block that a reader asked for last, hits in memory included; [`NOBODY`] before the first.
    wanted: AtomicU64,
    /// Rung when that changes: a transfer may be holding back.
    interest: Notify,
    /// Up to this block all that was to be read ahead has been asked for.
    pub(super) ahead_to: AtomicU64,
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
    pub(super) awaited: HashMap<u64, Promise>,
    failed: HashMap<u64, (Instant, Error)>,
    /// The transfer that brings the object from its first byte on.
    stream: Option<Stream>,
    flights: u64,
    /// Transfers under way.
    pub(super) running: usize,
    /// Who waits for the length and nothing else.
    pub(super) length_waiters: usize,
}

pub(super) struct Promise {
    awaited: Arc<Awaited>,
    flight: u64,
}

struct Stream {
    flight: u64,
    /// The first block that it has not brought.
    next: u64,
}

impl Object {
    pub(super) fn new(remote: &Remote, length: Option<u64>, memory: Memory, runtime: &Handle) -> Arc<Self> {
        static VERSIONS: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            remote: remote.clone(),
            version_number: VERSIONS.fetch_add(1, Ordering::Relaxed),
            memory,
            runtime: runtime.clone(),
            state: Mutex::new(State { length, ..State::default() }),
            news: Notify::new(),
            wanted: AtomicU64::new(NOBODY),
            interest: Notify::new(),
            ahead_to: AtomicU64::new(0),
        })
    }

    /// Bytes in the object, if known.
    pub fn known_length(&self) -> Option<u64> {
        self.state.lock().length
    }

    /// A number that differs between versions, for as long as the process lives.
    pub fn version_number(&self) -> u64 {
        self.version_number
    }

    /// The complete, verified file on disk of exactly this version.
    pub fn complete_file(&self) -> Option<Arc<File>> {
        None
    }

    /// The last error that its readers met, if the last transfer failed.
    pub fn last_error(&self) -> Option<Error> {
        let state = self.state.lock();
        let latest = state.failed.values().max_by_key(|(when, _)| *when);
        state.fate.clone().or_else(|| latest.map(|(_, error)| error.clone()))
    }

    pub(super) fn is_stale(&self) -> bool {
        self.state.lock().fate.is_some()
    }

    /// The length that the server told, once this version was found stale.
    pub(super) fn told_length(&self) -> Option<u64> {
        self.state.lock().told
    }

    pub(super) fn key(&self, block: u64) -> BlockKey {
        BlockKey { version: self.version_number, block }
    }

    pub(super) fn memory_capacity(&self) -> u64 {
        self.memory.capacity()
    }

    /// The first block of `blocks`: its bytes, or a promise of them. When no transfer brings it yet, one
    /// is begun for it and for those of the following blocks that are missing too.
    pub(super) fn claim(self: &Arc<Self>, blocks: Range<u64>) -> Claimed {
        let block = blocks.start;
        self.note_interest(block);
        let mut state = self.state.lock();
        if let Some(promise) = state.awaited.get(&block) {
            return Claimed::Awaited(Arc::clone(&promise.awaited));
        }
        if let Some(error) = state.fate.as_ref().or(state.fresh_failure(block)) {
            let failed = Awaited::default();
            failed.settle(Err(error.clone()));
            return Claimed::Awaited(Arc::new(failed));
        }
        // After the promises: a block is put into memory before its promise is taken away.
        if let Some(bytes) = self.memory.get(self.key(block)) {
            return Claimed::Here(bytes);
        }
        let run = self.missing(&state, blocks);
        Claimed::Awaited(self.launch(&mut state, run, None, Want::Now))
    }

    /// A reader asks for `block`, or has just been given it from memory.
    pub(super) fn note_interest(&self, block: u64) {
        if self.wanted.swap(block, Ordering::AcqRel) != block {
            self.interest.notify_waiters();
        }
    }

    /// The first of `blocks` and those behind it up to one that is there or on its way.
    pub(super) fn missing(&self, state: &State, blocks: Range<u64>) -> Range<u64> {
        let known = |block: &u64| state.awaited.contains_key(block) || self.memory.holds(self.key(*block));
        let end = (blocks.start + 1..blocks.end).find(known).unwrap_or(blocks.end.max(blocks.start + 1));
        blocks.start..end
    }

    /// Whether the object comes by one transfer from its first byte on.
    pub(super) fn streams(&self) -> bool {
        self.remote.access == Access::Whole || self.remote.fetch.ranges() == Some(false)
    }

    /// Promises `run`, by the stream that is under way if that still comes to it, else by a new transfer.
    pub(super) fn launch(
        self: &Arc<Self>,
        state: &mut State,
        run: Range<u64>,
        slot: Option<Slot>,
        want: Want,
    ) -> Arc<Awaited> {
        let streams = self.streams();
        let passing = state.stream.as_ref().filter(|stream| streams && stream.next <= run.start);
        let flight = match passing.map(|stream| stream.flight) {
            Some(flight) => flight,
            None => {
                state.flights += 1;
                state.running += 1;
                let flight = state.flights;
                if streams && state.stream.is_none() {
                    state.stream = Some(Stream { flight, next: 0 });
                }
                let asked = (!streams).then(|| run.clone());
                let task = Flight::new(Arc::clone(self), flight, asked, want == Want::Length);
                self.runtime.spawn(task.run(slot));
                flight
            }
        };
        let awaited: Arc<Awaited> = Arc::default();
        for block in run.start + 1..run.end {
            state.awaited.insert(block, Promise { awaited: Arc::default(), flight });
        }
        state.awaited.insert(run.start, Promise { awaited: Arc::clone(&awaited), flight });
        awaited
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
            self.news.notify_waiters();
            return Err(error);
        }
        if state.version == Validator::default() {
            state.version = answer.version.clone();
        }
        if state.length.is_none() && answer.total.is_some() {
            state.length = answer.total;
            self.news.notify_waiters();
        }
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

    /// Hands a block out: to memory first, so that whoever finds no promise finds the bytes.
    pub(super) fn publish(&self, block: u64, bytes: Bytes, flight: u64) {
        self.memory.put(self.key(block), bytes.clone());
        let mut state = self.state.lock();
        state.failed.remove(&block);
        if let Some(stream) = state.stream.as_mut().filter(|stream| stream.flight == flight) {
            stream.next = block + 1;
        }
        if let Some(promise) = state.awaited.remove(&block) {
            promise.awaited.settle(Ok(Some(bytes)));
        }
    }

    /// The server sent the object from its first byte although a part was asked: from now on this flight
    /// is the stream. `false`: another one is, and it now owes what this flight had promised.
    pub(super) fn becomes_stream(&self, flight: u64) -> bool {
        let mut state = self.state.lock();
        let other = match &state.stream {
            Some(stream) if stream.flight != flight => Some((stream.flight, stream.next)),
            Some(_) => None,
            None => {
                state.stream = Some(Stream { flight, next: 0 });
                None
            }
        };
        let Some((stream, next)) = other else { return true };
        let mut all = true;
        for (block, promise) in state.awaited.iter_mut().filter(|(_, promise)| promise.flight == flight) {
            if *block >= next {
                promise.flight = stream;
            } else {
                all = false;
            }
        }
        !all
    }

    /// The block that a reader asked for last, if any has.
    pub(super) fn wanted(&self) -> Option<u64> {
        Some(self.wanted.load(Ordering::Acquire)).filter(|block| *block != NOBODY)
    }

    /// Whether readers wait for blocks that this transfer has promised.
    pub(super) fn owes(&self, flight: u64) -> bool {
        self.state.lock().awaited.values().any(|promise| promise.flight == flight)
    }

    /// Waits until a reader asks for another block.
    pub(super) async fn interest(&self) {
        self.interest.notified().await;
    }

    /// Settles all that a transfer still owes.
    pub(super) fn finish(&self, flight: u64, end: Result<End>) {
        let mut state = self.state.lock();
        state.running = state.running.saturating_sub(1);
        if state.stream.as_ref().is_some_and(|stream| stream.flight == flight) {
            state.stream = None;
        }
        let end = end.map_err(|error| state.judge(error));
        let now = Instant::now();
        state.failed.retain(|_, (when, _)| when.elapsed() < REMEMBER_FAILURE);
        if let (None, Err(error)) = (state.length, &end) {
            // Whoever waits for the length looks here.
            state.failed.insert(0, (now, error.clone()));
        }
        let owed: Vec<u64> =
            state.awaited.iter().filter(|(_, owed)| owed.flight == flight).map(|(block, _)| *block).collect();
        for block in owed {
            let Some(promise) = state.awaited.remove(&block) else { continue };
            match &end {
                Ok(_) => promise.awaited.settle(Ok(None)),
                Err(error) => {
                    state.failed.insert(block, (now, error.clone()));
                    promise.awaited.settle(Err(error.clone()));
                }
            }
        }
        drop(state);
        self.news.notify_waiters();
    }
}

impl State {
    pub(super) fn fresh_failure(&self, block: u64) -> Option<&Error> {
        self.failed.get(&block).filter(|(when, _)| when.elapsed() < REMEMBER_FAILURE).map(|(_, error)| error)
    }

    /// An error that tells that this version is no more decides its fate: also "not found", once there were
    /// bytes (contract.md 4.1).
    fn judge(&mut self, error: Error) -> Error {
        let gone = error.kind() == ErrorKind::NotFound && self.version != Validator::default();
        if error.kind() != ErrorKind::Changed && !gone {
            return error;
        }
        self.fate.get_or_insert_with(|| error.reclassify(ErrorKind::Changed)).clone()
    }
}
