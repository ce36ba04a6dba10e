//! From a pattern to files, through the directories of a mount. A name that is written out is looked up and nothing else
//! is listed for it; each directory that has to be listed is listed once, however many ways lead through it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};

use crate::catalog::zarr::Selection;
use crate::error::{Error, ErrorKind, Result};
use crate::namespace::{Chunks, Content, Directory, FileNode, Kind, Load, Node};
use crate::warm::pattern::{Pattern, Step, fits};

/// Names of one directory that are looked into at once.
const AT_ONCE: usize = 8;
/// Directories that one run lists: far more than a cache has room for.
const MOST_LISTED: u64 = 200_000;

/// Something that a pattern means.
pub enum Item {
    /// A file of a service.
    File(Arc<FileNode>),
    /// Chunks of an array.
    Chunks(Chunks),
    /// A document of the catalogue, which is kept with the listings.
    Document(Load),
}

/// What was found, and what could not be looked into.
#[derive(Default)]
pub struct Found {
    /// Items with their paths below the root.
    pub items: Vec<(String, Item)>,
    /// Paths with the reason.
    pub failures: Vec<(String, Error)>,
    /// Files that need no fetching: what the mount tells of itself, and what came with a listing.
    pub held: u64,
    /// The longest way that ended at a name that is not there.
    nearest: Option<(usize, Error)>,
}

impl Found {
    fn add(&mut self, other: Self) {
        self.items.extend(other.items);
        self.failures.extend(other.failures);
        self.held += other.held;
        if let Some((depth, error)) = other.nearest {
            self.missed(depth, error);
        }
    }

    fn missed(&mut self, depth: usize, error: Error) {
        if self.nearest.as_ref().is_none_or(|(known, _)| depth > *known) {
            self.nearest = Some((depth, error));
        }
    }

    fn failure(path: &str, error: Error) -> Self {
        Self { failures: vec![(path.to_owned(), error)], ..Self::default() }
    }
}

/// Everything below `root` that `pattern` means; `watch` is told of each directory that is looked into. What cannot be
/// looked into is in the answer, and so is that nothing was found.
pub async fn find(root: Arc<dyn Directory>, pattern: &Pattern, watch: &(dyn Fn(&str) + Sync)) -> Found {
    let finder = Finder { pattern, watch, listed: AtomicU64::new(0) };
    let begin = finder.closed(BTreeSet::from([0]));
    let mut found = finder.visit(root, String::new(), begin).await;
    if found.items.is_empty() && found.failures.is_empty() && found.held == 0 {
        let (kind, why) = match &found.nearest {
            Some((_, error)) => (error.kind(), error.message().to_owned()),
            None => (ErrorKind::NotFound, "no name fits it".to_owned()),
        };
        let error = Error::new(kind, format!("nothing is there: {why}"));
        found.failures.push((pattern.text.clone(), error));
    }
    found
}

/// Places in the steps of a pattern that a way down has come to.
type States = BTreeSet<usize>;

struct Finder<'a> {
    pattern: &'a Pattern,
    watch: &'a (dyn Fn(&str) + Sync),
    listed: AtomicU64,
}

impl Finder<'_> {
    /// With the places behind each `**`, which may stand for nothing.
    fn closed(&self, states: States) -> States {
        let mut closed = States::new();
        for state in states {
            closed.insert(state);
            if self.pattern.steps.get(state) == Some(&Step::Any) {
                closed.insert(state + 1);
            }
        }
        closed
    }

    /// Where a name leads from `states`.
    fn next(&self, states: &States, name: &str) -> States {
        let step = |state: &usize| match self.pattern.steps.get(*state)? {
            Step::Name(wanted) => (wanted == name).then_some(state + 1),
            Step::Glob(tokens) => fits(tokens, name).then_some(state + 1),
            Step::Any => Some(*state),
        };
        self.closed(states.iter().filter_map(step).collect())
    }

    fn is_end(&self, states: &States) -> bool {
        states.contains(&self.pattern.steps.len())
    }

    /// The names to look up, if no pattern of names is among what may come next.
    fn names(&self, states: &States) -> Option<BTreeSet<&str>> {
        let names = states.iter().map(|state| match self.pattern.steps.get(*state) {
            Some(Step::Name(name)) => Some(name.as_str()),
            _ => None,
        });
        names.collect()
    }

    fn visit(&self, directory: Arc<dyn Directory>, path: String, states: States) -> BoxFuture<'_, Found> {
        Box::pin(async move {
            if self.is_end(&states) {
                return self.everything(directory, path).await;
            }
            let Some(names) = self.names(&states) else {
                return self.visit_listed(directory, path, states).await;
            };
            let mut found = Found::default();
            for name in names {
                let next = self.next(&states, name);
                match look_up(&directory, name).await {
                    Ok(node) => found.add(self.node(node, join(&path, name), next).await),
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        found.missed(path.matches('/').count(), error);
                    }
                    Err(error) => found.failures.push((join(&path, name), error)),
                }
            }
            found
        })
    }

    async fn visit_listed(&self, directory: Arc<dyn Directory>, path: String, states: States) -> Found {
        let deep = states.iter().any(|state| self.pattern.steps.get(*state) == Some(&Step::Any));
        if deep && directory.is_vast() {
            return self.too_much(&path);
        }
        self.each(directory, path, |name, kind| {
            let next = self.next(&states, name);
            (kind == Kind::Directory || self.is_end(&next)).then_some(next).filter(|next| !next.is_empty())
        })
        .await
    }

    /// All files below a directory.
    fn everything(&self, directory: Arc<dyn Directory>, path: String) -> BoxFuture<'_, Found> {
        Box::pin(async move {
            let all = Selection::default();
            match directory.chunks(self.pattern.part.as_ref().unwrap_or(&all)) {
                Some(Ok(chunks)) => {
                    return Found { items: vec![(path, Item::Chunks(chunks))], ..Found::default() };
                }
                Some(Err(error)) => return self.no_part(&path, error),
                None if self.pattern.part.is_some() => return self.no_array(&path),
                None => {}
            }
            if directory.is_vast() {
                return self.too_much(&path);
            }
            let end = States::from([self.pattern.steps.len()]);
            self.each(directory, path, |_, _| Some(end.clone())).await
        })
    }

    /// Lists a directory and goes on with the names that `wanted` has places for.
    async fn each(
        &self,
        directory: Arc<dyn Directory>,
        path: String,
        wanted: impl Fn(&str, Kind) -> Option<States> + Send + Sync,
    ) -> Found {
        (self.watch)(&path);
        if self.listed.fetch_add(1, Ordering::Relaxed) >= MOST_LISTED {
            let many = format!("more than {MOST_LISTED} directories would be listed: narrow the pattern");
            return Found::failure(&path, Error::new(ErrorKind::TooLarge, many));
        }
        let listing = match directory.list().await {
            Ok(listing) => listing,
            Err(error) => return Found::failure(&path, error),
        };
        let (directory, path, wanted) = (&directory, &path, &wanted);
        let entries = (0..listing.len()).filter_map(|at| listing.get(at));
        let fitting = entries.filter_map(|entry| Some((wanted(&entry.name, entry.kind)?, entry)));
        let walks = stream::iter(fitting).map(|(next, entry)| async move {
            let node = match entry.node {
                Some(node) => Ok(node),
                None => look_up(directory, &entry.name).await,
            };
            match node {
                Ok(node) => self.node(node, join(path, &entry.name), next).await,
                Err(error) => Found::failure(&join(path, &entry.name), error),
            }
        });
        let mut walks = walks.buffered(AT_ONCE);
        let mut found = Found::default();
        while let Some(more) = walks.next().await {
            found.add(more);
        }
        found
    }

    async fn node(&self, node: Node, path: String, states: States) -> Found {
        let file = match node {
            Node::Directory(directory) => return self.visit(directory, path, states).await,
            Node::File(file) => file,
        };
        let mut found = Found::default();
        match &file.content {
            _ if !self.is_end(&states) => {
                let depth = path.matches('/').count();
                found.missed(depth, Error::new(ErrorKind::NotADirectory, format!("{path} is a file")));
            }
            _ if self.pattern.part.is_some() => return self.no_array(&path),
            Content::Remote(_) => found.items.push((path, Item::File(file))),
            Content::Document(_, load) => found.items.push((path, Item::Document(Arc::clone(load)))),
            Content::Bytes(_) | Content::Live(_) => found.held += 1,
        }
        found
    }

    fn no_array(&self, path: &str) -> Found {
        let what = "index ranges are of arrays of a Zarr store, and this is none";
        self.no_part(path, Error::new(ErrorKind::InvalidInput, what))
    }

    /// Where a pattern of names is before the brackets, only what they suit is meant.
    fn no_part(&self, path: &str, error: Error) -> Found {
        match self.pattern.steps.last() {
            Some(Step::Name(_)) => Found::failure(path, error),
            _ => Found::default(),
        }
    }

    fn too_much(&self, path: &str) -> Found {
        let what = "that is a walk through a whole archive: name the days, or a tile or search as in \
                    search/bbox=6:45:8:47,date=2024-06";
        Found::failure(path, Error::new(ErrorKind::TooLarge, what))
    }
}

async fn look_up(directory: &Arc<dyn Directory>, name: &str) -> Result<Node> {
    match directory.at_hand(name) {
        Some(found) => found,
        None => directory.lookup(name).await,
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

#[cfg(test)]
mod tests;
