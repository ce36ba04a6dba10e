//! The one error type: a kind that says what the caller can do next, and a sentence for a person.
//!
//! The kind is chosen where the fact is known (contract.md 4.1 lists the situations). An errno exists
//! only in `fuse/errno`, which must name every kind. Messages are lower case, name the thing, say the
//! way out, and never hold a secret or a URL's query.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What went wrong, by what the caller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The name does not exist, or the item left the rolling archive.
    NotFound,
    /// The object changed or vanished while it was open.
    Changed,
    /// What the kernel was told of a name does not hold: it looks the name up again, and no program sees this.
    LookAgain,
    /// Bytes are wrong after all attempts: length, range or checksum.
    Corrupt,
    /// The server broke the protocol: bad JSON, HTML for data, absurd numbers, forbidden host, TLS.
    Protocol,
    /// No progress until the deadline, or the queue was too long.
    TimedOut,
    /// DNS, route or connection failed until the deadline.
    Unreachable,
    /// The server answered 5xx, 408, 425 or cut the body; worth another try.
    Unavailable,
    /// The server asks to slow down (429, 503 with `Retry-After`, the parallel limit).
    Busy,
    /// A login is needed or has expired, and the user must act.
    LoginExpired,
    /// The service refused credentials that are fresh.
    LoginRejected,
    /// Logged in, but without a right to this data (403).
    Forbidden,
    /// The download volume or an own limit is used up.
    QuotaExceeded,
    /// The calling process was told to stop.
    Interrupted,
    /// The memory budget could not give room until the deadline.
    OutOfMemory,
    /// The request makes no sense: a wrong search expression, an offset that no reader can have.
    InvalidInput,
    /// A name is longer than 255 bytes.
    NameTooLong,
    /// A path component is not a directory.
    NotADirectory,
    /// A directory where a file is needed.
    IsADirectory,
    /// Too much to list; look names up instead.
    TooLarge,
    /// The extended attribute does not exist.
    NoAttribute,
    /// The settings are wrong; the message names the key.
    Configuration,
    /// Anything unforeseen, a caught panic included.
    Internal,
}

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    retry_after: Option<Duration>,
    source: Option<Error>,
}

/// A cloneable error: many waiters of one transfer get the same one.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of `kind`; `message` is a lower-case sentence without a full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner { kind, message: message.into(), retry_after: None, source: None }))
    }

    /// The same error, remembering that the server named the earliest time for another try.
    #[must_use]
    pub fn retry_after(self, delay: Duration) -> Self {
        Self(Arc::new(Inner {
            kind: self.0.kind,
            message: self.0.message.clone(),
            retry_after: Some(delay),
            source: self.0.source.clone(),
        }))
    }

    /// Says what was being done when this error came up; the kind stays.
    #[must_use]
    pub fn context(self, doing: impl fmt::Display) -> Self {
        Self(Arc::new(Inner {
            kind: self.0.kind,
            message: format!("{doing}: {}", self.0.message),
            retry_after: self.0.retry_after,
            source: self.0.source.clone(),
        }))
    }

    /// Adds the way out behind what happened; the kind stays.
    #[must_use]
    pub fn then(self, way_out: impl fmt::Display) -> Self {
        Self(Arc::new(Inner {
            kind: self.0.kind,
            message: format!("{}; {way_out}", self.0.message),
            retry_after: self.0.retry_after,
            source: self.0.source.clone(),
        }))
    }

    /// The same story with another kind, keeping `self` as its source.
    #[must_use]
    pub fn reclassify(self, kind: ErrorKind) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: self.0.message.clone(),
            retry_after: self.0.retry_after,
            source: Some(self),
        }))
    }

    /// What this error was before it got another kind; itself if it always had its own.
    #[must_use]
    pub fn original(self) -> Self {
        self.0.source.clone().unwrap_or(self)
    }

    /// What the caller can do next.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The sentence for a person.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The wait that the server asked for (`Retry-After`), if it did.
    pub fn wait(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source as _)
    }
}

/// Shorthand for a return: `Err(fail(kind, "..."))` reads worse than the kind's own name.
pub fn fail<T>(kind: ErrorKind, message: impl Into<String>) -> Result<T> {
    Err(Error::new(kind, message))
}
