//! The disk tier: blocks of remote files that survive the process.
//!
//! Nothing here can make a read fail. What cannot be stored is not stored, what is damaged counts as not stored,
//! and an error of the disk pauses the tier for a while (dependencies.md section 3).
//!
//! Each version of an object has a directory of its own (`format`): a sparse file with its bytes, and a map with a
//! checksum for each block, which is compared the first time that the block is read from these open files
//! (`handle`). A thread writes (`writer`); first a block, then its entry in the map, so that a process may be
//! killed at any time. Several daemons share the directory: `space` holds the bound in sum, `sweep` makes room.

mod bits;
mod checking;
mod entry;
mod format;
mod handle;
mod health;
pub mod inspect;
mod opening;
mod root;
mod space;
mod sweep;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;
use tracing::warn;

use crate::error::{Error, ErrorKind, Result};
use crate::object::{ObjectId, Validator};
pub use crate::store::disk::entry::Entry;
use crate::store::disk::format::{Identity, Key};
use crate::store::disk::health::Health;
use crate::store::disk::root::{Refusal, Root};
use crate::store::disk::space::Space;
use crate::store::disk::writer::{Queue, Seal};
use crate::sys::beneath::Access;
use crate::sys::files::{Trouble, trouble};
use crate::sys::harden;

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
    /// Bytes stored by all daemons, and what the others have set aside.
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

/// What tests choose differently.
#[derive(Clone, Debug)]
struct Tuning {
    /// Most bytes that wait to be written.
    queue: usize,
    /// Most objects whose files are open.
    handles: usize,
    /// How long a use is remembered before it is written down, in milliseconds.
    touch: u64,
    /// How long a pause lasts.
    retry: Duration,
    /// Whether file locks are relied on.
    locks: bool,
}

impl Default for Tuning {
    fn default() -> Self {
        // Two descriptors each, and never more than a quarter of all.
        let handles = usize::try_from(harden::descriptors() / 8).unwrap_or(512).clamp(4, 512);
        Self { queue: 64 << 20, handles, touch: 60_000, retry: Duration::from_secs(30), locks: true }
    }
}

/// Most bytes that are written at once.
const RUN: u64 = 1 << 20;
/// Complete objects that wait to be sealed.
const SEALING: usize = 1024;

struct Inner {
    settings: DiskSettings,
    tuning: Tuning,
    root: RwLock<Option<Arc<Root>>>,
    space: Space,
    health: Health,
    /// One entry for each version, so that all know the same of it.
    registry: Mutex<HashMap<Key, Weak<Entry>>>,
    /// Entries whose files are open, some closed since.
    open: Mutex<Vec<Weak<Entry>>>,
    queue: Arc<Queue>,
    sealing: SyncSender<Seal>,
    corrupt: AtomicU64,
    began: Instant,
}

impl Disk {
    /// Opens or makes the cache directory (mode 0700). What is in it is not looked at, however much it is. A disk
    /// that is full or read-only is no error: nothing is stored until it is not any more.
    ///
    /// # Errors
    /// `Configuration`, with the path and the way out: somebody else owns it, it lies on a mount of ours, it is
    /// no directory, or it cannot be made. `Internal` when the system gives no threads.
    pub fn open(settings: DiskSettings) -> Result<Self> {
        Self::with(settings, Tuning::default())
    }

    fn with(settings: DiskSettings, tuning: Tuning) -> Result<Self> {
        let health = Health::new(tuning.retry);
        let root = match Root::open(&settings.dir, tuning.locks) {
            Ok(root) => Some(Arc::new(root)),
            Err(Refusal::Never(error)) => return Err(error),
            Err(Refusal::Now(error)) => {
                health.pause(format!("{}: {error}", settings.dir.display()), false);
                None
            }
        };
        let space = Space::new(settings.size, settings.min_free);
        let queue = Arc::new(Queue::new(tuning.queue, RUN.min(space.lump)));
        let (sealing, complete) = mpsc::sync_channel(SEALING);
        let inner = Arc::new(Inner {
            settings,
            tuning,
            root: RwLock::new(root),
            space,
            health,
            registry: Mutex::default(),
            open: Mutex::default(),
            queue: Arc::clone(&queue),
            sealing,
            corrupt: AtomicU64::new(0),
            began: Instant::now(),
        });
        let weak = Arc::downgrade(&inner);
        begin("disk-writer", move || writer::write_all(&queue, &weak))?;
        begin("disk-sealer", move || writer::seal_all(&complete))?;
        Ok(Self(inner))
    }

    /// The version of `id` that was stored last; `None` when there is none or it is damaged. Reads a few small
    /// local files, so not for a FUSE thread.
    pub fn find(&self, id: &ObjectId) -> Option<Arc<Entry>> {
        let inner = &self.0;
        let root = inner.root().filter(|_| inner.health.may_read())?;
        let name = format::pointer_name(id.as_str());
        let key = match root.pointer(&name) {
            Ok(Some(key)) => key,
            Ok(None) => {
                inner.count_damage(1, id.as_str());
                root.drop_pointer(&name);
                return None;
            }
            Err(error) => {
                inner.failed_to_read(&error);
                return None;
            }
        };
        if let Some(entry) = inner.registered(&key).filter(|entry| entry.identity.id == id.as_str()) {
            entry.refresh();
            return Some(entry);
        }
        let path = format!("objects/{}/{}/map", &format::hex(&key)[..2], format::hex(&key));
        let header = root.top.file(&path, Access::Read).and_then(|map| format::read_header(&map));
        match header {
            Ok(Some(header)) if header.identity.id == id.as_str() && header.identity.key() == key => {
                let entry = inner.register(header.identity, key);
                entry.open(false).is_ok().then_some(entry)
            }
            Err(error) if trouble(&error) != Trouble::Odd => {
                inner.failed_to_read(&error);
                if trouble(&error) == Trouble::Gone {
                    root.drop_pointer(&name);
                }
                None
            }
            other => {
                inner.count_damage(1, id.as_str());
                // What is another object at its right place is sound: the pointer alone is wrong.
                let sound = other.ok().flatten().is_some_and(|header| header.identity.key() == key);
                if !sound && let Some(bytes) = root.remove_object(&key) {
                    space::release(&root, bytes);
                }
                root.drop_pointer(&name);
                None
            }
        }
    }

    /// The place for the blocks of this version. Cheap: it is made on disk by the first [`Entry::put`].
    /// `updated` is the catalogue's word on the version, used when the server tells no validator.
    pub fn entry(
        &self,
        id: &ObjectId,
        version: &Validator,
        updated: Option<&str>,
        length: u64,
    ) -> Arc<Entry> {
        let identity = Identity::new(id, version, updated, length);
        let key = identity.key();
        self.0.register(identity, key)
    }

    /// How it is doing. Reads one small local file.
    pub fn used(&self) -> Usage {
        let inner = &self.0;
        Usage {
            bytes: inner.root().map_or(0, |root| inner.space.used(&root)),
            limit: inner.settings.size,
            corrupt: inner.corrupt.load(Ordering::Relaxed),
            paused: inner.health.reason(),
        }
    }

    /// Whether so much waits to be written that more may soon be dropped.
    pub fn is_behind(&self) -> bool {
        self.0.queue.is_nearly_full()
    }

    /// Whether nothing waits to be written.
    pub fn is_idle(&self) -> bool {
        self.0.queue.is_idle()
    }

    /// Waits until what was handed over is written; `false` when that takes longer than `limit`. For an orderly
    /// end, and for tests. Blocks.
    pub fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let (answer, done) = mpsc::sync_channel(1);
        self.0.queue.flush(limit)
            && self.0.sealing.try_send(Seal::Ping(answer)).is_ok()
            && done.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok()
    }
}

fn begin(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    let begun = thread::Builder::new().name(name.to_owned()).spawn(work);
    begun.map(drop).map_err(|error| Error::new(ErrorKind::Internal, format!("no thread for {name}: {error}")))
}

impl Inner {
    fn root(&self) -> Option<Arc<Root>> {
        self.root.read().clone()
    }

    /// The directory, for writing; after a pause it is looked for again, for it may have been removed.
    fn root_to_write(&self) -> io::Result<Arc<Root>> {
        if self.health.is_well()
            && let Some(root) = self.root()
        {
            return Ok(root);
        }
        let opened = Root::open(&self.settings.dir, self.tuning.locks);
        let fresh = Arc::new(opened.map_err(|refusal| match refusal {
            Refusal::Never(error) => io::Error::other(error),
            Refusal::Now(error) => error,
        })?);
        let mut root = self.root.write();
        match &*root {
            Some(old) if old.is_same(&fresh) => Ok(Arc::clone(old)),
            _ => {
                // What was set aside was so in the directory that is gone.
                self.space.forget();
                *root = Some(Arc::clone(&fresh));
                Ok(fresh)
            }
        }
    }

    fn registered(&self, key: &Key) -> Option<Arc<Entry>> {
        let found = self.registry.lock().get(key).and_then(Weak::upgrade);
        found.filter(|entry| !entry.is_ended())
    }

    fn register(self: &Arc<Self>, identity: Identity, key: Key) -> Arc<Entry> {
        if let Some(entry) = self.registered(&key) {
            return entry;
        }
        let fresh = Entry::new(self, identity, key);
        let mut registry = self.registry.lock();
        // Dropped behind the lock: an entry's end looks here, too.
        let other = registry.get(&key).and_then(Weak::upgrade);
        let chosen = match &other {
            Some(other) if !other.is_ended() => Arc::clone(other),
            _ => {
                registry.insert(key, Arc::downgrade(&fresh));
                Arc::clone(&fresh)
            }
        };
        drop(registry);
        chosen
    }

    fn deregister(&self, key: &Key) {
        let mut registry = self.registry.lock();
        if registry.get(key).is_some_and(|entry| entry.strong_count() == 0) {
            registry.remove(key);
        }
    }

    /// The files of an entry were opened; others are closed when there are too many.
    fn opened(&self, entry: Weak<Entry>) {
        let mut open = self.open.lock();
        open.push(entry);
        let many = open.len() > self.tuning.handles;
        drop(open);
        if many {
            self.close_some();
        }
    }

    /// Closes the quarter of the open files that was not used for longest.
    fn close_some(&self) {
        let listed = std::mem::take(&mut *self.open.lock());
        let mut alive: Vec<Arc<Entry>> = listed.iter().filter_map(Weak::upgrade).collect();
        alive.sort_unstable_by_key(Arc::as_ptr);
        alive.dedup_by(|one, other| Arc::ptr_eq(one, other));
        alive.sort_by_key(|entry| entry.used.load(Ordering::Relaxed));
        let mut wanted = alive.len().saturating_sub(self.tuning.handles - self.tuning.handles.div_ceil(4));
        let mut kept = Vec::new();
        for entry in &alive {
            let closed = wanted > 0 && entry.close();
            wanted -= usize::from(closed);
            if !closed && !entry.is_closed() {
                kept.push(Arc::downgrade(entry));
            }
        }
        self.open.lock().append(&mut kept);
    }

    /// Lets go of files that were removed under us: their room is free only then.
    fn tidy(&self) {
        let open: Vec<Arc<Entry>> = self.open.lock().iter().filter_map(Weak::upgrade).collect();
        open.iter().filter(|entry| entry.is_orphan()).for_each(|entry| entry.reset());
    }

    fn count_damage(&self, count: u64, what: &str) {
        self.corrupt.fetch_add(count, Ordering::Relaxed);
        warn!("damaged in the disk cache, fetched again when needed: {what:?}");
    }

    /// Something could not be written.
    fn failed(&self, error: &io::Error) {
        let shown = self.settings.dir.display();
        match trouble(error) {
            Trouble::Descriptors => self.close_some(),
            Trouble::Gone => self.health.pause(format!("{shown} was removed"), false),
            Trouble::Broken => self.health.pause(format!("{shown}: {error}"), true),
            Trouble::Unwritable | Trouble::Odd => self.health.pause(format!("{shown}: {error}"), false),
        }
    }

    /// Something could not be looked for.
    fn failed_to_read(&self, error: &io::Error) {
        match trouble(error) {
            Trouble::Descriptors => self.close_some(),
            Trouble::Broken => self.failed(error),
            _ => {}
        }
    }

    /// Milliseconds since the tier was opened; never 0, which stands for never.
    fn milliseconds(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1 << 20)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(root) = self.root.get_mut().take() {
            self.space.give_back(&root);
        }
    }
}
