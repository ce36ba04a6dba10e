//! Buffers for blocks out of huge pages.
//!
//! 1 GiB in blocks from the general allocator is a quarter of a million page faults, and most blocks begin where the
//! disk cannot be written to directly. These begin at page boundaries, are used again, and lie in regions of one huge
//! page each (`MADV_HUGEPAGE`, madvise(2)), where the system has them.

use std::alloc::{Layout, handle_alloc_error};
use std::collections::{BTreeMap, BTreeSet};
use std::ptr::{self, NonNull};

use parking_lot::Mutex;

/// A huge page, and the alignment of a region.
const REGION: usize = 2 << 20;
/// Regions without a buffer in use that are kept.
const KEPT: usize = 8;
/// The mask of a region without a buffer in use: a bit for each of its buffers.
const ALL_FREE: u32 = u32::MAX;

static POOL: Mutex<Pool> =
    Mutex::new(Pool { regions: BTreeMap::new(), with_room: BTreeSet::new(), unused: 0 });

/// Regions by address.
struct Pool {
    /// Which of its buffers are free.
    regions: BTreeMap<usize, u32>,
    /// Those with a free buffer.
    with_room: BTreeSet<usize>,
    /// Those with nothing but free buffers.
    unused: usize,
}

/// Up to [`Buffer::SIZE`] bytes, filled from the front, at an address that is a multiple of their size.
#[derive(Default)]
pub struct Buffer {
    /// Taken with the first byte: a transfer that still waits for its turn costs no memory.
    start: Option<NonNull<u8>>,
    length: usize,
}

// SAFETY: a buffer is the only owner of its bytes, like a `Box<[u8]>`.
#[expect(unsafe_code, reason = "owns its memory through a pointer")]
unsafe impl Send for Buffer {}
// SAFETY: as above; what is shared can only be read.
#[expect(unsafe_code, reason = "owns its memory through a pointer")]
unsafe impl Sync for Buffer {}

impl Buffer {
    /// Bytes that one holds.
    pub const SIZE: usize = REGION / ALL_FREE.count_ones() as usize;

    /// Appends as much of `bytes` as there is room for, and tells how much that was.
    #[expect(unsafe_code, reason = "writes to memory that is not initialized")]
    pub fn fill(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(Self::SIZE - self.length);
        let start = *self.start.get_or_insert_with(|| POOL.lock().take());
        // SAFETY: the buffer has room for `SIZE` bytes, and nobody else has it.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), start.add(self.length).as_ptr(), count) };
        self.length += count;
        count
    }

    /// Forgets what it holds.
    pub fn clear(&mut self) {
        self.length = 0;
    }
}

impl AsRef<[u8]> for Buffer {
    #[expect(unsafe_code, reason = "reads through the pointer that it owns")]
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `fill` has written the first `length` bytes.
        self.start.map_or(&[], |start| unsafe { std::slice::from_raw_parts(start.as_ptr(), self.length) })
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // Unmapped behind the lock.
        let unused = self.start.and_then(|start| POOL.lock().give_back(start));
        if let Some(region) = unused {
            unmap(region, REGION);
        }
    }
}

impl Pool {
    /// A free buffer, of the lowest region that has one: so that the others become unused.
    fn take(&mut self) -> NonNull<u8> {
        let region = match self.with_room.first() {
            Some(region) => *region,
            None => {
                let region = map();
                self.regions.insert(region, ALL_FREE);
                self.with_room.insert(region);
                self.unused += 1;
                region
            }
        };
        let free = self.regions.entry(region).or_default();
        self.unused -= usize::from(*free == ALL_FREE);
        let index = free.trailing_zeros();
        *free &= *free - 1;
        if *free == 0 {
            self.with_room.remove(&region);
        }
        let address = region + index as usize * Buffer::SIZE;
        NonNull::new(ptr::with_exposed_provenance_mut(address)).unwrap_or(NonNull::dangling())
    }

    /// Takes a buffer back; the region that is to be unmapped, if there is one.
    fn give_back(&mut self, start: NonNull<u8>) -> Option<usize> {
        let address = start.as_ptr().expose_provenance();
        let region = address & !(REGION - 1);
        let free = self.regions.entry(region).or_default();
        *free |= 1 << ((address - region) / Buffer::SIZE);
        self.with_room.insert(region);
        if *free != ALL_FREE {
            return None;
        }
        self.unused += 1;
        if self.unused <= KEPT {
            return None;
        }
        self.unused -= 1;
        self.regions.remove(&region);
        self.with_room.remove(&region);
        Some(region)
    }
}

/// The address of a new region. Twice its size is mapped, and what lies beside an aligned one given back.
#[expect(unsafe_code, reason = "mmap and madvise of memory that nothing else uses")]
fn map() -> usize {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let mapped = unsafe { libc::mmap(ptr::null_mut(), 2 * REGION, access, kind, -1, 0) };
    if mapped == libc::MAP_FAILED {
        handle_alloc_error(Layout::new::<[u8; REGION]>());
    }
    let address = mapped.expose_provenance();
    let region = address.next_multiple_of(REGION);
    unmap(address, region - address);
    unmap(region + REGION, address + REGION - region);
    // SAFETY: the region is mapped; that it cannot be a huge page changes nothing.
    unsafe { libc::madvise(ptr::with_exposed_provenance_mut(region), REGION, libc::MADV_HUGEPAGE) };
    region
}

#[expect(unsafe_code, reason = "munmap of memory that nothing uses any more")]
fn unmap(address: usize, length: usize) {
    if length > 0 {
        // SAFETY: a part of a mapping of this module that holds no buffer. A failure leaves it mapped.
        unsafe { libc::munmap(ptr::with_exposed_provenance_mut(address), length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_holds_what_was_put_in_and_no_more() {
        let mut buffer = Buffer::default();
        assert!(buffer.as_ref().is_empty());
        assert_eq!(buffer.fill(b"abc"), 3);
        let rest = vec![7; Buffer::SIZE];
        assert_eq!(buffer.fill(&rest), Buffer::SIZE - 3);
        assert_eq!(buffer.fill(b"x"), 0);
        assert_eq!(buffer.as_ref().len(), Buffer::SIZE);
        assert!(buffer.as_ref().starts_with(b"abc\x07"));
        assert!((buffer.as_ref().as_ptr().addr()).is_multiple_of(Buffer::SIZE));
    }

    #[test]
    fn buffers_do_not_overlap_and_are_used_again_from_any_thread() {
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                scope.spawn(move || {
                    let mut held = std::collections::VecDeque::new();
                    for step in 0..2_000_usize {
                        let mark = [thread, u8::try_from(step % 251).unwrap_or(0)];
                        let mut buffer = Buffer::default();
                        while buffer.fill(&mark) > 0 {}
                        held.push_back((mark, buffer));
                        if held.len() > 40 + step % 90 {
                            let (mark, buffer) = held.pop_front().unwrap();
                            assert!(buffer.as_ref().chunks_exact(2).all(|pair| pair == mark));
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn regions_without_a_buffer_go_but_for_a_few() {
        let mut pool = Pool { regions: BTreeMap::new(), with_room: BTreeSet::new(), unused: 0 };
        let per_region = REGION / Buffer::SIZE;
        let taken: Vec<_> = (0..(KEPT + 3) * per_region).map(|_| pool.take()).collect();
        assert_eq!((pool.regions.len(), pool.with_room.len(), pool.unused), (KEPT + 3, 0, 0));
        let gone: Vec<usize> = taken.into_iter().filter_map(|start| pool.give_back(start)).collect();
        assert_eq!((gone.len(), pool.regions.len(), pool.unused), (3, KEPT, KEPT));
        gone.into_iter().chain(pool.regions.into_keys()).for_each(|region| unmap(region, REGION));
    }
}
