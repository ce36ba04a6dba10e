//! Zarr stores as this program needs them: which nodes there are, and what their chunks are called.
//!
//! Own view of the metadata, four facts per array. An array is never hidden because its codec, filter or
//! data type is not understood: nobody here looks inside a chunk. What would make names or sizes wrong
//! (a chunk length of zero, more chunks than can be counted) is refused, for that node only. The crates of
//! the zarrs family read the configuration of v3 extensions (dependencies.md 2.5).

pub mod array;
pub mod data_type;
pub mod grid;
mod layout;
pub mod node;
mod selection;
pub mod store;

pub use array::{Array, Version};
pub use grid::{ChunkGrid, KeyEncoding, Level, Place, Separator};
pub use node::{Group, Node};
pub use selection::{Picked, Selection};
pub use store::{Problem, Store};
