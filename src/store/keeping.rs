//! What comes goes to the disk.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use crate::object::Validator;
use crate::store::BLOCK;
use crate::store::disk::Disk;
use crate::store::object::{Object, State};

/// How often it is looked whether the disk has caught up.
const CATCH_UP: Duration = Duration::from_millis(100);

impl Object {
    /// Gives a block to the disk, as soon as it is known what it is a block of.
    pub(super) fn keep(self: &Arc<Self>, block: u64, bytes: Bytes, known: Option<(u64, Validator)>) {
        let Some(disk) = &self.shared.disk else { return };
        let taken = known.is_some_and(|(length, version)| {
            let updated = self.remote.updated.as_deref();
            let made = || {
                let entry = disk.entry(&self.remote.id, &version, updated, length);
                self.expect_checksum(&entry);
                entry
            };
            self.entry.get_or_init(made).put(block, bytes)
        });
        if !taken {
            self.state.lock().dropped = true;
        }
    }

    /// Gives the disk what is in memory and not on disk yet: it came before its length was known, or when too
    /// much was waiting to be written.
    pub(super) fn keep_all(self: &Arc<Self>) {
        let state = self.state.lock();
        let known = state.length.map(|length| (length, state.version.clone()));
        drop(state);
        for block in 0..known.as_ref().map_or(0, |(length, _)| length.div_ceil(BLOCK)) {
            if !self.is_stored(block)
                && let Some(bytes) = self.shared.memory.get(self.key(block))
            {
                self.keep(block, bytes, known.clone());
            }
        }
    }

    /// Its transfers have ended. What could not be given to the disk meanwhile is given to it once it can be: a block that
    /// stays in memory is not fetched again, so it would never come to the disk.
    pub(super) fn catches_up(self: &Arc<Self>, state: &mut State) {
        if state.running == 0 && state.dropped && !state.catching_up {
            state.catching_up = true;
            self.shared.runtime.spawn(Self::catch_up(Arc::downgrade(self)));
        }
    }

    async fn catch_up(object: Weak<Self>) {
        loop {
            sleep(CATCH_UP).await;
            let Some(object) = object.upgrade() else { return };
            if object.shared.disk.as_ref().is_none_or(Disk::is_idle) {
                let mut state = object.state.lock();
                if state.running > 0 || !std::mem::take(&mut state.dropped) {
                    state.catching_up = false;
                    return;
                }
                drop(state);
                object.keep_all();
            }
        }
    }
}
