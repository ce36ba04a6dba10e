//! Directories whose names are all known: the root, `.dcmsfs`, the inside of a product.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;

use crate::error::{ErrorKind, Result, fail};
use crate::fetch::Allowance;
use crate::namespace::{Attributes, Directory, Entry, FIXED, Listing, Node, Times};

/// A directory that holds its nodes.
#[derive(Clone, Default)]
pub struct StaticDirectory {
    nodes: Arc<BTreeMap<Arc<str>, Node>>,
    /// Those of the nodes that were made as trees.
    trees: Arc<BTreeMap<Arc<str>, StaticDirectory>>,
    times: Times,
    attributes: Arc<Attributes>,
    edition: u64,
}

/// Editions of trees.
static EDITIONS: AtomicU64 = AtomicU64::new(FIXED + 1);

impl StaticDirectory {
    /// A directory of these nodes, listed in the order of their names.
    pub fn of<N: Into<Arc<str>>>(nodes: impl IntoIterator<Item = (N, Node)>) -> Self {
        let nodes = nodes.into_iter().map(|(name, node)| (name.into(), node)).collect();
        Self { nodes: Arc::new(nodes), edition: FIXED, ..Self::default() }
    }

    /// A tree from files with relative paths, all directories with the same times. A path that is a
    /// directory of another one gives way to it.
    pub fn tree(files: impl IntoIterator<Item = (String, Node)>, times: Times) -> Self {
        let mut level: BTreeMap<Arc<str>, Node> = BTreeMap::new();
        let mut below: BTreeMap<String, Vec<(String, Node)>> = BTreeMap::new();
        for (path, node) in files {
            match path.split_once('/') {
                Some((first, rest)) => {
                    below.entry(first.to_owned()).or_default().push((rest.to_owned(), node));
                }
                None => {
                    level.insert(path.into(), node);
                }
            }
        }
        let mut trees: BTreeMap<Arc<str>, Self> = BTreeMap::new();
        for (name, files) in below {
            let (name, tree) = (Arc::<str>::from(name), Self::tree(files, times));
            level.insert(Arc::clone(&name), Node::directory(tree.clone()));
            trees.insert(name, tree);
        }
        let edition = EDITIONS.fetch_add(1, Ordering::Relaxed);
        let (nodes, trees) = (Arc::new(level), Arc::new(trees));
        Self { nodes, trees, times, attributes: Arc::default(), edition }
    }

    /// All nodes by their names.
    pub fn nodes(&self) -> impl Iterator<Item = (&Arc<str>, &Node)> {
        self.nodes.iter()
    }

    /// The directory at the end of this way through a tree.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub fn below(&self, path: &[String]) -> Result<Self> {
        let mut here = self.clone();
        for name in path {
            let next = here.trees.get(name.as_str()).cloned();
            here = match next {
                Some(next) => next,
                None => return fail(ErrorKind::NotFound, format!("there is no directory {name} here")),
            };
        }
        Ok(here)
    }

    /// The node of a name.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub fn find(&self, name: &str) -> Result<Node> {
        match self.nodes.get(name) {
            Some(node) => Ok(node.clone()),
            None => fail(ErrorKind::NotFound, format!("there is no {name} here")),
        }
    }

    fn entries(&self) -> Listing {
        let entry = |(name, node): (&Arc<str>, &Node)| Entry::of(Arc::clone(name), node.clone());
        Listing::of(self.nodes.iter().map(entry).collect())
    }

    /// The same directory with extended attributes.
    #[must_use]
    pub fn with_attributes(self, attributes: Attributes) -> Self {
        Self { attributes: Arc::new(attributes), ..self }
    }
}

impl Directory for StaticDirectory {
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Node>> {
        Box::pin(async move { self.find(name) })
    }

    fn at_hand(&self, name: &str) -> Option<Result<Node>> {
        Some(self.find(name))
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        Box::pin(async { Ok(self.entries()) })
    }

    fn list_at_hand(&self) -> Option<Listing> {
        Some(self.entries())
    }

    fn edition(&self) -> Option<u64> {
        Some(self.edition)
    }

    /// Of all that is in it together.
    fn allowance(&self) -> Allowance {
        let below = self.nodes.values().filter_map(|node| match node {
            Node::Directory(directory) => Some(directory.allowance()),
            Node::File(_) => None,
        });
        below.fold(Allowance::default(), Allowance::and)
    }

    fn times(&self) -> Times {
        self.times
    }

    fn attributes(&self) -> Attributes {
        self.attributes.as_ref().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tree_is_made_of_paths() {
        let file = || Node::bytes("x", None);
        let paths = ["MTD.xml", "GRANULE/L2A/IMG/B02.jp2", "GRANULE/L2A/IMG/B03.jp2", "GRANULE/MTD.xml"];
        let tree = StaticDirectory::tree(paths.map(|path| (path.to_owned(), file())), Times::default());
        assert_eq!(tree.list().await.unwrap().len(), 2);
        let Node::Directory(granule) = tree.lookup("GRANULE").await.unwrap() else {
            panic!("not a directory")
        };
        assert_eq!(granule.list().await.unwrap().len(), 2);
        assert_eq!(granule.lookup("x").await.err().map(|e| e.kind()), Some(ErrorKind::NotFound));
    }
}
