//! Whole files of the cache, which the kernel reads by itself where it may; else the same bytes come through the
//! daemon. How files are opened meanwhile must not show.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::harness::{Bench, LIMIT, Mount, Sample, Setup, assert_same, read, until, within};
use super::sys;

fn bench() -> (Bench, Mount, Sample, Vec<u8>) {
    let bench = Setup::synthetic(40).bench();
    let mount = bench.mount();
    let sample = bench.computed(&mount, "_B02_10m.jp2");
    let expected = bench.expect(&sample);
    (bench, mount, sample, expected)
}

fn open(sample: &Sample) -> Arc<File> {
    let path = sample.path.clone();
    Arc::new(within(LIMIT, "open", move || File::open(path)).unwrap())
}

/// Whether the kernel took the offer to read files by itself.
fn may(mount: &Mount) -> bool {
    mount.log().contains("passthrough taken=true")
}

/// Whether this file can be read while the daemon stands still.
fn by_itself(mount: &Mount, file: &Arc<File>) -> bool {
    sys::drop_pages(file);
    let (sender, receiver) = mpsc::channel();
    let file = Arc::clone(file);
    mount.signal(Signal::SIGSTOP);
    let reader = thread::spawn(move || sender.send(file.read_exact_at(&mut [0; 4096], 70_000)));
    let read = receiver.recv_timeout(Duration::from_millis(500));
    mount.signal(Signal::SIGCONT);
    let _ = within(LIMIT, "the reader", move || reader.join().unwrap());
    read.is_ok_and(|read| read.is_ok())
}

/// Reads all of it, and waits until it is complete on disk.
fn complete(mount: &Mount, sample: &Sample) {
    read(&sample.path).unwrap();
    if may(mount) {
        until("the kernel reads it by itself", || by_itself(mount, &open(sample)));
    }
}

fn check(file: &Arc<File>, expected: &[u8]) {
    let file = Arc::clone(file);
    let mut found = vec![0; 10_000];
    let found = within(LIMIT, "pread", move || file.read_exact_at(&mut found, 123_457).map(|()| found));
    assert_same(&found.unwrap(), &expected[123_457..133_457], "a piece");
}

/// 1.1, 5.2: every way to read a complete file gives its bytes, its size stays, and no service is asked.
#[test]
fn mount_a_complete_file_is_read_in_every_way() {
    let (bench, mount, sample, expected) = bench();
    complete(&mount, &sample);
    bench.emulator.journal().reset();
    assert_same(&read(&sample.path).unwrap(), &expected, "read");
    let file = open(&sample);
    let mapped = Arc::clone(&file);
    assert_same(&within(LIMIT, "mmap", move || sys::read_mapped(&mapped).unwrap()), &expected, "mapped");
    let copy = bench.home.path().join("copy");
    let (from, to) = (open(&sample), File::create(&copy).unwrap());
    within(LIMIT, "sendfile", move || sys::send_file(&from, &to).unwrap());
    assert_same(&std::fs::read(copy).unwrap(), &expected, "sent");
    let direct = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(&sample.path).unwrap();
    let found = within(LIMIT, "O_DIRECT", move || sys::read_direct(&direct, 8192, 65_536).unwrap());
    assert_same(&found, &expected[8192..73_728], "direct");
    assert_eq!(file.metadata().unwrap().len(), expected.len() as u64);
    assert_eq!(file.read_at(&mut [0; 10], expected.len() as u64).unwrap(), 0);
    assert_eq!(bench.downloads(), 0);
    drop(file);
    mount.end();
}

/// A file that becomes complete while it is open, opened and closed in every order: the kernel refuses to mix its
/// ways to read one file (fuse.md 2), and nobody may notice.
#[test]
fn mount_a_file_completes_while_it_is_open() {
    let (bench, mount, _, _) = bench();
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let parts = ["B02_20m", "B03_20m", "B04_20m", "B05_20m", "B06_20m", "B07_20m"];
    for (order, part) in orders.into_iter().zip(parts) {
        let sample = bench.computed(&mount, &format!("_{part}.jp2"));
        let expected = bench.expect(&sample);
        let first = open(&sample);
        check(&first, &expected);
        assert_same(&read(&sample.path).unwrap(), &expected, part);
        // A moment in which it may reach the disk.
        thread::sleep(Duration::from_millis(300));
        let mut files = [Some(first), Some(open(&sample)), Some(open(&sample))];
        for which in order {
            files[which] = None;
            check(&open(&sample), &expected);
            files.iter().flatten().for_each(|file| check(file, &expected));
        }
        complete(&mount, &sample);
        check(&open(&sample), &expected);
    }
}

/// The same from many threads at once.
#[test]
fn mount_many_open_a_complete_file_at_once() {
    let (_bench, mount, sample, expected) = bench();
    complete(&mount, &sample);
    let expected = Arc::new(expected);
    let threads: Vec<_> = (0..8)
        .map(|_| (sample.clone(), Arc::clone(&expected)))
        .map(|(sample, expected)| {
            thread::spawn(move || {
                for _ in 0..500 {
                    let file = File::open(&sample.path).unwrap();
                    let mut found = [0; 4096];
                    file.read_exact_at(&mut found, 4096).unwrap();
                    assert_same(&found, &expected[4096..8192], "a piece");
                }
            })
        })
        .collect();
    within(LIMIT, "eight readers", move || threads.into_iter().for_each(|thread| thread.join().unwrap()));
}
