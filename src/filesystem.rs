//! The filesystem in our own types: inodes, handles, attributes. It knows nothing of the kernel's protocol
//! and is tested without a kernel.
//!
//! Every question has two forms. The one ending in `_now` answers from what is in memory and never waits;
//! it is for the kernel's threads. The async one may ask a service.

mod failures;
mod grids;
pub mod handles;
pub mod inodes;
mod looks;
mod names;
pub mod pages;
mod reading;
mod sizes;
mod walks;

use std::sync::Arc;
use std::time::Duration;

use crate::error::{ErrorKind, Result, fail};
use crate::fetch::Allowance;
use crate::filesystem::failures::Failures;
use crate::filesystem::grids::Grids;
use crate::filesystem::handles::{Handles, OpenDirectory};
use crate::filesystem::inodes::{Inodes, Size};
pub use crate::filesystem::names::Keep;
pub use crate::filesystem::reading::{DiskRead, OpenedFile, Ready, Register};
use crate::filesystem::walks::Walks;
use crate::namespace::{Attributes, Content, Directory, Entry, FileNode, GONE, Kind, Listing, Node, Times};
use crate::store::Store;

/// The root's inode, as the kernel's protocol fixes it.
pub const ROOT: u64 = 1;
/// The longest name, in bytes (NAME_MAX). The kernel leaves the check to us (contract.md 2).
pub const NAME_MAX: usize = 255;

/// How long the kernel may believe an estimate of a size: whoever else asks may want to read.
const ESTIMATE: Duration = Duration::ZERO;

/// What `stat` shows of an inode.
#[derive(Clone, Copy, Debug)]
pub struct Stat {
    /// The inode.
    pub inode: u64,
    /// Directory or file.
    pub kind: Kind,
    /// Bytes in it; 0 for directories.
    pub size: u64,
    /// Its times, where they are known.
    pub times: Times,
}

/// A name that was found.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// What it is.
    pub stat: Stat,
    /// How long the kernel may believe it.
    pub ttl: Duration,
}

/// A name that was not found, and how long that holds.
pub type Absent = Duration;

/// An open directory, for the kernel to name in later calls.
#[derive(Clone, Copy, Debug)]
pub struct OpenedDirectory {
    /// The handle's number.
    pub handle: u64,
    /// What the kernel may keep of its names.
    pub keep: Keep,
}

/// The filesystem. Clones share it.
#[derive(Clone)]
pub struct Filesystem(Arc<Inner>);

struct Inner {
    inodes: Inodes,
    handles: Handles,
    walks: Walks,
    grids: Grids,
    failures: Failures,
    store: Store,
    ttl: Duration,
}

impl Filesystem {
    /// The tree below `root`; what it says holds for `ttl` unless a directory knows better.
    pub fn new(root: Arc<dyn Directory>, store: Store, ttl: Duration) -> Self {
        Self(Arc::new(Inner {
            inodes: Inodes::new(root),
            handles: Handles::default(),
            walks: Walks::default(),
            grids: Grids::default(),
            failures: Failures::default(),
            store,
            ttl,
        }))
    }

    /// Looks `name` up, if no service need be asked. `None`: use [`Self::lookup`].
    pub fn lookup_now(&self, parent: u64, name: &str) -> Option<Result<std::result::Result<Found, Absent>>> {
        let directory = match self.directory(parent) {
            Ok(directory) => directory,
            Err(error) => return Some(Err(error)),
        };
        if name.len() > NAME_MAX {
            return Some(fail(ErrorKind::NameTooLong, "the name is longer than 255 bytes"));
        }
        match directory.at_hand(name)? {
            Ok(node) => {
                let size = self.size_now(&node)?;
                Some(Ok(Ok(self.enter(parent, name.into(), node, Size::Is(size), directory.as_ref()))))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Some(Ok(Err(directory.absent_for()))),
            Err(error) => Some(Err(error)),
        }
    }

    /// Looks `name` up in directory `parent` for the thread `caller`; what is found counts as known to the kernel
    /// until forgotten.
    ///
    /// # Errors
    /// What the service met; a missing name is not an error but how long it stays missing.
    pub async fn lookup(
        &self,
        parent: u64,
        name: &str,
        caller: u32,
    ) -> Result<std::result::Result<Found, Absent>> {
        let directory = self.directory(parent)?;
        if name.len() > NAME_MAX {
            return fail(ErrorKind::NameTooLong, "the name is longer than 255 bytes");
        }
        let looked_up: Result<(Node, Size)> = async {
            let node = directory.lookup(name).await?;
            let size = self.size_for(&node, parent, name, caller).await;
            if let (Node::File(file), Err(error)) = (&node, &size)
                && error.kind() == ErrorKind::NotFound
            {
                // An absent chunk is one of those that a program goes through.
                self.goes_on(file, None);
                file.told.met(error).await;
            }
            let size = size?;
            learnt(&node, size);
            Ok((node, size))
        }
        .await;
        match looked_up {
            Ok((node, size)) => {
                self.0.failures.forget(parent);
                Ok(Ok(self.enter(parent, name.into(), node, size, directory.as_ref())))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Err(directory.absent_for())),
            Err(error) => {
                self.0.failures.note(parent, &error);
                Err(error)
            }
        }
    }

    /// A listed entry as if it had been looked up, without asking a service; it must be forgotten again. What
    /// it says holds for no time (`ttl` 0, size 0) when the size is not known: the kernel then asks.
    pub fn lookup_entry(&self, opened: &OpenDirectory, entry: &Entry) -> Found {
        let name = Arc::clone(&entry.name);
        if let Some((node, size)) = entry.node.as_ref().and_then(|node| Some((node, self.size_now(node)?))) {
            let directory = opened.directory.as_ref();
            return self.enter(opened.inode, name, node.clone(), Size::Is(size), directory);
        }
        let (inode, node) = self.0.inodes.enter_listed(opened.inode, name);
        // The size that was told before: the kernel may hold pages of this file, and would cut them off.
        let is_estimate = self.0.inodes.estimate(inode).is_some();
        match node.map(|(node, size)| stat(inode, &node, self.size_now(&node).unwrap_or(size))) {
            Some(stat) if is_estimate => Found { stat, ttl: Duration::ZERO },
            Some(stat) => Found { stat, ttl: opened.directory.holds_for().unwrap_or(self.0.ttl) },
            None => Found {
                stat: Stat { inode, kind: entry.kind, size: 0, times: Times::default() },
                ttl: Duration::ZERO,
            },
        }
    }

    /// The kernel dropped `count` of its references to `inode`.
    pub fn forget(&self, inode: u64, count: u64) {
        self.0.inodes.forget(inode, count);
    }

    /// What `stat` shows, if no service need be asked.
    pub fn stat_now(&self, inode: u64) -> Option<Result<Found>> {
        let node = match self.0.inodes.node(inode) {
            Ok(node) => node,
            Err(error) => return Some(Err(error)),
        };
        let size = self.size_now(&node)?;
        self.0.inodes.told_size(inode, size);
        Some(Ok(Found { stat: stat(inode, &node, size), ttl: self.0.ttl }))
    }

    /// What `stat` shows.
    ///
    /// # Errors
    /// What the service met while the size was learnt.
    pub async fn stat(&self, inode: u64) -> Result<Found> {
        let node = self.0.inodes.node(inode)?;
        if let Some(estimate) = self.0.inodes.estimate(inode) {
            return Ok(Found { stat: stat(inode, &node, estimate), ttl: ESTIMATE });
        }
        let size = self.size(&node).await?;
        self.0.inodes.told_size(inode, size);
        Ok(Found { stat: stat(inode, &node, size), ttl: self.0.ttl })
    }

    /// Opens a directory for the thread `caller`; its listing is made at the first read and then frozen for this
    /// handle.
    ///
    /// # Errors
    /// `NotADirectory` for a file.
    pub fn open_directory(&self, inode: u64, caller: u32) -> Result<OpenedDirectory> {
        let directory = self.directory(inode)?;
        let (parent, keep) = self.0.inodes.open_directory(inode, directory.edition());
        self.0.inodes.looks(inode, |looks| looks.listed(caller));
        let opened = OpenDirectory::new(inode, parent, directory, keep != Keep::Nothing);
        Ok(OpenedDirectory { handle: self.0.handles.add_directory(opened), keep })
    }

    /// An open directory.
    ///
    /// # Errors
    /// `Internal` for a handle that was never given out.
    pub fn opened_directory(&self, handle: u64) -> Result<Arc<OpenDirectory>> {
        self.0.handles.directory(handle)
    }

    /// What an open directory lists, made now or awaited.
    ///
    /// # Errors
    /// What the service met; the directory keeps it as its last error.
    pub async fn listing(&self, opened: &OpenDirectory) -> Result<Listing> {
        match opened.listing().await {
            Ok(listing) => {
                self.0.failures.forget(opened.inode);
                Ok(listing.clone())
            }
            Err(error) => {
                self.0.failures.note(opened.inode, &error);
                Err(error.clone())
            }
        }
    }

    /// Closes a directory.
    pub fn close_directory(&self, handle: u64) {
        if let Some(closed) = self.0.handles.remove_directory(handle).filter(|closed| closed.kept) {
            self.0.inodes.close_directory(closed.inode);
        }
    }

    /// Where an inode stands: its parent and its name; `None` if the kernel does not hold it.
    pub fn place(&self, inode: u64) -> Option<(u64, Arc<str>)> {
        self.0.inodes.place(inode)
    }

    /// All extended attributes of an inode, from memory.
    ///
    /// # Errors
    /// `Internal` for an inode that the kernel does not hold.
    pub fn attributes(&self, inode: u64) -> Result<Attributes> {
        Ok(match self.0.inodes.node(inode)? {
            Node::Directory(directory) => {
                let mut attributes = directory.attributes();
                // A name that cannot be looked up has no attributes: its directory tells why.
                if let Some(error) = self.0.failures.of(inode) {
                    attributes.push(("user.dcmsfs.last_error".into(), error.message().to_owned().into()));
                }
                attributes
            }
            Node::File(file) => self.file_attributes(&file),
        })
    }

    /// What may still be fetched of the root that an inode belongs to, where that is limited; for the top directory
    /// of all roots together.
    pub fn allowance(&self, inode: u64) -> Allowance {
        let directories = self.0.inodes.upwards(inode);
        let found =
            directories.iter().map(|directory| directory.allowance()).find(|found| found.is_limited());
        found.unwrap_or_default()
    }

    fn file_attributes(&self, file: &FileNode) -> Attributes {
        let mut attributes = file.attributes.clone();
        if file.told.gone.as_ref().is_some_and(|gone| gone()) {
            attributes.push((GONE.0.into(), GONE.1.into()));
        }
        if let Content::Remote(remote) = &file.content {
            let (bytes, complete) = self.0.store.cached(remote);
            attributes.push(("user.dcmsfs.cached_bytes".into(), bytes.to_string().into()));
            attributes.push(("user.dcmsfs.complete".into(), complete.to_string().into()));
            if self.0.store.known_length(remote).is_none()
                && let Some(estimate) = file.estimate
            {
                attributes.push(("user.dcmsfs.estimated_bytes".into(), estimate.to_string().into()));
            }
            if let Some(error) = self.0.store.last_error(remote) {
                attributes.push(("user.dcmsfs.last_error".into(), error.message().to_owned().into()));
            }
        }
        attributes
    }

    fn directory(&self, inode: u64) -> Result<Arc<dyn Directory>> {
        match self.0.inodes.node(inode)? {
            Node::Directory(directory) => Ok(directory),
            Node::File(_) => fail(ErrorKind::NotADirectory, "not a directory"),
        }
    }

    fn enter(&self, parent: u64, name: Arc<str>, node: Node, size: Size, directory: &dyn Directory) -> Found {
        let inode = self.0.inodes.enter(parent, name, &node, size);
        let ttl = match size {
            Size::Is(_) => directory.holds_for().unwrap_or(self.0.ttl),
            Size::MayBe(_) => ESTIMATE,
        };
        Found { stat: stat(inode, &node, size.bytes()), ttl }
    }

    fn size_now(&self, node: &Node) -> Option<u64> {
        match node {
            Node::Directory(_) => Some(0),
            Node::File(file) => match &file.content {
                Content::Bytes(bytes) => Some(bytes.len() as u64),
                Content::Document(length, _) => Some(*length),
                Content::Live(make) => Some(make().len() as u64),
                Content::Remote(remote) => self.0.store.known_length(remote),
            },
        }
    }

    async fn size(&self, node: &Node) -> Result<u64> {
        match (self.size_now(node), node) {
            (Some(size), _) => Ok(size),
            (None, Node::File(file)) => match &file.content {
                Content::Remote(remote) => {
                    let length = self.0.store.object(remote).length().await;
                    if let Err(error) = &length {
                        file.told.met(error).await;
                    }
                    length
                }
                _ => Ok(0),
            },
            (None, Node::Directory(_)) => Ok(0),
        }
    }
}

/// Lets a file's catalogue remember its length, if that is news.
fn learnt(node: &Node, size: Size) {
    if let Node::File(file) = node
        && let (Content::Remote(remote), Some(learn), Size::Is(size)) =
            (&file.content, &file.told.length, size)
        && remote.length != Some(size)
    {
        learn(size);
    }
}

fn stat(inode: u64, node: &Node, size: u64) -> Stat {
    let times = match node {
        Node::Directory(directory) => directory.times(),
        Node::File(file) => file.times,
    };
    Stat { inode, kind: node.kind(), size, times }
}
