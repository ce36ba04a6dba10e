//! Zarr stores as files: metadata byte for byte, chunks by arithmetic, one request each.

use std::fs;
use std::path::{Path, PathBuf};

use dcms_emulator::accounts;
use dcms_emulator::journal::Endpoint;

use super::harness::{Bench, LIMIT, Mount, Setup, assert_same, errno, names, read, within};

const CLIMATE: &str = "d1-climate-dt/demo-climate-sfc-v0.zarr";

fn stat(path: impl Into<PathBuf>) -> std::io::Result<fs::Metadata> {
    let path = path.into();
    within(LIMIT, "stat", move || fs::metadata(path))
}

/// All files below a directory; those that are listed and absent (6.2) are left out.
pub(super) fn files(root: &Path) -> Vec<PathBuf> {
    let root = root.to_owned();
    within(LIMIT * 2, "walking a store", move || {
        let (mut found, mut open) = (Vec::new(), vec![root]);
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                match entry.file_type().unwrap().is_dir() {
                    true => open.push(entry.path()),
                    false => found.push(entry.path()),
                }
            }
        }
        found
    })
}

/// 6.1, 6.2: all files of all stores (v2 and v3, consolidated or not, nested, sharded) have the server's bytes and
/// sizes; what the server has not is not there.
#[test]
fn mount_zarr_metadata_is_byte_exact() {
    let bench = Bench::demo();
    let mount = bench.mount();
    let root = mount.path.join("cache-b");
    let (mut there, mut absent) = (0, 0);
    for store in bench.emulator.stores() {
        for file in files(&root.join(&store)) {
            let key = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            match bench.emulator.expect_bytes(&key) {
                Some(expected) => {
                    assert_eq!(stat(&file).unwrap().len(), expected.len() as u64, "{key}");
                    assert_same(&read(&file).unwrap(), &expected, &key);
                    there += 1;
                }
                None => {
                    assert_eq!(errno(stat(&file)), libc::ENOENT, "{key}");
                    absent += 1;
                }
            }
        }
    }
    assert!(there > 100 && absent > 0, "{there} files, {absent} absent");
    mount.settles();
    mount.end();
}

/// 6.1: the nested store, which has nothing consolidated, shows by name what it cannot list.
#[test]
fn mount_a_store_without_consolidated_metadata() {
    let bench = Bench::demo();
    let mount = bench.mount();
    let store = "era5/demo-nested-v0.zarr";
    for key in [
        ".zgroup",
        ".zattrs",
        "pressure/.zgroup",
        "pressure/t/.zarray",
        "pressure/t/0/0/0/0",
        "pressure/t/1/4/1/1",
    ] {
        let key = format!("{store}/{key}");
        let expected = bench.emulator.expect_bytes(&key).unwrap_or_else(|| panic!("{key}"));
        assert_same(&read(mount.path.join("cache-b").join(&key)).unwrap(), &expected, &key);
    }
    let levels = names(mount.path.join("cache-b").join(store).join("pressure/t")).unwrap();
    assert!(levels.contains(&"0".to_owned()) && levels.contains(&"1".to_owned()), "{levels:?}");
    for missing in ["nothing", "pressure/nothing", "pressure/t/2", "pressure/t/0/5", ".zmetadata"] {
        assert_eq!(
            errno(stat(mount.path.join("cache-b").join(store).join(missing))),
            libc::ENOENT,
            "{missing}"
        );
    }
}

fn climate(mount: &Mount) -> PathBuf {
    mount.path.join("cache-b").join(CLIMATE)
}

/// The requests for chunks, by method.
fn chunk_requests(bench: &Bench) -> Vec<String> {
    let entries = bench.emulator.journal().snapshot().entries;
    entries.into_iter().filter(|e| e.endpoint == Endpoint::ZarrChunk).map(|entry| entry.method).collect()
}

/// 1.8: a chunk is one GET, its lookup included, whoever asks and however often, and whether or not the host tells
/// lengths and gives parts.
#[test]
fn mount_a_chunk_is_one_request() {
    for (range, length) in [(true, true), (false, true), (true, false), (false, false)] {
        let bench = Bench::demo();
        bench.emulator.change(|behaviour| {
            behaviour.cache_b.range = range;
            behaviour.cache_b.content_length = length;
        });
        let mount = bench.mount();
        let chunk = climate(&mount).join("t2m/0.0.0");
        stat(climate(&mount).join("t2m")).unwrap();
        bench.emulator.journal().reset();
        let expected = bench.emulator.expect_bytes(&format!("{CLIMATE}/t2m/0.0.0")).unwrap();
        let readers: Vec<_> = (0..8)
            .map(|_| {
                let chunk = chunk.clone();
                std::thread::spawn(move || (fs::metadata(&chunk).unwrap().len(), fs::read(chunk).unwrap()))
            })
            .collect();
        within(LIMIT, "eight readers", move || {
            for reader in readers {
                let (size, found) = reader.join().unwrap();
                assert_eq!(size, expected.len() as u64);
                assert_same(&found, &expected, "a chunk");
            }
        });
        assert_eq!(chunk_requests(&bench), ["GET"], "range: {range}, length: {length}");
        mount.settles();
    }
}

/// 6.2: an absent chunk is asked for once.
#[test]
fn mount_an_absent_chunk_does_not_exist() {
    let bench = Bench::demo();
    let mount = bench.mount();
    let chunk = climate(&mount).join("t2m/3.1.1");
    stat(climate(&mount).join("t2m")).unwrap();
    bench.emulator.journal().reset();
    for _ in 0..3 {
        assert_eq!(errno(stat(&chunk)), libc::ENOENT);
        assert_eq!(errno(read(&chunk)), libc::ENOENT);
    }
    assert_eq!(chunk_requests(&bench), ["GET"]);
    // It disturbs neither the listing nor its neighbours.
    assert_eq!(names(climate(&mount).join("t2m")).unwrap().len(), 40 + 2);
    assert!(read(climate(&mount).join("t2m/3.1.0")).is_ok());
}

/// 4.2: names outside of the grid, and names that are no chunk's, cost no request.
#[test]
fn mount_names_outside_the_grid_cost_nothing() {
    let bench = Bench::demo();
    let mount = bench.mount();
    let array = climate(&mount).join("t2m");
    stat(&array).unwrap();
    bench.emulator.journal().reset();
    for name in [
        "10.0.0",
        "0.2.0",
        "0.0.2",
        "0.0",
        "0.0.0.0",
        "00.0.0",
        "-1.0.0",
        "+0.0.0",
        "0",
        "x",
        "0.0.0 ",
        "18446744073709551616.0.0",
        ".trash",
        "zarr.jso",
        "0/0/0",
    ] {
        let error = errno(stat(array.join(name)));
        assert!(error == libc::ENOENT, "{name}: {error}");
    }
    assert!(bench.emulator.journal().snapshot().entries.is_empty());
}

/// 4.3, 6.4: stores that are not configured open by name; a plain name that is no store is an empty directory;
/// everything else does not exist.
#[test]
fn mount_a_collection_is_taken_on_trust() {
    let bench = Bench::demo();
    let config = fs::read_to_string(bench.config()).unwrap();
    let line = config.lines().find(|line| line.starts_with("stores")).unwrap();
    fs::write(bench.config(), config.replace(line, "stores = []")).unwrap();
    let mount = bench.mount();
    let root = mount.path.join("cache-b");
    assert!(names(&root).unwrap().is_empty());
    assert!(read(climate(&mount).join(".zmetadata")).is_ok());
    assert!(names(root.join("some-collection")).unwrap().is_empty());
    for missing in
        [".Trash-0", "x.aux.xml", "autorun.inf", "nothing.zarr", "era5/nothing.zarr", "desktop.ini"]
    {
        assert_eq!(errno(stat(root.join(missing))), libc::ENOENT, "{missing}");
    }
}

/// 8.5: what the account may not: used-up volume, no right, wrong password; each its own number, for metadata and for
/// chunks, at once.
#[test]
fn mount_the_account_of_cache_b() {
    type Quirk = fn(&mut dcms_emulator::Behaviour);
    let cases: [(Quirk, i32); 2] = [
        (|behaviour| behaviour.cache_b.request_quota = Some(0), libc::EDQUOT),
        (|behaviour| behaviour.cache_b.forbidden = true, libc::EACCES),
    ];
    for (quirk, expected) in cases {
        // Each at a new mount: a volume that is used up is asked for nothing more.
        for (what, file) in [("metadata", ".zmetadata"), ("a chunk", "t2m/1.0.0")] {
            let bench = Bench::demo();
            let mount = bench.mount();
            if what == "a chunk" {
                stat(climate(&mount).join("t2m")).unwrap();
            }
            let begun = std::time::Instant::now();
            bench.emulator.change(quirk);
            // A stat first would be told from the store's own lookup.
            assert_eq!(errno(read(climate(&mount).join(file))), expected, "{what}");
            assert!(begun.elapsed().as_secs() < 3, "{:?}", begun.elapsed());
            mount.settles();
        }
    }
}

/// 8.3, 8.5: a quota that says when it frees again is believed: until then nothing is asked.
#[test]
fn mount_a_quota_with_a_date_is_believed() {
    let bench = Bench::demo();
    let mount = bench.mount();
    bench.emulator.change(|behaviour| {
        behaviour.cache_b.request_quota = Some(0);
        behaviour.cache_b.retry_after = Some("86400".into());
    });
    assert_eq!(errno(read(climate(&mount).join(".zmetadata"))), libc::EDQUOT);
    bench.emulator.journal().reset();
    assert_eq!(errno(stat(climate(&mount).join("u10"))), libc::EDQUOT);
    assert_eq!(errno(stat(mount.path.join("cache-b/era5/demo-nested-v0.zarr"))), libc::EDQUOT);
    assert!(bench.emulator.journal().snapshot().entries.is_empty());
    // The other cache has nothing to do with it.
    assert!(read(&bench.sample(&mount, "manifest.safe").path).is_ok());
}

/// 8.5: an account without the upgraded access may not; a login that is refused says so, and what to do.
#[test]
fn mount_logins_that_do_not_open_cache_b() {
    let bench = Setup::default().logged_out();
    assert!(bench.login(accounts::UNENTITLED_USER, accounts::PASSWORD).status.success());
    let mount = bench.mount();
    assert_eq!(errno(read(climate(&mount).join(".zmetadata"))), libc::EACCES);
    assert!(mount.log().contains("access-policy-upgrade"), "the log names the way out");
    drop(mount);

    let bench = Bench::demo();
    let mount = bench.mount();
    bench.emulator.revoke_tokens();
    let error = errno(read(climate(&mount).join(".zmetadata")));
    assert!([libc::EKEYEXPIRED, libc::EKEYREJECTED].contains(&error), "{error}");
    assert!(mount.log().contains("dcmsfs login"), "the log names the way out");

    let bench = Setup::default().logged_out();
    let mount = bench.mount();
    let error = errno(read(climate(&mount).join(".zmetadata")));
    assert!([libc::EKEYEXPIRED, libc::EKEYREJECTED].contains(&error), "without a login: {error}");
    assert!(mount.log().contains("dcmsfs login"), "the log names the way out");
    let product = mount.path.join("cache-a/SENTINEL-2/by-date/2024/09/24");
    assert_eq!(names(product).unwrap(), ["T32TPS", "T32TQM"]);
    let sample = bench.sample(&mount, "_B02_10m.jp2");
    assert_eq!(errno(read(&sample.path)), libc::EKEYEXPIRED);
}

/// A host that answers 403 for what is not there.
#[test]
fn mount_absent_may_be_forbidden() {
    let bench = Bench::demo();
    bench.emulator.change(|behaviour| behaviour.cache_b.absent = 403);
    let mount = bench.mount();
    for store in bench.emulator.stores() {
        let path = mount.path.join("cache-b").join(&store);
        assert!(stat(&path).is_ok(), "{store}");
        assert!(!names(&path).unwrap().is_empty(), "{store}");
    }
}
