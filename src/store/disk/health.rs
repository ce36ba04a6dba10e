//! Whether the disk can be used now. Its errors are nobody's errors: the tier pauses, one line is logged, and
//! after a while it is tried again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

pub(super) struct Health {
    retry: Duration,
    well: AtomicBool,
    pause: Mutex<Option<Pause>>,
}

struct Pause {
    reason: String,
    until: Instant,
    /// Nothing is read either: a failing disk may take seconds for each error.
    blind: bool,
}

impl Health {
    pub(super) fn new(retry: Duration) -> Self {
        Self { retry, well: AtomicBool::new(true), pause: Mutex::default() }
    }

    /// Whether all is well, or a pause is over and it is worth a try.
    pub(super) fn may_write(&self) -> bool {
        self.is_well() || self.pause.lock().as_ref().is_none_or(|pause| pause.until <= Instant::now())
    }

    pub(super) fn may_read(&self) -> bool {
        let good = |pause: &Pause| !pause.blind || pause.until <= Instant::now();
        self.is_well() || self.pause.lock().as_ref().is_none_or(good)
    }

    pub(super) fn is_well(&self) -> bool {
        self.well.load(Ordering::Acquire)
    }

    pub(super) fn pause(&self, reason: String, blind: bool) {
        let mut pause = self.pause.lock();
        if pause.is_none() {
            warn!("the disk cache pauses: {reason}; reads go on without it");
        }
        *pause = Some(Pause { reason, until: Instant::now() + self.retry, blind });
        self.well.store(false, Ordering::Release);
    }

    pub(super) fn recovered(&self) {
        if !self.is_well() && self.pause.lock().take().is_some() {
            self.well.store(true, Ordering::Release);
            info!("the disk cache works again");
        }
    }

    pub(super) fn reason(&self) -> Option<String> {
        self.pause.lock().as_ref().map(|pause| pause.reason.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pause_ends_by_itself() {
        let health = Health::new(Duration::from_secs(30));
        health.pause("full".into(), false);
        assert!(!health.may_write() && health.may_read());
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(health.may_write() && health.reason().is_some());
        health.pause("broken".into(), true);
        assert!(!health.may_write() && !health.may_read());
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(health.may_read());
        health.recovered();
        assert!(health.is_well() && health.reason().is_none());
    }
}
