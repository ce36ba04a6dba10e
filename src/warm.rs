//! Fetching ahead of use: which files a pattern of paths means, what of them is missing, and bringing it into the disk
//! cache. It uses the same directories and the same store as a mount, and needs no mount.

pub mod fetching;
pub mod find;
pub mod pattern;
pub mod plan;
