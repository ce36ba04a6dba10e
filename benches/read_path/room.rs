//! A mount namespace of its own for the whole run, if root: in it everybody may use /dev/fuse and `allow_other`,
//! so that dcmsfs can also be measured without privileges. Nothing of the machine is changed, and no mount is left.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::Uid;

use crate::Result;

/// The user and group that run dcmsfs without privileges: `nobody`, which every system knows.
const NOBODY: u32 = 65534;
const INSIDE: &str = "DCMSFS_BENCH_INSIDE";

/// Starts this program again in a namespace, unless it is there already or may not.
pub(crate) fn enter() -> Result<()> {
    if !Uid::effective().is_root() || std::env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]).arg(std::env::current_exe()?);
    let error = command.args(std::env::args_os().skip(1)).env(INSIDE, "yes").exec();
    Err(format!("unshare: {error}").into())
}

/// Lets everybody mount, inside of the namespace.
pub(crate) fn furnish(work: &Path) -> Result<()> {
    if std::env::var_os(INSIDE).is_none() {
        return Ok(());
    }
    let none = None::<&str>;
    let room = work.join("room");
    fs::create_dir_all(&room)?;
    mount(Some("tmpfs"), &room, Some("tmpfs"), MsFlags::empty(), none)?;
    let (device, configuration) = (room.join("fuse"), room.join("fuse.conf"));
    mknod(&device, SFlag::S_IFCHR, Mode::empty(), makedev(10, 229))?;
    fs::set_permissions(&device, Permissions::from_mode(0o666))?;
    fs::write(&configuration, "user_allow_other\n")?;
    mount(Some(&device), "/dev/fuse", none, MsFlags::MS_BIND, none)?;
    if Path::new("/etc/fuse.conf").exists() {
        mount(Some(&configuration), "/etc/fuse.conf", none, MsFlags::MS_BIND, none)?;
    }
    Ok(())
}

/// Undoes [`furnish`], so that the directory can be removed.
pub(crate) fn leave(work: &Path) {
    if std::env::var_os(INSIDE).is_some() {
        for point in [Path::new("/dev/fuse"), Path::new("/etc/fuse.conf"), &work.join("room")] {
            let _ = umount2(point, MntFlags::MNT_DETACH);
        }
    }
}

/// Takes the privileges from a command that is yet to be started, and gives it its home.
pub(crate) fn without_privileges(program: &Path, home: &Path) -> Result<Command> {
    let mut command = Command::new(program);
    if Uid::effective().is_root() {
        if std::env::var_os(INSIDE).is_none() {
            return Err("there is no namespace to mount in".into());
        }
        give(home)?;
        command.uid(NOBODY).gid(NOBODY);
    }
    Ok(command)
}

fn give(path: &Path) -> Result<()> {
    chown(path, Some(NOBODY), Some(NOBODY))?;
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path())?;
        }
    }
    Ok(())
}
