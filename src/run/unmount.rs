//! `dcmsfs unmount`

use std::io;

use crate::cli::UnmountArgs;
use crate::error::{ErrorKind, Result, fail};
use crate::sys::{mount, mounts};

/// Unmounts, if the mount is one of ours.
pub(super) fn run(args: &UnmountArgs) -> Result<()> {
    let point = std::path::absolute(&args.mountpoint).unwrap_or_else(|_| args.mountpoint.clone());
    let shown = args.mountpoint.display();
    // By the table, not by a look at the directory: the mount may be dead. A path through links is asked for
    // its real name, which a dead mount cannot answer.
    let there = mounts::at(&point).or_else(|| mounts::at(&point.canonicalize().ok()?));
    let Some(there) = there else {
        return fail(ErrorKind::Configuration, format!("nothing is mounted at {shown}"));
    };
    if there.kind != mounts::TYPE {
        return fail(
            ErrorKind::Configuration,
            format!("what is mounted at {shown} is not ours but {}: leave it to `umount`", there.kind),
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
