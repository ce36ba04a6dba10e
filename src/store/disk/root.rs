//! The directory of the disk tier: whether it may be used, and what is made, found and removed in it.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use tracing::warn;

use crate::error::{Error, ErrorKind, fail};
use crate::store::disk::format::{self, Identity, Key};
use crate::store::disk::space;
use crate::sys::beneath::{Access, Directory};
use crate::sys::files::{Trouble, trouble};
use crate::sys::mounts;

/// The directory of this format; another format gets another one.
const FORMAT: &str = "v1";
/// Held by whoever makes room.
pub(super) const LOCK: &str = "LOCK";

/// The open directory. It stays the same one even if its path leads elsewhere later.
pub(super) struct Root {
    pub(super) top: Directory,
    pub(super) in_memory: bool,
    /// Whether several daemons share it: they need locks.
    shared: bool,
    /// Shows other daemons that this one is there and may hold an allowance.
    pub(super) presence: Mutex<Option<File>>,
}

/// Why there is no directory to work with.
pub(super) enum Refusal {
    /// It must not be used.
    Never(Error),
    /// Its disk cannot take it now: full, read-only, failing.
    Now(io::Error),
}

impl Root {
    /// Opens `dir`, made when missing. `locks`: whether file locks may be relied on, where they work.
    pub(super) fn open(dir: &Path, locks: bool) -> Result<Self, Refusal> {
        let shown = dir.display();
        refuse_own_mount(dir)?;
        match DirBuilder::new().recursive(true).mode(0o700).create(dir) {
            Err(error)
                if matches!(trouble(&error), Trouble::Unwritable | Trouble::Broken) && !dir.exists() =>
            {
                return Err(Refusal::Now(error));
            }
            Err(error) if !dir.exists() => return Err(refused(dir, &error)),
            _ => {}
        }
        let directory = Directory::open(dir).map_err(|error| refused(dir, &error))?;
        let owner = directory.owner().map_err(Refusal::Now)?;
        let own = own_user();
        if owner != own {
            return Err(Refusal::Never(wrong(format!(
                "the cache directory {shown} belongs to another user (uid {owner}): set `[cache] dir` to a directory of your own"
            ))));
        }
        check_device(dir, &directory)?;
        directory.make(FORMAT).map_err(Refusal::Now)?;
        let top = directory.directory(FORMAT).map_err(|error| refused(&dir.join(FORMAT), &error))?;
        let root = Self::new(top, true);
        if locks && root.locks_work() {
            return root.furnish();
        }
        warn!(
            "file locks do not work in {shown}: this mount caches in a directory of its own there, for as long as it lives"
        );
        forget_dead(&directory);
        let private = format!("{}{}", private_prefix(), std::process::id());
        directory.make(&private).map_err(Refusal::Now)?;
        let top = directory.directory(&private).map_err(Refusal::Now)?;
        Self::new(top, false).furnish()
    }

    fn new(top: Directory, shared: bool) -> Self {
        Self { in_memory: top.is_in_memory(), top, shared, presence: Mutex::default() }
    }

    /// The directory as it is, to look at; `None` when there is none.
    ///
    /// # Errors
    /// `Configuration` when it is somebody else's or cannot be read.
    pub(super) fn existing(dir: &Path) -> crate::error::Result<Option<Self>> {
        if let Err(Refusal::Never(error)) = refuse_own_mount(dir) {
            return Err(error);
        }
        let opened = Directory::open(dir).and_then(|dir| Ok((dir.owner()?, dir.directory(FORMAT)?)));
        match opened {
            Ok((owner, top)) if owner == own_user() => Ok(Some(Self::new(top, true))),
            Ok((owner, _)) => fail(
                ErrorKind::Configuration,
                format!("the cache directory {} belongs to another user (uid {owner})", dir.display()),
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => fail(ErrorKind::Configuration, format!("cannot open {}: {error}", dir.display())),
        }
    }

    /// Whether both are the same directory, and it has not lost its name.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.top.number().ok() == other.top.number().ok()
    }

    fn locks_work(&self) -> bool {
        // A full or read-only disk says nothing about locks.
        let Ok(file) = self.top.file(LOCK, Access::Make) else { return true };
        match file.try_lock_shared() {
            Ok(()) | Err(std::fs::TryLockError::WouldBlock) => true,
            Err(std::fs::TryLockError::Error(_)) => false,
        }
    }

    fn furnish(self) -> Result<Self, Refusal> {
        for name in ["objects", "current", "tmp", "daemons"] {
            self.top.make(name).map_err(Refusal::Now)?;
        }
        Ok(self)
    }

    /// The file `name`, made if missing and locked for this process alone until it is dropped. Waits.
    pub(super) fn lock(&self, name: &str) -> io::Result<File> {
        let file = self.top.file(name, Access::Make)?;
        if self.shared {
            file.lock()?;
        }
        Ok(file)
    }

    /// Marks the object whose data file this is as being in use, so that no other process makes holes in it.
    pub(super) fn share(&self, data: &File) -> io::Result<()> {
        if !self.shared {
            return Ok(());
        }
        match data.try_lock_shared() {
            Ok(()) => Ok(()),
            // That locks do not work any more says nothing against the object.
            Err(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Whether this process alone uses the object, from now until [`Root::share`].
    pub(super) fn claim(&self, data: &File) -> bool {
        !self.shared || data.try_lock().is_ok()
    }

    /// A name that nobody else uses.
    pub(super) fn unique(&self) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        format!("{}-{time:x}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
    }

    /// The directory that holds `key`, of `objects` or `current`.
    pub(super) fn parent(&self, kind: &str, key: &Key, make: bool) -> io::Result<Directory> {
        let first = &format::hex(key)[..2];
        let path = format!("{kind}/{first}");
        match self.top.directory(&path) {
            Err(error) if make => {
                let above = self.top.directory(kind)?;
                if error.kind() != io::ErrorKind::NotFound {
                    // A file or a link in its place.
                    above.remove_tree(OsStr::new(first))?;
                }
                above.make(first)?;
                self.top.directory(&path)
            }
            opened => opened,
        }
    }

    /// Makes an object without blocks, in one step; one that is there already is left as it is.
    pub(super) fn make_object(&self, identity: &Identity, header: &[u8]) -> io::Result<()> {
        let key = identity.key();
        let parent = self.parent("objects", &key, true)?;
        let tmp = self.top.directory("tmp")?;
        let unique = self.unique();
        tmp.make(&unique)?;
        let made = (|| {
            let fresh = tmp.directory(&unique)?;
            fresh.file("data", Access::New)?.set_len(identity.length)?;
            let mut map = fresh.file("map", Access::New)?;
            map.write_all(header)?;
            map.set_len(header.len() as u64 + identity.map_bytes())?;
            match tmp.rename(&unique, &parent, &format::hex(&key)) {
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                    self.remove_object(&key);
                    tmp.rename(&unique, &parent, &format::hex(&key))
                }
                renamed => renamed,
            }
        })();
        if made.is_err() {
            let _ = tmp.remove_tree(OsStr::new(&unique));
        }
        match made {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
                ) =>
            {
                Ok(())
            }
            made => made,
        }
    }

    /// Removes an object; the bytes that it took, `None` when it was gone or cannot be removed. It goes in one
    /// step: nobody sees a part of it. Who has it open keeps what is open.
    pub(super) fn remove_object(&self, key: &Key) -> Option<u64> {
        let (name, unique) = (format::hex(key), self.unique());
        let tmp = self.top.directory("tmp").ok()?;
        self.parent("objects", key, false).ok()?.rename(&name, &tmp, &unique).ok()?;
        let size = tmp.directory(&unique).map_or(0, |object| space::taken(&object));
        let _ = tmp.remove_tree(OsStr::new(&unique));
        Some(size)
    }

    /// The key that the pointer called `name` holds.
    pub(super) fn pointer(&self, name: &Key) -> io::Result<Option<Key>> {
        let path = format!("current/{}/{}", &format::hex(name)[..2], format::hex(name));
        let mut text = String::new();
        let read = self.top.file(&path, Access::Read)?.take(64).read_to_string(&mut text);
        match read {
            Ok(_) => Ok(text.strip_suffix('\n').and_then(format::parse_hex)),
            Err(error) if trouble(&error) == Trouble::Broken => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Makes the pointer called `name` hold `key`, in one step.
    pub(super) fn point(&self, name: &Key, key: &Key) -> io::Result<()> {
        let tmp = self.top.directory("tmp")?;
        let unique = self.unique();
        let made = (|| {
            let mut file = tmp.file(&unique, Access::New)?;
            file.write_all(format!("{}\n", format::hex(key)).as_bytes())?;
            tmp.rename(&unique, &self.parent("current", name, true)?, &format::hex(name))
        })();
        if made.is_err() {
            let _ = tmp.remove(&unique);
        }
        made
    }

    /// Removes the pointer called `name` if it holds `key`.
    pub(super) fn unpoint(&self, name: &Key, key: &Key) {
        if self.pointer(name).is_ok_and(|held| held == Some(*key)) {
            self.drop_pointer(name);
        }
    }

    /// Removes the pointer called `name`, whatever it is.
    pub(super) fn drop_pointer(&self, name: &Key) {
        if let Ok(parent) = self.parent("current", name, false) {
            let _ = parent.remove_tree(OsStr::new(&format::hex(name)));
        }
    }

    /// All names of a kind that are keys; what else is there is removed when `tidy`.
    pub(super) fn keys(&self, kind: &str, tidy: bool) -> Vec<Key> {
        let mut keys = Vec::new();
        let Ok(all) = self.top.directory(kind) else { return keys };
        for first in all.names().unwrap_or_default() {
            let inner = first.to_str().map(|first| all.directory(first));
            let Some(Ok(inner)) = inner else {
                if tidy {
                    let _ = all.remove_tree(&first);
                }
                continue;
            };
            for name in inner.names().unwrap_or_default() {
                let key = name.to_str().and_then(format::parse_hex);
                match key.filter(|_| name.to_str().is_some_and(|name| first.to_str() == name.get(..2))) {
                    Some(key) => keys.push(key),
                    None if tidy => drop(inner.remove_tree(&name)),
                    None => {}
                }
            }
        }
        keys
    }
}

/// Private directories begin so: they are of this machine and the processes of it.
fn private_prefix() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("private-{host}-")
}

/// Removes private directories of processes that are no more.
fn forget_dead(directory: &Directory) {
    for name in directory.names().unwrap_or_default() {
        let number = name.to_str().and_then(|name| name.strip_prefix(&private_prefix())?.parse::<u32>().ok());
        if number.is_some_and(|number| !Path::new(&format!("/proc/{number}")).exists()) {
            let _ = directory.remove_tree(&name);
        }
    }
}

fn own_user() -> u32 {
    crate::sys::beneath::user()
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Configuration, message)
}

fn refused(path: &Path, error: &io::Error) -> Refusal {
    Refusal::Never(wrong(format!(
        "cannot use the cache directory {}: {error}; set `[cache] dir` to another one, or `[cache] size = \"0\"`",
        path.display()
    )))
}

/// By the mount table first: a look at our own mount would wait for ourselves.
fn refuse_own_mount(dir: &Path) -> Result<(), Refusal> {
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| PathBuf::from(dir));
    let table = mounts::all();
    let depth = |mount: &&mounts::Mount| mount.point.components().count();
    let holder = table.iter().filter(|mount| absolute.starts_with(&mount.point)).max_by_key(depth);
    match holder {
        Some(mount) if mount.kind == mounts::TYPE => Err(inside(dir, &mount.point)),
        _ => Ok(()),
    }
}

fn inside(dir: &Path, point: &Path) -> Refusal {
    Refusal::Never(wrong(format!(
        "the cache directory {} lies on the mount at {}, which would wait for itself: set `[cache] dir` to a directory elsewhere",
        dir.display(),
        point.display()
    )))
}

/// The same by device number, for paths through links.
fn check_device(dir: &Path, directory: &Directory) -> Result<(), Refusal> {
    let device = directory.device().map_err(Refusal::Now)?;
    let found = mounts::all().into_iter().find(|mount| mount.device == device);
    match found {
        Some(mount) if mount.kind == mounts::TYPE => Err(inside(dir, &mount.point)),
        Some(mount) if mount.kind.starts_with("fuse") || mount.kind.starts_with("nfs") => {
            warn!(
                "the cache directory {} is on {}: a local disk is faster and safer",
                dir.display(),
                mount.kind
            );
            Ok(())
        }
        _ => Ok(()),
    }
}
