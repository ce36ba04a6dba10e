//! Zarr stores of every layout; what they cost; what happens when they grow, vanish or are wrong.

use std::fs;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use dcms_emulator::journal::Endpoint;
use serde_json::{Value, json};

use super::harness::{Bench, LIMIT, Mount, Setup, assert_same, errno, names, read, until, within};
use super::sys::attribute;

/// Where the tests write.
const STORE: &str = "tests/written-v0.zarr";

/// A bench whose mounts look every second whether metadata has changed.
fn curious() -> Bench {
    Setup { cache_b: "metadata_ttl = \"1s\"".into(), ..Setup::default() }.bench()
}

fn at(mount: &Mount, key: &str) -> PathBuf {
    mount.path.join("cache-b").join(STORE).join(key)
}

fn put(bench: &Bench, key: &str, bytes: impl Into<Vec<u8>>) {
    bench.emulator.put(&format!("{STORE}/{key}"), Some(bytes.into()));
}

/// An array that is not compressed.
fn array(shape: &[u64], chunks: &[u64], dtype: Value) -> Value {
    json!({ "zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": dtype, "order": "C",
            "fill_value": null, "filters": null, "compressor": null })
}

/// Writes a store of version 2: what its keys hold, and all of it in one document.
fn consolidate(bench: &Bench, documents: &Value) {
    for (key, document) in documents.as_object().unwrap() {
        put(bench, key, document.to_string());
    }
    put(bench, ".zmetadata", json!({ "zarr_consolidated_format": 1, "metadata": documents }).to_string());
}

/// Requests for objects of stores, as method, last part of the path, status.
fn requests(bench: &Bench) -> Vec<String> {
    let entries = bench.emulator.journal().snapshot().entries;
    let zarr = |e: &&dcms_emulator::journal::Entry| {
        matches!(e.endpoint, Endpoint::ZarrChunk | Endpoint::ZarrMetadata)
    };
    let line = |entry: &dcms_emulator::journal::Entry| {
        let name = entry.path.rsplit('/').next().unwrap_or_default();
        format!("{} {name} {}", entry.method, entry.status.unwrap_or(0))
    };
    entries.iter().filter(zarr).map(line).collect()
}

/// 6.5: opening a store with consolidated metadata is one request, whatever of its metadata is read, and none the
/// second time, by any mount of the user.
#[test]
fn mount_a_store_is_opened_by_one_request() {
    let bench = Bench::demo();
    let store = "d1-climate-dt/demo-climate-sfc-v0.zarr";
    let open = |mount: &Mount| {
        let root = mount.path.join("cache-b").join(store);
        assert!(names(&root).unwrap().contains(&"t2m".to_owned()));
        for name in [".zmetadata", ".zgroup", ".zattrs", "t2m/.zarray", "t2m/.zattrs", "time/.zarray"] {
            let expected = bench.emulator.expect_bytes(&format!("{store}/{name}")).unwrap();
            assert_same(&read(root.join(name)).unwrap(), &expected, name);
        }
        assert_eq!(errno(read(root.join("zarr.json"))), libc::ENOENT);
        assert_eq!(errno(read(root.join("nothing/.zarray"))), libc::ENOENT);
    };
    let mount = bench.mount();
    open(&mount);
    open(&mount);
    assert_eq!(requests(&bench), ["GET .zmetadata 200"]);
    mount.end();
    let mount = bench.mount();
    open(&mount);
    assert_eq!(requests(&bench), ["GET .zmetadata 200"], "after a remount");
}

/// 6.5: which document to ask for first is told by what is published, else by the last store of the collection, else of
/// the host, over a remount too.
#[test]
fn mount_the_next_store_is_like_the_last() {
    let bench = Bench::demo();
    let mut mount = bench.mount();
    let version_3 = r#"{"zarr_format":3,"node_type":"group","attributes":{}}"#;
    let open = |mount: &Mount, store: &str, expected: &[&str]| {
        bench.emulator.put(&format!("{store}/zarr.json"), Some(version_3.into()));
        bench.emulator.journal().reset();
        assert_same(
            &read(mount.path.join("cache-b").join(store).join("zarr.json")).unwrap(),
            version_3.as_bytes(),
            store,
        );
        assert_eq!(requests(&bench), expected, "{store}");
    };
    open(&mount, "climate-dt-2/first-v0.zarr", &["GET zarr.json 200"]);
    open(&mount, "new/first-v0.zarr", &["GET zarr.json 200"]);
    // A collection that is known to be another kind, and where that has changed.
    open(&mount, "d1-climate-dt/first-v0.zarr", &["GET .zmetadata 404", "GET zarr.json 200"]);
    open(&mount, "d1-climate-dt/second-v0.zarr", &["GET zarr.json 200"]);
    mount.end();
    mount = bench.mount();
    open(&mount, "d1-climate-dt/third-v0.zarr", &["GET zarr.json 200"]);
    open(&mount, "newer/first-v0.zarr", &["GET zarr.json 200"]);
}

/// 6.5: a store without consolidated metadata does not hide that of the store beside it.
#[test]
fn mount_a_consolidated_store_beside_one_that_is_not() {
    let bench = Bench::demo();
    bench.emulator.put("tests/plain-v0.zarr/.zgroup", Some(r#"{"zarr_format":2}"#.into()));
    consolidate(
        &bench,
        &json!({ ".zgroup": {"zarr_format": 2}, "x/.zarray": array(&[4], &[2], json!("<i4")) }),
    );
    let mount = bench.mount();
    assert_eq!(names(mount.path.join("cache-b/tests/plain-v0.zarr")).unwrap(), [".zgroup"]);
    bench.emulator.journal().reset();
    assert_eq!(names(mount.path.join("cache-b").join(STORE)).unwrap(), [".zgroup", ".zmetadata", "x"]);
    assert_eq!(requests(&bench), ["GET .zmetadata 200"]);
}

/// 6.6: what is read is fetched once, chunk by chunk; nothing is asked for again, after a remount neither.
#[test]
fn mount_a_mean_is_a_request_for_each_chunk() {
    let bench = Bench::demo();
    let store = "d1-climate-dt/demo-climate-sfc-v0.zarr";
    let mut mount = bench.mount();
    for (run, expected) in [("cold", 40), ("warm", 0), ("remounted", 0)] {
        if run == "remounted" {
            mount.end();
            mount = bench.mount();
        }
        bench.emulator.journal().reset();
        let array = mount.path.join("cache-b").join(store).join("t2m");
        let absent = within(LIMIT, "all chunks", move || {
            let all =
                (0..10).flat_map(|t| (0..2).flat_map(move |y| (0..2).map(move |x| format!("{t}.{y}.{x}"))));
            all.filter(|name| fs::read(array.join(name)).is_err()).count()
        });
        assert_eq!(absent, 3, "{run}");
        let chunks: Vec<_> = requests(&bench).into_iter().filter(|line| !line.contains(".z")).collect();
        assert_eq!(chunks.len(), expected, "{run}: {chunks:?}");
        assert!(chunks.iter().all(|line| line.starts_with("GET")), "{run}: {chunks:?}");
        mount.settles();
    }
}

/// 6.2: absent chunks are asked for again when the metadata has changed.
#[test]
fn mount_absent_chunks_are_asked_for_again_when_the_metadata_changes() {
    let bench = curious();
    let write = |title: &str| {
        let shape = array(&[4], &[2], json!("<i4"));
        consolidate(
            &bench,
            &json!({ ".zgroup": {"zarr_format": 2}, ".zattrs": {"title": title}, "x/.zarray": shape }),
        );
    };
    write("one");
    put(&bench, "x/0", [0; 8]);
    let mount = bench.mount();
    assert_eq!(errno(read(at(&mount, "x/1"))), libc::ENOENT);
    mount.end();
    let mount = bench.mount();
    bench.emulator.journal().reset();
    assert_eq!(errno(read(at(&mount, "x/1"))), libc::ENOENT);
    assert!(!requests(&bench).iter().any(|line| line.starts_with("GET 1 ")), "{:?}", requests(&bench));
    put(&bench, "x/1", [1; 8]);
    write("two");
    until("the chunk is there", || read(at(&mount, "x/1")).is_ok_and(|bytes| bytes == [1; 8]));
}

/// 6.7: a store that grows shows its new chunks; the chunk at its former end, which was written again, is fetched
/// again; what is open keeps its version.
#[test]
fn mount_a_store_grows() {
    let bench = curious();
    let write = |length: u64| {
        let shape = array(&[length], &[2], json!("<i4"));
        consolidate(
            &bench,
            &json!({ ".zgroup": {"zarr_format": 2}, "x/.zarray": shape, "n/.zarray":
            { "zarr_format": 2, "shape": [length, 1], "chunks": [2, 1], "dtype": "<i4", "order": "C",
              "dimension_separator": "/", "fill_value": null, "filters": null, "compressor": null } }),
        );
    };
    write(3);
    put(&bench, "x/0", [0; 8]);
    put(&bench, "x/1", [1; 8]);
    bench.emulator.change(|behaviour| behaviour.cache_b.etag = true);
    let mount = bench.mount();
    let expected = |names: &[&str]| -> Vec<String> {
        [".zarray"].iter().chain(names).map(|name| (*name).to_owned()).collect()
    };
    assert_eq!(names(at(&mount, "x")).unwrap(), expected(&["0", "1"]));
    assert_eq!(names(at(&mount, "n")).unwrap(), expected(&["0", "1"]));
    assert_eq!(errno(read(at(&mount, "x/2"))), libc::ENOENT);
    assert_eq!(errno(read(at(&mount, "n/2/0"))), libc::ENOENT);
    assert_eq!(read(at(&mount, "x/0")).unwrap(), [0; 8]);
    let path = at(&mount, "x/1");
    let (open, before) = within(LIMIT, "reading", move || {
        let mut open = fs::File::open(path).unwrap();
        let mut bytes = Vec::new();
        open.read_to_end(&mut bytes).unwrap();
        (open, bytes)
    });
    assert_eq!(before, [1; 8]);
    // Unchanged metadata comes without bytes.
    until("it is asked whether the metadata holds", || {
        let _ = read(at(&mount, "x/0"));
        requests(&bench).contains(&"GET .zmetadata 304".to_owned())
    });
    put(&bench, "x/1", [2; 8]);
    put(&bench, "x/2", [3; 8]);
    put(&bench, "n/2/0", [4; 8]);
    write(5);
    until("new chunks", || names(at(&mount, "x")).unwrap() == expected(&["0", "1", "2"]));
    until("new levels", || names(at(&mount, "n")).unwrap() == expected(&["0", "1", "2"]));
    until("a new chunk opens", || read(at(&mount, "x/2")).is_ok_and(|bytes| bytes == [3; 8]));
    until("a new level opens", || read(at(&mount, "n/2/0")).is_ok_and(|bytes| bytes == [4; 8]));
    until("the last chunk is a new one", || read(at(&mount, "x/1")).unwrap() == [2; 8]);
    let mut again = [0; 8];
    let again = within(LIMIT, "the open file", move || open.read_exact_at(&mut again, 0).map(|()| again));
    assert!(
        again.as_ref().is_ok_and(|bytes| *bytes == [1; 8]) || errno(again) == libc::ESTALE,
        "never mixed"
    );
    // What lies inside of the array for good is not fetched again.
    bench.emulator.journal().reset();
    assert_eq!(read(at(&mount, "x/0")).unwrap(), [0; 8]);
    assert!(!requests(&bench).iter().any(|line| line.starts_with("GET 0 ")));
    assert_eq!(attribute(&at(&mount, "x"), "user.zarr.shape").unwrap(), b"[5]");
}

/// 6.8: a store that is gone says so. "No such file" would read as an array full of nothing.
#[test]
fn mount_a_store_vanishes() {
    let bench = curious();
    consolidate(
        &bench,
        &json!({ ".zgroup": {"zarr_format": 2}, "x/.zarray": array(&[4], &[2], json!("<i4")) }),
    );
    put(&bench, "x/0", [0; 8]);
    let mount = bench.mount();
    assert_eq!(read(at(&mount, "x/0")).unwrap(), [0; 8]);
    bench.emulator.remove_store(STORE, true);
    until("it is noticed", || errno(read(at(&mount, "x/1"))) == libc::ESTALE);
    let errors = fs::read_to_string(mount.path.join(".dcmsfs/errors")).unwrap();
    assert!(errors.contains(STORE) && errors.contains("is gone from"), "{errors}");
    assert_eq!(errno(names(mount.path.join("cache-b").join(STORE))), libc::ESTALE);
    bench.emulator.remove_store(STORE, false);
    until("it is back", || read(at(&mount, "x/0")).is_ok_and(|bytes| bytes == [0; 8]));
    // Nothing of it was ever there for this one.
    assert_eq!(errno(names(mount.path.join("cache-b/tests/never-v0.zarr"))), libc::ENOENT);
}

/// 6.8: a store that has moved on its host is read at the new place, and the log names it; one that has moved to a host
/// that nobody configured is an error that names the new address and what to do.
#[test]
fn mount_a_store_that_has_moved_says_so() {
    const PLACE: &str = "tests/moved-v0.zarr";
    let bench = curious();
    consolidate(
        &bench,
        &json!({ ".zgroup": {"zarr_format": 2}, "x/.zarray": array(&[6], &[2], json!("<i4")) }),
    );
    put(&bench, "x/0", [0; 8]);
    let mount = bench.mount();
    assert_eq!(read(at(&mount, "x/0")).unwrap(), [0; 8]);
    let metadata = bench.emulator.expect_bytes(&format!("{STORE}/.zmetadata")).unwrap();
    bench.emulator.put(&format!("{PLACE}/.zmetadata"), Some(metadata));
    bench.emulator.put(&format!("{PLACE}/x/1"), Some([1; 8].into()));
    for (key, code) in [(".zmetadata", 308), ("x/1", 301)] {
        bench.fault(&format!("/cacheb/{STORE}/{key} -> redirect to=/cacheb/{PLACE}/{key} code={code}"));
    }
    let told = format!("{STORE}/ has moved to {}{PLACE}/", bench.emulator.cache_b_url());
    until("the new place is told", || {
        let _ = read(at(&mount, "x/0"));
        mount.log().contains(&told)
    });
    assert_eq!(read(at(&mount, "x/1")).unwrap(), [1; 8]);
    mount.settles();
    assert_eq!(mount.log().matches(&told).count(), 1);

    bench.emulator.faults().clear();
    bench.fault("/cacheb/tests/* -> redirect to=foreign code=301");
    for path in [at(&mount, "x/2"), mount.path.join("cache-b/tests/other-v0.zarr")] {
        let path = path.to_str().unwrap().to_owned();
        assert_eq!(errno(read(&path)), libc::EPROTO, "{path}");
        let errors = fs::read_to_string(mount.path.join(".dcmsfs/errors")).unwrap();
        let place = path.split_once("cache-b/").unwrap().1;
        let line = errors.lines().last().unwrap();
        let told = format!("has moved to {}/cacheb/{place}", bench.emulator.foreign_url());
        assert!(line.contains(&told) && line.contains("in the configuration"), "{errors}");
    }
    assert!(bench.emulator.journal().snapshot().entries.iter().all(|entry| !entry.leak));
}

/// 6.7: when the host cannot be asked, what was known of a store goes on being true.
#[test]
fn mount_a_known_store_outlives_its_host() {
    let bench = curious();
    consolidate(
        &bench,
        &json!({ ".zgroup": {"zarr_format": 2}, "x/.zarray": array(&[4], &[2], json!("<i4")) }),
    );
    put(&bench, "x/0", [7; 8]);
    let mount = bench.mount();
    assert_eq!(read(at(&mount, "x/0")).unwrap(), [7; 8]);
    mount.settles();
    mount.end();
    bench.fault("/cacheb/* -> status code=401");
    let mount = bench.mount();
    assert_eq!(read(at(&mount, "x/0")).unwrap(), [7; 8]);
    assert_eq!(names(at(&mount, "x")).unwrap(), [".zarray", "0", "1"]);
    assert!([libc::EKEYREJECTED, libc::EKEYEXPIRED].contains(&errno(read(at(&mount, "x/1")))));
}

/// What `ls -l` does, in one thread: names and sizes, absent ones left out.
fn long_listing(directory: &Path) -> Vec<(String, u64)> {
    let directory = directory.to_owned();
    within(LIMIT, "ls -l", move || {
        let names: Vec<_> =
            fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let sized = names.iter().filter_map(|name| {
            let size = fs::symlink_metadata(directory.join(name)).ok()?.len();
            Some((name.to_str().unwrap().to_owned(), size))
        });
        sized.filter(|(name, _)| !name.starts_with('.')).collect()
    })
}

/// 6.9: a long listing asks for lengths and downloads nothing; reading afterwards is one request a chunk.
#[test]
fn mount_a_long_listing_downloads_nothing() {
    let bench = Bench::demo();
    let mount = bench.mount();
    let store = "d1-climate-dt/demo-climate-sfc-v0.zarr/t2m";
    let array = mount.path.join("cache-b").join(store);
    let found = long_listing(&array);
    assert_eq!(found.len(), 37, "40 less the absent ones");
    for (name, size) in &found {
        assert_eq!(Some(*size), bench.emulator.expect_size(&format!("{store}/{name}")), "{name}");
    }
    let asked = requests(&bench);
    assert!(!asked.iter().any(|line| line.starts_with("GET") && !line.contains(".z")), "{asked:?}");
    assert_eq!(asked.iter().filter(|line| line.starts_with("HEAD")).count(), 40, "{asked:?}");
    bench.emulator.journal().reset();
    assert_eq!(long_listing(&array), found);
    assert!(requests(&bench).is_empty(), "{:?}", requests(&bench));
    for (name, _) in &found {
        let expected = bench.emulator.expect_bytes(&format!("{store}/{name}")).unwrap();
        assert_same(&read(array.join(name)).unwrap(), &expected, name);
    }
    assert_eq!(requests(&bench).len(), found.len());
    // Copying by stat and open: after the first file no length is asked for.
    bench.emulator.journal().reset();
    let array = array.with_file_name("u10");
    within(LIMIT, "cp -r", move || {
        let names: Vec<_> = fs::read_dir(&array).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        for name in names {
            if fs::symlink_metadata(array.join(&name)).is_ok() {
                assert!(fs::read(array.join(&name)).is_ok_and(|bytes| !bytes.is_empty()));
            }
        }
    });
    let heads = requests(&bench).iter().filter(|line| line.starts_with("HEAD")).count();
    assert!(heads <= 1, "{:?}", requests(&bench));
}

/// 6.9: where the host tells no lengths, sizes are estimates that end with the first opening.
#[test]
fn mount_an_estimated_size_is_true_once_opened() {
    for head in [false, true] {
        let bench = Bench::demo();
        bench.emulator.change(|behaviour| behaviour.cache_b.head = head);
        if head {
            // A host that signs addresses refuses HEAD in its own way.
            bench.fault("HEAD /cacheb/* -> status code=403");
        }
        let mount = bench.mount();
        let store = "d1-climate-dt/demo-climate-sfc-v0.zarr/t2m";
        let array = mount.path.join("cache-b").join(store);
        let found = long_listing(&array);
        assert_eq!(found.len(), 40);
        // 24 x 32 x 64 elements of four bytes.
        assert!(found.iter().all(|(_, size)| *size == 196_608), "{found:?}");
        assert!(!requests(&bench).iter().any(|line| line.starts_with("GET") && !line.contains(".z")));
        let chunk = array.join("1.0.0");
        // Told to whoever lists; who looks at one file alone is told the truth.
        let directory = array.clone();
        let estimate = within(LIMIT, "getfattr -R", move || {
            let names: Vec<_> =
                fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            attribute(&directory.join(names.last().unwrap()), "user.dcmsfs.estimated_bytes").unwrap()
        });
        assert_eq!(estimate, b"196608");
        let expected = bench.emulator.expect_bytes(&format!("{store}/1.0.0")).unwrap();
        let (path, length) = (chunk.clone(), expected.len() as u64);
        let bytes = within(LIMIT, "reading", move || {
            let mut file = fs::File::open(path).unwrap();
            // Before a byte was read.
            assert_eq!(file.metadata().unwrap().len(), length);
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            bytes
        });
        assert_same(&bytes, &expected, "a chunk");
        assert_eq!(within(LIMIT, "stat", move || fs::metadata(chunk).unwrap().len()), length);
        assert!(attribute(&array.join("1.0.0"), "user.dcmsfs.estimated_bytes").is_err());
        // An absent chunk is found to be absent by whoever opens it.
        assert_eq!(errno(read(array.join("3.1.1"))), libc::ENOENT);
        let got: Vec<_> = requests(&bench)
            .into_iter()
            .filter(|line| line.starts_with("GET") && !line.contains(".z"))
            .collect();
        assert_eq!(got, ["GET 1.0.0 200", "GET 3.1.1 404"]);
    }
}
