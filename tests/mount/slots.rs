//! The account's limit: two downloads at a time, over all mounts.

use std::sync::{Arc, Barrier};
use std::thread;

use dcms_emulator::behaviour::Excess;
use dcms_emulator::journal::Endpoint;

use super::harness::{Bench, LIMIT, PRODUCT, Sample, Setup, assert_same, read, until, within};

/// Reads all samples at once and compares them.
fn read_at_once(bench: &Bench, samples: &[Sample]) {
    let start = Arc::new(Barrier::new(samples.len()));
    let threads: Vec<_> = samples
        .iter()
        .map(|sample| {
            let (start, path, key) = (Arc::clone(&start), sample.path.clone(), sample.key.clone());
            let expected = bench.expect(sample);
            thread::spawn(move || {
                start.wait();
                let found = std::fs::read(&path).unwrap_or_else(|error| panic!("{key}: {error}"));
                assert_same(&found, &expected, &key);
            })
        })
        .collect();
    within(LIMIT * 2, "parallel readers", move || threads.into_iter().for_each(|t| t.join().unwrap()));
}

fn eight(bench: &Bench, mount: &super::harness::Mount) -> Vec<Sample> {
    let images = bench.samples(mount, PRODUCT).into_iter().filter(|sample| sample.key.ends_with("m.jp2"));
    let mut samples: Vec<Sample> = images.collect();
    samples.sort_by_key(|sample| std::cmp::Reverse(sample.size));
    samples.truncate(8);
    // The product's item is read before, so that the readers begin together.
    std::fs::metadata(&samples[0].path).unwrap();
    samples
}

/// 9.1: eight readers of eight files never make more than two downloads run at once.
#[test]
fn mount_two_downloads_at_once() {
    let bench = Bench::demo();
    let mount = bench.mount();
    bench.fault("/stac/download* -> stall after=1k for=150ms");
    read_at_once(&bench, &eight(&bench, &mount));
    assert_eq!(bench.emulator.journal().peak(Endpoint::Download), 2);
    assert_eq!(bench.emulator.journal().refused(), 0);
    mount.settles();
    mount.end();
}

/// 9.1: neither do two mounts of one user.
#[test]
fn mount_two_downloads_over_two_mounts() {
    let bench = Bench::demo();
    let (one, two) = (bench.mount_at("one"), bench.mount_at("two"));
    let mut samples = eight(&bench, &one);
    samples.extend(eight(&bench, &two));
    bench.fault("/stac/download* -> stall after=1k for=150ms");
    read_at_once(&bench, &samples);
    assert_eq!(bench.emulator.journal().peak(Endpoint::Download), 2);
    assert_eq!(bench.emulator.journal().refused(), 0);
    one.settles();
    two.settles();
}

/// 9.3: an account with room for fewer than is configured: whatever the refusal looks like, all reads end well, and
/// the service is not stormed.
#[test]
fn mount_too_many_downloads_narrow() {
    for excess in [Excess::Status(429), Excess::Status(503), Excess::Wait, Excess::Status(403)] {
        let bench = Setup { cache_a: "downloads = 3".into(), ..Setup::default() }.bench();
        bench.emulator.change(|behaviour| behaviour.download.excess = excess);
        // Slow enough that the third meets the first two.
        bench.fault("/stac/download* -> stall after=1k for=100ms");
        let mount = bench.mount();
        let samples = eight(&bench, &mount);
        read_at_once(&bench, &samples);
        let journal = bench.emulator.journal();
        assert!(journal.peak(Endpoint::Download) <= 2, "{excess:?}");
        assert!(journal.refused() <= 6, "{excess:?}: {} refusals", journal.refused());
        mount.settles();
    }
}

/// 9.1: a reader that is killed while the service is silent holds nobody up for ever: its slot is free when the
/// silence has lasted too long (8.1), and the next one goes on.
#[test]
fn mount_a_killed_reader_frees_its_slot() {
    let bench = Setup::synthetic(10).bench();
    let mount = bench.mount();
    let sample = bench.computed(&mount, "_B02_10m.jp2");
    let other = bench.computed(&mount, "_B03_10m.jp2");
    bench.fault("*B02_10m.jp2 -> stall after=0 for=20s");
    let mut cat = std::process::Command::new("cat")
        .arg(&sample.path)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    until("the download is running", || mount.transfers("cache-a") > 0);
    cat.kill().unwrap();
    within(LIMIT, "the reader's end", move || cat.wait().unwrap());
    assert_same(&read(&other.path).unwrap(), &bench.expect(&other), "the other file");
}

/// 9.4: with both slots taken, names are still found and listed.
#[test]
fn mount_searches_take_no_slot() {
    let bench = Setup::synthetic(10).bench();
    let mount = bench.mount();
    let samples = [bench.computed(&mount, "_B02_10m.jp2"), bench.computed(&mount, "_B03_10m.jp2")];
    bench.fault("/stac/download* -> stall after=0 for=20s");
    let readers: Vec<_> = samples
        .iter()
        .map(|sample| {
            std::process::Command::new("cat")
                .arg(&sample.path)
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    until("both slots are taken", || mount.transfers("cache-a") == 2);
    let day = mount.path.join("cache-a/SENTINEL-2/by-date/2024/09/02");
    assert!(!super::harness::names(day).unwrap().is_empty());
    for mut reader in readers {
        reader.kill().unwrap();
        within(LIMIT, "the reader's end", move || reader.wait().unwrap());
    }
}
