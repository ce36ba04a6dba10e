//! What is fetched when: jumps, runs, copies, and who goes first when slots are short.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use dcms_emulator::journal::Endpoint;

use super::harness::{
    Bench, LIMIT, Mount, PRODUCT, Sample, Setup, assert_same, output_of, read, until, within,
};
use super::sys::attribute;

fn bench(shrink: u64) -> (Bench, Mount, Sample) {
    let bench = Setup::synthetic(shrink).bench();
    let mount = bench.mount();
    let sample = bench.computed(&mount, "_B02_10m.jp2");
    (bench, mount, sample)
}

fn bytes(bench: &Bench) -> u64 {
    bench.emulator.journal().bytes(Endpoint::Download)
}

/// Reads 4 KiB at each offset, one after another.
fn jumps(path: &Path, offsets: Vec<u64>) -> Vec<Vec<u8>> {
    let path = path.to_owned();
    within(LIMIT, "jumping", move || {
        let file = File::open(path).unwrap();
        let piece = |offset: u64| {
            let mut buffer = vec![0; 4096];
            file.read_exact_at(&mut buffer, offset).unwrap();
            buffer
        };
        offsets.into_iter().map(piece).collect()
    })
}

/// 12.1: one reader has both slots, and few requests.
#[test]
fn mount_one_reader_uses_both_slots() {
    let (bench, mount, sample) = bench(4);
    bench.fault("/stac/download* -> drip rate=40M");
    assert_same(&read(&sample.path).unwrap(), &bench.expect(&sample), "the file");
    let journal = bench.emulator.journal();
    assert_eq!(journal.peak(Endpoint::Download), 2);
    assert!(bench.downloads() <= 10, "{} requests for {} bytes", bench.downloads(), sample.size);
    assert!(bytes(&bench) <= sample.size * 101 / 100, "{} of {}", bytes(&bench), sample.size);
    mount.settles();
}

/// 12.1: the second transfer begins when the first answer tells that there are parts, before any of it can be read.
#[test]
fn mount_the_second_half_begins_with_the_first_answer() {
    let (bench, mount, sample) = bench(4);
    bench.fault("/stac/download* nth=1 -> stall after=1000 for=4s");
    let path = sample.path.clone();
    let reader = thread::spawn(move || read(path));
    until("there are two", || bench.downloads() == 2);
    assert!(bench.transfers()[0].1 <= 1000, "{:?}", bench.transfers());
    assert_same(&reader.join().unwrap().unwrap(), &bench.expect(&sample), "the file");
    assert_eq!(bench.emulator.journal().peak(Endpoint::Download), 2);
    mount.settles();
}

/// 12.1: a look at the beginning is no copy, even if it begins like one: what was asked for ahead is given up.
#[test]
fn mount_a_look_fetches_little_of_a_file() {
    let (bench, mount, sample) = bench(1);
    let expected = bench.expect(&sample);
    let path = sample.path.clone();
    let (file, found) = within(LIMIT, "a look", move || {
        let file = File::open(path).unwrap();
        let mut buffer = vec![0; 256 << 10];
        file.read_exact_at(&mut buffer, 0).unwrap();
        (file, buffer)
    });
    assert_same(&found, &expected[..found.len()], "the beginning");
    mount.settles();
    // What had been sent already lies in the buffers of two connections.
    assert!(bytes(&bench) < sample.size / 2, "{} of {}", bytes(&bench), sample.size);
    drop(file);
}

/// 12.1: where a service allows many, one reader has several, each with its part of the file.
#[test]
fn mount_one_reader_uses_many_slots() {
    let mut setup = Setup::synthetic(4);
    setup.cache_a = "downloads = 16".into();
    let bench = setup.bench();
    bench.emulator.change(|behaviour| behaviour.download.parallel = 16);
    let mount = bench.mount();
    let sample = bench.computed(&mount, "_B02_10m.jp2");
    bench.fault("/stac/download* -> drip rate=10M");
    assert_same(&read(&sample.path).unwrap(), &bench.expect(&sample), "the file");
    let journal = bench.emulator.journal();
    assert!(journal.peak(Endpoint::Download) > 3, "{} at once", journal.peak(Endpoint::Download));
    assert!(bench.downloads() <= 40, "{} requests for {} bytes", bench.downloads(), sample.size);
    assert!(bytes(&bench) <= sample.size * 102 / 100, "{} of {}", bytes(&bench), sample.size);
    mount.settles();
}

/// 12.2: a jump fetches one block of 64 KiB: 16 bytes for each that is read.
#[test]
fn mount_a_jump_fetches_little() {
    let (bench, mount, _) = bench(1);
    let sample = bench.computed(&mount, "_TCI_10m.jp2");
    let expected = bench.expect(&sample);
    // No two of one distance, and backwards: nothing that could be taken for a walk.
    let offsets: Vec<u64> = (1..12_u64).rev().map(|n| n * n * 900_000 / 4096 * 4096).collect();
    for (offset, found) in offsets.iter().zip(jumps(&sample.path, offsets.clone())) {
        assert_same(&found, &expected[*offset as usize..][..4096], "a piece");
    }
    assert!(bytes(&bench) <= 16 * 4096 * offsets.len() as u64, "{} bytes", bytes(&bench));
}

/// 12.3: a walk over the tile headers of a JPEG 2000 file fetches the file, not one piece for each header.
#[test]
fn mount_a_walk_over_tile_headers_fetches_the_file() {
    let (bench, mount, sample) = bench(2);
    let expected = bench.expect(&sample);
    let mut offsets = vec![0, sample.size - 4096];
    offsets.extend((0..60).map(|n| (n * 770) << 10).take_while(|offset| offset + 4096 < sample.size));
    for (offset, found) in offsets.iter().zip(jumps(&sample.path, offsets.clone())) {
        assert_same(&found, &expected[*offset as usize..][..4096], "a piece");
    }
    assert!(bench.downloads() <= 9, "{} requests for {} jumps", bench.downloads(), offsets.len());
    assert!(bytes(&bench) <= sample.size * 105 / 100);
    mount.settles();
}

/// 12.3: where the head of a file tells that it has no index of its tiles, the first jump fetches the file; a look at its
/// head and its end, as programs do that open it, does not.
#[test]
fn mount_a_jump_in_a_file_without_an_index_fetches_the_file() {
    const BAND: &str =
        "GRANULE/L2A_T32TQM_A048350_20240924T101521/IMG_DATA/R10m/T32TQM_20240924T101031_B02_10m.jp2";
    let head = [
        &[0, 0, 0, 12][..],
        b"jP  \r\n\x87\n",
        &[0, 0, 0, 0],
        b"jp2c",
        // SIZ: 2,048 by 2,048 in tiles of 1,024.
        &[0xff, 0x4f, 0xff, 0x51, 0, 41, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 15, 1, 1],
        &[0xff, 0x90, 0, 10],
    ]
    .concat();
    let mut content: Vec<u8> =
        (0..8_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    content[..head.len()].copy_from_slice(&head);
    let files = tempfile::tempdir().unwrap();
    let band = files.path().join(format!("products/SENTINEL-2/{PRODUCT}.SAFE/{BAND}"));
    std::fs::create_dir_all(band.parent().unwrap()).unwrap();
    std::fs::write(band, &content).unwrap();
    let mut setup = Setup::synthetic(1);
    setup.options.files = Some(files.path().into());
    let bench = setup.bench();
    let mount = bench.mount();
    let path = mount.path.join(format!("cache-a/SENTINEL-2/by-id/{PRODUCT}.SAFE/{BAND}"));
    let compare = |offsets: &[u64]| {
        for (offset, found) in offsets.iter().zip(jumps(&path, offsets.to_vec())) {
            assert_same(&found, &content[*offset as usize..][..4096], "a piece");
        }
    };
    compare(&[0, content.len() as u64 - 4096]);
    assert!(bytes(&bench) <= 256 << 10, "{} bytes for a look", bytes(&bench));
    compare(&[770 << 10]);
    until("all of it is there", || attribute(&path, "user.dcmsfs.complete").unwrap() == b"true");
    assert!(bench.downloads() <= 5, "{} requests", bench.downloads());
    mount.settles();
}

/// 12.3: also an overview that two threads read, each in its own tiles: no transfer pushes another out.
#[test]
fn mount_an_overview_by_threads_fetches_the_file() {
    let (bench, mount, sample) = bench(1);
    bench.fault("/stac/download* -> delay for=30ms + drip rate=40M");
    let expected = bench.expect(&sample);
    const TILE: usize = 750 << 10;
    // Behind the header, or it would look like a copy.
    const FIRST: usize = 4096;
    jumps(&sample.path, vec![0]);
    let readers: Vec<_> = (0..2)
        .map(|first| {
            let (path, size) = (sample.path.clone(), sample.size as usize);
            thread::spawn(move || {
                let file = File::open(path).unwrap();
                // One column of tiles after the other, as GDAL's threads take them.
                let tiles = (0..11).flat_map(|column| (0..11).map(move |row| row * 11 + column));
                let mine = tiles.skip(first).step_by(2).filter(|tile| FIRST + (tile + 1) * TILE <= size);
                mine.map(|tile| {
                    let mut buffer = vec![0; TILE];
                    let offset = FIRST + tile * TILE;
                    file.read_exact_at(&mut buffer, offset as u64).unwrap();
                    (offset, buffer)
                })
                .collect::<Vec<_>>()
            })
        })
        .collect();
    for (offset, found) in readers.into_iter().flat_map(|reader| reader.join().unwrap()) {
        assert_same(&found, &expected[offset..][..TILE], "a tile");
    }
    let journal = bench.emulator.journal();
    let broken = journal
        .snapshot()
        .entries
        .into_iter()
        .filter(|entry| entry.endpoint == Endpoint::Download && !entry.complete);
    assert!(broken.count() <= 2);
    assert!(bench.downloads() <= 24, "{} requests", bench.downloads());
    assert!(bytes(&bench) <= sample.size * 110 / 100, "{} of {}", bytes(&bench), sample.size);
    mount.settles();
}

/// 12.4: `cp -r` of a product has the next files fetched while it reads one, within the limit of two.
#[test]
fn mount_a_copy_is_fetched_ahead() {
    let (bench, mount, sample) = bench(40);
    bench.fault("/stac/download* -> stall after=0 for=30ms");
    let product: PathBuf = sample.path.ancestors().find(|path| path.ends_with("IMG_DATA")).unwrap().into();
    let files = walk(&product);
    bench.emulator.journal().reset();
    let begun = Instant::now();
    let copy = bench.home.path().join("copy");
    let child = Command::new("cp").arg("-r").arg(&product).arg(&copy).stderr(Stdio::piped()).spawn().unwrap();
    assert!(output_of(child).status.success());
    let took = begun.elapsed();
    for file in &files {
        let copied = copy.join(file.strip_prefix(&product).unwrap());
        assert_eq!(std::fs::read(file).unwrap(), std::fs::read(copied).unwrap(), "{}", file.display());
    }
    let journal = bench.emulator.journal();
    assert_eq!((journal.peak(Endpoint::Download), journal.refused()), (2, 0));
    let requests = bench.downloads();
    assert!(requests <= files.len() as u64 * 2, "{requests} requests for {} files", files.len());
    // Not one round trip after another; never a speed, only an order.
    let in_sequence = Duration::from_millis(30) * u32::try_from(requests).unwrap();
    assert!(took < in_sequence, "{took:?} for {requests} requests of 30 ms each");
    mount.settles();
}

/// 9.2: who reads what was not foreseen does not wait for what was.
#[test]
fn mount_a_reader_goes_before_reading_ahead() {
    let (bench, mount, sample) = bench(1);
    let other = bench.computed(&mount, "_B08_10m.jp2");
    bench.fault("/stac/download* -> drip rate=4M");
    let path = sample.path.clone();
    let slow = thread::spawn(move || {
        let file = File::open(path).unwrap();
        let mut buffer = vec![0; 1 << 20];
        // 12 MiB, then the reader stays where it is and what is fetched ahead of it goes on.
        (0..12).for_each(|n| file.read_exact_at(&mut buffer, n << 20).unwrap());
        file
    });
    let _open = within(LIMIT, "a long read", move || slow.join().unwrap());
    let begun = Instant::now();
    let found = jumps(&other.path, vec![other.size / 2 / 4096 * 4096]);
    let offset = (other.size / 2 / 4096 * 4096) as usize;
    assert_same(&found[0], &bench.expect(&other)[offset..][..4096], "a piece");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(bench.emulator.journal().peak(Endpoint::Download), 2);
}

/// 12.6: what is on its way for a file that nobody has open any more comes to an end.
#[test]
fn mount_closing_a_file_ends_what_was_on_its_way() {
    let (bench, mount, sample) = bench(1);
    bench.fault("/stac/download* -> drip rate=4M");
    let path = sample.path.clone();
    within(LIMIT, "a look", move || {
        let file = File::open(path).unwrap();
        let mut buffer = vec![0; 1 << 20];
        (0..8).for_each(|n| file.read_exact_at(&mut buffer, n << 20).unwrap());
    });
    mount.settles();
    assert!(bytes(&bench) < sample.size / 2, "{} of {}", bytes(&bench), sample.size);
}

/// What was read is there after a restart, without a request.
#[test]
fn mount_a_restart_keeps_what_was_read() {
    let (bench, mount, sample) = bench(10);
    let expected = bench.expect(&sample);
    assert_same(&read(&sample.path).unwrap(), &expected, "cold");
    mount.end();
    let mount = bench.mount();
    let sample = bench.computed(&mount, "_B02_10m.jp2");
    for round in ["after a restart", "checked", "by the kernel itself"] {
        assert_same(&read(&sample.path).unwrap(), &expected, round);
    }
    assert_eq!(bench.downloads(), 0);
    mount.end();
}

/// 7.1: attributes tell how much of a file is on disk.
#[test]
fn mount_attributes_tell_what_is_on_disk() {
    let (bench, mount, sample) = bench(20);
    let told = move |path: &Path| {
        let path = path.to_owned();
        within(LIMIT, "attributes", move || {
            let text = |name| String::from_utf8(attribute(&path, name).unwrap()).unwrap();
            (text("user.dcmsfs.cached_bytes"), text("user.dcmsfs.complete"))
        })
    };
    assert_eq!(told(&sample.path), ("0".into(), "false".into()));
    read(&sample.path).unwrap();
    until("all of it is on disk", || told(&sample.path).1 == "true");
    assert_eq!(told(&sample.path).0, sample.size.to_string());
    drop(bench);
    mount.end();
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(walk(&entry.path())),
            false => files.push(entry.path()),
        }
    }
    files
}

/// 12.4: what is fetched ahead and refused is not asked for over and over, nor the files behind it.
#[test]
fn mount_guesses_that_fail_are_not_repeated() {
    let bench = Bench::demo();
    let mount = bench.mount();
    let mut samples = bench.samples(&mount, PRODUCT);
    samples.sort_by(|one, two| one.path.cmp(&two.path));
    for sample in &samples[..3] {
        assert_same(&read(&sample.path).unwrap(), &bench.expect(sample), "a file of a copy");
    }
    mount.settles();
    bench.fault("/stac/download* -> status code=403");
    let before = bench.downloads();
    // What has come ahead already can be read; the first that has not is refused.
    let refused = samples.iter().position(|sample| read(&sample.path).is_err());
    assert!(refused.is_some(), "all of the product is there already");
    // The daemon's clock cannot be paused: a second of asking over and over would be hundreds of requests.
    thread::sleep(Duration::from_secs(1));
    let asked = bench.downloads() - before;
    // For its reader, and for what was fetched ahead at each file that was opened before it.
    assert!(asked <= 8, "{asked} requests: {:#?}", bench.transfers());
    mount.settles();
}
