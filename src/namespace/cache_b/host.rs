//! The levels above the stores: what the configuration names is listed, any other store can be looked up.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::error::{ErrorKind, Result, fail};
use crate::fetch::Allowance;
use crate::namespace::cache_b::group::GroupDirectory;
use crate::namespace::cache_b::stores::Stores;
use crate::namespace::name::{decode, encode};
use crate::namespace::{Directory, Entry, Kind, Listing, Node};

/// What the name of a store ends with.
const STORE: &str = ".zarr";
/// Levels above a store: collection, and on some hosts two more (protocol.md 4.6).
const DEPTH: usize = 6;

/// A directory above the stores.
pub(super) struct HostDirectory {
    stores: Arc<Stores>,
    path: Vec<String>,
}

impl HostDirectory {
    pub(super) fn top(stores: Arc<Stores>) -> Self {
        Self { stores, path: Vec::new() }
    }

    /// The next path components of the configured stores below this directory.
    fn next(&self) -> BTreeSet<&str> {
        let below = |path: &'_ str| -> Option<usize> {
            let mut rest = path.split('/');
            self.path.iter().all(|held| rest.next() == Some(held)).then_some(())?;
            let next = rest.next()?;
            Some(next.as_ptr() as usize - path.as_ptr() as usize).filter(|_| !next.is_empty())
        };
        let listed = self.stores.listed.iter();
        listed.filter_map(|path| path[below(path)?..].split('/').next()).collect()
    }

    /// Whether this directory and `name` in it are a configured store.
    fn is_listed(&self, name: &str) -> bool {
        let path: Vec<&str> = self.path.iter().map(String::as_str).chain([name]).collect();
        self.stores.listed.iter().any(|listed| *listed == path.join("/"))
    }
}

/// A collection that is not configured cannot be asked for: only its stores can. So a name that may be one is
/// taken for one; the names that programs probe for (`.Trash`, `x.aux.xml`) are not.
fn plausible(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !name.is_empty() && name.chars().all(plain)
}

impl Directory for HostDirectory {
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Node>> {
        Box::pin(async move {
            let missing = || fail(ErrorKind::NotFound, format!("there is no collection or store {name}"));
            let Some(text) = decode(name) else { return missing() };
            let path: Vec<String> = self.path.iter().cloned().chain([text.clone()]).collect();
            if text.ends_with(STORE) || self.is_listed(&text) {
                let store = self.stores.open(&path.join("/")).await?;
                return GroupDirectory::node(&self.stores, store, "").await;
            }
            if self.next().contains(text.as_str()) || (plausible(&text) && path.len() < DEPTH) {
                return Ok(Node::directory(Self { stores: Arc::clone(&self.stores), path }));
            }
            missing()
        })
    }

    fn allowance(&self) -> Allowance {
        self.stores.allowance()
    }

    fn at_hand(&self, name: &str) -> Option<Result<Node>> {
        let text = decode(name)?;
        if text.ends_with(STORE) || self.is_listed(&text) || self.next().contains(text.as_str()) {
            return None;
        }
        (!plausible(&text))
            .then(|| fail(ErrorKind::NotFound, format!("there is no collection or store {name}")))
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        Box::pin(async {
            let names = self.next().into_iter().map(|name| Entry::named(encode(name), Kind::Directory));
            Ok(Listing::of(names.collect()))
        })
    }
}
