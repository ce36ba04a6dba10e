//! What was read before: from passthrough, the page cache, the disk cache, the daemon's memory; and single cold
//! reads at random places.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::transfer::read;
use super::{Bar, Row, Try, Unit, Work, bare, known, local, on, on_mount, ours, plain, rclone, shown};
use crate::job::{self, Timed};
use crate::mounts::{Mount, Settings};
use crate::service::Profile;
use crate::{Result, Stage};

const LARGE: &str = "large";
/// The file of the cache that the kernel reads by itself, read without the mount: the same pages.
const BESIDE: &str = "the cache's own file";
/// What is read may be written to the disk a little later.
const SETTLE: Duration = Duration::from_secs(1);

/// A way of reading: its name, what of it counts, and the bars for passthrough and for the page cache.
struct Way {
    names: [&'static str; 2],
    how: How,
    unit: Unit,
    bars: [f64; 2],
}

#[derive(Clone, Copy)]
enum How {
    Reader(&'static [&'static str], &'static str),
    Mapped,
}

const SEQUENTIAL_SMALL: How = How::Reader(&["--block", "131072"], "bytes");
const SEQUENTIAL: How = How::Reader(&["--block", "1048576"], "bytes");
const RANDOM: How = How::Reader(&["--block", "4096", "--random", "200000", "--seconds", "3"], "reads");
const RANDOM_COLD: How = How::Reader(&["--block", "4096", "--random", "5000", "--seconds", "3"], "reads");
const RANDOM_64: How = How::Reader(&["--block", "65536", "--random", "20000", "--seconds", "3"], "reads");

fn ways() -> [Way; 5] {
    let bytes = Unit::BytesPerSecond;
    let way = |names, how, unit, bars| Way { names, how, unit, bars };
    [
        way(
            ["again, passthrough: sequential 128 KiB", "again, page cache: sequential 128 KiB"],
            SEQUENTIAL_SMALL,
            bytes,
            [0.9, 0.55],
        ),
        way(
            ["again, passthrough: sequential 1 MiB", "again, page cache: sequential 1 MiB"],
            SEQUENTIAL,
            bytes,
            [0.9, 0.4],
        ),
        way(
            ["again, passthrough: random 4 KiB", "again, page cache: random 4 KiB"],
            RANDOM,
            Unit::PerSecond,
            [0.9, 0.7],
        ),
        way(
            ["again, passthrough: random 64 KiB", "again, page cache: random 64 KiB"],
            RANDOM_64,
            Unit::PerSecond,
            [0.9, 0.55],
        ),
        way(["again, passthrough: mmap", "again, page cache: mmap"], How::Mapped, bytes, [0.9, 0.25]),
    ]
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in [0, 1] {
        for way in ways() {
            let how = way.how;
            let settings = Settings { ordinary: kind == 1, ..Settings::default() };
            let row = Row::new(way.names[kind], Profile::None, way.unit)
                .add(
                    "dcmsfs",
                    ours(settings, Box::new(twice), on(LARGE, move |stage, path| how.read(stage, path))),
                )
                .add("ext4", plain(move |stage| warm_local(stage, how)))
                .bar(Bar::Faster("ext4", way.bars[kind]))
                .bar(Bar::Requests(0));
            let same_pages = || {
                let work = move |stage: &Stage, point: &Path| how.read(stage, &largest(&cache(point))?);
                ours(Settings::default(), Box::new(twice), Box::new(work))
            };
            rows.push(if kind == 0 { row.add(BESIDE, same_pages()) } else { row });
        }
    }
    rows.extend(dropped());
    rows.extend(memory());
    rows.extend(cold());
    rows
}

impl How {
    fn read(self, stage: &Stage, path: &Path) -> Result<Timed> {
        match self {
            How::Reader(arguments, amount) => job::told(&mut job::reader(path, arguments)?, amount),
            How::Mapped => job::told(&mut job::python(stage, &["mmap", &path.to_string_lossy()]), "bytes"),
        }
    }
}

/// Where the daemon of a mount keeps its cache.
fn cache(point: &Path) -> PathBuf {
    point.with_file_name("cache")
}

/// The largest file in a directory or below: the data of what was read.
fn largest(directory: &Path) -> Result<PathBuf> {
    let mut found: Option<(u64, PathBuf)> = None;
    let mut left = vec![directory.to_path_buf()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let told = entry.metadata()?;
            if told.is_dir() {
                left.push(entry.path());
            } else if found.as_ref().is_none_or(|(most, _)| *most < told.len()) {
                found = Some((told.len(), entry.path()));
            }
        }
    }
    Ok(found.ok_or("the cache is empty")?.1)
}

/// Reads the file until all of it is on the disk, and once more, so that an opening after that has happened. The pages of
/// the cache's file come in order, as those of the local one do.
fn twice(stage: &Stage, point: &Path) -> Result<()> {
    let path = shown(stage, point, LARGE);
    fill(stage, &path)?;
    job::drop_pages(&[&cache(point)])?;
    read(&path)?;
    read(&path).map(drop)
}

/// Reads the file until all of it is on the disk: a block may be left out when it comes faster than it can be written,
/// and pages that the kernel has are not asked for again.
fn fill(stage: &Stage, path: &Path) -> Result<()> {
    const COMPLETE: &str = "import os, sys; print(os.getxattr(sys.argv[1], 'user.dcmsfs.complete').decode())";
    read(path)?;
    for _ in 0..20 {
        thread::sleep(SETTLE);
        if job::output(Command::new(&stage.python).args(["-c", COMPLETE]).arg(path))?.trim() == "true" {
            return Ok(());
        }
        job::told(&mut job::reader(path, &["--direct"])?, "bytes")?;
    }
    Err("the file is not complete on the disk after it was read twenty-one times".into())
}

fn warm_local(stage: &Stage, how: How) -> Result<Timed> {
    let path = local(stage, LARGE);
    // Pages that came one by one stay small, and slow: all of them come again, in order.
    job::drop_pages(&[&path])?;
    read(&path)?;
    read(&path)?;
    how.read(stage, &path)
}

fn cold_local(stage: &Stage, how: How) -> Result<Timed> {
    let path = local(stage, LARGE);
    job::drop_pages(&[&path])?;
    how.read(stage, &path)
}

/// From the disk cache: a new daemon, and no page of the mount or of the cache in memory.
fn dropped() -> [Row; 2] {
    let work = |how: How| -> Try {
        let settings = Settings { ordinary: true, ..Settings::default() };
        let work: Work<Timed> = on(LARGE, move |stage, path| how.read(stage, path));
        Box::new(move |stage| {
            let mount = Mount::dcmsfs(stage, &settings)?;
            fill(stage, &shown(stage, &mount.point, LARGE))?;
            let mount = mount.again(stage, &settings)?;
            known(LARGE)(stage, &mount.point)?;
            job::drop_pages(&[&shown(stage, &mount.point, LARGE), &mount.cache()])?;
            on_mount(stage, &mount, || work(stage, &mount.point))
        })
    };
    let row = |name, unit, how: How, bar| {
        Row::new(name, Profile::None, unit)
            .add("dcmsfs", work(how))
            .add("ext4", plain(move |stage| cold_local(stage, how)))
            .add("bare FUSE", bare(LARGE, false, move |stage, path| how.read(stage, path)))
            .bar(Bar::Faster("ext4", bar))
            .bar(Bar::Bytes(1 << 20))
    };
    [
        row("disk cache, no pages: sequential 1 MiB", Unit::BytesPerSecond, SEQUENTIAL, 0.8),
        row("disk cache, no pages: random 4 KiB", Unit::PerSecond, RANDOM_COLD, 0.65),
    ]
}

/// From the daemon's memory: in order into an empty page cache, which is what the hand-over to the kernel costs
/// without any network; and past the page cache.
fn memory() -> [Row; 3] {
    const ONE: How =
        How::Reader(&["--block", "4096", "--random", "60000", "--seconds", "3", "--direct"], "reads");
    const FOUR: How = How::Reader(
        &["--block", "4096", "--random", "60000", "--seconds", "3", "--direct", "--clients", "4"],
        "reads",
    );
    let settings = Settings { memory: "1536MiB", disk: "0", ..Settings::default() };
    let handed = {
        let dropped = on(LARGE, |_, path| {
            read(path)?;
            job::drop_pages(&[path])
        });
        let work = on(LARGE, |stage, path| SEQUENTIAL.read(stage, path));
        Row::new("daemon's memory: sequential 1 MiB, no pages", Profile::None, Unit::BytesPerSecond)
            .add("dcmsfs", ours(settings.clone(), dropped, work))
            .add("bare FUSE", bare(LARGE, true, |stage, path| SEQUENTIAL.read(stage, path)))
            .bar(Bar::Requests(0))
    };
    let row = |name, how: How, bar| {
        let settings = settings.clone();
        let work = on(LARGE, move |stage, path| how.read(stage, path));
        Row::new(name, Profile::None, Unit::PerSecond)
            .add("dcmsfs", ours(settings, on(LARGE, |_, path| read(path).map(drop)), work))
            .add("bare FUSE", bare(LARGE, true, move |stage, path| how.read(stage, path)))
            .bar(Bar::Rate(bar))
            .bar(Bar::Requests(0))
    };
    [
        handed,
        row("daemon's memory: random 4 KiB, O_DIRECT", ONE, 25_000.0),
        row("daemon's memory: random 4 KiB, O_DIRECT, 4 clients", FOUR, 75_000.0),
    ]
}

/// At random places of a file of which nothing is there yet. The amount is bytes, for the amplification.
fn cold() -> [Row; 2] {
    const SMALL: How = How::Reader(&["--block", "4096", "--random", "300", "--seconds", "10"], "bytes");
    const MIDDLE: How = How::Reader(&["--block", "65536", "--random", "300", "--seconds", "10"], "bytes");
    let row = |name, how: How| {
        Row::new(name, Profile::TwentyMs, Unit::BytesPerSecond)
            .add(
                "dcmsfs",
                ours(Settings::default(), known(LARGE), on(LARGE, move |stage, path| how.read(stage, path))),
            )
            .add("rclone", rclone(LARGE, move |stage, path| how.read(stage, path)))
    };
    [row("random 4 KiB, cold", SMALL).bar(Bar::Amplification(16.0)), row("random 64 KiB, cold", MIDDLE)]
}
