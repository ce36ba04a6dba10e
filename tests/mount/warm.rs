//! `dcmsfs warm`: what it fetches, what it does not, and that it goes on where it was broken off.

use std::collections::BTreeSet;
use std::process::{Child, Output};

use dcms_emulator::journal::Endpoint;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::harness::{Bench, PRODUCT, Setup, assert_same, output_of, read, until};

const DAY: &str = "cache-a/SENTINEL-2/by-date/2024/09/24/T32TQM";
const STORE: &str = "cache-b/d1-climate-dt/demo-climate-sfc-v0.zarr";

fn start(bench: &Bench, args: &[&str]) -> Child {
    let mut command = bench.command();
    command.arg("warm").arg("--config").arg(bench.config()).args(args);
    command.current_dir(bench.home.path()).spawn().unwrap()
}

/// Runs it to its end: standard output, standard error, exit status.
fn warm(bench: &Bench, args: &[&str]) -> (String, String, i32) {
    said(output_of(start(bench, args)))
}

fn said(output: Output) -> (String, String, i32) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

fn warmed(bench: &Bench, args: &[&str]) -> String {
    let (out, err, code) = warm(bench, args);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    out
}

/// What was asked for of an endpoint since the last reset.
fn asked(bench: &Bench, endpoint: Endpoint) -> Vec<String> {
    let entries = bench.emulator.journal().snapshot().entries;
    let asked = entries.into_iter().filter(|entry| entry.endpoint == endpoint);
    asked
        .map(|entry| format!("{} {} {}", entry.method, entry.path, entry.query.unwrap_or_default()))
        .collect()
}

/// The objects of which all is in the cache.
fn complete(bench: &Bench) -> BTreeSet<String> {
    let output = output_of(
        bench.command().args(["cache", "ls", "--json", "--config"]).arg(bench.config()).spawn().unwrap(),
    );
    let listing: Value = serde_json::from_slice(&output.stdout).unwrap();
    let objects = listing["objects"].as_array().unwrap().iter();
    objects
        .filter(|object| object["stored"] == object["length"])
        .map(|object| object["object"].to_string())
        .collect()
}

/// 15.1: one download for each file and two at a time; a second run and a mount ask for nothing.
#[test]
fn mount_warm_brings_each_file_once() {
    let bench = Bench::demo();
    bench.fault("/stac/download* -> stall after=1k for=10ms");
    let pattern = format!("{DAY}/**/*_B*_60m.jp2");
    let out = warmed(&bench, &[&pattern]);
    let count = bench.downloads();
    assert!(count > 4 && out.contains(&format!("fetched {count} files")), "{count}: {out}");
    assert_eq!(
        (bench.emulator.journal().peak(Endpoint::Download), bench.emulator.journal().refused()),
        (2, 0)
    );
    let keys: BTreeSet<String> = asked(&bench, Endpoint::Download).into_iter().collect();
    assert!(keys.len() as u64 == count && keys.iter().all(|key| key.contains("_60m.jp2")), "{keys:?}");

    bench.emulator.journal().reset();
    let out = warmed(&bench, &[&pattern]);
    assert!(out.contains("all in the cache"), "{out}");
    let mount = bench.mount();
    for sample in bench.samples(&mount, PRODUCT).iter().filter(|sample| sample.key.contains("_B02_60m.jp2")) {
        assert_same(&read(&sample.path).unwrap(), &bench.expect(sample), &sample.key);
    }
    assert_eq!((bench.downloads(), asked(&bench, Endpoint::Search)), (0, Vec::new()));
    mount.end();
}

/// 15.2: a dry run downloads nothing, and counts; of a store it asks a few lengths at most.
#[test]
fn mount_warm_dry_run_downloads_nothing() {
    let bench = Bench::demo();
    let part = format!("{STORE}/t2m[0:48,:,:]");
    let out = warmed(&bench, &["--dry-run", &format!("{DAY}/*.SAFE"), &part, STORE]);
    assert!(out.contains("nothing was downloaded") && out.contains(" files to fetch, "), "{out}");
    assert!(out.contains(" chunks to fetch, ") && out.contains("(estimated)"), "{out}");
    assert_eq!((bench.downloads(), complete(&bench).len()), (0, 0));
    let chunks = asked(&bench, Endpoint::ZarrChunk);
    assert!(chunks.len() <= 48 && chunks.iter().all(|line| line.starts_with("HEAD ")), "{chunks:?}");
}

/// 15.3: a part of an array is its chunks, each asked for once, also when some are absent; its directories are not
/// needed.
#[test]
fn mount_warm_index_range() {
    let bench = Bench::demo();
    let out = warmed(&bench, &[&format!("{STORE}/t2m[0:48,:,:]")]);
    let chunks = asked(&bench, Endpoint::ZarrChunk);
    let keys: BTreeSet<&String> = chunks.iter().collect();
    assert!(keys.len() == chunks.len() && keys.iter().all(|line| line.starts_with("GET ")), "{chunks:?}");
    assert!(out.contains(&format!("{} of {} chunks to fetch", keys.len(), keys.len())), "{out}");
    bench.emulator.journal().reset();
    let out = warmed(&bench, &[&format!("{STORE}/t2m[0:24,...]")]);
    assert!(out.contains("all in the cache") && asked(&bench, Endpoint::ZarrChunk).is_empty(), "{out}");
    for (wrong, why) in [
        ("t2m[0:1,0:1,0:1,0:1]", "4 index ranges for an array of 3 dimensions"),
        ("t2m[::2,:,:]", "is no index range"),
        ("t2m[0,0,999999]", "there is no index 999999"),
        ("nothing[0:1,:]", "nothing is there"),
    ] {
        let (_, err, code) = warm(&bench, &[&format!("{STORE}/{wrong}")]);
        assert!(code == 1 && err.contains(why), "{wrong}: {err}");
    }
}

/// 15.3: what the service turned out not to have is not asked for again, by another run or by a mount.
#[test]
fn mount_warm_remembers_what_is_absent() {
    let bench = Bench::demo();
    let array = format!("{STORE}/t2m");
    let out = warmed(&bench, &[&array]);
    assert!(out.contains("fetched 37 chunks") && out.contains("; 3 are not at the service"), "{out}");
    assert_eq!(asked(&bench, Endpoint::ZarrChunk).len(), 40);
    bench.emulator.journal().reset();
    let out = warmed(&bench, &[&array]);
    assert!(out.contains("37 of 40 chunks") && out.contains("; 3 known not to be at the service"), "{out}");
    let mount = bench.mount();
    let all = (0..10).flat_map(|t| (0..2).flat_map(move |y| (0..2).map(move |x| format!("{t}.{y}.{x}"))));
    let read = all.filter(|name| read(mount.path.join(&array).join(name)).is_ok()).count();
    assert_eq!((read, asked(&bench, Endpoint::ZarrChunk)), (37, Vec::new()));
    mount.end();
}

/// 15.4: after `kill -9` and after Ctrl-C the same command fetches what is missing, and nothing else.
#[test]
fn mount_warm_goes_on_where_it_was_broken_off() {
    for (signal, ended) in [(Signal::SIGKILL, None), (Signal::SIGINT, Some(130))] {
        let bench = Bench::demo();
        let pattern = format!("{DAY}/**/*m.jp2");
        bench.fault("/stac/download* -> stall after=1k for=50ms");
        let run = start(&bench, &[&pattern]);
        until("some files are there", || complete(&bench).len() >= 4);
        kill(Pid::from_raw(i32::try_from(run.id()).unwrap()), signal).unwrap();
        let output = output_of(run);
        assert_eq!(output.status.code(), ended);
        if ended.is_some() {
            let err = String::from_utf8(output.stderr).unwrap();
            assert!(err.contains(" remain; the same command goes on where this one ended"), "{err}");
        }
        let there = complete(&bench);
        bench.emulator.faults().clear();
        bench.emulator.journal().reset();
        let out = warmed(&bench, &[&pattern]);
        let again = asked(&bench, Endpoint::Download);
        let all = complete(&bench);
        assert_eq!(again.len(), all.len() - there.len(), "{out}");
        let keys = |objects: &BTreeSet<String>| -> BTreeSet<String> {
            objects
                .iter()
                .filter_map(|object| Some(object.rsplit('/').next()?.trim_end_matches('"').to_owned()))
                .collect()
        };
        for line in &again {
            let name = line.rsplit(['/', '=']).next().unwrap().replace("%2F", "/");
            let name = name.rsplit('/').next().unwrap().to_owned();
            assert!(!keys(&there).contains(&name), "{name} was there");
        }
        assert!(out.contains(&format!("; {}, ", there.len())), "{out}");
    }
}

/// 15.5: what fails is named, the rest is fetched, and the exit status tells; a missing login ends it at once.
#[test]
fn mount_warm_says_what_failed() {
    let bench = Bench::demo();
    bench.fault("*_B03_60m.jp2 -> status code=404");
    let (out, err, code) = warm(&bench, &[&format!("{DAY}/**/*_B0[1-4]_60m.jp2")]);
    assert_eq!((code, err.matches("_B03_60m.jp2").count() > 0), (1, true), "{err}");
    assert!(
        err.contains("1 files failed, 0 were not tried") && out.contains("fetched 3 files"),
        "{out}{err}"
    );

    let bench = Setup::default().logged_out();
    let (_, err, code) = warm(&bench, &[&format!("{DAY}/**/*_60m.jp2")]);
    assert!(code == 1 && err.contains("dcmsfs login") && err.contains("0 files failed"), "{err}");
    assert!(bench.downloads() <= 2, "no more than were begun together");
}

/// 15.5: a service that wants no more today is not asked on.
#[test]
fn mount_warm_stops_at_a_used_up_volume() {
    let bench = Bench::demo();
    bench.fault("/cacheb/*/t2m/* -> status code=429 retry-after=86400");
    let (_, err, code) = warm(&bench, &[&format!("{STORE}/t2m")]);
    assert!(code == 1 && err.contains("stopped asking cache-b"), "{err}");
    assert!(asked(&bench, Endpoint::ZarrChunk).len() <= 16, "no more than were under way");
}

/// 15.2: what the user's own limits leave is told before it is used up.
#[test]
fn mount_warm_tells_what_limits_leave() {
    for (limit, left) in [("requests_per_day = 30", "your limits leave "), ("requests_per_day = 300", "")] {
        let bench = Setup { cache_b: limit.into(), ..Setup::default() }.bench();
        let out = warmed(&bench, &["-n", &format!("{STORE}/t2m")]);
        assert_eq!(out.contains("it will not all be fetched"), !left.is_empty(), "{out}");
        assert!(out.contains(left), "{out}");
    }
}

/// 15.6: more than the cache takes is refused before anything is fetched, and so is a cache that is off.
#[test]
fn mount_warm_knows_the_size_of_the_cache() {
    for (size, why) in [("20KiB", "raise `[cache] size`"), ("0", "the cache on disk is off")] {
        let bench = Setup { tables: format!("[cache]\nsize = \"{size}\"\n"), ..Setup::default() }.bench();
        let (_, err, code) = warm(&bench, &[&format!("{DAY}/*.SAFE")]);
        assert!(code == 1 && err.contains(why), "{err}");
        assert_eq!(bench.downloads(), 0);
    }
}

/// 15.7: a mount that runs beside it sees what was fetched, also of a file that it has begun to read; paths may begin
/// with the directory of the mount.
#[test]
fn mount_warm_is_seen_by_a_running_mount() {
    let bench = Setup::synthetic(10).bench();
    let mount = bench.mount();
    let sample = bench.computed(&mount, "_B02_10m.jp2");
    let begun = std::fs::File::open(&sample.path).unwrap();
    let mut first = [0; 16];
    std::os::unix::fs::FileExt::read_exact_at(&begun, &mut first, 0).unwrap();
    drop(begun);
    mount.settles();
    warmed(&bench, &[sample.path.to_str().unwrap()]);
    bench.emulator.journal().reset();
    assert_same(&read(&sample.path).unwrap(), &bench.expect(&sample), "the file");
    assert_eq!(bench.downloads(), 0);
    mount.end();
}

/// 15.7: readers of a mount get their turn while it fetches, and never more than two downloads run.
#[test]
fn mount_warm_shares_the_downloads() {
    let bench = Bench::demo();
    let mount = bench.mount();
    let sample = bench.sample(&mount, "_TCI_60m.jp2");
    bench.fault("/stac/download* -> stall after=1k for=300ms");
    let run = start(&bench, &[&format!("{DAY}/**/*_[12]0m.jp2")]);
    until("it fetches", || bench.downloads() > 2);
    assert_same(&read(&sample.path).unwrap(), &bench.expect(&sample), "the file");
    let (_, err, code) = said(output_of(run));
    assert_eq!((code, err.as_str()), (0, ""));
    let asked = asked(&bench, Endpoint::Download);
    let at = asked.iter().position(|line| line.contains("_TCI_60m.jp2")).unwrap();
    assert!(at + 2 < asked.len(), "the reader came in between, not at the end: {at} of {}", asked.len());
    assert_eq!(
        (bench.emulator.journal().peak(Endpoint::Download), bench.emulator.journal().refused()),
        (2, 0)
    );
    mount.end();
}

/// 15.8: a pattern that leads nowhere, or everywhere, is refused with its name, and costs no download.
#[test]
fn mount_warm_hostile_patterns() {
    let bench = Bench::demo();
    let long = "x/".repeat(4000);
    let stars = format!("{DAY}/{}", "*a".repeat(300));
    for (pattern, why) in [
        ("cache-a/../../etc/passwd", "with .. in it"),
        ("/etc/passwd", "is on no mount"),
        ("cache-a/SENTINEL-2/**/*.jp2", "walk through a whole archive"),
        ("cache-a", "walk through a whole archive"),
        ("cache-a/SENTINEL-2/search/cloud<x/**", "cloud<x"),
        ("cache-a/\u{1b}[31m/x", "nothing is there"),
        ("[", "nothing is there"),
        ("", "name what is wanted"),
        (long.as_str(), "too long"),
        (stars.as_str(), "nothing is there"),
    ] {
        let (_, err, code) = warm(&bench, &[pattern]);
        assert!(code == 1 && err.contains(why), "{pattern:?}: {err}");
        assert!(!err.contains('\u{1b}'), "{err:?}");
    }
    assert_eq!(bench.downloads(), 0);
}
