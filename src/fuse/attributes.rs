//! Our attributes in the kernel's form. Modes are constants: nothing remote decides them (contract.md 7).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{Errno, FileAttr, FileType, INodeNo, ReplyDirectoryPlus, ReplyEntry, ReplyXattr};
use jiff::Timestamp;

use super::listing::Listed;
use super::{ABSENT_AT_LEAST, BLOCK_SIZE, GENERATION};
use crate::filesystem::handles::OpenDirectory;
use crate::filesystem::{Absent, Filesystem, Found, Stat};
use crate::namespace::{Kind, Times};

/// Who owns what is shown, and who may read it.
#[derive(Clone, Copy)]
pub(super) struct Presentation {
    owner: (u32, u32),
    others: bool,
    /// What has no time of its own shows the time of the mount.
    mounted: SystemTime,
}

impl Presentation {
    pub(super) fn new(owner: (u32, u32), others: bool) -> Self {
        Self { owner, others, mounted: SystemTime::now() }
    }

    pub(super) fn file_attr(&self, stat: &Stat) -> FileAttr {
        let system = |time: Timestamp| {
            u64::try_from(time.as_second())
                .map_or(UNIX_EPOCH, |second| UNIX_EPOCH + Duration::from_secs(second))
        };
        let time = stat.times.modified.map_or(self.mounted, system);
        let published = stat.times.published.map_or(time, system);
        let (perm, nlink) = match (stat.kind, self.others) {
            (Kind::Directory, true) => (0o555, 2),
            (Kind::Directory, false) => (0o500, 2),
            (Kind::File, true) => (0o444, 1),
            (Kind::File, false) => (0o400, 1),
        };
        FileAttr {
            ino: INodeNo(stat.inode),
            size: stat.size,
            blocks: stat.size.div_ceil(512),
            atime: time,
            mtime: time,
            ctime: published,
            crtime: time,
            kind: file_type(stat.kind),
            perm,
            nlink,
            uid: self.owner.0,
            gid: self.owner.1,
            rdev: 0,
            blksize: BLOCK_SIZE,
            flags: 0,
        }
    }

    pub(super) fn reply_entry(&self, reply: ReplyEntry, result: Result<Result<Found, Absent>, Errno>) {
        match result {
            Ok(Ok(found)) => reply.entry(&found.ttl, &self.file_attr(&found.stat), GENERATION),
            // Inode 0 says "there is no such name", and for how long.
            Ok(Err(absent)) => {
                let nothing = Stat { inode: 0, kind: Kind::File, size: 0, times: Times::default() };
                reply.entry(&absent.max(ABSENT_AT_LEAST), &self.file_attr(&nothing), GENERATION);
            }
            Err(error) => reply.error(error),
        }
    }

    /// Adds an entry, with its attributes where they cost nothing; `true` when the buffer is full.
    pub(super) fn add_entry(
        &self,
        reply: &mut ReplyDirectoryPlus,
        filesystem: &Filesystem,
        directory: &OpenDirectory,
        next: u64,
        listed: &Listed,
    ) -> bool {
        let entry = match listed {
            // The kernel takes their names only.
            Listed::Dots(name, inode) => {
                let stat = Stat { inode: *inode, kind: Kind::Directory, size: 0, times: Times::default() };
                let attr = self.file_attr(&stat);
                return reply.add(INodeNo(*inode), next, name, &Duration::ZERO, &attr, GENERATION);
            }
            Listed::Named(entry) => entry,
        };
        let found = filesystem.lookup_entry(directory, entry);
        let attr = self.file_attr(&found.stat);
        let full = reply.add(attr.ino, next, &*entry.name, &found.ttl, &attr, GENERATION);
        if full {
            filesystem.forget(found.stat.inode, 1);
        }
        full
    }
}

pub(super) fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::Directory => FileType::Directory,
        Kind::File => FileType::RegularFile,
    }
}

/// Size 0 asks how long the value is; too small a size is `ERANGE` (getxattr(2)).
pub(super) fn reply_xattr(reply: ReplyXattr, value: &[u8], size: u32) {
    match u32::try_from(value.len()) {
        Ok(length) if size == 0 => reply.size(length),
        Ok(length) if length <= size => reply.data(value),
        Ok(_) => reply.error(Errno::ERANGE),
        Err(_) => reply.error(Errno::E2BIG),
    }
}
