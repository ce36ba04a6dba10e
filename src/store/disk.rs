//! The disk tier: blocks of remote files that survive the process.
//!
//! Nothing here can make a read fail. What cannot be stored is not stored, what is damaged counts as not stored,
//! and an error of the disk pauses the tier for a while (dependencies.md section 3).

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::Result;
use crate::object::{ByteRange, ObjectId, Validator};

/// Where the disk tier is and what it may take.
#[derive(Clone, Debug)]
pub struct DiskSettings {
    /// Its directory; made when missing.
    pub dir: PathBuf,
    /// Most bytes that all daemons together store there.
    pub size: u64,
    /// Bytes that are left free on the file system.
    pub min_free: u64,
}

/// How the disk tier is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes stored by all daemons, space that is set aside for them included.
    pub bytes: u64,
    /// Most bytes that may be stored.
    pub limit: u64,
    /// Blocks and objects that this process found damaged.
    pub corrupt: u64,
    /// Why nothing is stored for now.
    pub paused: Option<String>,
}

/// All blocks on disk. Clones share it.
#[derive(Clone)]
pub struct Disk(Arc<Inner>);

struct Inner {
    settings: DiskSettings,
}

impl Disk {
    /// Opens or makes the cache directory (mode 0700). What is in it is not looked at, however much it is.
    ///
    /// # Errors
    /// `Configuration`, with the path and the way out: somebody else owns it, it lies on a mount of ours, it is
    /// no directory, or it cannot be made.
    pub fn open(settings: DiskSettings) -> Result<Self> {
        Ok(Self(Arc::new(Inner { settings })))
    }

    /// The version of `id` that was stored last; `None` when there is none or it is damaged. Reads a few small
    /// local files, so not for a FUSE thread.
    pub fn find(&self, _id: &ObjectId) -> Option<Arc<Entry>> {
        None
    }

    /// The place for the blocks of this version. Cheap: it is made on disk by the first [`Entry::put`].
    /// `updated` is the catalogue's word on the version, used when the server tells no validator.
    pub fn entry(
        &self,
        _id: &ObjectId,
        version: &Validator,
        updated: Option<&str>,
        length: u64,
    ) -> Arc<Entry> {
        Arc::new(Entry { version: version.clone(), updated: updated.map(Into::into), length })
    }

    /// How it is doing. Reads one small local file.
    pub fn used(&self) -> Usage {
        Usage { limit: self.0.settings.size, ..Usage::default() }
    }
}

/// One version of one object on disk. Small while it is not used.
pub struct Entry {
    version: Validator,
    updated: Option<Box<str>>,
    length: u64,
}

impl Entry {
    /// Bytes in the object.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What the server said about the version when it was stored.
    pub fn version(&self) -> &Validator {
        &self.version
    }

    /// What the catalogue said about the version when it was stored.
    pub fn updated(&self) -> Option<&str> {
        self.updated.as_deref()
    }

    /// Whether the block is stored, as far as is known in memory; its bytes may turn out damaged. Never blocks.
    pub fn holds(&self, _block: u64) -> bool {
        false
    }

    /// The bytes of `range` if they can be had at once: all its blocks are stored and trusted (checked or written
    /// by this process), and the page cache has all of it. Never blocks: for FUSE threads.
    pub fn read_now(&self, _range: ByteRange) -> Option<Bytes> {
        None
    }

    /// The bytes of `range`, each block checked against its checksum the first time. `None` when a block is
    /// missing or damaged; then it does not count as stored any more, and the caller downloads it. Blocks on the
    /// disk: for the blocking pool.
    pub fn read(&self, _range: ByteRange) -> Option<Bytes> {
        None
    }

    /// Hands a block over for writing; `bytes` is all of it. Never blocks: when the queue is full, or nothing can be
    /// stored for now, the block is dropped. [`Entry::holds`] is true once it is written.
    pub fn put(&self, _block: u64, _bytes: Bytes) {}

    /// The data file, when it is complete and was checked by this process: mode 0400, never modified any more,
    /// only unlinked. For FUSE passthrough. Opens a file the first time; blocks for no longer than that.
    pub fn complete_file(&self) -> Option<Arc<File>> {
        None
    }

    /// Checks all blocks of a complete entry, so that [`Entry::complete_file`] gives it. Whether it does now.
    /// Reads the whole file: for the blocking pool.
    pub fn verify(&self) -> bool {
        false
    }

    /// Bytes stored.
    pub fn stored(&self) -> u64 {
        0
    }

    /// Whether all blocks are stored.
    pub fn is_complete(&self) -> bool {
        false
    }

    /// Removes the version: it was found stale. Descriptors that are open keep working. Unlinks local files.
    pub fn discard(&self) {}
}
