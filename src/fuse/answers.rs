//! Replies that are not there yet: work moves off the FUSE threads, and takes its reply with it.

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use fuser::Errno;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::error::{Error, ErrorKind, Result};
use crate::filesystem::DiskRead;
use crate::fuse::report::report;
use crate::sys::caller::Caller;

/// How long a read from disk takes at most, mostly.
const A_WHILE: Duration = Duration::from_millis(50);

/// Where the work runs.
#[derive(Clone)]
pub(super) struct Answers {
    runtime: Handle,
    /// Reads that the disk was asked for lately, with their callers.
    watched: Arc<Mutex<Vec<Watched>>>,
    /// For FUSE threads that wait for the disk themselves. One of them stays without, for what needs no disk, and to
    /// take in new requests when the disk hangs.
    places: Arc<Semaphore>,
}

impl Answers {
    /// `threads`: how many FUSE threads there are.
    pub(super) fn new(runtime: Handle, threads: usize) -> Self {
        let places = Arc::new(Semaphore::new(threads.saturating_sub(1)));
        Self { runtime, watched: Arc::default(), places }
    }

    /// Runs `work` for a request of `caller`, and `reply` with what came of it. A caller who is told to
    /// stop gets `EINTR` at once; the work itself may go on for others.
    pub(super) fn answer<T: Send + 'static>(
        &self,
        caller: Caller,
        work: impl Future<Output = Result<T>> + Send + 'static,
        reply: impl FnOnce(std::result::Result<T, Errno>) + Send + 'static,
    ) {
        self.runtime.spawn(async move {
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
        self.runtime.spawn_blocking(work);
    }

    /// Replies with what is on disk, from the thread that reads it: the FUSE thread itself if another one is left for
    /// other requests. Each further thread that a small read passes through costs as much as the disk does. `work` is for
    /// what turns out damaged.
    pub(super) fn answer_from_disk(
        &self,
        caller: Caller,
        read: DiskRead,
        work: impl Future<Output = Result<Bytes>> + Send + 'static,
        reply: impl FnOnce(Answer) + Send + 'static,
    ) {
        let place = self.places.try_acquire().ok();
        if place.is_none()
            && let Some(bytes) = read.at_once()
        {
            return reply(Ok(bytes));
        }
        // Whoever comes first takes it: a disk may be as silent as a network.
        let reply = Arc::new(Mutex::new(Some(reply)));
        let waiting: Weak<dyn Waiting> = Arc::downgrade(&reply) as Weak<dyn Waiting>;
        self.watch(caller, waiting);
        let answers = self.clone();
        let run = move || {
            let bytes = read.run();
            let Some(reply) = reply.lock().take() else { return };
            match bytes {
                Some(bytes) => reply(Ok(bytes)),
                None => answers.answer(caller, work, reply),
            }
        };
        match place {
            Some(_place) => run(),
            None => drop(self.runtime.spawn_blocking(run)),
        }
    }

    /// Looks at the caller of a read that the disk has not brought in a while. Most are answered by then, and cost no
    /// task of their own.
    fn watch(&self, caller: Caller, waiting: Weak<dyn Waiting>) {
        let mut watched = self.watched.lock();
        watched.push((caller, waiting));
        if watched.len() > 1 {
            return;
        }
        let watched = Arc::clone(&self.watched);
        self.runtime.spawn(async move {
            sleep(A_WHILE).await;
            for (caller, waiting) in std::mem::take(&mut *watched.lock()) {
                if waiting.strong_count() > 0 {
                    tokio::spawn(give_up_with(caller, waiting));
                }
            }
        });
    }
}

/// A read, by who makes it and its reply, which is gone once it was given.
type Watched = (Caller, Weak<dyn Waiting>);

/// What a read is answered with.
type Answer = std::result::Result<Bytes, Errno>;

/// A reply that nobody has given yet.
trait Waiting: Send + Sync {
    /// Tells the caller that it was told to stop, unless somebody has answered.
    fn give_up(&self);
}

impl<R: FnOnce(Answer) + Send> Waiting for Mutex<Option<R>> {
    fn give_up(&self) {
        if let Some(reply) = self.lock().take() {
            reply(Err(report(&told_to_stop())));
        }
    }
}

/// Answers for the disk once the caller is told to stop; ends when the disk has answered.
async fn give_up_with(caller: Caller, waiting: Weak<dyn Waiting>) {
    let answered = async {
        while waiting.strong_count() > 0 {
            sleep(A_WHILE).await;
        }
    };
    tokio::select! {
        () = answered => {}
        () = caller.told_to_stop() => {
            if let Some(waiting) = waiting.upgrade() {
                waiting.give_up();
            }
        }
    }
}

fn told_to_stop() -> Error {
    Error::new(ErrorKind::Interrupted, "the caller was told to stop")
}
