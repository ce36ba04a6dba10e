//! An answer before it is sent, and the body that sends it piece by piece.
//!
//! The body holds whatever the answer occupies: the journal's line, the transfer that is counted as running
//! and the download slot. All three are given back when the last piece is handed to the network, before the
//! client can have it, or when the connection is gone.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode};

use crate::content::{Content, hash};
use crate::download::Slot;
use crate::journal;
use crate::rate::Line;
use crate::request::Request;
use crate::wire::Connection;

/// What hyper sends.
pub(crate) type Payload = UnsyncBoxBody<Bytes, io::Error>;

/// Time for the network to take what was sent before the connection is broken on purpose.
const SETTLE: Duration = Duration::from_millis(30);

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Content,
    /// The part of the body that is sent.
    pub(crate) part: Range<u64>,
    /// Whether the length is announced.
    pub(crate) announce: bool,
    /// Whether the journal counts it as a transfer.
    pub(crate) transfer: bool,
    pub(crate) slot: Option<Slot>,
    /// Asked before each piece; the connection ends when it says no.
    pub(crate) still_allowed: Option<Box<dyn Fn() -> bool + Send>>,
}

/// What may be said about an object and asked of it.
pub(crate) struct ObjectRules {
    pub(crate) range: bool,
    pub(crate) content_length: bool,
    pub(crate) etag: bool,
    pub(crate) last_modified: bool,
}

impl Reply {
    /// An answer with a whole body.
    pub(crate) fn new(code: u16, media: &'static str, body: impl Into<Bytes>) -> Reply {
        let body = Content::bytes(body);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        Reply {
            // Codes come from constants and from parsed rules, which hold only 200..=599.
            status: StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            headers,
            part: 0..body.len(),
            body,
            announce: true,
            transfer: false,
            slot: None,
            still_allowed: None,
        }
    }

    /// An answer with JSON.
    pub(crate) fn json(code: u16, value: &serde_json::Value) -> Reply {
        Reply::new(code, "application/json", value.to_string())
    }

    /// An error in the manner of the search API.
    pub(crate) fn error(code: u16, description: &str) -> Reply {
        Reply::json(code, &serde_json::json!({ "code": code.to_string(), "description": description }))
    }

    /// The answer to a method that is not supported.
    pub(crate) fn method_not_allowed(allowed: &str) -> Reply {
        Reply::error(405, "method not allowed").with(header::ALLOW, allowed)
    }

    /// The same with a header set.
    pub(crate) fn with(mut self, name: HeaderName, value: &str) -> Reply {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// The same with a cookie added.
    pub(crate) fn with_cookie(mut self, cookie: &str) -> Reply {
        if let Ok(value) = HeaderValue::from_str(cookie) {
            self.headers.append(header::SET_COOKIE, value);
        }
        self
    }

    /// An object's bytes, as far as the request's conditions and range ask for them.
    pub(crate) fn object(
        request: &Request,
        key: &str,
        content: Content,
        media: &str,
        rules: &ObjectRules,
    ) -> Reply {
        let etag = etag(key, &content);
        let mut reply = Reply::new(200, "", Bytes::new()).with(header::CONTENT_TYPE, media);
        let validates = |name: HeaderName| {
            request
                .header(name)
                .map(|list| list.split(',').any(|tag| tag.trim() == etag || tag.trim() == "*"))
        };
        if rules.etag {
            reply = reply.with(header::ETAG, &etag);
            if validates(header::IF_MATCH) == Some(false) {
                return Reply::error(412, "the object has changed");
            }
            if validates(header::IF_NONE_MATCH) == Some(true) {
                reply.status = StatusCode::NOT_MODIFIED;
                return reply;
            }
        }
        if rules.last_modified {
            reply = reply.with(header::LAST_MODIFIED, "Wed, 25 Sep 2024 03:00:00 GMT");
        }
        let len = content.len();
        reply.part = 0..len;
        if rules.range {
            reply = reply.with(header::ACCEPT_RANGES, "bytes");
            let fresh = !rules.etag || validates(header::IF_RANGE) != Some(false);
            match request.header(header::RANGE).filter(|_| fresh).and_then(|range| wanted(range, len)) {
                Some(part) if part.is_empty() => {
                    return Reply::error(416, "range not satisfiable")
                        .with(header::CONTENT_RANGE, &format!("bytes */{len}"));
                }
                Some(part) => {
                    reply.status = StatusCode::PARTIAL_CONTENT;
                    let text = format!("bytes {}-{}/{len}", part.start, part.end - 1);
                    reply = reply.with(header::CONTENT_RANGE, &text);
                    reply.part = part;
                }
                None => {}
            }
        }
        reply.body = content;
        reply.announce = rules.content_length;
        reply.transfer = request.method != "HEAD";
        reply
    }

    /// Hands the answer over to be sent.
    pub(crate) fn send(
        mut self,
        connection: Arc<Connection>,
        line: journal::Line,
        plan: BodyPlan,
    ) -> Response<Payload> {
        if self.announce {
            let announced = (self.part.end - self.part.start).saturating_add_signed(plan.announce_more);
            self.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(announced));
            // More than announced is never sent: HTTP libraries would take it for the next answer.
            self.part.end = self.part.end.min(self.part.start.saturating_add(announced));
        }
        line.answered(self.status.as_u16());
        let pump = Pump {
            position: self.part.start,
            end: self.part.end,
            content: self.body,
            sent: 0,
            drip: plan.drip.map(Line::new),
            transfer: self.transfer.then(|| line.transfer()),
            slot: self.slot,
            still_allowed: self.still_allowed,
            line: Some(line),
            connection,
            plan,
        };
        let frames = stream::unfold(pump, async |mut pump| {
            let piece = pump.next().await?;
            Some((piece.map(Frame::data), pump))
        });
        let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// The entity tag of an object. It depends on nothing but the path, the length and the version.
pub(crate) fn etag(key: &str, content: &Content) -> String {
    // Small ones whole: a document may change in one digit.
    let first = content.read(0, if content.len() <= 64 << 10 { 64 << 10 } else { 64 });
    let sum = first.iter().fold(hash(key), |sum, byte| sum.rotate_left(7) ^ u64::from(*byte));
    format!("\"{sum:016x}-{:x}\"", content.len())
}

/// The one range asked for, empty if it cannot be satisfied; `None` if the header must be ignored.
fn wanted(range: &str, len: u64) -> Option<Range<u64>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    if first.is_empty() {
        let suffix: u64 = last.parse().ok()?;
        return Some(len.saturating_sub(suffix)..len);
    }
    let first: u64 = first.parse().ok()?;
    let end = if last.is_empty() { len } else { last.parse::<u64>().ok()?.saturating_add(1).min(len) };
    Some(first..end.max(first)).map(|part| if first >= len { 0..0 } else { part })
}

/// How the sending of a body is to be disturbed.
#[derive(Debug, Default)]
pub(crate) struct BodyPlan {
    pub(crate) announce_more: i64,
    /// After so many bytes, the end of the connection, by reset if true.
    pub(crate) cut: Option<(u64, bool)>,
    pub(crate) stall: Option<(u64, Duration)>,
    pub(crate) drip: Option<u64>,
    /// Offsets in the object that are sent wrong.
    pub(crate) flips: Vec<Range<u64>>,
}

struct Pump {
    connection: Arc<Connection>,
    content: Content,
    position: u64,
    end: u64,
    sent: u64,
    plan: BodyPlan,
    drip: Option<Line>,
    still_allowed: Option<Box<dyn Fn() -> bool + Send>>,
    slot: Option<Slot>,
    transfer: Option<journal::Transfer>,
    line: Option<journal::Line>,
}

impl Pump {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if let Some((after, time)) = self.plan.stall
            && self.sent >= after
        {
            self.plan.stall = None;
            tokio::time::sleep(time).await;
        }
        if let Some((after, reset)) = self.plan.cut
            && self.sent >= after
        {
            tokio::time::sleep(SETTLE).await;
            if reset {
                self.connection.end_with_reset();
            }
            return Some(Err(io::Error::other("cut on purpose")));
        }
        if self.position >= self.end {
            self.release();
            if self.plan.announce_more > 0 {
                // What was announced will not come: without the pause the headers would not come either.
                tokio::time::sleep(SETTLE).await;
            }
            return None;
        }
        if self.still_allowed.as_ref().is_some_and(|allowed| !allowed()) {
            tokio::time::sleep(SETTLE).await;
            return Some(Err(io::Error::other("credential expired in mid-transfer")));
        }
        let mut len = self.end - self.position;
        if let Some(drip) = &self.drip {
            len = len.min(drip.piece() as u64).min(self.plan.drip.map_or(1, |rate| rate.div_ceil(4)).max(1));
        }
        for after in [self.plan.cut.map(|(after, _)| after), self.plan.stall.map(|(after, _)| after)] {
            len = after.map_or(len, |after| len.min(after - self.sent));
        }
        let len = self.connection.road.pass(usize::try_from(len).unwrap_or(usize::MAX)).await;
        if let Some(drip) = &self.drip {
            drip.pass(len).await;
        }
        let piece = self.disturb(self.content.read(self.position, len));
        self.position += len as u64;
        self.sent += len as u64;
        if let Some(line) = &self.line {
            line.sent(piece.len());
        }
        if self.position >= self.end {
            self.release();
        }
        Some(Ok(piece))
    }

    fn disturb(&self, piece: Bytes) -> Bytes {
        let here = self.position..self.position + piece.len() as u64;
        if self.plan.flips.iter().all(|flip| flip.end <= here.start || flip.start >= here.end) {
            return piece;
        }
        let mut piece = piece.to_vec();
        for flip in &self.plan.flips {
            for offset in flip.start.max(here.start)..flip.end.min(here.end) {
                piece[(offset - here.start) as usize] ^= 0xff;
            }
        }
        piece.into()
    }

    fn release(&mut self) {
        if let Some(line) = self.line.take() {
            line.completed();
        }
        self.transfer = None;
        self.slot = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_object() {
        assert_eq!(wanted("bytes=0-0", 10), Some(0..1));
        assert_eq!(wanted("bytes=5-", 10), Some(5..10));
        assert_eq!(wanted("bytes=5-99", 10), Some(5..10));
        assert_eq!(wanted("bytes=-3", 10), Some(7..10));
        assert_eq!(wanted("bytes=10-", 10), Some(0..0));
        assert_eq!(wanted("bytes=0-1,4-5", 10), None);
        assert_eq!(wanted("lines=0-1", 10), None);
    }
}
