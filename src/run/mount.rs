//! `dcmsfs MOUNTPOINT`: from settings to a mount that answers, and back.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Uid};
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::time::{Instant, sleep};
use toml::Value;

use crate::cli::MountArgs;
use crate::credentials::Account;
use crate::error::{Error, ErrorKind, Result, fail};
use crate::fuse::Adapter;
use crate::fuse::session::{self, Running};
use crate::run::{given, logging, mountpoint, places, tree};
use crate::settings::{Settings, expand, layers};
use crate::sys::background::{self, Report, Side};
use crate::sys::mount::{self, Mounted};
use crate::sys::{harden, passthrough, readahead};

/// Threads that move bytes; the FUSE threads are apart from them.
const THREADS: usize = 2;
/// How long a new mount may take to answer its first request.
const FIRST_ANSWER: Duration = Duration::from_secs(20);
/// How long a stopping mount waits for its users (contract.md 6).
const DRAIN: Duration = Duration::from_secs(10);

/// Mounts, in the background unless told otherwise.
pub(super) fn run(args: &MountArgs) -> Result<()> {
    let Some(asked) = &args.mountpoint else {
        return fail(ErrorKind::Configuration, "no mount point given: see `dcmsfs --help`");
    };
    let settings = layers::load(&sources(args))?;
    // A device that was handed in is mounted already: the point is in use by that very mount.
    let point = match args.fuse_fd {
        Some(_) => mountpoint::handed_in(asked)?,
        None => mountpoint::prepare(asked, args.nonempty)?,
    };
    if args.foreground {
        logging::begin(args.log_file.as_deref(), args.log.as_deref().unwrap_or("info"))?;
        return serve(settings, &point, args, Ready::Foreground);
    }
    match background::split()? {
        Side::Parent(mut child) => {
            // The handed-in device belongs to the child alone: the mount must end with it.
            drop(args.fuse_fd.map(mount::inherited).transpose()?);
            child.wait()?;
            let mounted = Mounted::found_at(&point);
            if let Err(error) = answers(&point) {
                // The daemon unmounts when it is told to stop; if it cannot any more, we do, but nothing else.
                let _ = mounted.detach(true);
                let _ = kill(child.pid, Signal::SIGTERM);
                return Err(error);
            }
            println!("mounted at {}; `dcmsfs unmount {}` ends it", asked.display(), asked.display());
            Ok(())
        }
        Side::Child(report) => {
            let file = args.log_file.clone().unwrap_or_else(places::log_file);
            let served = match logging::begin(Some(&file), args.log.as_deref().unwrap_or("warn")) {
                Ok(()) => serve(settings, &point, args, Ready::Background(report)),
                Err(error) => {
                    report.failed(&error);
                    Err(error)
                }
            };
            if let Err(error) = &served {
                tracing::error!("{error}");
            }
            // What went wrong at the start is the parent's to say, once.
            std::process::exit(i32::from(served.is_err()))
        }
    }
}

/// Whom to tell that the mount stands.
pub(super) enum Ready {
    Foreground,
    Background(Report),
    /// The demo, which prints what to try.
    Say(Box<dyn FnOnce()>),
}

fn sources(args: &MountArgs) -> layers::Sources {
    let mut sources = places::sources(&args.configuration);
    let text = |value: &Option<String>| value.clone().map(Value::String);
    let options = [
        ("cache_a.url", text(&args.cache_a_url)),
        ("cache_b.url", text(&args.cache_b_url)),
        ("cache_a.bbox", text(&args.bbox)),
        ("cache_a.datetime", text(&args.datetime)),
        ("cache_a.cloud_cover", text(&args.cloud_cover)),
        ("mount.allow_other", args.allow_other.then_some(Value::Boolean(true))),
    ];
    sources.options = options.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    sources
}

/// Builds the layers, mounts and serves until told to stop.
fn serve(settings: Settings, point: &Path, args: &MountArgs, ready: Ready) -> Result<()> {
    let prepared = || {
        // The descriptor first: nothing may be opened in its place.
        let device = args.fuse_fd.map(mount::inherited).transpose()?;
        harden::process();
        Ok((device, given::account()?, super::runtime(THREADS)?))
    };
    match prepared() {
        Ok((device, account, runtime)) => {
            let serving = mount_and_serve(settings, account, point, device, !args.offline, ready);
            let served = runtime.block_on(serving);
            runtime.shutdown_background();
            served
        }
        Err(error) => {
            if let Ready::Background(report) = ready {
                report.failed(&error);
            }
            Err(error)
        }
    }
}

/// How long the end waits for the disk cache.
const FLUSH: Duration = Duration::from_secs(5);

/// Mounts and serves inside a runtime; `check`: not before every service has answered. Whatever goes wrong before the mount stands is told to `ready` and
/// leaves nothing mounted.
pub(super) async fn mount_and_serve(
    settings: Settings,
    account: Option<Account>,
    point: &Path,
    device: Option<std::os::fd::OwnedFd>,
    check: bool,
    ready: Ready,
) -> Result<()> {
    // Before there is a mount: a signal must never end the process and leave one.
    let begun = async {
        let signals = Signals::listen()?;
        let built = tree::build(&settings, point, account)?;
        if check {
            built.check().await?;
        }
        Ok((signals, begin(&settings, built, point, device)?))
    };
    match begun.await {
        Ok((signals, (built, mounted, running))) => {
            match ready {
                Ready::Foreground => notify_when_answering(point.to_owned()),
                Ready::Background(report) => {
                    report.mounted();
                    let _ = std::env::set_current_dir("/");
                }
                Ready::Say(say) => say(),
            }
            let ended = stand(&mounted, running, signals).await;
            built.flush(FLUSH).await;
            ended
        }
        Err(error) => {
            if let Ready::Background(report) = ready {
                report.failed(&error);
            }
            Err(error)
        }
    }
}

fn begin(
    settings: &Settings,
    built: tree::Built,
    point: &Path,
    device: Option<std::os::fd::OwnedFd>,
) -> Result<(tree::Built, Mounted, Running)> {
    let allow_other = settings.mount.allow_other;
    let depth = passthrough::stack_depth(&expand(&settings.cache.dir, &places::home()));
    let (device, mounted) = match device {
        Some(device) => (device, Mounted::handed_in(point)),
        None => mount::attach(point, &built.source, allow_other)?,
    };
    let owner = (Uid::effective().as_raw(), Gid::effective().as_raw());
    let handle = tokio::runtime::Handle::current();
    let adapter = Adapter::new(built.filesystem.clone(), handle, owner, allow_other, depth);
    match session::start(device, adapter, allow_other) {
        Ok(running) => {
            tracing::info!("mounted at {}", point.display());
            if let (Some(device), Some(bytes)) = (mounted.device(), settings.mount.read_ahead_bytes()?)
                && let Err(error) = readahead::set(device, bytes)
            {
                tracing::debug!("the kernel keeps its own read-ahead: {error}");
            }
            Ok((built, mounted, running))
        }
        Err(error) => {
            let _ = mounted.detach(true);
            Err(error)
        }
    }
}

/// The signals that end a mount in order.
struct Signals([unix::Signal; 4]);

impl Signals {
    fn listen() -> Result<Self> {
        let kinds =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()];
        let [interrupt, terminate, hangup, quit] = kinds.map(signal);
        let all = (|| Ok::<_, io::Error>(Self([interrupt?, terminate?, hangup?, quit?])))();
        all.map_err(|error| Error::new(ErrorKind::Internal, format!("cannot listen for signals: {error}")))
    }

    async fn stop(&mut self) {
        let [interrupt, terminate, hangup, quit] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            _ = quit.recv() => {}
        }
    }
}

/// Serves until the mount goes or a signal comes: the first asks users to finish, the second does not.
async fn stand(mounted: &Mounted, mut running: Running, mut signals: Signals) -> Result<()> {
    tokio::select! {
        ended = running.ended() => return judge(mounted, ended),
        () = signals.stop() => {}
    }
    tracing::info!("stopping");
    let drained = async {
        let deadline = Instant::now() + DRAIN;
        while let Err(error) = detach_off_thread(mounted, false).await {
            if error.kind() != io::ErrorKind::ResourceBusy || Instant::now() >= deadline {
                return;
            }
            sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        () = drained => {}
        () = signals.stop() => {}
    }
    if let Err(error) = detach_off_thread(mounted, true).await {
        if mounted.by_others() {
            // Who mounted for us unmounts too; the end of this process frees whoever still waits.
            return Ok(());
        }
        return fail(ErrorKind::Internal, format!("cannot unmount {}: {error}", mounted.point.display()));
    }
    Ok(())
}

/// Unmounting waits for the kernel, and the kernel may wait for an answer of ours.
async fn detach_off_thread(mounted: &Mounted, lazy: bool) -> io::Result<()> {
    let mounted = mounted.clone();
    tokio::task::spawn_blocking(move || mounted.detach(lazy)).await.map_err(io::Error::other)?
}

/// The session has ended without our doing: fine if somebody unmounted, a failure if the kernel cut us off.
fn judge(mounted: &Mounted, ended: io::Result<()>) -> Result<()> {
    if mounted.is_there() {
        let _ = mounted.detach(true);
        let why = ended.err().map_or_else(|| "it was aborted".to_owned(), |error| error.to_string());
        return fail(
            ErrorKind::Internal,
            format!("the mount at {} broke off: {why}", mounted.point.display()),
        );
    }
    Ok(())
}

/// Asks the mount for something that only the daemon can answer, from a process that does not serve it.
fn answers(point: &Path) -> Result<()> {
    let status = point.join(".dcmsfs/status.json");
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(std::fs::read(status)));
    match receiver.recv_timeout(FIRST_ANSWER) {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => {
            fail(ErrorKind::Configuration, format!("the mount at {} does not work: {error}", point.display()))
        }
        Err(_) => fail(
            ErrorKind::Configuration,
            format!("the mount at {} did not answer within {} s", point.display(), FIRST_ANSWER.as_secs()),
        ),
    }
}

/// Tells the service manager (sd_notify(3)) that the mount is ready, once another process has been answered:
/// this one serves, and must not ask itself.
fn notify_when_answering(point: PathBuf) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    std::thread::spawn(move || {
        let probe = Command::new("/proc/self/exe").arg("status").arg("--json").arg(&point).output();
        if probe.is_ok_and(|output| output.status.success()) {
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        }
    });
}
