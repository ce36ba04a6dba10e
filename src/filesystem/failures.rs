//! Why a directory could not be listed or a name in it not looked up: what cannot be looked up has no attributes of
//! its own.

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::error::Error;

/// Directories that are remembered; the one that failed first goes first.
const MOST: usize = 256;

/// The last failure of each directory, until a lookup in it or a listing of it succeeds.
#[derive(Default)]
pub(super) struct Failures(Mutex<VecDeque<(u64, Error)>>);

impl Failures {
    /// A lookup in `directory`, or its listing, failed.
    pub(super) fn note(&self, directory: u64, error: &Error) {
        let mut failures = self.0.lock();
        failures.retain(|(other, _)| *other != directory);
        failures.truncate(MOST - 1);
        failures.push_front((directory, error.clone()));
    }

    /// A lookup in `directory`, or its listing, succeeded.
    pub(super) fn forget(&self, directory: u64) {
        self.0.lock().retain(|(other, _)| *other != directory);
    }

    /// The last failure in `directory`.
    pub(super) fn of(&self, directory: u64) -> Option<Error> {
        let failures = self.0.lock();
        failures.iter().find(|(other, _)| *other == directory).map(|(_, error)| error.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn the_last_one_of_each_and_no_more_than_bearable() {
        let failures = Failures::default();
        let error = |text: &str| Error::new(ErrorKind::LoginExpired, text);
        failures.note(1, &error("one"));
        failures.note(1, &error("two"));
        failures.note(2, &error("three"));
        assert_eq!(failures.of(1).unwrap().message(), "two");
        failures.forget(1);
        assert!(failures.of(1).is_none() && failures.of(2).is_some());
        (3..3 + MOST as u64).for_each(|directory| failures.note(directory, &error("x")));
        assert!(failures.of(2).is_none() && failures.of(3).is_some());
    }
}
