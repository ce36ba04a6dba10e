//! The emulator seen over the wire.

mod download;
mod faults;
mod login;
mod search;
mod support;
mod zarr;
