//! The disk tier against an oracle: each object's bytes are computed from its name.

mod damage;
mod faults;
mod processes;
mod room;
mod storing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::object::ByteRange;
use crate::store::BLOCK;

const LIMIT: Duration = Duration::from_secs(20);

/// A new directory, in memory where there is such a place: the disk's speed is not what is tested.
fn directory() -> TempDir {
    let fast = Path::new("/dev/shm");
    let place = if fast.is_dir() { fast.to_owned() } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("dcmsfs-disk-").tempdir_in(place).unwrap()
}

fn settings(dir: &Path) -> DiskSettings {
    DiskSettings { dir: dir.to_owned(), size: 1 << 30, min_free: 0 }
}

fn sized(dir: &Path, size: u64) -> DiskSettings {
    DiskSettings { size, ..settings(dir) }
}

fn tuning() -> Tuning {
    Tuning { retry: Duration::from_millis(50), touch: 0, ..Tuning::default() }
}

fn open(dir: &Path) -> Disk {
    Disk::with(settings(dir), tuning()).unwrap()
}

fn id(number: u64) -> ObjectId {
    ObjectId::new("service", &format!("https://host/object-{number}"))
}

fn version(tag: &str) -> Validator {
    Validator { etag: Some(tag.to_owned()), last_modified: None }
}

/// A block of an object of `length` bytes, as the oracle has it.
fn block(number: u64, tag: &str, block: u64, length: u64) -> Bytes {
    let size = BLOCK.min(length - block * BLOCK) as usize;
    let seed = format!("{number} {tag} {block}");
    let mut bytes = vec![0; size];
    blake3::Hasher::new().update(seed.as_bytes()).finalize_xof().fill(&mut bytes);
    bytes.into()
}

fn whole(number: u64, tag: &str, length: u64) -> Vec<u8> {
    (0..length.div_ceil(BLOCK)).flat_map(|at| block(number, tag, at, length)).collect()
}

fn put(entry: &Arc<Entry>, number: u64, tag: &str, blocks: std::ops::Range<u64>) {
    blocks.for_each(|at| _ = entry.put(at, block(number, tag, at, entry.length())));
}

/// Stores `blocks` of an object and waits for them.
fn store(disk: &Disk, number: u64, length: u64, blocks: std::ops::Range<u64>) -> Arc<Entry> {
    let entry = disk.entry(&id(number), &version("v1"), None, length);
    put(&entry, number, "v1", blocks);
    assert!(disk.flush(LIMIT));
    entry
}

/// Compares all that can be read with the oracle; how many blocks can.
fn check(entry: &Entry, number: u64, tag: &str) -> u64 {
    let length = entry.length();
    (0..length.div_ceil(BLOCK))
        .filter(|at| {
            let range = ByteRange::new(at * BLOCK, (at + 1) * BLOCK);
            for found in [entry.read(range), entry.read_now(range)].into_iter().flatten() {
                assert!(found == block(number, tag, *at, length), "wrong bytes in block {at} of {number}");
            }
            entry.holds(*at)
        })
        .count() as u64
}

/// The only object's directory.
fn objects(dir: &Path) -> Vec<PathBuf> {
    let below = |path: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let mut found: Vec<PathBuf> =
        below(&dir.join("v1/objects")).iter().flat_map(|first| below(first)).collect();
    found.sort();
    found
}

/// Waits until `done`, for what another thread or process does.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        wait(10);
    }
}

#[expect(clippy::disallowed_methods, reason = "tests wait for other threads and processes by the clock")]
fn wait(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}
