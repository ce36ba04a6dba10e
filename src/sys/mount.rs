//! Mounting and unmounting, without the library's own code for it: that can leave a busy mount behind, or
//! unmount another filesystem stacked at the same path (fuse.md 1.7).
//!
//! Root mounts by mount(2); a user by `fusermount3`, which hands the device back over a socket.

use std::fs::OpenOptions;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, socketpair,
};
use nix::unistd::{Gid, Uid};

use crate::error::{Error, ErrorKind, Result, fail};
use crate::sys::mounts;

/// A mounted point, known by its device so that nothing else is ever unmounted in its place.
#[derive(Clone, Debug)]
pub struct Mounted {
    /// Where.
    pub point: PathBuf,
    device: Option<String>,
    by_others: bool,
}

/// Mounts at `point` and gives the FUSE device. `source` is shown in the mount table; its colon makes
/// `df` and others treat the mount as remote (anchors.md 5).
///
/// # Errors
/// `Configuration` with what to do when FUSE is missing or may not be used, or the mount is refused.
pub fn attach(point: &Path, source: &str, allow_other: bool) -> Result<(OwnedFd, Mounted)> {
    let device = if Uid::effective().is_root() {
        attach_as_root(point, source, allow_other)?
    } else {
        attach_as_user(point, source, allow_other)?
    };
    Ok((device, Mounted::found_at(point)))
}

fn attach_as_root(point: &Path, source: &str, allow_other: bool) -> Result<OwnedFd> {
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_CLOEXEC)
        .open("/dev/fuse")
        .map_err(|error| no_device(&error))?;
    let other = if allow_other { ",allow_other" } else { "" };
    let (user, group) = (Uid::effective(), Gid::effective());
    let fd = device.as_raw_fd();
    let data = format!("fd={fd},rootmode=40000,user_id={user},group_id={group},default_permissions{other}");
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some(source), point, Some(mounts::TYPE), flags, Some(data.as_str())).map_err(|errno| {
        Error::new(ErrorKind::Configuration, format!("cannot mount at {}: {}", point.display(), errno.desc()))
    })?;
    Ok(device.into())
}

fn attach_as_user(point: &Path, source: &str, allow_other: bool) -> Result<OwnedFd> {
    if let Err(error) = OpenOptions::new().read(true).write(true).open("/dev/fuse") {
        return Err(no_device(&error));
    }
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)
        .map_err(|errno| Error::new(ErrorKind::Internal, format!("no socket pair: {}", errno.desc())))?;
    // The helper finds its end by number; it must survive the exec.
    fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty())).map_err(|errno| {
        Error::new(ErrorKind::Internal, format!("no socket for fusermount3: {}", errno.desc()))
    })?;
    let other = if allow_other { ",allow_other" } else { "" };
    let options = format!("ro,nosuid,nodev,noexec,default_permissions,fsname={source},subtype=dcmsfs{other}");
    let output = Command::new("fusermount3")
        .env("_FUSE_COMMFD", theirs.as_raw_fd().to_string())
        .env_remove("FUSERMOUNT_PATH")
        .args(["-o", &options, "--"])
        .arg(point)
        .stdin(Stdio::null())
        .output();
    drop(theirs);
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return fail(
                ErrorKind::Configuration,
                "fusermount3 is not installed: install the package fuse3, or mount as root",
            );
        }
        Err(error) => return fail(ErrorKind::Configuration, format!("cannot run fusermount3: {error}")),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim().trim_start_matches("fusermount3:").trim();
        let hint = if said.contains("user_allow_other") {
            "; or leave allow_other out"
        } else if said.contains("determine username") {
            "; the account that runs this has no name: give it a line in /etc/passwd"
        } else {
            ""
        };
        return fail(ErrorKind::Configuration, format!("cannot mount at {}: {said}{hint}", point.display()));
    }
    receive(ours.as_raw_fd()).map_err(|error| {
        Error::new(ErrorKind::Internal, format!("fusermount3 did not hand over the FUSE device: {error}"))
    })
}

/// Takes the descriptor that `fusermount3` sends (SCM_RIGHTS, unix(7)).
#[expect(unsafe_code, reason = "a received descriptor is a bare number until it gets an owner")]
fn receive(socket: RawFd) -> io::Result<OwnedFd> {
    let mut byte = [0_u8; 1];
    let mut space = nix::cmsg_space!(RawFd);
    let mut parts = [IoSliceMut::new(&mut byte)];
    let message = recvmsg::<()>(socket, &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(descriptors) = part
            && let [descriptor] = descriptors[..]
        {
            // SAFETY: the kernel has just installed this descriptor for us and nobody else knows it.
            return Ok(unsafe { OwnedFd::from_raw_fd(descriptor) });
        }
    }
    Err(io::Error::from(io::ErrorKind::UnexpectedEof))
}

/// Takes over descriptor `number`, a mounted FUSE device handed to us by the process that started us
/// (`mount.dcmsfs`).
///
/// # Errors
/// `Configuration` if it is not open or not a FUSE device.
#[expect(unsafe_code, reason = "an inherited descriptor is a bare number until it gets an owner")]
pub fn inherited(number: RawFd) -> Result<OwnedFd> {
    let wrong = || Error::new(ErrorKind::Configuration, format!("descriptor {number} is not a FUSE device"));
    let link = std::fs::read_link(format!("/proc/self/fd/{number}")).map_err(|_| wrong())?;
    if number <= 2 || !link.starts_with("/dev/fuse") {
        return Err(wrong());
    }
    // SAFETY: it is open, as the link shows, and this is called once, before anything else is opened.
    let device = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl(&device, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(|_| wrong())?;
    Ok(device)
}

fn no_device(error: &io::Error) -> Error {
    let message = match error.kind() {
        io::ErrorKind::NotFound => {
            "FUSE is missing here: there is no /dev/fuse; load it with `modprobe fuse`, or start the \
             container with `--device /dev/fuse --cap-add SYS_ADMIN`"
                .to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "you may not use /dev/fuse; most systems let everybody (`chmod 666 /dev/fuse` by an \
             administrator), or mount as root"
                .to_owned()
        }
        _ => format!("cannot open /dev/fuse: {error}"),
    };
    Error::new(ErrorKind::Configuration, message)
}

impl Mounted {
    /// What is mounted at `point` now.
    pub fn found_at(point: &Path) -> Self {
        let device = mounts::at(point).map(|mount| mount.device);
        Self { point: point.to_owned(), device, by_others: false }
    }

    /// What another process has mounted at `point` for us. It may be that we cannot unmount it.
    pub fn handed_in(point: &Path) -> Self {
        Self { by_others: true, ..Self::found_at(point) }
    }

    /// Whether another process mounted it for us.
    pub fn by_others(&self) -> bool {
        self.by_others
    }

    /// Whether our mount, not another one, is still on top at its point.
    pub fn is_there(&self) -> bool {
        mounts::at(&self.point).is_some_and(|mount| Some(mount.device) == self.device)
    }

    /// Its device number, `major:minor`.
    pub fn device(&self) -> Option<&str> {
        self.device.as_deref()
    }

    /// Unmounts it. `lazy`: also when in use; open files keep working until closed.
    ///
    /// # Errors
    /// The system's; `ResourceBusy` when in use. A mount that is gone or covered is left alone.
    pub fn detach(&self, lazy: bool) -> io::Result<()> {
        if !self.is_there() {
            return Ok(());
        }
        detach(&self.point, lazy)
    }
}

/// Unmounts what is at `point`, by the caller's own rights.
///
/// # Errors
/// The system's, or what `fusermount3` said.
pub fn detach(point: &Path, lazy: bool) -> io::Result<()> {
    if Uid::effective().is_root() {
        let flags = MntFlags::UMOUNT_NOFOLLOW | if lazy { MntFlags::MNT_DETACH } else { MntFlags::empty() };
        return Ok(umount2(point, flags)?);
    }
    let flag = if lazy { "-uz" } else { "-u" };
    let output = Command::new("fusermount3").args([flag, "--"]).arg(point).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let kind =
        if said.contains("busy") { io::ErrorKind::ResourceBusy } else { io::ErrorKind::PermissionDenied };
    Err(io::Error::new(kind, said))
}
