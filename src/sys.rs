//! The few calls that are unsafe or Linux-only: mounting, a caller's signals, the process's own hardening,
//! what the kernel may be told about reading.

pub mod background;
pub mod caller;
pub mod harden;
pub mod mount;
pub mod mounts;
pub mod passthrough;
pub mod readahead;
