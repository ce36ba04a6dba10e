//! The session with the kernel on a device that we mounted ourselves.

use std::io;
use std::os::fd::OwnedFd;
use std::thread::{self, JoinHandle};

use fuser::{Config, Session, SessionACL};
use tokio::sync::oneshot;

use crate::error::{Error, ErrorKind, Result};
use crate::fuse::Adapter;
use crate::fuse::linger::Linger;

/// Kernel requests are taken in by this many threads at least and at most.
const THREADS: (usize, usize) = (3, 9);

/// How many threads take in the kernel's requests: one for each core, as more change nothing (fuse.md 4.2), and one that
/// never waits for the disk.
pub fn threads() -> usize {
    thread::available_parallelism().map_or(0, usize::from).saturating_add(1).clamp(THREADS.0, THREADS.1)
}

/// A running session.
pub struct Running {
    ended: oneshot::Receiver<io::Result<()>>,
    _thread: JoinHandle<()>,
}

/// Shakes hands with the kernel on `device` and serves it from threads of its own. The session ends when
/// the mount goes.
///
/// # Errors
/// `Configuration` when the kernel does not take the handshake.
pub fn start(device: OwnedFd, adapter: Adapter, allow_other: bool) -> Result<Running> {
    let mut config = Config::default();
    config.n_threads = Some(threads());
    config.clone_fd = true;
    // The kernel refuses other users itself; root's own look (`allow_other` off) is refused there too.
    config.acl = if allow_other { SessionACL::All } else { SessionACL::Owner };
    let acl = config.acl;
    let wrong = |error: io::Error| {
        Error::new(ErrorKind::Configuration, format!("the kernel refused the mount: {error}"))
    };
    let _ = adapter.linger.set(Linger::new(device.try_clone().map_err(wrong)?));
    let kernel = adapter.kernel.clone();
    let session = Session::from_fd(adapter, device, acl, config).map_err(wrong)?;
    let _ = kernel.0.set(session.notifier());
    let (sender, ended) = oneshot::channel();
    let run = move || {
        // Nobody listens any more when the process is about to end anyway.
        let _ = sender.send(session.run());
    };
    let thread = thread::Builder::new().name("fuse-session".into()).spawn(run).map_err(wrong)?;
    Ok(Running { ended, _thread: thread })
}

impl Running {
    /// Waits for the end of the session.
    ///
    /// # Errors
    /// What ended it, when it was not an unmount.
    pub async fn ended(&mut self) -> io::Result<()> {
        (&mut self.ended).await.unwrap_or_else(|_| Err(io::Error::other("the session thread died")))
    }
}
