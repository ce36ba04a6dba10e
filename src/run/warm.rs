//! `dcmsfs warm PATH…`: fetches into the cache on disk, with or without a mount beside it.

mod report;
mod screen;
mod where_from;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use crate::catalog::shelf::{Key, Shelf};
use crate::cli::WarmArgs;
use crate::error::{Error, ErrorKind, Result, fail};
use crate::namespace::Load;
use crate::run::status::{bytes, plain};
use crate::run::tree::Built;
use crate::run::{given, logging, places, tree};
use crate::settings::layers;
use crate::sys::harden;
use crate::warm::fetching::{Progress, Run};
use crate::warm::find::{Item, find};
use crate::warm::pattern::Pattern;
use crate::warm::plan::{Service, plan};
use report::Rate;
use screen::Screen;

/// Documents of the catalogue that are asked for at once.
const DOCUMENTS: usize = 8;
/// How long the end waits for the disk: what is not written by then is fetched again by the next run.
const FLUSH: Duration = Duration::from_secs(30);
const FLUSH_STOPPED: Duration = Duration::from_secs(1);
/// A rate is measured over no less than that.
const MEASURED: (Duration, u64) = (Duration::from_secs(2), 16 << 20);

/// Fetches what the paths name, or says what that would be.
pub(super) fn run(args: &WarmArgs) -> Result<ExitCode> {
    harden::process();
    logging::begin(None, "error")?;
    let settings = layers::load(&places::sources(&args.configuration))?;
    let roots = where_from::roots(&settings);
    let patterns: Result<Vec<Pattern>> =
        args.paths.iter().map(|path| Pattern::parse(&where_from::below(path, &roots)?)).collect();
    let patterns = patterns?;
    let account = given::account()?;
    let runtime = super::runtime(2)?;
    let code = runtime.block_on(async {
        let mut signals = Stop::listen()?;
        let built = tree::build(&settings, Path::new("/"), account)?;
        if built.store.disk().is_none() && !args.dry_run {
            let what = "the cache on disk is off (`[cache] size = \"0\"`): there is no place to fetch to";
            return fail(ErrorKind::Configuration, what);
        }
        let screen = Screen::new();
        let mut session =
            Session { built: &built, screen: &screen, progress: Progress::default(), services: Vec::new() };
        let stopped = tokio::select! {
            done = session.warm(&patterns, args.dry_run) => Err(done),
            code = signals.stop() => Ok(code),
        };
        screen.clear();
        let (code, limit) = match stopped {
            Err(done) => (done?, FLUSH),
            Ok(code) => {
                session.say_stopped();
                (code, FLUSH_STOPPED)
            }
        };
        built.flush(limit).await;
        Ok(ExitCode::from(code))
    });
    runtime.shutdown_background();
    code
}

/// The signals that end it.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    pause: Signal,
}

impl Stop {
    fn listen() -> Result<Self> {
        let one = |kind| {
            let what = |error| Error::new(ErrorKind::Internal, format!("cannot listen for signals: {error}"));
            signal(kind).map_err(what)
        };
        Ok(Self {
            interrupt: one(SignalKind::interrupt())?,
            terminate: one(SignalKind::terminate())?,
            hangup: one(SignalKind::hangup())?,
            pause: one(SignalKind::from_raw(nix::sys::signal::Signal::SIGTSTP as i32))?,
        })
    }

    /// The exit status that a shell gives to a program that a signal has ended.
    async fn stop(&mut self) -> u8 {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return 130,
                _ = self.terminate.recv() => return 143,
                _ = self.hangup.recv() => return 129,
                // A stopped process would keep its download slots from all others.
                _ = self.pause.recv() => {
                    eprintln!("dcmsfs: this cannot be suspended; Ctrl-C ends it, and the same command goes on later");
                }
            }
        }
    }
}

/// One run of the command.
struct Session<'a> {
    built: &'a Built,
    screen: &'a Screen,
    progress: Progress,
    services: Vec<Service>,
}

impl Session<'_> {
    /// All of it; the exit status.
    async fn warm(&mut self, patterns: &[Pattern], dry: bool) -> Result<u8> {
        let store = &self.built.store;
        let (mut items, mut failures, mut held) = (Vec::new(), Vec::new(), 0);
        for pattern in patterns {
            let found = find(self.built.root.clone(), pattern, &|path| self.screen.looking(path)).await;
            items.extend(found.items);
            failures.extend(found.failures);
            held += found.held;
        }
        let documents: Vec<(String, Load)> = items.iter().filter_map(document).collect();
        self.screen.looking("what is in the cache");
        self.services = plan(store, items).await;
        let room = store.disk().map_or(0, |disk| disk.limit / 10 * 9);
        for service in &mut self.services {
            // A run that fits in any case needs no estimate.
            let fits = service.figures.in_the_end() + service.figures.bounded.1 <= room;
            service.estimate(store, dry || !fits).await;
        }
        self.screen.clear();
        let unseen = failures.len();
        for (path, error) in failures {
            eprintln!("dcmsfs: {}: {}", plain(&path), plain(&error.to_string()));
        }
        for service in &self.services {
            let rate = rate(&self.built.shelf, service).await;
            say(&report::planned(service, &rate));
            report::short(service).iter().for_each(|line| say(line));
        }
        let metadata = documents.len() as u64 + held;
        if metadata > 0 {
            say(&format!("{metadata} files of metadata, which are kept with the listings"));
        }
        let fits = self.fits(room);
        if dry {
            if let Some(disk) = store.disk().filter(|_| !self.services.is_empty()) {
                say(&format!("the cache takes {}, and holds {} now", bytes(disk.limit), bytes(disk.bytes)));
            }
            say("nothing was downloaded");
            fits?;
            return Ok(u8::from(unseen > 0));
        }
        fits?;
        let unread = self.read(documents).await;
        let missing = self.services.iter().map(|service| service.figures.missing()).sum::<u64>();
        let ended = self.fetch(room, missing).await;
        Ok(u8::from(!ended || unseen > 0 || unread))
    }

    /// Refuses what the cache cannot hold.
    fn fits(&self, room: u64) -> Result<()> {
        let Some(disk) = self.built.store.disk() else { return Ok(()) };
        let wanted: u64 = self.services.iter().map(|service| service.figures.in_the_end()).sum();
        if wanted <= room {
            return Ok(());
        }
        fail(
            ErrorKind::TooLarge,
            format!(
                "that is {} in all, and the cache of {} has room for {} at once: raise `[cache] size`, or name less",
                bytes(wanted),
                bytes(disk.limit),
                bytes(room)
            ),
        )
    }

    /// Reads documents, so that they are with the listings; whether one could not be read.
    async fn read(&self, documents: Vec<(String, Load)>) -> bool {
        let reads = stream::iter(documents).map(|(path, load)| async move { (path, load().await) });
        let mut reads = reads.buffer_unordered(DOCUMENTS);
        let mut failed = false;
        while let Some((path, read)) = reads.next().await {
            if let Err(error) = read {
                failed = true;
                eprintln!("dcmsfs: {}: {}", plain(&path), plain(&error.to_string()));
            }
        }
        failed
    }

    /// Fetches what is missing, and says what came of it; whether all of it is there.
    async fn fetch(&self, room: u64, missing: u64) -> bool {
        let began = Instant::now();
        let before: Vec<u64> =
            self.services.iter().map(|service| service.fetch.traffic().totals().1).collect();
        let all = self.services.iter().map(|service| service.figures.count).sum();
        self.screen.begin(&self.services, all);
        let run = Run { store: &self.built.store, room, progress: &self.progress, watch: self.screen };
        self.screen.show_while(&self.progress, all, run.all(&self.services)).await;
        self.screen.clear();
        let took = began.elapsed();
        for (service, before) in self.services.iter().zip(before) {
            let came = service.fetch.traffic().totals().1 - before;
            if took >= MEASURED.0 && came >= MEASURED.1 {
                let per_transfer = came as f64 / took.as_secs_f64() / service.fetch.slots().1 as f64;
                let measured = per_transfer.to_le_bytes().to_vec();
                self.built.shelf.put(rate_key(service), measured, Timestamp::now()).await;
            }
        }
        let noun = report::noun(&self.services);
        if self.progress.done() > 0 {
            say(&report::fetched(&self.progress, noun, took));
        }
        for (service, error) in self.progress.stopped.lock().iter() {
            eprintln!("dcmsfs: stopped asking {service}: {}", plain(&error.to_string()));
        }
        let failed = self.progress.failures.lock().len() as u64;
        let remaining = all.saturating_sub(self.progress.done());
        if failed + remaining > 0 {
            eprintln!(
                "dcmsfs: {failed} {noun} failed, {remaining} were not tried; the same command goes on with what is missing"
            );
            return false;
        }
        let lost = if missing > 0 { self.lost().await } else { 0 };
        if lost > 0 {
            eprintln!(
                "dcmsfs: {lost} {noun} are not in the cache any more: others needed their room; raise `[cache] size`"
            );
        }
        lost == 0
    }

    /// How many were pushed out meanwhile.
    async fn lost(&self) -> u64 {
        let mut stored = 0;
        for set in self.services.iter().flat_map(|service| &service.sets) {
            for n in 0..set.len() {
                let target = set.get(n).await;
                stored += u64::from(target.is_some_and(|target| self.built.store.cached(&target.remote).1));
            }
        }
        let empty = self.progress.empty.load(std::sync::atomic::Ordering::Relaxed);
        let absent = self.progress.absent.load(std::sync::atomic::Ordering::Relaxed);
        let all: u64 = self.services.iter().map(|service| service.figures.count).sum();
        all.saturating_sub(stored + absent + empty)
    }

    /// After a signal.
    fn say_stopped(&self) {
        let noun = report::noun(&self.services);
        let all: u64 = self.services.iter().map(|service| service.figures.count).sum();
        if all == 0 {
            eprintln!("dcmsfs: stopped before anything was fetched");
            return;
        }
        let remaining = all.saturating_sub(self.progress.done());
        eprintln!(
            "dcmsfs: stopped: {} of {all} {noun} are done, {remaining} remain; the same command goes on where this one ended",
            self.progress.done()
        );
    }
}

/// To standard output; that nobody reads it any more (`| head`) is no reason to end.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn document((path, item): &(String, Item)) -> Option<(String, Load)> {
    match item {
        Item::Document(load) => Some((path.clone(), load.clone())),
        Item::File(_) | Item::Chunks(_) => None,
    }
}

fn rate_key(service: &Service) -> Key {
    Key::of("rate", &[service.fetch.service()])
}

/// What one transfer of the service brings in a second: as the last run measured it.
async fn rate(shelf: &Shelf, service: &Service) -> Rate {
    let kept = shelf.get(rate_key(service)).await;
    let measured = kept.and_then(|kept| Some(f64::from_le_bytes(kept.bytes.try_into().ok()?)));
    match measured.filter(|rate| rate.is_finite() && *rate >= 1.0) {
        Some(rate) => Rate { bytes: rate, measured: true },
        None => Rate::default(),
    }
}
