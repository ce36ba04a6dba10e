//! Whether and when to try again: a pure decision on what happened (contract.md 4.2).

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

use crate::backend::LONGEST_WAIT;
use crate::error::{Error, ErrorKind};

/// First delay, longest delay, and tries after the first.
const BASE: Duration = Duration::from_millis(500);
const CAP: Duration = Duration::from_secs(20);
const RETRIES: usize = 5;
/// Tries after the first when nobody answers at all: who lists a directory waits for them, and a host that was
/// down three times in some seconds is down.
const UNREACHABLE: usize = 3;

/// The delays of one operation; a new one is made when bytes have arrived again.
pub struct Retry {
    delays: backon::ExponentialBackoff,
    unreachable: usize,
}

impl Default for Retry {
    fn default() -> Self {
        let delays =
            ExponentialBuilder::default().with_min_delay(BASE).with_max_delay(CAP).with_max_times(RETRIES);
        Self { delays: delays.with_jitter().build(), unreachable: 0 }
    }
}

impl Retry {
    /// How long to wait before the next try after `error`, or `None` to give up.
    pub fn after(&mut self, error: &Error) -> Option<Duration> {
        if !worth_another_try(error.kind()) {
            return None;
        }
        if error.kind() == ErrorKind::Unreachable {
            self.unreachable += 1;
            if self.unreachable > UNREACHABLE {
                return None;
            }
        }
        let delay = self.delays.next()?;
        match error.wait() {
            Some(asked) if asked > LONGEST_WAIT => None,
            Some(asked) => Some(asked.max(delay.min(BASE))),
            None => Some(delay),
        }
    }
}

/// Only what may be different next time.
fn worth_another_try(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unavailable | ErrorKind::Busy | ErrorKind::Unreachable | ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: ErrorKind) -> Error {
        Error::new(kind, "x")
    }

    #[test]
    fn gives_up_after_six_attempts_and_grows() {
        let mut retry = Retry::default();
        let delays: Vec<_> = std::iter::from_fn(|| retry.after(&error(ErrorKind::Unavailable))).collect();
        assert_eq!(delays.len(), 5);
        assert!(delays.iter().all(|delay| *delay <= CAP * 2));
        assert!(delays[4] > delays[0]);
    }

    #[test]
    fn a_host_that_is_down_is_not_waited_for_long() {
        let mut retry = Retry::default();
        let delays: Vec<_> = std::iter::from_fn(|| retry.after(&error(ErrorKind::Unreachable))).collect();
        assert_eq!(delays.len(), 3);
        assert!(delays.iter().sum::<Duration>() < Duration::from_secs(8));
    }

    #[test]
    fn final_answers_are_final() {
        for kind in [ErrorKind::NotFound, ErrorKind::Forbidden, ErrorKind::LoginRejected, ErrorKind::Protocol]
        {
            assert_eq!(Retry::default().after(&error(kind)), None, "{kind:?}");
        }
    }

    #[test]
    fn the_server_names_the_earliest_time_up_to_a_cap() {
        let busy = |seconds| error(ErrorKind::Busy).retry_after(Duration::from_secs(seconds));
        assert!(Retry::default().after(&busy(30)) >= Some(Duration::from_secs(30)));
        assert_eq!(Retry::default().after(&busy(3600)), None);
    }
}
