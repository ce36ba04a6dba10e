//! Medians, ratios and verdicts, as text for the terminal and as a table for docs/benchmarks.md.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Result;
use crate::job;
use crate::rows::{Bar, Row, Sample, Unit};
use crate::service::Profile;

/// Transfers that the services allow at once: downloads, and answers with chunks.
const DOWNLOADS: u64 = 2;
const CHUNKS: u64 = 16;

/// What the contestants of a row reached.
pub(crate) struct Outcome {
    name: &'static str,
    profile: Profile,
    unit: Unit,
    bars: Vec<Bar>,
    /// In the order of the row.
    names: Vec<&'static str>,
    samples: BTreeMap<&'static str, Vec<Sample>>,
    failures: BTreeMap<&'static str, String>,
}

impl Outcome {
    pub(crate) fn new(row: &Row) -> Outcome {
        Outcome {
            name: row.name,
            profile: row.profile,
            unit: row.unit,
            bars: row.bars.clone(),
            names: row.contestants.iter().map(|(name, _)| *name).collect(),
            samples: BTreeMap::new(),
            failures: BTreeMap::new(),
        }
    }

    pub(crate) fn add(&mut self, name: &'static str, sample: Result<Sample>) {
        match sample {
            Ok(sample) => self.samples.entry(name).or_default().push(sample),
            Err(error) => drop(self.failures.insert(name, error.to_string())),
        }
    }

    /// Whether a contestant has failed: it would only cost time again.
    pub(crate) fn is_out(&self, name: &str) -> bool {
        self.failures.contains_key(name)
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Whether all bars were reached.
    pub(crate) fn passed(&self) -> bool {
        self.verdicts().iter().all(|(_, passed)| *passed)
    }

    fn of(&self, name: &str) -> &[Sample] {
        self.samples.get(name).map_or(&[], Vec::as_slice)
    }

    /// Median of something over the rounds; `None` if there are none.
    fn median(&self, name: &str, value: impl Fn(&Sample) -> f64) -> Option<f64> {
        let mut values = self.of(name).iter().map(value).collect::<Vec<f64>>();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            odd if odd % 2 == 1 => Some(values[middle]),
            _ => Some(f64::midpoint(values[middle - 1], values[middle])),
        }
    }

    /// How much work a contestant does in a second.
    fn speed(&self, name: &str) -> Option<f64> {
        self.median(name, speed)
    }

    fn most(&self, value: impl Fn(&Sample) -> u64) -> u64 {
        self.of(self.names[0]).iter().map(value).max().unwrap_or(0)
    }

    /// Each bar as text, and whether it was reached.
    fn verdicts(&self) -> Vec<(String, bool)> {
        let ours = self.names[0];
        if let Some(failure) = self.failures.get(ours) {
            return vec![(failure.clone(), false)];
        }
        let mut verdicts = self.bars.iter().map(|bar| self.verdict(bar)).collect::<Vec<(String, bool)>>();
        let refused = self.most(|sample| sample.counts.refused);
        if self.most(|sample| sample.counts.downloads) > DOWNLOADS || refused > 0 {
            verdicts.push((format!("at most {DOWNLOADS} downloads at once ({refused} refused)"), false));
        }
        if self.most(|sample| sample.counts.chunks) > CHUNKS {
            verdicts.push((format!("at most {CHUNKS} chunks at once"), false));
        }
        verdicts
    }

    fn verdict(&self, bar: &Bar) -> (String, bool) {
        let ours = self.names[0];
        let speed = self.speed(ours).unwrap_or(0.0);
        let times = |other: &str| self.speed(other).map(|other| speed / other);
        let seconds = self.median(ours, |sample| sample.timed.seconds).unwrap_or(f64::INFINITY);
        let bytes = self.median(ours, |sample| sample.counts.bytes as f64).unwrap_or(f64::INFINITY);
        let requests = self.median(ours, |sample| sample.counts.requests as f64).unwrap_or(f64::INFINITY);
        match *bar {
            Bar::Faster(other, by) => match times(other) {
                Some(times) => (format!("≥ {by:.2} × {other}"), times >= by),
                None => (format!("≥ {by:.2} × {other} (not measured)"), self.of(other).is_empty()),
            },
            Bar::Seconds(limit) => (format!("≤ {limit} s"), seconds <= limit),
            Bar::Rate(rate) => (format!("≥ {}", self.unit.tell(rate)), speed >= rate),
            Bar::RateOr(rate, other) => {
                let near = times(other).is_some_and(|times| times >= 0.9);
                (format!("≥ {} or 0.9 × {other}", self.unit.tell(rate)), speed >= rate || near)
            }
            Bar::Bytes(limit) => (format!("≤ {}", amount(limit as f64)), bytes <= limit as f64),
            Bar::Amplification(limit) => {
                let read = self.median(ours, |sample| sample.timed.amount).unwrap_or(1.0);
                (format!("≤ {limit} bytes fetched for one read ({:.1})", bytes / read), bytes / read <= limit)
            }
            Bar::Requests(limit) => (format!("≤ {limit} requests"), requests <= limit as f64),
            Bar::FewerRequests(other) => {
                let theirs = self.median(other, |sample| sample.counts.requests as f64);
                (format!("fewer requests than {other}"), theirs.is_none_or(|theirs| requests < theirs))
            }
            Bar::Memory(limit) => {
                let most = self.most(|sample| sample.daemon.map_or(0, |daemon| daemon.memory));
                (format!("≤ {} MiB of memory", limit >> 20), most <= limit)
            }
            Bar::PagesOnly(others) => {
                let more = self.most(|sample| sample.counts.requests - sample.counts.pages);
                (format!("one request a page and at most {others} others"), more <= others)
            }
            Bar::NoProbes => {
                let probes = self.most(|sample| sample.counts.heads + sample.counts.missing);
                ("no HEAD, nothing missing asked".to_owned(), probes == 0)
            }
        }
    }

    /// Median with the least and the most, or why there is none.
    fn figure(&self, name: &str) -> String {
        if let Some(failure) = self.failures.get(name) {
            return failure.clone();
        }
        let figure = |sample: &Sample| match self.unit {
            Unit::Seconds => sample.timed.seconds,
            Unit::BytesPerSecond | Unit::PerSecond => speed(sample),
        };
        let all = self.of(name).iter().map(figure);
        let (least, most) = (all.clone().fold(f64::INFINITY, f64::min), all.fold(0.0, f64::max));
        let Some(median) = self.median(name, figure) else { return "not measured".to_owned() };
        let tell = |value| self.unit.tell(value);
        if self.of(name).len() == 1 {
            tell(median)
        } else {
            format!("{} ({}–{})", tell(median), tell(least), tell(most))
        }
    }

    /// Requests, bytes, transfers at once, memory and processor time of a contestant.
    fn costs(&self, name: &str) -> [String; 5] {
        let median = |value: fn(&Sample) -> f64| self.median(name, value).unwrap_or(0.0);
        let most = |value: fn(&Sample) -> u64| self.of(name).iter().map(value).max().unwrap_or(0);
        let heads = median(|sample| sample.counts.heads as f64);
        let heads = if heads > 0.0 { format!(" ({heads} HEAD)") } else { String::new() };
        let memory = most(|sample| sample.daemon.map_or(0, |daemon| daemon.memory)) >> 20;
        let processor = median(|sample| sample.daemon.map_or(0.0, |daemon| daemon.processor));
        [
            format!("{}{heads}", median(|sample| sample.counts.requests as f64)),
            amount(median(|sample| sample.counts.bytes as f64)),
            most(|sample| sample.counts.downloads.max(sample.counts.chunks)).to_string(),
            if memory > 0 { format!("{memory} MiB") } else { "–".to_owned() },
            if memory > 0 { format!("{processor:.2} s") } else { "–".to_owned() },
        ]
    }

    fn ratio(&self, name: &str) -> Option<f64> {
        Some(self.speed(self.names[0])? / self.speed(name)?)
    }

    /// A paragraph for the terminal.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{} [{}]\n", self.name, self.profile.name());
        for name in &self.names {
            let [requests, bytes, peak, memory, processor] = self.costs(name);
            let ratio = self.ratio(name).filter(|_| *name != self.names[0]);
            let ratio = ratio.map_or(String::new(), |ratio| format!("dcmsfs is {ratio:.2} × as fast; "));
            // Writing into a string does not fail.
            let _ = writeln!(
                text,
                "  {name}: {}; {ratio}{requests} requests, {bytes}, {peak} at once, memory {memory}, processor {processor}",
                self.figure(name)
            );
        }
        for (bar, passed) in self.verdicts() {
            let _ = writeln!(text, "  {} {bar}", if passed { "reached:" } else { "MISSED: " });
        }
        text.trim_end().to_owned()
    }
}

fn speed(sample: &Sample) -> f64 {
    sample.timed.amount / sample.timed.seconds
}

impl Unit {
    fn tell(self, value: f64) -> String {
        match self {
            Unit::Seconds if value < 0.1 => format!("{:.1} ms", value * 1000.0),
            Unit::Seconds => format!("{value:.2} s"),
            Unit::BytesPerSecond if value >= 1e7 => format!("{:.0} MB/s", value / 1e6),
            Unit::BytesPerSecond => format!("{:.2} MB/s", value / 1e6),
            Unit::PerSecond => format!("{value:.0}/s"),
        }
    }
}

fn amount(bytes: f64) -> String {
    if bytes >= 1e6 { format!("{:.1} MB", bytes / 1e6) } else { format!("{:.0} kB", bytes / 1e3) }
}

/// What the figures were made with.
pub(crate) fn head(rounds: usize, python: &Path) -> String {
    let first = |program: &str, arguments: &[&str]| {
        let output = job::output(Command::new(program).args(arguments));
        output
            .map_or_else(|error| error.to_string(), |text| text.lines().next().unwrap_or_default().to_owned())
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').take(3).collect::<Vec<&str>>().join(" ");
    let versions = "import rasterio, xarray, zarr, fsspec, h5py; print('rasterio', rasterio.__version__, 'with GDAL', \
        rasterio.__gdal_version__ + ', xarray', xarray.__version__ + ', zarr', zarr.__version__ + ', fsspec', \
        fsspec.__version__ + ', h5py', h5py.__version__)";
    let python = first(&python.to_string_lossy(), &["-c", versions]);
    let curl = first("curl", &["--version"]).split(' ').take(2).collect::<Vec<&str>>().join(" ");
    format!(
        "Medians of {rounds} rounds (least–most). {cores} cores, Linux {}, load {load} at the end. {curl}, {}, {}, {python}.\n\n",
        kernel.trim(),
        first("rclone", &["version"]),
        first("gdalinfo", &["--version"]),
    )
}

/// The table.
pub(crate) fn markdown(outcomes: &[Outcome]) -> String {
    let mut text = "| work | network | dcmsfs | others | dcmsfs is × as fast | at least | reached | requests | bytes | at once | memory | processor |\n\
        |---|---|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for outcome in outcomes {
        let ours = outcome.names[0];
        let others = &outcome.names[1..];
        let list = |one: &dyn Fn(&str) -> String| {
            others.iter().map(|name| one(name)).collect::<Vec<String>>().join("<br>")
        };
        let [requests, bytes, peak, memory, processor] = outcome.costs(ours);
        let theirs = |at: usize| list(&|name| format!("{name} {}", outcome.costs(name)[at]));
        let with = |mine: String, theirs: String| {
            if theirs.is_empty() { mine } else { format!("{mine}<br>{theirs}") }
        };
        let verdicts = outcome.verdicts();
        let bars = verdicts.iter().map(|(bar, _)| bar.as_str()).collect::<Vec<&str>>().join("<br>");
        let reached = verdicts.iter().map(|(_, passed)| if *passed { "yes" } else { "**no**" });
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {bars} | {} | {} | {} | {} | {} | {} |",
            outcome.name,
            outcome.profile.name(),
            outcome.figure(ours),
            list(&|name| format!("{name} {}", outcome.figure(name))),
            list(&|name| outcome.ratio(name).map_or("–".to_owned(), |ratio| format!("{ratio:.2}"))),
            reached.collect::<Vec<&str>>().join("<br>"),
            with(requests, theirs(0)),
            with(bytes, theirs(1)),
            with(peak, theirs(2)),
            with(memory, theirs(3)),
            with(processor, theirs(4)),
        );
    }
    text
}
