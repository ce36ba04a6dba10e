//! Blocks of remote files: from memory, from disk, else from the transfer that is already bringing them,
//! else from a new one. Whoever asks, a block is downloaded once.
//!
//! An [`Object`] is one version of one remote file. Its blocks are published one by one as their bytes
//! arrive, so a reader at the front of a long transfer does not wait for its end. A server without
//! ranges is the same thing with one transfer for the whole file (`flight`). Each block that arrives is put
//! into memory and handed to the disk; what is read from disk stays in the kernel's page cache and is
//! not put into memory again.

mod ahead;
mod board;
mod bring;
mod claim;
mod compare;
mod condemned;
pub mod disk;
mod failures;
mod flight;
mod keeping;
mod length;
pub mod memory;
mod object;
mod reading;
mod turn;

use std::fs::File;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use url::Url;

use crate::error::{Error, Result};
use crate::fetch::Fetch;
use crate::object::{ByteRange, Checksum, ObjectId};
pub use crate::store::bring::Lanes;
use crate::store::disk::{Disk, Usage};
use crate::store::memory::Memory;
pub use crate::store::object::Object;
pub use crate::store::reading::{DiskRead, Ready};

/// Bytes in a block: the least that is fetched for a jump (read-path.md 5.1: 64 to 128 KiB).
pub const BLOCK: u64 = 64 * 1024;

/// Objects whose length, version and cached blocks are remembered; the least recently opened goes first.
const REMEMBERED: usize = 20_000;

/// How a file of a kind is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// In parts: only what is read, and some more when reads run on.
    Parts(Format),
    /// Always from end to end, as Zarr chunks are: one request for all of it.
    Whole,
}

/// How programs go through a file of a format (read-path.md 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JPEG 2000: all tile headers are walked before a window is decoded, by most programs.
    Jpeg2000,
    /// HDF5, netCDF, TIFF: headers first, in small or large reads, then jumps.
    Scattered,
    /// Anything else.
    Other,
}

impl Format {
    /// The format that the name of a file tells.
    pub fn of(name: &str) -> Self {
        match name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).as_deref() {
            Some("jp2" | "j2k" | "jpx") => Self::Jpeg2000,
            Some("nc" | "nc4" | "h5" | "hdf5" | "he5" | "hdf" | "tif" | "tiff") => Self::Scattered,
            _ => Self::Other,
        }
    }
}

/// A remote file as the tree knows it, before anything has been asked of it.
#[derive(Clone)]
pub struct Remote {
    /// Its identity, whatever path it is shown under.
    pub id: ObjectId,
    /// Where it is.
    pub url: Url,
    /// The length that the catalogue tells.
    pub length: Option<u64>,
    /// What the catalogue tells of its version: it is another one when this differs.
    pub updated: Option<Arc<str>>,
    /// What the catalogue tells of its bytes.
    pub checksum: Option<Checksum>,
    /// How programs read it.
    pub access: Access,
    /// The door to its service.
    pub fetch: Fetch,
}

/// Blocks to get hold of, as the reader decided.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Blocks to fetch: those of the read, and more when reads run on.
    pub fetch: Range<u64>,
    /// How many blocks more should be there or on their way behind those, twice over; they are asked for
    /// only when a slot is free.
    pub ahead: u64,
    /// The reads are likely to go on: a request may ask for more than `fetch`, and be broken off if they do not.
    pub runs_on: bool,
    /// The whole file will be read, in whatever order.
    pub whole: bool,
    /// How far the run has come that the read belongs to.
    pub frontier: Arc<Frontier>,
}

/// How far a run of reads has come.
#[derive(Debug, Default)]
pub struct Frontier {
    /// Up to this block all have been asked for.
    asked: AtomicU64,
}

/// What came of the wish to fetch something that nobody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// All of it was there or on its way.
    Under,
    /// It has been asked for.
    Asked,
    /// It has to wait for a slot.
    NoSlot,
    /// It has just failed.
    Failed,
}

/// All blocks of all objects. Clones share it.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    objects: Mutex<LruCache<ObjectId, Arc<Object>>>,
}

/// What all objects share.
struct Shared {
    memory: Memory,
    disk: Option<Disk>,
    /// Reads that are answered in place come from threads outside the runtime.
    runtime: Handle,
    /// Objects that have transfers under way or waiting for a slot: they share the memory.
    active: AtomicUsize,
}

impl Store {
    /// A store that keeps at most `memory` bytes of blocks, and more of them on `disk`; its transfers run on
    /// `runtime`.
    pub fn new(memory: u64, disk: Option<Disk>, runtime: Handle) -> Self {
        let remembered = NonZeroUsize::new(REMEMBERED).unwrap_or(NonZeroUsize::MIN);
        let objects = Mutex::new(LruCache::new(remembered));
        let memory = Memory::new(memory);
        let shared = Arc::new(Shared { memory, disk, runtime, active: AtomicUsize::new(0) });
        Self(Arc::new(Inner { shared, objects }))
    }

    /// The current version of `remote`. A version that was found stale is not given out again.
    pub fn object(&self, remote: &Remote) -> Arc<Object> {
        let mut objects = self.0.objects.lock();
        let (length, stored, failed) = match objects.get(&remote.id) {
            Some(object) if !object.is_stale() && !object.is_outdated(remote) => {
                let object = Arc::clone(object);
                drop(objects);
                object.look_at_disk();
                return object;
            }
            Some(wrong) if wrong.is_given_up(remote) => return Arc::clone(wrong),
            Some(stale) => (stale.told_length().or(remote.length), None, stale.found_wrong()),
            None => (remote.length, self.0.shared.disk.as_ref().and_then(|disk| disk.find(&remote.id)), 0),
        };
        let object = Object::new(remote, length, &self.0.shared, stored, failed);
        objects.put(remote.id.clone(), Arc::clone(&object));
        object
    }

    /// The length of `remote`, as far as it is known without asking.
    pub fn known_length(&self, remote: &Remote) -> Option<u64> {
        // Out of the table first: nobody waits for one object while holding up all.
        let object = self.0.objects.lock().peek(&remote.id).cloned();
        let learnt = match object {
            Some(object) if object.is_stale() => object.told_length(),
            Some(object) => object.known_length(),
            None if remote.length.is_some() => None,
            // Learnt by an earlier mount.
            None => {
                let stored = self.0.shared.disk.as_ref().and_then(|disk| disk.find(&remote.id));
                stored.map(|entry| entry.length())
            }
        };
        learnt.or(remote.length)
    }

    /// Learns the length of `remote` without its bytes, where its service can tell it so.
    ///
    /// # Errors
    /// What the service met.
    pub async fn ask_length(&self, remote: &Remote) -> Result<()> {
        let object = self.object(remote);
        if object.known_length().is_none()
            && let Some(length) = remote.fetch.length(&remote.url).await?
        {
            object.tell_length(&length);
        }
        Ok(())
    }

    /// What the last transfer of `remote` met, if it failed a moment ago.
    pub fn last_error(&self, remote: &Remote) -> Option<Error> {
        let object = self.0.objects.lock().peek(&remote.id).cloned();
        object?.last_error()
    }

    /// The whole of this version as a file on disk, verified, if it is there.
    pub fn complete_file(&self, object: &Object) -> Option<Arc<File>> {
        object.complete_file()
    }

    /// The last handle of this version has been closed: transfers that nobody waits for may end.
    pub fn closed(&self, object: &Arc<Object>) {
        if object.has_come_lately() {
            let object = Arc::clone(object);
            self.spawn(async move { object.leave().await });
        }
    }

    /// How the disk is doing; `None` without one.
    pub fn disk(&self) -> Option<Usage> {
        self.0.shared.disk.as_ref().map(Disk::used)
    }

    /// Waits until what was read is on disk, at most for `limit`. Blocks.
    pub fn flush(&self, limit: Duration) -> bool {
        self.0.shared.disk.as_ref().is_none_or(|disk| disk.flush(limit))
    }

    /// Bytes of `remote` on disk, and whether that is all of it.
    pub fn cached(&self, remote: &Remote) -> (u64, bool) {
        let object = self.0.objects.lock().peek(&remote.id).cloned();
        let entry = match object {
            Some(object) => object.entry().cloned(),
            None => self.0.shared.disk.as_ref().and_then(|disk| disk.find(&remote.id)),
        };
        entry.map_or((0, false), |entry| (entry.stored(), entry.is_complete()))
    }

    /// Whether all of `remote` is on disk; then it counts as used now, so that it goes last.
    pub fn is_stored(&self, remote: &Remote) -> bool {
        let object = self.0.objects.lock().peek(&remote.id).cloned();
        let entry = match object {
            Some(object) => object.entry().cloned(),
            None => self.0.shared.disk.as_ref().and_then(|disk| disk.find(&remote.id)),
        };
        let entry = entry.filter(|entry| entry.is_complete());
        entry.is_some_and(|entry| {
            entry.touch();
            true
        })
    }

    /// Bytes that may be fetched ahead of a reader who is not seen to wait for them.
    pub fn ahead_budget(&self) -> u64 {
        self.0.shared.memory.capacity() / 3
    }

    /// Begins to fetch what is missing of the first `most` bytes of `remote`, if a slot is free.
    pub fn begin(&self, remote: &Remote, most: u64) -> Begun {
        self.object(remote).begin(most)
    }

    /// Runs work of the layers above where transfers run.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.shared.runtime.spawn(work);
    }

    /// Bytes of blocks held in memory.
    pub fn memory_used(&self) -> u64 {
        self.0.shared.memory.used()
    }
}

/// The blocks that hold `range`; none for an empty range.
pub fn covering(range: ByteRange) -> Range<u64> {
    if range.is_empty() { 0..0 } else { range.start / BLOCK..range.end.div_ceil(BLOCK) }
}
