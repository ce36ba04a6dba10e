//! Files that are open: how each is opened, read and closed.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::error::{Error, ErrorKind, Result, fail};
use crate::filesystem::Filesystem;
use crate::filesystem::handles::{OpenFile, Shared, Source};
use crate::filesystem::pages::{Caching, Registered};
use crate::filesystem::walks::Opened;
use crate::namespace::{Content, Node};
use crate::object::ByteRange;
use crate::store::Object;
pub use crate::store::{DiskRead, Ready};

/// An open file, for the kernel to name in later calls.
pub struct OpenedFile {
    /// The handle's number.
    pub handle: u64,
    /// What the kernel is to do with its pages.
    pub caching: Caching,
}

/// Gives a file on disk to the kernel; `None` when it does not take it.
pub type Register<'a> = &'a dyn Fn(&File) -> Option<Registered>;

impl Filesystem {
    /// Opens a file for the thread `caller`; asks no service. `register`: how the kernel is given a whole file on disk, where it takes
    /// any.
    ///
    /// # Errors
    /// `IsADirectory` for a directory. `LookAgain` when the kernel was told another size than the file now has, or an
    /// estimate: it then looks the name up again, and opens again. `Corrupt` for a file that came twice with a wrong
    /// checksum. `Changed` while it reads another version by itself.
    pub fn open(&self, inode: u64, caller: u32, register: Option<Register<'_>>) -> Result<OpenedFile> {
        let to_open = self.0.inodes.to_open(inode, caller)?;
        let Node::File(file) = to_open.node else {
            return fail(ErrorKind::IsADirectory, "a directory cannot be read as a file");
        };
        let shared = to_open.shared;
        let cached = |version| shared.pages.lock().open(version, || None);
        let (source, caching) = match &file.content {
            Content::Bytes(bytes) => (Source::Held(bytes.clone()), cached(content_version(bytes))),
            // Made anew at each open: the kernel's pages must not be used.
            Content::Live(make) => (Source::Held(make()), Some(Caching::Bypass)),
            Content::Document(length, load) => {
                let load = Arc::clone(load);
                let document = Source::Document { length: *length, load, bytes: OnceCell::new() };
                (document, Some(Caching::Bypass))
            }
            Content::Remote(remote) => {
                let object = self.0.store.object(remote);
                if let Some(error) = object.refusal() {
                    // The kernel may still hold the wrong bytes.
                    return Err(error);
                }
                let is = object.known_length();
                if to_open.estimated || (is.is_some() && to_open.told_size != is) {
                    return fail(ErrorKind::LookAgain, format!("{} has another size", remote.url.path()));
                }
                let caching = self.open_remote(&shared, &object, register);
                if caching.is_none() {
                    let path = remote.url.path();
                    let message = format!("{path} has changed, and its last version is still open");
                    return fail(ErrorKind::Changed, message);
                }
                self.goes_on(&file, object.known_length());
                self.follow(Opened { inode, shared: Arc::clone(&shared), length: object.known_length() });
                (Source::Remote(object), caching)
            }
        };
        let caching = caching.unwrap_or(Caching::Bypass);
        let opened = OpenFile {
            shared: Arc::clone(&shared),
            counts: !matches!(caching, Caching::Bypass),
            unsettled: AtomicBool::new(matches!(caching, Caching::Drop)),
            node: file,
            source,
        };
        Ok(OpenedFile { handle: self.0.handles.add_file(opened), caching })
    }

    fn open_remote(
        &self,
        shared: &Shared,
        object: &Arc<Object>,
        register: Option<Register<'_>>,
    ) -> Option<Caching> {
        let complete = || {
            let register = register?;
            let file = self.0.store.complete_file(object)?;
            // The kernel would show what is behind the end, or fail before it.
            let whole = file.metadata().is_ok_and(|data| Some(data.len()) == object.known_length());
            if whole { register(&file) } else { None }
        };
        shared.pages.lock().open(object.version_number(), complete)
    }

    /// The open file of a handle, for a read.
    fn to_read(&self, handle: u64) -> Result<Arc<OpenFile>> {
        let file = self.0.handles.file(handle)?;
        if file.unsettled.load(Ordering::Relaxed) && file.unsettled.swap(false, Ordering::Relaxed) {
            file.shared.pages.lock().settle();
        }
        Ok(file)
    }

    /// The bytes of an open file that are at hand. [`Ready::Not`]: use [`Self::read`].
    ///
    /// # Errors
    /// As [`Self::read`], for a handle that is not open.
    pub fn read_now(&self, handle: u64, offset: u64, size: u32) -> Result<Ready> {
        let file = self.to_read(handle)?;
        let range = ByteRange::new(offset, offset.saturating_add(size.into()));
        Ok(match &file.source {
            Source::Held(bytes) => Ready::Here(held(bytes, range)),
            Source::Document { bytes, .. } => match bytes.get() {
                Some(bytes) => Ready::Here(held(bytes, range)),
                None => Ready::Not,
            },
            Source::Remote(object) => match object.known_length() {
                Some(length) => {
                    let plan = file.shared.cursors.lock().plan(range, length, object.format());
                    let ready = self.0.store.ready(object, range, &plan);
                    if let Ready::Here(bytes) = &ready {
                        learn(&file, object, range, bytes);
                    }
                    ready
                }
                None => Ready::Not,
            },
        })
    }

    /// Exactly the bytes of `offset..offset + size` that the file has (a short answer would read as the
    /// file's end, contract.md 3.1).
    ///
    /// # Errors
    /// What the transfer met; `Changed` when the file changed since it was opened.
    pub async fn read(&self, handle: u64, offset: u64, size: u32) -> Result<Bytes> {
        let file = self.to_read(handle)?;
        let range = ByteRange::new(offset, offset.saturating_add(size.into()));
        match &file.source {
            Source::Held(bytes) => Ok(held(bytes, range)),
            Source::Document { length, load, bytes } => {
                let bytes = bytes.get_or_try_init(|| load()).await?;
                if bytes.len() as u64 != *length {
                    return fail(ErrorKind::Changed, "the document changed since it was listed");
                }
                Ok(held(bytes, range))
            }
            Source::Remote(object) => match self.read_remote(&file, object, range).await {
                Ok(bytes) => Ok(bytes),
                Err(error) => {
                    file.node.told.met(&error).await;
                    Err(changed_while_open(error))
                }
            },
        }
    }

    async fn read_remote(&self, file: &OpenFile, object: &Arc<Object>, range: ByteRange) -> Result<Bytes> {
        let length = object.length().await?;
        let plan = file.shared.cursors.lock().plan(range, length, object.format());
        let bytes = self.0.store.read(object, range, &plan).await?;
        learn(file, object, range, &bytes);
        Ok(bytes)
    }

    /// Closes a file; the kernel also closes one that it was told is open but did not take.
    pub fn close(&self, handle: u64) {
        let Some((file, last)) = self.0.handles.remove_file(handle) else { return };
        if file.counts {
            file.shared.pages.lock().close();
        }
        if let (Source::Remote(object), true) = (&file.source, last) {
            self.0.store.closed(object);
        }
    }
}

/// What a file's head tells of how the rest of it will be read.
fn learn(file: &OpenFile, object: &Object, range: ByteRange, bytes: &[u8]) {
    if range.start == 0 {
        file.shared.cursors.lock().learn(bytes, object.format());
    }
}

/// The name was there when it was opened (contract.md 4.1).
fn changed_while_open(error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => error.reclassify(ErrorKind::Changed),
        _ => error,
    }
}

fn held(bytes: &Bytes, range: ByteRange) -> Bytes {
    let range = range.clamp_to(bytes.len() as u64);
    let at = |offset: u64| usize::try_from(offset).unwrap_or(bytes.len());
    bytes.slice(at(range.start)..at(range.end))
}

/// Documents are few and small: their bytes are their version.
fn content_version(bytes: &Bytes) -> u64 {
    let digest = blake3::hash(bytes);
    digest.as_bytes().first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}
