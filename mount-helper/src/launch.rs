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
    let events = watch_signals()?;
    let number = mounted.fuse.as_raw_fd();
    inherit(&mounted.fuse)?;
    let arguments = program::arguments(&request.options, Some(number), &mounted.path);
    let mut child = spawn_as(account, program, &arguments)?;
    let outcome = mounted.release_fuse().and_then(|()| wait(&mut child, &events, LIMIT));
    match outcome {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => {
            Err(Failure::mount(format!("dcmsfs did not come up ({status}); nothing is mounted")))
        }
        Ok(None) => {
            end(&mut child);
            let seconds = LIMIT.as_secs();
            Err(Failure::mount(format!("dcmsfs did not answer within {seconds} s; nothing is mounted")))
        }
        Err(failure) => {
            end(&mut child);
            Err(failure)
        }
    }
}

/// Runs a program as the account to its end. Nothing if it takes longer than the limit; it is then killed.
pub(crate) fn run_as(
    account: &Account,
    program: &Path,
    arguments: &[OsString],
    limit: Duration,
) -> Result<Option<ExitStatus>, Failure> {
    let events = watch_signals()?;
    let mut child = spawn_as(account, program, arguments)?;
    let outcome = wait(&mut child, &events, limit);
    if !matches!(outcome, Ok(Some(_))) {
        end(&mut child);
    }
    outcome
}

/// Lets the next program started have this descriptor, under the same number.
pub(crate) fn inherit(fd: impl AsFd) -> Result<(), Failure> {
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))
        .map(|_| ())
        .map_err(|error| Failure::system(format!("fcntl: {error}")))
}

fn spawn_as(account: &Account, program: &Path, arguments: &[OsString]) -> Result<Child, Failure> {
    Command::new("/proc/self/exe")
        .arg(CHILD)
        .arg(account.uid.to_string())
        .arg(account.gid.to_string())
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| Failure::system(format!("cannot start {program:?}: {error}")))
}

/// Kills and reaps. It may have ended meanwhile; then there is nothing left to kill.
fn end(child: &mut Child) {
    let _ended = child.kill();
    let _reaped = child.wait();
}

/// A caller who gives up must not leave a mount without a daemon, so signals are read, not suffered.
fn watch_signals() -> Result<SignalFd, Failure> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    let failed = |error| Failure::system(format!("cannot watch signals: {error}"));
    signals.thread_block().map_err(failed)?;
    SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(failed)
}

/// Waits for the process, a signal from the caller, or the limit.
#[expect(clippy::disallowed_methods, reason = "there is no runtime here whose clock a test could pause")]
fn wait(child: &mut Child, events: &SignalFd, limit: Duration) -> Result<Option<ExitStatus>, Failure> {
    let start = Instant::now();
    loop {
        let ended =
            child.try_wait().map_err(|error| Failure::system(format!("cannot wait for dcmsfs: {error}")))?;
        if let Some(status) = ended {
            return Ok(Some(status));
        }
        let Some(left) = limit.checked_sub(start.elapsed()) else { return Ok(None) };
        // Rounded up, or the last millisecond would be spent in a loop.
        let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
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
