//! Whole files and whole products, from the service.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::{
    Bar, Row, Sample, Try, Unit, bare, known, local, on, on_mount, ours, plain, rclone, services, size,
};
use crate::job::{self, Timed};
use crate::mounts::{Mount, Settings};
use crate::service::Profile;
use crate::{Result, Stage};

const LARGE: &str = "large";
const BAND: &str = "jp2";

pub(super) fn rows() -> Vec<Row> {
    let sequential = |name, profile| {
        Row::new(name, profile, Unit::BytesPerSecond)
            .add("dcmsfs", ours(Settings::default(), known(LARGE), on(LARGE, |_, path| read(path))))
            .add("curl", plain(throw_away))
    };
    let unkept = Settings { disk: "0", ..Settings::default() };
    vec![
        sequential("sequential 1 GiB, cold", Profile::TwentyMs)
            .add("dcmsfs, nothing kept", ours(unkept, known(LARGE), on(LARGE, |_, path| read(path))))
            .add("curl, kept on the disk", plain(keep))
            .add("bare FUSE", bare(LARGE, true, |_, path| read(path)))
            .add("rclone", rclone(LARGE, |_, path| read(path)))
            .bar(Bar::Faster("curl", 0.8))
            .bar(Bar::Faster("rclone", 2.5))
            .bar(Bar::Memory(300 << 20)),
        sequential("sequential 1 GiB, cold, no latency", Profile::None),
        sequential("sequential 1 GiB, cold, 10 ms per request", Profile::TenMs).bar(Bar::RateOr(1e9, "curl")),
        Row::new("cp of one 88 MB JP2, cold", Profile::Wan, Unit::Seconds)
            .add("dcmsfs", ours(Settings::default(), known(BAND), on(BAND, copy)))
            .add("curl", plain(fetch))
            .add("curl, two halves", plain(halves))
            .add("rclone", rclone(BAND, copy))
            .bar(Bar::Faster("curl", 1.5)),
        Row::new("cp of one 88 MB JP2, cold, no ranges", Profile::Wan, Unit::Seconds)
            .add("dcmsfs", without_ranges())
            .add("curl", plain(fetch))
            .bar(Bar::Faster("curl", 0.9)),
        Row::new("cp -r of a product, 87 files, 854 MB", Profile::Wan, Unit::Seconds)
            .add("dcmsfs", ours(Settings::default(), known("safe"), on("safe", copy_tree)))
            .add("curl, two at once", plain(product))
            .add("rclone", whole_rclone())
            .bar(Bar::Faster("curl, two at once", 1.0 / 1.15)),
    ]
}

/// Reads a file in order.
pub(super) fn read(path: &Path) -> Result<Timed> {
    job::told(&mut job::reader(path, &[])?, "bytes")
}

/// `cp` into memory, so that no disk takes part.
fn copy(_: &Stage, path: &Path) -> Result<Timed> {
    let target = target()?;
    job::whole(Command::new("cp").arg(path).arg(target.path()), 1.0)
}

fn copy_tree(stage: &Stage, path: &Path) -> Result<Timed> {
    let target = target()?;
    let timed = job::whole(Command::new("cp").arg("-r").arg(path).arg(target.path()), 1.0)?;
    let there = job::output(Command::new("find").arg(target.path()).args(["-type", "f", "-printf", "%s\n"]))?;
    let here =
        job::output(Command::new("find").arg(local(stage, "safe")).args(["-type", "f", "-printf", "%s\n"]))?;
    let sum = |text: &str| text.lines().filter_map(|line| line.parse::<u64>().ok()).sum::<u64>();
    if sum(&there) == sum(&here) { Ok(timed) } else { Err("the copy is not complete".into()) }
}

/// A directory in memory that goes when it is dropped.
fn target() -> Result<TempDir> {
    let memory = Path::new("/dev/shm");
    let memory = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    Ok(tempfile::Builder::new().prefix("dcmsfs-bench-").tempdir_in(memory)?)
}

/// The large file over one connection, kept by nobody.
fn throw_away(stage: &Stage) -> Result<Timed> {
    let url = stage.service.plain_url(stage.path(LARGE));
    job::whole(&mut job::curl(stage, &url, Path::new("/dev/null")), size(stage, LARGE)?)
}

/// The same into a file on the disk that the cache is on.
fn keep(stage: &Stage) -> Result<Timed> {
    let target = tempfile::Builder::new().prefix("kept-").tempdir_in(&stage.work)?;
    let url = stage.service.plain_url(stage.path(LARGE));
    job::whole(&mut job::curl(stage, &url, &target.path().join("copy")), size(stage, LARGE)?)
}

/// The band over one connection.
fn fetch(stage: &Stage) -> Result<Timed> {
    let target = target()?;
    let url = stage.service.plain_url(stage.path(BAND));
    job::whole(&mut job::curl(stage, &url, &target.path().join("copy")), 1.0)
}

/// The band over two connections.
fn halves(stage: &Stage) -> Result<Timed> {
    let target = target()?;
    let (url, half) = (stage.service.plain_url(stage.path(BAND)), size(stage, BAND)? as u64 / 2);
    let ranges = [format!("0-{}", half - 1), format!("{half}-")];
    let mut commands = ranges.map(|range| {
        let mut command = job::curl(stage, &url, &target.path().join(&range));
        command.args(["--range", &range]);
        command
    });
    job::together(&mut commands, 1.0)
}

/// All files of the product, two at once over connections that stay.
fn product(stage: &Stage) -> Result<Timed> {
    let (target, top) = (target()?, local(stage, "safe"));
    let files = job::output(Command::new("find").arg(&top).args(["-type", "f", "-printf", "%P\n"]))?;
    let url = stage.service.plain_url(stage.path("safe"));
    let mut list = format!("header = \"Authorization: Bearer {}\"\n", stage.service.token);
    for file in files.lines() {
        list += &format!("url = \"{url}/{file}\"\noutput = \"{}/{file}\"\n", target.path().display());
    }
    let config = stage.work.join("curl.conf");
    fs::write(&config, list)?;
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--fail",
        "--create-dirs",
        "--parallel",
        "--parallel-max",
        "2",
    ]);
    job::whole(command.arg("--config").arg(&config), 1.0)
}

fn whole_rclone() -> Try {
    Box::new(|stage| {
        let mount = Mount::rclone(stage, stage.path("safe"))?;
        on_mount(stage, &mount, || copy_tree(stage, &mount.point))
    })
}

fn without_ranges() -> Try {
    let work = ours(Settings::default(), known(BAND), on(BAND, copy));
    Box::new(move |stage| -> Result<Sample> {
        services(stage, Profile::Wan, true, false)?;
        work(stage)
    })
}
