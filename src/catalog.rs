//! What is there: STAC and Zarr documents read as plain values, without files, kernel or network.
//!
//! Everything here is text from a server and is distrusted: bounded ([`limits`]), parsed leniently where
//! a reader can live without a fact, refused where a wrong fact would become a wrong byte. One broken
//! item, asset or node never hides its neighbours.

pub mod expression;
pub mod identifier;
mod lenient;
pub mod limits;
pub mod mgrs;
mod quote;
pub mod shelf;
pub mod stac;
pub mod zarr;

pub use identifier::parse_bucket_name;

/// The directories under a day that hold this product, outer first (tree.md "Tile level"). Text as served,
/// not yet file names.
pub fn bucket(item: &stac::ItemRecord) -> Vec<String> {
    item.bucket.levels()
}
