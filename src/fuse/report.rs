//! What an error becomes: a number for the program, a line in the log for a person, and a line among the recent
//! ones.

use std::num::NonZeroUsize;

use fuser::Errno;
use jiff::Timestamp;
use lru::LruCache;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::error::{Error, ErrorKind};
use crate::fuse::errno::errno;

/// A message is logged again after this long; so many are remembered.
const REPEAT: std::time::Duration = std::time::Duration::from_secs(60);
const MESSAGES: NonZeroUsize = NonZeroUsize::new(256).expect("256 is not zero");

/// The error number, and a line in the log where a person may want to know: each message once in a while,
/// because a program that tries again thousands of times a second must not fill the disk.
pub(super) fn report(error: &Error) -> Errno {
    match error.kind() {
        ErrorKind::NotFound
        | ErrorKind::Interrupted
        | ErrorKind::NoAttribute
        | ErrorKind::NameTooLong
        | ErrorKind::LookAgain => tracing::debug!("{error}"),
        // Whoever keeps the login or the budget has said it once (contract.md 4.1); here it would be said for each
        // minute.
        kind if !is_news(error) || matches!(kind, ErrorKind::LoginExpired | ErrorKind::QuotaExceeded) => {
            tracing::debug!("{error}");
        }
        ErrorKind::Internal => tracing::error!("{error}"),
        _ => tracing::warn!("{error}"),
    }
    errno(error.kind())
}

/// A message that programs have met.
struct Told {
    kind: ErrorKind,
    times: u64,
    last: Timestamp,
    logged: Instant,
}

/// The last messages, by their text.
static TOLD: Mutex<Option<LruCache<String, Told>>> = Mutex::new(None);

/// Whether this message has not been logged in the last [`REPEAT`].
fn is_news(error: &Error) -> bool {
    let mut told = TOLD.lock();
    let told = told.get_or_insert_with(|| LruCache::new(MESSAGES));
    let (now, last) = (Instant::now(), Timestamp::now());
    match told.get_mut(error.message()) {
        Some(known) => {
            let news = now.duration_since(known.logged) >= REPEAT;
            *known = Told {
                kind: error.kind(),
                times: known.times + 1,
                last,
                logged: if news { now } else { known.logged },
            };
            news
        }
        None => {
            let new = Told { kind: error.kind(), times: 1, last, logged: now };
            told.put(error.message().to_owned(), new);
            true
        }
    }
}

/// The failures that programs have met lately, the newest last: when, how often, what the program saw, why. One line
/// each; the text may hold names from elsewhere.
pub fn recent() -> Vec<String> {
    let told = TOLD.lock();
    let line = |(message, told): (&String, &Told)| {
        let number = errno(told.kind).code();
        let seen = std::io::Error::from_raw_os_error(number).to_string();
        let seen = seen.split(" (os error").next().unwrap_or_default().to_owned();
        let times = if told.times > 1 { format!(" ({} times)", told.times) } else { String::new() };
        format!("{:.0} {seen}{times}: {message}", told.last)
    };
    told.iter().flat_map(LruCache::iter).map(line).rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_message_is_news_once_a_minute() {
        let error = |text: &str| Error::new(ErrorKind::Corrupt, text);
        assert!(is_news(&error("one")) && is_news(&error("two")));
        assert!(!is_news(&error("one")));
        tokio::time::advance(REPEAT).await;
        assert!(is_news(&error("one")));
        let recent = recent();
        let place = |text: &str| recent.iter().position(|line| line.ends_with(text)).unwrap();
        assert!(place("Input/output error: two") < place("Input/output error (3 times): one"), "{recent:?}");
    }
}
