//! Directories: a day of 2,000 products, and a collection of 100,000.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio::time::Instant;

use super::{Bar, Row, Unit, Work, again, nothing, ours, plain};
use crate::job::{self, Timed};
use crate::mounts::Settings;
use crate::service::Profile;
use crate::{Result, Stage};

const COLLECTION: &str = "cache-a/SENTINEL-6/by-date";
const DAY: &str = "cache-a/SENTINEL-6/by-date/2024/09/01";

pub(super) fn rows() -> Vec<Row> {
    let cold = |work| ours(Settings::default(), nothing(), work);
    vec![
        Row::new("ls -l of 2,000 products, cold", Profile::Wan, Unit::Seconds)
            .add("dcmsfs", cold(in_mount(DAY, list)))
            .bar(Bar::PagesOnly(2))
            .bar(Bar::NoProbes),
        Row::new("ls -l of 2,000 products, again", Profile::Wan, Unit::Seconds)
            .add("dcmsfs", again(nothing(), in_mount(DAY, list)))
            .add("ext4", plain(|stage| list(&tree(stage)?.join("01"))))
            .bar(Bar::Faster("ext4", 0.5))
            .bar(Bar::Requests(0)),
        Row::new("find over 100,000 products, cold", Profile::None, Unit::Seconds)
            .add("dcmsfs", cold(in_mount(COLLECTION, find)))
            .bar(Bar::NoProbes)
            .bar(Bar::Memory(300 << 20)),
        Row::new("find over 100,000 products, again", Profile::None, Unit::Seconds)
            .add("dcmsfs", again(nothing(), in_mount(COLLECTION, find)))
            .add("ext4", plain(|stage| find(&tree(stage)?)))
            .bar(Bar::NoProbes),
    ]
}

fn in_mount(folder: &'static str, work: fn(&Path) -> Result<Timed>) -> Work<Timed> {
    Box::new(move |_, point| work(&point.join(folder)))
}

fn list(path: &Path) -> Result<Timed> {
    job::whole(Command::new("ls").args(["-l", "--color=never"]).arg(path), 1.0)
}

/// The names of all products, by their depth; of what is in them nothing is asked.
fn find(path: &Path) -> Result<Timed> {
    let depth = if path.ends_with("by-date") { "4" } else { "2" };
    let mut command = Command::new("find");
    let begun = Instant::now();
    let found = job::output(command.arg(path).args(["-maxdepth", depth, "-mindepth", depth]))?;
    let timed = Timed { seconds: begun.elapsed().as_secs_f64(), amount: 1.0 };
    let count = found.lines().count();
    if count == 100_000 { Ok(timed) } else { Err(format!("find saw {count} products").into()) }
}

/// 50 folders of 2,000 folders on the local disk, once read.
fn tree(stage: &Stage) -> Result<PathBuf> {
    let top = stage.data.join("tree");
    if !top.is_dir() {
        let part = stage.data.join("tree.part");
        for day in 1..=50 {
            for product in 0..2000 {
                fs::create_dir_all(part.join(format!("{day:02}/S6A_P4_2__LR_STD__ST_142_{product:04}_F09")))?;
            }
        }
        fs::rename(part, &top)?;
    }
    list(&top.join("01"))?;
    find(&top)?;
    Ok(top)
}
