//! Zarr stores by xarray: as files of a mount, and by fsspec from the host.

use std::path::Path;

use super::{Bar, Row, Unit, again, nothing, on, ours, plain};
use crate::job::{self, Timed};
use crate::mounts::Settings;
use crate::service::{Profile, offline_token};
use crate::{Result, Stage};

/// A piece of work: its names for the first and the second time, the store, the command.
type Piece = (&'static str, &'static str, &'static str, &'static [&'static str]);

const PIECES: [Piece; 7] = [
    ("Zarr: open", "Zarr: open, again", "v2", &["zarr-open"]),
    ("Zarr: one chunk", "Zarr: one chunk, again", "v2", &["zarr-chunk"]),
    ("Zarr: map of 2 × 2 chunks", "Zarr: map of 2 × 2 chunks, again", "v2", &["zarr-map"]),
    ("Zarr: 64 absent chunks", "Zarr: 64 absent chunks, again", "v2", &["zarr-absent"]),
    (
        "Zarr: 480 small chunks, 1 reader",
        "Zarr: 480 small chunks, 1 reader, again",
        "v2",
        &["zarr-small", "1"],
    ),
    (
        "Zarr: 480 small chunks, 8 readers",
        "Zarr: 480 small chunks, 8 readers, again",
        "v2",
        &["zarr-small", "8"],
    ),
    ("Zarr: whole shard", "Zarr: whole shard, again", SHARDED, &["zarr-shard"]),
];
const SHARDED: &str = "sharded";
/// Where the number of zarr's threads that read files decides, four more than processors. fsspec has ten requests
/// under way without threads.
const THREADED: [&[&str]; 2] = [&["zarr-absent"], &["zarr-small", "8"]];
const TEN_THREADS: (&str, &str) = ("ZARR_THREADING__MAX_WORKERS", "10");

pub(super) fn rows() -> Vec<Row> {
    PIECES.into_iter().flat_map(pair).chain([series()]).collect()
}

/// Each chunk is asked for when its reader comes to it, unless it is foreseen.
fn series() -> Row {
    const COMMAND: &[&str] = &["zarr-series"];
    let work = || on("series", |stage, path| mounted(stage, path, COMMAND));
    let one_by_one = Settings { ahead: 0, ..Settings::default() };
    Row::new("Zarr: 64 chunks along time, one reader", Profile::TwentyMs, Unit::Seconds)
        .add("dcmsfs", ours(Settings::default(), nothing(), work()))
        .add("fsspec", plain(|stage| remote(stage, "series", COMMAND)))
        .add("dcmsfs, ahead = 0", ours(one_by_one, nothing(), work()))
        .bar(Bar::Faster("fsspec", 1.5))
        .bar(Bar::FewerRequests("fsspec"))
}

fn pair((first, second, store, command): Piece) -> [Row; 2] {
    let work = || on(store, move |stage, path| mounted(stage, path, command));
    let row = Row::new(first, Profile::Wan, Unit::Seconds)
        .add("dcmsfs", ours(Settings::default(), nothing(), work()))
        .add("fsspec", plain(move |stage| remote(stage, store, command)))
        .bar(Bar::Faster("fsspec", 1.0));
    let row = if THREADED.contains(&command) {
        let work = on(store, move |stage, path| run(stage, &path.to_string_lossy(), command, &[TEN_THREADS]));
        row.add("dcmsfs, ten threads", ours(Settings::default(), nothing(), work))
    } else {
        row
    };
    let row = if store == SHARDED {
        row.bar(Bar::Seconds(2.0)).bar(Bar::Requests(20))
    } else {
        row.bar(Bar::FewerRequests("fsspec"))
    };
    let again = Row::new(second, Profile::Wan, Unit::Seconds)
        .add("dcmsfs", again(nothing(), work()))
        .bar(Bar::Requests(0));
    [row, again]
}

fn mounted(stage: &Stage, path: &Path, command: &[&str]) -> Result<Timed> {
    run(stage, &path.to_string_lossy(), command, &[])
}

fn remote(stage: &Stage, store: &str, command: &[&str]) -> Result<Timed> {
    run(stage, &format!("{}/cacheb/{}", stage.service.url, stage.path(store)), command, &[])
}

fn run(stage: &Stage, source: &str, command: &[&str], environment: &[(&str, &str)]) -> Result<Timed> {
    let (name, more) = command.split_first().ok_or("no command")?;
    let mut client = job::python(stage, &[name, source]);
    job::told(
        client.args(more).envs(environment.iter().copied()).env("OFFLINE_TOKEN", offline_token()),
        "pieces",
    )
}
