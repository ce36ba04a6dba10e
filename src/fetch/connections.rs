//! How many connections a service was needed at once: a new one costs some round trips, and is slow at first.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::timeout;

use crate::fetch::slots::{Counted, Slots};
use crate::object::ByteRange;

/// A transfer of at most so many bytes ends soon, as a rule.
const BRIEF: u64 = 2 * 1024 * 1024;
/// Where at most so many transfers may run, so long one waits for another rather than for a new connection.
const FEW: usize = 4;
const WARM: Duration = Duration::from_millis(100);

/// The transfers of a service, as far as they tell how many connections there are.
#[derive(Debug, Default)]
pub(super) struct Connections {
    /// The most transfers that were answered at once so far, each over a connection of its own.
    at_once: AtomicUsize,
    /// Transfers under way that end soon.
    brief: Arc<AtomicUsize>,
}

impl Connections {
    /// Whether so many transfers at once need a new one, likely.
    pub(super) fn need(&self, transfers: usize) -> bool {
        self.at_once.load(Ordering::Relaxed) < transfers
    }

    /// Where few transfers are allowed, one that would be the first over its connection waits a little for a short one
    /// to end.
    pub(super) async fn spare(&self, slots: &dyn Slots) {
        let ended = slots.freed();
        let (running, count) = slots.usage();
        let new = running < count && self.need(running + 1);
        if new && count <= FEW && self.brief.load(Ordering::Acquire) > 0 {
            let _ = timeout(WARM, ended).await;
        }
    }

    /// Counts a transfer of `range` that is asked for, until the value is dropped.
    pub(super) fn ask(&self, range: Option<ByteRange>) -> Option<Counted> {
        range.filter(|range| range.len() <= BRIEF).map(|_| Counted::new(&self.brief))
    }

    /// One was answered while so many were running.
    pub(super) fn answered(&self, running: usize) {
        self.at_once.fetch_max(running, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::fetch::slots::UserSlots;

    const LONG: Duration = Duration::from_secs(900);

    /// How long a second transfer waits beside one of `bytes` that takes `lasts`.
    async fn waits(connections: &Connections, count: usize, bytes: u64, lasts: Duration) -> Duration {
        let slots = UserSlots::local(count, LONG);
        let first = slots.acquire().await.unwrap();
        let asked = connections.ask(Some(ByteRange::new(0, bytes)));
        connections.answered(slots.usage().0);
        let begun = Instant::now();
        let ends = async {
            sleep(lasts).await;
            drop((first, asked));
        };
        let second = async {
            connections.spare(&slots).await;
            begun.elapsed()
        };
        tokio::join!(ends, second).1
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_transfer_is_waited_for_rather_than_a_new_connection() {
        let ms = Duration::from_millis;
        let new = Connections::default();
        assert_eq!(waits(&new, 2, BRIEF, ms(30)).await, ms(30));
        assert_eq!(waits(&new, 2, BRIEF, ms(3000)).await, WARM);
        assert_eq!(waits(&new, 2, BRIEF + 1, ms(30)).await, ms(0));
        assert_eq!(waits(&new, 16, BRIEF, ms(30)).await, ms(0), "where many are allowed");
        new.answered(2);
        assert_eq!(waits(&new, 2, BRIEF, ms(30)).await, ms(0), "both are warm");
    }
}
