//! How the length of an object is learnt when the catalogue does not tell it: by beginning the download, and
//! by bringing it to its end when no header tells it either.

use std::sync::Arc;

use tokio::time::Instant;

use crate::backend::answer::Length;
use crate::error::Result;
use crate::store::board::Want;
use crate::store::object::Object;

impl Object {
    /// Bytes in the object; learnt by beginning the download when nobody knows them, and by bringing it to
    /// its end when no header tells them either.
    ///
    /// # Errors
    /// What the transfer met.
    pub async fn length(self: &Arc<Self>) -> Result<u64> {
        let mut waiting = None;
        let began = Instant::now();
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            {
                let mut state = self.state.lock();
                // What failed while we wait is our answer, whatever is worth another try later: else this never ends.
                let ended = waiting.is_some() && state.running == 0;
                let ours = state
                    .failed
                    .get(&0)
                    .filter(|(until, _)| ended && *until >= began)
                    .map(|(_, error)| error);
                if let Some(error) = state.fate.as_ref().or(state.fresh_failure(0)).or(ours) {
                    return Err(error.clone());
                }
                if let Some(length) = state.length {
                    return Ok(length);
                }
                if waiting.is_none() {
                    state.length_waiters += 1;
                    waiting = Some(LengthWaiter(self));
                }
                if state.running == 0 {
                    self.launch(&mut state, 0..1, None, Want::Length);
                }
            }
            news.await;
        }
    }

    /// Takes a length that the service told without sending bytes.
    pub(super) fn tell_length(&self, length: &Length) {
        let mut state = self.state.lock();
        if state.length.is_none() {
            state.length = Some(length.bytes);
            state.version = length.version.clone();
            self.news.notify_waiters();
        }
    }

    /// Whether somebody waits for the end of the object, which alone tells its length.
    pub(super) fn awaits_end(&self) -> bool {
        let state = self.state.lock();
        state.length.is_none() && state.length_waiters > 0
    }
}

/// One who waits for a length, until dropped.
struct LengthWaiter<'a>(&'a Object);

impl Drop for LengthWaiter<'_> {
    fn drop(&mut self) {
        self.0.state.lock().length_waiters -= 1;
    }
}
