//! Which blocks a read needs and which would be good to have next: pure decisions, no I/O.

pub mod codestream;
pub mod cursor;
pub mod stride;
pub mod walk;

pub use cursor::Cursors;
pub use stride::Strides;
pub use walk::Walk;
