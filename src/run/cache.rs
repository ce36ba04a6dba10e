//! `dcmsfs cache`: what is stored on disk, whether it is sound, clearing it. It works beside running mounts.

use std::io::{self, Write};
use std::time::SystemTime;

use serde::Serialize;

use crate::catalog::shelf::{Room, Shelf};
use crate::cli::{CacheAction, CacheArgs, CacheClearArgs, CacheLsArgs, CacheVerifyArgs, ConfigurationArgs};
use crate::error::{Error, ErrorKind, Result, fail};
use crate::run::places;
use crate::run::status::{bytes, plain};
use crate::settings::quantity::parse_size;
use crate::settings::{Settings, expand, layers};
use crate::store::disk::DiskSettings;
use crate::store::disk::inspect::{Inspector, Stored};

/// The disk cache that `settings` ask for. None is wanted when its size is 0; its files may still be there.
///
/// # Errors
/// `Configuration`, naming the key.
pub(super) fn settings(settings: &Settings) -> Result<DiskSettings> {
    Ok(DiskSettings {
        dir: expand(&settings.cache.dir, &places::home()),
        size: parse_size("cache.size", &settings.cache.size)?,
        min_free: parse_size("cache.min_free", &settings.cache.min_free)?,
    })
}

/// Does what was asked for.
pub(super) fn run(args: &CacheArgs) -> Result<()> {
    match &args.action {
        CacheAction::Ls(args) => list(args),
        CacheAction::Verify(args) => verify(args),
        CacheAction::Clear(args) => clear(args),
    }
}

/// What is there, and what may be.
struct Place {
    disk: DiskSettings,
    inspector: Option<Inspector>,
}

fn place(args: &ConfigurationArgs) -> Result<Place> {
    let disk = settings(&layers::load(&places::sources(args))?)?;
    let inspector = Inspector::open(&disk.dir)?;
    Ok(Place { disk, inspector })
}

/// `cache ls --json`.
#[derive(Serialize)]
struct Listing<'a> {
    directory: String,
    limit: u64,
    used: u64,
    objects: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    object: &'a str,
    length: u64,
    stored: u64,
    complete: bool,
    used: jiff::Timestamp,
}

fn list(args: &CacheLsArgs) -> Result<()> {
    let place = place(&args.configuration)?;
    let objects = place.inspector.as_ref().map(Inspector::objects).unwrap_or_default();
    let used = place.inspector.as_ref().map_or(0, Inspector::used);
    if args.json {
        let objects = objects.iter().map(line).collect();
        let listing = Listing {
            directory: place.disk.dir.display().to_string(),
            limit: place.disk.size,
            used,
            objects,
        };
        let json = serde_json::to_string_pretty(&listing)
            .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        return print(&format!("{json}\n"));
    }
    let mut text = String::new();
    if !objects.is_empty() {
        text += &format!(
            "{:>10}  {:>10}  {:8}  {:16}  object\n",
            "size", "stored", "complete", "last used (UTC)"
        );
    }
    for object in objects.iter().map(line) {
        let used = object.used.strftime("%Y-%m-%d %H:%M");
        let complete = if object.complete { "yes" } else { "no" };
        let (length, stored) = (bytes(object.length), bytes(object.stored));
        text += &format!("{length:>10}  {stored:>10}  {complete:8}  {used}  {}\n", plain(object.object));
    }
    let stored = objects.iter().map(|object| object.stored).sum();
    let (count, limit, dir) =
        (objects.len(), bytes(place.disk.size), plain(&place.disk.dir.display().to_string()));
    text += &format!(
        "{count} objects, {} stored, {} taken with what mounts have set aside, of {limit} in {dir}\n",
        bytes(stored),
        bytes(used),
    );
    print(&text)
}

fn line(stored: &Stored) -> Line<'_> {
    let since = stored.used.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(0);
    Line {
        object: &stored.object,
        length: stored.length,
        stored: stored.stored,
        complete: stored.complete,
        used: jiff::Timestamp::from_second(seconds).unwrap_or_default(),
    }
}

fn verify(args: &CacheVerifyArgs) -> Result<()> {
    let place = place(&args.configuration)?;
    let verdict = place.inspector.map(|inspector| inspector.verify()).unwrap_or_default();
    let mut text = String::new();
    for object in &verdict.damaged {
        text += &format!("damaged, removed: {}\n", plain(object));
    }
    for object in &verdict.unread {
        text += &format!("cannot be read: {}\n", plain(object));
    }
    text += &format!("{} objects are sound, {} were damaged\n", verdict.sound, verdict.damaged.len());
    print(&text)?;
    match (verdict.damaged.len(), verdict.unread.len()) {
        (0, 0) => Ok(()),
        (damaged, unread) => fail(
            ErrorKind::Corrupt,
            format!(
                "{damaged} damaged objects were removed, {unread} could not be read; what was removed is fetched again when it is needed"
            ),
        ),
    }
}

fn clear(args: &CacheClearArgs) -> Result<()> {
    let place = place(&args.configuration)?;
    let cleared = place.inspector.map(|inspector| inspector.clear(args.text.as_deref())).unwrap_or_default();
    if args.text.is_none() {
        // Listings go with the files that they list.
        super::runtime(1)?
            .block_on(Shelf::open(&place.disk.dir, Room { most: u64::MAX, min_free: 0 }).clear());
    }
    print(&format!("{} objects removed, {} freed\n", cleared.objects, bytes(cleared.bytes)))
}

/// To standard output; that nobody reads it any more (`| head`) is no error.
fn print(text: &str) -> Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            fail(ErrorKind::Internal, format!("cannot write the output: {error}"))
        }
        _ => Ok(()),
    }
}
