//! What a remote file is, apart from where it is shown: its identity, its version, a part of it.

mod checksum;

use std::fmt;
use std::sync::Arc;

pub use checksum::{Checksum, Hasher};

/// Identity of a remote file's bytes: equal ids mean equal bytes.
///
/// Made from the service's name and the canonical address without credentials; a version is added when
/// it is known, so that bytes of two versions never meet.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId(Arc<str>);

impl ObjectId {
    /// The id of the file at `address` (credential-free) of the service called `service`.
    pub fn new(service: &str, address: &str) -> Self {
        Self(format!("{service} {address}").into())
    }

    /// The text of the id, for keys and log lines.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the server says about an object's version (RFC 9110 section 8.8).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Validator {
    /// The `ETag` as sent, quotes and weakness mark included.
    pub etag: Option<String>,
    /// The `Last-Modified` text as sent.
    pub last_modified: Option<String>,
}

impl Validator {
    /// Whether two answers may come from different versions: both name one, and they differ.
    pub fn contradicts(&self, other: &Self) -> bool {
        match (&self.etag, &other.etag) {
            (Some(one), Some(two)) => one != two,
            _ => matches!((&self.last_modified, &other.last_modified), (Some(one), Some(two)) if one != two),
        }
    }

    /// The value of an `If-Range` header: a strong entity tag, nothing else is safe (RFC 9110 13.1.5).
    pub fn if_range(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| !etag.starts_with("W/"))
    }
}

/// Bytes `start..end` of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// Offset of the first byte.
    pub start: u64,
    /// Offset behind the last byte; never below `start`.
    pub end: u64,
}

impl ByteRange {
    /// Bytes `start..end`; an inverted pair is an empty range at `start`.
    pub fn new(start: u64, end: u64) -> Self {
        Self { start, end: end.max(start) }
    }

    /// Number of bytes.
    pub fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Whether there is no byte in it.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The part of it below `length`.
    #[must_use]
    pub fn clamp_to(&self, length: u64) -> Self {
        Self::new(self.start.min(length), self.end.min(length))
    }
}

impl fmt::Display for ByteRange {
    /// The form of a `Range` header: `bytes=0-99`, last byte included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes={}-{}", self.start, self.end.saturating_sub(1))
    }
}
