//! The database of the shelf.

use std::fmt;
use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use super::packing::{pack, unpack};
use super::{Kept, Key, Room};
use crate::sys::files::free;

/// The file; another format gets another name.
const FILE: &str = "answers-1.sqlite";
/// How long another process's writing is waited for: beyond that, an answer is not kept, or asked for again.
const PATIENCE: Duration = Duration::from_secs(2);
/// After so many puts it is looked whether there are too many.
const PUTS: u32 = 64;
/// When an answer was used is noted by the day, not at each use.
const DAY: i64 = 86_400;
/// The file ends too early (SQLITE_IOERR_SHORT_READ).
const SHORT_READ: i32 = 522;
/// What was not used for so many days goes.
const UNUSED: i64 = 90 * DAY;
/// Answers that go at once when there are too many, a share of all.
const SHARE: i64 = 8;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS answer (key BLOB PRIMARY KEY, used INTEGER NOT NULL, packed BLOB NOT NULL);
    CREATE INDEX IF NOT EXISTS answer_used ON answer (used);
";

/// The open database.
pub(super) struct Database {
    connection: Connection,
    directory: PathBuf,
    room: Room,
    puts: AtomicU32,
    /// Whether the last answer found no room.
    full: AtomicBool,
}

/// Why the database did not do what it was asked.
#[derive(Debug)]
pub(super) enum Trouble {
    Files(io::Error),
    Database(rusqlite::Error),
}

impl Trouble {
    /// Whether the file is not what was written. Any byte of it may be wrong, and SQLite then says all sorts of things; so
    /// what is not the disk's or another process's doing is damage.
    pub(super) fn is_damage(&self) -> bool {
        let Self::Database(error) = self else { return false };
        let short = error.sqlite_error().is_some_and(|error| error.extended_code == SHORT_READ);
        let passing = [
            ErrorCode::DatabaseBusy,
            ErrorCode::DatabaseLocked,
            ErrorCode::DiskFull,
            ErrorCode::SystemIoFailure,
            ErrorCode::CannotOpen,
            ErrorCode::PermissionDenied,
            ErrorCode::OutOfMemory,
            ErrorCode::OperationInterrupted,
        ];
        short || error.sqlite_error_code().is_none_or(|code| !passing.contains(&code))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(error) => error.fmt(f),
            Self::Database(error) => error.fmt(f),
        }
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Files(error)
    }
}

impl Database {
    /// The database in `directory`, made if it is missing, and made anew if it is damaged.
    pub(super) fn open(directory: &Path, room: Room) -> Result<Self, Trouble> {
        match Self::connect(directory, room) {
            Err(trouble) if trouble.is_damage() => {
                tracing::warn!("the kept listings are damaged and thrown away: {trouble}");
                throw_away(directory)?;
                Self::connect(directory, room)
            }
            opened => opened,
        }
    }

    fn connect(directory: &Path, room: Room) -> Result<Self, Trouble> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let file = directory.join(FILE);
        // Made here, for SQLite takes the mode of what it adds from it.
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&file)?;
        let connection = Connection::open(&file)?;
        connection.busy_timeout(PATIENCE)?;
        // Before the first table, or it has no effect.
        connection.pragma_update(None, "auto_vacuum", "incremental")?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        // A crash of the machine may lose the last answers, and no more.
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.execute_batch(TABLES)?;
        let (puts, full) = (AtomicU32::new(0), AtomicBool::new(false));
        let database = Self { connection, directory: directory.to_owned(), room, puts, full };
        database.forget_unused()?;
        Ok(database)
    }

    /// A new one in place of this, which is damaged; this one if it cannot be removed.
    pub(super) fn anew(self) -> Option<Self> {
        match throw_away(&self.directory) {
            Ok(()) => Self::connect(&self.directory, self.room).ok(),
            Err(_) => Some(self),
        }
    }

    pub(super) fn get(&self, key: Key) -> Result<Option<Kept>, Trouble> {
        let mut statement = self.connection.prepare("SELECT used, packed FROM answer WHERE key = ?1")?;
        let row = statement.query_row([key.0], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)));
        let Some((used, packed)) = row.optional()? else { return Ok(None) };
        let Some(kept) = unpack(key, &packed) else {
            // Damage that SQLite does not see.
            self.remove(key)?;
            return Ok(None);
        };
        let now = Timestamp::now().as_second();
        if now - used > DAY && self.has_room() {
            self.connection.execute("UPDATE answer SET used = ?2 WHERE key = ?1", params![key.0, now])?;
        }
        Ok(Some(kept))
    }

    pub(super) fn put(&self, key: Key, bytes: &[u8], fetched: Timestamp) -> Result<(), Trouble> {
        if !self.has_room() {
            return self.outdated(&[key]);
        }
        self.insert(key, &pack(key, bytes, fetched))?;
        self.count(1)
    }

    pub(super) fn put_all(&self, answers: &[(Key, Vec<u8>)], fetched: Timestamp) -> Result<(), Trouble> {
        if !self.has_room() {
            return self.outdated(&answers.iter().map(|(key, _)| *key).collect::<Vec<_>>());
        }
        // Packed before others have to wait for us.
        let packed: Vec<_> = answers.iter().map(|(key, bytes)| (*key, pack(*key, bytes, fetched))).collect();
        let transaction = self.connection.unchecked_transaction()?;
        for (key, packed) in &packed {
            self.insert(*key, packed)?;
        }
        transaction.commit()?;
        self.count(u32::try_from(packed.len()).unwrap_or(PUTS))
    }

    /// Whether the disk has as much free as it is to keep.
    fn has_room(&self) -> bool {
        let free = free(&self.directory);
        let full = free.as_ref().is_ok_and(|free| *free < self.room.min_free);
        if full && !self.full.swap(full, Ordering::Relaxed) {
            tracing::warn!("listings are not kept on disk until it has {} bytes free", self.room.min_free);
        }
        self.full.store(full, Ordering::Relaxed);
        !full
    }

    /// There is something newer than these answers, which cannot be kept. To take what is not there away writes
    /// nothing.
    fn outdated(&self, keys: &[Key]) -> Result<(), Trouble> {
        let transaction = self.connection.unchecked_transaction()?;
        for key in keys {
            self.remove(*key)?;
        }
        Ok(transaction.commit()?)
    }

    fn insert(&self, key: Key, packed: &[u8]) -> Result<(), Trouble> {
        let sql = "INSERT INTO answer (key, used, packed) VALUES (?1, ?2, ?3)
                   ON CONFLICT (key) DO UPDATE SET used = excluded.used, packed = excluded.packed";
        let now = Timestamp::now().as_second();
        self.connection.prepare(sql)?.execute(params![key.0, now, packed])?;
        Ok(())
    }

    pub(super) fn remove(&self, key: Key) -> Result<(), Trouble> {
        self.connection.execute("DELETE FROM answer WHERE key = ?1", [key.0])?;
        Ok(())
    }

    pub(super) fn clear(&self) -> Result<(), Trouble> {
        self.connection.execute_batch("DELETE FROM answer; PRAGMA incremental_vacuum;")?;
        Ok(())
    }

    fn forget_unused(&self) -> Result<(), Trouble> {
        let then = Timestamp::now().as_second() - UNUSED;
        self.connection.execute("DELETE FROM answer WHERE used < ?1", [then])?;
        Ok(())
    }

    fn count(&self, puts: u32) -> Result<(), Trouble> {
        if self.puts.fetch_add(puts, Ordering::Relaxed) + puts < PUTS {
            return Ok(());
        }
        self.puts.store(0, Ordering::Relaxed);
        self.keep_within()
    }

    /// Makes room: what was not used for longest goes first.
    fn keep_within(&self) -> Result<(), Trouble> {
        let number = |sql: &str| self.connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        let most = i64::try_from(self.room.most).unwrap_or(i64::MAX);
        let size = number("PRAGMA page_size")?;
        while (number("PRAGMA page_count")? - number("PRAGMA freelist_count")?) * size > most {
            let sql = "DELETE FROM answer WHERE key IN (SELECT key FROM answer ORDER BY used
                       LIMIT 1 + (SELECT count(*) FROM answer) / ?1)";
            if self.connection.execute(sql, [SHARE])? == 0 {
                break;
            }
            self.connection.execute_batch("PRAGMA incremental_vacuum;")?;
        }
        Ok(())
    }
}

/// Removes the files of a damaged database. Another process that has them open goes on with what it has, until it
/// meets the damage itself.
fn throw_away(directory: &Path) -> io::Result<()> {
    for ending in ["", "-wal", "-shm", "-journal"] {
        match std::fs::remove_file(directory.join(format!("{FILE}{ending}"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
