//! What differs between services when bytes are asked for: addresses, methods, headers, quirks.
//!
//! A backend makes one exchange and judges its answer; waiting, retrying and counting are `fetch`'s.

pub mod answer;
pub mod download;
pub mod s3;
pub mod zarr_http;

use std::time::Duration;

use futures_util::future::BoxFuture;
use url::Url;

use crate::backend::answer::{Answer, Length};
use crate::error::{Error, Result};
use crate::object::{ByteRange, Validator};
use crate::transport::Transport;

/// The longest pause named by a service (`Retry-After`) that a reader waits out; beyond it the read fails
/// at once (contract.md 4.2).
pub const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// Which bytes are asked for, and of which version.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Only these bytes, if the server can; the whole object without it.
    pub range: Option<ByteRange>,
    /// The version that earlier bytes came from, if any came.
    pub version: Option<Validator>,
    /// The length of the whole object, if it is known.
    pub length: Option<u64>,
}

/// One service's way of giving bytes.
pub trait Backend: Send + Sync {
    /// The name of the service in messages and in identities of objects.
    fn name(&self) -> &str;
    /// Asks for bytes of the object at `url`. The answer's body has not been read.
    fn ask<'a>(&'a self, url: &'a Url, ask: &'a Ask) -> BoxFuture<'a, Result<Answer>>;
    /// Asks for the length alone, where the service has a way that costs no bytes.
    fn length<'a>(&'a self, url: &'a Url) -> BoxFuture<'a, Result<Option<Length>>>;
    /// What exchanges of documents of the same service go through.
    fn transport(&self) -> &Transport;
    /// What an error of this service means beyond its status.
    fn meaning(&self, error: Error) -> Error {
        error
    }
    /// Whether a 403 may mean "too many downloads at once" rather than "no right" (protocol.md 3.4:
    /// the answer to the third download is unknown).
    fn forbids_when_busy(&self) -> bool {
        false
    }
}
