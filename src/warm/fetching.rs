//! Fetching what a plan says, as much at once as the services' slots allow. It may be broken off at any time.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use parking_lot::Mutex;

use crate::error::{Error, ErrorKind};
use crate::store::{Lanes, Store};
use crate::warm::plan::{Service, Set, Target};

/// After so many failures in a row of a service that cannot be reached, it is not asked any more.
const GIVEN_UP: u64 = 3;

/// How far it has come; to be looked at while it goes on, and after it was broken off.
#[derive(Default)]
pub struct Progress {
    /// Files and chunks that are there now and were not.
    pub fetched: AtomicU64,
    /// Their bytes.
    pub bytes: AtomicU64,
    /// Files and chunks that were there.
    pub stored: AtomicU64,
    /// Their bytes.
    pub stored_bytes: AtomicU64,
    /// Chunks that the service does not have, which stand for the fill value.
    pub absent: AtomicU64,
    /// Files of no bytes among the fetched: nothing of them is stored.
    pub empty: AtomicU64,
    /// Files that could not be fetched, with the reason.
    pub failures: Mutex<Vec<(String, Error)>>,
    /// Why a service is not asked any more.
    pub stopped: Mutex<Vec<(String, Error)>>,
}

impl Progress {
    /// How many are done with, one way or another.
    pub fn done(&self) -> u64 {
        let settled = [&self.fetched, &self.stored, &self.absent];
        settled.map(|count| count.load(Ordering::Relaxed)).iter().sum::<u64>()
            + self.failures.lock().len() as u64
    }
}

/// Whoever shows the progress.
pub trait Watch: Sync {
    /// A file is begun; `length` if it is known. The answer is told of its bytes as they come, and dropped at its end.
    fn begins(&self, path: &str, length: Option<u64>) -> Box<dyn Fn(u64) + Send + Sync>;
    /// It could not be fetched.
    fn failed(&self, path: &str, error: &Error);
}

/// What is fetched, and with whose help.
pub struct Run<'a> {
    /// Where it goes.
    pub store: &'a Store,
    /// Most bytes that there is room for, with what is there.
    pub room: u64,
    /// How far it has come.
    pub progress: &'a Progress,
    /// Whoever shows it.
    pub watch: &'a dyn Watch,
}

impl Run<'_> {
    /// Fetches all of it.
    pub async fn all(&self, services: &[Service]) {
        join_all(services.iter().map(|service| self.service(service))).await;
    }

    async fn service(&self, service: &Service) {
        let slots = service.fetch.slots().1;
        let (left, in_a_row) = (AtomicU64::new(service.figures.missing()), AtomicU64::new(0));
        let (left, in_a_row) = (&left, &in_a_row);
        let targets = service.sets.iter().flat_map(|set| (0..set.len()).map(move |n| (set, n)));
        let fetches = stream::iter(targets).map(|(set, n)| async move {
            if self.is_stopped(&service.fetch) {
                return;
            }
            let Some(target) = set.get(n).await else {
                self.progress.absent.fetch_add(1, Ordering::Relaxed);
                return;
            };
            if self.store.is_stored(&target.remote) {
                let bytes = self.store.cached(&target.remote).0;
                self.progress.stored.fetch_add(1, Ordering::Relaxed);
                self.progress.stored_bytes.fetch_add(bytes, Ordering::Relaxed);
                return;
            }
            // The last one has all slots for itself.
            let last = left.fetch_sub(1, Ordering::Relaxed) <= 1;
            let lanes = if last && slots > 1 { Lanes::Two } else { Lanes::One };
            match self.one(set, &target, lanes).await {
                Ok(()) => in_a_row.store(0, Ordering::Relaxed),
                Err(error) => {
                    let lost = matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::TimedOut);
                    let many = lost && in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= GIVEN_UP;
                    if many || ends_all(error.kind()) {
                        self.stop(service.fetch.service(), error);
                        return;
                    }
                    self.watch.failed(&target.path, &error);
                    self.progress.failures.lock().push((target.path, error));
                }
            }
        });
        fetches.buffer_unordered(slots).for_each(|()| async {}).await;
    }

    async fn one(&self, set: &Set, target: &Target, lanes: Lanes) -> Result<(), Error> {
        let Target { path, file, remote } = target;
        let taken = || {
            let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            count(&self.progress.bytes) + count(&self.progress.stored_bytes)
        };
        let length = self.store.known_length(remote);
        if taken() + length.unwrap_or(0) > self.room {
            let what = "the cache is full of what was fetched now: raise `[cache] size`, or name less";
            return Err(Error::new(ErrorKind::TooLarge, what));
        }
        let came = self.watch.begins(path, length);
        match self.store.bring(remote, lanes, &*came).await {
            Ok(length) => {
                self.progress.fetched.fetch_add(1, Ordering::Relaxed);
                self.progress.bytes.fetch_add(length, Ordering::Relaxed);
                self.progress.empty.fetch_add(u64::from(length == 0), Ordering::Relaxed);
                if let (None, Some(learn)) = (remote.length, &file.told.length) {
                    learn(length);
                }
                Ok(())
            }
            Err(error) => {
                file.told.met(&error).await;
                if error.kind() == ErrorKind::NotFound && matches!(set, Set::Chunks(..)) {
                    self.progress.absent.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                Err(error)
            }
        }
    }

    fn is_stopped(&self, fetch: &crate::fetch::Fetch) -> bool {
        self.progress.stopped.lock().iter().any(|(service, _)| service == fetch.service())
    }

    /// Nothing more is asked of a service.
    fn stop(&self, service: &str, error: Error) {
        let mut stopped = self.progress.stopped.lock();
        if !stopped.iter().any(|(name, _)| name == service) {
            stopped.push((service.to_owned(), error));
        }
    }
}

/// Whether the next file would meet the same.
fn ends_all(kind: ErrorKind) -> bool {
    use ErrorKind::{Configuration, LoginExpired, LoginRejected, QuotaExceeded, TooLarge};
    matches!(kind, Configuration | LoginExpired | LoginRejected | QuotaExceeded | TooLarge)
}
