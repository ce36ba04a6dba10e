//! The bound: who goes first, what an object does that is too large, what is left free.

use super::*;

const MIB: u64 = 1 << 20;

/// Bytes that the files of all objects take on the disk.
pub(super) fn on_disk(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let size = |path: PathBuf| std::fs::metadata(path).map_or(0, |about| about.blocks() * 512);
    objects(dir).iter().map(|object| size(object.join("data")) + size(object.join("map"))).sum()
}

#[test]
fn the_least_recently_used_goes_first() {
    let dir = directory();
    let disk = Disk::with(sized(dir.path(), 4 * MIB), tuning()).unwrap();
    let first: Vec<_> = (0..3).map(|number| store(&disk, number, MIB, 0..16)).collect();
    wait(20);
    // Used again: 1 is the oldest now.
    assert_eq!(check(&first[0], 0, "v1"), 16);
    assert!(disk.flush(LIMIT));
    wait(20);
    assert_eq!(check(&first[2], 2, "v1"), 16);
    assert!(disk.flush(LIMIT));
    let newest = store(&disk, 9, MIB, 0..16);
    assert!(on_disk(dir.path()) <= 4 * MIB);
    let left = [&first[0], &first[1], &first[2], &newest].map(|entry| entry.stored());
    assert_eq!(left, [MIB, 0, MIB, MIB]);
    assert!(disk.find(&id(1)).is_none() && disk.find(&id(0)).is_some());
    assert_eq!((disk.used().paused, disk.used().corrupt), (None, 0));
}

#[test]
fn of_an_object_that_is_too_large_the_newest_blocks_stay() {
    let dir = directory();
    let disk = Disk::with(sized(dir.path(), 2 * MIB), tuning()).unwrap();
    let entry = disk.entry(&id(1), &version("v1"), None, 100 * BLOCK);
    for at in 0..100 {
        put(&entry, 1, "v1", at..at + 1);
        assert!(disk.flush(LIMIT));
        assert!(on_disk(dir.path()) <= 2 * MIB, "block {at}");
        assert!(entry.holds(at), "block {at}: {:?}", disk.used());
    }
    let held = check(&entry, 1, "v1");
    assert!((10..=32).contains(&held) && !entry.holds(0), "{held} blocks");
    drop((entry, disk));
    let disk = Disk::with(sized(dir.path(), 2 * MIB), tuning()).unwrap();
    assert_eq!((check(&disk.find(&id(1)).unwrap(), 1, "v1"), disk.used().corrupt), (held, 0));
}

#[test]
fn an_object_that_another_daemon_uses_gets_no_holes() {
    let dir = directory();
    let (one, two) = (open(dir.path()), Disk::with(sized(dir.path(), 2 * MIB), tuning()).unwrap());
    let reader = store(&one, 1, 100 * BLOCK, 0..10);
    let writer = two.entry(&id(1), &version("v1"), None, 100 * BLOCK);
    for at in 10..60 {
        put(&writer, 1, "v1", at..at + 1);
        assert!(two.flush(LIMIT));
        check(&reader, 1, "v1");
    }
    assert_eq!(check(&reader, 1, "v1"), 10, "its open files keep working");
    assert!(check(&writer, 1, "v1") > 0 && on_disk(dir.path()) <= 2 * MIB);
    assert_eq!((one.used().corrupt, two.used().corrupt), (0, 0));
}

#[test]
fn other_daemons_blocks_are_found() {
    let dir = directory();
    let (one, two) = (open(dir.path()), open(dir.path()));
    let first = store(&one, 1, 4 * BLOCK, 0..2);
    let second = two.find(&id(1)).unwrap();
    put(&second, 1, "v1", 2..4);
    assert!(two.flush(LIMIT) && second.is_complete());
    assert_eq!(check(&first, 1, "v1"), 2);
    assert_eq!(check(&one.find(&id(1)).unwrap(), 1, "v1"), 4);
    assert!(first.verify() && second.verify());
}

#[test]
fn the_room_of_a_killed_daemon_comes_back() {
    let dir = directory();
    let disk = Disk::with(sized(dir.path(), 2 * MIB), tuning()).unwrap();
    store(&disk, 1, BLOCK, 0..1);
    // As if a daemon had taken all and died.
    let root = disk.0.root().unwrap();
    space::Usage::open(&root).unwrap().set(2 * MIB).unwrap();
    let entry = store(&disk, 2, 8 * BLOCK, 0..8);
    assert_eq!(check(&entry, 2, "v1"), 8);
    assert_eq!(check(&disk.find(&id(1)).unwrap(), 1, "v1"), 1, "nothing had to go");
    assert!(disk.used().bytes < MIB, "{:?}", disk.used());
}

#[test]
fn what_is_to_be_left_free_is() {
    let dir = directory();
    let free = Root::open(dir.path(), true).ok().unwrap().top.free().unwrap();
    let settings = DiskSettings { min_free: free.saturating_mul(2), ..settings(dir.path()) };
    let disk = Disk::with(settings, tuning()).unwrap();
    let entry = store(&disk, 1, BLOCK, 0..1);
    assert!(!entry.holds(0) && disk.used().paused.unwrap().contains("min_free"));
}

#[test]
fn what_others_have_set_aside_is_left_to_them() {
    let dir = directory();
    let opened = || Disk::with(sized(dir.path(), 2 * MIB), tuning()).unwrap();
    let others: Vec<Disk> = (0..8).map(|_| opened()).collect();
    // Each takes a lump and spends little of it.
    (0..).zip(&others).for_each(|(number, other)| drop(store(other, number, 700, 0..1)));
    let disk = opened();
    for number in 100..140 {
        store(&disk, number, BLOCK, 0..1);
    }
    assert!(on_disk(dir.path()) > MIB / 2, "it stores what it may");
    // They spend the rest without looking at what is taken.
    (10..).zip(&others).for_each(|(number, other)| drop(store(other, number, BLOCK, 0..1)));
    assert!(on_disk(dir.path()) <= 2 * MIB, "{} bytes", on_disk(dir.path()));
}
