//! One HTTP exchange: request out, answer in. Nothing remote is trusted here.
//!
//! Four rules live in this room, so that nobody above can break them by mistake:
//! - a secret belongs to an origin and a path below it (`keyring`); it is looked up anew for every hop, so a
//!   redirect, a `next` link or an href never carries it elsewhere;
//! - only configured origins are contacted; other hosts need `Policy::allow_foreign`, https and a public
//!   address, and never get a credential (`gate`);
//! - bodies are bounded, silence and dripping end by themselves (`answer`);
//! - messages never hold a URL's query or user part (`failure`).
//!
//! `session` is the one exception to "no cookies": the exchange with the identity provider, bound to it.

pub mod answer;
mod failure;
mod gate;
pub mod keyring;
pub mod origin;
pub mod session;
mod signature;

#[cfg(test)]
pub(crate) mod loopback;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
pub use reqwest::{Method, StatusCode, header};
use tokio::time::{Instant, timeout_at};
pub use url::Url;

pub use self::answer::{Response, status_error};
pub use self::failure::shown;
pub use self::keyring::{Authorization, Keyring};
pub use self::origin::{Origin, Scope};
pub use self::signature::S3Keys;

use self::answer::Pace;
use self::gate::{Gate, Resolver};
use self::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue,
};
use crate::error::{Error, ErrorKind, Result, fail};

/// What every request says it is.
const USER_AGENT: &str = concat!("dcmsfs/", env!("CARGO_PKG_VERSION"));

/// Redirects followed for one request; the sixth is an error.
const MAX_REDIRECTS: usize = 5;
/// Moves that are told.
const MAX_MOVES: usize = 256;

/// Body of a request.
#[derive(Clone, Debug, Default)]
pub enum RequestBody {
    /// No body; a POST then says `Content-Length: 0` and no content type (protocol.md 3.4).
    #[default]
    Empty,
    /// A JSON document (STAC search by POST).
    Json(Bytes),
}

/// Which of the two clients an exchange uses (dependencies.md 2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Documents: gzip accepted, read whole and bounded.
    Metadata,
    /// File bytes: `Accept-Encoding: identity`, any other coding of the answer is an error.
    Data,
}

/// A request as the layers above want it sent. It cannot carry a credential.
#[derive(Clone, Debug)]
pub struct Request {
    /// GET, POST or HEAD.
    pub method: Method,
    /// The address; its origin and path decide which credential goes with it.
    pub url: Url,
    /// `Range`, `If-Range`, `Accept` and the like; `Authorization` and `Cookie` are refused.
    pub headers: HeaderMap,
    /// What is sent.
    pub body: RequestBody,
    /// Which client sends it.
    pub purpose: Purpose,
    /// Time until the last hop's headers must be there, connecting included.
    pub first_byte: Duration,
}

/// Time and rate limits of an exchange (contract.md 4.3).
#[derive(Clone, Debug)]
pub struct Limits {
    /// Until a connection stands, TLS included.
    pub connect: Duration,
    /// Longest silence within a body.
    pub no_progress: Duration,
    /// Bytes per second that a body must bring at least, measured over `rate_window`.
    pub minimum_rate: u64,
    /// Waiting time over which `minimum_rate` is measured; only time spent waiting counts.
    pub rate_window: Duration,
    /// Idle connections are closed after this, so that a resumed machine does not use dead ones.
    pub pool_idle: Duration,
    /// Unacknowledged bytes break a connection after this.
    pub tcp_user_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            no_progress: Duration::from_secs(20),
            minimum_rate: 1024,
            rate_window: Duration::from_secs(60),
            pool_idle: Duration::from_secs(60),
            tcp_user_timeout: Duration::from_secs(20),
        }
    }
}

/// Whom to talk to, and how patiently.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The origins that the configuration names. `http` only on loopback addresses.
    pub hosts: Vec<Origin>,
    /// Other hosts are fetched too: https, public addresses, never a credential.
    pub allow_foreign: bool,
    /// Time and rate limits.
    pub limits: Limits,
}

/// The way to the network, cheap to clone.
#[derive(Clone)]
pub struct Transport(Arc<Inner>);

struct Inner {
    metadata: reqwest::Client,
    data: reqwest::Client,
    gate: Arc<Gate>,
    keyring: Keyring,
    limits: Limits,
    moves: Moves,
}

impl Transport {
    /// Clients for `policy`, with the secrets of `keyring`.
    ///
    /// Fails with `Configuration` if a host is plain http and not a loopback address.
    pub fn new(policy: Policy, keyring: Keyring) -> Result<Self> {
        let gate = Arc::new(Gate::new(policy.allow_foreign));
        for origin in policy.hosts {
            gate.allow(origin)?;
        }
        let metadata = build(&policy.limits, &gate, |client| client.gzip(true))?;
        // One connection per transfer: on a shared HTTP/2 connection a reader who pauses would fill the
        // common flow-control window and stop the others.
        let data = build(&policy.limits, &gate, |client| client.gzip(false).http1_only())?;
        Ok(Self(Arc::new(Inner {
            metadata,
            data,
            gate,
            keyring,
            limits: policy.limits,
            moves: Moves::default(),
        })))
    }

    /// Adds an origin to the configured ones.
    ///
    /// Fails with `Configuration` if it is plain http and not a loopback address.
    pub fn allow(&self, origin: Origin) -> Result<()> {
        self.0.gate.allow(origin)
    }

    /// The secrets that this transport attaches.
    pub fn keyring(&self) -> &Keyring {
        &self.0.keyring
    }

    /// Sends `request` and follows up to five redirects. Any status is a success here; see `status_error`.
    ///
    /// Fails with `Unreachable` (DNS, route, connection), `TimedOut` (no headers within `first_byte`),
    /// `Unavailable` (connection broken) or `Protocol` (TLS, forbidden host, bad redirect, content coding).
    pub async fn send(&self, request: Request) -> Result<Response> {
        let Request { mut method, mut url, mut headers, mut body, purpose, first_byte } = request;
        if headers.contains_key(AUTHORIZATION) || headers.contains_key(COOKIE) {
            return fail(ErrorKind::Internal, "a request must not bring its own credential");
        }
        if purpose == Purpose::Data {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        let deadline = Instant::now() + first_byte;
        // Where we come from, and whether it is for good.
        let (mut from, mut lasting) = (None, true);
        for _ in 0..=MAX_REDIRECTS {
            let checked = self.0.gate.check(&url);
            checked.map_err(|error| match &from {
                Some(from) => led_astray(error, from, &url, lasting),
                None => error,
            })?;
            let (authorization, generation) = self.0.keyring.lookup(&url);
            let secret = authorization.map(|secret| secret.headers(&method, &url)).transpose()?;
            let exchange = self.exchange(&method, &url, &headers, &body, purpose, secret);
            let answer = match timeout_at(deadline, exchange).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => return Err(failure::from_send(&error, &url)),
                Err(_) => {
                    return fail(
                        ErrorKind::TimedOut,
                        format!("{}: no answer within {} s", shown(&url), first_byte.as_secs_f32()),
                    );
                }
            };
            let Some(next) = redirect(answer.status(), answer.headers(), &url)? else {
                if let Some(from) =
                    from.filter(|_| lasting && purpose == Purpose::Metadata && answer.status().as_u16() < 400)
                {
                    self.0.moves.tell(&from, &url);
                }
                return Response::new(answer, url, generation, purpose, Pace::new(&self.0.limits));
            };
            // RFC 9110 15.4: these three turn a POST into a GET; 307 and 308 repeat it as it was.
            if matches!(answer.status().as_u16(), 301..=303) && method == Method::POST {
                method = Method::GET;
                body = RequestBody::Empty;
                headers.remove(CONTENT_TYPE);
            }
            lasting &= matches!(answer.status().as_u16(), 301 | 308);
            from.get_or_insert(url);
            url = next;
        }
        fail(ErrorKind::Protocol, format!("{}: more than {MAX_REDIRECTS} redirects", shown(&url)))
    }

    async fn exchange(
        &self,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        body: &RequestBody,
        purpose: Purpose,
        secret: Option<HeaderMap>,
    ) -> reqwest::Result<reqwest::Response> {
        let client = match purpose {
            Purpose::Metadata => &self.0.metadata,
            Purpose::Data => &self.0.data,
        };
        let mut outgoing = client.request(method.clone(), url.clone()).headers(headers.clone());
        if let Some(secret) = secret {
            outgoing = outgoing.headers(secret);
        }
        outgoing = match body {
            // The client would leave it out, and a proxy may then answer 411.
            RequestBody::Empty if method == Method::POST => outgoing.header(CONTENT_LENGTH, "0"),
            RequestBody::Empty => outgoing,
            RequestBody::Json(json) => outgoing.header(CONTENT_TYPE, "application/json").body(json.clone()),
        };
        outgoing.send().await
    }
}

/// Moves that were told: each costs a request more, which nobody would notice.
#[derive(Default)]
struct Moves(Mutex<HashSet<Url>>);

impl Moves {
    /// Tells once where the directory of `from` has moved to for good.
    fn tell(&self, from: &Url, to: &Url) {
        let (Ok(old), Ok(new)) = (from.join("."), to.join(".")) else { return };
        // A slash that was missing is no move.
        if new.as_str().starts_with(old.as_str()) {
            return;
        }
        let mut told = self.0.lock();
        if told.len() < MAX_MOVES && told.insert(old.clone()) {
            tracing::warn!(
                "{} has moved to {}: each request for it is two, until you go there",
                shown(&old),
                shown(&new)
            );
        }
    }
}

/// A refused address that a redirect led to.
fn led_astray(error: Error, from: &Url, to: &Url, lasting: bool) -> Error {
    let verb = if lasting { "has moved" } else { "is redirected" };
    let error = error.context(format!("{} {verb} to {}", shown(from), shown(to)));
    match lasting {
        true => error.then("if you trust that place, give it as address in the configuration"),
        false => error,
    }
}

/// The address of the next hop, if `status` asks for one.
fn redirect(status: StatusCode, headers: &HeaderMap, from: &Url) -> Result<Option<Url>> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let bad = |what| Error::new(ErrorKind::Protocol, format!("{}: redirect {what}", shown(from)));
    let location = headers.get(header::LOCATION).ok_or_else(|| bad("without an address"))?;
    let location = std::str::from_utf8(location.as_bytes()).map_err(|_| bad("to an unreadable address"))?;
    let next = from.join(location).map_err(|_| bad("to an unreadable address"))?;
    Ok(Some(next))
}

/// A client with the settings that are common to all (dependencies.md 2.6).
fn build(
    limits: &Limits,
    gate: &Arc<Gate>,
    special: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
) -> Result<reqwest::Client> {
    let common = || {
        special(
            reqwest::Client::builder()
                .user_agent(USER_AGENT)
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .no_proxy()
                .dns_resolver(Resolver::new(Arc::clone(gate)))
                .connect_timeout(limits.connect)
                .pool_idle_timeout(limits.pool_idle)
                .tcp_keepalive(Duration::from_secs(15))
                .tcp_keepalive_interval(Duration::from_secs(5))
                .tcp_keepalive_retries(3)
                .tcp_user_timeout(limits.tcp_user_timeout)
                .tcp_nodelay(true)
                .http2_keep_alive_interval(Duration::from_secs(15))
                .http2_keep_alive_timeout(Duration::from_secs(10)),
        )
    };
    match common().build() {
        Ok(client) => Ok(client),
        Err(first) => {
            // A machine without CA certificates must still run the demo on loopback: https then fails
            // closed, since nothing is trusted.
            let client = common().tls_certs_only([]).build();
            let client = client.map_err(|error| {
                Error::new(ErrorKind::Internal, format!("no HTTP client: {}", failure::root(&error)))
            })?;
            tracing::warn!(
                reason = %failure::root(&first),
                "https will not work: no CA certificates found, install the package ca-certificates"
            );
            Ok(client)
        }
    }
}
