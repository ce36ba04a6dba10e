//! Whether a place can be mounted on, with a way out for each reason why not.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use nix::unistd::Uid;

use crate::error::{ErrorKind, Result, fail};
use crate::sys::{mount, mounts};

/// How long a mount may take to show that it is alive.
const ALIVE: Duration = Duration::from_secs(5);

/// The place as an absolute path, ready to be mounted on: a directory, an empty one unless `nonempty`. A dead mount of ours that is in
/// the way is removed.
///
/// # Errors
/// `Configuration`, with the way out.
pub(super) fn prepare(point: &Path, nonempty: bool) -> Result<PathBuf> {
    let shown = point.display();
    let wrong = |why: String| fail(ErrorKind::Configuration, why);
    let absolute = match std::path::absolute(point) {
        Ok(absolute) => normal(&absolute),
        Err(error) => return wrong(format!("{shown}: {error}")),
    };
    // The table first: a look at the directory of a mount that hangs would hang too.
    if let Some(there) = mounts::at(&absolute).filter(|there| there.kind == mounts::TYPE) {
        let Some(dead) = is_dead(&absolute) else {
            return wrong(format!("{shown} is mounted and does not answer: `dcmsfs unmount --lazy {shown}`"));
        };
        if !dead {
            return wrong(format!("{shown} is mounted already: use it, or `dcmsfs unmount {shown}` first"));
        }
        if there.user.is_some_and(|user| user != Uid::effective().as_raw()) {
            return wrong(format!("{shown} is a dead mount of another user: ask them to unmount it"));
        }
        if let Err(error) = mount::detach(&absolute, true) {
            return wrong(format!("{shown} is a dead mount that cannot be removed: {error}"));
        }
        eprintln!("dcmsfs: removed a dead mount at {shown}");
    }
    let canonical = match absolute.canonicalize() {
        Ok(canonical) => canonical,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A single word may have been meant as a command.
            let word = point.parent().is_some_and(|parent| parent.as_os_str().is_empty());
            let commands = if word { "; commands are listed by `dcmsfs --help`" } else { "" };
            return wrong(format!("{shown} does not exist: make it with `mkdir -p {shown}`{commands}"));
        }
        Err(error) => return wrong(format!("cannot mount at {shown}: {error}")),
    };
    if ["/proc", "/sys", "/dev"].iter().any(|system| canonical.starts_with(system)) {
        return wrong(format!("{shown} belongs to the system: choose a directory of your own"));
    }
    match std::fs::read_dir(&canonical) {
        Ok(mut entries) => match entries.next() {
            Some(_) if !nonempty => {
                wrong(format!("{shown} is not empty: choose an empty directory, or give --nonempty"))
            }
            _ => Ok(canonical),
        },
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            wrong(format!("{shown} is not a directory: choose an empty directory"))
        }
        Err(error) => wrong(format!("cannot look into {shown}: {error}")),
    }
}

/// Whether the daemon of the mount at `point` is gone; `None` when it is there and does not answer. The name is
/// a fresh one each time, because the kernel answers for known ones from memory (contract.md 3.6).
fn is_dead(point: &Path) -> Option<bool> {
    let fresh = point.join(format!(".dcmsfs-alive-{}", std::process::id()));
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(std::fs::symlink_metadata(fresh).map(drop)));
    let answer = receiver.recv_timeout(ALIVE).ok()?;
    Some(matches!(answer, Err(error) if error.raw_os_error() == Some(libc::ENOTCONN)))
}

/// The place of a mount that another process has made for us. Only its parent is looked at: a look at the
/// mount itself would wait for the daemon that we are about to be.
///
/// # Errors
/// `Configuration` when there is no such place.
pub(super) fn handed_in(point: &Path) -> Result<PathBuf> {
    let place = point.parent().zip(point.file_name());
    let found = place.and_then(|(parent, name)| Some(parent.canonicalize().ok()?.join(name)));
    match found {
        Some(found) => Ok(found),
        None => fail(ErrorKind::Configuration, format!("{} is no mount point", point.display())),
    }
}

/// Without `.` and `..`, by text alone: links are not followed yet.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::ParentDir => {
                normal.pop();
            }
            std::path::Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_place_is_named_with_a_way_out() {
        let home = tempfile::tempdir().unwrap();
        let full = home.path().join("full");
        std::fs::create_dir(&full).unwrap();
        std::fs::write(full.join("x"), "x").unwrap();
        let cases = [
            (home.path().join("missing"), "mkdir -p"),
            (full.join("x"), "not a directory"),
            (full, "not empty"),
            ("/proc".into(), "belongs to the system"),
        ];
        for (place, way_out) in cases {
            let error = prepare(&place, false).unwrap_err();
            assert!(error.message().contains(way_out), "{error}");
            assert!(error.message().contains(&*place.to_string_lossy()), "{error}");
        }
        std::fs::create_dir(home.path().join("empty")).unwrap();
        assert!(prepare(&home.path().join("x/../empty/."), false).is_ok());
    }
}
