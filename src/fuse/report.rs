//! What an error becomes: a number for the program, and a line in the log for a person.

use std::num::NonZeroUsize;

use fuser::Errno;
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
    static LOGGED: Mutex<Option<LruCache<String, Instant>>> = Mutex::new(None);
    let mut logged = LOGGED.lock();
    let logged = logged.get_or_insert_with(|| LruCache::new(MESSAGES));
    let now = Instant::now();
    match logged.get(error.message()) {
        Some(last) if now.duration_since(*last) < REPEAT => false,
        _ => {
            logged.put(error.message().to_owned(), now);
            true
        }
    }
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
    }
}
