//! Name.
