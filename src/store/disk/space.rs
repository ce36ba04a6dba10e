//! How much may be stored, by all daemons together.
//!
//! The file `usage` holds the bytes that are taken, under a lock. A daemon takes a lump at a time and spends it
//! without looking there again, so that writing a block costs no lock. What a killed daemon had not spent stays
//! taken until the next sweep counts anew.

use std::io::{self, Read, Seek, Write};
use std::ops::Range;

use parking_lot::Mutex;

use crate::store::BLOCK;
use crate::store::disk::root::Root;
use crate::sys::beneath::{Access, Directory};

const USAGE: &str = "usage";
/// What an object costs beside the blocks of its two files: its directory and its pointer.
pub(super) const OVERHEAD: u64 = 8192;
/// The most that one daemon sets aside.
const LUMP: u64 = 64 << 20;

/// The room of one daemon.
pub(super) struct Space {
    pub(super) limit: u64,
    pub(super) min_free: u64,
    pub(super) lump: u64,
    left: Mutex<u64>,
}

impl Space {
    pub(super) fn new(limit: u64, min_free: u64) -> Self {
        let lump = (limit / 32).clamp(2 * BLOCK, LUMP);
        Self { limit, min_free, lump, left: Mutex::new(0) }
    }

    /// Takes `bytes`; `false` when there is no room for them, or nobody knows how much there is.
    pub(super) fn take(&self, root: &Root, bytes: u64) -> io::Result<bool> {
        let mut left = self.left.lock();
        if *left < bytes {
            // Never more than this is set aside: who counts relies on it.
            let more = self.lump.max(bytes) - *left;
            present(root)?;
            let mut usage = Usage::open(root)?;
            let Some(taken) = usage.get()? else { return Ok(false) };
            let free = root.top.free()?;
            if taken.saturating_add(more) > self.limit || free < self.min_free.saturating_add(more) {
                return Ok(false);
            }
            usage.set(taken + more)?;
            *left += more;
        }
        *left -= bytes;
        Ok(true)
    }

    /// Why there is no room, for a person.
    pub(super) fn complaint(&self) -> String {
        let (size, free) = (self.limit, self.min_free);
        format!(
            "no room: {size} bytes (`[cache] size`) for all daemons, {free} to leave free (`[cache] min_free`)"
        )
    }

    /// Gives back what is not spent.
    pub(super) fn give_back(&self, root: &Root) {
        let left = std::mem::take(&mut *self.left.lock());
        if left > 0 {
            release(root, left);
        }
    }

    /// Forgets what is not spent: the directory that it was for is gone.
    pub(super) fn forget(&self) {
        *self.left.lock() = 0;
    }

    /// What may be set aside and is not spent: exactly for this daemon, as much as possible for others.
    pub(super) fn reserved(&self, root: &Root) -> io::Result<u64> {
        let _usage = Usage::open(root)?;
        Ok(others(root)?.saturating_mul(self.lump).saturating_add(*self.left.lock()))
    }

    /// Bytes taken by all daemons, without what this one has not spent.
    pub(super) fn used(&self, root: &Root) -> u64 {
        let left = *self.left.lock();
        peek(root).unwrap_or(0).saturating_sub(left)
    }
}

/// `bytes` were removed.
pub(super) fn release(root: &Root, bytes: u64) {
    // At worst the next sweep comes too early.
    let _ = Usage::open(root).and_then(|mut usage| match usage.get()? {
        Some(taken) => usage.set(taken.saturating_sub(bytes)),
        None => Ok(()),
    });
}

/// What is taken, without waiting for the lock.
pub(super) fn peek(root: &Root) -> Option<u64> {
    let file = root.top.file(USAGE, Access::Read).ok()?;
    Usage(file).get().ok()?
}

/// The locked file.
pub(super) struct Usage(std::fs::File);

impl Usage {
    pub(super) fn open(root: &Root) -> io::Result<Self> {
        root.lock(USAGE).map(Self)
    }

    /// `None` when it is new or damaged.
    pub(super) fn get(&mut self) -> io::Result<Option<u64>> {
        let mut bytes = [0; 16];
        self.0.rewind()?;
        match self.0.read_exact(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let value = u128::from_le_bytes(bytes);
        let (taken, check) = (value as u64, (value >> 64) as u64);
        Ok((check == !taken).then_some(taken))
    }

    pub(super) fn set(&mut self, taken: u64) -> io::Result<()> {
        self.0.rewind()?;
        self.0.write_all(&(u128::from(!taken) << 64 | u128::from(taken)).to_le_bytes())
    }
}

/// Shows other daemons that this one may hold a lump.
fn present(root: &Root) -> io::Result<()> {
    let mut presence = root.presence.lock();
    if presence.is_none() {
        // Under the lock of the usage: whoever counts daemons must not find a file that is not locked yet.
        let _usage = Usage::open(root)?;
        *presence = Some(root.lock(&format!("daemons/{}", root.unique()))?);
    }
    Ok(())
}

/// How many other daemons may hold a lump; the marks of dead ones are removed. Call it with the usage locked.
fn others(root: &Root) -> io::Result<u64> {
    let directory = root.top.directory("daemons")?;
    let mut alive = 0;
    for name in directory.names()? {
        let held = name.to_str().and_then(|name| directory.file(name, Access::Write).ok());
        if held.is_some_and(|file| matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock))) {
            alive += 1;
        } else {
            directory.remove_tree(&name)?;
        }
    }
    Ok(alive - u64::from(alive > 0 && root.presence.lock().is_some()))
}

/// What an object takes on the disk.
pub(super) fn taken(object: &Directory) -> u64 {
    let size = |name| object.about(name).map_or(0, |about| about.allocated);
    size("data") + size("map") + OVERHEAD
}

/// What making an object costs before its first block.
pub(super) fn of_object(map: u64) -> u64 {
    OVERHEAD + map.next_multiple_of(4096)
}

/// What `blocks` of an object of `length` bytes cost.
pub(super) fn of_blocks(blocks: &Range<u64>, length: u64) -> u64 {
    let end = (blocks.end * BLOCK).min(length);
    end.saturating_sub(blocks.start * BLOCK).next_multiple_of(4096)
}
