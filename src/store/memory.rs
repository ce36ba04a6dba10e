//! The memory tier: a bounded cache of blocks.
//!
//! LRU, not moka's default: TinyLFU refuses newcomers, and so throws away what was read ahead
//! (dependencies.md 2.3). The `sync` flavour, because hits are answered in place on a FUSE thread.

use bytes::Bytes;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use rustc_hash::FxBuildHasher;

/// A block of one version of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockKey {
    /// The number of the object's version, unique in this process.
    pub version: u64,
    /// The number of the block in it.
    pub block: u64,
}

/// What a block costs beside its bytes, about.
const OVERHEAD: usize = 256;
/// Eighths of the budget that are not the cache's: blocks that moka has taken in and not made room for yet, or that
/// wait to be written, what connections have received, and replies.
const IN_PASSING: u64 = 3;
/// More than that does not pass at once.
const MOST_IN_PASSING: u64 = 96 << 20;

/// Blocks in memory. Clones share them.
#[derive(Clone)]
pub struct Memory {
    blocks: Cache<BlockKey, Bytes, FxBuildHasher>,
    capacity: u64,
}

impl Memory {
    /// A cache that takes at most `capacity` bytes, with all that passes through it.
    pub fn new(capacity: u64) -> Self {
        let blocks = Cache::builder()
            .max_capacity(capacity - (capacity / 8 * IN_PASSING).min(MOST_IN_PASSING))
            .weigher(|_: &BlockKey, bytes: &Bytes| u32::try_from(bytes.len() + OVERHEAD).unwrap_or(u32::MAX))
            .eviction_policy(EvictionPolicy::lru())
            .build_with_hasher(FxBuildHasher);
        Self { blocks, capacity }
    }

    /// The block, if it is held.
    pub fn get(&self, key: BlockKey) -> Option<Bytes> {
        self.blocks.get(&key)
    }

    /// Whether the block is held; does not count as a use.
    pub fn holds(&self, key: BlockKey) -> bool {
        self.blocks.contains_key(&key)
    }

    /// Keeps a block.
    pub fn put(&self, key: BlockKey, bytes: Bytes) {
        self.blocks.insert(key, bytes);
    }

    /// Bytes that it may hold.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Bytes that it holds.
    pub fn used(&self) -> u64 {
        self.blocks.run_pending_tasks();
        self.blocks.weighted_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_last_stays_and_the_bound_holds() {
        let memory = Memory::new(64 * 1280);
        let key = |block| BlockKey { version: 1, block };
        for hot in 0..64 {
            memory.put(key(hot), Bytes::from(vec![0; 1024]));
            memory.get(key(hot));
        }
        for fresh in 100..116 {
            memory.put(key(fresh), Bytes::from(vec![1; 1024]));
        }
        assert!(memory.used() <= memory.capacity());
        assert!((100..116).all(|fresh| memory.get(key(fresh)).is_some()));
    }
}
