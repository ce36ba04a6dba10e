//! Which blocks a read needs and which would be good to have next: pure decisions, no I/O.

pub mod cursor;
pub mod walk;

pub use cursor::Cursors;
pub use walk::Walk;
