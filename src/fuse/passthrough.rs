//! Opening files, and those among them that the kernel reads from disk by itself: whole files of the cache, where
//! kernel and rights allow it (fuse.md 2).

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fuser::{BackingId, FileHandle, FopenFlags, INodeNo, InitFlags, KernelConfig, ReplyOpen};

use super::report::report;
use crate::filesystem::Filesystem;
use crate::filesystem::pages::{Caching, Registered};

/// Whether the kernel takes files.
pub(super) struct Passthrough {
    depth: Option<u32>,
    on: AtomicBool,
}

impl Passthrough {
    pub(super) fn new(depth: Option<u32>) -> Self {
        Self { depth, on: AtomicBool::new(false) }
    }

    /// Asks for it in the handshake.
    pub(super) fn ask_for(&self, config: &mut KernelConfig) {
        let Some(depth) = self.depth else { return };
        let taken = config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok()
            && config.set_max_stack_depth(depth).is_ok();
        self.on.store(taken, Ordering::Relaxed);
        tracing::debug!(taken, depth, "passthrough");
    }

    pub(super) fn open(&self, filesystem: &Filesystem, inode: INodeNo, caller: u32, reply: ReplyOpen) {
        let register = |file: &File| self.register(file, &reply);
        let on = self.on.load(Ordering::Relaxed);
        let opened = match filesystem.open(inode.0, caller, on.then_some(&register)) {
            Ok(opened) => opened,
            Err(error) => return reply.error(report(&error)),
        };
        let handle = FileHandle(opened.handle);
        let flags = FopenFlags::FOPEN_NOFLUSH;
        match opened.caching {
            Caching::Keep => reply.opened(handle, flags | FopenFlags::FOPEN_KEEP_CACHE),
            Caching::Drop => reply.opened(handle, flags),
            Caching::Bypass => reply.opened(handle, flags | FopenFlags::FOPEN_DIRECT_IO),
            Caching::Through(registered) => match registered.downcast_ref::<BackingId>() {
                // The kernel refuses any other flag with it. It drops the pages then, and nobody reads them.
                Some(id) => reply.opened_passthrough(handle, flags, id),
                // Nothing else is registered here.
                None => reply.error(fuser::Errno::EIO),
            },
        }
    }

    /// What refuses one file refuses all: no right in this namespace, or a cache on too deep a stack.
    fn register(&self, file: &File, reply: &ReplyOpen) -> Option<Registered> {
        match reply.open_backing(file) {
            Ok(id) => Some(Arc::new(id)),
            Err(error) => {
                tracing::debug!("the kernel reads no files of the cache by itself: {error}");
                self.on.store(false, Ordering::Relaxed);
                None
            }
        }
    }
}
