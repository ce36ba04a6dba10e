//! Zarr stores by xarray: as files of a mount, and by fsspec from the host.

use std::path::Path;

use super::{Bar, Row, Try, Unit, Work, on, on_mount, ours, plain};
use crate::job::{self, Timed};
use crate::mounts::{Mount, Settings};
use crate::service::{Profile, offline_token};
use crate::{Result, Stage};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let works: [(&'static str, &'static str, &'static str, &'static [&'static str], &'static [Bar]); 7] = [
        ("Zarr: open", "Zarr: open, again", "v2", &["zarr-open"], &[]),
        ("Zarr: one chunk", "Zarr: one chunk, again", "v2", &["zarr-chunk"], &[]),
        ("Zarr: map of 2 × 2 chunks", "Zarr: map of 2 × 2 chunks, again", "v2", &["zarr-map"], &[]),
        ("Zarr: 64 absent chunks", "Zarr: 64 absent chunks, again", "v2", &["zarr-absent"], &[]),
        ("Zarr: 480 small chunks", "Zarr: 480 small chunks, again", "v2", &["zarr-small", "1"], &[]),
        (
            "Zarr: 480 small chunks, 8 readers",
            "Zarr: 480 small chunks, 8 readers, again",
            "v2",
            &["zarr-small", "8"],
            &[],
        ),
        (
            "Zarr: whole shard",
            "Zarr: whole shard, again",
            "sharded",
            &["zarr-shard"],
            &[Bar::Seconds(2.0), Bar::Requests(20)],
        ),
    ];
    for (name, second, store, command, bars) in works {
        let mut row = Row::new(name, Profile::Wan, Unit::Seconds)
            .add(
                "dcmsfs",
                ours(
                    Settings::default(),
                    nothing(),
                    on(store, move |stage, path| mounted(stage, path, command)),
                ),
            )
            .add("fsspec", plain(move |stage| remote(stage, store, command)))
            .bar(Bar::Faster("fsspec", 1.0))
            .bar(Bar::FewerRequests("fsspec"));
        row.bars.extend(bars);
        rows.push(row);
        rows.push(
            Row::new(second, Profile::Wan, Unit::Seconds)
                .add("dcmsfs", again(on(store, move |stage, path| mounted(stage, path, command))))
                .bar(Bar::Requests(0)),
        );
    }
    rows
}

fn nothing() -> Work<()> {
    Box::new(|_, _| Ok(()))
}

/// The same work twice on one mount; the second counts.
fn again(work: Work<Timed>) -> Try {
    Box::new(move |stage| {
        let mount = Mount::dcmsfs(stage, &Settings::default())?;
        work(stage, &mount.point)?;
        on_mount(stage, &mount, || work(stage, &mount.point))
    })
}

fn mounted(stage: &Stage, path: &Path, command: &[&str]) -> Result<Timed> {
    run(stage, &path.to_string_lossy(), command)
}

fn remote(stage: &Stage, store: &str, command: &[&str]) -> Result<Timed> {
    run(stage, &format!("{}/cacheb/{}", stage.service.url, stage.path(store)), command)
}

fn run(stage: &Stage, source: &str, command: &[&str]) -> Result<Timed> {
    let (name, more) = command.split_first().ok_or("no command")?;
    let mut client = job::python(stage, &[name, source]);
    job::told(client.args(more).env("OFFLINE_TOKEN", offline_token()), "pieces")
}
