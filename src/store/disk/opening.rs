//! What is known of an entry in memory, and its files: opened, made, sealed, closed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::store::disk::bits::Bits;
use crate::store::disk::entry::Entry;
use crate::store::disk::format;
use crate::store::disk::handle::{Closed, Handle, Table};
use crate::store::disk::root::Root;
use crate::store::disk::space;
use crate::sys::beneath;
use crate::sys::files::{Trouble, trouble};

/// How often an open object's name is looked for before it is written to, in milliseconds.
const LOOK: u64 = 1000;

/// Why nothing can be written.
pub(super) enum Denied {
    /// There is no room for another object.
    Full,
    /// It is not there, or not to be written any more.
    No,
    /// The disk or the process is in trouble.
    Failed(io::Error),
}

impl Entry {
    pub(super) fn mark(&self, block: u64) {
        let stored = self.stored.get_or_init(|| Bits::new(self.identity.blocks()));
        if stored.set(block) {
            self.count.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// `true`, for callers that count.
    pub(super) fn unmark(&self, block: u64, handle: &Handle) -> bool {
        handle.distrust(block);
        self.forget(block);
        true
    }

    pub(super) fn forget(&self, block: u64) {
        if self.stored.get().is_some_and(|stored| stored.clear(block)) {
            self.count.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Takes back damaged blocks.
    pub(super) fn lose(&self, handle: &Handle, damaged: &[u64]) {
        self.disk.count_damage(damaged.len() as u64, &self.identity.id);
        if handle.sealed.load(Ordering::Acquire) || self.is_complete() {
            // Never modified, by whomever it was sealed: removed.
            self.remove();
            return;
        }
        for block in damaged {
            // The map first: the writer believes it.
            let _ = handle.erase(*block);
            self.unmark(*block, handle);
        }
    }

    /// Nothing is stored: it is gone from the disk.
    pub(super) fn reset(&self) {
        let mut slot = self.slot.write();
        *slot = None;
        self.empty();
    }

    fn empty(&self) {
        let stored = self.stored.get_or_init(|| Bits::new(self.identity.blocks()));
        (0..self.identity.blocks()).filter(|block| stored.get(*block)).for_each(|block| self.forget(block));
    }

    /// Its open files; opened when they are not, and made when `make`.
    pub(super) fn open(&self, make: bool) -> Result<Arc<Handle>, Denied> {
        if let Some(handle) = &*self.slot.read() {
            return Ok(Arc::clone(handle));
        }
        let root = self.disk.root().ok_or(Denied::No)?;
        let mut slot = self.slot.write();
        if let Some(handle) = &*slot {
            return Ok(Arc::clone(handle));
        }
        for _ in 0..3 {
            if self.is_ended() {
                break;
            }
            match Handle::open(&root, &self.identity, &self.key) {
                Ok((handle, table)) => {
                    let handle = Arc::new(handle);
                    *slot = Some(Arc::clone(&handle));
                    self.take_in(&table);
                    drop(slot);
                    self.used.store(self.disk.milliseconds(), Ordering::Relaxed);
                    self.disk.opened(self.me.clone());
                    // Nothing to read depends on it; who writes tries again and sees the error.
                    let _ = self.point(&root);
                    return Ok(handle);
                }
                Err(Closed::Gone) => {
                    self.empty();
                    self.pointed.store(false, Ordering::Release);
                    if !make {
                        break;
                    }
                    self.make(&root)?;
                }
                Err(Closed::Damaged) => {
                    self.empty();
                    // Another process may just have removed it: then it only looked damaged.
                    if let Some(bytes) = root.remove_object(&self.key) {
                        self.disk.count_damage(1, &self.identity.id);
                        space::release(&root, bytes);
                    }
                }
                Err(Closed::Busy) => break,
                Err(Closed::Failed(error)) if trouble(&error) == Trouble::Descriptors => {
                    self.disk.close_some();
                }
                Err(Closed::Failed(error)) => {
                    if trouble(&error) == Trouble::Broken {
                        self.disk.failed(&error);
                    }
                    return Err(Denied::Failed(error));
                }
            }
        }
        Err(Denied::No)
    }

    /// Makes this the version that is found, the first time that it is opened.
    fn point(&self, root: &Root) -> io::Result<()> {
        if self.pointed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let name = format::pointer_name(&self.identity.id);
        if root.pointer(&name).is_ok_and(|held| held == Some(self.key)) {
            return Ok(());
        }
        root.point(&name, &self.key).inspect_err(|_| self.pointed.store(false, Ordering::Release))
    }

    fn make(&self, root: &Root) -> Result<(), Denied> {
        let Some(header) = format::encode(&self.identity) else {
            self.end();
            return Err(Denied::No);
        };
        let map = header.len() as u64 + self.identity.map_bytes();
        match self.disk.space.take(root, space::of_object(map)) {
            Ok(true) => root.make_object(&self.identity, &header).map_err(|error| {
                if error.kind() == io::ErrorKind::FileTooLarge {
                    self.end();
                    return Denied::No;
                }
                Denied::Failed(error)
            }),
            Ok(false) => Err(Denied::Full),
            Err(error) => Err(Denied::Failed(error)),
        }
    }

    fn take_in(&self, table: &Table) {
        let stored = self.stored.get_or_init(|| Bits::new(self.identity.blocks()));
        for (block, entry) in (0..).zip(table) {
            match entry {
                Some(_) => self.mark(block),
                None if stored.get(block) => self.forget(block),
                None => {}
            }
        }
    }

    /// Learns of blocks that other processes have stored meanwhile.
    pub(super) fn refresh(&self) {
        let Ok(handle) = self.open(false) else { return };
        let table = handle.table(0..self.identity.blocks()).unwrap_or_default();
        (0..).zip(table).filter(|(_, entry)| entry.is_some()).for_each(|(block, _)| self.mark(block));
    }

    /// The same, where the map has been written to since it was looked at last.
    pub fn refresh_if_changed(&self) {
        let Ok(handle) = self.open(false) else { return };
        let written = beneath::about(&handle.map).ok().map(|about| about.modified);
        if std::mem::replace(&mut *handle.seen.lock(), written) != written || written.is_none() {
            self.refresh();
        }
    }

    /// Its files to write to, with a pointer that leads to them.
    pub(super) fn writable(&self) -> Result<Arc<Handle>, Denied> {
        let mut handle = self.open(true)?;
        let now = self.disk.milliseconds();
        if now.saturating_sub(handle.looked.swap(now, Ordering::Relaxed)) >= LOOK
            && !beneath::has_name(&handle.data)
        {
            // Removed by another process, or by hand.
            self.reset();
            self.pointed.store(false, Ordering::Release);
            handle = self.open(true)?;
        }
        if handle.sealed.load(Ordering::Acquire) {
            return Err(Denied::No);
        }
        if !handle.writable {
            // Opened while nothing could be written; the next try opens it anew.
            self.close();
            return Err(Denied::Failed(io::ErrorKind::ReadOnlyFilesystem.into()));
        }
        if let Some(root) = self.disk.root() {
            self.point(&root).map_err(Denied::Failed)?;
        }
        Ok(handle)
    }

    /// Writes down that it is complete, if it is, and has the checksum that is expected.
    pub(super) fn seal(&self) {
        let Ok(handle) = self.open(false) else { return };
        if self.is_complete()
            && handle.writable
            && !handle.sealed.load(Ordering::Acquire)
            && self.is_right()
            && let Err(error) = handle.seal(self.identity.blocks())
        {
            self.disk.failed(&error);
        }
    }

    /// Closes its files, if nobody reads now.
    pub(super) fn close(&self) -> bool {
        self.slot.try_write().is_some_and(|mut slot| slot.take().is_some())
    }

    /// Whether its files are closed; not known while somebody opens or closes them.
    pub(super) fn is_closed(&self) -> bool {
        self.slot.try_read().is_some_and(|slot| slot.is_none())
    }

    /// Whether its files are open but have no name any more.
    pub(super) fn is_orphan(&self) -> bool {
        let slot = self.slot.try_read();
        slot.is_some_and(|slot| slot.as_ref().is_some_and(|handle| !beneath::has_name(&handle.data)))
    }
}
