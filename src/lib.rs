//! dcmsfs: the DestinE Data Cache as local, read-only directories.
//!
//! The way of a read: `fuse` → `filesystem` → `namespace` and `reader` → `store` → `fetch` → `backend` →
//! `transport`. A module uses only modules of lower rows; `tests/architecture.rs` holds the table.

pub mod backend;
pub mod catalog;
pub mod cli;
pub mod credentials;
pub mod error;
pub mod fetch;
pub mod filesystem;
pub mod fuse;
pub mod namespace;
pub mod object;
pub mod reader;
pub mod run;
pub mod settings;
pub mod store;
pub mod sys;
pub mod transport;
pub mod warm;
