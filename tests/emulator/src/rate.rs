//! The network between the services and a client: round trips, the slow start of a connection, and the speed
//! of one connection and of all.
//!
//! Virtual clocks instead of buckets with timers: each piece moves the time at which a line is free again. A
//! clock may lag behind by a little credit, so that late wake-ups of the runtime do not make a line slower than
//! asked for. What is not limited costs no wait.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

const CREDIT: Duration = Duration::from_millis(20);
/// The largest piece of a body that is handed over at once.
pub(crate) const PIECE: usize = 256 * 1024;
/// The same on a line of limited speed.
const SMALL_PIECE: usize = 64 * 1024;
/// What a new connection sends in its first round trip: ten segments.
const FIRST_WINDOW: usize = 14_600;
/// A window that no loopback fills in one round trip.
const OPEN_WINDOW: usize = 64 * 1024 * 1024;

/// How fast the network is. The default costs nothing and limits nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// Milliseconds added to every request before anything of the answer is sent.
    pub latency_ms: u64,
    /// Milliseconds of a round trip. A request costs one; the first of a connection two more, as TCP and TLS do.
    pub rtt_ms: u64,
    /// Bytes per second of one connection, shared by the requests on it. `None`: unlimited.
    pub rate_per_connection: Option<u64>,
    /// Bytes per second of all connections together. `None`: unlimited.
    pub rate_total: Option<u64>,
    /// A connection sends ten segments in its first round trip and twice as much in each one after.
    pub slow_start: bool,
}

/// The network as all connections share it.
#[derive(Debug)]
pub(crate) struct Relay {
    network: Network,
    total: Option<Line>,
}

/// One connection's way through the network.
#[derive(Debug)]
pub(crate) struct Road {
    relay: Arc<Relay>,
    ready: Instant,
    window: Option<Window>,
    line: Option<Line>,
}

impl Relay {
    pub(crate) fn new(network: Network) -> Arc<Relay> {
        Arc::new(Relay { network, total: network.rate_total.map(Line::new) })
    }

    pub(crate) fn network(&self) -> Network {
        self.network
    }

    /// The way of a connection that was accepted just now.
    pub(crate) fn connect(self: &Arc<Self>) -> Road {
        let rtt = Duration::from_millis(self.network.rtt_ms);
        let window = self.network.slow_start && !rtt.is_zero();
        Road {
            ready: Instant::now() + 2 * rtt,
            window: window.then(|| Window::new(rtt, self.network.rate_per_connection)),
            line: self.network.rate_per_connection.map(Line::new),
            relay: Arc::clone(self),
        }
    }
}

impl Road {
    /// Waits as long as a request takes that is answered at once, and `more`.
    pub(crate) async fn request(&self, more: Duration) {
        let network = &self.relay.network;
        let wait = Duration::from_millis(network.rtt_ms + network.latency_ms) + more;
        let now = Instant::now();
        let until = self.ready.max(now) + wait;
        if until > now {
            tokio::time::sleep_until(until).await;
        }
    }

    /// Waits until some of `wanted` bytes have passed and says how many: at least one, if any are wanted.
    pub(crate) async fn pass(&self, wanted: usize) -> usize {
        let lines = [self.line.as_ref(), self.relay.total.as_ref()];
        let mut len = lines.iter().flatten().map(|line| line.piece()).min().unwrap_or(PIECE).min(wanted);
        if let Some(window) = &self.window {
            len = window.take(len).await;
        }
        for line in lines.into_iter().flatten() {
            line.pass(len).await;
        }
        len
    }
}

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
        usize::try_from(self.bytes_per_second / 50).unwrap_or(usize::MAX).clamp(256, SMALL_PIECE)
    }
}

/// What a connection may have on its way unacknowledged, as it grows in slow start.
#[derive(Debug)]
struct Window {
    rtt: Duration,
    /// From this size on something else is the limit.
    open: usize,
    round: Mutex<Round>,
}

#[derive(Debug)]
struct Round {
    began: Instant,
    size: usize,
    sent: usize,
}

impl Window {
    fn new(rtt: Duration, rate: Option<u64>) -> Window {
        let in_flight = rate.map_or(f64::INFINITY, |rate| rate as f64 * rtt.as_secs_f64());
        Window {
            rtt,
            open: (in_flight as usize).min(OPEN_WINDOW),
            round: Mutex::new(Round { began: Instant::now(), size: FIRST_WINDOW, sent: 0 }),
        }
    }

    /// Waits until the window has room and takes up to `wanted` bytes of it.
    async fn take(&self, wanted: usize) -> usize {
        loop {
            let next = {
                let mut round = self.round.lock();
                if round.size >= self.open {
                    return wanted;
                }
                let now = Instant::now();
                if now >= round.began + self.rtt {
                    // A window that was not used up does not grow.
                    if round.sent >= round.size {
                        round.size *= 2;
                    }
                    (round.began, round.sent) = (now, 0);
                }
                let len = wanted.min(round.size - round.sent);
                if len > 0 || wanted == 0 {
                    round.sent += len;
                    return len;
                }
                round.began + self.rtt
            };
            tokio::time::sleep_until(next).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;
    const WAN: Network = Network {
        latency_ms: 0,
        rtt_ms: 30,
        rate_per_connection: Some(60 * MB),
        rate_total: Some(120 * MB),
        slow_start: false,
    };

    /// Seconds until so many bytes have passed.
    async fn seconds(road: &Road, mut bytes: usize) -> f64 {
        let begun = Instant::now();
        while bytes > 0 {
            bytes -= road.pass(bytes).await;
        }
        begun.elapsed().as_secs_f64()
    }

    fn about(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 0.02, "{found} s, not {expected} s");
    }

    #[tokio::test(start_paused = true)]
    async fn connections_cost_two_round_trips_and_requests_one() {
        let road = Relay::new(WAN).connect();
        let begun = Instant::now();
        for milliseconds in [90, 120, 150] {
            road.request(Duration::ZERO).await;
            assert_eq!(begun.elapsed().as_millis(), milliseconds);
        }
        road.request(Duration::from_millis(5)).await;
        assert_eq!(begun.elapsed().as_millis(), 185);
    }

    #[tokio::test(start_paused = true)]
    async fn one_connection_has_its_rate_and_more_share_the_total() {
        let relay = Relay::new(WAN);
        about(seconds(&relay.connect(), 60_000_000).await, 1.0);
        let roads = [relay.connect(), relay.connect(), relay.connect()];
        let begun = Instant::now();
        let all = roads.iter().map(|road| seconds(road, 40_000_000));
        futures_util::future::join_all(all).await;
        about(begun.elapsed().as_secs_f64(), 1.0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_starts_slowly() {
        let road = Relay::new(Network { slow_start: true, ..WAN }).connect();
        // 14.6, 29.2 and 58.4 kB in the first three round trips; what fits into one needs no other.
        assert!(seconds(&road, 14_600).await < 0.002);
        about(seconds(&road, 29_200 + 58_400).await, 0.060);
        // Seven round trips until 60 MB/s are reached, in which 1.8 MB pass.
        assert!(seconds(&road, 3_000_000).await > 0.120);
        about(seconds(&road, 60_000_000).await, 1.0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_does_not_grow() {
        let road = Relay::new(Network { slow_start: true, ..WAN }).connect();
        for _ in 0..20 {
            assert!(seconds(&road, 10_000).await < 0.002);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(seconds(&road, 20_000).await >= 0.03);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_waits_without_limits() {
        let road = Relay::new(Network::default()).connect();
        let begun = Instant::now();
        road.request(Duration::ZERO).await;
        assert_eq!(road.pass(usize::MAX).await, PIECE);
        assert!(begun.elapsed().is_zero());
    }
}
