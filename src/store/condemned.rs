//! Versions whose bytes are not what the catalogue's checksum says: fetched once more, and then not for a while.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::object::Validator;
use crate::store::Remote;
use crate::store::disk::Entry;
use crate::store::object::{Object, differ};

/// So often a file is fetched that turns out wrong.
const TRIES: u32 = 2;
/// How long it is not asked for after that: the catalogue or the service has to be mended first.
const GIVEN_UP: Duration = Duration::from_secs(3600);

impl Object {
    /// Its place on disk is to be checked once all of it is there.
    pub(super) fn expect_checksum(self: &Arc<Self>, entry: &Entry) {
        if let Some(checksum) = &self.remote.checksum {
            let me = Arc::downgrade(self);
            entry.expect(checksum.clone(), move || {
                if let Some(object) = me.upgrade() {
                    object.condemn();
                }
            });
        }
    }

    /// All of it came, and is wrong.
    fn condemn(&self) {
        let path = self.remote.url.path();
        let failed = self.failed_before + 1;
        let then = match failed {
            TRIES.. => "it came so twice, and is not asked for again within an hour",
            _ => "it is fetched once more when it is opened next",
        };
        let checksum = &self.remote.checksum;
        let message = format!("{path}: the bytes do not have the checksum that the catalogue tells; {then}");
        tracing::warn!("{message}: {checksum:?}");
        let mut state = self.state.lock();
        state.fate.get_or_insert(Error::new(ErrorKind::Corrupt, message));
        drop(state);
        *self.condemned.lock() = Some(tokio::time::Instant::now());
        self.news.notify_waiters();
    }

    /// How often in a row the file was found wrong, this version included.
    pub(super) fn found_wrong(&self) -> u32 {
        self.failed_before + u32::from(self.condemned.lock().is_some())
    }

    /// Why it cannot be opened: it was found wrong too often.
    pub fn refusal(&self) -> Option<Error> {
        let fate = self.state.lock().fate.clone();
        fate.filter(|_| self.found_wrong() >= TRIES)
    }

    /// Whether the file was found wrong too often and too recently to be asked for again.
    pub(super) fn is_given_up(&self, remote: &Remote) -> bool {
        let lately = self.condemned.lock().is_some_and(|when| when.elapsed() < GIVEN_UP);
        let same = self.remote.checksum == remote.checksum && self.remote.updated == remote.updated;
        lately && same && self.found_wrong() >= TRIES
    }

    /// Sees what another process has stored of it meanwhile. Reads small local files.
    pub(super) fn look_at_disk(self: &Arc<Self>) {
        match (self.entry(), &self.shared.disk) {
            (Some(entry), _) if entry.is_complete() => {}
            (Some(entry), _) => entry.refresh_if_changed(),
            (None, Some(disk)) if self.is_untouched() => {
                if let Some(stored) = disk.find(&self.remote.id)
                    && self.adopt(&stored)
                {
                    self.expect_checksum(&stored);
                }
            }
            (None, _) => {}
        }
    }

    /// Whether nothing was asked of its service yet.
    fn is_untouched(&self) -> bool {
        let state = self.state.lock();
        state.flights == 0 && state.version == Validator::default() && state.fate.is_none()
    }

    /// Goes on with what is on disk, if it is of this version.
    fn adopt(&self, stored: &Arc<Entry>) -> bool {
        let updated = self.remote.updated.as_deref();
        let mut state = self.state.lock();
        let same =
            state.length.is_none_or(|length| length == stored.length()) && !differ(updated, stored.updated());
        let adopted = same && state.flights == 0 && self.entry.set(Arc::clone(stored)).is_ok();
        if adopted {
            state.length = Some(stored.length());
            state.version = stored.version().clone();
        }
        adopted
    }
}
