//! The two open files of an object.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::store::BLOCK;
use crate::store::disk::bits::Bits;
use crate::store::disk::format::{
    self, Block, ENTRY, Identity, Key, LAST_ORDER, MARK, PAGE, PAGES, SUMS, Sums,
};
use crate::store::disk::root::Root;
use crate::sys::beneath::{self, Access};
use crate::sys::files::{self, Aligned, DIRECT, Trouble, Wait, trouble};

thread_local! {
    /// Of the one thread that writes.
    static BUFFER: RefCell<Aligned> = RefCell::default();
}

/// The open files, and what is known of them for as long as they are open. While they are, no other process makes
/// holes in them; so what was checked stays good.
pub(super) struct Handle {
    pub(super) data: File,
    /// The data file once more, to write past the page cache. What is read again soon is in memory, or in the
    /// kernel's pages of the mount; one copy more would only cost time and push other things out.
    direct: Mutex<Option<File>>,
    pub(super) map: File,
    /// Where the entries begin in the map, and where the sums of pages do.
    table: u64,
    sums: u64,
    /// Pages that were checked or written through these files.
    pub(super) trusted: Bits,
    /// Pages of the object.
    pub(super) pages: u64,
    pub(super) writable: bool,
    /// How to read at once: a file system in memory knows no [`Wait::Never`], and needs none.
    pub(super) at_once: Wait,
    pub(super) sealed: AtomicBool,
    order: AtomicU32,
    /// When its name was last looked for, in milliseconds of the tier's clock.
    pub(super) looked: AtomicU64,
    /// When the map was written to, as it was looked at last for what others have stored.
    pub(super) seen: Mutex<Option<SystemTime>>,
    /// The data file for others, once it is complete.
    pub(super) whole: OnceLock<Arc<File>>,
}

/// Why an object cannot be opened.
#[derive(Debug)]
pub(super) enum Closed {
    /// It is not there.
    Gone,
    /// It is not what it should be.
    Damaged,
    /// Another process makes holes in it.
    Busy,
    /// The disk or the process is in trouble.
    Failed(io::Error),
}

impl From<io::Error> for Closed {
    fn from(error: io::Error) -> Self {
        match trouble(&error) {
            Trouble::Gone => Self::Gone,
            Trouble::Odd if error.kind() == io::ErrorKind::WouldBlock => Self::Busy,
            Trouble::Odd => Self::Damaged,
            Trouble::Descriptors | Trouble::Unwritable | Trouble::Broken => Self::Failed(error),
        }
    }
}

/// What the map says of each block.
pub(super) type Table = Vec<Option<Block>>;

/// What the map says of a block's bytes.
pub(super) enum Told {
    /// They are not stored.
    Missing,
    /// It contradicts itself.
    Nonsense,
    /// The sums of their pages.
    Sums(Sums),
}

impl Handle {
    /// Opens the object and looks whether it is this one.
    pub(super) fn open(root: &Root, identity: &Identity, key: &Key) -> Result<(Self, Table), Closed> {
        let name = format::hex(key);
        let object = root.parent("objects", key, false)?.directory(&name)?;
        let part = |name, write| match open_file(|access| object.file(name, access), write) {
            Err(error) if trouble(&error) == Trouble::Gone => Err(Closed::Damaged),
            opened => Ok(opened?),
        };
        let (map, map_writable) = part("map", true)?;
        let header = regular(&map)?.then(|| format::read_header(&map)).transpose()?.flatten();
        let header = header.filter(|header| header.identity.key() == *key && header.identity.is(identity));
        let header = header.ok_or(Closed::Damaged)?;
        let (data, data_writable) = part("data", map_writable && header.mark.is_none())?;
        let (blocks, pages) = (identity.blocks(), identity.length.div_ceil(PAGE));
        let lengths = data.metadata()?.len() == identity.length
            && map.metadata()?.len() == header.table + identity.map_bytes();
        if !regular(&data)? || !lengths {
            return Err(Closed::Damaged);
        }
        root.share(&data)?;
        let direct = (data_writable && identity.length >= BLOCK)
            .then(|| object.file("data", Access::Direct).ok())
            .flatten();
        let handle = Self {
            data,
            direct: Mutex::new(direct),
            map,
            table: header.table,
            sums: header.table + blocks * ENTRY,
            trusted: Bits::new(pages),
            pages,
            writable: map_writable && data_writable,
            at_once: if root.in_memory { Wait::Allowed } else { Wait::Never },
            sealed: AtomicBool::new(header.mark.is_some()),
            order: AtomicU32::new(0),
            looked: AtomicU64::new(0),
            seen: Mutex::default(),
            whole: OnceLock::new(),
        };
        let bytes = handle.entries(0..blocks)?;
        let table: Table = bytes.chunks_exact(8).map(Block::from_bytes).collect();
        if header.mark.is_some_and(|mark| blake3::hash(&bytes) != mark || table.iter().any(Option::is_none)) {
            return Err(Closed::Damaged);
        }
        let last = table.iter().flatten().map(|block| block.order).max();
        handle.order.store(last.map_or(0, |last| last + 1), Ordering::Release);
        Ok((handle, table))
    }

    fn entries(&self, blocks: Range<u64>) -> io::Result<Vec<u8>> {
        let length = usize::try_from((blocks.end - blocks.start) * ENTRY).unwrap_or(0);
        files::read(&self.map, self.table + blocks.start * ENTRY, length, Wait::Allowed)
    }

    /// What the map says of `blocks` now; other processes may have written since it was opened.
    pub(super) fn table(&self, blocks: Range<u64>) -> io::Result<Table> {
        let expected = blocks.end - blocks.start;
        let mut table: Table = self.entries(blocks)?.chunks_exact(8).map(Block::from_bytes).collect();
        table.resize(usize::try_from(expected).unwrap_or(0), None);
        Ok(table)
    }

    /// What the map says of the bytes of `blocks` of the object `key` now.
    pub(super) fn told(&self, key: &Key, blocks: Range<u64>) -> io::Result<Vec<Told>> {
        let table = self.table(blocks.clone())?;
        let length = usize::try_from((blocks.end - blocks.start) * SUMS).unwrap_or(0);
        let mut sums = files::read(&self.map, self.sums + blocks.start * SUMS, length, Wait::Allowed)?;
        sums.resize(length, 0);
        let told = blocks.zip(table).zip(sums.as_chunks().0).map(|((block, entry), sums)| match entry {
            None => Told::Missing,
            Some(entry) if format::sum(key, block, sums) == entry.sum => Told::Sums(*sums),
            Some(_) => Told::Nonsense,
        });
        Ok(told.collect())
    }

    /// All of `block` was checked or written.
    pub(super) fn trust(&self, block: u64) {
        (block * PAGES..((block + 1) * PAGES).min(self.pages)).for_each(|page| _ = self.trusted.set(page));
    }

    /// Nothing of `block` is to be trusted any more.
    pub(super) fn distrust(&self, block: u64) {
        (block * PAGES..(block + 1) * PAGES).for_each(|page| _ = self.trusted.clear(page));
    }

    /// Writes consecutive blocks, then the sums of their pages, then their entries: who finds an entry finds the rest.
    pub(super) fn write(&self, key: &Key, first: u64, parts: &[&[u8]]) -> io::Result<()> {
        let order = self.order.fetch_add(1, Ordering::AcqRel).min(LAST_ORDER);
        self.write_data(parts, first * BLOCK)?;
        let sums: Vec<Sums> =
            (first..).zip(parts).map(|(block, part)| format::sums(key, block, part)).collect();
        files::write_all(&self.map, &[sums.as_flattened()], self.sums + first * SUMS)?;
        let entry = |(block, sums): (u64, &Sums)| Block { sum: format::sum(key, block, sums), order };
        let entries: Vec<[u8; 8]> = (first..).zip(&sums).map(|each| entry(each).to_bytes()).collect();
        files::write_all(&self.map, &[entries.as_flattened()], self.table + first * ENTRY)
    }

    fn write_data(&self, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        let whole = parts.iter().take_while(|part| part.len().is_multiple_of(DIRECT)).count();
        let (whole, rest) = parts.split_at(whole);
        let length: usize = whole.iter().map(|part| part.len()).sum();
        let mut direct = self.direct.lock();
        let written = match direct.as_ref().filter(|_| length > 0) {
            // Only blocks that came from elsewhere than the network have to be moved for it.
            Some(file) if files::are_aligned(whole) => files::write_all(file, whole, offset).map(|()| true),
            Some(file) => BUFFER.with_borrow_mut(|buffer| {
                files::write_all(file, &[buffer.gather(whole)], offset).map(|()| true)
            }),
            None => Ok(false),
        };
        match written {
            Ok(true) if rest.is_empty() => return Ok(()),
            Ok(true) => return files::write_all(&self.data, rest, offset + length as u64),
            Ok(false) => {}
            Err(error) if trouble(&error) != Trouble::Odd => return Err(error),
            // The file system takes no such writes after all.
            Err(_) => *direct = None,
        }
        files::write_all(&self.data, parts, offset)
    }

    /// Says in the map that the block is not stored.
    pub(super) fn erase(&self, block: u64) -> io::Result<()> {
        files::write_all(&self.map, &[&[0; 8]], self.table + block * ENTRY)
    }

    /// Writes down that the object is complete: it is never modified any more. All of it is on the disk then.
    pub(super) fn seal(&self, blocks: u64) -> io::Result<()> {
        let entries = self.entries(0..blocks)?;
        if entries.chunks_exact(8).filter_map(Block::from_bytes).count() as u64 != blocks {
            return Ok(());
        }
        *self.direct.lock() = None;
        self.data.sync_data()?;
        files::make_read_only(&self.data)?;
        files::write_all(&self.map, &[blake3::hash(&entries).as_bytes()], MARK)?;
        self.map.sync_data()?;
        self.sealed.store(true, Ordering::Release);
        Ok(())
    }

    /// Opens the data file once more, to read only.
    pub(super) fn reopen(&self, root: &Root, key: &Key) -> io::Result<Option<File>> {
        let object = root.parent("objects", key, false)?.directory(&format::hex(key))?;
        let again = object.file("data", Access::Read)?;
        let same = beneath::about(&again)?.number == beneath::about(&self.data)?.number;
        Ok(same.then_some(again))
    }
}

/// To write if wanted and possible, else to read.
fn open_file(open: impl Fn(Access) -> io::Result<File>, write: bool) -> io::Result<(File, bool)> {
    if write {
        match open(Access::Write) {
            Err(error) if trouble(&error) == Trouble::Unwritable => {}
            opened => return Ok((opened?, true)),
        }
    }
    Ok((open(Access::Read)?, false))
}

fn regular(file: &File) -> io::Result<bool> {
    let about = beneath::about(file)?;
    Ok(about.is_file && about.user == beneath::user())
}
