//! How much of a server's text is read before it counts as hostile (contract.md 7).

/// Decoded bytes of one answer: a search page, a collection, a Zarr metadata document. The caller that
/// reads the body enforces it.
pub const DOCUMENT_BYTES: usize = 32 << 20;

/// Items of one search page.
pub const ITEMS_PER_PAGE: usize = 10_000;

/// Assets of one item.
pub const ASSETS_PER_ITEM: usize = 2_000;

/// Bytes of one name, identifier or link.
pub const STRING_BYTES: usize = 64 << 10;

/// Links of one page or item; more are not looked at.
pub const LINKS: usize = 1_000;

/// Collections of one service.
pub const COLLECTIONS: usize = 10_000;

/// Pages of one walk.
pub const PAGES: usize = 1_000;

/// Items of one walk.
pub const ITEMS: usize = 1_000_000;

/// Pages in a row that may bring nothing new before a walk stops.
pub const PAGES_WITHOUT_NEWS: usize = 3;

/// Path components of an asset inside its product.
pub const PATH_DEPTH: usize = 32;

/// Dimensions of a Zarr array.
pub const ZARR_DIMENSIONS: usize = 64;

/// Nodes (arrays, groups, and the directories above them) of one Zarr store.
pub const ZARR_NODES: usize = 100_000;

/// Path components of a Zarr node.
pub const ZARR_DEPTH: usize = 64;

/// Names in one generated chunk directory that are still listed; larger ones are only looked up.
pub const LISTED_CHUNKS: u64 = 1_000_000;
