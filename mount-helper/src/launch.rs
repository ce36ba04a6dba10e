//! Starting the daemon, and knowing for certain whether it serves.
//!
//! `dcmsfs` puts itself into the background and ends with status 0 only when a request through the mount was
//! answered. The helper stays root, holds the mount until then, and takes it away if the daemon fails, takes too
//! long, or the caller gives up. In between stands one more start of this program (`CHILD`), because dropping
//! privileges completely needs steps between fork and exec that only a process of its own can take safely.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::{Mode, umask};

use crate::account::{self, Account};
use crate::arguments::Request;
use crate::failure::Failure;
use crate::mountpoint::Mounted;
use crate::program;

/// First argument of the start in between: `CHILD uid gid program arguments…`.
pub(crate) const CHILD: &str = "--internal-child";

/// Longer than the daemon's own limit for becoming ready (30 s), so that its message comes first.
const LIMIT: Duration = Duration::from_secs(60);

/// As an ordinary user: `dcmsfs` does everything itself. Returns only if it cannot be started.
pub(crate) fn replace_self(program: &Path, request: &Request) -> Failure {
    let account = match account::own() {
        Ok(account) => account,
        Err(failure) => return failure,
    };
    let directory = match std::path::absolute(&request.directory) {
        Ok(directory) => directory,
        Err(error) => return Failure::usage(format!("the mount point {:?}: {error}", request.directory)),
    };
    let arguments = program::arguments(&request.options, None, &directory);
    start(program, &arguments, &account)
}

/// As root, with the mount made: runs the daemon as the account, until it says that it serves.
pub(crate) fn serve(
    program: &Path,
    request: &Request,
    account: &Account,
    mut mounted: Mounted,
) -> Result<(), Failure> {
    match run_daemon(program, request, account, &mut mounted) {
        Ok(()) => Ok(()),
        Err(failure) => match mounted.remove() {
            Ok(()) => Err(failure),
            Err(removal) => Err(Failure::mount(format!("{failure}; {removal}"))),
        },
    }
}

fn run_daemon(
    program: &Path,
    request: &Request,
    account: &Account,
    mounted: &mut Mounted,
) -> Result<(), Failure> {
    let failed = |what: &str, error: nix::Error| Failure::system(format!("{what}: {error}"));
    // A caller who gives up must not leave a mount without a daemon, so signals are read, not suffered.
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block().map_err(|error| failed("sigprocmask", error))?;
    let events = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(|error| failed("signalfd", error))?;

    let number = mounted.fuse.as_raw_fd();
    fcntl(&mounted.fuse, FcntlArg::F_SETFD(FdFlag::empty())).map_err(|error| failed("fcntl", error))?;
    let mut child = Command::new("/proc/self/exe")
        .arg(CHILD)
        .arg(account.uid.to_string())
        .arg(account.gid.to_string())
        .arg(program)
        .args(program::arguments(&request.options, Some(number), &mounted.path))
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| Failure::system(format!("cannot start dcmsfs: {error}")))?;
    let outcome = mounted.release_fuse().and_then(|()| wait(&mut child, &events));
    match outcome {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::mount(format!("dcmsfs did not come up ({status}); nothing is mounted"))),
        Err(failure) => {
            // It may have ended meanwhile; then there is nothing left to kill.
            let _ended = child.kill();
            let _reaped = child.wait();
            Err(failure)
        }
    }
}

/// Waits for the front process of the daemon, a signal from the caller, or the limit.
#[expect(clippy::disallowed_methods, reason = "there is no runtime here whose clock a test could pause")]
fn wait(child: &mut Child, events: &SignalFd) -> Result<ExitStatus, Failure> {
    let start = Instant::now();
    loop {
        let ended =
            child.try_wait().map_err(|error| Failure::system(format!("cannot wait for dcmsfs: {error}")))?;
        if let Some(status) = ended {
            return Ok(status);
        }
        let left = LIMIT.checked_sub(start.elapsed()).ok_or_else(|| {
            Failure::mount(format!("dcmsfs did not answer within {} s; nothing is mounted", LIMIT.as_secs()))
        })?;
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLIN)], timeout)
            .map_err(|error| Failure::system(format!("poll: {error}")))?;
        while let Ok(Some(event)) = events.read_signal() {
            if event.ssi_signo != Signal::SIGCHLD as u32 {
                return Err(Failure::mount("interrupted; nothing is mounted"));
            }
        }
    }
}

/// The start in between: becomes the account, then `dcmsfs`. Returns only if that fails.
///
/// Anybody can call this, and gains nothing: the program has no privileges but the caller's.
pub(crate) fn become_daemon(arguments: &[OsString]) -> Failure {
    match try_become_daemon(arguments) {
        Ok(never) => match never {},
        Err(failure) => failure,
    }
}

fn try_become_daemon(arguments: &[OsString]) -> Result<Infallible, Failure> {
    let [uid, gid, program, rest @ ..] = arguments else {
        return Err(Failure::usage(format!("{CHILD} is for mount.dcmsfs itself")));
    };
    let account = account::by_number(number(uid)?, number(gid)?)?;
    // Blocked signals would be inherited, and the daemon could not be stopped.
    SigSet::empty().thread_set_mask().map_err(|error| Failure::system(format!("sigprocmask: {error}")))?;
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    account::become_account(&account)?;
    Err(start(Path::new(program), rest, &account))
}

fn number(text: &OsStr) -> Result<u32, Failure> {
    let number = text.to_str().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Failure::usage(format!("{CHILD} is for mount.dcmsfs itself")))
}

/// Replaces this process. The working directory is left: it may be one that the account cannot enter, and a
/// daemon must not keep the caller's file system busy.
fn start(program: &Path, arguments: &[OsString], account: &Account) -> Failure {
    let error = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(account::environment(account))
        .current_dir("/")
        .exec();
    Failure::system(format!("cannot start {program:?}: {error}"))
}
