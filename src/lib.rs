//! dcmsfs: the DestinE Data Cache as local, read-only directories.
//!
//! The way of a read: `fuse` → `filesystem` → `namespace` and `reader` → `store` → `fetch` → `backend` →
//! `transport`. A module uses only modules of lower rows; `tests/architecture.rs` holds the table.

pub mod credentials;
pub mod error;
pub mod object;
pub mod transport;
