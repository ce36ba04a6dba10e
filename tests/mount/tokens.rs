//! Tokens that end in the middle of work, and a token endpoint that is down, slow or lying.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dcms_emulator::Network;
use dcms_emulator::journal::Endpoint;

use super::harness::{Bench, LIMIT, Mount, Sample, Setup, assert_same, errno, read, until, within};

/// A service whose access tokens live for `seconds`, and a mount that has such a one.
fn short_lived(shrink: u64, seconds: u64) -> (Bench, Mount, Vec<Sample>) {
    let mut setup = Setup::synthetic(shrink);
    setup.options.behaviour.login.access_lifetime = seconds;
    let bench = setup.bench();
    let mount = bench.mount();
    let first = bench.computed(&mount, "_B02_10m.jp2");
    let parts = [
        "B03_10m", "B04_10m", "B08_10m", "TCI_10m", "B02_20m", "B03_20m", "B04_20m", "B05_20m", "B06_20m",
        "B07_20m", "B8A_20m", "B11_20m", "B12_20m", "SCL_20m", "AOT_20m",
    ];
    let others = parts.iter().map(|part| bench.computed(&mount, &format!("_{part}.jp2")));
    let samples = std::iter::once(first).chain(others).collect();
    bench.emulator.journal().reset();
    (bench, mount, samples)
}

fn token_requests(bench: &Bench) -> u64 {
    bench.emulator.journal().requests(Endpoint::Token)
}

/// 10.4, 1.1: sixty-four readers over a token that ends every two seconds, checked at every piece of a transfer: every
/// byte is right, nobody fails, and each token is renewed once.
#[test]
fn mount_sixty_four_readers_over_a_token_of_two_seconds() {
    let (bench, mount, samples) = short_lived(8, 2);
    bench.emulator.change(|behaviour| behaviour.login.check_during_transfer = true);
    // Slow enough for several tokens.
    bench.emulator.set_network(Network { rate_total: Some(4 << 20), ..Network::default() });
    let expected: Arc<Vec<Vec<u8>>> = Arc::new(samples.iter().map(|sample| bench.expect(sample)).collect());
    let begun = Instant::now();
    bench.emulator.journal().reset();
    let samples = Arc::new(samples);
    let readers: Vec<_> = (0..64)
        .map(|reader| {
            let (samples, expected) = (Arc::clone(&samples), Arc::clone(&expected));
            thread::spawn(move || {
                let at = reader % samples.len();
                let (sample, expected) = (&samples[at], &expected[at]);
                let file = File::open(&sample.path).unwrap_or_else(|e| panic!("{}: {e}", sample.key));
                // Each from a place of its own, round to where it began.
                let start = expected.len() / 64 * reader;
                for range in [start..expected.len(), 0..start] {
                    let mut found = vec![0; range.len()];
                    file.read_exact_at(&mut found, range.start as u64)
                        .unwrap_or_else(|e| panic!("{}: {e}", sample.key));
                    assert_same(&found, &expected[range], &sample.key);
                }
            })
        })
        .collect();
    within(Duration::from_secs(120), "sixty-four readers", move || {
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
    let took = begun.elapsed().as_secs_f64();
    let journal = bench.emulator.journal();
    assert!(took > 6.0, "{took} s are too short to see tokens end");
    assert_eq!((journal.logins(), journal.requests(Endpoint::LoginPage)), (0, 0));
    assert_eq!(token_requests(&bench), journal.refreshes(), "each request brought a token");
    // One for each token, which is renewed after three quarters of its life at the earliest.
    assert!(journal.refreshes() as f64 <= took / 1.5 + 2.0, "{} renewals in {took} s", journal.refreshes());
    mount.settles();
}

/// 10.4: a transfer that is cut because its token has ended goes on where it was, with the new token.
#[test]
fn mount_a_transfer_goes_on_with_a_new_token() {
    let (bench, mount, samples) = short_lived(4, 3);
    bench.emulator.change(|behaviour| behaviour.login.check_during_transfer = true);
    bench.emulator.set_network(Network { rate_total: Some(2 << 20), ..Network::default() });
    let sample = &samples[0];
    assert!(sample.size > 10 << 20, "{}", sample.size);
    assert_same(&read(&sample.path).unwrap(), &bench.expect(sample), "over several tokens");
    let journal = bench.emulator.journal();
    let downloads =
        journal.snapshot().entries.into_iter().filter(|entry| entry.endpoint == Endpoint::Download);
    let (mut sent, mut cut) = (0, 0);
    for entry in downloads {
        sent += entry.bytes;
        cut += u32::from(entry.status.is_some_and(|status| status < 300) && !entry.complete);
    }
    assert!(cut > 0 && journal.refreshes() > 0, "{cut} cut, {} renewed", journal.refreshes());
    // Blocks on their way are lost at a cut, the file does not begin again.
    assert!(
        sent < sample.size + u64::from(cut + 1) * (4 << 20),
        "{sent} bytes for {}, {cut} cut",
        sample.size
    );
    mount.settles();
}

/// 10.9: while the token endpoint is down, slow or lying, what is cached is read as ever, uncached reads end with an
/// error, and the endpoint is asked a few times, not by each reader; when it is well again, so are the reads.
#[test]
fn mount_a_sick_token_endpoint_is_no_storm() {
    for (sickness, slow) in [
        ("status code=503", false),
        ("delay for=60s", true),
        ("status code=200 body={\"access_token\":\"x\",\"expires_in\":2}", false),
    ] {
        let (bench, mount, samples) = short_lived(40, 2);
        let cached = &samples[0];
        assert_same(&read(&cached.path).unwrap(), &bench.expect(cached), "while all was well");
        bench.fault(&format!("/protocol/openid-connect/token -> {sickness}"));
        bench.emulator.journal().reset();
        thread::sleep(Duration::from_secs(3));
        let failed = Arc::new(AtomicU64::new(0));
        let readers: Vec<_> = (0..48)
            .map(|reader| {
                let (path, failed) = (samples[1 + reader % 8].path.clone(), Arc::clone(&failed));
                thread::spawn(move || {
                    failed.fetch_add(u64::from(std::fs::read(&path).is_err()), Ordering::Relaxed);
                })
            })
            .collect();
        let slowest = (0..50)
            .map(|_| {
                let begun = Instant::now();
                assert_same(&read(&cached.path).unwrap(), &bench.expect(cached), "cached");
                thread::sleep(Duration::from_millis(20));
                begun.elapsed()
            })
            .max()
            .unwrap();
        assert!(slowest < Duration::from_secs(2), "{sickness}: a cached read took {slowest:?}");
        within(LIMIT * 3, "readers", move || readers.into_iter().for_each(|reader| reader.join().unwrap()));
        let asked = token_requests(&bench);
        assert!(failed.load(Ordering::Relaxed) > 0, "{sickness}: nothing failed");
        assert!(asked <= if slow { 6 } else { 12 }, "{sickness}: {asked} requests for a token");
        assert_eq!(bench.emulator.journal().requests(Endpoint::LoginPage), 0, "{sickness}");
        bench.emulator.faults().clear();
        let expected = bench.expect(&samples[9]);
        until("it is well again", || read(&samples[9].path).is_ok_and(|found| found == expected));
        mount.settles();
    }
}

/// 10.9: a token that is refused although it was renewed a moment ago is `EKEYREJECTED`, and is not renewed again and
/// again.
#[test]
fn mount_a_fresh_token_that_is_refused_is_said_so() {
    let (bench, mount, samples) = short_lived(40, 300);
    bench.fault("/stac/download -> status code=401");
    let readers: Vec<_> = (0..16)
        .map(|reader| {
            let path = samples[reader % 8].path.clone();
            thread::spawn(move || errno(std::fs::read(path)))
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.join().unwrap(), libc::EKEYREJECTED);
    }
    assert_eq!(token_requests(&bench), 1);
    let errors = String::from_utf8(read(mount.path.join(".dcmsfs/errors")).unwrap()).unwrap();
    assert!(errors.contains("Key was rejected by service"), "{errors}");
    mount.settles();
}
