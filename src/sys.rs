//! The few calls that are unsafe or Linux-only: mounting, a caller's signals, the process's own hardening, files
//! below a directory that nothing leads out of.

pub mod background;
pub mod beneath;
pub mod caller;
pub mod files;
pub mod harden;
pub mod mount;
pub mod mounts;
