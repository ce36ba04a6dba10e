//! The emulator seen over the wire.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as the tests themselves do")]

mod download;
mod faults;
mod files;
mod login;
mod search;
mod support;
mod zarr;
