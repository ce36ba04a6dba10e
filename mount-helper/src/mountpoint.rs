//! The mount point: opened once, then used only through descriptors.
//!
//! Between a check by path and a mount by path, the owner of a parent directory can swap what the path means.
//! So the directory is opened first, everything is asked of that descriptor, and mount(2) and umount(2) get it
//! through `/proc/self/fd`. After mounting, the name leads to the new file system's root, which is opened
//! in turn and recognized by its mount number, so that only our own mount can ever be taken away again.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::Mode;
use nix::sys::statfs::{PROC_SUPER_MAGIC, SYSFS_MAGIC, fstatfs};
use nix::unistd::Uid;

use crate::account::Account;
use crate::failure::Failure;
use crate::mounttable;
use crate::options::Options;

const KIND: &str = "fuse.dcmsfs";

/// A directory that is going to be mounted on.
#[derive(Debug)]
pub(crate) struct Mountpoint {
    parent: OwnedFd,
    name: OsString,
    directory: OwnedFd,
    /// Where `directory` is, as the kernel says; for messages and for the daemon's argument.
    path: PathBuf,
}

/// A mount that was made, and its FUSE descriptor.
#[derive(Debug)]
pub(crate) struct Mounted {
    root: OwnedFd,
    pub(crate) fuse: OwnedFd,
    pub(crate) path: PathBuf,
}

impl Mountpoint {
    pub(crate) fn open(given: &Path) -> Result<Self, Failure> {
        let refuse = |error: Errno| match error {
            Errno::ENOENT => {
                Failure::usage(format!("the mount point {given:?} does not exist; create it with mkdir"))
            }
            Errno::ENOTDIR | Errno::ELOOP => Failure::usage(format!(
                "the mount point {given:?} is not a directory (symbolic links are refused)"
            )),
            Errno::ENOTCONN => stale(given),
            _ => Failure::usage(format!("cannot open the mount point {given:?}: {error}")),
        };
        // `a/..` and `/` have no name of their own to mount on.
        let (Some(parent), Some(name)) = (given.parent(), given.file_name()) else {
            return Err(Failure::usage(format!("{given:?} cannot be a mount point")));
        };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let parent = open(parent, path_flags() & !OFlag::O_NOFOLLOW, Mode::empty()).map_err(refuse)?;
        let directory = openat(&parent, name, path_flags(), Mode::empty()).map_err(refuse)?;
        let path = std::fs::read_link(through(directory.as_fd()))
            .map_err(|error| Failure::system(format!("/proc is needed to mount safely: {error}")))?;
        Ok(Self { parent, name: name.to_owned(), directory, path })
    }

    /// The account that a mount of ours, which is here already, was made for.
    pub(crate) fn occupant(&self) -> Result<Option<u32>, Failure> {
        let here = mounttable::of(self.directory.as_fd())?;
        Ok(if here.kind == KIND { here.owner } else { None })
    }

    /// The opened directory, for a process that is to look at it.
    pub(crate) fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Takes away the dead mount that was found here, and opens what was below it.
    pub(crate) fn clear(self, given: &Path) -> Result<Self, Failure> {
        detach(self.directory.as_fd()).map_err(|error| {
            Failure::mount(format!("cannot remove the dead mount on {:?}: {error}", self.path))
        })?;
        Self::open(given)
    }

    /// Refuses places where a mount would hide or endanger something.
    pub(crate) fn check(&self, owner: Uid, nonempty: bool) -> Result<(), Failure> {
        let path = &self.path;
        let below = mounttable::of(self.directory.as_fd())?;
        if below.kind == KIND {
            return Err(stale(path));
        }
        let kind = fstatfs(&self.directory)
            .map_err(|error| Failure::mount(format!("cannot examine the mount point {path:?}: {error}")))?
            .filesystem_type();
        let system = ["/proc", "/sys", "/dev"].iter().any(|top| path.starts_with(top));
        if system || kind == PROC_SUPER_MAGIC || kind == SYSFS_MAGIC {
            return Err(Failure::usage(format!(
                "mounting on {path:?}, below /proc, /sys or /dev, is refused"
            )));
        }
        let examine = |error| Failure::mount(format!("cannot examine the mount point {path:?}: {error}"));
        let metadata = std::fs::metadata(through(self.directory.as_fd())).map_err(examine)?;
        if metadata.uid() != 0 && metadata.uid() != owner.as_raw() {
            return Err(Failure::usage(format!(
                "the mount point {path:?} belongs to another account ({}), neither to root nor to the one mounted for",
                metadata.uid()
            )));
        }
        if !nonempty && std::fs::read_dir(through(self.directory.as_fd())).map_err(examine)?.next().is_some()
        {
            return Err(Failure::usage(format!(
                "the mount point {path:?} is not empty; choose another or add the option nonempty"
            )));
        }
        Ok(())
    }

    /// Opens a FUSE channel and mounts it here.
    pub(crate) fn mount(
        self,
        source: &str,
        account: &Account,
        options: &Options,
    ) -> Result<Mounted, Failure> {
        let fuse = open("/dev/fuse", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()).map_err(|error| {
            Failure::system(format!(
                "cannot open /dev/fuse: {error}; is the kernel module loaded (modprobe fuse)?"
            ))
        })?;
        let mut flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        flags.set(MsFlags::MS_NOEXEC, !options.exec);
        // Numbers only, so that nothing in it can be mistaken for another option. Without
        // `default_permissions` a decision for one account would be reused for the next.
        let data = format!(
            "fd={},rootmode=40000,user_id={},group_id={},default_permissions{}",
            fuse.as_raw_fd(),
            account.uid,
            account.gid,
            if options.allow_other { ",allow_other" } else { "" }
        );
        let target = through(self.directory.as_fd());
        mount(Some(source), target.as_str(), Some(KIND), flags, Some(data.as_str()))
            .map_err(|error| Failure::mount(format!("cannot mount on {:?}: {error}", self.path)))?;
        let root = self.open_root(account.uid)?;
        Ok(Mounted { root, fuse, path: self.path })
    }

    /// Opens what the name now leads to, and makes sure that it is the mount just made.
    fn open_root(&self, owner: Uid) -> Result<OwnedFd, Failure> {
        let lost = |why: String| Failure::mount(format!("lost sight of the mount on {:?}: {why}", self.path));
        let root = openat(&self.parent, self.name.as_os_str(), path_flags(), Mode::empty())
            .map_err(|error| lost(error.to_string()))?;
        let below = mounttable::of(self.directory.as_fd())?;
        let here = mounttable::of(root.as_fd())?;
        if here.kind != KIND || here.id == below.id || here.owner != Some(owner.as_raw()) {
            return Err(lost("another file system is there".to_owned()));
        }
        Ok(root)
    }
}

impl Mounted {
    /// Takes the mount away, even if it is in use: whoever waits on it is freed with an error.
    pub(crate) fn remove(self) -> Result<(), Failure> {
        drop(self.fuse);
        umount2(through(self.root.as_fd()).as_str(), MntFlags::MNT_DETACH).map_err(|error| {
            Failure::mount(format!("cannot remove the failed mount {:?}: {error}", self.path))
        })
    }

    /// Keeps the mount, lets go of our FUSE descriptor.
    pub(crate) fn release_fuse(&mut self) -> Result<(), Failure> {
        // The daemon has its own copy. If ours stayed open, its death would go unnoticed by the kernel.
        let null = File::open("/dev/null").map_err(|error| Failure::system(format!("/dev/null: {error}")))?;
        self.fuse = null.into();
        Ok(())
    }
}

fn path_flags() -> OFlag {
    OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC
}

/// Unmounts the file system whose root is open, wherever its name leads by now. Waiting callers get an error.
fn detach(root: BorrowedFd<'_>) -> Result<(), Errno> {
    umount2(through(root).as_str(), MntFlags::MNT_DETACH)
}

fn through(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

fn stale(path: &Path) -> Failure {
    Failure::usage(format!("dcmsfs is mounted on {path:?} already; unmount it first: umount {path:?}"))
}
