//! `search/<expression>`: not listed, any search can be looked up. Inside it is as below `by-date`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::archive::Archive;
use super::dates::Dates;
use super::scope::Scope;
use crate::catalog::expression::Expression;
use crate::error::{ErrorKind, Result, fail};
use crate::namespace::{Directory, Listing, Node};

/// The searches of a collection, to be looked up.
pub(super) struct Searches {
    pub(super) archive: Arc<Archive>,
    pub(super) collection: Arc<str>,
}

/// A search that is in the configuration.
pub(super) fn saved(archive: Arc<Archive>, collection: &str, expression: &Expression) -> Node {
    Node::directory(Dates::years(Scope::new(archive, collection.into(), expression), Vec::new()))
}

impl Directory for Searches {
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Node>> {
        Box::pin(async move {
            if !name.contains(['=', '<', '>']) && is_probe(name) {
                return fail(ErrorKind::NotFound, format!("there is no {name} here"));
            }
            let expression = Expression::parse(name)?;
            if expression.asks_for_clouds() && !self.archive.has_clouds(&self.collection).await? {
                return fail(
                    ErrorKind::InvalidInput,
                    format!("search: `{name}`: products of {} have no cloud cover", self.collection),
                );
            }
            let scope = Scope::new(Arc::clone(&self.archive), Arc::clone(&self.collection), &expression);
            Ok(Node::directory(Dates::years(scope, Vec::new())))
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        Box::pin(async { Ok(Listing::default()) })
    }

    fn absent_for(&self) -> Duration {
        Duration::from_secs(3600)
    }
}

/// Names that programs look for in every directory: an error would confuse them.
fn is_probe(name: &str) -> bool {
    name.starts_with('.') || ["autorun.inf", "desktop.ini", "Thumbs.db"].contains(&name)
}
