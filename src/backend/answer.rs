//! An answer that brings bytes, judged by its headers before a byte is used (contract.md 4.4).

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, LAST_MODIFIED, TRANSFER_ENCODING,
};
use url::Url;

use crate::backend::Ask;
use crate::error::{ErrorKind, Result, fail};
use crate::object::Validator;
use crate::transport::{Response, status_error};

/// An object's length and version, as a server told them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Length {
    /// Bytes in the object.
    pub bytes: u64,
    /// The version that has this length.
    pub version: Validator,
}

/// A body on its way, and what its headers promised.
pub struct Answer {
    response: Option<Response>,
    /// Offset of the body's first byte in the object.
    pub start: u64,
    /// Length of the whole object, when the headers tell it.
    pub total: Option<u64>,
    /// The version of the object.
    pub version: Validator,
    /// Whether the server gave the asked part rather than the whole object.
    pub partial: bool,
    /// Bytes that the body must still bring, when the headers tell it.
    remaining: Option<u64>,
    what: String,
}

impl Answer {
    /// Judges `response` to `ask` for the object at `url`.
    ///
    /// # Errors
    /// The meaning of a status other than 200, 206 and a 416 that tells the length; `Protocol` when the headers
    /// contradict the question. Whether it is the version that was asked for is for the caller to judge: the
    /// answer tells the new one's length.
    pub fn judge(service: &str, url: &Url, ask: &Ask, response: Response) -> Result<Self> {
        let what = format!("{service}: {}", url.path());
        let headers = &response.headers;
        let version = validator(headers);
        let asked_start = ask.range.map_or(0, |range| range.start);
        let length = content_length(headers, &what)?;
        match response.status {
            StatusCode::OK => {
                refuse_page(url, headers, &what)?;
                if length.is_none() && ask.length.is_none() && !headers.contains_key(TRANSFER_ENCODING) {
                    // The end of the connection would be the end of the file, and nobody could tell a cut.
                    return fail(ErrorKind::Protocol, format!("{what}: an answer without any length"));
                }
                let total = length;
                Ok(Self {
                    start: 0,
                    total,
                    version,
                    partial: false,
                    remaining: length,
                    what,
                    response: Some(response),
                })
            }
            StatusCode::PARTIAL_CONTENT => {
                let Some((start, end, total)) = content_range(headers) else {
                    return fail(
                        ErrorKind::Protocol,
                        format!("{what}: part without a readable Content-Range"),
                    );
                };
                let fits = ask.range.is_some_and(|range| start == range.start && end <= range.end);
                if total.is_none() && ask.length.is_none() {
                    return fail(ErrorKind::Protocol, format!("{what}: a part of a file of unknown length"));
                }
                let whole = total.is_none_or(|total| end <= total);
                if !fits || !whole || length.is_some_and(|length| length != end - start) {
                    return fail(
                        ErrorKind::Protocol,
                        format!("{what}: the server sent another part than asked"),
                    );
                }
                let remaining = Some(end - start);
                Ok(Self { start, total, version, partial: true, remaining, what, response: Some(response) })
            }
            StatusCode::RANGE_NOT_SATISFIABLE => match unsatisfied_length(headers) {
                Some(total) if total <= asked_start => Ok(Self {
                    start: asked_start,
                    total: Some(total),
                    version,
                    partial: true,
                    remaining: Some(0),
                    what,
                    response: None,
                }),
                _ => fail(ErrorKind::Protocol, format!("{what}: the server refused a part that exists")),
            },
            status => Err(status_error(status, headers, &what, url)),
        }
    }

    /// The next piece of the body, `None` at its end.
    ///
    /// # Errors
    /// `Unavailable` when the body ends before its promised length, `Protocol` when it goes on behind it.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let piece = match &mut self.response {
            // A part that is complete needs no end of its coding: that may still break.
            Some(_) if self.partial && self.remaining == Some(0) => None,
            Some(response) => response.chunk().await?,
            None => None,
        };
        match (piece, self.remaining) {
            (Some(piece), Some(remaining)) => match remaining.checked_sub(piece.len() as u64) {
                Some(left) => {
                    self.remaining = Some(left);
                    Ok(Some(piece))
                }
                None => fail(ErrorKind::Protocol, format!("{}: more bytes than announced", self.what)),
            },
            (None, Some(missing)) if missing > 0 => fail(
                ErrorKind::Unavailable,
                format!("{}: the connection ended {missing} bytes too early", self.what),
            ),
            (piece, _) => Ok(piece),
        }
    }
}

/// The version that the headers name.
pub fn validator(headers: &HeaderMap) -> Validator {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Validator { etag: text(ETAG), last_modified: text(LAST_MODIFIED) }
}

fn content_length(headers: &HeaderMap, what: &str) -> Result<Option<u64>> {
    match headers.get(CONTENT_LENGTH) {
        None => Ok(None),
        Some(value) => match value.to_str().ok().and_then(|text| text.trim().parse().ok()) {
            Some(length) => Ok(Some(length)),
            None => fail(ErrorKind::Protocol, format!("{what}: unreadable Content-Length")),
        },
    }
}

/// `bytes 0-99/1000` as (0, 100, Some(1000)) (RFC 9110 section 14.4).
fn content_range(headers: &HeaderMap) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = unit(headers)?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    (first <= last).then_some((first, last.checked_add(1)?, total))
}

/// `bytes */1000` as 1000.
fn unsatisfied_length(headers: &HeaderMap) -> Option<u64> {
    unit(headers)?.trim().strip_prefix("*/")?.trim().parse().ok()
}

fn unit(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_RANGE)?.to_str().ok()?.trim().strip_prefix("bytes")
}

/// An HTML page in place of a file is a login or error page, unless the file itself is one.
fn refuse_page(url: &Url, headers: &HeaderMap, what: &str) -> Result<()> {
    let html = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"));
    let named = format!("{}{}", url.path(), url.query().unwrap_or_default()).to_ascii_lowercase();
    if html && !named.ends_with(".html") && !named.ends_with(".htm") {
        return fail(ErrorKind::Protocol, format!("{what}: the server sent a web page in place of the file"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn headers(range: &str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_RANGE, HeaderValue::from_str(range).unwrap())])
    }

    #[test]
    fn reads_content_range() {
        assert_eq!(content_range(&headers("bytes 0-99/1000")), Some((0, 100, Some(1000))));
        assert_eq!(content_range(&headers("bytes 5-5/*")), Some((5, 6, None)));
        for wrong in
            ["bytes 9-5/10", "bytes */10", "items 0-1/2", "bytes 0-18446744073709551615/*", "bytes a-b/c"]
        {
            assert_eq!(content_range(&headers(wrong)), None, "{wrong}");
        }
        assert_eq!(unsatisfied_length(&headers("bytes */10")), Some(10));
    }

    #[test]
    fn a_page_is_not_a_file_unless_asked_for() {
        let page =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("Text/HTML; charset=utf-8"))]);
        let url = |text: &str| Url::parse(text).unwrap();
        assert!(refuse_page(&url("https://h/d?filename=a/b.jp2"), &page, "x").is_err());
        assert!(refuse_page(&url("https://h/d?filename=a/HTML/UserProduct_index.html"), &page, "x").is_ok());
    }
}
