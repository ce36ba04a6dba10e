//! The least that a FUSE file system can do: one file, answered by the thread that the kernel asks, out of memory or out
//! of the local file that is its standard input. No network, no cache, no checksum: what no daemon can be faster than on
//! this machine, with the settings that dcmsfs has.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry,
    ReplyOpen, Request, SessionACL,
};

use crate::Result;

/// The name of the file.
pub(crate) const NAME: &str = "file";
const NUMBER: INodeNo = INodeNo(2);
const TTL: Duration = Duration::from_secs(3600);

/// What to serve.
#[derive(Args, Debug)]
pub(crate) struct Flags {
    mountpoint: PathBuf,
    /// Out of memory, not out of the file
    #[arg(long)]
    memory: bool,
}

/// Mounts and serves until unmounted.
pub(crate) fn run(flags: &Flags) -> Result<()> {
    let mut file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let size = file.metadata()?.len();
    let held = if flags.memory {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Some(bytes)
    } else {
        None
    };
    let mut config = Config::default();
    config.mount_options = vec![MountOption::RO, MountOption::FSName("bare".into())];
    config.acl = SessionACL::All;
    config.n_threads = Some(std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8));
    config.clone_fd = true;
    Ok(fuser::mount(Bare { file, held, size }, &flags.mountpoint, &config)?)
}

struct Bare {
    file: File,
    held: Option<Vec<u8>>,
    size: u64,
}

impl Bare {
    fn about(&self, number: INodeNo) -> FileAttr {
        let root = number == INodeNo::ROOT;
        let size = if root { 0 } else { self.size };
        FileAttr {
            ino: number,
            size,
            blocks: size.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if root { FileType::Directory } else { FileType::RegularFile },
            perm: if root { 0o555 } else { 0o444 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl Filesystem for Bare {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let _ = config.add_capabilities(InitFlags::FUSE_ASYNC_DIO);
        let _ = config.set_max_background(256);
        Ok(())
    }

    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == NAME {
            reply.entry(&TTL, &self.about(NUMBER), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &self.about(number));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_NOFLUSH);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let end = (offset + u64::from(size)).min(self.size).max(offset);
        if let Some(held) = &self.held {
            return reply.data(&held[offset as usize..end as usize]);
        }
        let mut bytes = vec![0; (end - offset) as usize];
        match self.file.read_exact_at(&mut bytes, offset) {
            Ok(()) => reply.data(&bytes),
            Err(_) => reply.error(Errno::EIO),
        }
    }

    fn readdir(&self, _: &Request, _: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        if offset == 0 {
            let _ = reply.add(NUMBER, 1, FileType::RegularFile, NAME);
        }
        reply.ok();
    }
}
