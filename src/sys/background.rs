//! Going to the background: one fork before any thread, runtime or logger exists. The parent stays until
//! the child has said how the start went, and its exit status is the truth.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe, setsid};

use crate::error::{Error, ErrorKind, Result};

/// Which side of the fork this is.
pub enum Side {
    /// The process that was started by hand.
    Parent(Child),
    /// The one that will serve.
    Child(Report),
}

/// The parent's view of the child.
pub struct Child {
    /// Its process id.
    pub pid: Pid,
    outcome: std::fs::File,
}

/// The child's way to tell how the start went.
pub struct Report {
    outcome: std::fs::File,
}

/// Forks. Must be called while there is one thread only.
///
/// # Errors
/// `Internal` when the system gives no process.
#[expect(unsafe_code, reason = "fork")]
pub fn split() -> Result<Side> {
    let system = |errno: nix::Error| {
        Error::new(ErrorKind::Internal, format!("cannot go to the background: {}", errno.desc()))
    };
    let (read, write) = pipe().map_err(system)?;
    // SAFETY: no other thread exists yet (the caller's duty), so the child may do anything.
    match unsafe { fork() }.map_err(system)? {
        ForkResult::Parent { child } => {
            drop(write);
            Ok(Side::Parent(Child { pid: child, outcome: read.into() }))
        }
        ForkResult::Child => {
            drop(read);
            setsid().map_err(system)?;
            Ok(Side::Child(Report { outcome: write.into() }))
        }
    }
}

impl Child {
    /// Waits for the child's word: `Ok` when it has mounted, else the reason. A child that dies without a
    /// word is an error too.
    ///
    /// # Errors
    /// `Configuration` with what the child said.
    pub fn wait(&mut self) -> Result<()> {
        let mut said = String::new();
        if self.outcome.read_to_string(&mut said).is_err() || said.is_empty() {
            said = "the background process ended without a word".to_owned();
        }
        match said.strip_prefix("mounted") {
            Some("") => Ok(()),
            _ => Err(Error::new(ErrorKind::Configuration, said)),
        }
    }
}

impl Report {
    /// Tells the parent that the mount stands, and lets go of the terminal.
    pub fn mounted(self) {
        self.tell(b"mounted");
    }

    /// Tells the parent why there is no mount. The terminal is let go of, so that only the parent says it.
    pub fn failed(self, error: &Error) {
        self.tell(error.message().as_bytes());
    }

    fn tell(mut self, word: &[u8]) {
        // A parent that was killed meanwhile does not matter to the mount.
        let _ = self.outcome.write_all(word);
        drop(self);
        if let Ok(null) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null") {
            let null = OwnedFd::from(null);
            let _ = dup2_stdin(&null);
            let _ = dup2_stdout(&null);
            let _ = dup2_stderr(&null);
        }
    }
}
