//! Reads: bytes of a file out of blocks, wherever those are.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::error::{ErrorKind, Result, fail};
use crate::object::ByteRange;
use crate::store::claim::Claimed;
use crate::store::disk::Entry;
use crate::store::object::Object;
use crate::store::{BLOCK, Plan, Store, covering};

/// What can be had of a read without the network.
pub enum Ready {
    /// All of it, now.
    Here(Bytes),
    /// All of it is on disk.
    OnDisk(DiskRead),
    /// Not all of it.
    Not,
}

/// A read whose bytes are all on disk.
pub struct DiskRead {
    entry: Arc<Entry>,
    range: ByteRange,
}

impl DiskRead {
    /// The bytes if the page cache has all of them, and they were checked before. Never blocks.
    pub fn at_once(&self) -> Option<Bytes> {
        self.entry.read_now(self.range).filter(|bytes| bytes.len() as u64 == self.range.len())
    }

    /// The bytes; `None` when some turn out damaged, and have to be fetched. Blocks on the disk.
    pub fn run(&self) -> Option<Bytes> {
        self.entry.read(self.range).filter(|bytes| bytes.len() as u64 == self.range.len())
    }
}

impl Store {
    /// The bytes of `range` if all of them are in memory, or where they are if all of them are on disk: for answers in
    /// place. Never blocks.
    pub fn ready(&self, object: &Arc<Object>, range: ByteRange, plan: &Plan) -> Ready {
        let Some(length) = object.known_length().filter(|_| !object.is_stale()) else { return Ready::Not };
        let range = range.clamp_to(length);
        let blocks = covering(range);
        let ready = match (object.in_memory(&blocks, range), object.entry()) {
            (Some(bytes), _) => Ready::Here(bytes),
            (None, Some(entry)) if blocks.clone().all(|block| entry.holds(block)) => {
                Ready::OnDisk(DiskRead { entry: Arc::clone(entry), range })
            }
            (None, _) => Ready::Not,
        };
        match &ready {
            Ready::Here(bytes) if bytes.len() as u64 != range.len() => return Ready::Not,
            Ready::Not => return Ready::Not,
            Ready::Here(_) | Ready::OnDisk(_) => {}
        }
        object.note_interest(blocks.end.saturating_sub(1));
        object.read_ahead(&blocks, plan);
        ready
    }

    /// The bytes of `range`, exactly, up to the object's end.
    ///
    /// # Errors
    /// What the transfer of any of its blocks met; `Changed` once the object was found to have changed.
    pub async fn read(&self, object: &Arc<Object>, range: ByteRange, plan: &Plan) -> Result<Bytes> {
        let length = object.length().await?;
        let range = range.clamp_to(length);
        let blocks = covering(range);
        let joined = match self.read_stored(object, &blocks, range, plan).await {
            Some(bytes) => bytes,
            None => join(blocks.clone(), &self.read_blocks(object, &blocks, plan, length).await?, range),
        };
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

    /// In one read from disk, if all of it is there.
    async fn read_stored(
        &self,
        object: &Arc<Object>,
        blocks: &Range<u64>,
        range: ByteRange,
        plan: &Plan,
    ) -> Option<Bytes> {
        if object.is_stale() || !blocks.clone().all(|block| object.is_stored(block)) {
            return None;
        }
        object.read_ahead(blocks, plan);
        object.stored(range).await
    }

    pub(super) async fn read_blocks(
        &self,
        object: &Arc<Object>,
        blocks: &Range<u64>,
        plan: &Plan,
        length: u64,
    ) -> Result<Vec<Bytes>> {
        let claim = |block: u64| match plan.whole {
            true => object.claim_in_turn(block, object.segment(block, length)),
            false => object.claim(block, block..object.fetch_end(block, plan, length)),
        };
        // All blocks are claimed before the first is waited for, so that they come in one request.
        let mut claims: Vec<Claimed> = blocks.clone().map(claim).collect();
        object.read_ahead(blocks, plan);
        let mut found = Vec::with_capacity(claims.len());
        for (block, mut claimed) in blocks.clone().zip(claims.drain(..)) {
            found.push(loop {
                let ended = object.news.notified();
                tokio::pin!(ended);
                match claimed {
                    Claimed::Here(bytes) => break bytes,
                    Claimed::Later => {
                        // Registered before the look, so that an end between look and wait is not missed.
                        ended.as_mut().enable();
                        claimed = claim(block);
                        if matches!(claimed, Claimed::Later) {
                            ended.await;
                            claimed = claim(block);
                        }
                    }
                    Claimed::Stored => match object.stored(whole(block, length)).await {
                        Some(bytes) => break bytes,
                        None => claimed = claim(block),
                    },
                    Claimed::Awaited(waiter) => {
                        ended.as_mut().enable();
                        let unknown = object.remote.fetch.ranges().is_none();
                        let came = waiter.wait();
                        tokio::pin!(came);
                        let came = tokio::select! {
                            biased;
                            came = &mut came => came,
                            // The first answer tells whether there are parts, round trips before the block is whole.
                            () = ended, if unknown => {
                                object.read_ahead(blocks, plan);
                                came.await
                            }
                        };
                        match came? {
                            Some(bytes) => break bytes,
                            None => claimed = claim(block),
                        }
                    }
                    Claimed::Failed(error) => return Err(error),
                }
            });
        }
        Ok(found)
    }
}

impl Object {
    fn in_memory(&self, blocks: &Range<u64>, range: ByteRange) -> Option<Bytes> {
        let memory = &self.shared.memory;
        if blocks.end - blocks.start == 1 {
            return Some(part(&memory.get(self.key(blocks.start))?, blocks.start, range));
        }
        let found: Option<Vec<Bytes>> = blocks.clone().map(|block| memory.get(self.key(block))).collect();
        Some(join(blocks.clone(), &found?, range))
    }
}

/// The bytes of one block of an object.
fn whole(block: u64, length: u64) -> ByteRange {
    ByteRange::new(block * BLOCK, ((block + 1) * BLOCK).min(length))
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
