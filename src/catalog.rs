//! What is there: STAC and Zarr documents read as plain values, without files, kernel or network.
//!
//! Everything here is text from a server and is distrusted: bounded ([`limits`]), parsed leniently where
//! a reader can live without a fact, refused where a wrong fact would become a wrong byte. One broken
//! item, asset or node never hides its neighbours.

pub mod identifier;
pub mod limits;
pub mod mgrs;
mod quote;
pub mod stac;
pub mod zarr;
