//! What an object remembers of transfers that failed.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, ErrorKind};
use crate::object::Validator;
use crate::store::Access;
use crate::store::object::{Object, State};

/// How long a failure answers for its block without another try: the kernel asks twice for a failing
/// page, and each would cost a full round of retries (contract.md 3.3).
const REMEMBER_FAILURE: Duration = Duration::from_secs(2);

/// The same for a chunk that the server does not have: who fetches it ahead is some steps in front of its reader, and
/// chunks hardly ever come into being.
const REMEMBER_ABSENCE: Duration = Duration::from_secs(60);

impl Object {
    /// The last error that its readers met, if the last transfer failed.
    pub fn last_error(&self) -> Option<Error> {
        let state = self.state.lock();
        let latest = state.failed.values().max_by_key(|(until, _)| *until);
        state.fate.clone().or_else(|| latest.map(|(_, error)| error.clone()))
    }

    /// A guess has failed: another would only fail, too, and at once.
    pub(super) fn doubt(&self) {
        self.state.lock().doubted = Some(Instant::now() + REMEMBER_FAILURE);
    }

    /// How long `error` answers for what it met.
    pub(super) fn remembers(&self, error: &Error) -> Duration {
        let absent = error.kind() == ErrorKind::NotFound && self.remote.access == Access::Whole;
        if absent { REMEMBER_ABSENCE } else { REMEMBER_FAILURE }
    }
}

impl State {
    pub(super) fn fresh_failure(&self, block: u64) -> Option<&Error> {
        // A login counts at once; without one nothing is asked, so there is nothing to spare.
        let failed = self.failed.get(&block).filter(|(_, error)| error.kind() != ErrorKind::LoginExpired);
        failed.filter(|(until, _)| *until > Instant::now()).map(|(_, error)| error)
    }

    pub(super) fn is_doubted(&self) -> bool {
        self.doubted.is_some_and(|until| until > Instant::now())
    }

    pub(super) fn has_failed_lately(&self) -> bool {
        self.failed.values().any(|(until, _)| *until > Instant::now())
    }

    /// An error that tells that this version is no more decides its fate: also "not found", once there were
    /// bytes (contract.md 4.1).
    pub(super) fn judge(&mut self, error: Error) -> Error {
        let gone = error.kind() == ErrorKind::NotFound && self.version != Validator::default();
        if error.kind() != ErrorKind::Changed && !gone {
            return error;
        }
        self.fate.get_or_insert_with(|| error.reclassify(ErrorKind::Changed)).clone()
    }
}
