//! Objects, tokens and addresses that change while files are open.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use dcms_emulator::behaviour::Sizes;
use dcms_emulator::journal::Endpoint;

use super::harness::{Bench, LIMIT, Mount, Sample, Setup, assert_same, errno, names, read, until, within};
use super::sys;

fn bench_with(setup: Setup) -> (Bench, Mount, Sample) {
    let bench = setup.bench();
    let mount = bench.mount();
    let sample = bench.computed(&mount, "_B02_10m.jp2");
    (bench, mount, sample)
}

fn bench() -> (Bench, Mount, Sample) {
    bench_with(Setup::synthetic(20))
}

fn piece(file: &Arc<File>, offset: u64, length: usize) -> std::io::Result<Vec<u8>> {
    let file = Arc::clone(file);
    within(LIMIT, "pread", move || {
        let mut buffer = vec![0; length];
        file.read_exact_at(&mut buffer, offset).map(|()| buffer)
    })
}

/// 1.3: an open file whose object changes gives old bytes or `ESTALE`, never new ones; the next open shows the new
/// version, its length and its bytes.
#[test]
fn mount_a_changed_object_is_stale() {
    for longer in [0, 1000, -1000] {
        let (bench, mount, sample) = bench();
        let before = bench.expect(&sample);
        let file = Arc::new(File::open(&sample.path).unwrap());
        assert_same(&piece(&file, 0, 4096).unwrap(), &before[..4096], "before");
        bench.emulator.touch(&sample.key, longer);
        let far = sample.size - 70_000;
        match piece(&file, far, 4096) {
            Ok(found) => assert_same(&found, &before[far as usize..][..4096], "old bytes"),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ESTALE), "longer={longer}"),
        }
        assert_eq!(errno(piece(&file, far / 2, 4096)), libc::ESTALE, "longer={longer}");
        let after = bench.expect(&sample);
        assert_same(&read(&sample.path).unwrap(), &after, &format!("reopened, longer={longer}"));
        mount.settles();
    }
}

/// 1.3: changes at any moment of a long read give the old bytes, the new ones, or an error; never a mixture.
#[test]
fn mount_versions_never_mix() {
    // Little memory makes many requests of each read, and each of them may be the first of the new version.
    let tables = "[cache]\nmemory = \"16MiB\"\n".into();
    let (bench, mount, sample) = bench_with(Setup { tables, ..Setup::synthetic(6) });
    bench.fault("/stac/download* -> drip rate=8M");
    let (mut whole, mut stale) = (0, 0);
    let parts = ["B02_10m", "B03_10m", "B04_10m", "B08_10m", "TCI_10m"];
    for (round, part) in (0..).zip(parts) {
        let sample = bench.computed(&mount, &format!("_{part}.jp2"));
        let mut versions = vec![bench.expect(&sample)];
        let path = sample.path.clone();
        let reader = thread::spawn(move || std::fs::read(path));
        thread::sleep(Duration::from_millis(50 + 100 * round));
        bench.emulator.touch(&sample.key, 0);
        versions.push(bench.expect(&sample));
        match within(LIMIT, "a reader", move || reader.join().unwrap()) {
            Ok(found) => {
                whole += 1;
                assert!(versions.contains(&found), "round {round}: a mixture of versions");
            }
            Err(error) => {
                stale += 1;
                assert_eq!(error.raw_os_error(), Some(libc::ESTALE), "round {round}");
            }
        }
    }
    assert!(stale > 0, "{whole} whole, {stale} stale");
    bench.emulator.faults().clear();
    assert_same(&read(&sample.path).unwrap(), &bench.expect(&sample), "at last");
    mount.settles();
}

/// 1.3: the kernel's pages of an old version are not shown to who opens the new one.
#[test]
fn mount_reopening_shows_the_new_version() {
    let (bench, _mount, sample) = bench();
    let file = Arc::new(File::open(&sample.path).unwrap());
    assert_same(&piece(&file, 0, 4096).unwrap(), &bench.expect(&sample)[..4096], "before");
    bench.emulator.touch(&sample.key, 0);
    // The change is seen where something is still to be fetched.
    let _ = piece(&file, sample.size - 70_000, 4096);
    let _ = piece(&file, sample.size / 2, 4096);
    assert_same(&read(&sample.path).unwrap(), &bench.expect(&sample), "reopened");
}

/// 5.2: a size that the catalogue has wrong is never silently believed: the first read fails or is right, and
/// soon the true size is shown and all bytes are there.
#[test]
fn mount_a_wrong_size_in_the_catalogue_is_mended() {
    for ranges in [true, false] {
        let bench = Setup::synthetic(20).bench();
        bench.emulator.change(|behaviour| {
            behaviour.items.sizes = Sizes::Wrong;
            behaviour.download.range = ranges;
        });
        let mount = bench.mount();
        let sample = bench.computed(&mount, "_B02_10m.jp2");
        let expected = bench.expect(&sample);
        match read(&sample.path) {
            Ok(found) => assert_same(&found, &expected, "the first read"),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ESTALE)),
        }
        let path = sample.path.clone();
        until("the true size is shown", || std::fs::metadata(&path).unwrap().len() == sample.size);
        assert_same(&read(&sample.path).unwrap(), &expected, &format!("mended, ranges={ranges}"));
    }
}

/// 13.2: where the server names no version, the catalogue's date of change tells one from the other.
#[test]
fn mount_a_product_that_was_updated_is_fetched_again() {
    let bench = Setup::synthetic(20).bench();
    let updated = |day: u32| {
        bench.emulator.change(|behaviour| {
            behaviour.download.etag = false;
            behaviour.download.last_modified = false;
            behaviour.items.updated = Some(format!("2024-10-{day:02}T00:00:00Z"));
        });
        // What the catalogue said is remembered for a day.
        let _ = std::fs::remove_dir_all(bench.home.path().join(".cache/dcmsfs/catalogue"));
    };
    let seen = || {
        let mount = bench.mount();
        let sample = bench.computed(&mount, "_B02_10m.jp2");
        let found = read(&sample.path).unwrap();
        mount.end();
        (found, sample)
    };
    updated(1);
    let (before, sample) = seen();
    assert_same(&before, &bench.expect(&sample), "at first");
    bench.emulator.touch(&sample.key, 0);
    assert_same(&seen().0, &before, "as the catalogue has it");
    assert_eq!(bench.downloads(), 0);
    updated(2);
    assert_same(&seen().0, &bench.expect(&sample), "updated");
}

/// 5.2: where the catalogue tells no size, `stat` learns the true one.
#[test]
fn mount_sizes_are_true() {
    for (sizes, length) in [(Sizes::None, true), (Sizes::None, false), (Sizes::Half, true)] {
        let bench = Setup::synthetic(1000).bench();
        bench.emulator.change(|behaviour| {
            behaviour.items.sizes = sizes;
            behaviour.download.content_length = length;
        });
        let mount = bench.mount();
        let one = bench.computed(&mount, "_B02_10m.jp2");
        for part in ["_B02_10m.jp2", "_B03_10m.jp2", "MTD_MSIL2A.xml", "manifest.safe"] {
            let sample = bench.computed(&mount, part);
            let path = sample.path.clone();
            let size = within(LIMIT, "stat", move || std::fs::metadata(path).unwrap().len());
            assert_eq!(size, sample.size, "{part} ({sizes:?}, Content-Length: {length})");
        }
        assert_same(&read(&one.path).unwrap(), &bench.expect(&one), "the content");
        mount.settles();
    }
}

/// 10.4: many readers meet a token that has been revoked: one renewal or login, no failure.
#[test]
fn mount_one_renewal_for_many_readers() {
    let (bench, mount, first) = bench();
    let mut setup = bench.emulator.behaviour();
    // A token is taken for fresh for half its life; after that a refusal means that it has ended.
    setup.login.access_lifetime = 4;
    bench.emulator.set_behaviour(setup);
    drop(mount);
    assert!(bench.login(dcms_emulator::accounts::USER, dcms_emulator::accounts::PASSWORD).status.success());
    let mount = bench.mount();
    let parts = ["B02_20m", "B03_20m", "B04_20m", "B05_20m", "B06_20m", "B07_20m"];
    let samples: Vec<Sample> =
        parts.iter().map(|part| bench.computed(&mount, &format!("_{part}.jp2"))).collect();
    // Past the end of the token, whatever the daemon did about it meanwhile.
    thread::sleep(Duration::from_secs(6));
    bench.emulator.journal().reset();
    let readers: Vec<_> = samples
        .iter()
        .flat_map(|sample| [sample.clone(), sample.clone(), sample.clone()])
        .map(|sample| {
            let expected = bench.expect(&sample);
            thread::spawn(move || {
                let found = std::fs::read(&sample.path).unwrap_or_else(|e| panic!("{}: {e}", sample.key));
                assert_same(&found, &expected, &sample.key);
            })
        })
        .collect();
    within(LIMIT, "eighteen readers", move || readers.into_iter().for_each(|r| r.join().unwrap()));
    let journal = bench.emulator.journal();
    assert!(journal.refreshes() <= 2, "{} renewals", journal.refreshes());
    assert_eq!(journal.logins(), 0);
    let refused = journal.snapshot().entries.iter().filter(|entry| entry.status == Some(401)).count();
    assert!(refused <= 2, "{refused} refusals");
    assert_same(&read(&first.path).unwrap(), &bench.expect(&first), "and another");
}

/// 10.4: without a way to a new token reads say that the login has ended, names are still listed, and a new login
/// is picked up by the mount as it stands.
#[test]
fn mount_an_ended_login_says_so_and_can_be_renewed() {
    let (bench, mount, sample) = bench();
    bench.emulator.revoke_tokens();
    let error = errno(read(&sample.path));
    assert!([libc::EKEYEXPIRED, libc::EKEYREJECTED].contains(&error), "errno {error}");
    assert!(mount.log().contains("dcmsfs login"), "the log names the way out");
    let folder = mount.path.join("cache-a/SENTINEL-2/by-date/2024/09/02");
    assert!(!super::harness::names(folder).unwrap().is_empty());
    assert!(bench.login(dcms_emulator::accounts::USER, dcms_emulator::accounts::PASSWORD).status.success());
    let expected = bench.expect(&sample);
    until("the new login is used", || read(&sample.path).is_ok_and(|found| found == expected));
}

/// 10.1, 10.2: a download that is redirected to a host of the configuration comes from there, without the token.
#[test]
fn mount_a_token_stays_at_its_origin() {
    for code in [302, 307] {
        // The foreign host's address is known only once the emulator runs: a fixed port of its own.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let foreign = listener.local_addr().unwrap();
        drop(listener);
        let mut setup = Setup::synthetic(40);
        setup.options.foreign_listen = foreign;
        setup.tables = format!("[network]\nhosts = [\"http://{foreign}\"]\n");
        let (bench, mount, sample) = bench_with(setup);
        bench.emulator.change(|behaviour| behaviour.download.redirect = Some(code));
        let found = read(&sample.path).map_err(|error| error.to_string());
        if code == 302 {
            assert_same(&found.unwrap(), &bench.expect(&sample), "redirected");
            assert!(bench.emulator.journal().requests(Endpoint::SignedDownload) > 0);
        }
        assert_eq!(bench.emulator.journal().leaks(), 0);
        mount.settles();
    }
}

/// 10.2: a redirect to a host that nobody configured is not followed.
#[test]
fn mount_a_foreign_asset_is_refused() {
    let (bench, mount, sample) = bench();
    bench.emulator.change(|behaviour| behaviour.download.redirect = Some(302));
    assert_eq!(errno(read(&sample.path)), libc::EPROTO);
    assert_eq!(bench.emulator.journal().requests(Endpoint::SignedDownload), 0);
    assert!(mount.log().contains("refused"), "the log says why");
}

/// 8.4, 7.1: the last error of a file can be read beside it.
#[test]
fn mount_the_last_error_can_be_read() {
    let (bench, mount, sample) = bench();
    bench.fault("/stac/download* -> status code=403");
    assert_eq!(errno(read(&sample.path)), libc::EACCES);
    let text = sys::attribute(&sample.path, "user.dcmsfs.last_error").unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("403"), "{text}");

    // A directory tells why it could not be listed, until it could.
    let day = mount.path.join("cache-a/SENTINEL-2/by-date/2024/09/23");
    let error =
        || sys::attribute(&day, "user.dcmsfs.last_error").map(|text| String::from_utf8(text).unwrap());
    bench.fault("/stac/api/search* -> status code=403");
    assert_eq!(errno(names(&day)), libc::EACCES);
    assert!(error().unwrap().contains("403"), "{:?}", error());
    bench.emulator.faults().clear();
    until("the day is listed", || names(&day).is_ok());
    assert_eq!(error().unwrap_err().raw_os_error(), Some(libc::ENODATA));
    mount.settles();
}
