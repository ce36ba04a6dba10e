//! What the emulator saw: every request with its answer, sums per endpoint, and how many transfers ran at
//! once.
//!
//! Two counts of parallel work are kept. A *transfer* is an answer with an object's bytes; it runs from the
//! moment the answer is decided until its last piece was handed to the network or the connection is gone.
//! Refused requests (429 and the like) are requests but never transfers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Serialize, Serializer};
use tokio::time::Instant;

/// More entries than this are counted but not kept.
const MAX_ENTRIES: usize = 1_000_000;

/// Which of the two listeners a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Host {
    /// The services.
    Services,
    /// The foreign host, where no credential belongs.
    Foreign,
}

/// What a request asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    /// The root of the search API and its description.
    Catalogue,
    /// `/collections` and `/collections/{id}`.
    Collections,
    /// `/collections/{id}/items/{id}`.
    Item,
    /// `/search` and `/collections/{id}/items`.
    Search,
    /// The bytes of a product's file.
    Download,
    /// The same by a signed address.
    SignedDownload,
    /// An address of the Zarr host that ends with `/`: no object.
    ZarrDirectory,
    /// Metadata documents of a Zarr store.
    ZarrMetadata,
    /// Chunks of a Zarr store.
    ZarrChunk,
    /// The authorization endpoint, which shows the login page.
    LoginPage,
    /// A posted login form.
    LoginForm,
    /// The token endpoint.
    Token,
    /// The discovery document.
    Discovery,
    /// The revocation endpoint.
    Revocation,
    /// The emulator's own addresses under `/_emulator`.
    Control,
    /// Nothing that exists.
    Unknown,
}

/// The kind of credential in an `Authorization` header. The credential itself is never recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Authorization {
    /// `Bearer`.
    Bearer,
    /// `Basic`.
    Basic,
    /// Anything else.
    Other,
}

/// One request and its answer.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Position in the order of arrival since the last reset.
    pub number: usize,
    /// The listener.
    pub host: Host,
    /// The connection, numbered from 1 over both listeners.
    pub connection: u64,
    /// What was asked for.
    pub endpoint: Endpoint,
    /// The method.
    pub method: String,
    /// The path as sent.
    pub path: String,
    /// The query as sent.
    pub query: Option<String>,
    /// The `Range` header.
    pub range: Option<String>,
    /// Whether and how a credential came along.
    pub authorization: Option<Authorization>,
    /// Whether a cookie came along.
    pub cookie: bool,
    /// Whether a credential reached the foreign host, in a header or anywhere in the address.
    pub leak: bool,
    /// The status; `None` if the connection ended before one was sent.
    pub status: Option<u16>,
    /// Bytes of the body that were handed to the network.
    pub bytes: u64,
    /// Whether the body was sent to its end.
    pub complete: bool,
    /// The rule of [`crate::Faults`] that changed the answer.
    pub fault: Option<String>,
    /// Arrival, since the start of the emulator. In JSON a number of seconds, as the end is.
    #[serde(serialize_with = "seconds")]
    pub started: Duration,
    /// End of the body or of the connection; `None` while it runs.
    #[serde(serialize_with = "maybe_seconds")]
    pub ended: Option<Duration>,
}

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

// The shape of the parameter is given by serde.
#[allow(clippy::ref_option, reason = "serde passes a reference to the field")]
fn maybe_seconds<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64()).serialize(serializer)
}

/// The sums of one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Requests.
    pub requests: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// Transfers running now.
    pub running: u64,
    /// The most transfers that ran at once.
    pub peak: u64,
}

/// A copy of the journal at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// Every request, in the order of arrival.
    pub entries: Vec<Entry>,
    /// Sums per endpoint.
    pub totals: BTreeMap<Endpoint, Totals>,
    /// Successful logins (codes exchanged for tokens).
    pub logins: u64,
    /// Wrong passwords and wrong one-time codes.
    pub failed_logins: u64,
    /// Successful refresh grants.
    pub refreshes: u64,
    /// Downloads refused because too many were running.
    pub refused: u64,
    /// Requests that carried a credential to the foreign host.
    pub leaks: u64,
}

/// The record of everything an emulator was asked for.
#[derive(Debug)]
pub struct Journal {
    epoch: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: Vec<Arc<Mutex<Entry>>>,
    totals: BTreeMap<Endpoint, Totals>,
    events: BTreeMap<Event, u64>,
    arrived: usize,
}

/// Something worth counting that is not a request of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    Login,
    FailedLogin,
    Refresh,
    Refused,
    Leak,
}

impl Journal {
    pub(crate) fn new() -> Journal {
        Journal { epoch: Instant::now(), inner: Mutex::default() }
    }

    /// A copy of everything recorded.
    pub fn snapshot(&self) -> Snapshot {
        let inner = self.inner.lock();
        let event = |event| inner.events.get(&event).copied().unwrap_or(0);
        Snapshot {
            entries: inner.entries.iter().map(|entry| entry.lock().clone()).collect(),
            totals: inner.totals.clone(),
            logins: event(Event::Login),
            failed_logins: event(Event::FailedLogin),
            refreshes: event(Event::Refresh),
            refused: event(Event::Refused),
            leaks: event(Event::Leak),
        }
    }

    /// Forgets everything but the transfers that are running, which keep counting as running.
    pub fn reset(&self) {
        let mut inner = self.inner.lock();
        inner.entries.clear();
        inner.events.clear();
        inner.arrived = 0;
        for totals in inner.totals.values_mut() {
            *totals = Totals { running: totals.running, peak: totals.running, ..Totals::default() };
        }
    }

    /// The sums of one endpoint.
    pub fn totals(&self, endpoint: Endpoint) -> Totals {
        self.inner.lock().totals.get(&endpoint).copied().unwrap_or_default()
    }

    /// How many requests an endpoint got.
    pub fn requests(&self, endpoint: Endpoint) -> u64 {
        self.totals(endpoint).requests
    }

    /// How many bytes an endpoint sent.
    pub fn bytes(&self, endpoint: Endpoint) -> u64 {
        self.totals(endpoint).bytes
    }

    /// The most transfers of an endpoint that ran at once.
    pub fn peak(&self, endpoint: Endpoint) -> u64 {
        self.totals(endpoint).peak
    }

    /// Successful logins.
    pub fn logins(&self) -> u64 {
        self.events(Event::Login)
    }

    /// Wrong passwords and wrong one-time codes.
    pub fn failed_logins(&self) -> u64 {
        self.events(Event::FailedLogin)
    }

    /// Successful refresh grants.
    pub fn refreshes(&self) -> u64 {
        self.events(Event::Refresh)
    }

    /// Downloads refused because too many were running.
    pub fn refused(&self) -> u64 {
        self.events(Event::Refused)
    }

    /// Requests that carried a credential to the foreign host.
    pub fn leaks(&self) -> u64 {
        self.events(Event::Leak)
    }

    fn events(&self, event: Event) -> u64 {
        self.inner.lock().events.get(&event).copied().unwrap_or(0)
    }

    pub(crate) fn count(&self, event: Event) {
        *self.inner.lock().events.entry(event).or_default() += 1;
    }

    pub(crate) fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// Records the arrival of a request. The line is closed when it is dropped.
    pub(crate) fn open(self: &Arc<Self>, mut entry: Entry) -> Line {
        let mut inner = self.inner.lock();
        entry.number = inner.arrived;
        entry.started = self.now();
        inner.arrived += 1;
        let endpoint = entry.endpoint;
        if endpoint != Endpoint::Control {
            inner.totals.entry(endpoint).or_default().requests += 1;
        }
        if entry.leak {
            *inner.events.entry(Event::Leak).or_default() += 1;
        }
        let entry = Arc::new(Mutex::new(entry));
        if inner.entries.len() < MAX_ENTRIES && endpoint != Endpoint::Control {
            inner.entries.push(Arc::clone(&entry));
        }
        Line { journal: Arc::clone(self), entry, endpoint }
    }
}

/// The open line of one request.
#[derive(Debug)]
pub(crate) struct Line {
    journal: Arc<Journal>,
    entry: Arc<Mutex<Entry>>,
    endpoint: Endpoint,
}

impl Line {
    pub(crate) fn answered(&self, status: u16) {
        self.entry.lock().status = Some(status);
    }

    pub(crate) fn fault(&self, rule: &str) {
        self.entry.lock().fault = Some(rule.to_owned());
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.entry.lock().bytes += bytes as u64;
        self.journal.inner.lock().totals.entry(self.endpoint).or_default().bytes += bytes as u64;
    }

    pub(crate) fn completed(&self) {
        self.entry.lock().complete = true;
    }

    /// Counts a transfer as running until the value is dropped.
    pub(crate) fn transfer(&self) -> Transfer {
        let mut inner = self.journal.inner.lock();
        let totals = inner.totals.entry(self.endpoint).or_default();
        totals.running += 1;
        totals.peak = totals.peak.max(totals.running);
        Transfer { journal: Arc::clone(&self.journal), endpoint: self.endpoint }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.entry.lock().ended = Some(self.journal.now());
    }
}

/// A transfer that is running.
#[derive(Debug)]
pub(crate) struct Transfer {
    journal: Arc<Journal>,
    endpoint: Endpoint,
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.journal.inner.lock().totals.entry(self.endpoint).or_default().running -= 1;
    }
}
