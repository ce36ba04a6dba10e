//! What an error becomes: a number for the program, a line in the log for a person, and one in `.dcmsfs/errors`.

use std::num::NonZeroUsize;

use fuser::Errno;
use jiff::{Timestamp, Unit};
use lru::LruCache;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::error::{Error, ErrorKind};
use crate::fuse::errno::errno;

/// A message is logged again after this long; so many are remembered.
const REPEAT: std::time::Duration = std::time::Duration::from_secs(60);
const MESSAGES: NonZeroUsize = NonZeroUsize::new(256).expect("256 is not zero");

/// The messages that programs met last, the latest in front.
static RECENT: Mutex<Option<LruCache<String, Met>>> = Mutex::new(None);

/// When a message was logged, and when a program met it last.
struct Met {
    logged: Instant,
    last: Timestamp,
}

/// The errors that programs met, the latest last: a line each, with the time (UTC) of the last one of its kind.
pub fn recent_errors() -> String {
    let recent = RECENT.lock();
    let lines = recent.iter().flat_map(LruCache::iter).map(|(message, met)| {
        let time = met.last.round(Unit::Second).unwrap_or(met.last);
        let plain: String = message
            .chars()
            .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
            .collect();
        format!("{time} {plain}\n")
    });
    let mut lines: Vec<String> = lines.collect();
    lines.reverse();
    lines.concat()
}

/// The error number, and a line in the log where a person may want to know: each message once in a while,
/// because a program that tries again thousands of times a second must not fill the disk.
pub(super) fn report(error: &Error) -> Errno {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::Interrupted | ErrorKind::NoAttribute | ErrorKind::NameTooLong => {
            tracing::debug!("{error}");
        }
        _ if !is_news(error) => tracing::debug!("{error}"),
        ErrorKind::Internal => tracing::error!("{error}"),
        _ => tracing::warn!("{error}"),
    }
    errno(error.kind())
}

/// Whether this message has not been logged in the last [`REPEAT`].
fn is_news(error: &Error) -> bool {
    let mut recent = RECENT.lock();
    let recent = recent.get_or_insert_with(|| LruCache::new(MESSAGES));
    let (now, last) = (Instant::now(), Timestamp::now());
    match recent.get_mut(error.message()) {
        Some(met) => {
            met.last = last;
            let news = now.duration_since(met.logged) >= REPEAT;
            if news {
                met.logged = now;
            }
            news
        }
        None => {
            recent.put(error.message().to_owned(), Met { logged: now, last });
            true
        }
    }
}
