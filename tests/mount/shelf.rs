//! Listings and items on disk: what was once known needs no request, in this mount or the next.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use dcms_emulator::behaviour::Sizes;
use dcms_emulator::journal::Endpoint;
use dcms_emulator::{DataSet, Options, Scale};

use super::harness::{Bench, LIMIT, Mount, PRODUCT, Setup, errno, names, output_of, read, until, within};

const TILE: &str = "cache-a/SENTINEL-2/by-date/2024/09/24/T32TQM";

fn requests(bench: &Bench) -> usize {
    bench.emulator.journal().snapshot().entries.len()
}

fn stat(path: PathBuf) -> std::io::Result<fs::Metadata> {
    within(LIMIT, "stat", move || fs::metadata(path))
}

/// A file inside a product, by its path.
fn inside(mount: &Mount) -> PathBuf {
    mount.path.join(TILE).join(format!("{PRODUCT}.SAFE/MTD_MSIL2A.xml"))
}

fn database(bench: &Bench) -> PathBuf {
    bench.home.path().join(".cache/dcmsfs/catalogue/answers-1.sqlite")
}

/// 14.1: after a remount, a known path is found, a known directory listed and a known item read without a request;
/// neither a daemon that was killed nor a damaged file changes more than that.
#[test]
fn mount_known_paths_need_no_request_after_a_remount() {
    let bench = Bench::demo();
    let mount = bench.mount();
    let listed = names(mount.path.join(TILE)).unwrap();
    let found = stat(inside(&mount)).unwrap();
    let item = read(mount.path.join(TILE).join(format!("{PRODUCT}.SAFE.stac.json"))).unwrap();
    mount.end();

    bench.emulator.journal().reset();
    let mut mount = bench.mount();
    assert_eq!(stat(inside(&mount)).unwrap().len(), found.len());
    assert_eq!(names(mount.path.join(TILE)).unwrap(), listed);
    assert_eq!(read(mount.path.join(TILE).join(format!("{PRODUCT}.SAFE.stac.json"))).unwrap(), item);
    // The same tile, found otherwise.
    assert!(names(mount.path.join("cache-a/SENTINEL-2/by-tile/32/T/QM/2024/09/24")).is_ok());
    assert_eq!(requests(&bench), 0);
    mount.child.kill().unwrap();
    drop(mount);

    let mount = bench.mount();
    assert!(stat(inside(&mount)).is_ok());
    assert_eq!(requests(&bench), 0, "a killed daemon leaves what was known");
    mount.end();

    fs::write(database(&bench), "no database".repeat(10_000)).unwrap();
    let mount = bench.mount();
    assert_eq!(names(mount.path.join(TILE)).unwrap(), listed);
    assert!(requests(&bench) > 0);
    mount.end();
}

/// 14.1: `find` over days that were listed once asks for nothing, in this mount and the next, and finds the same.
#[test]
fn mount_a_walk_after_a_remount_asks_for_nothing() {
    let scale = Scale { items_per_day: 60, days: 3, shrink: 1000, ..Scale::default() };
    let options = Options { data: DataSet::Synthetic(scale), ..Options::default() };
    let bench = Setup { options, ..Setup::default() }.bench();
    let walk = |mount: &Mount| {
        let month = mount.path.join("cache-a/SENTINEL-6/by-date/2024/09");
        within(LIMIT, "a walk", move || {
            let days = ["01", "02", "03"].map(|day| month.join(day));
            let mut found: Vec<PathBuf> = days.iter().flat_map(|day| below(day, 2)).collect();
            found.iter_mut().for_each(|path| *path = path.strip_prefix(&month).unwrap().to_owned());
            found
        })
    };
    let mount = bench.mount();
    let first = walk(&mount);
    let folders = first.iter().filter(|path| path.components().count() == 3 && path.extension().is_none());
    assert_eq!(folders.count(), 180, "{first:?}");
    let items = first.iter().filter(|path| path.to_string_lossy().ends_with(".stac.json"));
    assert_eq!(items.count(), 180);
    bench.emulator.journal().reset();
    assert_eq!(walk(&mount), first);
    mount.end();
    let mount = bench.mount();
    for _ in 0..2 {
        assert_eq!(walk(&mount), first);
    }
    let searches = bench.emulator.journal().requests(Endpoint::Search);
    assert_eq!((searches, bench.emulator.journal().requests(Endpoint::Item)), (0, 0));
}

/// What is below a directory, so many levels deep, in the order of its listings; folders are looked at, as `find` does.
fn below(top: &Path, levels: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(top).unwrap() {
        let entry = entry.unwrap();
        found.push(entry.path());
        if entry.file_type().unwrap().is_dir() {
            assert!(entry.metadata().unwrap().is_dir());
            if levels > 1 {
                found.extend(below(&entry.path(), levels - 1));
            }
        }
    }
    found
}

/// 14.2: a day is walked once, however many list it at a time, and not again by who comes later.
#[test]
fn mount_concurrent_listings_make_one_walk() {
    let scale = Scale { items_per_day: 600, days: 2, shrink: 1000, ..Scale::default() };
    let options = Options { data: DataSet::Synthetic(scale), ..Options::default() };
    let bench = Setup { options, ..Setup::default() }.bench();
    bench.emulator.change(|behaviour| behaviour.stac.max_limit = 100);
    let mount = bench.mount();
    let day = mount.path.join("cache-a/SENTINEL-2/by-date/2024/09/01");
    assert!(stat(day.clone()).is_ok());
    bench.fault("/stac/api/search* -> delay for=50ms");
    let listers: Vec<_> = (0..8)
        .map(|_| {
            let day = day.clone();
            thread::spawn(move || names(day).unwrap().len())
        })
        .collect();
    let counts: Vec<usize> = listers.into_iter().map(|lister| lister.join().unwrap()).collect();
    assert!(counts.iter().all(|count| *count == counts[0] && *count > 10), "{counts:?}");
    assert_eq!(bench.emulator.journal().requests(Endpoint::Search), 6);
    assert_eq!(names(day.clone()).unwrap().len(), counts[0]);
    let tile = names(day.clone()).unwrap().remove(0);
    assert!(names(day.join(tile)).is_ok());
    assert_eq!(bench.emulator.journal().requests(Endpoint::Search), 6, "a known day knows its tiles");
}

/// 14.3: lengths that no item tells are asked for once.
#[test]
fn mount_learnt_lengths_are_remembered() {
    let bench = Bench::demo();
    bench.emulator.change(|behaviour| behaviour.items.sizes = Sizes::None);
    let mount = bench.mount();
    let expected = stat(inside(&mount)).unwrap().len();
    assert!(expected > 0 && bench.downloads() > 0);
    mount.end();
    // Without what the cache of files knows.
    fs::remove_dir_all(bench.home.path().join(".cache/dcmsfs/v1")).unwrap();
    bench.emulator.journal().reset();
    let mount = bench.mount();
    assert_eq!(stat(inside(&mount)).unwrap().len(), expected);
    assert_eq!(requests(&bench), 0);
}

/// 14.4: two mounts share what is known.
#[test]
fn mount_two_mounts_share_what_is_known() {
    let bench = Bench::demo();
    let one = bench.mount_at("one");
    let two = bench.mount_at("two");
    let listed = names(one.path.join(TILE)).unwrap();
    let known = database(&bench);
    until("it is on disk", || fs::metadata(&known).is_ok_and(|data| data.len() > 0));
    thread::sleep(std::time::Duration::from_millis(300));
    bench.emulator.journal().reset();
    assert_eq!(names(two.path.join(TILE)).unwrap(), listed);
    assert_eq!(requests(&bench), 0);
    // Without a service, what is known is there, and what is not is an error.
    bench.fault("/stac/api/* -> status code=503");
    assert_eq!(names(two.path.join(TILE)).unwrap(), listed);
    let other = two.path.join("cache-a/SENTINEL-2/by-date/2024/09/23/T32TQM");
    assert_ne!(errno(stat(other)), 0);
}

/// 13.8: clearing the cache forgets listings, too.
#[test]
fn mount_clearing_the_cache_forgets_listings() {
    let bench = Bench::demo();
    let mount = bench.mount();
    let listed = names(mount.path.join(TILE)).unwrap();
    mount.end();
    let mut command = bench.command();
    let child = command.args(["cache", "clear", "--config"]).arg(bench.config()).spawn().unwrap();
    assert!(output_of(child).status.success());
    bench.emulator.journal().reset();
    let mount = bench.mount();
    assert_eq!(names(mount.path.join(TILE)).unwrap(), listed);
    assert_eq!(bench.emulator.journal().requests(Endpoint::Search), 1);
}
