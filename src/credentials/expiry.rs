//! A word in the log a day before a login ends that nothing but a new login replaces.
//!
//! Most ends move: each renewal puts them off. So an end is told only if the login was made for longer than the
//! notice, or if a renewal has left it where it was (the provider's limit of a session).

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

/// How long before the end.
pub(super) const NOTICE: SignedDuration = SignedDuration::from_hours(24);

/// Ends closer together than this are the same one: the provider counts in seconds from its answer.
const SAME: SignedDuration = SignedDuration::from_secs(5);

/// When a root's login ends for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// When its secret was given, if known.
    pub(super) obtained: Option<Timestamp>,
    /// When it ends.
    pub(super) until: Timestamp,
    /// Whether something may put the end off.
    pub(super) renewable: bool,
}

struct Seen {
    end: End,
    /// A renewal has not moved it.
    fixed: bool,
    told: bool,
}

/// What has been told of which root.
#[derive(Default)]
pub(super) struct Watch(HashMap<usize, Seen>);

impl Watch {
    /// Looks at the end of `root`; whether it is to be told now. Each end is told once.
    pub(super) fn look(&mut self, root: usize, end: Option<End>, now: Timestamp) -> bool {
        let Some(end) = end else {
            self.0.remove(&root);
            return false;
        };
        let seen = self.0.entry(root).or_insert(Seen { end, fixed: false, told: false });
        if seen.end != end {
            let moved = end.until.duration_since(seen.end.until).abs() > SAME;
            let renewed = seen.end.obtained != end.obtained;
            *seen = Seen { end, fixed: !moved && (seen.fixed || renewed), told: !moved && seen.told };
        }
        let left = end.until.duration_since(now);
        let long = end.obtained.is_some_and(|obtained| end.until.duration_since(obtained) > NOTICE);
        let due = left > SignedDuration::ZERO && left <= NOTICE && (long || seen.fixed || !end.renewable);
        let tell = due && !seen.told;
        seen.told |= tell;
        tell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    fn end(obtained: i64, until: i64, renewable: bool) -> Option<End> {
        let at = |second| Timestamp::from_second(second).unwrap();
        Some(End { obtained: Some(at(obtained)), until: at(until), renewable })
    }

    fn look(watch: &mut Watch, end: Option<End>, now: i64) -> bool {
        watch.look(0, end, Timestamp::from_second(now).unwrap())
    }

    #[test]
    fn a_long_login_is_told_of_once_a_day_ahead() {
        let mut watch = Watch::default();
        let month = end(0, 720 * HOUR, true);
        assert!(!look(&mut watch, month, 0));
        assert!(!look(&mut watch, month, 695 * HOUR));
        assert!(look(&mut watch, month, 696 * HOUR));
        assert!(!look(&mut watch, month, 697 * HOUR), "once");
        let next = end(698 * HOUR, 1418 * HOUR, true);
        assert!(!look(&mut watch, next, 698 * HOUR));
        assert!(look(&mut watch, next, 1400 * HOUR), "and again of the next one");
        assert!(!look(&mut watch, None, 1401 * HOUR));
    }

    #[test]
    fn an_end_that_renewals_move_is_not_told() {
        let mut watch = Watch::default();
        for minute in 0..120 {
            let rolling = end(minute * 60, minute * 60 + 1800, true);
            assert!(!look(&mut watch, rolling, minute * 60 + 30), "minute {minute}");
        }
    }

    #[test]
    fn an_end_that_a_renewal_leaves_is_told() {
        let mut watch = Watch::default();
        assert!(!look(&mut watch, end(0, 1800, true), 0));
        assert!(look(&mut watch, end(240, 1801, true), 240), "the session's own limit");
        assert!(!look(&mut watch, end(480, 1799, true), 480));
    }

    #[test]
    fn an_end_that_nothing_moves_is_told_at_once() {
        let mut watch = Watch::default();
        assert!(look(&mut watch, end(0, 300, false), 0));
        assert!(!look(&mut watch, end(0, 300, false), 400));
    }
}
