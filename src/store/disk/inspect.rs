//! The disk tier seen from outside, beside the daemons that use it: what is there, whether it is sound, clearing it.

use std::path::Path;
use std::time::SystemTime;

use crate::error::Result;
use crate::store::BLOCK;
use crate::store::disk::format::{self, Block, ENTRY, Identity, Key};
use crate::store::disk::handle::{Closed, Handle, Told};
use crate::store::disk::root::Root;
use crate::store::disk::space;
use crate::sys::beneath::{self, Access};
use crate::sys::files::{self, Wait};

/// Bytes that are checked at once.
const STRIDE: u64 = 16 * BLOCK;

/// The directory of the disk tier, as it is.
pub struct Inspector(Root);

/// One version of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its service and address; as told by a service, so it may hold control characters.
    pub object: String,
    /// Bytes in the object.
    pub length: u64,
    /// Bytes of it that are stored.
    pub stored: u64,
    /// Whether all of it is stored and was written down as complete.
    pub complete: bool,
    /// When it was last used, to the minute.
    pub used: SystemTime,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Objects that are sound.
    pub sound: u64,
    /// Objects that were damaged, and are removed.
    pub damaged: Vec<String>,
    /// Objects that could not be read, with the reason; they are left as they are.
    pub unread: Vec<String>,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    /// Objects.
    pub objects: u64,
    /// Bytes that they took on the disk.
    pub bytes: u64,
}

impl Inspector {
    /// The tier in `dir`; `None` when nothing was ever stored there.
    ///
    /// # Errors
    /// `Configuration` when it belongs to somebody else, lies on a mount of ours, or cannot be opened.
    pub fn open(dir: &Path) -> Result<Option<Self>> {
        Ok(Root::existing(dir)?.map(Self))
    }

    /// All objects, the one used last first.
    pub fn objects(&self) -> Vec<Stored> {
        let mut objects: Vec<Stored> =
            self.0.keys("objects", false).iter().filter_map(|key| self.object(key)).collect();
        objects.sort_by(|one, other| (other.used, &one.object).cmp(&(one.used, &other.object)));
        objects
    }

    /// Bytes that are taken, and those that daemons have set aside.
    pub fn used(&self) -> u64 {
        space::peek(&self.0).unwrap_or(0)
    }

    /// Checks all blocks of all objects; removes the objects that are damaged.
    pub fn verify(&self) -> Verdict {
        let mut verdict = Verdict::default();
        for key in self.0.keys("objects", false) {
            let identity = self.identity(&key);
            let shown = identity.as_ref().map_or_else(|| format::hex(&key), |identity| identity.id.clone());
            match identity.map_or(Err(Closed::Damaged), |identity| self.check(&identity, &key)) {
                Ok(()) => verdict.sound += 1,
                Err(Closed::Gone | Closed::Busy) => {}
                Err(Closed::Damaged) => {
                    if self.remove(&key).is_some() {
                        verdict.damaged.push(shown);
                    }
                }
                Err(Closed::Failed(error)) => verdict.unread.push(format!("{shown}: {error}")),
            }
        }
        verdict
    }

    /// Removes all objects, or those whose name contains `text`. Daemons that use them go on, and store anew.
    pub fn clear(&self, text: Option<&str>) -> Cleared {
        let mut cleared = Cleared::default();
        for key in self.0.keys("objects", text.is_none()) {
            let identity = self.identity(&key);
            let named = |text: &str| identity.as_ref().is_some_and(|identity| identity.id.contains(text));
            if text.is_none_or(named)
                && let Some(bytes) = self.remove(&key)
            {
                cleared.objects += 1;
                cleared.bytes += bytes;
                if let Some(identity) = &identity {
                    self.0.unpoint(&format::pointer_name(&identity.id), &key);
                }
            }
        }
        cleared
    }

    fn remove(&self, key: &Key) -> Option<u64> {
        let bytes = self.0.remove_object(key)?;
        space::release(&self.0, bytes);
        Some(bytes)
    }

    fn map(&self, key: &Key) -> Option<std::fs::File> {
        let object = self.0.parent("objects", key, false).ok()?.directory(&format::hex(key)).ok()?;
        object.file("map", Access::Read).ok()
    }

    fn identity(&self, key: &Key) -> Option<Identity> {
        let header = format::read_header(&self.map(key)?).ok()??;
        (header.identity.key() == *key).then_some(header.identity)
    }

    fn object(&self, key: &Key) -> Option<Stored> {
        let map = self.map(key)?;
        let header = format::read_header(&map).ok()??;
        let identity = header.identity;
        let length = usize::try_from(identity.blocks() * ENTRY).ok()?;
        let table = files::read(&map, header.table, length, Wait::Allowed).ok()?;
        let blocks = (0..).zip(table.chunks_exact(8)).filter(|(_, entry)| Block::from_bytes(entry).is_some());
        let stored = blocks.map(|(block, _)| BLOCK.min(identity.length.saturating_sub(block * BLOCK))).sum();
        Some(Stored {
            length: identity.length,
            stored,
            complete: header.mark.is_some(),
            used: beneath::about(&map).ok()?.modified,
            object: identity.id,
        })
    }

    fn check(&self, identity: &Identity, key: &Key) -> std::result::Result<(), Closed> {
        let (handle, _) = Handle::open(&self.0, identity, key)?;
        for begin in (0..identity.length).step_by(usize::try_from(STRIDE).unwrap_or(1)) {
            let first = begin / BLOCK;
            let told = handle.told(key, first..(first + STRIDE / BLOCK).min(identity.blocks()))?;
            if told.iter().all(|told| matches!(told, Told::Missing)) {
                continue;
            }
            let length = usize::try_from(STRIDE.min(identity.length - begin)).unwrap_or(0);
            let bytes = files::read(&handle.data, begin, length, Wait::Allowed)?;
            let parts = bytes.chunks(usize::try_from(BLOCK).unwrap_or(1));
            let mut parts = parts.chain(std::iter::repeat(&[][..]));
            for ((block, told), part) in (first..).zip(told).zip(&mut parts) {
                match told {
                    Told::Sums(sums) if format::sums(key, block, part) == sums => {}
                    Told::Missing => {}
                    Told::Sums(_) | Told::Nonsense => return Err(Closed::Damaged),
                }
            }
        }
        Ok(())
    }
}
