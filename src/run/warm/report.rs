//! Counts, bytes and times in words.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::run::status::{bytes, plain};
use crate::warm::fetching::Progress;
use crate::warm::plan::{Service, Set};

/// What one transfer brings in a second while nothing was measured: users of the Zarr service saw 176 MB/s with
/// sixteen (protocol.md 4.2).
const ASSUMED: f64 = 10.0 * 1024.0 * 1024.0;
/// What a request takes beside its bytes, seconds.
const REQUEST: f64 = 0.1;

/// How fast a transfer is.
pub(super) struct Rate {
    /// Bytes in a second.
    pub(super) bytes: f64,
    /// Measured by an earlier run, or assumed.
    pub(super) measured: bool,
}

impl Default for Rate {
    fn default() -> Self {
        Self { bytes: ASSUMED, measured: false }
    }
}

/// What the services' things are called together.
pub(super) fn noun(services: &[Service]) -> &'static str {
    let mut sets =
        services.iter().flat_map(|service| &service.sets).map(|set| matches!(set, Set::Chunks(..)));
    let first = sets.next().unwrap_or(false);
    match (first, sets.all(|one| one == first)) {
        (true, true) => "chunks",
        (false, true) => "files",
        (_, false) => "files and chunks",
    }
}

/// What is to be fetched from a service, and how long that takes.
pub(super) fn planned(service: &Service, rate: &Rate) -> String {
    let (name, figures) = (plain(service.fetch.service()), service.figures);
    let noun = noun(std::slice::from_ref(service));
    let (stored, stored_bytes) = figures.stored;
    let (count, missing) = (figures.count, figures.missing());
    let absent = match figures.absent {
        0 => String::new(),
        absent => format!("; {absent} known not to be at the service"),
    };
    if missing == 0 && figures.absent == 0 {
        return format!("{name}: {count} {noun}, {}: all in the cache", bytes(stored_bytes));
    }
    if missing == 0 {
        return format!(
            "{name}: {stored} of {count} {noun}, {}, are in the cache{absent}",
            bytes(stored_bytes)
        );
    }
    let mut sizes = Vec::new();
    if figures.known > 0 {
        sizes.push(bytes(figures.known));
    }
    if figures.estimated.0 > 0 {
        let of =
            if figures.known > 0 { format!(" for {} of them", figures.estimated.0) } else { String::new() };
        sizes.push(format!("about {}{of} (estimated)", bytes(figures.estimated.1)));
    }
    if figures.bounded.0 > 0 {
        sizes.push(format!("at most {} (before compression)", bytes(figures.bounded.1)));
    }
    if figures.unknown > 0 {
        sizes.push(format!("{} of unknown size", figures.unknown));
    }
    let sizes = if sizes.is_empty() { bytes(0) } else { sizes.join(" and ") };
    let part = if figures.partly > 0 {
        format!(", of which {} are there", bytes(figures.partly))
    } else {
        String::new()
    };
    let there = match stored {
        0 => String::new(),
        _ => format!("; {stored}, {}, are in the cache", bytes(stored_bytes)),
    };
    let slots = service.fetch.slots().1;
    let seconds = (figures.bytes() as f64 / rate.bytes + missing as f64 * REQUEST) / slots as f64;
    let how = if rate.measured { "as measured" } else { "assumed" };
    let speed = bytes(rate.bytes as u64);
    format!(
        "{name}: {missing} of {count} {noun} to fetch, {sizes}{part}{there}{absent}; {} with {slots} at once of {speed}/s each ({how})",
        time(seconds)
    )
}

/// What the user's own limits leave of a service, where that is less than what is planned.
pub(super) fn short(service: &Service) -> Option<String> {
    let (allowance, figures) = (service.fetch.budget().allowance(), service.figures);
    let requests = allowance.requests.filter(|share| share.left < figures.missing());
    let volume = allowance.bytes.filter(|share| share.left < figures.bytes());
    let left: Vec<String> = requests
        .map(|share| format!("{} requests", share.left))
        .into_iter()
        .chain(volume.map(|share| bytes(share.left)))
        .collect();
    let name = plain(service.fetch.service());
    (!left.is_empty())
        .then(|| format!("{name}: your limits leave {}: it will not all be fetched", left.join(" and ")))
}

/// What was fetched.
pub(super) fn fetched(progress: &Progress, noun: &str, took: Duration) -> String {
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let (count, all) = (read(&progress.fetched), read(&progress.bytes));
    let seconds = took.as_secs_f64();
    let speed = if count > 0 {
        format!(" ({}/s)", bytes((all as f64 / seconds.max(0.001)) as u64))
    } else {
        String::new()
    };
    let mut text = format!("fetched {count} {noun}, {}, in {}{speed}", bytes(all), duration(seconds));
    let stored = read(&progress.stored);
    if stored > 0 {
        text += &format!("; {stored}, {}, were in the cache", bytes(read(&progress.stored_bytes)));
    }
    let absent = read(&progress.absent);
    if absent > 0 {
        text += &format!("; {absent} are not at the service, and stand for the fill value");
    }
    text
}

fn duration(seconds: f64) -> String {
    match seconds {
        ..10.0 => format!("{seconds:.1} s"),
        ..120.0 => format!("{seconds:.0} s"),
        ..7200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

fn time(seconds: f64) -> String {
    if seconds < 60.0 {
        "less than a minute".into()
    } else {
        format!("about {}", duration(seconds.max(120.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_for_people() {
        assert_eq!([3.06, 75.0, 600.0, 9000.0].map(duration), ["3.1 s", "75 s", "10 min", "2.5 h"]);
        assert_eq!([3.0, 61.0, 9000.0].map(time), ["less than a minute", "about 2 min", "about 2.5 h"]);
    }
}
