//! Answers return, or are gone; no damage gives a wrong one and none is an error.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const MOST: u64 = 64 << 20;

fn key(number: u32) -> Key {
    Key::of("test", &[&number.to_string()])
}

fn answer(number: u32) -> Vec<u8> {
    format!("{{\"answer\":{number}}}").repeat(200).into_bytes()
}

fn then() -> Timestamp {
    "2024-09-24T10:10:31.024Z".parse().unwrap()
}

async fn filled(cache: &TempDir) -> Shelf {
    let shelf = Shelf::open(cache.path(), Room { most: MOST, min_free: 0 });
    shelf.put_all((0..50).map(|number| (key(number), answer(number))).collect(), then()).await;
    shelf
}

#[tokio::test]
async fn answers_outlive_the_process() {
    let cache = TempDir::new().unwrap();
    let shelf = filled(&cache).await;
    shelf.put(key(1), answer(100), then()).await;
    drop(shelf);
    let shelf = Shelf::open(cache.path(), Room { most: MOST, min_free: 0 });
    assert_eq!(shelf.get(key(0)).await, Some(Kept { bytes: answer(0), fetched: then() }));
    assert_eq!(shelf.get(key(1)).await.unwrap().bytes, answer(100));
    assert_eq!(shelf.get(key(99)).await, None);
    let both = shelf.get_all(vec![key(3), key(99)]).await;
    assert_eq!((both[0].as_ref().map(|kept| &kept.bytes), &both[1]), (Some(&answer(3)), &None));
    shelf.remove(key(0)).await;
    assert_eq!(shelf.get(key(0)).await, None);
    shelf.clear().await;
    assert_eq!(shelf.get(key(1)).await, None);
    for file in fs::read_dir(cache.path().join(DIRECTORY)).unwrap() {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }
}

#[tokio::test]
async fn several_share_it() {
    let cache = TempDir::new().unwrap();
    let shelves: Vec<Shelf> =
        (0..4).map(|_| Shelf::open(cache.path(), Room { most: MOST, min_free: 0 })).collect();
    let puts = shelves.iter().enumerate().flat_map(|(n, shelf)| {
        (0..20).map(move |m| shelf.put(key((n * 20 + m) as u32), answer((n * 20 + m) as u32), then()))
    });
    futures_util::future::join_all(puts).await;
    for number in 0..80 {
        assert_eq!(shelves[number as usize % 4].get(key(number)).await.unwrap().bytes, answer(number));
    }
}

#[tokio::test]
async fn what_was_not_used_for_longest_goes_first() {
    let cache = TempDir::new().unwrap();
    let shelf = Shelf::open(cache.path(), Room { most: 1 << 20, min_free: 0 });
    // What cannot be compressed takes its room.
    let noise = |number: u32| {
        let mut bytes = vec![0; 100_000];
        blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    };
    for number in 0..200 {
        shelf.put(key(number), noise(number), then()).await;
    }
    let file = cache.path().join(DIRECTORY).join("answers-1.sqlite");
    // Looked at every 64 puts: so many may be there beyond the bound.
    assert!(fs::metadata(file).unwrap().len() < (1 << 20) + 64 * 110_000);
    assert!(shelf.get(key(199)).await.is_some());
    assert!(shelf.get(key(0)).await.is_none());
}

#[tokio::test]
async fn it_cannot_be_opened() {
    let cache = TempDir::new().unwrap();
    fs::write(cache.path().join(DIRECTORY), "a file").unwrap();
    let shelf = Shelf::open(cache.path(), Room { most: MOST, min_free: 0 });
    shelf.put(key(1), answer(1), then()).await;
    assert_eq!(shelf.get(key(1)).await, None);
    assert_eq!(Shelf::default().get_all(vec![key(1)]).await, [None]);
}

#[tokio::test]
async fn a_file_of_something_else_is_thrown_away() {
    let cache = TempDir::new().unwrap();
    let directory = cache.path().join(DIRECTORY);
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("answers-1.sqlite"), "no database at all".repeat(1000)).unwrap();
    let shelf = filled(&cache).await;
    assert!(shelf.get(key(7)).await.is_some());
}

/// The file of a shelf that holds 50 answers.
async fn sound() -> Vec<u8> {
    let cache = TempDir::new().unwrap();
    drop(filled(&cache).await);
    fs::read(cache.path().join(DIRECTORY).join("answers-1.sqlite")).unwrap()
}

/// An answer of this file is right or missing, and what is put afterwards is there.
async fn bears(bytes: Vec<u8>) {
    let cache = TempDir::new().unwrap();
    fs::create_dir(cache.path().join(DIRECTORY)).unwrap();
    fs::write(cache.path().join(DIRECTORY).join("answers-1.sqlite"), bytes).unwrap();
    let shelf = Shelf::open(cache.path(), Room { most: MOST, min_free: 0 });
    for number in 0..50 {
        if let Some(kept) = shelf.get(key(number)).await {
            assert!((kept.bytes, kept.fetched) == (answer(number), then()), "a wrong answer for {number}");
        }
    }
    // A put that meets the damage is done again. Damage that only the answer's own page has is met by asking for it.
    let mut found = None;
    for _ in 0..2 {
        shelf.put_all((0..50).map(|number| (key(number), answer(number))).collect(), then()).await;
        found = found.or(shelf.get(key(9)).await);
    }
    assert!(found.is_some_and(|kept| kept.bytes == answer(9)), "nothing can be put any more");
}

/// The order of use was damaged where only the second put comes to it, which then throws all away, and puts it again.
#[tokio::test]
async fn a_put_that_meets_damage_loses_nothing() {
    let mut met = 0;
    let sound = sound().await;
    let page = 4096;
    for place in (page * 2..sound.len()).step_by(97) {
        let cache = TempDir::new().unwrap();
        fs::create_dir(cache.path().join(DIRECTORY)).unwrap();
        let mut bytes = sound.clone();
        bytes[place..(place + 8).min(sound.len())].fill(0xff);
        fs::write(cache.path().join(DIRECTORY).join("answers-1.sqlite"), bytes).unwrap();
        let shelf = Shelf::open(cache.path(), Room { most: MOST, min_free: 0 });
        let before = shelf.get(key(1)).await;
        shelf
            .put_all(
                (0..50).filter(|number| *number != 1).map(|number| (key(number), answer(number))).collect(),
                then(),
            )
            .await;
        met += usize::from(before.is_some() && shelf.get(key(1)).await.is_none());
        assert_eq!(shelf.get(key(9)).await.unwrap().bytes, answer(9), "byte {place}");
    }
    assert!(met > 0, "no put met any damage");
}

/// Among the first bytes is one that makes a database read-only.
#[tokio::test]
async fn each_byte_of_the_head_may_be_wrong() {
    let sound = sound().await;
    for place in 0..100 {
        let mut bytes = sound.clone();
        bytes[place] ^= 0x0b;
        bears(bytes).await;
    }
}

#[test]
fn damage_gives_no_wrong_answer() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let sound = runtime.block_on(sound());
    let config = ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40), cut in prop::option::of(any::<prop::sample::Index>()))| {
        let mut bytes = sound.clone();
        for (place, byte) in &places {
            let place = place.index(bytes.len());
            bytes[place] = *byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        runtime.block_on(bears(bytes));
    });
}

#[tokio::test]
async fn a_disk_with_too_little_room_gets_nothing_and_loses_what_is_outdated() {
    let cache = TempDir::new().unwrap();
    drop(filled(&cache).await);
    let shelf = Shelf::open(cache.path(), Room { most: MOST, min_free: u64::MAX });
    shelf.put(key(60), answer(60), then()).await;
    shelf.put(key(1), answer(100), then()).await;
    shelf.put_all(vec![(key(2), answer(100)), (key(61), answer(61))], then()).await;
    for missing in [60, 1, 2, 61] {
        assert_eq!(shelf.get(key(missing)).await, None, "{missing}");
    }
    assert_eq!(shelf.get(key(3)).await.unwrap().bytes, answer(3), "what was there is still true");
    drop(shelf);
    let shelf = Shelf::open(cache.path(), Room { most: MOST, min_free: 1 });
    shelf.put(key(60), answer(60), then()).await;
    assert_eq!(shelf.get(key(60)).await.unwrap().bytes, answer(60));
}
