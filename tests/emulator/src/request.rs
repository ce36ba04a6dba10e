//! A request as the services look at it: text, parameters and a bounded body.

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::HeaderMap;
use hyper::body::Incoming;
use hyper::header::HeaderName;
use percent_encoding::percent_decode_str;

use crate::journal::{Authorization, Host};

/// A larger body than this is refused with 413.
const MAX_BODY: usize = 1024 * 1024;

/// One request, read completely.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) host: Host,
    pub(crate) method: String,
    /// The path as sent.
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) body_too_large: bool,
}

impl Request {
    pub(crate) async fn read(host: Host, request: hyper::Request<Incoming>) -> Request {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await.map(http_body_util::Collected::to_bytes);
        Request {
            host,
            method: head.method.as_str().to_owned(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().map(str::to_owned),
            headers: head.headers,
            body_too_large: body.is_err(),
            body: body.unwrap_or_default(),
        }
    }

    /// Path and query as sent.
    pub(crate) fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// A header's value, if it is text.
    pub(crate) fn header(&self, name: impl Into<HeaderName>) -> Option<&str> {
        self.headers.get(name.into()).and_then(|value| value.to_str().ok())
    }

    /// The decoded parameters of the query.
    pub(crate) fn parameters(&self) -> Vec<(String, String)> {
        form(self.query.as_deref().unwrap_or(""))
    }

    /// The decoded fields of a form in the body.
    pub(crate) fn fields(&self) -> Vec<(String, String)> {
        form(&String::from_utf8_lossy(&self.body))
    }

    /// The kind of credential in the header.
    pub(crate) fn authorization(&self) -> Option<Authorization> {
        let value = self.headers.get(hyper::header::AUTHORIZATION)?;
        let scheme = value.to_str().unwrap_or("").split(' ').next().unwrap_or("").to_ascii_lowercase();
        Some(match scheme.as_str() {
            "bearer" => Authorization::Bearer,
            "basic" => Authorization::Basic,
            _ => Authorization::Other,
        })
    }

    /// The token of `Authorization: Bearer`.
    pub(crate) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header(hyper::header::AUTHORIZATION)?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    }

    /// A cookie's value.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.headers
            .get_all(hyper::header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.to_owned())
    }
}

/// The value of the first field of this name.
pub(crate) fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Decodes a query or a form.
pub(crate) fn form(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(&key.replace('+', " ")), decode(&value.replace('+', " ")))
        })
        .collect()
}

/// Undoes percent-encoding.
pub(crate) fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Percent-encodes a value of a query, as forms do but with `%20` for a space.
pub(crate) fn encode(text: &str) -> String {
    const KEEP: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    percent_encoding::utf8_percent_encode(text, KEEP).to_string()
}
