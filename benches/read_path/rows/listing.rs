//! Directories: a folder of 2,000 entries, and a collection of 100,000 products.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio::time::Instant;

use super::{Bar, Row, Unit, Work, again, nothing, ours, plain, remounted};
use crate::job::{self, Timed};
use crate::mounts::Settings;
use crate::service::Profile;
use crate::{Result, Stage};

/// The 50 days with products.
const MONTHS: [&str; 2] = ["cache-a/SENTINEL-6/by-date/2024/09", "cache-a/SENTINEL-6/by-date/2024/10"];
/// A quarter, of which all is shown at its first day: about 2,000 tiles.
const DAY: &str = "cache-a/GLOBAL-MOSAICS/by-date/2024/07/01";

pub(super) fn rows() -> Vec<Row> {
    let cold = |work| ours(Settings::default(), nothing(), work);
    vec![
        Row::new("ls -l of 2,000 entries, cold", Profile::Wan, Unit::Seconds)
            .add("dcmsfs", cold(list_day()))
            .bar(Bar::PagesOnly(2))
            .bar(Bar::NoProbes),
        Row::new("ls -l of 2,000 entries, again", Profile::Wan, Unit::Seconds)
            .add("dcmsfs", again(nothing(), list_day()))
            .add("ext4", plain(|stage| list(&folder(stage)?)))
            .bar(Bar::Faster("ext4", 0.5))
            .bar(Bar::Requests(0)),
        Row::new("find over 100,000 products, cold", Profile::None, Unit::Seconds)
            .add("dcmsfs", cold(find_all()))
            .bar(Bar::NoProbes)
            .bar(Bar::Memory(300 << 20)),
        Row::new("find over 100,000 products, again", Profile::None, Unit::Seconds)
            .add("dcmsfs", again(nothing(), find_all()))
            .add("ext4", plain(|stage| find(&[tree(stage)?], "3")))
            .bar(Bar::Seconds(2.0))
            .bar(Bar::Requests(0)),
        Row::new("find over 100,000 products, new mount", Profile::None, Unit::Seconds)
            .add("dcmsfs", remounted(1, find_all()))
            .bar(Bar::Seconds(2.0))
            .bar(Bar::Requests(0))
            .bar(Bar::Memory(300 << 20)),
        Row::new("find over 100,000 products, new mount, again", Profile::None, Unit::Seconds)
            .add("dcmsfs", remounted(2, find_all()))
            .bar(Bar::Seconds(2.0))
            .bar(Bar::Requests(0))
            .bar(Bar::Memory(300 << 20)),
    ]
}

fn list_day() -> Work<Timed> {
    Box::new(|_, point| list(&point.join(DAY)))
}

/// Month, day, cell, product.
fn find_all() -> Work<Timed> {
    Box::new(|_, point| find(&MONTHS.map(|month| point.join(month)), "3"))
}

fn list(path: &Path) -> Result<Timed> {
    timed(Command::new("ls").args(["-l", "--color=never"]).arg(path), 1800..2002)
}

/// All products, which lie at this depth below; nothing is asked of what is in them.
fn find(tops: &[PathBuf], depth: &str) -> Result<Timed> {
    let mut command = Command::new("find");
    let command = command.args(tops).args(["-mindepth", depth, "-maxdepth", depth, "-type", "d"]);
    timed(command, 100_000..100_001)
}

/// Runs a program that prints a line for each entry, and checks their number.
fn timed(command: &mut Command, expected: Range<usize>) -> Result<Timed> {
    let begun = Instant::now();
    let found = job::output(command)?;
    let timed = Timed { seconds: begun.elapsed().as_secs_f64(), amount: 1.0 };
    let count = found.lines().count();
    if expected.contains(&count) { Ok(timed) } else { Err(format!("{count} entries were listed").into()) }
}

/// 50 days of 400 cells of 5 folders and as many files on the local disk, once read: about the shape of what is mounted.
fn tree(stage: &Stage) -> Result<PathBuf> {
    let top = stage.data.join("cells");
    if !top.is_dir() {
        let part = stage.data.join("cells.part");
        for day in 1..=50 {
            for product in 0..2000 {
                let cell = format!("{day:02}/cell_{:03}", product / 5);
                let path = part.join(cell).join(format!("S6A_P4_2__LR_STD__ST_142_{product:04}_F09"));
                fs::create_dir_all(&path)?;
                fs::File::create(path.with_extension("stac.json"))?;
            }
        }
        fs::rename(part, &top)?;
    }
    find(std::slice::from_ref(&top), "3")?;
    Ok(top)
}

/// A folder of 2,000 folders on the local disk, once read.
fn folder(stage: &Stage) -> Result<PathBuf> {
    let top = stage.data.join("folder");
    if !top.is_dir() {
        let part = stage.data.join("folder.part");
        for tile in 0..2000 {
            fs::create_dir_all(part.join(format!("T{tile:05}")))?;
        }
        fs::rename(part, &top)?;
    }
    list(&top)?;
    Ok(top)
}
