//! Blocks of remote files: from memory, else from the transfer that is already bringing them, else from a
//! new one. Whoever asks, a block is downloaded once.
//!
//! An [`Object`] is one version of one remote file. Its blocks are published one by one as their bytes
//! arrive, so a reader at the front of a long transfer does not wait for its end. A server without
//! ranges is the same thing with one transfer for the whole file (`flight`). A disk tier belongs between
//! `memory` and the transfers: it would be asked where `claim` finds a block missing, and given each
//! block where `Object::publish` puts it into memory.

mod ahead;
mod claim;
mod flight;
mod length;
pub mod memory;
mod object;

use std::fs::File;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use lru::LruCache;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use url::Url;

use crate::error::{Error, ErrorKind, Result, fail};
use crate::fetch::Fetch;
use crate::object::{ByteRange, ObjectId};
use crate::store::claim::Claimed;
use crate::store::memory::Memory;
pub use crate::store::object::Object;

/// Bytes in a block: the least that is fetched for a jump (read-path.md 5.1: 64 to 128 KiB).
pub const BLOCK: u64 = 64 * 1024;

/// Objects whose length, version and cached blocks are remembered; the least recently opened goes first.
const REMEMBERED: usize = 20_000;

/// How a file of a kind is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// In parts: only what is read, and some more when reads run on.
    Parts,
    /// Always from end to end, as Zarr chunks are: one request for all of it.
    Whole,
}

/// A remote file as the tree knows it, before anything has been asked of it.
#[derive(Clone)]
pub struct Remote {
    /// Its identity, whatever path it is shown under.
    pub id: ObjectId,
    /// Where it is.
    pub url: Url,
    /// The length that the catalogue tells.
    pub length: Option<u64>,
    /// How programs read it.
    pub access: Access,
    /// The door to its service.
    pub fetch: Fetch,
}

/// Blocks to get hold of, as the reader decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Blocks that one request should bring: those of the read, and more when reads run on.
    pub fetch: Range<u64>,
    /// How many blocks behind `fetch` should be there or on their way; they are asked for only when a
    /// slot is free.
    pub ahead: u64,
}

/// All blocks of all objects. Clones share it.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    memory: Memory,
    objects: Mutex<LruCache<ObjectId, Arc<Object>>>,
    /// Reads that are answered in place come from threads outside the runtime.
    runtime: Handle,
}

impl Store {
    /// A store that keeps at most `memory` bytes of blocks; its transfers run on `runtime`.
    pub fn new(memory: u64, runtime: Handle) -> Self {
        let remembered = NonZeroUsize::new(REMEMBERED).unwrap_or(NonZeroUsize::MIN);
        let objects = Mutex::new(LruCache::new(remembered));
        Self(Arc::new(Inner { memory: Memory::new(memory), objects, runtime }))
    }

    /// The current version of `remote`. A version that was found stale is not given out again.
    pub fn object(&self, remote: &Remote) -> Arc<Object> {
        let mut objects = self.0.objects.lock();
        match objects.get(&remote.id) {
            Some(object) if !object.is_stale() => Arc::clone(object),
            before => {
                let told = before.and_then(|stale| stale.told_length());
                let object =
                    Object::new(remote, told.or(remote.length), self.0.memory.clone(), &self.0.runtime);
                objects.put(remote.id.clone(), Arc::clone(&object));
                object
            }
        }
    }

    /// The length of `remote`, as far as it is known without asking.
    pub fn known_length(&self, remote: &Remote) -> Option<u64> {
        // Out of the table first: nobody waits for one object while holding up all.
        let object = self.0.objects.lock().peek(&remote.id).cloned();
        let learnt = object.and_then(|object| match object.is_stale() {
            true => object.told_length(),
            false => object.known_length(),
        });
        learnt.or(remote.length)
    }

    /// Learns the length of `remote` without its bytes, where its service can tell it so.
    ///
    /// # Errors
    /// What the service met.
    pub async fn ask_length(&self, remote: &Remote) -> Result<()> {
        let object = self.object(remote);
        if object.known_length().is_none()
            && let Some(length) = remote.fetch.length(&remote.url).await?
        {
            object.tell_length(&length);
        }
        Ok(())
    }

    /// What the last transfer of `remote` met, if it failed a moment ago.
    pub fn last_error(&self, remote: &Remote) -> Option<Error> {
        let object = self.0.objects.lock().peek(&remote.id).cloned();
        object?.last_error()
    }

    /// The whole of this version as a file on disk, verified, if it is there.
    pub fn complete_file(&self, object: &Object) -> Option<Arc<File>> {
        object.complete_file()
    }

    /// The last handle of this version has been closed: transfers that nobody waits for may end.
    pub fn closed(&self, _object: &Arc<Object>) {}

    /// The bytes of `range` if all of them are in memory: for answers in place.
    pub fn ready(&self, object: &Arc<Object>, range: ByteRange, plan: &Plan) -> Option<Bytes> {
        if object.is_stale() {
            return None;
        }
        let range = range.clamp_to(object.known_length()?);
        let blocks = covering(range);
        let last = blocks.end.saturating_sub(1);
        let bytes = if blocks.end - blocks.start == 1 {
            part(&self.0.memory.get(object.key(blocks.start))?, blocks.start, range)
        } else {
            let found: Option<Vec<Bytes>> =
                blocks.clone().map(|block| self.0.memory.get(object.key(block))).collect();
            join(blocks, &found?, range)
        };
        if bytes.len() as u64 != range.len() {
            return None;
        }
        object.note_interest(last);
        object.read_ahead(plan);
        Some(bytes)
    }

    /// The bytes of `range`, exactly, up to the object's end.
    ///
    /// # Errors
    /// What the transfer of any of its blocks met; `Changed` once the object was found to have changed.
    pub async fn read(&self, object: &Arc<Object>, range: ByteRange, plan: &Plan) -> Result<Bytes> {
        let length = object.length().await?;
        let range = range.clamp_to(length);
        let blocks = covering(range);
        let fetch_end = plan.fetch.end.max(blocks.end).min(length.div_ceil(BLOCK));
        // All blocks are claimed before the first is waited for, so that they come in one request.
        let mut claims: Vec<Claimed> = blocks.clone().map(|block| object.claim(block..fetch_end)).collect();
        object.read_ahead(plan);
        let mut found = Vec::with_capacity(claims.len());
        for (block, claim) in blocks.clone().zip(claims.drain(..)) {
            let mut claim = claim;
            found.push(loop {
                match claim {
                    Claimed::Here(bytes) => break bytes,
                    Claimed::Awaited(awaited) => match awaited.wait().await? {
                        Some(bytes) => break bytes,
                        None => claim = object.claim(block..fetch_end),
                    },
                }
            });
        }
        let joined = join(blocks, &found, range);
        if joined.len() as u64 != range.len() {
            // Never short (contract.md 3.1), whatever went wrong before.
            let path = object.remote.url.path();
            return fail(
                ErrorKind::Corrupt,
                format!("{path}: {} bytes where {} are", joined.len(), range.len()),
            );
        }
        Ok(joined)
    }

    /// Bytes of blocks held in memory.
    pub fn memory_used(&self) -> u64 {
        self.0.memory.used()
    }
}

/// The blocks that hold `range`; none for an empty range.
pub fn covering(range: ByteRange) -> Range<u64> {
    if range.is_empty() { 0..0 } else { range.start / BLOCK..range.end.div_ceil(BLOCK) }
}

/// The part of `range` that lies in `bytes`, which is block number `block`.
fn part(bytes: &Bytes, block: u64, range: ByteRange) -> Bytes {
    let base = block * BLOCK;
    let held = bytes.len();
    let within = |offset: u64| usize::try_from(offset.saturating_sub(base)).unwrap_or(held).min(held);
    bytes.slice(within(range.start)..within(range.end))
}

/// One buffer out of consecutive blocks: the kernel's reply is a single slice (fuse.md 3).
fn join(blocks: Range<u64>, found: &[Bytes], range: ByteRange) -> Bytes {
    if let [only] = found {
        return part(only, blocks.start, range);
    }
    let mut joined = BytesMut::with_capacity(usize::try_from(range.len()).unwrap_or(0));
    for (block, bytes) in blocks.zip(found) {
        joined.extend_from_slice(&part(bytes, block, range));
    }
    joined.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_out_of_blocks() {
        let blocks = [Bytes::from(vec![1; BLOCK as usize]), Bytes::from(vec![2; 10])];
        let range = ByteRange::new(BLOCK - 2, BLOCK + 3);
        assert_eq!(covering(range), 0..2);
        assert_eq!(join(covering(range), &blocks, range).as_ref(), [1, 1, 2, 2, 2]);
        assert_eq!(covering(ByteRange::new(7, 7)), 0..0);
        assert_eq!(part(&blocks[1], 1, ByteRange::new(BLOCK + 8, BLOCK + 10)).as_ref(), [2, 2]);
    }
}
