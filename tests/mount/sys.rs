//! System calls that the standard library does not offer, as safe functions.

#![allow(unsafe_code, reason = "plain system calls")]

pub(crate) mod call;
pub(crate) mod directory;

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path for the kernel.
pub(crate) fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// The outcome of a call that gives -1 on failure.
pub(crate) fn outcome(returned: i64) -> io::Result<i64> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}

/// Reads with `O_DIRECT`, which wants an aligned buffer: from `offset`, `length` bytes.
pub(crate) fn read_direct(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0_u8; length + 4096];
    let skip = buffer.as_ptr().align_offset(4096);
    // SAFETY: the buffer has `length` bytes behind `skip`, which is at most 4096.
    let read = outcome(unsafe {
        libc::pread(file.as_raw_fd(), buffer.as_mut_ptr().add(skip).cast(), length, offset as i64) as i64
    })?;
    Ok(buffer[skip..skip + read as usize].to_vec())
}

/// The whole file through a mapping.
pub(crate) fn read_mapped(file: &File) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len() as usize;
    // SAFETY: a private mapping of an open file; it is copied and unmapped before the file is closed.
    unsafe {
        let address =
            libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0);
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let bytes = std::slice::from_raw_parts(address.cast::<u8>(), length).to_vec();
        libc::munmap(address, length);
        Ok(bytes)
    }
}

/// Copies by `sendfile` into `to`.
pub(crate) fn send_file(from: &File, to: &File) -> io::Result<u64> {
    let mut total = 0;
    loop {
        // SAFETY: two open descriptors.
        let sent = outcome(unsafe {
            libc::sendfile(to.as_raw_fd(), from.as_raw_fd(), std::ptr::null_mut(), 1 << 20) as i64
        })?;
        if sent == 0 {
            return Ok(total);
        }
        total += sent as u64;
    }
}

/// The kernel forgets the pages of this file.
pub(crate) fn drop_pages(file: &File) {
    // SAFETY: an open descriptor.
    assert_eq!(unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) }, 0);
}

/// An extended attribute.
pub(crate) fn attribute(path: &Path, name: &str) -> io::Result<Vec<u8>> {
    let (path, name) = (c_path(path), CString::new(name).unwrap());
    let mut value = vec![0_u8; 65_536];
    // SAFETY: strings that end with NUL, and a buffer of the length that is given.
    let length = outcome(unsafe {
        libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) as i64
    })?;
    value.truncate(length as usize);
    Ok(value)
}

/// The names of a file's extended attributes.
pub(crate) fn attributes(path: &Path) -> io::Result<Vec<String>> {
    let path = c_path(path);
    let mut list = vec![0_u8; 65_536];
    // SAFETY: as above.
    let length =
        outcome(unsafe { libc::listxattr(path.as_ptr(), list.as_mut_ptr().cast(), list.len()) as i64 })?;
    let names = list[..length as usize].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

static TICKS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

extern "C" fn tick(_: libc::c_int) {
    TICKS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
}

/// SIGALRM at short intervals, without `SA_RESTART`, until dropped.
pub(crate) struct Ticking;

impl Ticking {
    pub(crate) fn every(interval: std::time::Duration) -> Self {
        Self::arm(interval.as_micros() as i64);
        Self
    }

    pub(crate) fn ticks(&self) -> u64 {
        TICKS.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn arm(micros: i64) {
        let time = libc::timeval { tv_sec: 0, tv_usec: micros };
        let timer = libc::itimerval { it_interval: time, it_value: time };
        // SAFETY: the handler only counts; the structures are plain numbers.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = tick as *const () as usize;
            libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut());
            libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut());
        }
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        Self::arm(0);
    }
}

/// Reads a file by plain `read` calls; `EINTR` is an error here.
pub(crate) fn read_without_retry(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let mut found = Vec::new();
    let mut buffer = vec![0_u8; 65_536];
    loop {
        // SAFETY: a buffer of the given length.
        let read = outcome(unsafe {
            libc::read(file.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) as i64
        })?;
        if read == 0 {
            return Ok(found);
        }
        found.extend_from_slice(&buffer[..read as usize]);
    }
}

/// How long an attribute is, as the kernel says with a buffer of `room` bytes.
pub(crate) fn attribute_into(path: &Path, name: &str, room: usize) -> io::Result<usize> {
    let (path, name, mut value) = (c_path(path), CString::new(name).unwrap(), vec![0_u8; room]);
    // SAFETY: strings that end with NUL, and a buffer of the length that is given.
    let length = outcome(unsafe {
        libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), room) as i64
    })?;
    Ok(length as usize)
}

/// The same for the list of names.
pub(crate) fn attributes_into(path: &Path, room: usize) -> io::Result<usize> {
    let (path, mut list) = (c_path(path), vec![0_u8; room]);
    // SAFETY: as above.
    let length = outcome(unsafe { libc::listxattr(path.as_ptr(), list.as_mut_ptr().cast(), room) as i64 })?;
    Ok(length as usize)
}
