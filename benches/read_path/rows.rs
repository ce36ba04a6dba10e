//! What is measured: rows of contestants that do the same work, and what is at least expected of the first one.

mod cached;
mod formats;
mod listing;
mod transfer;
mod zarr;

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::job::{self, Timed};
use crate::mounts::{Mount, Settings};
use crate::report::Outcome;
use crate::service::{Counts, Profile};
use crate::{Result, Stage};

/// One measurement of one contestant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) timed: Timed,
    pub(crate) counts: Counts,
    /// The daemon, where there is one.
    pub(crate) daemon: Option<Daemon>,
}

/// What a daemon took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Daemon {
    /// The most memory since it was started, in bytes.
    pub(crate) memory: u64,
    /// Seconds of all processors during the work.
    pub(crate) processor: f64,
}

/// Does the work once, all preparation included.
type Try = Box<dyn Fn(&Stage) -> Result<Sample>>;
/// Prepares or does something on a mount, given by its top directory.
type Work<T> = Box<dyn Fn(&Stage, &Path) -> Result<T>>;

/// In which unit a row is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    BytesPerSecond,
    PerSecond,
}

/// What is at least expected of dcmsfs. Besides, no row may have more transfers at once than the services allow.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bar {
    /// So many times the speed of this one.
    Faster(&'static str, f64),
    /// At most so many seconds.
    Seconds(f64),
    /// So much in a second.
    Rate(f64),
    /// So much in a second, or 0.9 of what this one reaches: the limit is not dcmsfs then.
    RateOr(f64, &'static str),
    /// At most so many bytes of answers.
    Bytes(u64),
    /// At most so many bytes of answers for each byte read.
    Amplification(f64),
    /// At most so many requests.
    Requests(u64),
    /// Fewer requests than this one.
    FewerRequests(&'static str),
    /// At most so many bytes of memory.
    Memory(u64),
    /// Requests for pages of listings and at most so many others.
    PagesOnly(u64),
    /// No HEAD request, and nothing asked for that does not exist.
    NoProbes,
}

/// One kind of work.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) profile: Profile,
    pub(crate) unit: Unit,
    /// dcmsfs first.
    pub(crate) contestants: Vec<(&'static str, Try)>,
    pub(crate) bars: Vec<Bar>,
}

/// All rows, in the order of the table.
pub(crate) fn all() -> Vec<Row> {
    [transfer::rows(), cached::rows(), formats::rows(), zarr::rows(), listing::rows()]
        .into_iter()
        .flatten()
        .collect()
}

impl Row {
    fn new(name: &'static str, profile: Profile, unit: Unit) -> Row {
        Row { name, profile, unit, contestants: Vec::new(), bars: Vec::new() }
    }

    fn add(mut self, who: &'static str, work: Try) -> Row {
        self.contestants.push((who, work));
        self
    }

    fn bar(mut self, bar: Bar) -> Row {
        self.bars.push(bar);
        self
    }

    /// Measures all contestants, or those in `who`, in turns.
    pub(crate) fn measure(&self, stage: &Stage, rounds: usize, who: &[String]) -> Outcome {
        let taking_part = |name: &str| who.is_empty() || who.iter().any(|one| one == name);
        let mut outcome = Outcome::new(self);
        for round in 0..rounds {
            for turn in 0..self.contestants.len() {
                // Another order in every round: rotated, and every second time backwards.
                let place = (turn + round) % self.contestants.len();
                let place = if round % 2 == 1 { self.contestants.len() - 1 - place } else { place };
                let (name, work) = &self.contestants[place];
                if !taking_part(name) || outcome.is_out(name) {
                    continue;
                }
                let limited = name.starts_with("dcmsfs");
                have_memory();
                let sample = services(stage, self.profile, limited, true).and_then(|()| work(stage));
                outcome.add(name, sample);
            }
        }
        outcome
    }
}

/// Takes memory and gives it back: a host that took free memory away from a virtual machine makes the first touch of it
/// cost several times as much, which hits whoever is measured after a pause.
fn have_memory() {
    drop(std::hint::black_box(vec![1_u8; 2 << 30]));
}

/// Sets the services up for a measurement: dcmsfs has to live with two downloads at once and without HEAD, the
/// others may do what they like.
fn services(stage: &Stage, profile: Profile, limited: bool, ranges: bool) -> Result<()> {
    stage.service.network(profile)?;
    let parallel = if limited { 2 } else { 64 };
    stage.service.change(&json!({ "download": { "parallel": parallel, "head": !limited, "range": ranges } }))
}

/// Does the work and takes what was counted meanwhile.
fn counted(stage: &Stage, work: impl FnOnce() -> Result<Timed>) -> Result<Sample> {
    stage.service.reset()?;
    let timed = work()?;
    Ok(Sample { timed, counts: stage.service.counts()?, daemon: None })
}

fn nothing() -> Work<()> {
    Box::new(|_, _| Ok(()))
}

/// The same work twice on one mount, after something that is not measured; the second time counts.
fn again(before: Work<()>, work: Work<Timed>) -> Try {
    Box::new(move |stage| {
        let mount = Mount::dcmsfs(stage, &Settings::default())?;
        before(stage, &mount.point)?;
        work(stage, &mount.point)?;
        on_mount(stage, &mount, || work(stage, &mount.point))
    })
}

/// The same work on a mount that was ended, and on the one after it, `times` in all there; the last time counts.
fn remounted(times: usize, work: Work<Timed>) -> Try {
    Box::new(move |stage| {
        let mount = Mount::dcmsfs(stage, &Settings::default())?;
        work(stage, &mount.point)?;
        let mount = mount.again(stage, &Settings::default())?;
        for _ in 1..times {
            work(stage, &mount.point)?;
        }
        on_mount(stage, &mount, || work(stage, &mount.point))
    })
}

/// Work that needs no mount.
fn plain(work: impl Fn(&Stage) -> Result<Timed> + 'static) -> Try {
    Box::new(move |stage| counted(stage, || work(stage)))
}

/// Work on a new mount of dcmsfs, after something that is not measured.
fn ours(settings: Settings, before: Work<()>, work: Work<Timed>) -> Try {
    Box::new(move |stage| {
        let mount = Mount::dcmsfs(stage, &settings)?;
        before(stage, &mount.point)?;
        on_mount(stage, &mount, || work(stage, &mount.point))
    })
}

/// Work on a new mount by rclone of the folder that holds a file of the data; the work gets the file's name.
fn rclone(name: &'static str, work: impl Fn(&Stage, &Path) -> Result<Timed> + 'static) -> Try {
    Box::new(move |stage| {
        let path = Path::new(stage.path(name));
        let (folder, file) = (path.parent().unwrap_or(path), path.file_name().unwrap_or_default());
        let mount = Mount::rclone(stage, &folder.to_string_lossy())?;
        let file = mount.point.join(file);
        on_mount(stage, &mount, || work(stage, &file))
    })
}

/// Work on a file through the least of all FUSE file systems, after its pages were dropped or not; out of memory or
/// out of the local file.
fn bare(name: &'static str, memory: bool, work: impl Fn(&Stage, &Path) -> Result<Timed> + 'static) -> Try {
    Box::new(move |stage| {
        let source = local(stage, name);
        let mount = Mount::bare(stage, &source, memory, !memory)?;
        job::drop_pages(&[&source])?;
        on_mount(stage, &mount, || work(stage, &mount.point.join(crate::bare::NAME)))
    })
}

/// Work on a mount, and what its daemon took.
fn on_mount(stage: &Stage, mount: &Mount, work: impl FnOnce() -> Result<Timed>) -> Result<Sample> {
    let before = mount.processor()?;
    let mut sample = counted(stage, work)?;
    sample.daemon = Some(Daemon { memory: mount.peak_memory()?, processor: mount.processor()? - before });
    Ok(sample)
}

/// Work on a file of a mount, by the short name of the file.
fn on<T>(name: &'static str, work: impl Fn(&Stage, &Path) -> Result<T> + 'static) -> Work<T> {
    Box::new(move |stage, point| work(stage, &shown(stage, point, name)))
}

/// Looks at a file, so that what the catalogue says of it is known: others are given the address.
fn known(name: &'static str) -> Work<()> {
    on(name, |_, path| Ok(std::fs::metadata(path).map(drop)?))
}

/// Where dcmsfs shows a file of the data.
fn shown(stage: &Stage, point: &Path, name: &str) -> PathBuf {
    let path = stage.path(name);
    if path.contains(".zarr") {
        return point.join("cache-b").join(path);
    }
    let (collection, mut rest) = path.split_once('/').unwrap_or((path, ""));
    if collection == "SENTINEL-5P" {
        rest = rest.split_once('/').map_or("", |(_, file)| file);
    }
    point.join("cache-a").join(collection).join("by-id").join(rest)
}

/// Where a file of the data lies on the local disk.
fn local(stage: &Stage, name: &str) -> PathBuf {
    stage.data.join("products").join(stage.path(name))
}

/// The size of a file of the data, in bytes.
fn size(stage: &Stage, name: &str) -> Result<f64> {
    Ok(std::fs::metadata(local(stage, name))?.len() as f64)
}
