//! The calls of the read-only matrix, one function each.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::ptr::null_mut;

use super::{c_path, outcome};

/// A call with nothing but a number to tell.
macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*) => $call:expr;)*) => {
        $($(#[$doc])* pub(crate) fn $name($($argument: $type),*) -> io::Result<()> {
            // SAFETY: descriptors are open, strings end with NUL, pointers lead to what lives for the call.
            outcome(i64::from(unsafe { $call })).map(drop)
        })*
    };
}

calls! {
    truncate(path: &Path) => libc::truncate(c_path(path).as_ptr(), 1);
    mkdir(path: &Path) => libc::mkdir(c_path(path).as_ptr(), 0o755);
    rmdir(path: &Path) => libc::rmdir(c_path(path).as_ptr());
    unlink(path: &Path) => libc::unlink(c_path(path).as_ptr());
    rename(from: &Path, to: &Path) => libc::rename(c_path(from).as_ptr(), c_path(to).as_ptr());
    link(from: &Path, to: &Path) => libc::link(c_path(from).as_ptr(), c_path(to).as_ptr());
    symlink(target: &str, path: &Path) => libc::symlink(c_path(Path::new(target)).as_ptr(), c_path(path).as_ptr());
    mkfifo(path: &Path) => libc::mkfifo(c_path(path).as_ptr(), 0o644);
    mknod(path: &Path) => libc::mknod(c_path(path).as_ptr(), libc::S_IFREG | 0o644, 0);
    chmod(path: &Path) => libc::chmod(c_path(path).as_ptr(), 0o777);
    fchmod(file: &File) => libc::fchmod(file.as_raw_fd(), 0o777);
    chown(path: &Path) => libc::chown(c_path(path).as_ptr(), 1, 1);
    lchown(path: &Path) => libc::lchown(c_path(path).as_ptr(), 1, 1);
    fchown(file: &File) => libc::fchown(file.as_raw_fd(), 1, 1);
    utimensat(path: &Path) => libc::utimensat(libc::AT_FDCWD, c_path(path).as_ptr(), std::ptr::null(), 0);
    futimens(file: &File) => libc::futimens(file.as_raw_fd(), std::ptr::null());
    setxattr(path: &Path) => libc::setxattr(c_path(path).as_ptr(), c"user.x".as_ptr(), c"y".as_ptr().cast(), 1, 0);
    removexattr(path: &Path) => libc::removexattr(c_path(path).as_ptr(), c"user.x".as_ptr());
    access(path: &Path, mode: i32) => libc::access(c_path(path).as_ptr(), mode);
    ftruncate(file: &File) => libc::ftruncate(file.as_raw_fd(), 0);
    fallocate(file: &File) => libc::fallocate(file.as_raw_fd(), 0, 0, 10);
    ioctl(file: &File) => libc::ioctl(file.as_raw_fd(), 0x1234_5678);
    flock(file: &File) => libc::flock(file.as_raw_fd(), libc::LOCK_EX);
}

/// Opens with exactly these flags.
pub(crate) fn open(path: &Path, flags: i32) -> io::Result<File> {
    use std::os::fd::FromRawFd;
    // SAFETY: a string that ends with NUL; what is opened gets its owner at once.
    unsafe {
        let descriptor = outcome(libc::open(c_path(path).as_ptr(), flags | libc::O_CLOEXEC, 0o644).into())?;
        Ok(File::from_raw_fd(descriptor as i32))
    }
}

/// Writes one byte.
pub(crate) fn write(file: &File) -> io::Result<()> {
    // SAFETY: an open descriptor and one byte.
    outcome(unsafe { libc::write(file.as_raw_fd(), c"x".as_ptr().cast(), 1) } as i64).map(drop)
}

/// Reads one byte.
pub(crate) fn read(file: &File) -> io::Result<()> {
    let mut byte = 0_u8;
    // SAFETY: an open descriptor and room for one byte.
    outcome(unsafe { libc::read(file.as_raw_fd(), (&raw mut byte).cast(), 1) } as i64).map(drop)
}

/// Seeks to the first data or hole behind the begin.
pub(crate) fn seek(file: &File, whence: i32) -> io::Result<()> {
    // SAFETY: an open descriptor.
    outcome(unsafe { libc::lseek(file.as_raw_fd(), 0, whence) }).map(drop)
}

/// Binds a socket to a name in the working directory.
pub(crate) fn bind(name: &str) -> io::Result<()> {
    let bound = std::os::unix::net::UnixListener::bind(name);
    assert!(bound.is_err() || !std::fs::symlink_metadata(name)?.file_type().is_socket());
    bound.map(drop)
}

/// A shared mapping that may be written to.
pub(crate) fn map_shared_writable(file: &File) -> io::Result<()> {
    let both = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a mapping anywhere, which is not touched.
    let address = unsafe { libc::mmap(null_mut(), 4096, both, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    if address == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A lock for reading on the whole file.
pub(crate) fn read_lock(file: &File) -> io::Result<()> {
    let mut lock = libc::flock { l_type: libc::F_RDLCK as i16, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
    // SAFETY: an open descriptor and a lock that lives for the call.
    outcome(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw mut lock) }.into()).map(drop)
}
