//! Files that hold secrets: refused when others can read them, replaced in one step, locked while renewed.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result, fail};

/// Larger files are not ours.
const MAX_SIZE: u64 = 1 << 20;

/// How long another process may hold the lock: longer than its slowest login.
const LOCK_PATIENCE: Duration = Duration::from_secs(90);

/// What tells one content of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// Moves with a `chmod` too, which may be what was waited for.
    changed: (i64, i64),
}

/// The stamp of the file at `path`; `None` if there is none.
pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    let about = std::fs::metadata(path).ok()?;
    Some(Stamp {
        inode: about.ino(),
        size: about.size(),
        modified: (about.mtime(), about.mtime_nsec()),
        changed: (about.ctime(), about.ctime_nsec()),
    })
}

/// A file's content and when it was last written.
pub(super) struct Content {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) modified: SystemTime,
}

/// Reads a private file; `None` if there is none.
///
/// Fails with `Configuration` if it belongs to somebody else or others may read it (contract.md 8.3).
pub(super) fn read(path: &Path) -> Result<Option<Content>> {
    let shown = path.display();
    let unreadable =
        |error: io::Error| Error::new(ErrorKind::Configuration, format!("cannot read {shown}: {error}"));
    // Nonblocking, so that a pipe in its place cannot stop us; the checks are made on what was opened.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let about = file.metadata().map_err(unreadable)?;
    if !about.is_file() || about.len() > MAX_SIZE {
        return fail(ErrorKind::Configuration, format!("{shown} is not a small regular file: remove it"));
    }
    if about.uid() != nix::unistd::geteuid().as_raw() {
        return fail(
            ErrorKind::Configuration,
            format!("{shown} belongs to another user (uid {}): its secrets are not used", about.uid()),
        );
    }
    if about.mode() & 0o077 != 0 {
        return fail(
            ErrorKind::Configuration,
            format!(
                "{shown} can be read by others: its secrets are not used until you run `chmod 600 {shown}`"
            ),
        );
    }
    // Room for all of it from the start, so that no outgrown buffer is left behind unwiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SIZE.min(about.len() + 4096) as usize));
    file.take(MAX_SIZE).read_to_end(&mut bytes).map_err(unreadable)?;
    let modified = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    Ok(Some(Content { bytes, modified }))
}

/// Replaces a private file in one step: others see the old or the new content, never a part. A missing
/// directory is made with mode 0700, the file has 0600; a symbolic link stays and its target is replaced.
///
/// Fails with `Configuration`, naming the file.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    write_beside(path, bytes).map_err(|error| {
        Error::new(ErrorKind::Configuration, format!("cannot write {}: {error}", path.display()))
    })
}

fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_directory(directory)?;
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_string_lossy();
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let beside = directory.join(format!(".{name}.{}.{number}", std::process::id()));
    // Left over by a process of the same number that was killed.
    let _ = std::fs::remove_file(&beside);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, &path)?;
        File::open(directory)?.sync_all()
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}

fn make_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// The right to renew what is in a file; given back when dropped. All who renew share a note in the lock file:
/// when a login by password was last tried.
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// The note, if there is one that can be read.
    pub(super) fn note(&self) -> Option<Timestamp> {
        let mut text = [0; 64];
        let length = self.file.read_at(&mut text, 0).ok()?;
        std::str::from_utf8(&text[..length]).ok()?.trim().parse().ok()
    }

    /// Replaces the note. A disk that is full must not keep anybody from logging in.
    pub(super) fn set_note(&self, when: Timestamp) {
        let text = format!("{when}\n");
        let _ = self.file.set_len(0).and_then(|()| self.file.write_all_at(text.as_bytes(), 0));
    }
}

/// Waits for the right to renew the file at `path`: two processes must not both rotate a token. The file
/// need not exist; its directory is made.
///
/// `None` if no lock file can be made there, so nothing could be saved either. Fails with `TimedOut`.
pub(super) async fn lock(path: &Path) -> Result<Option<Lock>> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    if let Some(directory) = name.parent() {
        // If this fails, so does the next step.
        let _ = make_directory(directory);
    }
    let opened =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&name);
    let Ok(file) = opened else { return Ok(None) };
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(Lock { file })),
            Err(TryLockError::Error(_)) => return Ok(None),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                sleep(Duration::from_millis(20)).await
            }
            Err(TryLockError::WouldBlock) => {
                return fail(
                    ErrorKind::TimedOut,
                    format!("another process keeps {} locked: is a login hanging?", name.display()),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn written_privately_and_read_back() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("new/dir/credentials.toml");
        assert!(read(&path).unwrap().is_none() && stamp(&path).is_none());
        replace(&path, b"one").unwrap();
        let first = stamp(&path);
        replace(&path, b"two").unwrap();
        assert_ne!(first, stamp(&path));
        assert_eq!(*read(&path).unwrap().unwrap().bytes, b"two");
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing left beside it");
    }

    #[test]
    fn refused_when_others_can_read_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("c");
        replace(&path, b"canary").unwrap();
        for open in [0o640, 0o604, 0o644, 0o620, 0o601] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(open)).unwrap();
            let error = read(&path).err().unwrap();
            assert!(error.message().contains("chmod 600") && !error.message().contains("canary"), "{error}");
        }
        assert!(read(place.path()).is_err(), "a directory");
        nix::unistd::mkfifo(&place.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(read(&place.path().join("pipe")).is_err());
    }

    #[test]
    fn a_link_stays_a_link() {
        let place = tempfile::tempdir().unwrap();
        let (real, link) = (place.path().join("real"), place.path().join("link"));
        replace(&real, b"one").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        replace(&link, b"two").unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read(&real).unwrap(), b"two");
    }

    #[tokio::test(start_paused = true)]
    async fn one_renews_at_a_time() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("c");
        let held = lock(&path).await.unwrap().unwrap();
        assert_eq!(lock(&path).await.err().unwrap().kind(), ErrorKind::TimedOut);
        assert_eq!(held.note(), None);
        let when = Timestamp::from_second(1_700_000_000).unwrap();
        held.set_note(Timestamp::now());
        held.set_note(when);
        drop(held);
        assert_eq!(lock(&path).await.unwrap().unwrap().note(), Some(when), "another holder finds it");
        assert!(lock(&place.path().join("new/dir/c")).await.unwrap().is_some());
        replace(&path, b"").unwrap();
        assert!(lock(&path.join("below/a/file")).await.unwrap().is_none());
    }
}
