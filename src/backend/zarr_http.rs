//! Cache-B and hosts like it: Zarr objects by plain GET over HTTPS (protocol.md 4.1).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::header::CONTENT_LENGTH;
use reqwest::{Method, StatusCode};
use url::Url;

use crate::backend::answer::{Answer, Length, validator};
use crate::backend::download::data_request;
use crate::backend::{Ask, Backend, LONGEST_WAIT};
use crate::error::{Error, ErrorKind, Result};
use crate::transport::{Transport, status_error};

/// Objects of Zarr stores on one host.
pub struct ZarrHttp {
    name: String,
    /// Learnt: the host does not answer HEAD (protocol.md 4.1: unknown).
    head_refused: AtomicBool,
    first_byte: Duration,
    transport: Transport,
    /// Where a right to the data is asked for.
    way_out: &'static str,
}

impl ZarrHttp {
    /// The host called `name`; `first_byte` limits the wait for an answer's headers, `way_out` says where to ask for
    /// the right to data that it refuses.
    pub fn new(name: &str, first_byte: Duration, transport: Transport, way_out: &'static str) -> Self {
        Self { name: name.to_owned(), head_refused: AtomicBool::new(false), first_byte, transport, way_out }
    }

    /// A 429 of these hosts is the volume of the day or month, not the number of requests in flight
    /// (protocol.md 4.5); a 403 is a right that a person has to give.
    fn explained(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::Busy if error.wait().is_none_or(|wait| wait > LONGEST_WAIT) => {
                let when = match error.wait() {
                    Some(wait) => {
                        format!("nothing is asked for the next {} minutes", wait.as_secs().div_ceil(60))
                    }
                    None => "it is counted by the day or month; what is cached stays readable".to_owned(),
                };
                error.then(when).reclassify(ErrorKind::QuotaExceeded)
            }
            ErrorKind::Forbidden => error.then(self.way_out),
            _ => error,
        }
    }
}

impl Backend for ZarrHttp {
    fn name(&self) -> &str {
        &self.name
    }

    fn ask<'a>(&'a self, url: &'a Url, ask: &'a Ask) -> BoxFuture<'a, Result<Answer>> {
        Box::pin(async move {
            let response = self.transport.send(data_request(Method::GET, url, ask, self.first_byte)).await?;
            Answer::judge(&self.name, url, ask, response).map_err(|error| self.explained(error))
        })
    }

    fn length<'a>(&'a self, url: &'a Url) -> BoxFuture<'a, Result<Option<Length>>> {
        Box::pin(async move {
            if self.head_refused.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let request = data_request(Method::HEAD, url, &Ask::default(), self.first_byte);
            let response = self.transport.send(request).await?;
            match response.status {
                StatusCode::OK => {
                    let length = response.headers.get(CONTENT_LENGTH);
                    let bytes = length.and_then(|value| value.to_str().ok()?.parse().ok());
                    Ok(bytes.map(|bytes| Length { bytes, version: validator(&response.headers) }))
                }
                StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                    self.head_refused.store(true, Ordering::Relaxed);
                    Ok(None)
                }
                // Hosts that sign addresses take a HEAD for something else; whoever reads is told what is the matter.
                StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN => Ok(None),
                status => {
                    let what = format!("{}: {}", self.name, url.path());
                    Err(self.explained(status_error(status, &response.headers, &what, url)))
                }
            }
        })
    }

    fn meaning(&self, error: Error) -> Error {
        self.explained(error)
    }

    fn transport(&self) -> &Transport {
        &self.transport
    }
}
