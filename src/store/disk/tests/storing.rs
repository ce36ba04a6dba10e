//! What is stored is found again, each version apart.

use std::os::unix::fs::{FileExt, PermissionsExt};

use super::*;

#[test]
fn what_was_stored_is_found_after_a_restart() {
    let dir = directory();
    let length = 5 * BLOCK + 17;
    {
        let disk = open(dir.path());
        assert!(disk.find(&id(1)).is_none());
        let entry = store(&disk, 1, length, 0..3);
        put(&entry, 1, "v1", 5..6);
        assert!(disk.flush(LIMIT));
        assert_eq!((entry.stored(), entry.is_complete()), (3 * BLOCK + 17, false));
        assert_eq!(check(&entry, 1, "v1"), 4);
        assert!(disk.used().bytes >= 3 * BLOCK);
    }
    let disk = open(dir.path());
    let entry = disk.find(&id(1)).unwrap();
    assert_eq!((entry.length(), entry.version(), entry.stored()), (length, &version("v1"), 3 * BLOCK + 17));
    let across = ByteRange::new(BLOCK - 5, 2 * BLOCK + 5);
    assert!(entry.read_now(across).is_none(), "not checked yet");
    let expected = &whole(1, "v1", length)[across.start as usize..across.end as usize];
    assert_eq!(entry.read(across).unwrap(), expected);
    assert_eq!(entry.read_now(across).unwrap(), expected);
    assert!(entry.read(ByteRange::new(0, length)).is_none(), "blocks 3 and 4 are missing");
    assert_eq!(entry.read(ByteRange::new(length - 1, length + 99)).unwrap().len(), 1);
    assert_eq!(check(&entry, 1, "v1"), 4);
    assert!(Arc::ptr_eq(&entry, &disk.entry(&id(1), &version("v1"), None, length)), "one for each version");
    assert_eq!(disk.used().corrupt, 0);
}

#[test]
fn versions_never_meet() {
    let dir = directory();
    let disk = open(dir.path());
    let old = store(&disk, 1, 2 * BLOCK, 0..2);
    let new = disk.entry(&id(1), &version("v2"), None, 2 * BLOCK);
    assert!(!new.holds(0) && new.read(ByteRange::new(0, 1)).is_none());
    put(&new, 1, "v2", 0..1);
    assert!(disk.flush(LIMIT));
    assert_eq!((check(&old, 1, "v1"), check(&new, 1, "v2")), (2, 1));
    assert_eq!(disk.find(&id(1)).unwrap().version(), &version("v2"), "the one stored last");
    new.discard();
    assert!(disk.find(&id(1)).is_none() && new.read(ByteRange::new(0, 1)).is_none());
    put(&new, 1, "v2", 0..1);
    assert!(disk.flush(LIMIT) && !new.holds(0), "nothing is stored of a version that was discarded");
    // The same version may come back.
    let again = disk.entry(&id(1), &version("v2"), None, 2 * BLOCK);
    put(&again, 1, "v2", 0..2);
    assert!(disk.flush(LIMIT) && check(&again, 1, "v2") == 2);
}

#[test]
fn a_complete_object_is_sealed_and_given_out_once_checked() {
    let dir = directory();
    let length = 40 * BLOCK - 1;
    let file = {
        let disk = open(dir.path());
        let entry = store(&disk, 1, length, 0..39);
        assert!(entry.complete_file().is_none());
        put(&entry, 1, "v1", 39..40);
        assert!(disk.flush(LIMIT) && entry.is_complete());
        entry.complete_file().unwrap()
    };
    let mode = file.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o400);
    let disk = open(dir.path());
    let entry = disk.find(&id(1)).unwrap();
    assert!(entry.is_complete() && entry.complete_file().is_none(), "not checked yet");
    assert!(entry.verify());
    let again = entry.complete_file().unwrap();
    entry.discard();
    for file in [&file, &again] {
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert!(bytes == whole(1, "v1", length), "open descriptors keep working");
        assert!(file.write_at(b"x", 0).is_err(), "opened to read only");
    }
    assert!(objects(dir.path()).is_empty());
}

#[test]
fn all_files_are_private() {
    let dir = directory();
    let disk = open(&dir.path().join("made/here"));
    store(&disk, 1, BLOCK, 0..1);
    let mut left = vec![dir.path().join("made")];
    while let Some(path) = left.pop() {
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o077, 0, "{}", path.display());
        left.extend(std::fs::read_dir(&path).into_iter().flatten().map(|entry| entry.unwrap().path()));
    }
}

#[test]
fn a_full_queue_drops_blocks_and_waits_for_nobody() {
    let dir = directory();
    let disk = Disk::with(settings(dir.path()), Tuning { queue: 3 * BLOCK as usize, ..tuning() }).unwrap();
    let entry = disk.entry(&id(1), &version("v1"), None, 1000 * BLOCK);
    {
        // The writer stands still meanwhile.
        let _slot = entry.slot.write();
        put(&entry, 1, "v1", 0..1000);
    }
    assert!(disk.flush(LIMIT));
    let held = check(&entry, 1, "v1");
    assert!((1..20).contains(&held), "{held} blocks");
}

#[test]
fn few_files_are_open_at_once() {
    let dir = directory();
    let disk = Disk::with(settings(dir.path()), Tuning { handles: 8, ..tuning() }).unwrap();
    let entries: Vec<_> = (0..60).map(|number| store(&disk, number, 2 * BLOCK, 0..2)).collect();
    let opened = || {
        let files = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let targets = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        targets.filter(|path| path.starts_with(dir.path())).count()
    };
    for round in 0..2 {
        for (number, entry) in (0..).zip(&entries) {
            assert_eq!(check(entry, number, "v1"), 2, "round {round}");
            assert!(opened() <= 2 * 9 + 3, "{} files are open", opened());
        }
    }
}

#[test]
fn a_large_cache_is_opened_at_once() {
    let dir = directory();
    let length = 2_500_000;
    {
        let disk = open(dir.path());
        store(&disk, 1, length, 0..2);
    }
    let root = Root::open(dir.path(), true).ok().unwrap();
    for number in 2..20_000 {
        let identity = Identity::new(&id(number), &version("v1"), None, length);
        root.make_object(&identity, &format::encode(&identity).unwrap()).unwrap();
    }
    let begun = Instant::now();
    let disk = open(dir.path());
    let entry = disk.find(&id(1)).unwrap();
    assert!(entry.read(ByteRange::new(0, 9)).is_some());
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
}

/// Not a test but a measurement: `cargo test --release -- --ignored --nocapture speed`.
#[test]
#[ignore = "a measurement"]
fn speed() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    let blocks = 4096;
    let entry = disk.entry(&id(1), &version("v1"), None, blocks * BLOCK);
    let bytes = block(1, "v1", 0, blocks * BLOCK);
    let begun = Instant::now();
    for at in 0..blocks {
        entry.put(at, bytes.clone());
        while !entry.holds(at.saturating_sub(512)) {
            std::thread::yield_now();
        }
    }
    until("all is written", || entry.is_complete());
    let written = begun.elapsed();
    println!("written: {:.0} MB/s", (blocks * BLOCK) as f64 / 1e6 / written.as_secs_f64());
    for size in [4096, 131_072] {
        let reads = (1u64 << 30) / size / 4;
        let begun = Instant::now();
        let mut missed = 0;
        for at in 0..reads {
            let start = (at * 7_919 * 4096) % (blocks * BLOCK - size);
            missed += u64::from(entry.read_now(ByteRange::new(start, start + size)).is_none());
        }
        let rate = reads as f64 / begun.elapsed().as_secs_f64();
        println!("read_now of {size}: {rate:.0}/s, {missed} of {reads} not at once");
    }
}
