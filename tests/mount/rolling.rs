//! Products that leave the archive while they are known, read and cached.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use dcms_emulator::journal::Endpoint;

use super::harness::{Bench, LIMIT, Mount, Sample, Setup, assert_same, errno, names, read, until, within};
use super::sys::attribute;

fn stat(path: &Path) -> i32 {
    let path = path.to_owned();
    errno(within(LIMIT, "stat", move || fs::metadata(path)))
}

fn text(path: &Path, name: &str) -> Option<String> {
    let (path, name) = (path.to_owned(), name.to_owned());
    within(LIMIT, "an attribute", move || attribute(&path, &name).ok())
        .map(|value| String::from_utf8_lossy(&value).into_owned())
}

/// Two files of a product in its place by date.
fn bench() -> (Bench, Mount, Sample, Sample) {
    let bench = Setup::synthetic(20).bench();
    let mount = bench.mount();
    let inside = |part: &str| {
        let sample = bench.computed(&mount, part);
        let (_, inside) = sample.key.split_once("09/01/").unwrap();
        let day = mount.path.join("cache-a/SENTINEL-2/by-date/2024/09/01");
        let tile = names(&day).unwrap().into_iter().map(|tile| day.join(tile).join(inside));
        Sample { path: tile.into_iter().find(|path| stat(path) == 0).unwrap(), ..sample }
    };
    let (one, other) = (inside("_B02_10m.jp2"), inside("_B03_10m.jp2"));
    bench.emulator.journal().reset();
    (bench, mount, one, other)
}

fn product(sample: &Sample) -> String {
    sample.key.split('/').find_map(|part| part.strip_suffix(".SAFE")).unwrap().to_owned()
}

/// 14.5: a read finds out that a product has gone: then what was known of it is asked for again, and it is not there.
#[test]
fn mount_a_product_that_has_gone_is_not_there() {
    let (bench, mount, one, other) = bench();
    let id = product(&one);
    let open = File::open(&other.path).unwrap();
    let piece = |file: &File, offset: u64| {
        let file = file.try_clone().unwrap();
        errno(within(LIMIT, "pread", move || file.read_at(&mut [0; 4096], offset)))
    };
    assert_eq!(piece(&open, 0), 0);
    bench.emulator.change(|behaviour| behaviour.items.gone = Some(id.clone()));
    let far = other.size / 4096 * 4096 - 4096;
    assert_eq!(piece(&open, far), libc::ESTALE, "half of it is not all of it");
    until("it is not there", || stat(&other.path) == libc::ENOENT);
    assert_eq!(errno(read(&other.path)), libc::ENOENT);
    let elsewhere = format!("cache-a/SENTINEL-2/by-id/{id}.SAFE/manifest.safe");
    assert_eq!(stat(&mount.path.join(elsewhere)), libc::ENOENT);
    let again = "cache-a/SENTINEL-2/search/date=2024-09-01/2024/09/01";
    let tile =
        other.path.ancestors().find(|path| path.ends_with(format!("{id}.SAFE"))).unwrap().parent().unwrap();
    let tile = mount.path.join(again).join(tile.file_name().unwrap());
    let there = names(&tile).unwrap_or_default();
    assert!(there.iter().all(|name| !name.contains(&id)), "{there:?}");
    assert!(bench.emulator.journal().requests(Endpoint::Download) <= 8, "it is not asked for over and over");
}

/// 14.6: files that are complete on disk stay where they were, and say that their product has gone.
#[test]
fn mount_what_is_left_of_a_product_stays_readable() {
    let (bench, mount, one, other) = bench();
    let id = product(&one);
    assert_same(&read(&one.path).unwrap(), &bench.expect(&one), "before");
    until("the first is on disk", || text(&one.path, "user.dcmsfs.complete").as_deref() == Some("true"));
    bench.emulator.change(|behaviour| behaviour.items.gone = Some(id.clone()));
    assert_eq!(text(&one.path, "user.dcmsfs.state"), None);
    assert_eq!(errno(read(&other.path)), libc::ESTALE);
    until("the other is not there", || stat(&other.path) == libc::ENOENT);
    mount.settles();
    bench.emulator.journal().reset();

    assert_same(&read(&one.path).unwrap(), &bench.expect(&one), "what is left");
    assert_eq!(text(&one.path, "user.dcmsfs.state").as_deref(), Some("gone upstream"));
    let folder = mount.path.join(format!("cache-a/SENTINEL-2/by-id/{id}.SAFE"));
    assert_eq!(text(&folder, "user.dcmsfs.state").as_deref(), Some("gone upstream"));
    let (_, inside) = one.key.split_once(".SAFE/").unwrap();
    assert_eq!(read(folder.join(inside)).unwrap().len() as u64, one.size);
    assert_eq!(names(folder.join(inside).parent().unwrap()).unwrap().len(), 1, "only what is left");
    assert_eq!(bench.emulator.journal().requests(Endpoint::Download), 0, "{:#?}", bench.transfers());

    // A search that was not made before does not know of it.
    let search = "cache-a/SENTINEL-2/search/date=2024-09-01,cloud<=100/2024/09/01";
    let tiles = names(mount.path.join(search)).unwrap_or_default();
    let found = |tile: &String| names(mount.path.join(search).join(tile)).unwrap_or_default();
    assert!(tiles.iter().flat_map(found).all(|name| !name.contains(&id)));
}
