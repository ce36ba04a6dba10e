//! Whether a mount of ours is dead: its daemon has gone, and every call on it fails.
//!
//! Only the account that the mount belongs to gets an answer (root does not, without `allow_other`), and a live
//! daemon may be slow. So one more start of this program asks as that account, and has a few seconds for it.
//! Whoever does not get the kernel's clear word that nobody is there leaves the mount alone.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::statfs::statfs;

use crate::account::Account;
use crate::failure::Failure;
use crate::launch;
use crate::mountpoint::Mountpoint;

/// First argument of the start that asks: `PROBE descriptor`.
pub(crate) const PROBE: &str = "--internal-probe";

/// Exit status that says dead. Not one that a failure to start could have.
const DEAD: u8 = 70;

const LIMIT: Duration = Duration::from_secs(5);

/// Whether a dead mount of this very account is here.
pub(crate) fn is_dead(point: &Mountpoint, account: &Account) -> Result<bool, Failure> {
    if point.occupant()? != Some(account.uid.as_raw()) {
        return Ok(false);
    }
    launch::inherit(point.directory())?;
    let number = point.directory().as_raw_fd().to_string();
    let status = launch::run_as(account, Path::new("/proc/self/exe"), &[PROBE.into(), number.into()], LIMIT)?;
    Ok(status.and_then(|status| status.code()) == Some(i32::from(DEAD)))
}

/// The start that asks. It runs as the account already.
pub(crate) fn answer(arguments: &[OsString]) -> Result<(), Failure> {
    let number = match arguments {
        [number] => number.to_str().and_then(|text: &str| text.parse::<u16>().ok()),
        _ => None,
    };
    let number = number.ok_or_else(|| Failure::usage(format!("{PROBE} is for mount.dcmsfs itself")))?;
    match statfs(OsStr::new(&format!("/proc/self/fd/{number}"))) {
        Err(Errno::ENOTCONN | Errno::ECONNABORTED) => std::process::exit(i32::from(DEAD)),
        _ => Ok(()),
    }
}
