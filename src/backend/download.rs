//! Cache-A: files by `POST …/stac/download?filename=<path>` with an empty body (protocol.md 3.4), and
//! plain GET for the files of other catalogues.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::header::{HeaderMap, HeaderValue, IF_RANGE, RANGE};
use reqwest::{Method, StatusCode};
use url::Url;

use crate::backend::answer::{Answer, Length};
use crate::backend::{Ask, Backend};
use crate::error::{ErrorKind, Result};
use crate::object::Validator;
use crate::transport::{Purpose, Request, RequestBody, Response, Transport};

/// How the download address wants to be asked (`cache_a.download_method`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownloadMethod {
    /// POST for addresses with `?filename=`, GET for others; the other one when refused with 405 or 501.
    Auto,
    /// POST, whatever the address.
    Post,
    /// GET, whatever the address.
    Get,
}

/// Files behind a download address.
pub struct Download {
    name: String,
    method: DownloadMethod,
    /// Learnt in `Auto`: the address refused POST once.
    post_refused: AtomicBool,
    first_byte: Duration,
    transport: Transport,
}

impl Download {
    /// The service called `name`; `first_byte` limits the wait for an answer's headers.
    pub fn new(name: &str, method: DownloadMethod, first_byte: Duration, transport: Transport) -> Self {
        Self { name: name.to_owned(), method, post_refused: AtomicBool::new(false), first_byte, transport }
    }

    fn method(&self, url: &Url) -> Method {
        let post = match self.method {
            DownloadMethod::Post => true,
            DownloadMethod::Get => false,
            DownloadMethod::Auto => {
                url.query_pairs().any(|(name, _)| name == "filename")
                    && !self.post_refused.load(Ordering::Relaxed)
            }
        };
        if post { Method::POST } else { Method::GET }
    }

    async fn send(&self, url: &Url, ask: &Ask) -> Result<Response> {
        let method = self.method(url);
        let refusable = method == Method::POST && self.method == DownloadMethod::Auto;
        let response = self.transport.send(data_request(method, url, ask, self.first_byte)).await?;
        let refused = matches!(response.status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED);
        if !(refusable && refused) {
            return Ok(response);
        }
        let other = self.transport.send(data_request(Method::GET, url, ask, self.first_byte)).await?;
        if other.status.is_success() {
            // Only now is it the method: a refusal may also come from something in between.
            self.post_refused.store(true, Ordering::Relaxed);
            return Ok(other);
        }
        Ok(response)
    }
}

impl Backend for Download {
    fn name(&self) -> &str {
        &self.name
    }

    fn ask<'a>(&'a self, url: &'a Url, ask: &'a Ask) -> BoxFuture<'a, Result<Answer>> {
        Box::pin(async move {
            let response = self.send(url, ask).await?;
            // Perhaps the answer to one download too many (protocol.md 3.4, 6.1).
            let busy = response.status == StatusCode::SERVICE_UNAVAILABLE;
            Answer::judge(&self.name, url, ask, response)
                .map_err(|error| if busy { error.reclassify(ErrorKind::Busy) } else { error })
        })
    }

    /// The service is only known to give whole files (protocol.md 3.4: HEAD unknown), so a length is
    /// learnt by beginning the download.
    fn length<'a>(&'a self, _url: &'a Url) -> BoxFuture<'a, Result<Option<Length>>> {
        Box::pin(async { Ok(None) })
    }

    fn transport(&self) -> &Transport {
        &self.transport
    }

    fn forbids_when_busy(&self) -> bool {
        true
    }
}

/// A request for bytes, with the range and the version that `ask` names.
pub(super) fn data_request(method: Method, url: &Url, ask: &Ask, first_byte: Duration) -> Request {
    let mut headers = HeaderMap::new();
    if let Some(range) = ask.range {
        if let Ok(value) = HeaderValue::from_str(&range.to_string()) {
            headers.insert(RANGE, value);
        }
        let version = ask.version.as_ref().and_then(Validator::if_range);
        if let Some(Ok(value)) = version.map(HeaderValue::from_str) {
            headers.insert(IF_RANGE, value);
        }
    }
    Request {
        method,
        url: url.clone(),
        headers,
        body: RequestBody::Empty,
        purpose: Purpose::Data,
        first_byte,
    }
}
