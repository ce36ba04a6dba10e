//! The exchange with an identity provider: cookies and forms, bound to one origin.
//!
//! This is the only client with a cookie jar, and a jar lives as long as one login. Nothing is ever sent to
//! another origin than the provider's, whatever a page's form says (contract.md 7), and redirects are the
//! caller's to read: the authorization code is in one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Method, StatusCode};
use tokio::time::timeout;
use url::Url;
use zeroize::Zeroizing;

use super::failure::{self, shown};
use super::gate::Gate;
use super::{Limits, Origin, build};
use crate::error::{ErrorKind, Result, fail};

/// Time for one request and its answer (protocol.md 2.2: the official tools use 10 to 15 s).
const REQUEST_TIME: Duration = Duration::from_secs(15);

/// Largest page or token answer.
const MAX_PAGE: usize = 1 << 20;

/// A browser-like conversation with one identity provider.
pub struct Session {
    client: reqwest::Client,
    home: Origin,
}

/// An answer of the identity provider, read whole.
pub struct Page {
    /// Its status; redirects are not followed.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// The address that gave it.
    pub url: Url,
    /// Its body, wiped when dropped since it may hold tokens.
    pub body: Zeroizing<Vec<u8>>,
}

impl Page {
    /// Where a redirect leads; `None` without one or if it cannot be read.
    pub fn location(&self) -> Option<Url> {
        let location = std::str::from_utf8(self.headers.get(LOCATION)?.as_bytes()).ok()?;
        self.url.join(location).ok()
    }
}

impl Session {
    /// A conversation with the provider at `home`, with an empty cookie jar.
    ///
    /// Fails with `Configuration` if that is plain http and not a loopback address.
    pub fn new(home: Origin) -> Result<Self> {
        let gate = Gate::new(false);
        gate.allow(home.clone())?;
        let client =
            build(&Limits::default(), &Arc::new(gate), |client| client.gzip(true).cookie_store(true))?;
        Ok(Self { client, home })
    }

    /// The provider's origin.
    pub fn home(&self) -> &Origin {
        &self.home
    }

    /// Fetches a page; fails like `post`.
    pub async fn get(&self, url: &Url) -> Result<Page> {
        self.exchange(Method::GET, url, None).await
    }

    /// Posts a form.
    ///
    /// Fails with `Protocol` if `url` is not the provider's or the answer is too large, before anything is
    /// sent; else like `Transport::send` and `Response::read_bounded`.
    pub async fn post(&self, url: &Url, fields: &[(&str, &str)]) -> Result<Page> {
        self.exchange(Method::POST, url, Some(fields)).await
    }

    async fn exchange(&self, method: Method, url: &Url, form: Option<&[(&str, &str)]>) -> Result<Page> {
        if Origin::of(url)? != self.home || !url.username().is_empty() || url.password().is_some() {
            return fail(
                ErrorKind::Protocol,
                format!(
                    "the login leads away from {} to {}: refused, nothing was sent there",
                    self.home,
                    shown(url)
                ),
            );
        }
        let mut request = self.client.request(method, url.clone());
        if let Some(fields) = form {
            request = request
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(Bytes::from_owner(encode(fields)));
        }
        let exchange = async {
            let mut answer = request.send().await.map_err(|error| failure::from_send(&error, url))?;
            let mut body = Zeroizing::new(Vec::with_capacity(MAX_PAGE.min(64 << 10)));
            while let Some(piece) = answer.chunk().await.map_err(|error| failure::from_body(&error, url))? {
                if piece.len() > MAX_PAGE - body.len() {
                    return fail(
                        ErrorKind::Protocol,
                        format!("{}: the page is larger than 1 MiB", shown(url)),
                    );
                }
                body.extend_from_slice(&piece);
            }
            let headers = std::mem::take(answer.headers_mut());
            Ok(Page { status: answer.status(), headers, url: url.clone(), body })
        };
        match timeout(REQUEST_TIME, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => fail(
                ErrorKind::TimedOut,
                format!("{}: no answer within {} s", shown(url), REQUEST_TIME.as_secs()),
            ),
        }
    }
}

/// The form in a buffer that is wiped, large enough from the start that no copy is left behind.
fn encode(fields: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    let room = fields.iter().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
    let mut form = url::form_urlencoded::Serializer::new(String::with_capacity(room));
    for (name, value) in fields {
        form.append_pair(name, value);
    }
    Zeroizing::new(form.finish().into_bytes())
}
