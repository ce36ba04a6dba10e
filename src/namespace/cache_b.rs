//! Zarr stores as directories: group, array, chunk. The files are the server's own objects under their own
//! keys, so that any Zarr reader opens the path.
//!
//! [`Stores`] is the shared, cached view of one host; the directories are keys into it.

mod absent;
mod array;
mod documents;
mod group;
mod host;
mod likely;
mod stores;

use std::sync::Arc;

pub use stores::Stores;

use crate::namespace::Node;

/// The directory of a host: its configured stores, and any other that is looked up.
pub fn root(stores: Arc<Stores>) -> Node {
    Node::directory(host::HostDirectory::top(stores))
}
