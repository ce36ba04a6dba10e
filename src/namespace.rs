//! What exists remotely, as directories and files: one small type per level.

pub mod name;
