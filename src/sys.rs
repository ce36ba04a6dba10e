//! The few calls that are unsafe or Linux-only: mounting, a caller's signals, buffers of huge pages, the process's own
//! hardening and its environment, what the kernel may be told about reading, files below a directory that nothing
//! leads out of.

pub mod background;
pub mod beneath;
pub mod buffers;
pub mod caller;
pub mod environment;
pub mod files;
pub mod harden;
pub mod mount;
pub mod mounts;
pub mod passthrough;
pub mod readable;
pub mod readahead;
