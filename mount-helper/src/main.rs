//! `mount.dcmsfs`: what mount(8) runs for a file system of type `dcmsfs`.
//!
//! It is the only part of dcmsfs that runs as root, so it does little and trusts nobody: options come from
//! an allow-list (`options`), the mount point is opened once and used through its descriptor (`mountpoint`),
//! and the daemon is started with the privileges and the environment of the account it serves (`account`).
//! An ordinary user's mount goes to `dcmsfs` itself, which asks `fusermount3`. It is never setuid.
//!
//! As root the mount is made here, before the daemon exists, and the FUSE descriptor is handed over. So the
//! daemon needs no privilege at all; and a daemon that fails must not leave the mount behind (`launch`). A mount
//! whose daemon died earlier is recognized (`probe`) and cleared, so that mounting again simply works.

mod account;
mod arguments;
mod failure;
mod launch;
mod mountpoint;
mod mounttable;
mod options;
mod probe;
mod program;

use std::ffi::OsString;
use std::process::ExitCode;

use nix::unistd::geteuid;

use crate::arguments::{Call, Request};
use crate::failure::Failure;

const HELP: &str = "\
mount.dcmsfs is called by mount(8). Use it as:

  mount -t dcmsfs dcmsfs: /mnt/destine -o uid=alice
  /etc/fstab:  dcmsfs:  /mnt/destine  dcmsfs  ro,uid=alice,noauto,x-systemd.automount,_netdev  0  0

Options:
  uid=ACCOUNT    mount for this account: its configuration, login and cache are used (root only)
  gid=GROUP      the group to run with instead of the account's own (root only)
  config=FILE    read this configuration file, an absolute path
  allow_other    let other accounts in; their reads use the mounting account's login and quota
  nonempty       mount over a directory that is not empty
  exec           let programs in the mount be run
  log=LEVEL      error, warn, info, debug or trace

The mount is always read-only, nosuid and nodev. Passwords and tokens are never options: run `dcmsfs login`.
Calling form: mount.dcmsfs SOURCE DIRECTORY [-sfnv] [-o OPTIONS] [-t dcmsfs]
";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("mount.dcmsfs: {failure}");
            ExitCode::from(failure.status())
        }
    }
}

fn run(arguments: &[OsString]) -> Result<(), Failure> {
    if let Some((first, rest)) = arguments.split_first() {
        if first == launch::CHILD {
            return Err(launch::become_daemon(rest));
        }
        if first == probe::PROBE {
            return probe::answer(rest);
        }
    }
    match arguments::parse(arguments)? {
        Call::Help => print!("{HELP}"),
        Call::Version => println!("mount.dcmsfs {}", env!("CARGO_PKG_VERSION")),
        Call::Mount(request) => mount(&request)?,
    }
    Ok(())
}

fn mount(request: &Request) -> Result<(), Failure> {
    if !geteuid().is_root() {
        account::check_own(&request.options)?;
        let program = program::find()?;
        if request.fake {
            return Ok(());
        }
        return Err(launch::replace_self(&program, request));
    }
    let account = account::resolve(&request.options)?;
    let program = program::find()?;
    let mut point = mountpoint::Mountpoint::open(&request.directory)?;
    if !request.fake && probe::is_dead(&point, &account)? {
        point = point.clear(&request.directory)?;
    }
    point.check(account.uid, request.options.nonempty)?;
    if request.fake {
        return Ok(());
    }
    let mounted = point.mount(&request.source, &account, &request.options)?;
    launch::serve(&program, request, &account, mounted)
}
