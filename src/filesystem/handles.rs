//! Open files and directories, by the number that the kernel names them with.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::OnceCell;

use crate::error::{ErrorKind, Result, fail};
use crate::filesystem::inodes::inode_number;
use crate::namespace::{Directory, Listing, Load};
use crate::reader::Cursors;
use crate::store::Object;

/// A file that is open.
pub struct OpenFile {
    /// Its inode.
    pub inode: u64,
    /// Whether it fills the kernel's pages of the inode.
    pub fills_pages: bool,
    /// Whether it has been read.
    pub(super) was_read: AtomicBool,
    /// Where its bytes come from.
    pub source: Source,
}

/// Where the bytes of an open file come from.
pub enum Source {
    /// All its bytes.
    Held(Bytes),
    /// A document that is fetched at the first read.
    Document {
        /// Bytes that the kernel was told.
        length: u64,
        /// How it is fetched.
        load: Load,
        /// The bytes once they are there.
        bytes: OnceCell<Bytes>,
    },
    /// One version of a remote file. **Invariant**: the handle never changes to another version.
    Remote {
        /// The version.
        object: Arc<Object>,
        /// Where reads stand, shared with the file's other handles.
        cursors: Arc<Mutex<Cursors>>,
    },
}

/// A directory that is open, with the listing of its first read.
pub struct OpenDirectory {
    /// Its inode.
    pub inode: u64,
    /// Its parent's inode.
    pub parent: u64,
    /// What it lists.
    pub directory: Arc<dyn Directory>,
    pub(super) listing: OnceCell<Listing>,
}

impl OpenDirectory {
    pub(super) fn new(inode: u64, parent: u64, directory: Arc<dyn Directory>) -> Self {
        Self { inode, parent, directory, listing: OnceCell::new() }
    }

    /// The inode that a listed name has or would have.
    pub fn inode_of(&self, name: &str) -> u64 {
        inode_number(self.inode, name)
    }

    /// The frozen listing, made at the first call.
    ///
    /// # Errors
    /// What the service met; a later call tries again.
    pub async fn listing(&self) -> Result<&Listing> {
        let list = || async {
            self.directory.list().await.map_err(|error| match error.kind() {
                // The C library takes "no such file" for the end of the listing: it would read as empty.
                ErrorKind::NotFound => error.reclassify(ErrorKind::Changed),
                _ => error,
            })
        };
        self.listing.get_or_try_init(list).await
    }

    /// The listing if it has been made.
    pub fn listing_now(&self) -> Option<&Listing> {
        self.listing.get()
    }
}

/// All open files and directories.
#[derive(Default)]
pub struct Handles {
    next: AtomicU64,
    files: RwLock<HashMap<u64, Arc<OpenFile>>>,
    directories: RwLock<HashMap<u64, Arc<OpenDirectory>>>,
}

impl Handles {
    /// Registers an open file.
    pub fn add_file(&self, file: OpenFile) -> u64 {
        let handle = self.next.fetch_add(1, Ordering::Relaxed);
        self.files.write().insert(handle, Arc::new(file));
        handle
    }

    /// Registers an open directory.
    pub fn add_directory(&self, directory: OpenDirectory) -> u64 {
        let handle = self.next.fetch_add(1, Ordering::Relaxed);
        self.directories.write().insert(handle, Arc::new(directory));
        handle
    }

    /// The file of a handle.
    ///
    /// # Errors
    /// `Internal` for a number that was not given out.
    pub fn file(&self, handle: u64) -> Result<Arc<OpenFile>> {
        found(self.files.read().get(&handle))
    }

    /// The directory of a handle.
    ///
    /// # Errors
    /// `Internal` for a number that was not given out.
    pub fn directory(&self, handle: u64) -> Result<Arc<OpenDirectory>> {
        found(self.directories.read().get(&handle))
    }

    /// Forgets a file; a read that is under way keeps it alive.
    pub fn remove_file(&self, handle: u64) -> Option<Arc<OpenFile>> {
        self.files.write().remove(&handle)
    }

    /// Forgets a directory.
    pub fn remove_directory(&self, handle: u64) {
        self.directories.write().remove(&handle);
    }
}

fn found<T>(held: Option<&Arc<T>>) -> Result<Arc<T>> {
    match held {
        Some(held) => Ok(Arc::clone(held)),
        None => fail(ErrorKind::Internal, "the kernel named a handle that is not open"),
    }
}
