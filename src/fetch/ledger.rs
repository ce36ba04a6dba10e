//! The book of a service on disk, which all mounts of the user write in.
//!
//! A directory with two files, `a` and `b`, written in turns in place: whichever is damaged, cut off or removed,
//! the other one is at most one entry older. Each is a line of JSON and a line with its checksum. The lock is that
//! of the directory itself, which nothing can damage and which the kernel takes from a process that dies. Nothing
//! is forced to the disk: what a power failure may take is the last half minute.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::fetch::book::Book;

/// The longest file that is read.
const LONGEST: u64 = 64 * 1024;
const FILES: [&str; 2] = ["a", "b"];

/// Where the book of one service is kept.
#[derive(Debug)]
pub(super) struct Ledger {
    directory: PathBuf,
    /// The service's address, for a person who looks into the file.
    about: String,
}

/// One of the files.
#[derive(Serialize, Deserialize)]
struct Page {
    about: String,
    /// The higher one is the newer.
    number: u64,
    book: Book,
}

/// What is in the files.
#[derive(Default)]
pub(super) struct Found {
    pub(super) book: Book,
    number: u64,
    /// The file that is written next.
    next: usize,
    /// A file is there and makes no sense.
    pub(super) damaged: bool,
}

impl Ledger {
    pub(super) fn new(directory: PathBuf, about: &str) -> Self {
        Self { directory, about: about.to_owned() }
    }

    /// The newest state, without a lock: a file that is being written makes no sense, and the other one does.
    ///
    /// # Errors
    /// As open(2) and read(2), but for files that do not exist.
    pub(super) fn read(&self) -> io::Result<Found> {
        let mut found = Found::default();
        let mut any = false;
        for (place, name) in FILES.iter().enumerate() {
            let mut text = Vec::new();
            match File::open(self.directory.join(name)) {
                Ok(file) => file.take(LONGEST).read_to_end(&mut text)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            match parse(&text) {
                Some(page) if !any || page.number > found.number => {
                    any = true;
                    (found.book, found.number, found.next) = (page.book, page.number, 1 - place);
                }
                Some(_) => {}
                None => found.damaged = true,
            }
        }
        Ok(found)
    }

    /// Changes the newest state, raised to what is `known` of it, as the only process that does. Blocks.
    ///
    /// # Errors
    /// As of files; then nothing is changed.
    pub(super) fn change(&self, known: &Book, change: impl FnOnce(&mut Book)) -> io::Result<Found> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let lock = File::open(&self.directory)?;
        // A file system without locks: then what two mounts count at the same moment may be counted once.
        let _ = lock.lock();
        let mut found = self.read()?;
        found.book.raise_to(known);
        change(&mut found.book);
        found.number += 1;
        let page = Page { about: self.about.clone(), number: found.number, book: found.book.clone() };
        let mut text = serde_json::to_vec(&page).map_err(io::Error::other)?;
        let sum = checksum(&text);
        text.extend_from_slice(format!("\n{sum}\n").as_bytes());
        let name = FILES[found.next];
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        // What is left behind it of a longer text does not count.
        options.open(self.directory.join(name))?.write_all(&text)?;
        Ok(found)
    }
}

fn parse(text: &[u8]) -> Option<Page> {
    let mut lines = text.split_inclusive(|byte| *byte == b'\n');
    let (page, sum) = (lines.next()?.strip_suffix(b"\n")?, lines.next()?.strip_suffix(b"\n")?);
    (checksum(page).as_bytes() == sum).then(|| serde_json::from_slice(page).ok())?
}

fn checksum(text: &[u8]) -> String {
    blake3::hash(text).to_hex()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use jiff::civil::{Date, date};

    use super::*;
    use crate::fetch::book::{Counts, Period};

    const TODAY: Date = date(2026, 11, 23);

    fn ledger(directory: &Path) -> Ledger {
        Ledger::new(directory.join("usage/x"), "https://h.example/")
    }

    fn count(ledger: &Ledger) -> u64 {
        let one = Counts { requests: 1, bytes: 3 };
        let found = ledger.change(&Book::default(), |book| book.add(TODAY, one)).unwrap();
        found.book.of(Period::Month, TODAY).requests
    }

    #[test]
    fn entries_add_up_and_are_private() {
        let home = tempfile::tempdir().unwrap();
        assert!(!ledger(home.path()).read().unwrap().damaged);
        assert_eq!((1..=5).map(|_| count(&ledger(home.path()))).collect::<Vec<u64>>(), [1, 2, 3, 4, 5]);
        for (file, mode) in [("usage/x", 0o700), ("usage/x/a", 0o600), ("usage/x/b", 0o600)] {
            let found = fs::metadata(home.path().join(file)).unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode, "{file}");
        }
    }

    #[test]
    fn either_file_may_be_damaged_or_gone_at_the_price_of_one_entry() {
        let home = tempfile::tempdir().unwrap();
        let ledger = ledger(home.path());
        let mut before = 0;
        for file in FILES.map(|name| home.path().join("usage/x").join(name)) {
            let damages: [fn(&Path); 6] = [
                |file| fs::remove_file(file).unwrap(),
                |file| fs::write(file, "").unwrap(),
                |file| fs::write(file, [0xff; 9000]).unwrap(),
                |file| fs::write(file, "{}\n\n").unwrap(),
                |file| fs::write(file, &fs::read(file).unwrap()[..100]).unwrap(),
                |file| {
                    let text = fs::read_to_string(file).unwrap();
                    fs::write(file, text.replacen("\"requests\":", "\"requests\":9", 1)).unwrap();
                },
            ];
            for damage in damages {
                count(&ledger);
                before = count(&ledger).max(before);
                damage(&file);
                let after = count(&ledger);
                assert!((before..=before + 1).contains(&after), "{after} after {before}");
            }
        }
        // Both at once: there is nothing left but what a process knows.
        fs::remove_dir_all(home.path().join("usage")).unwrap();
        let mut known = Book::default();
        known.add(TODAY, Counts { requests: 70, bytes: 0 });
        let found = ledger.change(&known, |_| {}).unwrap();
        assert_eq!(found.book.of(Period::Day, TODAY).requests, 70);
        assert_eq!(count(&ledger), 71);
    }

    #[test]
    fn many_write_at_once_and_nothing_is_lost() {
        let home = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    // A lock of its own for each, as processes have.
                    let ledger = ledger(home.path());
                    (0..50).for_each(|_| {
                        count(&ledger);
                    });
                });
            }
        });
        assert_eq!(count(&ledger(home.path())), 401);
    }

    #[test]
    fn where_nothing_can_be_written_it_says_so() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("usage"), "a file").unwrap();
        assert!(ledger(home.path()).change(&Book::default(), |_| {}).is_err());
    }
}
