//! A service that breaks: no wrong byte, the stated error, no hang, no lost slot, and all well afterwards.

use std::time::{Duration, Instant};

use dcms_emulator::journal::Endpoint;

use super::harness::{Bench, Mount, Sample, Setup, assert_same, errno, read};

/// A bench whose files have several blocks.
fn bench() -> (Bench, Mount, Sample) {
    bench_of(40)
}

fn bench_of(shrink: u64) -> (Bench, Mount, Sample) {
    let bench = Setup::synthetic(shrink).bench();
    let mount = bench.mount();
    let sample = bench.computed(&mount, "_B02_10m.jp2");
    assert!(sample.size > 2 << 20, "{}", sample.size);
    (bench, mount, sample)
}

/// The service is well again: another file can be read, no slot is held, and the same file can be read too.
fn all_well(bench: &Bench, mount: &Mount, sample: &Sample) {
    bench.emulator.faults().clear();
    mount.settles();
    let begun = Instant::now();
    loop {
        // A failure is remembered for two seconds.
        match read(&sample.path) {
            Ok(found) => {
                assert_same(&found, &bench.expect(sample), "after the fault");
                break;
            }
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(5), "{error}"),
        }
    }
    mount.settles();
}

/// 8.3, 1.4: what may pass is tried again, and nobody notices.
#[test]
fn mount_a_broken_body_is_continued() {
    let (bench, mount, _) = bench();
    // A file of its own for each, since what has been read stays in memory.
    let cases = [
        ("status code=500", "B02_20m", "first=1"),
        ("status code=503", "B03_20m", "first=2"),
        ("status code=502", "B04_20m", "first=1"),
        ("status code=408", "B05_20m", "first=1"),
        ("reset after=0", "B06_20m", "first=1"),
        ("reset after=1", "B07_20m", "first=1"),
        ("reset after=100k", "B11_20m", "first=2"),
        ("close after=0", "B12_20m", "first=1"),
        ("close after=1", "B8A_20m", "first=1"),
        ("close after=65535", "TCI_20m", "first=1"),
        ("close after=65537", "WVP_20m", "first=1"),
        ("reset after=65536", "B01_20m", "first=1"),
        ("stall after=70k for=2s", "B04_10m", "first=1"),
        ("raw text=garbage", "B08_10m", "first=1"),
    ];
    // Not in the order of a copy, which would be fetched ahead.
    for (effect, part, nth) in cases.into_iter().rev() {
        let sample = bench.computed(&mount, &format!("_{part}.jp2"));
        bench.fault(&format!("/stac/download*{part}.jp2 {nth} -> {effect}"));
        let found = read(&sample.path).unwrap_or_else(|error| panic!("{effect}: {error}"));
        assert_same(&found, &bench.expect(&sample), effect);
        assert!(bench.emulator.faults().total_hits() > 0, "{effect} was never met");
        let bytes = bench.emulator.journal().bytes(Endpoint::Download);
        assert!(bytes <= sample.size * 105 / 100 + (128 << 10), "{effect}: {bytes} for {}", sample.size);
        bench.emulator.faults().clear();
    }
    mount.settles();
    mount.end();
}

/// 1.4: without parts the transfer begins again, once.
#[test]
fn mount_a_broken_whole_begins_again_once() {
    let (bench, mount, _) = bench();
    bench.emulator.change(|behaviour| behaviour.download.range = false);
    for (effect, part) in
        [("reset after=300k", "B04_20m"), ("close after=1", "B03_20m"), ("status code=500", "B02_20m")]
    {
        let sample = bench.computed(&mount, &format!("_{part}.jp2"));
        bench.fault(&format!("/stac/download*{part}.jp2 first=1 -> {effect}"));
        let found = read(&sample.path).unwrap_or_else(|error| panic!("{effect}: {error}"));
        assert_same(&found, &bench.expect(&sample), effect);
        assert_eq!(bench.downloads(), 2, "{effect}");
        bench.emulator.faults().clear();
    }
    // Other bytes the second time, by a service that tells no version: never a mixture.
    bench.emulator.change(|behaviour| {
        behaviour.download.etag = false;
        behaviour.download.last_modified = false;
    });
    let sample = bench.computed(&mount, "_B05_20m.jp2");
    bench.fault("/stac/download*B05_20m.jp2 nth=1 -> reset after=300k");
    bench.fault("/stac/download*B05_20m.jp2 nth=2 -> change");
    assert_eq!(errno(read(&sample.path)), libc::ESTALE);
    all_well(&bench, &mount, &sample);
}

/// 8.5: what does not pass ends with its own error number, in bounded time and with few requests, and when it is
/// over all is well.
#[test]
fn mount_error_numbers() {
    // All files longer than a first request: one for a whole file has no range that could be answered wrongly.
    let (bench, mount, _) = bench_of(8);
    // Effect, errno, most requests: the kernel asks for several parts at once, for a failing page twice, and each
    // part may have a guess behind it; a slow machine outlives the memory of a failure.
    let cases = [
        ("status code=403", "B02_20m", libc::EACCES, 8),
        ("status code=404", "B03_20m", libc::ESTALE, 8),
        ("status code=410", "B04_20m", libc::ESTALE, 8),
        ("status code=400", "B05_20m", libc::EPROTO, 8),
        ("status code=451", "B06_20m", libc::EPROTO, 8),
        ("status code=416", "B07_20m", libc::EPROTO, 8),
        ("html", "B11_20m", libc::EPROTO, 8),
        ("multipart", "TCI_10m", libc::EPROTO, 8),
        ("gzip", "B8A_20m", libc::EPROTO, 8),
        ("content-range shift=1", "B03_10m", libc::EPROTO, 8),
        ("shift-range by=-5", "B04_10m", libc::EPROTO, 8),
        ("length add=10", "B08_10m", libc::EPROTO, 8),
        ("redirect to=foreign", "B02_10m", libc::EPROTO, 8),
        ("redirect to=http://169.254.169.254/latest", "B12_20m", libc::EPROTO, 8),
        ("redirect to=file:///etc/passwd", "WVP_20m", libc::EPROTO, 8),
    ];
    for (effect, part, expected, requests) in cases.into_iter().rev() {
        let sample = bench.computed(&mount, &format!("_{part}.jp2"));
        // The first file of all is read with a fault in the second of its requests.
        bench.fault(&format!("/stac/download*{part}.jp2 after=0 -> {effect}"));
        let begun = Instant::now();
        assert_eq!(errno(read(&sample.path)), expected, "{effect}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{effect}: {:?}", begun.elapsed());
        assert!(bench.downloads() <= requests, "{effect}: {} requests", bench.downloads());
        all_well(&bench, &mount, &sample);
    }
    mount.end();
}

/// 8.3, 8.4: a service that fails for good costs six attempts, not twelve, although the kernel asks twice; then
/// it is `EIO`.
#[test]
fn mount_retries_are_bounded() {
    let (bench, mount, sample) = bench();
    bench.fault("/stac/download* -> status code=500");
    let begun = Instant::now();
    assert_eq!(errno(read(&sample.path)), libc::EIO);
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert!(bench.downloads() <= 7, "{} requests", bench.downloads());
    all_well(&bench, &mount, &sample);
}

/// 8.4: many readers of a failing file make no storm.
#[test]
fn mount_a_failure_costs_one_round() {
    let (bench, mount, sample) = bench();
    bench.fault("/stac/download* -> status code=403");
    let readers: Vec<_> = (0..16)
        .map(|_| {
            let path = sample.path.clone();
            std::thread::spawn(move || errno(read(path)))
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.join().unwrap(), libc::EACCES);
    }
    assert!(bench.downloads() <= 3, "{} requests", bench.downloads());
    all_well(&bench, &mount, &sample);
}

/// 8.3: in the time for which the service wants no request, it gets none, not even from those who have been
/// waiting for a slot.
#[test]
fn mount_retry_after_is_obeyed() {
    for status in [429, 503] {
        let (bench, mount, _) = bench();
        let parts = ["B02_20m", "B03_20m", "B04_20m", "B05_20m", "B06_20m"];
        let samples: Vec<Sample> =
            parts.iter().map(|part| bench.computed(&mount, &format!("_{part}.jp2"))).collect();
        // Both slots are taken when the refusal comes; the others wait behind them.
        bench.fault(&format!(
            "/stac/download* first=1 -> delay for=300ms + status code={status} retry-after=2"
        ));
        bench.fault("/stac/download* nth=2 -> stall after=10 for=600ms");
        let readers: Vec<_> = samples
            .iter()
            .map(|sample| {
                let (path, expected) = (sample.path.clone(), bench.expect(sample));
                std::thread::spawn(move || assert_same(&read(path).unwrap(), &expected, "after the pause"))
            })
            .collect();
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        let entries = bench.emulator.journal().snapshot().entries;
        let refused = entries.iter().find(|entry| entry.status == Some(status)).unwrap().ended.unwrap();
        let pause = refused + Duration::from_millis(100)..refused + Duration::from_millis(1900);
        let within = entries.iter().filter(|entry| pause.contains(&entry.started)).count();
        assert_eq!(within, 0, "requests inside of the pause after {status}");
    }
}

/// 8.3: a pause of an hour is not waited for; the read fails at once.
#[test]
fn mount_a_long_retry_after_fails_at_once() {
    let (bench, _mount, sample) = bench();
    bench.fault("/stac/download* -> status code=429 retry-after=3600");
    let begun = Instant::now();
    assert_eq!(errno(read(&sample.path)), libc::ETIMEDOUT);
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(bench.downloads() <= 2);
}

/// 8.5: what is in memory stays readable when the service is gone.
#[test]
fn mount_what_is_in_memory_stays_readable() {
    let (bench, mount, sample) = bench();
    let expected = bench.expect(&sample);
    assert_same(&read(&sample.path).unwrap(), &expected, "at first");
    bench.fault("* -> status code=500");
    super::sys::drop_pages(&std::fs::File::open(&sample.path).unwrap());
    assert_same(&read(&sample.path).unwrap(), &expected, "with the service gone");
    drop(mount);
}

/// 4.4: a listing that the service breaks off is an error, not a short list.
#[test]
fn mount_a_failed_listing_is_an_error() {
    let bench = Bench::demo();
    let mount = bench.mount();
    let day = mount.path.join("cache-a/SENTINEL-2/by-date/2024/09/24");
    let above = day.parent().unwrap().to_owned();
    assert!(super::harness::names(above).is_ok());
    for (effect, expected) in [
        ("status code=403", libc::EACCES),
        ("status code=400", libc::EPROTO),
        ("html", libc::EPROTO),
        ("status code=200 body=\"{\\\"type\\\":\\\"FeatureCollection\\\"\"", libc::EPROTO),
    ] {
        bench.fault(&format!("/stac/api/* -> {effect}"));
        assert_eq!(errno(super::harness::names(&day)), expected, "{effect}");
        bench.emulator.faults().clear();
    }
    assert_eq!(super::harness::names(&day).unwrap(), ["T32TPS", "T32TQM"]);
}
