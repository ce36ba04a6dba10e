//! The small stores.

use std::collections::HashMap;

use bytes::Bytes;

/// A store's objects by their keys.
pub(crate) type Objects = HashMap<String, Bytes>;

/// The stores: where they lie and how they are written.
pub(crate) const STORES: &[(&str, fn() -> Objects)] = &[];
