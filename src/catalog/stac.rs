//! STAC 1.0.0 and 1.1.0 documents as this program needs them, read tolerantly.
//!
//! Not rustac: that is 167 crates for eight fields, and its client follows links anywhere (dependencies.md 2.4).
//! Unknown members are skipped without a tree in memory; what is served to users again (`<product>.stac.json`,
//! attributes) is the server's own text.

pub mod announced;
pub mod asset;
pub mod client;
pub mod collection;
pub mod footprint;
pub mod item;
pub mod link;
pub mod next;
pub mod outline;
pub mod page;
mod parts;
pub mod path;
pub mod query;
mod raster;
pub mod record;
pub mod walk;

pub use asset::{Alternate, Asset};
pub use collection::{Collection, CollectionList, Endpoints, Extent, Landing};
pub use item::Item;
pub use link::Link;
pub use next::{Method, PageRequest};
pub use outline::Outline;
pub use query::{Comparison, Query};
pub use raster::{Raster, rasters};
pub use record::{ItemRecord, Moment, Packing, Shape, SingleFile};
pub use walk::{WalkEnd, Way, walk};
