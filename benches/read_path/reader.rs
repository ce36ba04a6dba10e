//! The program that only reads: sequentially or at random, with any block, by any number of clients, through the
//! page cache or past it. It prints seconds and what was read.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::Duration;

use clap::Args;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use serde_json::json;
use tokio::time::Instant;

use crate::Result;

/// What to read.
#[derive(Args, Debug)]
pub(crate) struct Flags {
    file: PathBuf,
    /// Bytes of one read
    #[arg(long, default_value_t = 1 << 20)]
    block: usize,
    /// So many reads at random places by each client; without it the whole file in order
    #[arg(long)]
    random: Option<u64>,
    /// End after so many seconds
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    #[arg(long, default_value_t = 1)]
    clients: u64,
    /// Past the page cache
    #[arg(long)]
    direct: bool,
    /// Other places at random
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Reads and prints `{"seconds": …, "bytes": …, "reads": …}`.
pub(crate) fn run(flags: &Flags) -> Result<()> {
    let barrier = Barrier::new(usize::try_from(flags.clients)? + 1);
    let (seconds, done) = std::thread::scope(|scope| {
        let barrier = &barrier;
        let clients = (0..flags.clients).map(|client| scope.spawn(move || read(flags, client, barrier)));
        let clients = clients.collect::<Vec<_>>();
        barrier.wait();
        let begun = Instant::now();
        let done = clients.into_iter().map(|client| client.join().map_err(|_| "a client has died")?);
        let done = done.collect::<Result<Vec<(u64, u64)>>>();
        (begun.elapsed().as_secs_f64(), done)
    });
    let done = done?;
    let sum = |part: fn(&(u64, u64)) -> u64| done.iter().map(part).sum::<u64>();
    println!("{}", json!({ "seconds": seconds, "bytes": sum(|done| done.0), "reads": sum(|done| done.1) }));
    Ok(())
}

/// Bytes and reads of one client.
fn read(flags: &Flags, client: u64, barrier: &Barrier) -> Result<(u64, u64)> {
    let opened = open(flags);
    barrier.wait();
    let file = opened?;
    let begun = Instant::now();
    let mut space = vec![0u8; flags.block + 4096];
    let shift = space.as_ptr().align_offset(4096);
    let buffer = &mut space[shift..shift + flags.block];
    let (mut bytes, mut reads) = (0, 0);
    let Some(count) = flags.random else {
        while let length @ 1.. = file.read_at(buffer, bytes)? {
            (bytes, reads) = (bytes + length as u64, reads + 1);
        }
        return Ok((bytes, reads));
    };
    let blocks = (file.metadata()?.len() / flags.block as u64).max(1);
    let mut state = (flags.seed * 1000 + client + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let limit = Duration::from_secs(flags.seconds);
    while reads < count && (!reads.is_multiple_of(16) || begun.elapsed() < limit) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        file.read_exact_at(buffer, state % blocks * flags.block as u64)?;
        (bytes, reads) = (bytes + flags.block as u64, reads + 1);
    }
    Ok((bytes, reads))
}

fn open(flags: &Flags) -> Result<File> {
    let mut options = OpenOptions::new();
    if flags.direct {
        options.custom_flags(libc::O_DIRECT);
    }
    Ok(options.read(true).open(&flags.file)?)
}

/// Makes the kernel forget the pages of a file, or of all files below a directory.
pub(crate) fn drop_pages(path: &Path) -> Result<()> {
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            drop_pages(&entry?.path())?;
        }
        return Ok(());
    }
    let Ok(file) = File::open(path) else { return Ok(()) };
    // Pages that are not on the disk yet cannot be forgotten. A mount that cannot be written has none.
    let _ = file.sync_all();
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    Ok(())
}
