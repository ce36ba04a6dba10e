//! Bytes: the right ones, however they are asked for, and each from the service once.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::{Arc, Barrier};
use std::thread;

use dcms_emulator::journal::Endpoint;

use super::harness::{Bench, LIMIT, Mount, PRODUCT, Sample, Setup, assert_same, read, within};
use super::sys;

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// 1.1: every file of a product has the service's bytes, and its size is known before it is opened.
#[test]
fn mount_every_file_of_a_product_is_right() {
    let bench = Bench::demo();
    let mount = bench.mount();
    let samples = bench.samples(&mount, PRODUCT);
    assert!(samples.len() > 50, "{}", samples.len());
    for sample in &samples {
        let path = sample.path.clone();
        let size = within(LIMIT, "stat", move || fs::metadata(path).unwrap().len());
        assert_eq!(size, sample.size, "{}", sample.key);
        assert_same(&read(&sample.path).unwrap(), &bench.expect(sample), &sample.key);
    }
    assert!(bench.emulator.journal().peak(Endpoint::Download) <= 2);
    mount.settles();
    mount.end();
}

/// What differs between the services that large files are read from.
type Quirk = fn(&mut dcms_emulator::Behaviour);

fn large(quirk: Quirk) -> (Bench, Mount, Sample) {
    let setup = Setup { tables: "[cache]\nmemory = \"16MiB\"\n".into(), ..Setup::synthetic(2) };
    let bench = setup.bench();
    bench.emulator.change(quirk);
    let mount = bench.mount();
    let sample = bench.computed(&mount, "_B02_10m.jp2");
    assert!(sample.size > 40 << 20);
    (bench, mount, sample)
}

/// Reads here and there, from several places at once, against the true bytes.
fn jump_about(bench: &Bench, sample: &Sample, jumps: u64) {
    let file = Arc::new(File::open(&sample.path).unwrap());
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    for _ in 0..jumps {
        let length = 1 + dice.below(300_000) as usize;
        // Some begin behind the end.
        let offset = dice.below(sample.size + 100_000);
        let file = Arc::clone(&file);
        let found = within(LIMIT, "pread", move || {
            let mut buffer = vec![0; length];
            let mut filled = 0;
            while filled < length {
                match file.read_at(&mut buffer[filled..], offset + filled as u64).unwrap() {
                    0 => break,
                    read => filled += read,
                }
            }
            buffer.truncate(filled);
            buffer
        });
        let expected = bench.emulator.expect_range(&sample.key, offset, length).unwrap();
        assert_same(&found, &expected, &format!("{length} at {offset}"));
    }
}

/// Reads from end to end while others do the same a bit later, in one file that does not fit into memory.
fn run_through(bench: &Bench, sample: &Sample, readers: u64) {
    let expected = Arc::new(bench.expect(sample));
    let threads: Vec<_> = (0..readers)
        .map(|number| {
            let (path, expected) = (sample.path.clone(), Arc::clone(&expected));
            thread::spawn(move || {
                let mut file = File::open(path).unwrap();
                let begin = expected.len() as u64 / 5 * number;
                file.seek(SeekFrom::Start(begin)).unwrap();
                let mut found = Vec::new();
                file.read_to_end(&mut found).unwrap();
                assert_same(&found, &expected[begin as usize..], "a run to the end");
            })
        })
        .collect();
    within(LIMIT * 2, "runs to the end", move || threads.into_iter().for_each(|t| t.join().unwrap()));
}

/// 1.1, 1.2: jumps and runs in a file larger than the memory, from a service that gives parts.
#[test]
fn mount_reads_are_never_short() {
    let (bench, mount, sample) = large(|_| {});
    jump_about(&bench, &sample, 60);
    run_through(&bench, &sample, 2);
    mount.settles();
    assert!(bench.emulator.journal().peak(Endpoint::Download) <= 2);
}

/// The same without entity tags and lengths.
#[test]
fn mount_reads_are_never_short_without_lengths_and_tags() {
    let (bench, mount, sample) = large(|behaviour| {
        behaviour.download.content_length = false;
        behaviour.download.etag = false;
        behaviour.download.last_modified = false;
    });
    jump_about(&bench, &sample, 30);
    run_through(&bench, &sample, 1);
    mount.settles();
}

/// The same from a service that always sends the whole file.
#[test]
fn mount_reads_are_never_short_without_parts() {
    let (bench, mount, sample) = large(|behaviour| behaviour.download.range = false);
    run_through(&bench, &sample, 1);
    jump_about(&bench, &sample, 12);
    mount.settles();
    assert!(bench.emulator.journal().peak(Endpoint::Download) <= 2);
}

/// The same from one that sends the whole file without saying how long it is.
#[test]
fn mount_reads_are_never_short_from_a_chunked_whole() {
    let (bench, mount, sample) = large(|behaviour| {
        behaviour.download.range = false;
        behaviour.download.content_length = false;
        behaviour.download.etag = false;
        behaviour.items.sizes = dcms_emulator::behaviour::Sizes::None;
    });
    run_through(&bench, &sample, 1);
    mount.settles();
}

/// 1.2: buffered, mapped, direct, by `sendfile` and by `copy_file_range`, the bytes are the same.
#[test]
fn mount_all_ways_of_reading_agree() {
    let bench = Setup::synthetic(20).bench();
    let mount = bench.mount();
    let sample = bench.computed(&mount, "_B02_10m.jp2");
    let expected = bench.expect(&sample);
    let open = || File::open(&sample.path).unwrap();

    let file = open();
    let mapped = within(LIMIT, "mmap", move || sys::read_mapped(&file).unwrap());
    assert_same(&mapped, &expected, "mmap");

    let direct = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(&sample.path).unwrap();
    let direct = within(LIMIT, "O_DIRECT", move || {
        let mut found = Vec::new();
        loop {
            let piece = sys::read_direct(&direct, found.len() as u64, 1 << 20).unwrap();
            if piece.is_empty() {
                return found;
            }
            found.extend(piece);
        }
    });
    assert_same(&direct, &expected, "O_DIRECT");

    let (sent, copied) = (bench.home.path().join("sent"), bench.home.path().join("copied"));
    let (from, to) = (open(), File::create(&sent).unwrap());
    let count = within(LIMIT, "sendfile", move || sys::send_file(&from, &to).unwrap());
    assert_eq!(count, sample.size);
    assert_same(&fs::read(&sent).unwrap(), &expected, "sendfile");

    let (mut from, mut to) = (open(), File::create(&copied).unwrap());
    within(LIMIT, "copy", move || {
        std::io::copy(&mut from, &mut to).unwrap();
        to.flush().unwrap();
    });
    assert_same(&fs::read(&copied).unwrap(), &expected, "copy_file_range or splice");
    assert!(bench.emulator.journal().bytes(Endpoint::Download) <= sample.size * 105 / 100);
}

/// 1.1: the end is where it is: nothing behind it, a part across it, zero bytes asked for.
#[test]
fn mount_the_end_of_a_file_is_where_it_is() {
    let bench = Bench::demo();
    let mount = bench.mount();
    let sample = bench.sample(&mount, "_B02_10m.jp2");
    let expected = bench.expect(&sample);
    let file = File::open(&sample.path).unwrap();
    let size = sample.size;
    let found = within(LIMIT, "reads at the end", move || {
        let read = |offset: u64, length: usize| {
            let mut buffer = vec![0; length];
            let read = file.read_at(&mut buffer, offset).unwrap();
            buffer.truncate(read);
            buffer
        };
        [read(size, 10), read(size + 1, 10), read(size + (1 << 40), 10), read(size - 3, 10), read(0, 0)]
    });
    assert!(found[0].is_empty() && found[1].is_empty() && found[2].is_empty() && found[4].is_empty());
    assert_eq!(found[3], expected[expected.len() - 3..]);
}

/// 1.6: sixteen programs that read one file at once cost one download, and reading again none, whether the
/// kernel kept its pages or not.
#[test]
fn mount_many_readers_one_download() {
    for ranges in [true, false] {
        let bench = Setup::synthetic(10).bench();
        bench.emulator.change(|behaviour| behaviour.download.range = ranges);
        let mount = bench.mount();
        let sample = bench.computed(&mount, "_B02_10m.jp2");
        let expected = Arc::new(bench.expect(&sample));
        let start = Arc::new(Barrier::new(16));
        let threads: Vec<_> = (0..16)
            .map(|_| {
                let (path, expected) = (sample.path.clone(), Arc::clone(&expected));
                let start = Arc::clone(&start);
                thread::spawn(move || {
                    start.wait();
                    assert_same(&fs::read(path).unwrap(), &expected, "one of sixteen");
                })
            })
            .collect();
        within(LIMIT, "sixteen readers", move || threads.into_iter().for_each(|t| t.join().unwrap()));
        let bytes = bench.emulator.journal().bytes(Endpoint::Download);
        let transfers = bench.transfers();
        let most = sample.size * 105 / 100;
        assert!(bytes <= most, "{bytes} bytes for {} (ranges: {ranges}): {transfers:#?}", sample.size);

        mount.settles();
        bench.emulator.journal().reset();
        assert_same(&read(&sample.path).unwrap(), &expected, "again");
        sys::drop_pages(&File::open(&sample.path).unwrap());
        assert_same(&read(&sample.path).unwrap(), &expected, "without the kernel's pages");
        assert_eq!(bench.downloads(), 0);
    }
}

/// 1.6: before the first answer nobody knows whether a server gives parts: who comes meanwhile waits for that answer,
/// since a second request could bring the whole file again.
#[test]
fn mount_the_first_answer_is_waited_for() {
    let bench = Setup::synthetic(10).bench();
    bench.emulator.change(|behaviour| behaviour.download.range = false);
    let mount = bench.mount();
    let sample = bench.computed(&mount, "_B02_10m.jp2");
    bench.fault("/stac/download* -> delay for=300ms");
    let expected = Arc::new(bench.expect(&sample));
    let start = Arc::new(Barrier::new(4));
    let jump = |offset: u64| {
        let (path, expected, start) = (sample.path.clone(), Arc::clone(&expected), Arc::clone(&start));
        thread::spawn(move || {
            let file = File::open(path).unwrap();
            let mut buffer = vec![0; 4096];
            start.wait();
            file.read_exact_at(&mut buffer, offset).unwrap();
            assert_same(&buffer, &expected[offset as usize..][..4096], "a piece");
        })
    };
    let threads = [0, 2 << 20, 4 << 20, 6 << 20].map(jump);
    within(LIMIT, "four readers", move || threads.into_iter().for_each(|thread| thread.join().unwrap()));
    mount.settles();
    assert_eq!(bench.downloads(), 1, "{:#?}", bench.transfers());
}

/// 1.7: the first bytes of a file are there long before the last.
#[test]
fn mount_the_first_bytes_do_not_wait_for_the_last() {
    for ranges in [true, false] {
        let bench = Setup::synthetic(10).bench();
        bench.emulator.change(|behaviour| behaviour.download.range = ranges);
        let mount = bench.mount();
        let sample = bench.computed(&mount, "_B02_10m.jp2");
        // 200 KB/s: the file takes half a minute.
        bench.fault("/stac/download* -> drip rate=400k");
        let file = File::open(&sample.path).unwrap();
        let begun = std::time::Instant::now();
        let found = within(LIMIT, "the first bytes", move || {
            let mut first = vec![0; 4096];
            file.read_exact_at(&mut first, 0).unwrap();
            first
        });
        assert!(begun.elapsed().as_secs() < 4, "{:?} (ranges: {ranges})", begun.elapsed());
        assert_same(&found, &bench.emulator.expect_range(&sample.key, 0, 4096).unwrap(), "the first bytes");
    }
}

/// 1.8: a read somewhere in a large file brings its own blocks, not the file.
#[test]
fn mount_a_jump_fetches_one_block() {
    let bench = Setup::synthetic(2).bench();
    let mount = bench.mount();
    let sample = bench.computed(&mount, "_B02_10m.jp2");
    let direct = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(&sample.path).unwrap();
    let direct = Arc::new(direct);
    for (number, offset) in [30 << 20, 10 << 20, 20 << 20].into_iter().enumerate() {
        let file = Arc::clone(&direct);
        within(LIMIT, "a jump", move || sys::read_direct(&file, offset, 4096).unwrap());
        let (requests, bytes) = (bench.downloads(), bench.emulator.journal().bytes(Endpoint::Download));
        assert_eq!((requests, bytes), (number as u64 + 1, (number as u64 + 1) * 64 * 1024));
    }
}
