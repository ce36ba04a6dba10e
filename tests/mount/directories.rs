//! Listings as programs walk them: frozen, with cookies that stay valid, in any order.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use dcms_emulator::journal::Endpoint;

use super::harness::{Bench, LIMIT, Mount, Setup, within};
use super::sys::directory::{self, Entry};
use super::sys::{Ticking, read_without_retry};

/// A directory of each kind.
fn kinds(mount: &Mount) -> Vec<PathBuf> {
    let below = [
        "",
        "cache-a",
        "cache-a/SENTINEL-2/by-date/2024",
        "cache-a/SENTINEL-2/by-date/2024/09/24",
        "cache-a/SENTINEL-2/by-date/2024/09/24/T32TQM",
        "cache-a/SENTINEL-3/by-date/2024/09/24",
        "cache-b",
        "cache-b/d1-climate-dt/demo-climate-sfc-v0.zarr",
        "cache-b/d1-climate-dt/demo-climate-sfc-v0.zarr/t2m",
    ];
    below.iter().map(|path| mount.path.join(path)).collect()
}

fn names(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.name.as_str()).collect()
}

/// 4.1: each name once, `.` and `..` first, types right; the same in small pieces and in large ones, after
/// `rewinddir`, and from each cookie on.
#[test]
fn mount_cookies_stay_valid() {
    let bench = Bench::demo();
    let mount = bench.mount();
    let kinds = kinds(&mount);
    within(LIMIT * 2, "walking", move || {
        for path in kinds {
            let shown = path.display().to_string();
            let handle = File::open(&path).unwrap();
            let whole = directory::rest(&handle, 64 * 1024).unwrap();
            assert_eq!(names(&whole)[..2], [".", ".."], "{shown}");
            let once: BTreeSet<&str> = names(&whole).into_iter().collect();
            assert_eq!(once.len(), whole.len(), "{shown}: a name twice");
            for entry in &whole {
                let kind = std::fs::symlink_metadata(path.join(&entry.name)).map(|data| data.is_dir());
                // Chunks that the host lacks are listed all the same.
                let Ok(is_directory) = kind else { continue };
                let expected = if is_directory { libc::DT_DIR } else { libc::DT_REG };
                assert_eq!(entry.kind, expected, "{shown}/{}", entry.name);
            }
            directory::seek(&handle, 0);
            assert_eq!(directory::rest(&handle, 300).unwrap(), whole, "{shown}: in pieces");
            for (position, entry) in whole.iter().enumerate() {
                directory::seek(&handle, entry.next);
                assert_eq!(
                    directory::rest(&handle, 4096).unwrap(),
                    whole[position + 1..],
                    "{shown}: from a cookie"
                );
            }
            let other = File::open(&path).unwrap();
            let mut found = directory::entries(&other, 300).unwrap();
            directory::seek(&handle, whole[0].next);
            found.extend(directory::rest(&other, 300).unwrap());
            assert_eq!(found, whole, "{shown}: two handles");
        }
    });
}

/// 4.1: a program that reads the first piece twice, as PHP does, sees it twice.
#[test]
fn mount_the_first_piece_can_be_read_twice() {
    let bench = Bench::demo();
    let mount = bench.mount();
    let path = mount.path.join("cache-a/SENTINEL-2/by-date/2024");
    within(LIMIT, "walking", move || {
        let handle = File::open(path).unwrap();
        let first = directory::entries(&handle, 200).unwrap();
        directory::seek(&handle, 0);
        assert_eq!(directory::entries(&handle, 200).unwrap(), first);
    });
}

/// 4.1: an open directory shows what it showed at first, whatever happens at the service.
#[test]
fn mount_a_listing_is_frozen_at_opendir() {
    let bench = Bench::demo();
    let mount = bench.mount();
    let path = mount.path.join("cache-a/SENTINEL-2/by-date/2024/09/24");
    let handle = File::open(&path).unwrap();
    let (handle, before) = within(LIMIT, "listing", move || {
        let before = directory::entries(&handle, 64).unwrap();
        (handle, before)
    });
    bench.emulator.change(|behaviour| behaviour.items.gone = Some("T32TQM".into()));
    bench.fault("/stac/api/* -> status code=500");
    let found = within(LIMIT, "listing", move || {
        directory::seek(&handle, 0);
        directory::rest(&handle, 64).unwrap()
    });
    assert_eq!(found[..before.len()], before);
    assert_eq!(names(&found), [".", "..", "T32TPS", "T32TQM"]);
}

/// 8.2: a long listing under a timer, by plain calls: no `EINTR`, nothing missing.
#[test]
fn mount_a_listing_survives_a_timer() {
    let bench = Setup::synthetic(1000).bench();
    let mount = bench.mount();
    bench.fault("/cacheb/*.zmetadata -> delay for=400ms");
    let path = mount.path.join("cache-b").join(HUGE);
    let timer = Ticking::every(Duration::from_millis(10));
    let found = directory::list(&path, 32 * 1024).unwrap();
    let document = read_without_retry(&path.join(".zarray")).unwrap();
    assert!(timer.ticks() > 10);
    drop(timer);
    assert!(found.len() > 400_000 && !document.is_empty(), "{} names", found.len());
}

/// The array of the huge store.
const HUGE: &str = "d1-climate-dt/ScenarioMIP-SSP3-7.0-IFS-NEMO-0001-high-sfc-v0.zarr/t2m";

/// 6.2: half a million chunks are listed without asking for one, in bounded memory, with numbers that do not change.
#[test]
fn mount_half_a_million_chunks_are_listed() {
    let bench = Setup::synthetic(1000).bench();
    let mount = bench.mount();
    let path = mount.path.join("cache-b").join(HUGE);
    let resident = |mount: &Mount| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", mount.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    };
    let before = resident(&mount);
    let list =
        |path: PathBuf| within(LIMIT, "half a million", move || directory::list(&path, 1 << 20).unwrap());
    let found = list(path.clone());
    let chunks = found.iter().filter(|entry| !entry.name.starts_with('.')).count();
    assert_eq!(chunks, 496_808);
    assert_eq!(list(path.clone()), found);
    assert_eq!(bench.emulator.journal().requests(Endpoint::ZarrChunk), 0);
    let grown = resident(&mount).saturating_sub(before);
    assert!(grown < 16 << 20, "{} MiB more", grown >> 20);
    // By cookies, anywhere.
    let handle = File::open(&path).unwrap();
    let expected = found.clone();
    within(LIMIT, "jumps", move || {
        for position in [496_000, 3, 250_000, 496_809, 0, 123_456] {
            directory::seek(&handle, expected[position].next);
            let rest = directory::entries(&handle, 4096).unwrap();
            assert_eq!(rest, expected[position + 1..][..rest.len()], "from {position}");
            assert_eq!(rest.is_empty(), position + 1 == expected.len(), "from {position}");
        }
    });
    // Numbers are those of `stat`.
    for entry in found.iter().filter(|entry| entry.kind == libc::DT_REG).step_by(100_000) {
        let file = path.join(&entry.name);
        let data = within(LIMIT, "stat", move || std::fs::metadata(file));
        if let Ok(data) = data {
            assert_eq!(std::os::unix::fs::MetadataExt::ino(&data), entry.inode, "{}", entry.name);
        }
    }
}
