//! Answers of catalogues on disk: listings, items, collections, and the lengths of files that no item tells.
//!
//! One SQLite database for all mounts of a user, in the cache directory. Several processes may use it at once, and any of
//! them may be killed; both is SQLite's to get right (write-ahead log). What is ours: an answer is packed with its key and
//! its time, and the packing has a checksum, so damage to the file gives no wrong answer. A damaged database is thrown
//! away, and a shelf that cannot be used is none: nothing waits for it and nothing fails.

mod database;
mod packing;

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;

use database::{Database, Trouble};

/// The directory of the database, in the cache directory.
const DIRECTORY: &str = "catalogue";

/// What an answer is the answer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key([u8; 16]);

impl Key {
    /// The key of what these texts name together; `kind` keeps listings, items and the rest apart.
    pub fn of(kind: &str, texts: &[&str]) -> Self {
        let mut hash = blake3::Hasher::new();
        for text in std::iter::once(&kind).chain(texts) {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        let mut key = [0; 16];
        hash.finalize_xof().fill(&mut key);
        Self(key)
    }
}

/// An answer as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The answer.
    pub bytes: Vec<u8>,
    /// When the service gave it.
    pub fetched: Timestamp,
}

/// How much of a disk answers may take.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Bytes of all answers, at most.
    pub most: u64,
    /// Bytes that the disk is to have free: with less, nothing is put there.
    pub min_free: u64,
}

/// Answers on disk. Clones share them.
#[derive(Clone, Default)]
pub struct Shelf(Option<Arc<Mutex<Option<Database>>>>);

impl Shelf {
    /// The shelf in the cache directory `cache`. Does not fail: what cannot be opened is left out, and the log says why.
    pub fn open(cache: &Path, room: Room) -> Self {
        let database = Database::open(&cache.join(DIRECTORY), room);
        if let Err(error) = &database {
            tracing::warn!("listings are not kept on disk: {error}");
        }
        Self(database.ok().map(|database| Arc::new(Mutex::new(Some(database)))))
    }

    /// The answer that was put there under `key`.
    pub async fn get(&self, key: Key) -> Option<Kept> {
        self.with(move |database| database.get(key)).await.flatten()
    }

    /// Puts an answer there, in place of an older one; without room, the older one goes all the same.
    pub async fn put(&self, key: Key, bytes: Vec<u8>, fetched: Timestamp) {
        self.with(move |database| database.put(key, &bytes, fetched)).await;
    }

    /// Puts many answers there at once.
    pub async fn put_all(&self, answers: Vec<(Key, Vec<u8>)>, fetched: Timestamp) {
        if !answers.is_empty() {
            self.with(move |database| database.put_all(&answers, fetched)).await;
        }
    }

    /// Forgets an answer.
    pub async fn remove(&self, key: Key) {
        self.with(move |database| database.remove(key)).await;
    }

    /// The answers under each of many keys.
    pub async fn get_all(&self, keys: Vec<Key>) -> Vec<Option<Kept>> {
        let count = keys.len();
        let all = self.with(move |database| keys.iter().map(|key| database.get(*key)).collect()).await;
        all.unwrap_or_else(|| vec![None; count])
    }

    /// Forgets everything.
    pub async fn clear(&self) {
        self.with(|database| database.clear()).await;
    }

    /// Works with the database on a thread that may wait for the disk. Work that meets damage is done again with the
    /// database that takes the damaged one's place: an answer that was just given is not lost with the old ones.
    async fn with<T: Send + 'static>(
        &self,
        work: impl Fn(&Database) -> Result<T, Trouble> + Send + 'static,
    ) -> Option<T> {
        let shared = Arc::clone(self.0.as_ref()?);
        let done = tokio::task::spawn_blocking(move || {
            let mut slot = shared.lock();
            let mut done = work(slot.as_ref()?);
            if let Err(trouble) = &done
                && trouble.is_damage()
            {
                tracing::warn!("the kept listings are damaged and thrown away: {trouble}");
                *slot = slot.take().and_then(Database::anew);
                done = work(slot.as_ref()?);
            }
            done.inspect_err(|trouble| tracing::debug!("the kept listings cannot be used now: {trouble}"))
                .ok()
        });
        done.await.ok().flatten()
    }
}

#[cfg(test)]
mod tests;
