//! Whether the process that waits for an answer has been told to stop.
//!
//! The kernel would say so (`FUSE_INTERRUPT`), but the library answers that with `ENOSYS` once and for all
//! (dependencies.md 2.1). Without it, `stat` and `ls` on a silent server cannot even be killed. So the
//! pending signals of the waiting thread are looked at while it waits.

use std::time::Duration;

use tokio::time::sleep;

/// Requests that are answered sooner are never looked at.
const FIRST_LOOK: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_millis(50);
/// Bits of HUP, INT, QUIT, KILL and TERM in the masks of proc(5). Only these: to answer `EINTR` on any
/// signal breaks Go programs (SIGURG) and profilers (SIGALRM).
const STOPPING: u64 =
    bit(libc::SIGHUP) | bit(libc::SIGINT) | bit(libc::SIGQUIT) | bit(libc::SIGKILL) | bit(libc::SIGTERM);

const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// The thread that made a request.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    thread: u32,
}

impl Caller {
    /// The thread with this id, as a request's header names it. 0: it lives in a namespace we cannot see.
    pub fn of(thread: u32) -> Self {
        Self { thread }
    }

    /// Returns when one of the stopping signals is pending, not blocked and not ignored. Never for a
    /// thread that cannot be seen or has no such signal.
    pub async fn told_to_stop(self) {
        if self.thread == 0 {
            return std::future::pending().await;
        }
        sleep(FIRST_LOOK).await;
        loop {
            match std::fs::read_to_string(format!("/proc/{}/status", self.thread)) {
                Ok(status) if stopping(&status) => return,
                Ok(_) => {}
                Err(_) => return std::future::pending().await,
            }
            sleep(LOOK).await;
        }
    }
}

/// Reads the masks of a `/proc/<tid>/status` (proc(5)): hexadecimal, signal 1 in the lowest bit.
fn stopping(status: &str) -> bool {
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|value| u64::from_str_radix(value.trim(), 16).ok()).unwrap_or(0)
    };
    let pending = mask("SigPnd") | mask("ShdPnd");
    pending & !mask("SigBlk") & !mask("SigIgn") & STOPPING != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(pending: u64, shared: u64, blocked: u64, ignored: u64) -> String {
        format!(
            "Name:\tcat\nSigPnd:\t{pending:016x}\nShdPnd:\t{shared:016x}\nSigBlk:\t{blocked:016x}\nSigIgn:\t{ignored:016x}\n"
        )
    }

    #[test]
    fn only_stopping_signals_that_would_act() {
        let int = bit(libc::SIGINT);
        assert!(stopping(&status(0, int, 0, 0)));
        assert!(stopping(&status(bit(libc::SIGKILL), 0, 0, 0)));
        assert!(!stopping(&status(0, int, int, 0)));
        assert!(!stopping(&status(0, int, 0, int)));
        assert!(!stopping(&status(0, bit(libc::SIGALRM) | bit(libc::SIGURG) | bit(libc::SIGCHLD), 0, 0)));
        assert!(!stopping("garbage"));
    }
}
