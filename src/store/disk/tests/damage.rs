//! Whatever is done to the files, no wrong byte is served (contract.md 5.2).

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};

use super::*;

/// The objects of the cache that is damaged: number, length, blocks that are stored.
const OBJECTS: [(u64, u64, u64); 3] = [(1, 3 * BLOCK - 5, 3), (2, 4 * BLOCK, 2), (3, 700, 1)];

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (path, new) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() { copy(&path, &new) } else { _ = fs::copy(&path, &new).unwrap() }
    }
}

fn flip(path: &Path, dice: &mut Dice) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let at = dice.roll(file.metadata().unwrap().len().max(1));
    let mut byte = [0];
    if file.read_at(&mut byte, at).unwrap() == 1 {
        byte[0] ^= 1 << dice.roll(8);
        file.write_at(&byte, at).unwrap();
    }
}

fn swap(one: &Path, other: &Path) {
    let aside = one.with_extension("aside");
    fs::rename(one, &aside).unwrap();
    fs::rename(other, one).unwrap();
    fs::rename(&aside, other).unwrap();
}

/// Does one thing to the files; what, for messages.
fn harm(dir: &Path, outside: &Path, dice: &mut Dice) -> String {
    let all = objects(dir);
    let object = &all[dice.roll(all.len() as u64) as usize];
    let other = &all[dice.roll(all.len() as u64) as usize];
    let name = if dice.roll(2) == 0 { "data" } else { "map" };
    let file = object.join(name);
    let pointers: Vec<PathBuf> = fs::read_dir(dir.join("v1/current"))
        .unwrap()
        .flat_map(|first| fs::read_dir(first.unwrap().path()).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    let pointer = &pointers[dice.roll(pointers.len() as u64) as usize];
    let kind = dice.roll(16);
    match kind {
        0..=4 => flip(&file, dice),
        5 => {
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            let opened = fs::OpenOptions::new().write(true).open(&file).unwrap();
            let length = opened.metadata().unwrap().len();
            opened.set_len(dice.roll(length)).unwrap();
            if dice.roll(2) == 0 {
                opened.set_len(length).unwrap();
            }
        }
        6 if object != other => swap(&file, &other.join(name)),
        7 if object != other => swap(object, other),
        8 => {
            // Another file's content.
            let bytes = fs::read(other.join(name)).unwrap();
            fs::remove_file(&file).unwrap();
            fs::write(&file, bytes).unwrap();
        }
        9 => {
            // An older format.
            let map = object.join("map");
            let opened = fs::OpenOptions::new().write(true).open(map).unwrap();
            opened.write_at(&[0], 7).unwrap();
        }
        10 => {
            fs::remove_file(&file).unwrap();
            fs::create_dir(&file).unwrap();
        }
        11 => {
            fs::remove_file(&file).unwrap();
            symlink(outside.join(name), &file).unwrap();
        }
        12 => fs::remove_file(&file).unwrap(),
        13 => {
            fs::remove_dir_all(object).unwrap();
            match dice.roll(3) {
                0 => symlink(outside, object).unwrap(),
                1 => fs::write(object, "x").unwrap(),
                _ => fs::create_dir(object).unwrap(),
            }
        }
        14 => match dice.roll(4) {
            0 => fs::write(pointer, "../../../../etc/passwd\n").unwrap(),
            1 => flip(pointer, dice),
            2 => {
                fs::remove_file(pointer).unwrap();
                fs::create_dir(pointer).unwrap();
            }
            _ => {
                let _ = fs::copy(&pointers[0], pointer);
            }
        },
        _ => {
            // Two blocks change places, with their entries.
            let map = fs::OpenOptions::new().read(true).write(true).open(object.join("map")).unwrap();
            let table = map.metadata().unwrap().len() / 512 * 512;
            let mut entries = [0; 16];
            if map.read_exact_at(&mut entries, table).is_ok() {
                entries.rotate_left(8);
                map.write_at(&entries, table).unwrap();
                fs::set_permissions(object.join("data"), fs::Permissions::from_mode(0o600)).unwrap();
                let mut bytes = fs::read(object.join("data")).unwrap();
                let half = BLOCK as usize;
                if bytes.len() >= 2 * half {
                    bytes[..2 * half].rotate_left(half);
                    fs::write(object.join("data"), bytes).unwrap();
                }
            }
        }
    }
    format!("kind {kind} of {}", file.display())
}

#[test]
fn a_thousand_damages_serve_no_wrong_byte() {
    let dir = directory();
    let sound = dir.path().join("sound");
    {
        let disk = open(&sound);
        OBJECTS.iter().for_each(|(number, length, blocks)| {
            store(&disk, *number, *length, 0..*blocks);
        });
    }
    // What links lead to: files that would do, if links were followed.
    let outside = dir.path().join("outside");
    copy(&objects(&sound)[0], &outside);
    let mut dice = Dice(20_240_924);
    let (mut noticed, mut kept) = (0, 0);
    for round in 0..1000 {
        let harmed = dir.path().join("harmed");
        copy(&sound, &harmed);
        let mut done = Vec::new();
        for _ in 0..=dice.roll(2) {
            done.push(harm(&harmed, &outside, &mut dice));
            if objects(&harmed)
                .iter()
                .any(|object| !object.join("map").is_file() || !object.join("data").is_file())
            {
                break;
            }
        }
        let disk = open(&harmed);
        for (number, length, _) in OBJECTS {
            if let Some(found) = disk.find(&id(number)) {
                assert_eq!(found.length(), length, "round {round}: {done:?}");
                kept += check(&found, number, "v1");
            }
            let entry = disk.entry(&id(number), &version("v1"), None, length);
            check(&entry, number, "v1");
            // It is downloaded again, and all is well.
            put(&entry, number, "v1", 0..length.div_ceil(BLOCK));
        }
        assert!(disk.flush(LIMIT));
        noticed += disk.used().corrupt;
        for (number, length, _) in OBJECTS {
            let entry = disk.find(&id(number)).unwrap_or_else(|| panic!("round {round}: {number}, {done:?}"));
            assert_eq!(check(&entry, number, "v1"), length.div_ceil(BLOCK), "round {round}: {done:?}");
        }
        assert!(disk.flush(LIMIT), "nothing holds it any more");
        drop(disk);
        fs::remove_dir_all(&harmed).unwrap();
    }
    assert!(noticed > 500 && kept > 1000, "{noticed} noticed, {kept} blocks were sound");
}

#[test]
fn damage_while_it_is_used_is_noticed_where_it_was_not_checked() {
    let dir = directory();
    let entry_file = |name: &str| objects(dir.path())[0].join(name);
    store(&open(dir.path()), 1, 4 * BLOCK, 0..3);
    let disk = open(dir.path());
    let entry = disk.find(&id(1)).unwrap();
    assert!(entry.read(ByteRange::new(0, 1)).is_some());
    let data = fs::OpenOptions::new().write(true).open(entry_file("data")).unwrap();
    data.write_at(b"damaged", BLOCK + 7).unwrap();
    assert!(entry.read(ByteRange::new(BLOCK, BLOCK + 1)).is_none());
    assert_eq!((entry.holds(0), entry.holds(1), disk.used().corrupt), (true, false, 1));
    data.set_len(10).unwrap();
    assert!(entry.read(ByteRange::new(0, 100)).is_none() && entry.read_now(ByteRange::new(0, 100)).is_none());
    assert_eq!(check(&entry, 1, "v1"), 0);
}

#[test]
fn a_page_is_checked_before_its_first_use() {
    const PAGE: u64 = 4096;
    let dir = directory();
    store(&open(dir.path()), 1, 2 * BLOCK + 5, 0..3);
    let data = objects(dir.path())[0].join("data");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o600)).unwrap();
    let data = fs::OpenOptions::new().write(true).open(data).unwrap();
    data.write_at(b"damaged", BLOCK + 3 * PAGE).unwrap();
    let disk = open(dir.path());
    let entry = disk.find(&id(1)).unwrap();
    let page = |number: u64| ByteRange::new(BLOCK + number * PAGE, BLOCK + (number + 1) * PAGE);
    // Sound ones of the same block are read, and only those that were are trusted then.
    assert!(entry.read(page(2)).is_some() && entry.read(page(4)).is_some());
    assert!(entry.read_now(page(2)).is_some() && entry.read_now(page(3)).is_none());
    assert!(entry.read(ByteRange::new(2 * BLOCK + 4, 2 * BLOCK + 5)).is_some(), "the short one at the end");
    assert!(entry.read(ByteRange::new(BLOCK + 4 * PAGE - 1, BLOCK + 4 * PAGE)).is_none());
    assert_eq!((entry.holds(1), disk.used().corrupt), (false, 1));
}

#[test]
fn a_damaged_complete_object_goes_as_a_whole() {
    let dir = directory();
    store(&open(dir.path()), 1, 3 * BLOCK, 0..3);
    let data = objects(dir.path())[0].join("data");
    let mut bytes = fs::read(&data).unwrap();
    bytes[BLOCK as usize] ^= 1;
    fs::set_permissions(&data, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&data, bytes).unwrap();
    let disk = open(dir.path());
    let entry = disk.find(&id(1)).unwrap();
    assert!(!entry.verify() && !entry.holds(0) && objects(dir.path()).is_empty());
    put(&entry, 1, "v1", 0..3);
    assert!(disk.flush(LIMIT) && check(&entry, 1, "v1") == 3 && entry.complete_file().is_some());
}
