//! An answer whose body is still to come, and the limits on reading it.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use tokio::time::{Instant, timeout};
use url::Url;

use super::failure::{self, shown};
use super::{Limits, Purpose};
use crate::error::{Error, ErrorKind, Result, fail};

/// Longest wait that is believed from a `Retry-After`: to the end of a month, when a quota begins anew.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(31 * 24 * 3600);

/// An answer whose body has not been read.
pub struct Response {
    /// The status of the last hop.
    pub status: StatusCode,
    /// The headers of the last hop.
    pub headers: HeaderMap,
    /// The address of the last hop.
    pub url: Url,
    /// Generation of the secret that the last hop was sent with, for `Credentials::renew`; 0 for none.
    pub generation: u64,
    body: reqwest::Response,
    pace: Pace,
    /// Once broken always broken: the client below would report a clean end the second time.
    broken: Option<Error>,
}

impl Response {
    pub(super) fn new(
        mut body: reqwest::Response,
        url: Url,
        generation: u64,
        purpose: Purpose,
        pace: Pace,
    ) -> Result<Self> {
        let status = body.status();
        let headers = std::mem::take(body.headers_mut());
        if purpose == Purpose::Data && status.is_success() {
            for coding in headers.get_all(CONTENT_ENCODING) {
                if !coding.as_bytes().eq_ignore_ascii_case(b"identity") && !coding.is_empty() {
                    return fail(
                        ErrorKind::Protocol,
                        format!(
                            "{}: the bytes come encoded ({coding:?}), though plain ones were asked for",
                            shown(&url)
                        ),
                    );
                }
            }
        }
        Ok(Self { status, headers, url, generation, body, pace, broken: None })
    }

    /// The whole body, at most `limit` bytes after decoding; more is an `ErrorKind::Protocol`.
    ///
    /// Otherwise fails like `chunk`.
    pub async fn read_bounded(mut self, limit: usize) -> Result<Bytes> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.chunk().await? {
            if piece.len() > limit - whole.len() {
                let place = shown(&self.url);
                return fail(
                    ErrorKind::Protocol,
                    format!("{place}: the answer is larger than {limit} bytes"),
                );
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// The next piece of the body, never empty; `None` at its end.
    ///
    /// A break or a body shorter than announced is `ErrorKind::Unavailable`; silence of more than the
    /// no-progress limit, or less than the minimum rate, is `ErrorKind::TimedOut`. May be dropped while it
    /// waits without losing bytes.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let outcome = self.next_piece().await;
        if let Err(error) = &outcome {
            self.broken = Some(error.clone());
        }
        outcome
    }

    async fn next_piece(&mut self) -> Result<Option<Bytes>> {
        let mut silent = Duration::ZERO;
        loop {
            let asked = Instant::now();
            let arrived = timeout(self.pace.patience(silent), self.body.chunk()).await;
            let waited = asked.elapsed();
            let piece = match arrived {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) => return Ok(None),
                Ok(Err(error)) => return Err(failure::from_body(&error, &self.url)),
                Err(_) => Bytes::new(),
            };
            self.pace.note(waited, piece.len()).map_err(|slow| slow.error(&self.url))?;
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
            silent += waited;
            if silent >= self.pace.no_progress {
                return Err(TooSlow::Silent(silent).error(&self.url));
            }
        }
    }

    /// Fails with `Protocol` if an HTML page came where a document or data was asked for: a login page or a
    /// captive portal answers 200 (protocol.md 6.5). Not for files that may be HTML themselves.
    pub fn refuse_html(&self) -> Result<()> {
        let kind = self.headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes().to_ascii_lowercase());
        let html = |kind: &Vec<u8>| kind.starts_with(b"text/html") || kind.starts_with(b"application/xhtml");
        if kind.as_ref().is_some_and(html) {
            return fail(
                ErrorKind::Protocol,
                format!(
                    "{}: a web page came instead of data (a login page or a network portal?)",
                    shown(&self.url)
                ),
            );
        }
        Ok(())
    }
}

/// How fast a body comes, measured over the time that somebody waited for it. A consumer who pauses does
/// not make the server slow.
pub(super) struct Pace {
    no_progress: Duration,
    window: Duration,
    minimum: u64,
    waited: Duration,
    bytes: u64,
}

enum TooSlow {
    Silent(Duration),
    Dripping { bytes: u64, waited: Duration },
}

impl TooSlow {
    fn error(&self, url: &Url) -> Error {
        let text = match self {
            Self::Silent(time) => format!("no byte for {:.1} s", time.as_secs_f32()),
            Self::Dripping { bytes, waited } => {
                format!("only {bytes} bytes in {:.1} s", waited.as_secs_f32())
            }
        };
        Error::new(ErrorKind::TimedOut, format!("{}: {text}", shown(url)))
    }
}

impl Pace {
    pub(super) fn new(limits: &Limits) -> Self {
        let window = limits.rate_window.max(Duration::from_millis(1));
        // u128: a window of hours times a rate of gigabytes stays right.
        let minimum = u128::from(limits.minimum_rate) * window.as_millis() / 1000;
        let minimum = u64::try_from(minimum).unwrap_or(u64::MAX);
        Self { no_progress: limits.no_progress, window, minimum, waited: Duration::ZERO, bytes: 0 }
    }

    /// How long to wait before the limits are looked at again.
    fn patience(&self, silent: Duration) -> Duration {
        self.no_progress.saturating_sub(silent).min(self.window.saturating_sub(self.waited))
    }

    /// Counts; at the end of each window the rate must have been reached.
    fn note(&mut self, waited: Duration, bytes: usize) -> std::result::Result<(), TooSlow> {
        self.waited += waited;
        self.bytes += bytes as u64;
        if self.waited < self.window {
            return Ok(());
        }
        if self.bytes < self.minimum {
            return Err(TooSlow::Dripping { bytes: self.bytes, waited: self.waited });
        }
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        Ok(())
    }
}

/// The error that an unwanted status means (contract.md 4.1, 4.2); `what` names the thing asked for.
///
/// 401 is `LoginRejected`, 403 `Forbidden`, 404 and 410 `NotFound`, 429 and 503 with a `Retry-After` `Busy`
/// (with that wait, at most a month), 408, 425, 500, 502, 503 and 504 `Unavailable`, all else `Protocol`.
pub fn status_error(status: StatusCode, headers: &HeaderMap, what: &str, url: &Url) -> Error {
    let wait = retry_after(headers, SystemTime::now());
    let (kind, story) = match status.as_u16() {
        401 => (ErrorKind::LoginRejected, "the login was refused"),
        403 => (ErrorKind::Forbidden, "the account has no right to it"),
        404 => (ErrorKind::NotFound, "not there"),
        410 => (ErrorKind::NotFound, "not there any more"),
        429 => (ErrorKind::Busy, "too many requests or the quota is used up"),
        503 if wait.is_some() => (ErrorKind::Busy, "the service asks to wait"),
        408 | 425 | 500 | 502..=504 => (ErrorKind::Unavailable, "the service failed"),
        _ => (ErrorKind::Protocol, "unexpected answer"),
    };
    let error = Error::new(kind, format!("{what}: {story} ({} from {})", status.as_u16(), shown(url)));
    match wait {
        Some(wait) if matches!(kind, ErrorKind::Busy | ErrorKind::Unavailable) => error.retry_after(wait),
        _ => error,
    }
}

/// `Retry-After` as a wait: seconds or an HTTP date (RFC 9110 10.2.3); garbage and negative numbers are
/// no wait, a date in the past is none needed.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // Only digits, so a failure means too large.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn waits(text: &'static str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
        let now = httpdate::parse_http_date("Sun, 22 Nov 2026 12:00:00 GMT").unwrap();
        retry_after(&headers, now)
    }

    #[test]
    fn retry_after_in_all_its_forms() {
        assert_eq!(waits("7"), Some(Duration::from_secs(7)));
        assert_eq!(waits(" 0 "), Some(Duration::ZERO));
        assert_eq!(waits("Sun, 22 Nov 2026 12:01:30 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(waits("Sun, 22 Nov 2020 12:01:30 GMT"), Some(Duration::ZERO));
        assert_eq!(waits("99999999999999999999999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(waits("Sun, 22 Nov 2099 12:01:30 GMT"), Some(MAX_RETRY_AFTER));
        for garbage in ["-5", "", "soon", "1e9", "0x10", "5 minutes", "+3"] {
            assert_eq!(waits(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn statuses_become_kinds() {
        let url = Url::parse("https://h.example/p?token=canary").unwrap();
        let kind = |status: u16| {
            let status = StatusCode::from_u16(status).unwrap();
            let error = status_error(status, &HeaderMap::new(), "product X", &url);
            assert!(error.message().contains("product X") && !error.message().contains("canary"));
            error.kind()
        };
        for (status, expected) in [
            (401, ErrorKind::LoginRejected),
            (403, ErrorKind::Forbidden),
            (404, ErrorKind::NotFound),
            (410, ErrorKind::NotFound),
            (429, ErrorKind::Busy),
            (408, ErrorKind::Unavailable),
            (425, ErrorKind::Unavailable),
            (500, ErrorKind::Unavailable),
            (502, ErrorKind::Unavailable),
            (503, ErrorKind::Unavailable),
            (504, ErrorKind::Unavailable),
            (501, ErrorKind::Protocol),
            (505, ErrorKind::Protocol),
            (400, ErrorKind::Protocol),
            (405, ErrorKind::Protocol),
            (418, ErrorKind::Protocol),
            (204, ErrorKind::Protocol),
            (304, ErrorKind::Protocol),
        ] {
            assert_eq!(kind(status), expected, "{status}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("30"));
        let error = status_error(StatusCode::SERVICE_UNAVAILABLE, &headers, "x", &url);
        assert_eq!((error.kind(), error.wait()), (ErrorKind::Busy, Some(Duration::from_secs(30))));
    }

    #[test]
    fn only_waiting_time_counts_for_the_rate() {
        let limits = Limits::default();
        let mut pace = Pace::new(&limits);
        for _ in 0..59 {
            assert!(pace.note(Duration::from_secs(1), 1).is_ok());
        }
        assert!(pace.note(Duration::from_secs(1), 1).is_err(), "60 bytes in 60 s");
        let mut pace = Pace::new(&limits);
        for _ in 0..600 {
            assert!(pace.note(Duration::from_secs(1), 1024).is_ok());
        }
        assert!(pace.note(Duration::ZERO, 1).is_ok());
    }
}
