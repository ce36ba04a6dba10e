//! Stands in for the `DestinE` Data Cache: the product search and download of Cache-A, the Zarr host of
//! Cache-B and the login in front of both.
//!
//! One [`Emulator`] listens on two loopback ports. The first carries all services on one origin; the second
//! is the "foreign host" that redirects may point to, and whose journal proves that no credential got there.
//!
//! - [`Options`] say what data exists and how fast the network is;
//! - [`Behaviour`] switches, at run time, between the answers that the real services might give;
//! - [`Faults`] break single requests, by a small textual grammar (see [`fault`]);
//! - [`Journal`] records every request, what was sent for it, and how many transfers ran at once.
//!
//! Everything served is either embedded or computed, so that the true bytes of any object can be asked from
//! the emulator ([`Emulator::expect_bytes`]) and compared with what a client read.

pub mod accounts;
pub mod behaviour;
mod cache_b;
mod content;
mod control;
mod data;
mod disk;
mod download;
mod emulator;
pub mod fault;
mod grid;
mod identity;
pub mod journal;
mod options;
mod rate;
mod reply;
mod request;
mod router;
mod stac;
mod wire;

pub use behaviour::Behaviour;
pub use content::Content;
pub use emulator::Emulator;
pub use fault::Faults;
pub use journal::Journal;
pub use options::{DataSet, Options, Scale};
pub use rate::Network;
