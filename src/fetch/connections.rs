//! How many connections a service was needed at once: a new one costs some round trips, and is slow at first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::fetch::slots::{Counted, Slots};
use crate::object::ByteRange;

/// A transfer of at most so many bytes ends soon, as a rule.
const BRIEF: u64 = 2 * 1024 * 1024;
/// Where at most so many transfers may run, so long one waits for another rather than for a new connection.
const FEW: usize = 4;
const WARM: Duration = Duration::from_millis(100);
/// So long after a transfer its connection is free again: two tasks of the HTTP library see to it, and need a processor.
const RETURNED: Duration = Duration::from_millis(1);
/// So long a guess waits for the request of its reader.
const MOMENT: Duration = Duration::from_millis(2);

/// The transfers of a service, as far as they tell how many connections there are.
#[derive(Debug)]
pub(super) struct Connections {
    /// The most transfers that were answered at once so far, each over a connection of its own.
    at_once: AtomicUsize,
    /// Transfers under way that end soon.
    brief: Arc<AtomicUsize>,
    /// Transfers that wait for a short one to end.
    waiting: Arc<AtomicUsize>,
    begin: Instant,
    /// When a transfer ended last, in microseconds from `begin`.
    ended: AtomicU64,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            at_once: AtomicUsize::default(),
            brief: Arc::default(),
            waiting: Arc::default(),
            begin: Instant::now(),
            ended: AtomicU64::default(),
        }
    }
}

impl Connections {
    /// Whether so many transfers at once need a new one, likely.
    pub(super) fn need(&self, transfers: usize) -> bool {
        self.at_once.load(Ordering::Relaxed) < transfers
    }

    /// Where few transfers are allowed, one that would be the first over its connection waits a little for a short one
    /// to end. Of several only one does: the others would wait for it.
    pub(super) async fn spare(&self, slots: &dyn Slots) {
        let ended = slots.freed();
        let (running, count) = slots.usage();
        let new = running < count && self.need(running + 1);
        let first = self.waiting.load(Ordering::Acquire) == 0;
        if new && first && count <= FEW && self.brief.load(Ordering::Acquire) > 0 {
            let _waiting = Counted::new(&self.waiting);
            let _ = timeout(WARM, ended).await;
        }
    }

    /// Before a transfer is asked for, which counts as running: a guess lets its reader ask first, who gets the connection
    /// that is warm, and the connection of a transfer that has just ended is free again a moment later, unless there is
    /// another. Where many are allowed, all are warm soon.
    pub(super) async fn give_way(&self, slots: &dyn Slots, guess: bool) {
        let (running, count) = slots.usage();
        if count > FEW {
            return;
        }
        if guess && self.need(running.max(2)) {
            sleep(MOMENT).await;
        }
        let late = || RETURNED.saturating_sub(self.since_end());
        while self.need(running + 1) && late() > Duration::ZERO {
            sleep(late()).await;
        }
    }

    /// A transfer has ended.
    pub(super) fn ended(&self) {
        let now = u64::try_from(self.begin.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.ended.store(now, Ordering::Relaxed);
    }

    fn since_end(&self) -> Duration {
        let ended = Duration::from_micros(self.ended.load(Ordering::Relaxed));
        self.begin.elapsed().saturating_sub(ended)
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
    use tokio::time::Instant;

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

    #[tokio::test(start_paused = true)]
    async fn of_several_transfers_one_waits_for_another() {
        let (connections, slots) = (Connections::default(), UserSlots::local(2, LONG));
        let _first = slots.acquire().await.unwrap();
        let _asked = connections.ask(Some(ByteRange::new(0, BRIEF)));
        connections.answered(1);
        let begun = Instant::now();
        let waits = || async {
            connections.spare(&slots).await;
            begun.elapsed()
        };
        assert_eq!(tokio::join!(waits(), waits()), (WARM, Duration::ZERO));
        assert_eq!(connections.waiting.load(Ordering::Acquire), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_guess_asks_after_its_reader_while_there_is_one_connection() {
        let connections = Connections::default();
        let gives_way = async |count, guess| {
            let (slots, begun) = (UserSlots::local(count, LONG), Instant::now());
            connections.give_way(&slots, guess).await;
            begun.elapsed() >= MOMENT
        };
        assert!(gives_way(2, true).await);
        assert!(!gives_way(2, false).await && !gives_way(16, true).await);
        connections.answered(2);
        assert!(!gives_way(2, true).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_only_free_connection_has_a_moment_to_come_back() {
        let connections = Connections::default();
        let gives_way = async |count| {
            connections.ended();
            let (slots, begun) = (UserSlots::local(count, LONG), Instant::now());
            let _own = slots.acquire().await.unwrap();
            connections.give_way(&slots, false).await;
            begun.elapsed() >= RETURNED
        };
        connections.answered(1);
        assert!(gives_way(2).await && !gives_way(16).await);
        connections.answered(2);
        assert!(!gives_way(2).await, "the other one is free");
    }
}
