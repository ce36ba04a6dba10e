//! A directory held by its descriptor, and all that is below it: no path leads out of it, and no link is followed,
//! whatever somebody has put there (openat2(2)).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, open, openat2, renameat};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat, mkdirat};
use nix::sys::statfs::TMPFS_MAGIC;
use nix::unistd::{UnlinkatFlags, unlinkat};

/// How deep a tree may be that [`Directory::remove_tree`] takes away.
const DEPTH: u32 = 8;

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To read.
    Read,
    /// To read and write what is there.
    Write,
    /// To write what is there past the page cache; not every file system can (`EINVAL`).
    Direct,
    /// To read and write; made if missing, mode 0600.
    Make,
    /// To read and write a new file, mode 0600; it must not exist.
    New,
}

/// What is known of a file without opening it.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// A regular file, with one name.
    pub is_file: bool,
    /// Its owner.
    pub user: u32,
    /// Bytes that it takes on the disk; holes take none.
    pub allocated: u64,
    /// When it was last written or touched.
    pub modified: SystemTime,
    /// Which file it is: device and number.
    pub number: (u64, u64),
}

/// A directory.
#[derive(Debug)]
pub struct Directory(OwnedFd);

impl Directory {
    /// The directory at `path`, links followed: it is a path of the user's own.
    ///
    /// # Errors
    /// As open(2).
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self(open(path, flags, Mode::empty())?))
    }

    /// The directory at `path` below this one.
    ///
    /// # Errors
    /// As openat2(2).
    pub fn directory(&self, path: &str) -> io::Result<Self> {
        self.beneath(OsStr::new(path), OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty()).map(Self)
    }

    /// The file at `path` below this one. It may be something else than a regular file; it is never waited for.
    ///
    /// # Errors
    /// As openat2(2).
    pub fn file(&self, path: &str, access: Access) -> io::Result<File> {
        let (flags, mode) = match access {
            Access::Read => (OFlag::O_RDONLY, Mode::empty()),
            Access::Write => (OFlag::O_RDWR, Mode::empty()),
            Access::Direct => (OFlag::O_WRONLY | OFlag::O_DIRECT, Mode::empty()),
            Access::Make => (OFlag::O_RDWR | OFlag::O_CREAT, Mode::S_IRUSR | Mode::S_IWUSR),
            Access::New => (OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL, Mode::S_IRUSR | Mode::S_IWUSR),
        };
        // A pipe in a file's place is opened without waiting for its other end.
        self.beneath(OsStr::new(path), flags | OFlag::O_NONBLOCK, mode).map(File::from)
    }

    fn beneath(&self, path: &OsStr, flags: OFlag, mode: Mode) -> io::Result<OwnedFd> {
        let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).mode(mode).resolve(resolve);
        Ok(openat2(&self.0, path, how)?)
    }

    /// Makes the directory `name`, mode 0700; one that is there is left as it is.
    ///
    /// # Errors
    /// As mkdirat(2).
    pub fn make(&self, name: &str) -> io::Result<()> {
        match mkdirat(&self.0, name, Mode::S_IRWXU) {
            Err(nix::Error::EEXIST) | Ok(()) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Gives `name` here the name `new` in `to`.
    ///
    /// # Errors
    /// As renameat(2).
    pub fn rename(&self, name: &str, to: &Self, new: &str) -> io::Result<()> {
        Ok(renameat(&self.0, name, &to.0, new)?)
    }

    /// Removes the file or link `name`.
    ///
    /// # Errors
    /// As unlinkat(2).
    pub fn remove(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.0, name, UnlinkatFlags::NoRemoveDir)?)
    }

    /// Removes `name`, with all that is in it when it is a directory. Links are removed, not followed.
    ///
    /// # Errors
    /// As unlinkat(2) and openat2(2).
    pub fn remove_tree(&self, name: &OsStr) -> io::Result<()> {
        self.remove_at(name, DEPTH)
    }

    fn remove_at(&self, name: &OsStr, depth: u32) -> io::Result<()> {
        match unlinkat(&self.0, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) => return Ok(()),
            // Which of the two a directory gets depends on the file system.
            Err(nix::Error::EISDIR | nix::Error::EPERM) if depth > 0 => {}
            Err(errno) => return Err(errno.into()),
        }
        let inner = Self(self.beneath(name, OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty())?);
        for name in inner.names()? {
            inner.remove_at(&name, depth - 1)?;
        }
        Ok(unlinkat(&self.0, name, UnlinkatFlags::RemoveDir)?)
    }

    /// The names in this directory, in no order.
    ///
    /// # Errors
    /// As openat(2) and readdir(3).
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut names = Vec::new();
        for entry in Dir::openat(&self.0, ".", flags, Mode::empty())?.iter() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        Ok(names)
    }

    /// What is known of the file `name`; of a link, of the link itself.
    ///
    /// # Errors
    /// As fstatat(2).
    pub fn about(&self, name: &str) -> io::Result<About> {
        Ok(describe(&fstatat(&self.0, name, AtFlags::AT_SYMLINK_NOFOLLOW)?))
    }

    /// Who owns this directory.
    ///
    /// # Errors
    /// As fstat(2).
    pub fn owner(&self) -> io::Result<u32> {
        Ok(fstat(&self.0)?.st_uid)
    }

    /// The number of the device it is on, as mountinfo writes it (`major:minor`).
    ///
    /// # Errors
    /// As fstat(2).
    pub fn device(&self) -> io::Result<String> {
        let device = fstat(&self.0)?.st_dev;
        Ok(format!("{}:{}", libc::major(device), libc::minor(device)))
    }

    /// Which directory it is: device and number.
    ///
    /// # Errors
    /// As fstat(2).
    pub fn number(&self) -> io::Result<(u64, u64)> {
        Ok(describe(&fstat(&self.0)?).number)
    }

    /// Whether its files are in memory: then reading them waits for nothing.
    pub fn is_in_memory(&self) -> bool {
        nix::sys::statfs::fstatfs(&self.0).is_ok_and(|about| about.filesystem_type() == TMPFS_MAGIC)
    }

    /// Bytes that this user can still store on the file system.
    ///
    /// # Errors
    /// As fstatvfs(3).
    pub fn free(&self) -> io::Result<u64> {
        let about = nix::sys::statvfs::fstatvfs(&self.0)?;
        Ok(about.blocks_available().saturating_mul(about.fragment_size()))
    }
}

fn describe(about: &FileStat) -> About {
    let seconds = u64::try_from(about.st_mtime).unwrap_or(0);
    let nanoseconds = u32::try_from(about.st_mtime_nsec).unwrap_or(0);
    About {
        is_file: about.st_mode & libc::S_IFMT == libc::S_IFREG && about.st_nlink <= 1,
        user: about.st_uid,
        allocated: u64::try_from(about.st_blocks).unwrap_or(0).saturating_mul(512),
        modified: SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds),
        number: (about.st_dev, about.st_ino),
    }
}

/// What is known of an open file.
///
/// # Errors
/// As fstat(2).
pub fn about(file: &File) -> io::Result<About> {
    Ok(describe(&fstat(file)?))
}

/// The user that this process acts as.
pub fn user() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// Whether an open file still has a name.
pub fn has_name(file: &File) -> bool {
    fstat(file).is_ok_and(|about| about.st_nlink > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "x").unwrap();
        let inside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), inside.path().join("link")).unwrap();
        let directory = Directory::open(inside.path()).unwrap();
        let elsewhere = outside.path().join("secret");
        for path in ["link/secret", "../secret", elsewhere.to_str().unwrap()] {
            assert!(directory.file(path, Access::Read).is_err(), "{path}");
        }
        directory.make("kept").unwrap();
        directory.make("kept").unwrap();
        std::fs::create_dir_all(inside.path().join("kept/a/b")).unwrap();
        std::os::unix::fs::symlink(outside.path(), inside.path().join("kept/a/link")).unwrap();
        directory.remove_tree(OsStr::new("kept")).unwrap();
        directory.remove_tree(OsStr::new("link")).unwrap();
        assert!(directory.names().unwrap().is_empty());
        assert!(elsewhere.exists(), "links are not followed");
    }
}
