//! A disk that is full, read-only or gone fails no read, and is used again when it is well.

use std::fs;
use std::os::unix::fs::chown;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::*;

/// A small file system of its own, or `None` where that is not allowed.
struct Small(TempDir);

impl Small {
    fn new(test: &str) -> Option<Self> {
        let dir = directory();
        let mounted = mount(Some("tmpfs"), dir.path(), Some("tmpfs"), MsFlags::empty(), Some("size=64m"));
        if let Err(errno) = mounted {
            eprintln!("{test} is skipped: tmpfs cannot be mounted here ({errno})");
            return None;
        }
        Some(Self(dir))
    }

    fn remount(&self, flags: MsFlags) {
        let none: Option<&str> = None;
        mount(none, self.0.path(), none, MsFlags::MS_REMOUNT | flags, none).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = umount2(self.0.path(), MntFlags::MNT_DETACH);
    }
}

/// Puts blocks until they are stored: the tier has recovered.
fn recovers(disk: &Disk, entry: &Arc<Entry>, number: u64, blocks: std::ops::Range<u64>) {
    until("the disk is used again", || {
        put(entry, number, "v1", blocks.clone());
        disk.flush(LIMIT) && blocks.clone().all(|at| entry.holds(at))
    });
    assert_eq!(disk.used().paused, None);
    assert!(check(entry, number, "v1") >= blocks.count() as u64);
}

#[test]
fn a_full_disk() {
    let Some(small) = Small::new("a_full_disk") else { return };
    let dir = small.0.path().join("cache");
    let disk = open(&dir);
    let entry = store(&disk, 1, 2000 * BLOCK, 0..10);
    fs::write(small.0.path().join("other"), vec![1; 80 << 20]).unwrap_err();
    put(&entry, 1, "v1", 10..60);
    assert!(disk.flush(LIMIT));
    assert!(disk.used().paused.is_some() && !entry.holds(59));
    assert!(check(&entry, 1, "v1") >= 10);
    // A start on a full disk is no error either.
    let second = open(&dir);
    assert_eq!(check(&second.find(&id(1)).unwrap(), 1, "v1"), check(&entry, 1, "v1"));
    let fresh = open(&small.0.path().join("fresh"));
    let unstored = store(&fresh, 2, BLOCK, 0..1);
    assert!(unstored.read(ByteRange::new(0, 1)).is_none());
    fs::remove_file(small.0.path().join("other")).unwrap();
    recovers(&disk, &entry, 1, 10..60);
    recovers(&fresh, &unstored, 2, 0..1);
    // The disk is smaller than what is allowed.
    for first in (60..2000).step_by(20) {
        put(&entry, 1, "v1", first..first + 20);
        assert!(disk.flush(LIMIT));
    }
    check(&entry, 1, "v1");
    assert_eq!(disk.used().corrupt, 0);
}

#[test]
fn a_read_only_disk() {
    let Some(small) = Small::new("a_read_only_disk") else { return };
    let dir = small.0.path().join("cache");
    store(&open(&dir), 1, 9 * BLOCK, 0..4);
    small.remount(MsFlags::MS_RDONLY);
    let disk = open(&dir);
    let entry = disk.find(&id(1)).unwrap();
    assert_eq!(check(&entry, 1, "v1"), 4);
    put(&entry, 1, "v1", 4..9);
    assert!(disk.flush(LIMIT) && disk.used().paused.is_some());
    assert_eq!(check(&entry, 1, "v1"), 4);
    small.remount(MsFlags::empty());
    recovers(&disk, &entry, 1, 4..9);
}

#[test]
fn a_directory_that_is_removed() {
    let dir = directory();
    let cache = dir.path().join("cache");
    let disk = open(&cache);
    let entry = store(&disk, 1, 9 * BLOCK, 0..4);
    fs::remove_dir_all(&cache).unwrap();
    assert_eq!(check(&entry, 1, "v1"), 4, "what is open can be read");
    let other = disk.entry(&id(2), &version("v1"), None, BLOCK);
    put(&other, 2, "v1", 0..1);
    assert!(disk.flush(LIMIT) && disk.used().paused.unwrap().contains("removed"));
    recovers(&disk, &other, 2, 0..1);
    until("the files without a name are noticed", || {
        put(&entry, 1, "v1", 0..9);
        disk.flush(LIMIT) && objects(&cache).len() == 2
    });
    recovers(&disk, &entry, 1, 0..9);
    assert_eq!(check(&open(&cache).find(&id(1)).unwrap(), 1, "v1"), 9);
}

#[test]
fn a_directory_of_somebody_else_is_refused() {
    let dir = directory();
    if chown(dir.path(), Some(12_345), None).is_err() {
        return eprintln!("skipped: only root can give files away");
    }
    let error = Disk::open(settings(dir.path())).err().unwrap();
    assert!(error.message().contains("uid 12345") && error.message().contains("[cache] dir"), "{error}");
    let file = directory();
    fs::write(file.path().join("file"), "x").unwrap();
    let error = Disk::open(settings(&file.path().join("file"))).err().unwrap();
    assert!(error.message().contains("/file"), "{error}");
}

#[test]
fn without_locks_the_directory_is_private() {
    let dir = directory();
    let alone = Tuning { locks: false, ..tuning() };
    let disk = Disk::with(settings(dir.path()), alone.clone()).unwrap();
    let entry = store(&disk, 1, BLOCK, 0..1);
    assert!(check(&entry, 1, "v1") == 1 && objects(dir.path()).is_empty());
    let private = |name: &str| {
        fs::read_dir(dir.path())
            .unwrap()
            .flatten()
            .any(|entry| entry.file_name().to_str().is_some_and(|found| found.ends_with(name)))
    };
    assert!(private(&format!("-{}", std::process::id())));
    // Those of dead processes are removed.
    let own = fs::read_dir(dir.path()).unwrap().flatten().find(|entry| entry.file_name() != "v1").unwrap();
    let own = own.file_name().into_string().unwrap();
    let dead = own.replace(&format!("-{}", std::process::id()), "-4194999");
    fs::create_dir(dir.path().join(&dead)).unwrap();
    drop(Disk::with(settings(dir.path()), alone).unwrap());
    assert!(!private("-4194999"));
}
