//! What is to be fetched, how much that is, and from where: known without downloading anything.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::ErrorKind;
use crate::fetch::Fetch;
use crate::namespace::{Chunks, Content, FileNode};
use crate::object::ObjectId;
use crate::store::{Remote, Store};
use crate::warm::find::Item;

/// Lengths that are asked for, over all arrays, to tell how large chunks are.
const SAMPLES: u64 = 48;
/// The same for one array.
const SAMPLES_OF_ONE: u64 = 6;
/// Files that are looked at between two looks at whether to go on.
const AT_ONCE: u64 = 64;

/// Files of one service.
pub struct Service {
    /// The door to it.
    pub fetch: Fetch,
    /// What is wanted of it.
    pub sets: Vec<Set>,
    /// How much that is.
    pub figures: Figures,
}

/// A file, or many of one kind.
pub enum Set {
    /// A file: its path below the root, and its node.
    File(String, Arc<FileNode>, Remote),
    /// Chunks: the path of the array.
    Chunks(String, Chunks),
}

/// One of them.
pub struct Target {
    /// Its path below the root.
    pub path: String,
    /// Its node.
    pub file: Arc<FileNode>,
    /// Where it is.
    pub remote: Remote,
}

/// How many, and how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Files or chunks that are wanted.
    pub count: u64,
    /// How many of them are complete in the cache, and their bytes.
    pub stored: (u64, u64),
    /// How many of them the service is known not to have.
    pub absent: u64,
    /// Bytes that are stored of the others.
    pub partly: u64,
    /// Bytes of the others whose size is known.
    pub known: u64,
    /// How many of the others are of a size that is estimated, and their bytes, likely.
    pub estimated: (u64, u64),
    /// How many of the others are of a size of which only a bound is known, and that bound.
    pub bounded: (u64, u64),
    /// Of how many of the others nothing is known.
    pub unknown: u64,
}

impl Figures {
    /// How many are to be fetched.
    pub fn missing(&self) -> u64 {
        self.count - self.stored.0 - self.absent
    }

    /// Bytes to be fetched, as far as known, likely or bounded.
    pub fn bytes(&self) -> u64 {
        (self.known + self.estimated.1 + self.bounded.1).saturating_sub(self.partly)
    }

    /// Bytes in the cache in the end, as far as known or likely.
    pub fn in_the_end(&self) -> u64 {
        self.stored.1 + self.known + self.estimated.1
    }

    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.stored = (self.stored.0 + other.stored.0, self.stored.1 + other.stored.1);
        self.absent += other.absent;
        self.partly += other.partly;
        self.known += other.known;
        self.estimated = (self.estimated.0 + other.estimated.0, self.estimated.1 + other.estimated.1);
        self.bounded = (self.bounded.0 + other.bounded.0, self.bounded.1 + other.bounded.1);
        self.unknown += other.unknown;
    }
}

impl Set {
    /// How many files or chunks there are.
    pub fn len(&self) -> u64 {
        match self {
            Self::File(..) => 1,
            Self::Chunks(_, chunks) => chunks.count,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `n`-th, unless its service is known not to have it.
    pub async fn get(&self, n: u64) -> Option<Target> {
        match self {
            Self::File(path, file, remote) => (n == 0).then(|| Target {
                path: path.clone(),
                file: Arc::clone(file),
                remote: remote.clone(),
            }),
            Self::Chunks(path, chunks) => {
                let (key, file) = (chunks.make)(n).await?;
                let Content::Remote(remote) = &file.content else { return None };
                let remote = remote.clone();
                Some(Target { path: format!("{path}/{key}"), file: Arc::new(file), remote })
            }
        }
    }

    /// Counts what is there and what is missing. Reads small local files.
    async fn count(&self, store: &Store) -> Figures {
        let mut figures = Figures { count: self.len(), ..Figures::default() };
        for n in 0..self.len() {
            if n % AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
            let Some(Target { remote, .. }) = self.get(n).await else {
                figures.absent += 1;
                continue;
            };
            let (bytes, complete) = store.cached(&remote);
            if complete {
                figures.stored = (figures.stored.0 + 1, figures.stored.1 + bytes);
                continue;
            }
            figures.partly += bytes;
            match (store.known_length(&remote), self) {
                (Some(length), _) => figures.known += length,
                (None, Self::Chunks(_, Chunks { bytes: Some(bytes), exact: true, .. })) => {
                    figures.known += bytes;
                }
                (None, Self::Chunks(_, Chunks { bytes: Some(bytes), .. })) => {
                    figures.bounded = (figures.bounded.0 + 1, figures.bounded.1.saturating_add(*bytes));
                }
                (None, _) => figures.unknown += 1,
            }
        }
        figures
    }
}

/// Groups what was found by service, each file once, and counts. Reads small local files; asks no service.
pub async fn plan(store: &Store, items: Vec<(String, Item)>) -> Vec<Service> {
    let mut services: Vec<Service> = Vec::new();
    let mut seen: HashSet<ObjectId> = HashSet::new();
    for (path, item) in items {
        let (set, fetch) = match item {
            Item::File(file) => {
                let Content::Remote(remote) = &file.content else { continue };
                if !seen.insert(remote.id.clone()) {
                    continue;
                }
                let (remote, fetch) = (remote.clone(), remote.fetch.clone());
                (Set::File(path, file, remote), fetch)
            }
            Item::Chunks(chunks) => {
                let fetch = chunks.fetch.clone();
                (Set::Chunks(path, chunks), fetch)
            }
            Item::Document(_) => continue,
        };
        let known = services.iter_mut().find(|service| service.fetch.service() == fetch.service());
        match known {
            Some(service) => service.sets.push(set),
            None => services.push(Service { fetch, sets: vec![set], figures: Figures::default() }),
        }
    }
    for service in &mut services {
        for set in &service.sets {
            service.figures.add(set.count(store).await);
        }
        service.figures.guess_unknown();
    }
    services
}

impl Figures {
    /// Files of unknown size are likely as large as the others.
    fn guess_unknown(&mut self) {
        let with_size = self.count - self.absent - self.unknown - self.bounded.0 - self.estimated.0;
        let bytes = self.stored.1 + self.known;
        if let Some(mean) = bytes.checked_div(with_size).filter(|_| bytes > 0) {
            self.estimated.0 += self.unknown;
            self.estimated.1 = self.estimated.1.saturating_add(mean.saturating_mul(self.unknown));
            self.unknown = 0;
        }
    }
}

impl Service {
    /// Learns how large chunks are of which only a bound is known: from those in the cache, else by asking the service
    /// for the lengths of a few. `may_ask`: whether it may be asked. Downloads nothing.
    pub async fn estimate(&mut self, store: &Store, may_ask: bool) {
        if self.figures.bounded.0 == 0 {
            return;
        }
        let arrays = self.sets.iter().filter(|set| matches!(set, Set::Chunks(..))).count() as u64;
        let samples = if may_ask { (SAMPLES / arrays.max(1)).clamp(1, SAMPLES_OF_ONE) } else { 0 };
        let mut figures = Figures::default();
        for set in &self.sets {
            let mut own = set.count(store).await;
            let mean = match (own.bounded.0, own.stored) {
                (0, _) => None,
                (_, (0, _)) => sample(store, set, samples).await,
                (_, (count, bytes)) => Some(bytes / count),
            };
            if let Some(mean) = mean {
                own.estimated = (own.bounded.0, mean.saturating_mul(own.bounded.0));
                own.bounded = (0, 0);
            }
            figures.add(own);
        }
        self.figures = figures;
        self.figures.guess_unknown();
    }
}

/// The mean length of some chunks; `None` where the service does not tell.
async fn sample(store: &Store, set: &Set, samples: u64) -> Option<u64> {
    let samples = samples.min(set.len());
    let (mut count, mut bytes) = (0u64, 0u64);
    for number in 0..samples {
        // In the middle of each part: the first and the last chunks of an array are often special.
        // What is absent takes nothing.
        if let Some(target) = set.get((set.len() * (2 * number + 1)) / (2 * samples)).await {
            match store.ask_length(&target.remote).await {
                Ok(()) => bytes += store.known_length(&target.remote)?,
                Err(error) if error.kind() == ErrorKind::NotFound => target.file.told.met(&error).await,
                Err(_) => return None,
            }
        }
        count += 1;
    }
    bytes.checked_div(count)
}
