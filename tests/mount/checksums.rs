//! `file:checksum` of the catalogue, compared once a file is complete in the cache.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use super::harness::{Bench, Mount, PRODUCT, Sample, assert_same, errno, output_of, read, until};

/// What coreutils compute, behind the prefix of the multihash.
fn multihash(program: &str, prefix: &str, bytes: &[u8]) -> String {
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let text = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    format!("{prefix}{}", text.split_whitespace().next().unwrap())
}

/// A file of the product, by part of its name.
fn named(bench: &Bench, part: &str) -> (String, Vec<u8>) {
    let files = bench.emulator.files("SENTINEL-2", PRODUCT);
    let (key, _) = files.into_iter().find(|(key, _)| key.contains(part)).unwrap();
    let bytes = bench.emulator.expect_bytes(&key).unwrap();
    (key, bytes)
}

fn tell(bench: &Bench, checksums: &[(&str, String)]) {
    let checksums = checksums.iter().map(|(part, told)| ((*part).to_owned(), told.clone())).collect();
    bench.emulator.change(|behaviour| behaviour.items.checksums = checksums);
}

/// Whether the whole file is on disk and was written down as complete.
fn sealed(bench: &Bench, part: &str) -> bool {
    let mut command = bench.command();
    let output =
        output_of(command.args(["cache", "ls", "--json", "--config"]).arg(bench.config()).spawn().unwrap());
    let listing: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let objects = listing["objects"].as_array().unwrap();
    objects
        .iter()
        .any(|object| object["object"].as_str().unwrap().contains(part) && object["complete"] == true)
}

fn sample(bench: &Bench, mount: &Mount, part: &str) -> Sample {
    bench.sample(mount, part)
}

/// 17.1: right checksums of each known function, and unknown ones, leave reading as it is.
#[test]
fn mount_right_and_unknown_checksums() {
    let bench = Bench::demo();
    let told = [
        ("_B02_60m", "md5sum", "d50110"),
        ("_B03_60m", "sha256sum", "1220"),
        ("_B04_60m", "sha1sum", "1114"),
        ("_B05_60m", "sha512sum", "1340"),
    ];
    let mut checksums: Vec<(&str, String)> = Vec::new();
    for (part, program, prefix) in told {
        checksums.push((part, multihash(program, prefix, &named(&bench, part).1)));
    }
    // BLAKE2b-256 (0xb220) of something else, and what is no multihash.
    checksums.push(("_B06_60m", format!("a0e40220{}", "0".repeat(64))));
    checksums.push(("_B07_60m", "not a checksum".into()));
    tell(&bench, &checksums);
    let mount = bench.mount();
    for (part, _) in &checksums {
        let sample = sample(&bench, &mount, part);
        assert_same(&read(&sample.path).unwrap(), &bench.expect(&sample), part);
        until("it is complete in the cache", || sealed(&bench, part));
        assert_same(&read(&sample.path).unwrap(), &bench.expect(&sample), part);
    }
    assert_eq!(mount.log().matches("do not have the checksum").count(), 0);
    mount.end();
}

/// 17.2: bytes that are wrong once are dropped and fetched again; the second time they are right.
#[test]
fn mount_a_wrong_file_is_fetched_again() {
    let bench = Bench::demo();
    let (_, right) = named(&bench, "_B02_60m");
    tell(&bench, &[("_B02_60m", multihash("sha256sum", "1220", &right))]);
    bench.fault("*B02_60m.jp2 nth=1 -> flip at=100");
    let mount = bench.mount();
    let sample = sample(&bench, &mount, "_B02_60m");
    let wrong = read(&sample.path).unwrap();
    assert_ne!(wrong, right, "the fault works");
    until("it is found out", || mount.log().contains("do not have the checksum"));
    assert_same(&read(&sample.path).unwrap(), &right, "the file");
    until("it is complete in the cache", || sealed(&bench, "_B02_60m"));
    assert_eq!(bench.downloads(), 2);
    mount.end();
}

/// 17.3: bytes that are wrong twice are `EIO`, with the reason, and are not asked for again and again.
#[test]
fn mount_a_file_that_stays_wrong_is_eio() {
    let bench = Bench::demo();
    tell(&bench, &[("_B02_60m", format!("d50110{}", "0".repeat(32)))]);
    let mount = bench.mount();
    let sample = sample(&bench, &mount, "_B02_60m");
    for times in 1..=2 {
        let _ = read(&sample.path);
        until("it is found out", || mount.log().matches("do not have the checksum").count() >= times);
    }
    let before = bench.downloads();
    for _ in 0..5 {
        assert_eq!(errno(read(&sample.path)), libc::EIO);
    }
    assert_eq!((bench.downloads(), before), (2, 2));
    let errors = fs::read_to_string(mount.path.join(".dcmsfs/errors")).unwrap();
    assert!(
        errors.contains("do not have the checksum that the catalogue tells; it came so twice"),
        "{errors}"
    );
    assert!(!sealed(&bench, "_B02_60m"));
    mount.end();
}

/// 17.4: `dcmsfs warm` fetches such a file once more by itself, and then says so.
#[test]
fn mount_warm_compares_checksums() {
    let bench = Bench::demo();
    let (_, right) = named(&bench, "_B03_60m");
    let wrong = format!("d50110{}", "0".repeat(32));
    tell(&bench, &[("_B02_60m", wrong), ("_B03_60m", multihash("md5sum", "d50110", &right))]);
    bench.fault("*B03_60m.jp2 nth=1 -> flip at=100");
    let pattern = format!("cache-a/SENTINEL-2/by-id/{PRODUCT}/**/*_B0[23]_60m.jp2");
    let mut command = bench.command();
    let output =
        output_of(command.arg("warm").arg("--config").arg(bench.config()).arg(pattern).spawn().unwrap());
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        err.contains("_B02_60m.jp2: the bytes do not have the checksum") || err.contains("came so twice"),
        "{err}"
    );
    assert!(
        err.contains("1 files failed") && sealed(&bench, "_B03_60m") && !sealed(&bench, "_B02_60m"),
        "{err}"
    );
    assert_eq!(bench.downloads(), 4);
}
