//! Every way to lay out an array, and metadata that is wrong.

use std::fs;

use serde_json::{Value, json};

use super::harness::{Bench, LIMIT, Mount, assert_same, errno, names, read, within};
use super::sys::attribute;

const STORE: &str = "tests/layouts-v0.zarr";

fn put(bench: &Bench, key: &str, document: &Value) {
    bench.emulator.put(&format!("{STORE}/{key}"), Some(document.to_string().into()));
}

/// An array of version 2 with `more` in place of the usual.
fn v2(shape: &[u64], chunks: &[u64], more: &Value) -> Value {
    let mut array = json!({ "zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": "<i2", "order": "C",
                            "fill_value": 0, "filters": null, "compressor": { "id": "zlib", "level": 1 } });
    array.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    array
}

/// The same of version 3.
fn v3(shape: &[u64], chunks: &[u64], more: &Value) -> Value {
    let grid = json!({ "name": "regular", "configuration": { "chunk_shape": chunks } });
    let mut array = json!({ "zarr_format": 3, "node_type": "array", "shape": shape, "data_type": "int16",
        "chunk_grid": grid, "chunk_key_encoding": { "name": "default" }, "fill_value": 0,
        "codecs": [{ "name": "bytes", "configuration": { "endian": "little" } }, { "name": "gzip" }] });
    array.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    array
}

/// An array, its chunks that are listed (or the first level of them), and one that opens.
type Case = (&'static str, Value, &'static [&'static str], &'static [&'static str]);

fn cases_v2() -> Vec<Case> {
    vec![
        ("dots", v2(&[3, 3], &[2, 2], &json!({})), &["0.0", "0.1", "1.0", "1.1"], &["0.0", "1.1"]),
        (
            "slashes",
            v2(&[3, 3], &[2, 2], &json!({ "dimension_separator": "/" })),
            &["0", "1"],
            &["0/0", "1/1"],
        ),
        ("scalar", v2(&[], &[], &json!({})), &["0"], &["0"]),
        ("scalar-slash", v2(&[], &[], &json!({ "dimension_separator": "/" })), &["0"], &["0"]),
        ("empty", v2(&[0, 3], &[1, 3], &json!({})), &[], &[]),
        (
            "structured",
            v2(&[2], &[1], &json!({ "dtype": [["a", "<f4"], ["b", "<i2", [2, 3]]], "fill_value": "AA==" })),
            &["0", "1"],
            &["1"],
        ),
        (
            "objects",
            v2(&[2], &[2], &json!({ "dtype": "|O", "filters": [{ "id": "vlen-utf8" }] })),
            &["0"],
            &["0"],
        ),
        (
            "unknown",
            v2(
                &[2],
                &[2],
                &json!({ "dtype": "what?", "compressor": { "id": "never.heard.of" }, "filters": [{ "id": 7 }] }),
            ),
            &["0"],
            &["0"],
        ),
        ("group/inner/deep", v2(&[5], &[2], &json!({})), &["0", "1", "2"], &["2"]),
        ("group/with space é%", v2(&[1], &[1], &json!({})), &["0"], &["0"]),
    ]
}

fn cases_v3() -> Vec<Case> {
    let encoding = |name: &str, separator: &str| json!({ "chunk_key_encoding": { "name": name, "configuration": { "separator": separator } } });
    let shards = json!({ "codecs": [{ "name": "sharding_indexed", "configuration": { "chunk_shape": [1, 1],
        "codecs": [{ "name": "bytes" }], "index_codecs": [{ "name": "bytes" }, { "name": "crc32c" }] } }] });
    vec![
        ("default", v3(&[3, 3], &[2, 2], &json!({})), &["c"], &["c/0/0", "c/1/1"]),
        (
            "default-dot",
            v3(&[3, 3], &[2, 2], &encoding("default", ".")),
            &["c.0.0", "c.0.1", "c.1.0", "c.1.1"],
            &["c.1.0"],
        ),
        ("v2", v3(&[3, 3], &[2, 2], &encoding("v2", ".")), &["0.0", "0.1", "1.0", "1.1"], &["0.1"]),
        ("v2-slash", v3(&[3, 3], &[2, 2], &encoding("v2", "/")), &["0", "1"], &["1/0"]),
        ("scalar", v3(&[], &[], &json!({})), &["c"], &["c"]),
        ("scalar-v2", v3(&[], &[], &encoding("v2", ".")), &["0"], &["0"]),
        ("empty", v3(&[0], &[1], &json!({})), &[], &[]),
        ("shards", v3(&[4, 4], &[2, 2], &shards), &["c"], &["c/0/1"]),
        (
            "unknown",
            v3(&[2], &[2], &json!({ "data_type": { "name": "what" }, "codecs": [{ "name": "never" }] })),
            &["c"],
            &["c/0"],
        ),
        ("group/inner/deep", v3(&[5], &[2], &json!({})), &["c"], &["c/2"]),
    ]
}

/// The bytes of a chunk: its own key, so that none is taken for another.
fn chunk(key: &str) -> Vec<u8> {
    key.bytes().cycle().take(3000).collect()
}

/// 6.10: arrays in each layout are listed from their metadata, their chunks open, and nothing else does; with and
/// without consolidated metadata.
#[test]
fn mount_every_layout() {
    for consolidated in [true, false] {
        for version in [2, 3] {
            let bench = Bench::demo();
            let cases = if version == 2 { cases_v2() } else { cases_v3() };
            let mut documents = serde_json::Map::new();
            let key = |name: &str| {
                if version == 2 { format!("{name}/.zarray") } else { format!("{name}/zarr.json") }
            };
            for (name, array, _, opens) in &cases {
                put(&bench, &key(name), array);
                documents.insert(if version == 2 { key(name) } else { (*name).to_owned() }, array.clone());
                for chunk_key in *opens {
                    bench.emulator.put(
                        &format!("{STORE}/{name}/{chunk_key}"),
                        Some(chunk(&format!("{name}/{chunk_key}"))),
                    );
                }
            }
            let group = json!({ "zarr_format": 3, "node_type": "group", "attributes": {} });
            for path in ["", "group/", "group/inner/"] {
                let name = if version == 2 { ".zgroup" } else { "zarr.json" };
                put(
                    &bench,
                    &format!("{path}{name}"),
                    &if version == 2 { json!({ "zarr_format": 2 }) } else { group.clone() },
                );
            }
            if consolidated && version == 2 {
                documents.insert(".zgroup".into(), json!({ "zarr_format": 2 }));
                put(&bench, ".zmetadata", &json!({ "zarr_consolidated_format": 1, "metadata": documents }));
            } else if consolidated {
                let mut root = group.clone();
                root["consolidated_metadata"] =
                    json!({ "kind": "inline", "must_understand": false, "metadata": documents });
                put(&bench, "zarr.json", &root);
            }
            let mount = bench.mount();
            for (name, array, listed, opens) in &cases {
                let what = format!("v{version}, consolidated {consolidated}, {name}");
                check(&bench, &mount, &what, (name, array, listed, opens));
            }
            let root = mount.path.join("cache-b").join(STORE);
            let shown = names(&root).unwrap();
            assert_eq!(shown.contains(&"unknown".to_owned()), consolidated, "{shown:?}");
            mount.settles();
        }
    }
}

fn check(
    bench: &Bench,
    mount: &Mount,
    what: &str,
    (name, array, listed, opens): (&str, &Value, &[&str], &[&str]),
) {
    let shown = name.replace('%', "%25");
    let directory = mount.path.join("cache-b").join(STORE).join(&shown);
    let found = names(&directory).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found: Vec<&str> = found
        .iter()
        .map(String::as_str)
        .filter(|name| !name.starts_with('.') && *name != "zarr.json")
        .collect();
    assert_eq!(found, listed, "{what}");
    for key in opens {
        let expected = chunk(&format!("{name}/{key}"));
        assert_same(
            &read(directory.join(key)).unwrap_or_else(|error| panic!("{what} {key}: {error}")),
            &expected,
            what,
        );
        // Levels are directories all the way down.
        let mut above = directory.join(key);
        while above.pop() && above != directory {
            assert!(!names(&above).unwrap().is_empty(), "{what}");
        }
    }
    bench.emulator.journal().reset();
    for outside in ["c/9", "c/9/9", "9", "9.9", "9/9", "c.9.9", "x", "0.0.0.0.0", "c/c"] {
        let error = errno(read(directory.join(outside)));
        assert!([libc::ENOENT, libc::ENOTDIR].contains(&error), "{what}: {outside}: {error}");
    }
    let asked = bench.emulator.journal().snapshot().entries;
    assert!(asked.is_empty(), "{what}: {:?}", asked.iter().map(|entry| &entry.path).collect::<Vec<_>>());
    let shape = serde_json::to_vec(&array["shape"]).unwrap();
    assert_eq!(attribute(&directory, "user.zarr.shape").unwrap(), shape, "{what}");
}

/// 6.11: what is wrong with one node is told of that node, and the others are as they should be.
#[test]
fn mount_wrong_metadata_is_told_for_its_node() {
    let wrong = [
        ("zero", v2(&[4], &[0], &json!({})), "chunk length of zero"),
        ("negative", v2(&[4], &[2], &json!({ "shape": [-4] })), "wrong length"),
        ("fraction", v2(&[4], &[2], &json!({ "chunks": [1.5] })), "wrong length"),
        ("dimensions", v2(&[4, 4], &[2], &json!({})), "2 dimensions, its chunks have 1"),
        (
            "overflow",
            v2(&[u64::MAX >> 1, u64::MAX >> 1], &[1, 1], &json!({})),
            "more chunks than can be counted",
        ),
        ("separator", v2(&[4], &[2], &json!({ "dimension_separator": "\\" })), "separator"),
        ("shapeless", json!({ "zarr_format": 2 }), "no shape"),
        ("no-object", json!([1]), "not a json object"),
    ];
    let bench = Bench::demo();
    let mut documents = serde_json::Map::new();
    documents.insert(".zgroup".into(), json!({ "zarr_format": 2 }));
    documents.insert("right/.zarray".into(), v2(&[3], &[2], &json!({})));
    for key in [
        "../escape/.zarray",
        "a/../../b/.zarray",
        "./.zarray",
        "a//b/.zarray",
        "/etc/.zarray",
        "a\u{0}b/.zarray",
    ] {
        documents.insert(key.into(), v2(&[3], &[2], &json!({})));
    }
    for (name, array, _) in &wrong {
        documents.insert(format!("{name}/.zarray"), array.clone());
    }
    put(&bench, ".zmetadata", &json!({ "zarr_consolidated_format": 1, "metadata": documents }));
    bench.emulator.put(&format!("{STORE}/right/1"), Some(chunk("right/1")));
    let mount = bench.mount();
    let root = mount.path.join("cache-b").join(STORE);
    let shown = names(&root).unwrap();
    for name in &shown {
        assert!(![".", ".."].contains(&name.as_str()) && !name.contains('/'), "{shown:?}");
    }
    for (name, _, reason) in &wrong {
        assert!(shown.contains(&(*name).to_owned()), "{shown:?} without {name}");
        assert_eq!(errno(names(root.join(name))), libc::EPROTO, "{name}");
        let told = String::from_utf8(attribute(&root, "user.dcmsfs.last_error").unwrap()).unwrap();
        assert!(told.contains(reason) && told.contains(name), "{name}: {told}");
        let errors = within(LIMIT, "errors", {
            let file = mount.path.join(".dcmsfs/errors");
            move || fs::read_to_string(file).unwrap()
        });
        let line = errors
            .lines()
            .find(|line| line.contains(reason) && line.contains(name))
            .unwrap_or_else(|| panic!("{errors}"));
        assert!(line.contains("Protocol error"), "{line}");
    }
    assert_same(&read(root.join("right/1")).unwrap(), &chunk("right/1"), "the right one");
    for name in ["escape", "b", "etc"] {
        assert_eq!(errno(names(root.join(name))), libc::ENOENT, "{name}");
    }
    assert!(mount.log().contains("is left out"), "{}", mount.log());
    // A root that is no metadata at all.
    for (store, document) in [("page", "<html>login</html>"), ("text", "hello"), ("empty", "")] {
        let key = format!("tests/{store}-v0.zarr");
        bench.emulator.put(&format!("{key}/.zmetadata"), Some(document.into()));
        assert_eq!(errno(names(mount.path.join("cache-b").join(&key))), libc::EPROTO, "{store}");
    }
}

/// 6.10: the reference implementation in Rust reads every store of the demo by its filesystem store, and finds the
/// values that it finds in the objects themselves.
#[test]
fn mount_zarrs_reads_every_store() {
    use std::sync::Arc;
    use zarrs::array::{Array, ArrayBytes};
    use zarrs::filesystem::FilesystemStore;
    use zarrs::storage::ReadableStorageTraits;

    fn values<S: ReadableStorageTraits + 'static>(store: Arc<S>, path: &str) -> Vec<u8> {
        let array = Array::open(store, path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let whole: ArrayBytes<'static> = array.retrieve_array_subset(&array.subset_all()).unwrap();
        whole.into_fixed().unwrap().into_owned()
    }

    let bench = Bench::demo();
    let mount = bench.mount();
    for (store, arrays) in [
        ("d1-climate-dt/demo-climate-sfc-v0.zarr", &["/t2m", "/u10", "/time", "/latitude"][..]),
        ("era5/demo-reanalysis-era5-v0.zarr", &["/t2m", "/latitude"]),
        ("climate-dt-2/demo-sharded-v0.zarr", &["/t2m"]),
        ("era5/demo-nested-v0.zarr", &["/pressure/t", "/surface/wind/u10"]),
    ] {
        let copy = tempfile::tempdir().unwrap();
        let root = mount.path.join("cache-b").join(store);
        for array in arrays {
            let array = *array;
            let (inside, copied) = (root.join(&array[1..]), copy.path().join(&array[1..]));
            for file in super::zarr::files(&inside) {
                let name = file.strip_prefix(&inside).unwrap();
                let key = format!("{store}{array}/{}", name.to_str().unwrap());
                let Some(bytes) = bench.emulator.expect_bytes(&key) else { continue };
                let target = copied.join(name);
                fs::create_dir_all(target.parent().unwrap()).unwrap();
                fs::write(target, bytes).unwrap();
            }
            // Where nothing is consolidated, only what is named is listed.
            for name in [".zarray", ".zattrs", "zarr.json"] {
                if let Some(bytes) = bench.emulator.expect_bytes(&format!("{store}{array}/{name}")) {
                    fs::create_dir_all(&copied).unwrap();
                    fs::write(copied.join(name), bytes).unwrap();
                }
            }
            let here = within(LIMIT, "zarrs", {
                let root = root.clone();
                move || values(Arc::new(FilesystemStore::new(root).unwrap()), array)
            });
            let there = values(Arc::new(FilesystemStore::new(copy.path()).unwrap()), array);
            assert_same(&here, &there, &format!("{store}{array}"));
            assert!(here.iter().any(|byte| *byte != 0), "{store}{array}");
        }
    }
}
