//! Chunks that the host was asked for and has not: a bit each, in memory and on the shelf.
//!
//! In some stores most chunks are absent (protocol.md 4.3), and each costs a request of a monthly number. What the
//! host said is believed while the store's metadata is what it was then, over restarts, for [`HOLDS`] at most:
//! there are writers that fill an array in place and leave its metadata as they are.
//!
//! Bits lie in segments of [`SEGMENT`] neighbours, so half a million absent chunks are 122 rows of half a kilobyte.
//! Mounts that write one segment at a time may lose a bit of each other; it costs a request, no wrong answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use moka::future::Cache;
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

use crate::catalog::shelf::{Kept, Key, Shelf};

/// How long an absent chunk is not asked for again, if nothing else changes.
const HOLDS: Duration = Duration::from_secs(7 * 86_400);
/// Chunks of a segment.
const SEGMENT: u64 = 4096;
const WORDS: usize = 64;
/// Segments that are kept in memory.
const KEPT: u64 = 4096;

/// The absent chunks of all arrays of a host.
pub(super) struct Absent {
    shelf: Shelf,
    segments: Cache<Key, Arc<Segment>>,
    shelving: TaskTracker,
}

/// The array that a chunk belongs to, in the state in which its metadata is.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// Address of the array.
    pub(super) array: &'a str,
    /// Stands for its metadata.
    pub(super) mark: &'a str,
}

/// The place where it stands whether a chunk is absent.
#[derive(Clone)]
pub(super) struct Bit {
    key: Key,
    chunk: u64,
    segment: Arc<Segment>,
}

struct Segment {
    state: Mutex<State>,
    /// A task is going to write it.
    to_write: AtomicBool,
    /// Held while it is written, so that nothing older is written last.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy)]
struct State {
    bits: [u64; WORDS],
    /// When the first of them was noted.
    since: Option<Timestamp>,
}

impl Absent {
    pub(super) fn new(shelf: Shelf) -> Self {
        Self { shelf, segments: Cache::new(KEPT), shelving: TaskTracker::new() }
    }

    /// What is known of a chunk.
    pub(super) async fn of(&self, place: Place<'_>, chunk: u64) -> Bit {
        let key = Key::of("zarr-absent", &[place.array, place.mark, &(chunk / SEGMENT).to_string()]);
        Bit { key, chunk, segment: self.segment(key).await }
    }

    /// Notes that the host has no such chunk. Needs a runtime.
    pub(super) fn note(&self, bit: &Bit) {
        let (key, segment) = (bit.key, Arc::clone(&bit.segment));
        segment.state.lock().set(bit.chunk);
        if segment.to_write.swap(true, Ordering::AcqRel) {
            return;
        }
        let shelf = self.shelf.clone();
        self.shelving.spawn(async move {
            let _one = segment.writing.lock().await;
            let others = shelf.get(key).await.and_then(State::recalled);
            // What is noted from here on needs another write.
            segment.to_write.store(false, Ordering::Release);
            let state = segment.state.lock().with(others);
            if let Some(since) = state.since {
                shelf.put(key, state.bytes(), since).await;
            }
        });
    }

    /// What is still on its way to the shelf.
    pub(super) fn shelving(&self) -> &TaskTracker {
        &self.shelving
    }

    async fn segment(&self, key: Key) -> Arc<Segment> {
        let load = async {
            let state = self.shelf.get(key).await.and_then(State::recalled).unwrap_or(State::NONE);
            let (state, to_write, writing) = (Mutex::new(state), AtomicBool::new(false), Default::default());
            Arc::new(Segment { state, to_write, writing })
        };
        self.segments.get_with(key, load).await
    }
}

impl Bit {
    /// Whether the chunk is known to be absent.
    pub(super) fn is_set(&self) -> bool {
        self.segment.state.lock().has(self.chunk)
    }
}

impl State {
    const NONE: Self = Self { bits: [0; WORDS], since: None };

    /// What was kept, unless it is too old.
    fn recalled(kept: Kept) -> Option<Self> {
        let age: Duration = Timestamp::now().duration_since(kept.fetched).try_into().ok()?;
        if age > HOLDS || kept.bytes.len() != WORDS * 8 {
            return None;
        }
        let mut bits = [0; WORDS];
        for (word, bytes) in bits.iter_mut().zip(kept.bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Some(Self { bits, since: Some(kept.fetched) })
    }

    fn bytes(&self) -> Vec<u8> {
        self.bits.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Whether the bit of `chunk` is set and still counts.
    fn has(&self, chunk: u64) -> bool {
        let is_old = |since| Timestamp::now().duration_since(since).unsigned_abs() > HOLDS;
        let (word, bit) = place(chunk);
        self.bits[word] & bit != 0 && self.since.is_some_and(|since| !is_old(since))
    }

    fn set(&mut self, chunk: u64) {
        let now = Timestamp::now();
        if self.since.is_some_and(|since| now.duration_since(since).unsigned_abs() > HOLDS) {
            *self = Self::NONE;
        }
        let (word, bit) = place(chunk);
        self.bits[word] |= bit;
        self.since.get_or_insert(now);
    }

    /// Together with what another mount noted.
    fn with(mut self, others: Option<Self>) -> Self {
        if let Some(others) = others {
            self.bits.iter_mut().zip(others.bits).for_each(|(word, other)| *word |= other);
            self.since = self.since.into_iter().chain(others.since).min();
        }
        self
    }
}

/// Word and bit of a chunk in its segment.
fn place(chunk: u64) -> (usize, u64) {
    let within = chunk % SEGMENT;
    (usize::try_from(within / 64).unwrap_or(0), 1 << (within % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::shelf::Room;

    const T2M: Place<'_> = Place { array: "https://h/s.zarr/t2m", mark: "1" };

    async fn settled(absent: Absent) {
        absent.shelving.close();
        absent.shelving.wait().await;
    }

    #[tokio::test]
    async fn outlives_the_process_and_not_the_metadata() {
        let directory = tempfile::tempdir().unwrap();
        let shelf = || Shelf::open(directory.path(), Room { most: 1 << 20, min_free: 0 });
        let absent = Absent::new(shelf());
        for chunk in [0, 63, 64, 4095, 4096, 496_807, u64::MAX] {
            assert!(!absent.of(T2M, chunk).await.is_set(), "{chunk}");
            absent.note(&absent.of(T2M, chunk).await);
            assert!(absent.of(T2M, chunk).await.is_set(), "{chunk}");
        }
        assert!(!absent.of(T2M, 1).await.is_set() && !absent.of(T2M, 4097).await.is_set());
        settled(absent).await;
        let later = Absent::new(shelf());
        for chunk in [0, 63, 64, 4095, 4096, 496_807, u64::MAX] {
            assert!(later.of(T2M, chunk).await.is_set(), "{chunk}");
        }
        assert!(!later.of(Place { mark: "2", ..T2M }, 0).await.is_set(), "other metadata");
        assert!(!later.of(Place { array: "https://h/s.zarr/u10", ..T2M }, 0).await.is_set(), "another array");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn nothing_older_is_written_last() {
        let directory = tempfile::tempdir().unwrap();
        for round in 0..100 {
            let shelf = || Shelf::open(directory.path(), Room { most: 1 << 20, min_free: 0 });
            let (absent, mark) = (Absent::new(shelf()), round.to_string());
            let place = Place { mark: &mark, ..T2M };
            for chunk in 0..256 {
                absent.note(&absent.of(place, chunk).await);
                tokio::task::yield_now().await;
            }
            settled(absent).await;
            let later = Absent::new(shelf());
            for chunk in 0..256 {
                assert!(later.of(place, chunk).await.is_set(), "{round}: {chunk}");
            }
        }
    }

    #[tokio::test]
    async fn two_mounts_add_up() {
        let directory = tempfile::tempdir().unwrap();
        let shelf = || Shelf::open(directory.path(), Room { most: 1 << 20, min_free: 0 });
        let (one, two) = (Absent::new(shelf()), Absent::new(shelf()));
        assert!(!one.of(T2M, 7).await.is_set() && !two.of(T2M, 8).await.is_set());
        one.note(&one.of(T2M, 7).await);
        settled(one).await;
        two.note(&two.of(T2M, 8).await);
        settled(two).await;
        let later = Absent::new(shelf());
        assert!(later.of(T2M, 7).await.is_set() && later.of(T2M, 8).await.is_set());
    }

    #[test]
    fn a_week_is_long_enough() {
        let week = jiff::SignedDuration::try_from(HOLDS).unwrap();
        let mut state = State::NONE;
        state.set(5);
        assert!(state.has(5));
        state.since = Some(Timestamp::now() - week - jiff::SignedDuration::from_secs(1));
        assert!(!state.has(5));
        assert!(State::recalled(Kept { bytes: state.bytes(), fetched: state.since.unwrap() }).is_none());
        state.set(6);
        assert!(state.has(6) && !state.has(5), "the old ones are asked for again");
        assert!(State::recalled(Kept { bytes: vec![1, 2], fetched: Timestamp::now() }).is_none());
    }
}
