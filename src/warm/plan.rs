//! What is to be fetched, how much that is, and from where: known without downloading anything.

use std::collections::HashSet;
use std::sync::Arc;

use crate::fetch::Fetch;
use crate::namespace::{Chunks, Content, FileNode};
use crate::object::ObjectId;
use crate::store::{Remote, Store};
use crate::warm::find::Item;

/// Lengths that are asked for, over all arrays, to tell how large chunks are.
const SAMPLES: u64 = 48;
/// The same for one array.
const SAMPLES_OF_ONE: u64 = 6;

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

/// How many, and how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Files or chunks that are wanted.
    pub count: u64,
    /// How many of them are complete in the cache, and their bytes.
    pub stored: (u64, u64),
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
        self.count - self.stored.0
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

    /// The `n`-th: its path below the root, and where it is.
    pub fn get(&self, n: u64) -> Option<(String, Remote)> {
        match self {
            Self::File(path, _, remote) => (n == 0).then(|| (path.clone(), remote.clone())),
            Self::Chunks(path, chunks) => {
                let (key, remote) = (chunks.make)(n)?;
                Some((format!("{path}/{key}"), remote))
            }
        }
    }

    /// Counts what is there and what is missing. Reads small local files.
    fn count(&self, store: &Store) -> Figures {
        let mut figures = Figures { count: self.len(), ..Figures::default() };
        for (_, remote) in (0..self.len()).filter_map(|n| self.get(n)) {
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
                // Without a chunk there is nothing to be asked for.
                let Some((_, first)) = (chunks.make)(0) else { continue };
                (Set::Chunks(path, chunks), first.fetch)
            }
            Item::Document(_) => continue,
        };
        let known = services.iter_mut().find(|service| service.fetch.service() == fetch.service());
        match known {
            Some(service) => service.sets.push(set),
            None => services.push(Service { fetch, sets: vec![set], figures: Figures::default() }),
        }
    }
    let store = store.clone();
    let counted = tokio::task::spawn_blocking(move || {
        for service in &mut services {
            let sets = std::mem::take(&mut service.sets);
            for set in &sets {
                service.figures.add(set.count(&store));
            }
            service.sets = sets;
            service.figures.guess_unknown();
        }
        services
    });
    counted.await.unwrap_or_default()
}

impl Figures {
    /// Files of unknown size are likely as large as the others.
    fn guess_unknown(&mut self) {
        let with_size = self.count - self.unknown - self.bounded.0 - self.estimated.0;
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
            let mut own = set.count(store);
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
        let (_, remote) = set.get((set.len() * (2 * number + 1)) / (2 * samples))?;
        match store.ask_length(&remote).await {
            Ok(()) => bytes += store.known_length(&remote)?,
            // What is absent takes nothing.
            Err(error) if error.kind() == crate::error::ErrorKind::NotFound => {}
            Err(_) => return None,
        }
        count += 1;
    }
    bytes.checked_div(count)
}
