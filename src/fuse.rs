//! The kernel's protocol, translated and nothing else.
//!
//! A FUSE thread never waits for the network: what is in memory is answered in place, for all else the
//! reply moves into a task. While a task waits, its caller is watched, because the library cannot be told
//! about interrupts (dependencies.md 2.1). A reply that is dropped, by a panic or at the end, answers `EIO`.

mod answers;
mod attributes;
mod errno;
mod kernel;
mod linger;
mod listing;
mod passthrough;
pub mod report;
pub mod session;

use std::ffi::OsStr;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::time::Duration;

use fuser::{
    AccessFlags, Errno, FileHandle, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig, LockOwner,
    OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLseek,
    ReplyOpen, ReplyStatfs, ReplyXattr, Request,
};
use tokio::runtime::Handle;

use crate::filesystem::{Absent, Filesystem, Found, Keep, Ready};
use crate::fuse::answers::Answers;
use crate::fuse::attributes::Presentation;
use crate::fuse::kernel::Kernel;
use crate::fuse::linger::Linger;
use crate::fuse::listing::{Listed, end_of_attributes, entries};
use crate::fuse::passthrough::Passthrough;
use crate::fuse::report::report;
use crate::namespace::Kind;
use crate::sys::caller::Caller;

/// Background requests (the kernel's read-ahead) in flight: the library's default of 16 costs a factor of 5
/// with 32 streams at 10 ms (fuse.md 4.4).
const MAX_BACKGROUND: u16 = 256;
/// What `statfs` shows where nothing is limited: a petabyte in pages, all of it used. Zero would hide directories in some file
/// managers (contract.md 2).
const STATFS_BLOCKS: u64 = 1 << 38;
const BLOCK_SIZE: u32 = 4096;
/// Numbers are never reused for something else, so one generation is enough.
const GENERATION: Generation = Generation(0);

/// Answers the kernel out of a [`Filesystem`].
pub struct Adapter {
    filesystem: Filesystem,
    answers: Answers,
    presentation: Presentation,
    kernel: Kernel,
    passthrough: Passthrough,
    linger: OnceLock<Linger>,
}

impl Adapter {
    /// Serves `filesystem`, whose waits run on `runtime`. All files belong to `owner` (uid, gid);
    /// `others` may read them too. `stack_depth`: how deep files are stacked that the kernel may read by
    /// itself, if this process may hand it any.
    pub fn new(
        filesystem: Filesystem,
        runtime: Handle,
        owner: (u32, u32),
        others: bool,
        stack_depth: Option<u32>,
    ) -> Self {
        let presentation = Presentation::new(owner, others);
        let passthrough = Passthrough::new(stack_depth);
        Self {
            filesystem,
            answers: Answers::new(runtime, session::threads()),
            presentation,
            kernel: Kernel::default(),
            passthrough,
            linger: OnceLock::new(),
        }
    }

    /// Like [`guarded`], for messages about names: who walks a tree sends the next one as soon as this is answered. Those
    /// about contents are not worth it: a reader has something to do with them.
    fn guarded_with_next(&self, work: impl FnOnce()) {
        guarded(work);
        if let Some(linger) = self.linger.get() {
            linger.for_the_next();
        }
    }

    fn reply_entry(
        &self,
        reply: ReplyEntry,
        result: std::result::Result<std::result::Result<Found, Absent>, Errno>,
    ) {
        self.presentation.reply_entry(reply, result);
    }
}

/// A panic in one request must not end the session: its reply, dropped on the way, answers `EIO`.
fn guarded(work: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        tracing::error!("a request failed in an unforeseen way and was answered with an I/O error");
    }
}

impl fuser::Filesystem for Adapter {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let wanted = [
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_READDIRPLUS_AUTO,
            InitFlags::FUSE_ASYNC_DIO,
        ];
        for flag in wanted {
            // An older kernel lacks some; each is worth having alone.
            if config.add_capabilities(flag).is_err() {
                tracing::debug!(?flag, "the kernel does not know this");
            }
        }
        if config.set_max_background(MAX_BACKGROUND).is_err() {
            tracing::debug!("the kernel keeps its own limit of background requests");
        }
        self.passthrough.ask_for(config);
        Ok(())
    }

    fn lookup(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.guarded_with_next(|| {
            // Only names of Unicode text exist here.
            let Some(name) = name.to_str() else { return reply.error(Errno::ENOENT) };
            if let Some(result) = self.filesystem.lookup_now(parent.0, name) {
                return self.reply_entry(reply, result.map_err(|error| report(&error)));
            }
            let (filesystem, name) = (self.filesystem.clone(), name.to_owned());
            let (presentation, caller) = (self.presentation, request.pid());
            self.answers.answer(
                Caller::of(caller),
                async move { filesystem.lookup(parent.0, &name, caller).await },
                move |result| presentation.reply_entry(reply, result),
            );
        });
    }

    fn forget(&self, _request: &Request, inode: INodeNo, count: u64) {
        guarded(|| self.filesystem.forget(inode.0, count));
    }

    fn getattr(&self, request: &Request, inode: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        self.guarded_with_next(|| {
            let presentation = self.presentation;
            let respond = move |result: std::result::Result<Found, Errno>| match result {
                Ok(found) => reply.attr(&found.ttl, &presentation.file_attr(&found.stat)),
                Err(error) => reply.error(error),
            };
            if let Some(result) = self.filesystem.stat_now(inode.0) {
                return respond(result.map_err(|error| report(&error)));
            }
            let filesystem = self.filesystem.clone();
            self.answers.answer(
                Caller::of(request.pid()),
                async move { filesystem.stat(inode.0).await },
                respond,
            );
        });
    }

    fn open(&self, request: &Request, inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        guarded(|| self.passthrough.open(&self.filesystem, inode, request.pid(), reply));
    }

    fn read(
        &self,
        request: &Request,
        inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        guarded(|| {
            let (kernel, answers, places) =
                (self.kernel.clone(), self.answers.clone(), self.filesystem.clone());
            let respond = move |result: std::result::Result<bytes::Bytes, Errno>| match result {
                Ok(bytes) => reply.data(&bytes),
                Err(error) => {
                    if error == Errno::ESTALE {
                        kernel.forget_size(inode);
                        if let Some((parent, name)) = places.place(inode.0) {
                            answers.aside(move || kernel.forget_name(parent, &name));
                        }
                    }
                    reply.error(error);
                }
            };
            let caller = Caller::of(request.pid());
            let filesystem = self.filesystem.clone();
            let work = async move { filesystem.read(handle.0, offset, size).await };
            match self.filesystem.read_now(handle.0, offset, size) {
                Ok(Ready::Here(bytes)) => respond(Ok(bytes)),
                Ok(Ready::OnDisk(read)) => self.answers.answer_from_disk(caller, read, work, respond),
                Ok(Ready::Not) => self.answers.answer(caller, work, respond),
                Err(error) => respond(Err(report(&error))),
            }
        });
    }

    /// `ENOSYS` once, and the kernel never asks again; else `close` fails when the daemon has died.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    /// The kernel then treats it as done: there is nothing to write.
    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn release(
        &self,
        _request: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        guarded(|| {
            self.filesystem.close(handle.0);
            reply.ok();
        });
    }

    fn opendir(&self, request: &Request, inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        self.guarded_with_next(|| match self.filesystem.open_directory(inode.0, request.pid()) {
            Ok(opened) => {
                let flags = match opened.keep {
                    Keep::Nothing => FopenFlags::empty(),
                    Keep::New => FopenFlags::FOPEN_CACHE_DIR,
                    Keep::Old => FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE,
                };
                reply.opened(FileHandle(opened.handle), flags);
            }
            Err(error) => reply.error(report(&error)),
        });
    }

    fn readdir(
        &self,
        request: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        reply: ReplyDirectory,
    ) {
        self.guarded_with_next(|| {
            self.with_listing(request, handle, move |result| {
                let mut reply = reply;
                match result {
                    Ok((directory, listing)) => {
                        for (next, listed) in entries(&directory, &listing, offset) {
                            let (inode, kind, name) = match &listed {
                                Listed::Dots(name, inode) => (*inode, Kind::Directory, *name),
                                Listed::Named(entry) => {
                                    (directory.inode_of(&entry.name), entry.kind, &*entry.name)
                                }
                            };
                            if reply.add(INodeNo(inode), next, attributes::file_type(kind), name) {
                                break;
                            }
                        }
                        reply.ok();
                    }
                    Err(error) => reply.error(error),
                }
            });
        });
    }

    fn readdirplus(
        &self,
        request: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        reply: ReplyDirectoryPlus,
    ) {
        self.guarded_with_next(|| {
            let (filesystem, presentation) = (self.filesystem.clone(), self.presentation);
            self.with_listing(request, handle, move |result| {
                let mut reply = reply;
                match result {
                    Ok((directory, listing)) => {
                        let end = end_of_attributes(&listing, offset);
                        for (next, listed) in entries(&directory, &listing, offset) {
                            if next > end
                                || presentation.add_entry(&mut reply, &filesystem, &directory, next, &listed)
                            {
                                break;
                            }
                        }
                        reply.ok();
                    }
                    Err(error) => reply.error(error),
                }
            });
        });
    }

    fn releasedir(
        &self,
        _request: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.guarded_with_next(|| {
            self.filesystem.close_directory(handle.0);
            reply.ok();
        });
    }

    /// Where there are limits: of bytes as blocks, of requests as inodes.
    fn statfs(&self, _request: &Request, inode: INodeNo, reply: ReplyStatfs) {
        guarded(|| {
            let allowance = self.filesystem.allowance(inode.0);
            let blocks = |bytes: u64| bytes / u64::from(BLOCK_SIZE);
            let bytes = allowance.bytes.map(|share| (blocks(share.most), blocks(share.left)));
            let (most, left) = bytes.unwrap_or((STATFS_BLOCKS, 0));
            let requests = allowance.requests.map(|share| (share.most, share.left));
            let (files, free) = requests.unwrap_or((STATFS_BLOCKS, 0));
            reply.statfs(most.max(1), left, left, files.max(1), free, BLOCK_SIZE, 255, BLOCK_SIZE);
        });
    }

    fn getxattr(&self, _request: &Request, inode: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        // `ls -l` asks for `security.*` and `system.*` of every file, unless the first says that there is no such
        // thing here: then it asks no more, and a long listing costs no request.
        if !name.as_encoded_bytes().starts_with(b"user.") {
            return reply.error(Errno::EOPNOTSUPP);
        }
        guarded(|| match self.filesystem.attributes(inode.0) {
            Ok(attributes) => match attributes.iter().find(|(held, _)| OsStr::new(held) == name) {
                Some((_, value)) => attributes::reply_xattr(reply, value, size),
                None => reply.error(Errno::NO_XATTR),
            },
            Err(error) => reply.error(report(&error)),
        });
    }

    fn listxattr(&self, _request: &Request, inode: INodeNo, size: u32, reply: ReplyXattr) {
        guarded(|| match self.filesystem.attributes(inode.0) {
            Ok(attributes) => {
                let names: Vec<u8> =
                    attributes.iter().flat_map(|(name, _)| name.bytes().chain([0])).collect();
                attributes::reply_xattr(reply, &names, size);
            }
            Err(error) => reply.error(report(&error)),
        });
    }

    /// Never asked with `default_permissions`; the kernel checks the modes itself.
    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    /// The kernel then answers from the size alone: no holes.
    fn lseek(&self, _: &Request, _: INodeNo, _: FileHandle, _: i64, _: i32, reply: ReplyLseek) {
        reply.error(Errno::ENOSYS);
    }
}

/// How long the kernel remembers that nothing has a name, at least: a zero would not be remembered at all.
const ABSENT_AT_LEAST: Duration = Duration::from_secs(1);
