//! Comparing a complete object with the checksum that the catalogue tells: by the thread that seals, behind the back of
//! whoever reads. What is sealed has passed it.

use std::sync::atomic::Ordering;

use crate::object::{ByteRange, Checksum};
use crate::store::BLOCK;
use crate::store::disk::entry::Entry;
use crate::store::disk::writer::Seal;

/// Blocks that are read at once.
const STRIDE: u64 = 16;

/// What an object should be, and whom to tell if it is not.
pub(super) struct Expected {
    checksum: Checksum,
    tell: Box<dyn Fn() + Send + Sync>,
}

impl Entry {
    /// From now on all of it must have this checksum; `tell` is called if it does not, when it is gone from the disk. What
    /// is complete and was not checked yet is checked soon.
    pub fn expect(&self, checksum: Checksum, tell: impl Fn() + Send + Sync + 'static) {
        *self.expected.lock() = Some(Expected { checksum, tell: Box::new(tell) });
        if self.is_complete()
            && !self.is_sealed()
            && let Some(me) = self.me.upgrade()
        {
            let _ = self.disk.sealing.try_send(Seal::Entry(me));
        }
    }

    /// Whether it was written down as complete, and so had its checksum if one was expected.
    pub fn is_sealed(&self) -> bool {
        let slot = self.slot.read();
        slot.as_ref().is_some_and(|handle| handle.sealed.load(Ordering::Acquire))
    }

    /// Whether it has the checksum that is expected; else it is removed. `false` also when it cannot be read. Reads all
    /// of it.
    pub(super) fn is_right(&self) -> bool {
        let Some(checksum) = self.expected.lock().as_ref().map(|expected| expected.checksum.clone()) else {
            return true;
        };
        let mut hasher = checksum.begin();
        for first in (0..self.identity.blocks()).step_by(usize::try_from(STRIDE).unwrap_or(1)) {
            // A block that the disk has damaged is not the service's fault: it is fetched again, and this comes again.
            match self.read(ByteRange::new(first * BLOCK, (first + STRIDE) * BLOCK)) {
                Some(bytes) => hasher.update(&bytes),
                None => return false,
            }
        }
        if checksum.is(hasher) {
            return true;
        }
        self.disk.count_damage(1, &self.identity.id);
        self.discard();
        if let Some(expected) = &*self.expected.lock() {
            (expected.tell)();
        }
        false
    }
}
