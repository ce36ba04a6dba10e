//! Staying awake between messages that follow each other closely.
//!
//! Whoever walks a tree that the daemon knows sends one message after the other and waits for each. Most of that time goes
//! into waking this thread: some 20 µs when another processor has to, 30 to 70 µs when that was halted (fuse.md 4.1).

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::yield_now;
use std::time::Duration;

use tokio::time::Instant;

use crate::sys::readable::is_readable;

/// How long a thread looks for the next message: about what `find` does between two of them.
const LOOKING: Duration = Duration::from_micros(100);
/// A message that came later than this after the one before it is not followed closely.
const CLOSE: Duration = Duration::from_micros(200);

/// Where messages come from, and how closely.
pub(super) struct Linger {
    device: OwnedFd,
    begin: Instant,
    /// When the message before was done, in nanoseconds from `begin`.
    before: AtomicU64,
    /// One thread that is awake is enough.
    taken: AtomicBool,
}

impl Linger {
    /// `device`: any descriptor of the connection, as all show whether a message waits.
    pub(super) fn new(device: OwnedFd) -> Self {
        Self { device, begin: Instant::now(), before: AtomicU64::new(0), taken: AtomicBool::new(false) }
    }

    /// To be called by a thread that is done with a message and would wait for the next: returns when there is one, or
    /// after 0.1 ms; at once when messages come too seldom or another thread looks already. Gives way to all who want
    /// the processor.
    pub(super) fn for_the_next(&self) {
        let now = self.begin.elapsed();
        let nanoseconds = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let before = Duration::from_nanos(self.before.swap(nanoseconds, Ordering::Relaxed));
        if now.saturating_sub(before) > CLOSE || self.taken.swap(true, Ordering::Acquire) {
            return;
        }
        while !is_readable(&self.device) && self.begin.elapsed().saturating_sub(now) < LOOKING {
            yield_now();
        }
        self.taken.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeWriter, Write, pipe};

    use tokio::time::advance;

    use super::*;

    fn silent() -> (Linger, PipeWriter) {
        let (reader, writer) = pipe().unwrap();
        (Linger::new(reader.into()), writer)
    }

    /// With a clock that stands, to wait for it would never end.
    #[tokio::test(start_paused = true)]
    async fn nobody_lingers_for_nothing() {
        let (linger, mut writer) = silent();
        advance(CLOSE * 2).await;
        linger.for_the_next();
        linger.taken.store(true, Ordering::Release);
        linger.for_the_next();
        linger.taken.store(false, Ordering::Release);
        writer.write_all(b"a message").unwrap();
        linger.for_the_next();
        drop(writer);
        linger.for_the_next();
        assert!(!linger.taken.load(Ordering::Acquire));
    }

    #[test]
    fn a_message_that_follows_closely_is_looked_for_a_little_while() {
        let (linger, _writer) = silent();
        let begun = Instant::now();
        linger.for_the_next();
        assert!(begun.elapsed() >= LOOKING, "the first message follows the beginning closely");
    }
}
