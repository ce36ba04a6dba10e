//! Open files and directories, by the number that the kernel names them with.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::OnceCell;

use crate::error::{ErrorKind, Result, fail};
use crate::filesystem::inodes::inode_number;
use crate::filesystem::pages::Pages;
use crate::namespace::{Directory, FileNode, Listing, Load};
use crate::reader::Cursors;
use crate::store::Object;

/// What all handles of one file share.
#[derive(Default)]
pub struct Shared {
    pub(super) pages: Mutex<Pages>,
    /// Where reads stand.
    pub(super) cursors: Mutex<Cursors>,
}

/// A file that is open.
pub struct OpenFile {
    pub(super) shared: Arc<Shared>,
    /// Whether it counts as open in [`Pages`].
    pub(super) counts: bool,
    /// Whether [`Pages`] is still to be told that it has read.
    pub(super) unsettled: AtomicBool,
    /// What it is.
    pub(super) node: Arc<FileNode>,
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
    Remote(Arc<Object>),
}

/// A directory that is open, with the listing of its first read.
pub struct OpenDirectory {
    /// Its inode.
    pub inode: u64,
    /// Its parent's inode.
    pub parent: u64,
    /// What it lists.
    pub directory: Arc<dyn Directory>,
    /// Whether the kernel keeps what is listed through this handle.
    pub(super) kept: bool,
    pub(super) listing: OnceCell<Listing>,
}

impl OpenDirectory {
    pub(super) fn new(inode: u64, parent: u64, directory: Arc<dyn Directory>, kept: bool) -> Self {
        Self { inode, parent, directory, kept, listing: OnceCell::new() }
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

    /// The listing if it has been made, or can be without asking a service.
    pub fn listing_now(&self) -> Option<&Listing> {
        if self.listing.get().is_none() {
            // Of two who make it at a time one comes first.
            let _ = self.listing.set(self.directory.list_at_hand()?);
        }
        self.listing.get()
    }
}

/// All open files and directories.
#[derive(Default)]
pub struct Handles {
    next: AtomicU64,
    files: RwLock<Files>,
    directories: RwLock<HashMap<u64, Arc<OpenDirectory>>>,
}

#[derive(Default)]
struct Files {
    open: HashMap<u64, Arc<OpenFile>>,
    /// Open handles of each version of a remote file, whatever paths they were opened by.
    readers: HashMap<u64, usize>,
}

impl Handles {
    /// Registers an open file.
    pub fn add_file(&self, file: OpenFile) -> u64 {
        let handle = self.next.fetch_add(1, Ordering::Relaxed);
        let mut files = self.files.write();
        if let Source::Remote(object) = &file.source {
            *files.readers.entry(object.version_number()).or_default() += 1;
        }
        files.open.insert(handle, Arc::new(file));
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
        found(self.files.read().open.get(&handle))
    }

    /// The directory of a handle.
    ///
    /// # Errors
    /// `Internal` for a number that was not given out.
    pub fn directory(&self, handle: u64) -> Result<Arc<OpenDirectory>> {
        found(self.directories.read().get(&handle))
    }

    /// Forgets a file, and says whether it was the last handle of its version. A read that is under way keeps
    /// it alive.
    pub fn remove_file(&self, handle: u64) -> Option<(Arc<OpenFile>, bool)> {
        let mut files = self.files.write();
        let file = files.open.remove(&handle)?;
        let Source::Remote(object) = &file.source else { return Some((file, true)) };
        let version = object.version_number();
        let readers = files.readers.get_mut(&version).map_or(0, |readers| {
            *readers -= 1;
            *readers
        });
        if readers == 0 {
            files.readers.remove(&version);
        }
        Some((file, readers == 0))
    }

    /// Forgets a directory, and gives it back.
    pub fn remove_directory(&self, handle: u64) -> Option<Arc<OpenDirectory>> {
        self.directories.write().remove(&handle)
    }
}

fn found<T>(held: Option<&Arc<T>>) -> Result<Arc<T>> {
    match held {
        Some(held) => Ok(Arc::clone(held)),
        None => fail(ErrorKind::Internal, "the kernel named a handle that is not open"),
    }
}
