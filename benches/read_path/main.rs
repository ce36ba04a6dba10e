//! Runs dcmsfs and what people use in its place side by side against the stand-in of the services, and prints
//! one table: `cargo bench --bench read_path`, or `-- --help` for its options.
//!
//! - [`service`] is the stand-in in a process of its own: the network's speed, the journal;
//! - [`mounts`] are dcmsfs and rclone, each mounted anew for what is to be cold;
//! - [`bare`] is a FUSE file system that does nothing else than answer: what FUSE itself costs;
//! - [`job`] runs a program and takes its time; [`reader`] is the program that only reads;
//! - [`rows`] say what is measured, against whom, and what is at least expected;
//! - [`report`] makes the table.
//!
//! The contestants of a row take turns, in an order that changes from round to round, so that a disturbance of
//! the machine meets all of them.

#![allow(clippy::disallowed_methods, reason = "a measurement waits for other processes by the clock")]

mod bare;
mod job;
mod mounts;
mod reader;
mod report;
mod room;
mod rows;
mod service;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Args, Parser, Subcommand};

use report::Outcome;
use rows::Row;
use service::Service;

/// What went wrong, for a person to read.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Debug, Parser)]
struct Flags {
    #[command(subcommand)]
    command: Option<Task>,
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// The stand-in; ends with its standard input
    #[command(hide = true)]
    Serve { files: PathBuf },
    /// Reads a file and says how long it took
    #[command(hide = true)]
    Read(reader::Flags),
    /// Serves its standard input as a file
    #[command(hide = true)]
    Bare(bare::Flags),
    /// Makes the kernel forget the pages of files
    #[command(hide = true)]
    Drop { files: Vec<PathBuf> },
}

/// Measures dcmsfs and its peers.
#[derive(Args, Debug)]
struct Run {
    /// Rounds; the table has their medians
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only rows whose profile is this: none, 10ms, 20ms, wan
    #[arg(long)]
    profile: Option<String>,
    /// Only rows whose name contains this; may be given several times
    #[arg(long)]
    only: Vec<String>,
    /// Only these contestants, such as `dcmsfs`; may be given several times
    #[arg(long)]
    who: Vec<String>,
    /// Print the rows and end
    #[arg(long)]
    list: bool,
    /// Where the data lies or is made (3 GB); default: `bench-data` in the target directory
    #[arg(long)]
    data: Option<PathBuf>,
    /// Where mounts and caches are made, on a disk; default: a directory below the one for temporary files
    #[arg(long)]
    work: Option<PathBuf>,
    /// The program to measure
    #[arg(long, default_value = env!("CARGO_BIN_EXE_dcmsfs"))]
    program: PathBuf,
    /// Python with benches/read_path/requirements.txt; default: `venv` in the target directory
    #[arg(long)]
    python: Option<PathBuf>,
    /// Write the table here, too
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// What `cargo bench` gives every program
    #[arg(long, hide = true)]
    bench: bool,
}

/// What all rows use.
pub(crate) struct Stage {
    pub(crate) service: Service,
    /// The data as a local directory.
    pub(crate) data: PathBuf,
    /// Names of the files that rows read, below `products` or `stores` of the data.
    pub(crate) paths: BTreeMap<String, String>,
    /// A directory for mounts, caches and copies. It is removed at the end.
    pub(crate) work: PathBuf,
    pub(crate) program: PathBuf,
    /// This program, where everybody may run it.
    pub(crate) this: PathBuf,
    pub(crate) python: PathBuf,
}

impl Stage {
    /// The path of a file below `products` or `stores` of the data, by its short name.
    pub(crate) fn path(&self, name: &str) -> &str {
        self.paths.get(name).map_or("", String::as_str)
    }
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let done = match &flags.command {
        Some(Task::Serve { files }) => service::serve(files),
        Some(Task::Read(flags)) => reader::run(flags),
        Some(Task::Bare(flags)) => bare::run(flags),
        Some(Task::Drop { files }) => files.iter().try_for_each(|file| reader::drop_pages(file)),
        None => run(&flags.run),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("read_path: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Run) -> Result<()> {
    let wanted = |row: &Row| {
        flags.profile.as_ref().is_none_or(|profile| row.profile.name() == profile)
            && (flags.only.is_empty() || flags.only.iter().any(|part| row.name.contains(part.as_str())))
    };
    let rows = rows::all().into_iter().filter(wanted).collect::<Vec<Row>>();
    if flags.list {
        rows.iter().for_each(|row| println!("{}: {}", row.profile.name(), row.name));
        return Ok(());
    }
    room::enter()?;
    if cfg!(debug_assertions) && flags.program == Path::new(env!("CARGO_BIN_EXE_dcmsfs")) {
        eprintln!("this is a debug build: figures of dcmsfs mean nothing; use cargo bench");
    }
    let stage = prepare(flags)?;
    let mut outcomes = Vec::new();
    for row in &rows {
        let outcome = row.measure(&stage, flags.rounds, &flags.who);
        println!("{}", outcome.text());
        outcomes.push(outcome);
    }
    let head = report::head(flags.rounds, &stage.python);
    if let Some(file) = &flags.markdown {
        fs::write(file, head + &report::markdown(&outcomes))?;
    }
    let missed =
        outcomes.iter().filter(|outcome| !outcome.passed()).map(Outcome::name).collect::<Vec<&str>>();
    println!("{} rows, {} below their bar: {}", outcomes.len(), missed.len(), missed.join("; "));
    drop(stage.service);
    room::leave(&stage.work);
    fs::remove_dir_all(&stage.work)?;
    Ok(())
}

fn prepare(flags: &Run) -> Result<Stage> {
    // Of the target directory this program lies in `release/deps`.
    let this = std::env::current_exe()?;
    let target = this.ancestors().nth(3).ok_or("this program lies in no target directory")?;
    let data = flags.data.clone().unwrap_or_else(|| target.join("bench-data"));
    let python = flags.python.clone().unwrap_or_else(|| target.join("venv/bin/python"));
    fs::create_dir_all(&data)?;
    let made = Command::new(&python)
        .args(["-W", "ignore", concat!(env!("CARGO_MANIFEST_DIR"), "/benches/read_path/generate.py")])
        .arg(&data)
        .status();
    if !made.is_ok_and(|status| status.success()) {
        return Err(
            format!("the data could not be made with {}: tests/prepare.sh bench", python.display()).into()
        );
    }
    let paths = serde_json::from_slice(&fs::read(data.join("paths.json"))?)?;
    let work = flags.work.clone().unwrap_or_else(std::env::temp_dir);
    let work = work.join(format!("dcmsfs-bench-{}", std::process::id()));
    fs::create_dir_all(&work)?;
    room::furnish(&work)?;
    // A copy that everybody may run, wherever it was built, and that no build replaces meanwhile.
    let program = work.join("dcmsfs");
    fs::copy(&flags.program, &program)?;
    let copy = work.join("read_path");
    fs::copy(&this, &copy)?;
    let service = Service::start(&data)?;
    let stage = Stage { service, data, paths, work, program, this: copy, python };
    mounts::login(&stage)?;
    Ok(stage)
}
