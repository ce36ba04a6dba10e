//! What the effects of matching rules do to a request and to its answer.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{self, HeaderName, HeaderValue};

use super::Effect;
use crate::content::Content;
use crate::download;
use crate::emulator::Shared;
use crate::reply::{BodyPlan, Reply};
use crate::request::Request;
use crate::wire::Connection;

/// The page of a captive portal.
const PORTAL: &str = "<!DOCTYPE html><html><head><title>Welcome to the hotel network</title></head>\
<body><form action=\"/accept\" method=\"post\"><button>Accept and connect</button></form></body></html>";

/// Before the services see the request: changes it, or answers in their place.
pub(crate) fn before(
    effects: &[Effect],
    request: &mut Request,
    shared: &Shared,
    connection: &Connection,
) -> Option<Reply> {
    let mut answer = None;
    for effect in effects {
        match effect {
            Effect::Status { code, retry_after, body } => {
                let body = body.clone().unwrap_or_else(|| format!("{{\"status\":{code}}}"));
                let reply = Reply::new(*code, "application/json", body);
                answer = Some(match retry_after {
                    Some(value) => reply.with(header::RETRY_AFTER, value),
                    None => reply,
                });
            }
            Effect::Html => answer = Some(Reply::new(200, "text/html; charset=utf-8", PORTAL)),
            Effect::Redirect { to, code } => {
                let to = if to == "foreign" { foreign(shared, request) } else { to.clone() };
                answer = Some(Reply::new(*code, "text/plain", "").with(header::LOCATION, &to));
            }
            Effect::Raw { text } => {
                connection.replace_answer(Bytes::from(text.clone()));
                answer = Some(Reply::new(200, "text/plain", "").with(header::CONNECTION, "close"));
            }
            Effect::Change { longer } => shared.bump(&shared.object_key(request), *longer),
            Effect::Whole => {
                request.headers.remove(header::RANGE);
            }
            Effect::ShiftRange { by } => shift_range(request, *by),
            _ => {}
        }
    }
    answer
}

/// Where a request is found on the foreign host: a download by a signed address, which works there, anything
/// else by the same path, which does not.
fn foreign(shared: &Shared, request: &Request) -> String {
    let file = download::asked_path(request).and_then(|path| download::canonical(&shared.catalogue, &path));
    let user = request.bearer().and_then(|token| shared.identity.user_of_access(token));
    match (file, user) {
        (Some(file), Some(user)) => download::signed_address(shared, &file, &user, 300),
        _ => format!("{}{}", shared.foreign_url, request.target()),
    }
}

/// After the services have answered: changes the answer and plans how its body is disturbed.
pub(crate) fn after(effects: &[Effect], reply: &mut Reply) -> BodyPlan {
    let mut plan = BodyPlan::default();
    for effect in effects {
        match effect {
            Effect::Reset { after } => plan.cut = Some((*after, true)),
            Effect::Close { after } => plan.cut = Some((*after, false)),
            Effect::Stall { after, time } => plan.stall = Some((*after, *time)),
            Effect::Drip { rate } => plan.drip = Some((*rate).max(1)),
            Effect::Length { add } => plan.announce_more = *add,
            Effect::Chunked => reply.announce = false,
            Effect::Flip { at, count } => plan.flips.push(*at..at.saturating_add(*count)),
            Effect::ContentRange { shift } => shift_content_range(reply, *shift),
            Effect::Multipart => multipart(reply),
            Effect::Gzip => gzip(reply),
            Effect::Header { name, value } => {
                if let (Ok(name), Ok(value)) =
                    (HeaderName::try_from(name.as_str()), HeaderValue::from_str(value))
                {
                    reply.headers.insert(name, value);
                }
            }
            Effect::RemoveHeader { name } => {
                if name.eq_ignore_ascii_case("content-length") {
                    reply.announce = false;
                }
                reply.headers.remove(name.as_str());
            }
            _ => {}
        }
    }
    plan
}

/// Compresses the body of an answer.
pub(crate) fn gzip(reply: &mut Reply) {
    let body = reply.body.read(reply.part.start, (reply.part.end - reply.part.start) as usize);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing into memory does not fail; if it ever did, the answer would stay as it is.
    if let Ok(packed) = encoder.write_all(&body).and_then(|()| encoder.finish()) {
        reply.body = Content::bytes(packed);
        reply.part = 0..reply.body.len();
        reply.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
}

fn shift_range(request: &mut Request, by: i64) {
    let shifted = request.header(header::RANGE).and_then(|range| {
        let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
        let first = first.parse::<u64>().ok()?.saturating_add_signed(by);
        let last = last.parse::<u64>().ok().map(|last| last.saturating_add_signed(by).to_string());
        HeaderValue::from_str(&format!("bytes={first}-{}", last.unwrap_or_default())).ok()
    });
    if let Some(value) = shifted {
        request.headers.insert(header::RANGE, value);
    }
}

fn shift_content_range(reply: &mut Reply, shift: i64) {
    let len = reply.body.len();
    let (first, last) = (reply.part.start, reply.part.end.saturating_sub(1));
    let text =
        format!("bytes {}-{}/{len}", first.saturating_add_signed(shift), last.saturating_add_signed(shift));
    if reply.headers.contains_key(header::CONTENT_RANGE)
        && let Ok(value) = HeaderValue::from_str(&text)
    {
        reply.headers.insert(header::CONTENT_RANGE, value);
    }
}

fn multipart(reply: &mut Reply) {
    let Some(range) = reply.headers.remove(header::CONTENT_RANGE) else { return };
    let part = reply.body.read(reply.part.start, (reply.part.end - reply.part.start) as usize);
    let mut body = b"--part\r\nContent-Type: application/octet-stream\r\nContent-Range: ".to_vec();
    body.extend_from_slice(range.as_bytes());
    body.extend_from_slice(b"\r\n\r\n");
    body.extend_from_slice(&part);
    body.extend_from_slice(b"\r\n--part--\r\n");
    reply.body = Content::bytes(body);
    reply.part = 0..reply.body.len();
    let media = HeaderValue::from_static("multipart/byteranges; boundary=part");
    reply.headers.insert(header::CONTENT_TYPE, media);
}
