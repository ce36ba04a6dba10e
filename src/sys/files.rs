//! Reading what the page cache has without waiting, writing several buffers at once, holes, times.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::stat::{Mode, fchmod, futimens};
use nix::sys::time::TimeSpec;
use nix::sys::uio::pwritev;

/// Bytes that the file system of `path` has left for this user.
///
/// # Errors
/// As statvfs(3).
pub fn free(path: &Path) -> io::Result<u64> {
    let about = nix::sys::statvfs::statvfs(path)?;
    Ok(about.blocks_available().saturating_mul(about.fragment_size()))
}

/// Whether a read may wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Only what the page cache has (`RWF_NOWAIT`).
    Never,
    /// As long as it takes.
    Allowed,
}

/// `length` bytes at `offset`, read by one call where possible; fewer at the end of the file, and with
/// [`Wait::Never`] where the page cache ends.
///
/// # Errors
/// As preadv2(2); `WouldBlock` when nothing can be had without waiting.
#[expect(unsafe_code, reason = "preadv2 into memory that is not initialized, and no wrapper for its flags")]
pub fn read(file: &File, offset: u64, length: usize, wait: Wait) -> io::Result<Vec<u8>> {
    let flags = if wait == Wait::Never { libc::RWF_NOWAIT } else { 0 };
    let mut bytes: Vec<u8> = Vec::with_capacity(length);
    while bytes.len() < length {
        let room = bytes.spare_capacity_mut();
        let part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: length - bytes.len() };
        let at = offset_of(offset + bytes.len() as u64)?;
        // SAFETY: `part` describes memory behind the vector's end that its capacity covers, for the call only.
        let count = unsafe { libc::preadv2(file.as_raw_fd(), &raw const part, 1, at, flags) };
        match usize::try_from(count) {
            Ok(0) => break,
            // SAFETY: the kernel has written `count` bytes there.
            Ok(count) => unsafe { bytes.set_len(bytes.len() + count) },
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                _ if !bytes.is_empty() && wait == Wait::Never => break,
                error => return Err(error),
            },
        }
    }
    Ok(bytes)
}

/// Writes all of `parts` one behind the other, from `offset` on.
///
/// # Errors
/// As pwritev(2).
pub fn write_all(file: &File, parts: &[&[u8]], offset: u64) -> io::Result<()> {
    let total: usize = parts.iter().map(|part| part.len()).sum();
    let mut written = 0;
    while written < total {
        let mut skip = written;
        let mut rest = Vec::with_capacity(parts.len());
        for part in parts {
            let cut = skip.min(part.len());
            skip -= cut;
            if cut < part.len() {
                rest.push(IoSlice::new(&part[cut..]));
            }
        }
        match pwritev(file, &rest, offset_of(offset + written as u64)?) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(nix::Error::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// What files opened with `O_DIRECT` are written in: addresses, offsets and lengths are multiples of it (open(2);
/// no file system asks for more than a page).
pub const DIRECT: usize = 4096;

/// Whether files can be written from all of `parts` past the page cache; their lengths are the caller's matter.
pub fn are_aligned(parts: &[&[u8]]) -> bool {
    parts.iter().all(|part| part.as_ptr().addr().is_multiple_of(DIRECT))
}

/// A buffer that files can be written from past the page cache.
#[derive(Default)]
pub struct Aligned(Vec<u8>);

impl Aligned {
    /// The bytes of all `parts`, one behind the other, at an address that is a multiple of [`DIRECT`].
    pub fn gather(&mut self, parts: &[&[u8]]) -> &[u8] {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if self.0.len() < length + DIRECT {
            self.0 = vec![0; length + DIRECT];
        }
        let start = self.0.as_ptr().align_offset(DIRECT).min(DIRECT);
        let mut at = start;
        for part in parts {
            self.0[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        &self.0[start..at]
    }
}

/// Makes a hole: the bytes there are zero from now on and take no room.
///
/// # Errors
/// As fallocate(2); `Unsupported` where the file system knows no holes.
pub fn punch(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let how = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    Ok(fallocate(file, how, offset_of(offset)?, offset_of(length)?)?)
}

/// Sets the file's times to now.
///
/// # Errors
/// As futimens(2).
pub fn touch(file: &File) -> io::Result<()> {
    Ok(futimens(file, &TimeSpec::UTIME_NOW, &TimeSpec::UTIME_NOW)?)
}

/// Takes the right to write away, for everybody.
///
/// # Errors
/// As fchmod(2).
pub fn make_read_only(file: &File) -> io::Result<()> {
    Ok(fchmod(file, Mode::S_IRUSR)?)
}

fn offset_of(offset: u64) -> io::Result<i64> {
    i64::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

/// What an error of a file means for whoever keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such file.
    Gone,
    /// This process or the system has too many files open.
    Descriptors,
    /// Nothing can be written: the disk is full, read-only, or above its quota.
    Unwritable,
    /// The device or the file system fails.
    Broken,
    /// All else: the file is not what it should be.
    Odd,
}

/// What `error` means.
pub fn trouble(error: &io::Error) -> Trouble {
    match error.raw_os_error() {
        Some(libc::ENOENT) => Trouble::Gone,
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM) => Trouble::Descriptors,
        Some(libc::ENOSPC | libc::EDQUOT | libc::EROFS | libc::EACCES | libc::EPERM) => Trouble::Unwritable,
        Some(libc::EIO | libc::ENXIO | libc::ENODEV | libc::ESTALE | libc::EUCLEAN | libc::ENOTCONN) => {
            Trouble::Broken
        }
        _ => Trouble::Odd,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_in_parts_is_read_at_once() {
        let file = tempfile::tempfile().unwrap();
        write_all(&file, &[b"abc", b"", b"defg"], 5).unwrap();
        assert_eq!(read(&file, 4, 4, Wait::Allowed).unwrap(), b"\0abc");
        assert_eq!(read(&file, 10, 9, Wait::Allowed).unwrap(), b"fg");
        match read(&file, 5, 7, Wait::Never) {
            Ok(bytes) => assert_eq!(bytes, b"abcdefg"),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP)),
        }
        if punch(&file, 0, 8).is_ok() {
            assert_eq!(read(&file, 7, 2, Wait::Allowed).unwrap(), b"\0d");
        }
    }
}
