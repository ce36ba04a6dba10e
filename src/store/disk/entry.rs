//! One version of one object on disk: reading it, and what is known of it in memory.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use crate::object::{ByteRange, Validator};
use crate::store::disk::Inner;
use crate::store::disk::bits::Bits;
use crate::store::disk::checking::Expected;
use crate::store::disk::format::{self, Identity, Key, PAGE, PAGES};
use crate::store::disk::handle::{Handle, Told};
use crate::store::disk::space;
use crate::store::{BLOCK, covering};
use crate::sys::files::{self, Trouble, Wait, trouble};

/// Blocks that are checked at once when a whole object is.
const STRIDE: u64 = 16;

/// One version of one object on disk. While it is not used it is small: a bit for each block.
pub struct Entry {
    pub(super) disk: Arc<Inner>,
    pub(super) identity: Identity,
    pub(super) key: Key,
    version: Validator,
    pub(super) me: Weak<Self>,
    /// Which blocks are stored; none before anybody has looked.
    pub(super) stored: OnceLock<Bits>,
    pub(super) count: AtomicU64,
    /// A reader holds it while it reads; so holes are made under nobody.
    pub(super) slot: RwLock<Option<Arc<Handle>>>,
    /// When it was last read, and when that was last written down, in milliseconds of the tier's clock.
    pub(super) used: AtomicU64,
    touched: AtomicU64,
    /// Nothing more is stored of it.
    pub(super) ended: AtomicBool,
    pub(super) pointed: AtomicBool,
    /// What all of it should be.
    pub(super) expected: Mutex<Option<Expected>>,
}

impl Entry {
    pub(super) fn new(disk: &Arc<Inner>, identity: Identity, key: Key) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            disk: Arc::clone(disk),
            version: identity.version(),
            identity,
            key,
            me: me.clone(),
            stored: OnceLock::new(),
            count: AtomicU64::new(0),
            slot: RwLock::default(),
            used: AtomicU64::new(0),
            touched: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            pointed: AtomicBool::new(false),
            expected: Mutex::default(),
        })
    }

    /// Bytes in the object.
    pub fn length(&self) -> u64 {
        self.identity.length
    }

    /// What the server said about the version when it was stored.
    pub fn version(&self) -> &Validator {
        &self.version
    }

    /// What the catalogue said about the version when it was stored.
    pub fn updated(&self) -> Option<&str> {
        self.identity.updated.as_deref()
    }

    /// Whether the block is stored, as far as is known in memory; its bytes may turn out damaged. Never blocks.
    pub fn holds(&self, block: u64) -> bool {
        self.stored.get().is_some_and(|stored| stored.get(block))
    }

    /// The bytes of `range` if they can be had at once: all its blocks are stored and trusted (checked or written
    /// by this process), and the page cache has all of it. Never blocks: for FUSE threads.
    pub fn read_now(&self, range: ByteRange) -> Option<Bytes> {
        let range = range.clamp_to(self.length());
        let slot = self.slot.try_read()?;
        let handle = slot.as_ref()?;
        if !handle.trusted.all(pages(range)) {
            return None;
        }
        self.note_use();
        let length = usize::try_from(range.len()).ok()?;
        let bytes = files::read(&handle.data, range.start, length, handle.at_once).ok()?;
        (bytes.len() == length).then(|| bytes.into())
    }

    /// The bytes of `range`, each page checked against its checksum the first time. `None` when a block is
    /// missing or damaged; then it does not count as stored any more, and the caller downloads it. Blocks on the
    /// disk: for the blocking pool.
    pub fn read(&self, range: ByteRange) -> Option<Bytes> {
        let range = range.clamp_to(self.length());
        let blocks = covering(range);
        let missing = |stored: &Bits| !stored.all(blocks.clone());
        if !self.disk.health.may_read() || self.stored.get().is_some_and(missing) {
            return None;
        }
        self.open(false).ok()?;
        let slot = self.slot.read();
        let handle = Arc::clone(slot.as_ref()?);
        if self.stored.get().is_none_or(missing) {
            return None;
        }
        self.note_use();
        let (bytes, damaged) = match self.read_checked(&handle, range, &blocks) {
            Ok(read) => read,
            Err(error) => {
                drop(slot);
                self.disk.failed(&error);
                if trouble(&error) == Trouble::Broken {
                    // A bad sector must not stop everything again and again.
                    self.lose(&handle, &blocks.collect::<Vec<u64>>());
                }
                return None;
            }
        };
        // Sealed files are removed as a whole, which waits for readers.
        drop(slot);
        if damaged.is_empty() {
            return bytes;
        }
        self.lose(&handle, &damaged);
        None
    }

    /// The bytes, or the blocks that are damaged.
    fn read_checked(
        &self,
        handle: &Handle,
        range: ByteRange,
        blocks: &Range<u64>,
    ) -> io::Result<(Option<Bytes>, Vec<u64>)> {
        let pages = pages(range);
        let checked = handle.trusted.all(pages.clone());
        let end = if checked { range.end } else { (pages.end * PAGE).min(self.length()) };
        let start = if checked { range.start } else { pages.start * PAGE };
        let length = usize::try_from(end - start).unwrap_or(usize::MAX);
        let bytes = Bytes::from(files::read(&handle.data, start, length, Wait::Allowed)?);
        if checked {
            let whole = bytes.len() == length;
            return Ok(if whole { (Some(bytes), Vec::new()) } else { (None, blocks.clone().collect()) });
        }
        let page = |page: u64| {
            let begin = usize::try_from((page - pages.start) * PAGE).ok()?;
            let size = usize::try_from(PAGE.min(self.length() - page * PAGE)).ok()?;
            bytes.get(begin..begin + size)
        };
        let mut damaged = Vec::new();
        let mut missing = false;
        for (block, told) in blocks.clone().zip(handle.told(&self.key, blocks.clone())?) {
            let wanted = pages.start.max(block * PAGES)..pages.end.min((block + 1) * PAGES);
            let mut unknown =
                wanted.clone().filter(|number| !handle.trusted.get(*number) || page(*number).is_none());
            match told {
                // Another process found it damaged.
                Told::Missing if unknown.next().is_some() => missing |= self.unmark(block, handle),
                Told::Nonsense if unknown.next().is_some() => damaged.push(block),
                Told::Missing | Told::Nonsense => {}
                Told::Sums(sums) => {
                    let right = |number: u64| {
                        page(number).is_some_and(|page| format::is_page(&self.key, number, page, &sums))
                    };
                    match unknown.find(|number| !right(*number)) {
                        Some(_) => damaged.push(block),
                        None => wanted.for_each(|number| _ = handle.trusted.set(number)),
                    }
                }
            }
        }
        if missing || !damaged.is_empty() {
            return Ok((None, damaged));
        }
        let (from, to) = (range.start - start, range.end - start);
        let (from, to) = (usize::try_from(from).unwrap_or(0), usize::try_from(to).unwrap_or(0));
        Ok(((to <= bytes.len()).then(|| bytes.slice(from..to)), damaged))
    }

    /// Hands a block over for writing; `bytes` is all of it. Never blocks: when nothing can be stored for now, the block
    /// is dropped, and when the queue is full; then this is `false`. [`Entry::holds`] is true once it is written.
    pub fn put(&self, block: u64, bytes: Bytes) -> bool {
        let size = self.length().saturating_sub(block.saturating_mul(BLOCK)).min(BLOCK);
        let wanted = size > 0 && bytes.len() as u64 == size && !self.holds(block);
        match self.me.upgrade() {
            Some(me) if wanted && !self.is_ended() && self.disk.health.may_write() => {
                self.disk.queue.put(me, block, bytes)
            }
            _ => true,
        }
    }

    /// The data file, when it is complete and was checked by this process: mode 0400, never modified any more,
    /// only unlinked. For FUSE passthrough. Opens a file the first time; blocks for no longer than that.
    pub fn complete_file(&self) -> Option<Arc<File>> {
        let slot = self.slot.try_read()?;
        let handle = slot.as_ref()?;
        if !handle.sealed.load(Ordering::Acquire) || handle.trusted.count() != handle.pages {
            return None;
        }
        if handle.whole.get().is_none() {
            let file = handle.reopen(&*self.disk.root()?, &self.key).ok()??;
            let _ = handle.whole.set(Arc::new(file));
        }
        self.note_use();
        handle.whole.get().cloned()
    }

    /// Checks all blocks of a complete entry, so that [`Entry::complete_file`] gives it. Whether it does now.
    /// Reads the whole file: for the blocking pool.
    pub fn verify(&self) -> bool {
        let blocks = self.identity.blocks();
        if self.open(false).is_err() || !self.is_complete() {
            return false;
        }
        for first in (0..blocks).step_by(usize::try_from(STRIDE).unwrap_or(1)) {
            let range = ByteRange::new(first * BLOCK, (first + STRIDE) * BLOCK);
            let trusted = |handle: &Arc<Handle>| handle.trusted.all(pages(range.clamp_to(self.length())));
            if !self.slot.read().as_ref().is_some_and(trusted) && self.read(range).is_none() {
                return false;
            }
        }
        self.seal();
        self.complete_file().is_some()
    }

    /// Bytes stored.
    pub fn stored(&self) -> u64 {
        let count = self.count.load(Ordering::Acquire);
        let last = self.identity.blocks().saturating_sub(1);
        let short = if self.holds(last) { (last + 1) * BLOCK - self.length() } else { 0 };
        (count * BLOCK).saturating_sub(short)
    }

    /// Whether all blocks are stored.
    pub fn is_complete(&self) -> bool {
        self.identity.blocks() > 0 && self.count.load(Ordering::Acquire) == self.identity.blocks()
    }

    /// Removes the version: it was found stale. Descriptors that are open keep working. Unlinks local files.
    pub fn discard(&self) {
        self.end();
        self.remove();
        if let Some(root) = self.disk.root() {
            root.unpoint(&format::pointer_name(&self.identity.id), &self.key);
        }
    }

    /// Nothing more is stored of it.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(super) fn remove(&self) {
        self.reset();
        if let Some(root) = self.disk.root()
            && let Some(bytes) = root.remove_object(&self.key)
        {
            space::release(&root, bytes);
        }
    }

    /// Counts as used now, without being read.
    pub fn touch(&self) {
        self.note_use();
    }

    /// Marks the use, for the order in which objects go. The time is written down now and then only.
    fn note_use(&self) {
        let now = self.disk.milliseconds();
        self.used.store(now, Ordering::Relaxed);
        let before = self.touched.load(Ordering::Relaxed);
        if now.saturating_sub(before) >= self.disk.tuning.touch
            && self.touched.swap(now, Ordering::Relaxed) == before
            && let Some(me) = self.me.upgrade()
        {
            self.disk.queue.touch(me);
        }
    }
}

/// The pages that hold `range`.
fn pages(range: ByteRange) -> Range<u64> {
    range.start / PAGE..range.end.div_ceil(PAGE).max(range.start / PAGE)
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.disk.deregister(&self.key);
    }
}
