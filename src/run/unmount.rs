//! `dcmsfs unmount`

use std::io;

use nix::unistd::Uid;

use crate::cli::UnmountArgs;
use crate::error::{ErrorKind, Result, fail};
use crate::sys::{mount, mounts};

/// Unmounts, if the mount is one of ours.
pub(super) fn run(args: &UnmountArgs) -> Result<()> {
    let shown = args.mountpoint.display();
    let Some(there) = mounts::at(&mounts::point(&args.mountpoint)) else {
        return fail(ErrorKind::Configuration, format!("nothing is mounted at {shown}"));
    };
    if there.kind != mounts::TYPE {
        return fail(
            ErrorKind::Configuration,
            format!("what is mounted at {shown} is not ours but {}: leave it to `umount`", there.kind),
        );
    }
    let own = Uid::effective();
    if !own.is_root() && there.user.is_some_and(|user| user != own.as_raw()) {
        return fail(
            ErrorKind::Configuration,
            format!("the mount at {shown} is another user's: only they and root can unmount it"),
        );
    }
    match mount::detach(&there.point, args.lazy) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => fail(
            ErrorKind::Configuration,
            format!(
                "{shown} is in use: close what uses it (`fuser -vm {shown}` names it), or `dcmsfs unmount --lazy {shown}`"
            ),
        ),
        Err(error) => fail(ErrorKind::Configuration, format!("cannot unmount {shown}: {error}")),
    }
}
