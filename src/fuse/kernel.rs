//! Telling the kernel that something it remembers is not true any more.

use std::ffi::OsStr;
use std::sync::{Arc, OnceLock};

use fuser::{INodeNo, Notifier};

/// The way to tell the kernel something unasked; there is one once the session stands.
#[derive(Clone, Default)]
pub(super) struct Kernel(pub(super) Arc<OnceLock<Notifier>>);

impl Kernel {
    /// The size that the kernel remembers of a file is not true any more: believed on, it would cut the next
    /// version off at the length of the last one, or show it longer than it is.
    pub(super) fn forget_size(&self, inode: INodeNo) {
        if let Some(notifier) = self.0.get()
            && let Err(error) = notifier.inval_inode(inode, -1, 0)
        {
            tracing::debug!("the kernel keeps a size: {error}");
        }
    }

    /// What stood at this place may be gone: the name is to be looked up again. Waits until nobody works with the
    /// directory, so not for threads that answer the kernel.
    pub(super) fn forget_name(&self, parent: u64, name: &str) {
        if let Some(notifier) = self.0.get()
            && let Err(error) = notifier.inval_entry(INodeNo(parent), OsStr::new(name))
        {
            tracing::debug!("the kernel keeps a name: {error}");
        }
    }
}
