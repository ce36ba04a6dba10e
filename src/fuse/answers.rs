//! Replies that are not there yet: work moves off the FUSE threads, and takes its reply with it.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use fuser::Errno;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::error::{Error, ErrorKind, Result};
use crate::filesystem::DiskRead;
use crate::fuse::report::report;
use crate::sys::caller::Caller;

/// Where the work runs.
#[derive(Clone)]
pub(super) struct Answers(Handle);

impl Answers {
    pub(super) fn new(runtime: Handle) -> Self {
        Self(runtime)
    }

    /// Runs `work` for a request of `caller`, and `reply` with what came of it. A caller who is told to
    /// stop gets `EINTR` at once; the work itself may go on for others.
    pub(super) fn answer<T: Send + 'static>(
        &self,
        caller: Caller,
        work: impl Future<Output = Result<T>> + Send + 'static,
        reply: impl FnOnce(std::result::Result<T, Errno>) + Send + 'static,
    ) {
        self.0.spawn(async move {
            let result = tokio::select! {
                // Most work is done before a caller is worth a look.
                biased;
                result = work => result,
                () = caller.told_to_stop() => Err(told_to_stop()),
            };
            reply(result.map_err(|error| report(&error)));
        });
    }

    /// Runs work that may wait, beside everything else.
    pub(super) fn aside(&self, work: impl FnOnce() + Send + 'static) {
        self.0.spawn_blocking(work);
    }

    /// Replies with what is on disk, from the thread that reads it: each further thread that a small read
    /// passes through costs more than the disk does. `work` is for what turns out damaged.
    pub(super) fn answer_from_disk(
        &self,
        caller: Caller,
        read: DiskRead,
        work: impl Future<Output = Result<Bytes>> + Send + 'static,
        reply: impl FnOnce(std::result::Result<Bytes, Errno>) + Send + 'static,
    ) {
        // Whoever comes first takes it: a disk may be as silent as a network.
        let reply = Arc::new(Mutex::new(Some(reply)));
        let (done, is_done) = oneshot::channel::<()>();
        let answers = self.clone();
        let waiting = Arc::clone(&reply);
        self.0.spawn_blocking(move || {
            let bytes = read.run();
            drop(done);
            let Some(reply) = waiting.lock().take() else { return };
            match bytes {
                Some(bytes) => reply(Ok(bytes)),
                None => answers.answer(caller, work, reply),
            }
        });
        self.0.spawn(async move {
            tokio::select! {
                _ = is_done => {}
                () = caller.told_to_stop() => {
                    if let Some(reply) = reply.lock().take() {
                        reply(Err(report(&told_to_stop())));
                    }
                }
            }
        });
    }
}

fn told_to_stop() -> Error {
    Error::new(ErrorKind::Interrupted, "the caller was told to stop")
}
