//! Chunks that are fetched ahead of a reader who goes through an array in even steps.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dcms_emulator::journal::Endpoint;
use serde_json::Value;

use super::harness::{Bench, Mount, Setup, assert_same, errno, read, until};

const ARRAY: &str = "d1-climate-dt/demo-climate-sfc-v0.zarr/t2m";

fn chunk(mount: &Mount, key: &str) -> PathBuf {
    mount.path.join("cache-b").join(ARRAY).join(key)
}

/// How often each chunk was asked for, in whatever way.
fn asked(bench: &Bench) -> BTreeMap<String, usize> {
    let mut asked = BTreeMap::new();
    for entry in bench.emulator.journal().snapshot().entries {
        if entry.endpoint == Endpoint::ZarrChunk {
            let key = entry.path.rsplit('/').next().unwrap().to_owned();
            *asked.entry(key).or_default() += 1;
        }
    }
    asked
}

fn keys(bench: &Bench) -> Vec<String> {
    asked(bench).into_keys().collect()
}

fn status(mount: &Mount) -> Value {
    let status = mount.status();
    status["services"].as_array().unwrap().iter().find(|one| one["name"] == "cache-b").unwrap().clone()
}

fn read_all(mount: &Mount, keys: &[&str]) {
    for key in keys {
        read(chunk(mount, key)).unwrap_or_else(|error| panic!("{key}: {error}"));
    }
}

/// 12.7: from the third chunk of a walk on the next ones are fetched, up to the end of the grid; each comes once, and has
/// the right bytes.
#[test]
fn mount_a_walk_along_time_is_fetched_ahead() {
    let bench = Bench::demo();
    let mount = bench.mount();
    read_all(&mount, &["0.1.0", "1.1.0"]);
    assert_eq!(keys(&bench), ["0.1.0", "1.1.0"]);
    read_all(&mount, &["2.1.0"]);
    until("the next one is asked for", || keys(&bench).len() == 4);
    assert_eq!(keys(&bench), ["0.1.0", "1.1.0", "2.1.0", "3.1.0"]);
    for time in 3..10 {
        let key = format!("{time}.1.0");
        let expected = bench.emulator.expect_bytes(&format!("{ARRAY}/{key}")).unwrap();
        assert_same(&read(chunk(&mount, &key)).unwrap(), &expected, &key);
    }
    mount.settles();
    let asked = asked(&bench);
    assert_eq!(asked.len(), 10, "{asked:?}");
    assert!(asked.values().all(|times| *times == 1), "{asked:?}");
    let status = status(&mount);
    assert_eq!((&status["guesses"], &status["guesses_read"]), (&7.into(), &7.into()));
}

/// 12.7: backwards, and in larger steps, by two readers who take turns.
#[test]
fn mount_walks_of_several_readers_are_fetched_ahead() {
    let bench = Bench::demo();
    let mount = bench.mount();
    read_all(&mount, &["9.1.0", "0.0.1", "8.1.0", "2.0.1", "7.1.0", "4.0.1"]);
    until("the next of both", || ["6.1.0", "6.0.1"].iter().all(|key| asked(&bench).contains_key(*key)));
    read_all(&mount, &["6.1.0", "6.0.1", "5.1.0", "8.0.1"]);
    mount.settles();
    let asked = asked(&bench);
    assert!(asked.values().all(|times| *times == 1), "{asked:?}");
    assert!(
        asked.keys().all(|key| key.ends_with(".1.0") || ["0", "2", "4", "6", "8"].contains(&&key[..1])),
        "{asked:?}"
    );
}

/// 12.8: what jumps about is not guessed at.
#[test]
fn mount_scattered_chunks_are_not_guessed_at() {
    let bench = Bench::demo();
    let mount = bench.mount();
    let scattered = ["0.0.0", "5.0.1", "6.1.0", "2.0.1", "9.1.0", "4.0.0"];
    read_all(&mount, &scattered);
    mount.settles();
    assert_eq!(asked(&bench).len(), scattered.len());
    assert_eq!(status(&mount)["guesses"], 0);
}

/// 12.8: a chunk that is absent is asked for once, also if that was a guess; one that the service fails to give then is
/// asked for again by its reader.
#[test]
fn mount_guesses_that_find_nothing() {
    let bench = Bench::demo();
    let mount = bench.mount();
    read_all(&mount, &["0.1.1", "1.1.1", "2.1.1"]);
    until("the guess at an absent chunk", || asked(&bench).contains_key("3.1.1"));
    mount.settles();
    assert_eq!(errno(read(chunk(&mount, "3.1.1"))), libc::ENOENT);
    assert_eq!(asked(&bench)["3.1.1"], 1);

    bench.fault(&format!("GET *{ARRAY}/3.0.0 nth=1 -> status code=500"));
    read_all(&mount, &["0.0.0", "1.0.0", "2.0.0"]);
    until("the guess that fails", || asked(&bench).contains_key("3.0.0"));
    read_all(&mount, &["3.0.0"]);
    assert_eq!(asked(&bench)["3.0.0"], 2);
}

/// 12.8: guesses have half of the slots; with a silent guess, everybody else goes on.
#[test]
fn mount_guesses_leave_slots_for_readers() {
    let bench = Setup { cache_b: "requests = 4".into(), ..Setup::default() }.bench();
    let mount = bench.mount();
    for guess in ["3.1.0", "3.0.1"] {
        bench.fault(&format!("GET *{ARRAY}/{guess} -> delay for=20s"));
    }
    read_all(&mount, &["0.1.0", "1.1.0", "2.1.0", "0.0.1", "1.0.1", "2.0.1"]);
    until("two guesses", || mount.transfers("cache-b") == 2);
    read_all(&mount, &["0.0.0", "5.1.1", "8.0.1", "9.1.0"]);
    assert_eq!(mount.transfers("cache-b"), 2);
    assert_eq!(asked(&bench).len(), 6 + 2 + 4);
}

/// 12.8, 15.1: nothing is fetched ahead where a limit is nearly used up, nor with a single slot, nor where it is
/// not wanted.
#[test]
fn mount_limits_end_the_guessing() {
    // The store's metadata, and eight chunks: the third is request 4 of 5.
    for lines in ["requests_per_day = 5", "requests = 1", "ahead = 0"] {
        let bench = Setup { cache_b: lines.into(), ..Setup::default() }.bench();
        let mount = bench.mount();
        read_all(&mount, &["0.0.0", "1.0.0", "2.0.0", "3.0.0"]);
        mount.settles();
        assert_eq!(asked(&bench).len(), 4, "{lines}");
        assert_eq!(status(&mount)["guesses"], 0, "{lines}");
    }
}
