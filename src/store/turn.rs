//! When a transfer gives its slot to somebody who waits for one.

use std::time::Duration;

use tokio::time::Instant;

/// After so many bytes a transfer gives way to another that is waited for, even if it is waited for itself.
pub(super) const TURN: u64 = 8 * 1024 * 1024;
/// Whoever waits for a slot waits so long for a transfer that is about to end by itself, at least and at most: what
/// has been sent already would come twice.
const GRACE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(100));
/// So many bytes come soon, whatever the rate was so far: a connection is slow at first.
const SOON: u64 = 1024 * 1024;

/// What a transfer has brought since it has its slot.
pub(super) struct Turn {
    began: Instant,
    bytes: u64,
    /// A connection cannot be used again whose answer was not read to its end; a new one costs the next request
    /// about as long as the service took to begin this answer. So long the rest may take.
    grace: Duration,
    /// When it was first asked to give way.
    asked: Option<Instant>,
}

impl Turn {
    /// `answered`: how long the service took to begin its answer.
    pub(super) fn new(answered: Duration) -> Self {
        Self { began: Instant::now(), bytes: 0, grace: answered.clamp(GRACE.0, GRACE.1), asked: None }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Notes bytes that have arrived.
    pub(super) fn took(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Until when the transfer goes on although it should give way: `left` bytes are likely to come by then.
    pub(super) fn goes_on_until(&mut self, left: Option<u64>) -> Option<Instant> {
        let now = Instant::now();
        let until = *self.asked.get_or_insert(now) + self.grace;
        let at_rate = |left: u64| match self.bytes {
            0 => false,
            bytes => (now - self.began).mul_f64(left as f64 / bytes as f64) <= self.grace,
        };
        let soon = left.is_some_and(|left| left <= SOON || at_rate(left));
        (soon && now < until).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn what_is_nearly_there_may_end() {
        let mut turn = Turn::new(30 * MS);
        assert_eq!(turn.goes_on_until(Some(SOON)), Some(Instant::now() + 30 * MS));
        advance(10 * MS).await;
        turn.took(100);
        assert_eq!(turn.goes_on_until(Some(SOON)), Some(Instant::now() + 20 * MS));
        assert_eq!(turn.goes_on_until(Some(SOON + 1)), None);
        turn.took(SOON);
        assert_eq!(turn.goes_on_until(Some(2 * SOON)), Some(Instant::now() + 20 * MS));
        assert_eq!(turn.goes_on_until(Some(4 * SOON)), None);
        advance(20 * MS).await;
        assert_eq!(turn.goes_on_until(Some(1)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_long() {
        let mut slow = Turn::new(9000 * MS);
        assert_eq!(slow.goes_on_until(Some(1)), Some(Instant::now() + GRACE.1));
        assert_eq!(Turn::new(9000 * MS).goes_on_until(Some(SOON + 1)), None);
        assert_eq!(Turn::new(9000 * MS).goes_on_until(None), None);
    }
}
