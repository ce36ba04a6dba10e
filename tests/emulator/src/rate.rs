//! The speed limit of a connection or of all connections.
//!
//! A virtual clock instead of a bucket with a timer: each piece moves the time at which the line is free
//! again. The clock may lag behind by a little credit, so that late wake-ups of the runtime do not make the
//! line slower than asked for.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

const CREDIT: Duration = Duration::from_millis(20);

/// A line of limited speed.
#[derive(Debug)]
pub(crate) struct Line {
    bytes_per_second: u64,
    free_at: Mutex<Instant>,
}

impl Line {
    /// A line of this speed. Zero is read as one byte per second, so that a wait always ends.
    pub(crate) fn new(bytes_per_second: u64) -> Line {
        Line { bytes_per_second: bytes_per_second.max(1), free_at: Mutex::new(Instant::now()) }
    }

    /// Waits until `bytes` would have left the line.
    pub(crate) async fn pass(&self, bytes: usize) {
        let until = {
            let mut free_at = self.free_at.lock();
            let now = Instant::now();
            let earliest = now.checked_sub(CREDIT).unwrap_or(now);
            let start = (*free_at).max(earliest);
            *free_at = start + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
            *free_at
        };
        tokio::time::sleep_until(until).await;
    }

    /// The largest piece that keeps the flow even at this speed.
    pub(crate) fn piece(&self) -> usize {
        usize::try_from(self.bytes_per_second / 50).unwrap_or(usize::MAX).clamp(256, PIECE)
    }
}

/// The largest piece of a body that is handed over at once.
pub(crate) const PIECE: usize = 64 * 1024;
