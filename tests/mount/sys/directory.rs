//! Directories by the kernel's own call, with numbers, types and cookies.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use super::outcome;

/// A name as the kernel lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) inode: u64,
    pub(crate) kind: u8,
    /// The cookie of what follows.
    pub(crate) next: i64,
}

/// The next entries, as many as fit into `room` bytes; none at the end.
pub(crate) fn entries(directory: &File, room: usize) -> io::Result<Vec<Entry>> {
    let mut buffer = vec![0_u8; room];
    // SAFETY: an open descriptor and a buffer of the given length.
    let filled = outcome(unsafe {
        libc::syscall(libc::SYS_getdents64, directory.as_raw_fd(), buffer.as_mut_ptr(), room)
    })? as usize;
    let mut found = Vec::new();
    let mut rest = &buffer[..filled];
    while rest.len() >= 19 {
        // linux_dirent64: inode, cookie, length of the record, type, name (getdents64(2)).
        let number = |at: usize| u64::from_ne_bytes(rest[at..at + 8].try_into().unwrap());
        let length = usize::from(u16::from_ne_bytes([rest[16], rest[17]]));
        let name = rest[19..length].split(|byte| *byte == 0).next().unwrap();
        found.push(Entry {
            name: String::from_utf8_lossy(name).into_owned(),
            inode: number(0),
            kind: rest[18],
            next: number(8) as i64,
        });
        rest = &rest[length..];
    }
    Ok(found)
}

/// Everything from where the directory stands, in pieces of `room` bytes.
pub(crate) fn rest(directory: &File, room: usize) -> io::Result<Vec<Entry>> {
    let mut all = Vec::new();
    loop {
        let piece = entries(directory, room)?;
        if piece.is_empty() {
            return Ok(all);
        }
        all.extend(piece);
    }
}

/// A whole directory.
pub(crate) fn list(path: &Path, room: usize) -> io::Result<Vec<Entry>> {
    rest(&File::open(path)?, room)
}

/// Goes to a cookie; 0 is the begin.
pub(crate) fn seek(directory: &File, cookie: i64) {
    // SAFETY: an open descriptor.
    assert_eq!(unsafe { libc::lseek(directory.as_raw_fd(), cookie, libc::SEEK_SET) }, cookie);
}
