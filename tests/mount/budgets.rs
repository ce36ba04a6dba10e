//! Budgets: own limits, what mounts share of them, pauses that the service wants, and broken bookkeeping.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use dcms_emulator::journal::Endpoint;
use nix::sys::signal::Signal;
use nix::sys::statvfs::statvfs;
use serde_json::Value;

use super::harness::{Bench, LIMIT, Mount, Setup, errno, output_of, read, until, within};

const CLIMATE: &str = "d1-climate-dt/demo-climate-sfc-v0.zarr";

/// One request at a time: then nothing is fetched ahead, and what is counted is what the test reads.
fn limited(lines: &str) -> Bench {
    Setup { cache_b: format!("requests = 1\n{lines}"), ..Setup::default() }.bench()
}

fn chunk(mount: &Mount, time: usize, place: usize) -> PathBuf {
    mount.path.join("cache-b").join(CLIMATE).join(format!("t2m/{time}.{}.{}", place / 2, place % 2))
}

/// Requests to the Zarr host, of any kind.
fn requests(bench: &Bench) -> u64 {
    let journal = bench.emulator.journal();
    [Endpoint::ZarrDirectory, Endpoint::ZarrMetadata, Endpoint::ZarrChunk]
        .map(|one| journal.requests(one))
        .iter()
        .sum()
}

fn service(mount: &Mount, name: &str) -> Value {
    let status = mount.status();
    let services = status["services"].as_array().unwrap();
    services.iter().find(|one| one["name"] == name).unwrap().clone()
}

/// Lines of the log, at the level that people see.
fn warnings(mount: &Mount, part: &str) -> usize {
    mount.log().lines().filter(|line| line.contains(" WARN ") && line.contains(part)).count()
}

fn counts(bench: &Bench) -> PathBuf {
    bench.home.path().join(".local/state/dcmsfs/counts")
}

/// 16.1, 16.2: a limit of requests holds to the last one; what is cached is read as ever; one line of the log tells
/// it; a new mount knows it; `status` and `df` show it.
#[test]
fn mount_a_limit_of_requests_holds() {
    let bench = limited("requests_per_day = 10");
    let mount = bench.mount();
    let first = read(chunk(&mount, 0, 0)).unwrap();
    let mut refused = 0;
    for number in 1..40 {
        match errno(read(chunk(&mount, number / 4, number % 4))) {
            0 | libc::ENOENT => assert_eq!(refused, 0, "none goes through after one that did not"),
            error => {
                assert_eq!(error, libc::EDQUOT);
                refused += 1;
            }
        }
    }
    assert!(refused > 20, "{refused}");
    assert_eq!(requests(&bench), 10);
    assert_eq!(read(chunk(&mount, 0, 0)).unwrap(), first);
    // Once as a warning, once as used up.
    assert_eq!((warnings(&mount, "cache_b.requests_per_day"), warnings(&mount, "used up until")), (2, 1));
    let shown = service(&mount, "cache-b");
    let limit = &shown["limits"][0];
    assert_eq!(
        (&limit["state"], &limit["used"], &limit["limit"]),
        (&"used-up".into(), &10.into(), &10.into())
    );
    assert!(limit["resets"].as_str().unwrap().ends_with("T00:00:00Z"), "{limit}");
    assert!(service(&mount, "cache-a")["limits"].as_array().unwrap().is_empty());
    let text = output_of(bench.command().arg("status").arg(&mount.path).spawn().unwrap());
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(
        text.contains("limit cache_b.requests_per_day: 10 requests of 10 requests (100 %) until"),
        "{text}"
    );
    assert!(
        fs::read_to_string(mount.path.join(".dcmsfs/errors")).unwrap().contains("cache_b.requests_per_day")
    );

    let (store, other) = (mount.path.join(format!("cache-b/{CLIMATE}")), mount.path.join("cache-a"));
    let (limited, free) = within(LIMIT, "df", move || (statvfs(&store).unwrap(), statvfs(&other).unwrap()));
    assert_eq!((limited.files(), limited.files_free()), (10, 0));
    assert!(free.files() > 1 << 30);

    mount.end();
    let mount = bench.mount();
    bench.emulator.journal().reset();
    assert_eq!(errno(read(chunk(&mount, 9, 0))), libc::EDQUOT);
    assert_eq!(requests(&bench), 0);
    assert!(read(&bench.sample(&mount, "manifest.safe").path).is_ok(), "Cache-A has nothing to do with it");
}

/// 16.1: a limit of bytes lets go on what is on its way; at four fifths there is a warning; `df` shows it.
#[test]
fn mount_a_limit_of_bytes_warns_before_it_holds() {
    let bench = Bench::demo();
    let key = |time: usize| format!("{CLIMATE}/t2m/{time}.0.0");
    let size = |key: &str| bench.emulator.expect_bytes(key).unwrap().len() as u64;
    let metadata = size(&format!("{CLIMATE}/.zmetadata"));
    // The second chunk goes beyond four fifths, the third beyond all of it.
    let most = metadata + size(&key(0)) + size(&key(1)) + size(&key(2)) / 9;
    let config = fs::read_to_string(bench.config()).unwrap();
    let config = config.replace("[cache_b]", &format!("[cache_b]\nbytes_per_month = {most}"));
    fs::write(bench.config(), config).unwrap();
    let mount = bench.mount();
    read(chunk(&mount, 0, 0)).unwrap();
    let state = || service(&mount, "cache-b")["limits"][0]["state"].clone();
    read(chunk(&mount, 1, 0)).unwrap();
    until("the warning", || state() == "warning" && warnings(&mount, "cache_b.bytes_per_month") == 1);
    read(chunk(&mount, 2, 0)).unwrap();
    until("it is used up", || state() == "used-up");
    assert_eq!(errno(read(chunk(&mount, 3, 0))), libc::EDQUOT);
    assert!(read(chunk(&mount, 0, 0)).is_ok());
    let top = mount.path.clone();
    let shown = within(LIMIT, "df", move || statvfs(&top).unwrap());
    assert_eq!((shown.blocks(), shown.blocks_available()), (most / 4096, 0));
}

/// 16.3: two mounts that read at once send together what is allowed, and not one request more.
#[test]
fn mount_two_mounts_share_a_limit() {
    let lines = "requests_per_month = \"14\"".to_owned();
    let bench = Setup { cache_b: lines, ..Setup::default() }.bench();
    let mounts = [bench.mount_at("one"), bench.mount_at("two")];
    for mount in &mounts {
        // The store's metadata.
        assert!(fs::metadata(mount.path.join("cache-b").join(CLIMATE)).is_ok());
    }
    let paths: Vec<Vec<PathBuf>> = mounts
        .iter()
        .enumerate()
        .map(|(at, mount)| (0..20).map(|number| chunk(mount, at * 5 + number / 4, number % 4)).collect())
        .collect();
    let readers: Vec<_> = paths
        .into_iter()
        .flat_map(|paths| paths.into_iter().map(|path| std::thread::spawn(move || errno(fs::read(path)))))
        .collect();
    let ends = within(LIMIT, "readers", move || {
        readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<i32>>()
    });
    assert!(ends.iter().all(|end| [0, libc::ENOENT, libc::EDQUOT].contains(end)), "{ends:?}");
    assert_eq!(requests(&bench), 14);
    assert!(mounts.iter().all(|mount| service(mount, "cache-b")["month"]["requests"] == 14));
}

/// 16.3, 16.4: what a killed mount has asked for is counted; with a limit to the last request, without one to the last
/// second.
#[test]
fn mount_a_killed_mount_is_counted() {
    let bench = limited("requests_per_day = 1000");
    let mount = bench.mount();
    for time in 0..5 {
        let _ = read(chunk(&mount, time, 0));
    }
    let product = bench.sample(&mount, "manifest.safe");
    read(&product.path).unwrap();
    let asked = requests(&bench);
    until("Cache-A is counted, too", || {
        let files = fs::read_dir(counts(&bench))
            .unwrap()
            .flat_map(|service| fs::read_dir(service.unwrap().path()).unwrap());
        let texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
        texts.filter(|text| text.contains("/stac/") && !text.contains("\"bytes\":0}")).count() > 0
    });
    mount.signal(Signal::SIGKILL);
    drop(mount);
    let mount = bench.mount_at("next");
    assert_eq!(service(&mount, "cache-b")["today"]["requests"], asked);
    let other = service(&mount, "cache-a");
    assert!(other["month"]["bytes"].as_u64().unwrap() >= product.size, "{other}");
    assert_eq!(other["requests"], 0, "that is of this mount alone");
}

/// 16.4: whatever is wrong with the counts, no read fails for it, and it is said.
#[test]
fn mount_broken_bookkeeping_fails_no_read() {
    let bench = limited("requests_per_day = 1000");
    let state = counts(&bench).parent().unwrap().to_owned();
    fs::create_dir_all(&state).unwrap();
    fs::write(counts(&bench), "in the way").unwrap();
    let mount = bench.mount();
    assert!(read(chunk(&mount, 0, 0)).is_ok());
    let shown = service(&mount, "cache-b");
    assert!(shown["counts_problem"].as_str().unwrap().contains("not kept"), "{shown}");
    assert_eq!(shown["today"]["requests"], requests(&bench));
    assert_eq!(warnings(&mount, "cache-b: what is counted is not kept"), 1);

    // Mended, damaged while mounted, and removed.
    fs::remove_file(counts(&bench)).unwrap();
    assert!(read(chunk(&mount, 1, 0)).is_ok());
    let asked = requests(&bench);
    let files = || {
        let services = fs::read_dir(counts(&bench)).unwrap().map(|service| service.unwrap().path());
        services.flat_map(|service| ["a", "b"].map(|name| service.join(name))).collect::<Vec<PathBuf>>()
    };
    for file in files() {
        fs::write(file, [0xff; 300]).unwrap();
    }
    assert!(read(chunk(&mount, 2, 0)).is_ok());
    // The mount may just be writing into it.
    until("the counts are removed", || fs::remove_dir_all(&state).is_ok());
    assert!(read(chunk(&mount, 4, 0)).is_ok());
    mount.end();
    let mount = bench.mount();
    assert_eq!(service(&mount, "cache-b")["today"]["requests"], asked + 2);
    assert!(service(&mount, "cache-b")["counts_problem"].is_null());
}

/// 16.5: a volume that is used up at the service stops requests until the time it names, for an hour if it names none;
/// also those of another mount and of the next one.
#[test]
fn mount_a_quota_pauses_all_mounts() {
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(9 * 24 * 3600));
    for (named, least, most) in
        [(None, 3500, 3700), (Some("7200".to_owned()), 7000, 7300), (Some(date), 700_000, 800_000)]
    {
        // A limit that is far away: then the mounts look at each other's counts before each request.
        let bench = limited("requests_per_day = 100000");
        let mounts = [bench.mount_at("one"), bench.mount_at("two")];
        let held = read(chunk(&mounts[0], 0, 0)).unwrap();
        read(chunk(&mounts[1], 0, 1)).unwrap();
        bench.emulator.change(|behaviour| {
            behaviour.cache_b.request_quota = Some(0);
            behaviour.cache_b.retry_after = named.clone();
        });
        assert_eq!(errno(read(chunk(&mounts[0], 1, 0))), libc::EDQUOT);
        bench.emulator.journal().reset();
        // Who is refused at once asks again: a storm, if it got out.
        for number in 8..40 {
            assert_eq!(errno(read(chunk(&mounts[number % 2], number / 4, number % 4))), libc::EDQUOT);
        }
        assert_eq!(requests(&bench), 0, "{named:?}");
        assert_eq!(read(chunk(&mounts[0], 0, 0)).unwrap(), held);
        assert_eq!(warnings(&mounts[0], "429"), 1);
        let [one, two] = mounts;
        one.end();
        two.end();
        let mount = bench.mount();
        assert_eq!(errno(read(chunk(&mount, 3, 0))), libc::EDQUOT);
        assert_eq!(requests(&bench), 0, "{named:?}");
        let shown = service(&mount, "cache-b");
        let until: jiff::Timestamp = shown["paused_until"].as_str().unwrap().parse().unwrap();
        let left = (until - jiff::Timestamp::now()).total(jiff::Unit::Second).unwrap();
        assert!((f64::from(least)..f64::from(most)).contains(&left), "{named:?}: {left} s");
        let last = output_of(
            std::process::Command::new("getfattr")
                .args(["--only-values", "-n", "user.dcmsfs.last_error"])
                // The store opens as it was known; its chunks cannot be looked up.
                .arg(mount.path.join("cache-b").join(CLIMATE).join("t2m"))
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap(),
        );
        let last = String::from_utf8(last.stdout).unwrap();
        assert!(last.contains("429") && last.contains("no request is sent to cache-b before"), "{last}");
    }
}

/// 16.5: a pause of up to two minutes is waited out.
#[test]
fn mount_a_short_pause_is_waited_out() {
    let bench = Bench::demo();
    let mount = bench.mount();
    read(chunk(&mount, 0, 0)).unwrap();
    bench.fault(&format!("GET *{CLIMATE}/t2m/1.0.0 nth=1 -> status code=429 retry-after=1"));
    bench.emulator.journal().reset();
    assert!(read(chunk(&mount, 1, 0)).is_ok());
    assert_eq!(requests(&bench), 2);
    assert!(service(&mount, "cache-b")["paused_until"].is_null());
}
