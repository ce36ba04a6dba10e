//! `dcmsfs status`

use std::io::{Read, Write};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use jiff::Timestamp;
use nix::unistd::{Uid, User};

use crate::cli::StatusArgs;
use crate::credentials::files;
use crate::error::{Error, ErrorKind, Result, fail};
use crate::fetch::Counts;
use crate::run::status_report::{LimitState, Service, State, Status};
use crate::run::{places, tree};
use crate::settings::layers;
use crate::sys::{harden, mounts};

/// How long a mount may take to tell of itself before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest account that a mount gives of itself.
const LONGEST: u64 = 1 << 20;

/// A line on standard output; that nobody reads it any more (`| head`) is no error.
macro_rules! say {
    ($($text:tt)*) => {{
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

/// Shows one mount or all of them. Mounts of other users are named only: they cannot be entered, or say what
/// their owner likes.
pub(super) fn run(args: &StatusArgs) -> Result<()> {
    let (mut others, mut found) = (Vec::new(), Vec::new());
    match &args.mountpoint {
        Some(point) => found.push(ask(&mounts::point(point))),
        None => {
            for mount in mounts::ours() {
                match mount.user.filter(|user| *user != Uid::effective().as_raw()) {
                    Some(user) => others.push((mount.point, user)),
                    None => found.push(ask(&mount.point)),
                }
            }
        }
    }
    if args.json {
        let good: Vec<&Status> = found.iter().filter_map(|status| status.as_ref().ok()).collect();
        let json = serde_json::to_string_pretty(&good)
            .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        say!("{json}");
    } else if found.is_empty() && others.is_empty() {
        say!("nothing is mounted; `dcmsfs MOUNTPOINT` mounts");
        kept(args)?;
    } else {
        found.iter().filter_map(|status| status.as_ref().ok()).for_each(show);
        for (point, user) in &others {
            let user = User::from_uid((*user).into()).ok().flatten();
            let name = user.map_or_else(|| "another user".to_owned(), |user| user.name);
            say!("{}  (of {name}, who alone can see more)", plain(&point.display().to_string()));
        }
    }
    match found.into_iter().find_map(Result::err) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// How the login stands, as far as the credentials file tells without a mount.
fn kept(args: &StatusArgs) -> Result<()> {
    harden::process();
    let settings = layers::load(&places::sources(&args.configuration))?;
    let Some(file) = tree::credential_settings(&settings)?.file else { return Ok(()) };
    let stored = files::load(&file)?;
    let line = |name: &str, user: &str, until: Option<Timestamp>, renewed: bool| {
        let past = until.is_some_and(|until| until <= Timestamp::now()) && !renewed;
        let state = if past { "expired: run `dcmsfs login`" } else { "logged in" };
        let user = if user.is_empty() { String::new() } else { format!(" as {}", plain(user)) };
        let until = until.filter(|_| !past).map_or(String::new(), |until| format!(" until {until:.0}"));
        say!("  {name:<14} account: {state}{user}{until}");
    };
    if let Some(login) = &stored.cache_a {
        let until = if login.refresh_token.is_some() { login.refresh_expires } else { login.expires };
        line("cache-a", &login.user, until, stored.account.is_some());
    }
    if let Some(login) = &stored.cache_b {
        line("cache-b", &login.user, login.expires, stored.account.is_some());
    }
    if stored.cache_a.is_none() && stored.cache_b.is_none() {
        say!("nobody is logged in; `dcmsfs login` does that");
    }
    Ok(())
}

fn read_bounded(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Text from elsewhere without what would steer a terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn ask(point: &Path) -> Result<Status> {
    let shown = point.display();
    let ours = mounts::at(point).is_some_and(|mount| mount.kind == mounts::TYPE);
    if !ours {
        return fail(ErrorKind::Configuration, format!("nothing of ours is mounted at {shown}"));
    }
    let file = point.join(".dcmsfs/status.json");
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(read_bounded(&file)));
    match receiver.recv_timeout(PATIENCE) {
        Ok(Ok(json)) => serde_json::from_slice(&json).map_err(|error| {
            Error::new(ErrorKind::Protocol, format!("{shown} is mounted by another version: {error}"))
        }),
        Ok(Err(error)) if error.raw_os_error() == Some(libc::ENOTCONN) => fail(
            ErrorKind::Configuration,
            format!("the mount at {shown} is dead: remove it with `dcmsfs unmount --lazy {shown}`"),
        ),
        Ok(Err(error)) => fail(ErrorKind::Configuration, format!("cannot ask the mount at {shown}: {error}")),
        Err(_) => fail(
            ErrorKind::TimedOut,
            format!("the mount at {shown} does not answer: remove it with `dcmsfs unmount --lazy {shown}`"),
        ),
    }
}

fn show(status: &Status) {
    let minutes = (Timestamp::now() - status.since).total(jiff::Unit::Minute).unwrap_or(0.0);
    let point = plain(&status.mountpoint.display().to_string());
    say!("{point}  (process {}, for {minutes:.0} min)", status.pid);
    for service in &status.services {
        say!(
            "  {:<14} {} of {} slots in use, {} requests, {} fetched{}",
            plain(&service.name),
            service.transfers,
            service.slots,
            service.requests,
            bytes(service.bytes),
            if service.failures > 0 { format!(", {} failures", service.failures) } else { String::new() },
        );
        if let Some(problem) = &service.problem {
            say!("  {:<14} problem: {}", "", plain(problem));
        }
        if service.guesses > 0 {
            let (guesses, read) = (service.guesses, service.guesses_read);
            say!("  {:<14} {guesses} chunks fetched ahead, {read} of them read so far", "");
        }
        show_budget(service);
    }
    for account in &status.accounts {
        let state = match (account.state, &account.problem) {
            (_, Some(problem)) => plain(problem),
            (State::LoggedIn, _) => "logged in".into(),
            (State::Expired, _) => "expired: run `dcmsfs login`".into(),
            (State::Missing, _) => "not logged in: run `dcmsfs login`".into(),
            (State::NotNeeded, _) => "no login needed".into(),
        };
        let user = account.user.as_ref().map_or(String::new(), |user| format!(" as {}", plain(user)));
        let until = account.until.map_or(String::new(), |until| format!(" until {until:.0}"));
        say!("  {:<14} account: {state}{user}{until}", plain(&account.name));
    }
    say!("  {:<14} {} of blocks", "memory", bytes(status.memory_bytes));
    if let Some(disk) = &status.disk {
        say!("  {:<14} {} of {}", "disk cache", bytes(disk.bytes), bytes(disk.limit));
        if let Some(problem) = &disk.problem {
            say!("  {:<14} nothing is stored for now: {}", "", plain(problem));
        }
        if disk.damaged > 0 {
            say!("  {:<14} {} found damaged, and fetched again when needed", "", disk.damaged);
        }
    }
}

/// What all mounts together have asked for, and what is left of it.
fn show_budget(service: &Service) {
    let (today, month) = (service.today, service.month);
    if !month.is_empty() {
        let counted = |counts: Counts| format!("{} in {} requests", bytes(counts.bytes), counts.requests);
        say!("  {:<14} today {}, this month {}", "", counted(today), counted(month));
    }
    for limit in &service.limits {
        let warning = match limit.state {
            LimitState::Ok => "",
            LimitState::Warning => ": nearly used up",
            LimitState::UsedUp => ": used up, only what is cached can be read",
        };
        let (setting, shown) = (plain(&limit.setting), plain(&limit.shown));
        let (percent, resets) = (limit.percent, limit.resets);
        say!("  {:<14} limit {setting}: {shown} ({percent} %) until {resets:.0}{warning}", "");
    }
    if let Some(until) = service.paused_until {
        say!("  {:<14} paused by the service until {until:.0}: only what is cached can be read", "");
    }
    if let Some(problem) = &service.counts_problem {
        say!("  {:<14} counts: {}", "", plain(problem));
    }
}

/// A count of bytes for a person.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_for_people() {
        assert_eq!([bytes(17), bytes(1536), bytes(20 << 30)], ["17 B", "1.5 KiB", "20.0 GiB"]);
    }
}
