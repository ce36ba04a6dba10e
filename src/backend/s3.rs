//! Objects of an S3 service, for service providers (tree.md, "Service providers"): signed GET by bucket and key, in
//! ranges, and HEAD for lengths.
//!
//! Addresses have the form `endpoint/bucket/key`, which every S3 service knows. Signing is the transport's.

use std::time::Duration;

use futures_util::future::BoxFuture;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use reqwest::header::CONTENT_LENGTH;
use reqwest::{Method, StatusCode};
use url::Url;

use crate::backend::answer::{Answer, Length, validator};
use crate::backend::download::data_request;
use crate::backend::{Ask, Backend};
use crate::error::{Error, ErrorKind, Result, fail};
use crate::transport::{Response, Transport, status_error};

/// What stays as it is in an address; all else is encoded, once, as signatures demand.
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
/// The longest key of an object, in bytes.
const LONGEST_KEY: usize = 1024;
/// Most bytes of an answer that says what is wrong.
const PROBLEM_BYTES: usize = 16 << 10;

/// Where the objects are: one bucket of one service.
#[derive(Clone, Debug)]
pub struct Objects {
    /// The address of the bucket, with a slash at its end.
    url: Url,
    name: String,
    /// Put before the paths that addresses of other kinds are read as.
    prefix: String,
}

impl Objects {
    /// The bucket `name` of the service at `endpoint`.
    ///
    /// # Errors
    /// `Configuration` for a name that is none.
    pub fn new(endpoint: &Url, name: &str, prefix: &str) -> Result<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > 255 || name.starts_with('.') || !name.chars().all(plain) {
            return fail(
                ErrorKind::Configuration,
                format!("`cache_a.s3.bucket = {name:?}`: no name of a bucket"),
            );
        }
        let mut url = endpoint.clone();
        url.set_query(None);
        url.set_fragment(None);
        url.set_path(&format!("{}/{name}/", endpoint.path().trim_end_matches('/')));
        Ok(Self { url, name: name.to_owned(), prefix: prefix.trim_start_matches('/').to_owned() })
    }

    /// The address of the bucket: what lies below it is signed.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The object among the addresses of one file, the first of them the one that others would use.
    ///
    /// An `s3://` address counts as it is, also of another bucket. Else it is read out of the path of a web
    /// address, as the catalogue wrote it: behind `?filename=`, or the whole path; what stands behind the name of the
    /// bucket, if that is part of it; with the configured prefix before it.
    pub fn object<'a>(&self, hrefs: impl Iterator<Item = &'a str> + Clone) -> Option<Url> {
        let exact = hrefs.clone().find_map(|href| {
            let rest =
                href.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("s3://")).map(|_| &href[5..])?;
            let (bucket, key) = rest.split_once('/')?;
            self.address(bucket, key)
        });
        exact.or_else(|| hrefs.clone().find_map(|href| self.address(&self.name, &self.key(href)?)))
    }

    /// The key that a web address stands for.
    fn key(&self, href: &str) -> Option<String> {
        let path = match href.split_once("?filename=") {
            Some((_, path)) => path.to_owned(),
            None => {
                let url = Url::parse(href).ok().filter(|url| matches!(url.scheme(), "https" | "http"))?;
                url.path().to_owned()
            }
        };
        let path = percent_decode_str(&path).decode_utf8().ok()?;
        let path = path.trim_start_matches('/');
        let inside = format!("{}/", self.name);
        let key = match path.strip_prefix(&inside) {
            Some(key) => key,
            None => path.split_once(&format!("/{inside}")).map_or(path, |(_, key)| key),
        };
        Some(format!("{}{key}", self.prefix))
    }

    fn address(&self, bucket: &str, key: &str) -> Option<Url> {
        // Parsers of addresses take such parts out, even encoded: another object would be asked for.
        let plain = |part: &str| !matches!(part, "." | "..");
        if bucket.is_empty() || key.is_empty() || key.len() > LONGEST_KEY || !key.split('/').all(plain) {
            return None;
        }
        let mut url = self.url.clone();
        let above = url.path().strip_suffix(&format!("{}/", self.name))?.to_owned();
        let [bucket, key] = [bucket, key].map(|text| utf8_percent_encode(text, KEY).to_string());
        url.set_path(&format!("{above}{bucket}/{key}"));
        Some(url)
    }
}

/// Objects of one bucket.
pub struct S3 {
    name: String,
    objects: Objects,
    first_byte: Duration,
    transport: Transport,
}

impl S3 {
    /// The service called `name`; `first_byte` limits the wait for an answer's headers.
    pub fn new(name: &str, objects: Objects, first_byte: Duration, transport: Transport) -> Self {
        Self { name: name.to_owned(), objects, first_byte, transport }
    }

    /// Whether there are keys for the object at `url`.
    fn ready(&self, url: &Url) -> Result<()> {
        if !url.path().starts_with(self.objects.url.path()) {
            let (name, known) = (&self.name, &self.objects.name);
            let path = url.path();
            return fail(
                ErrorKind::Protocol,
                format!("{name}: {path} is in another bucket than {known}, which cache_a.s3.bucket names"),
            );
        }
        match self.transport.keyring().has(url) {
            true => Ok(()),
            false => fail(ErrorKind::LoginRejected, format!("{}: there are no S3 keys", self.name)),
        }
    }

    /// What an answer that brings no object means.
    async fn problem(&self, url: &Url, response: Response) -> Error {
        let (status, headers) = (response.status, response.headers.clone());
        let what = format!("{}: {}", self.name, url.path());
        let error = status_error(status, &headers, &what, url);
        let text = response.read_bounded(PROBLEM_BYTES).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let Some(code) = element(&text, "Code") else { return busy(error) };
        let kind = match code {
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "InvalidToken"
            | "TokenRefreshRequired"
            | "InvalidSecurity"
            | "AuthorizationHeaderMalformed" => ErrorKind::LoginRejected,
            "AccessDenied"
            | "AccountProblem"
            | "AllAccessDisabled"
            | "InvalidObjectState"
            | "RequestTimeTooSkewed" => ErrorKind::Forbidden,
            "NoSuchKey" => ErrorKind::NotFound,
            "NoSuchBucket" => ErrorKind::Configuration,
            "SlowDown" | "RequestLimitExceeded" => ErrorKind::Busy,
            _ => error.kind(),
        };
        let hint = match code {
            "NoSuchBucket" => "check cache_a.s3.bucket and cache_a.s3.endpoint",
            "AuthorizationHeaderMalformed" => "check cache_a.s3.region",
            "RequestTimeTooSkewed" => "set the clock of this machine",
            _ => "",
        };
        let said = element(&text, "Message").unwrap_or_default();
        let said = format!("the service says {code}: {}", said.chars().take(200).collect::<String>());
        let error = error.reclassify(kind).then(said.trim_end_matches([':', ' ']));
        busy(if hint.is_empty() { error } else { error.then(hint) })
    }
}

/// A service that fails under load wants fewer requests at a time.
fn busy(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Unavailable if error.wait().is_some() => error.reclassify(ErrorKind::Busy),
        _ => error,
    }
}

/// The text of the first element called `name`: all that is needed of an answer that says what is wrong, so no entity is
/// looked up and nothing is nested.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once('<')?;
    (!text.is_empty()).then_some(text)
}

impl Backend for S3 {
    fn name(&self) -> &str {
        &self.name
    }

    fn ask<'a>(&'a self, url: &'a Url, ask: &'a Ask) -> BoxFuture<'a, Result<Answer>> {
        Box::pin(async move {
            self.ready(url)?;
            let response = self.transport.send(data_request(Method::GET, url, ask, self.first_byte)).await?;
            let brings = response.status.is_success() || response.status == StatusCode::RANGE_NOT_SATISFIABLE;
            if !brings {
                return Err(self.problem(url, response).await);
            }
            Answer::judge(&self.name, url, ask, response)
        })
    }

    fn length<'a>(&'a self, url: &'a Url) -> BoxFuture<'a, Result<Option<Length>>> {
        Box::pin(async move {
            self.ready(url)?;
            let request = data_request(Method::HEAD, url, &Ask::default(), self.first_byte);
            let response = self.transport.send(request).await?;
            let length = response.headers.get(CONTENT_LENGTH);
            let bytes = length.and_then(|value| value.to_str().ok()?.parse().ok());
            match response.status {
                StatusCode::OK => {
                    Ok(bytes.map(|bytes| Length { bytes, version: validator(&response.headers) }))
                }
                StatusCode::NOT_FOUND => Err(self.problem(url, response).await),
                // Such an answer has no body that could tell why: whoever reads will see.
                _ => Ok(None),
            }
        })
    }

    fn transport(&self) -> &Transport {
        &self.transport
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(prefix: &str) -> Objects {
        Objects::new(&Url::parse("https://s3.example/base").unwrap(), "eodata", prefix).unwrap()
    }

    fn found(prefix: &str, hrefs: &[&str]) -> Option<String> {
        objects(prefix).object(hrefs.iter().copied()).map(|url| url.to_string())
    }

    #[test]
    fn objects_by_all_the_ways_that_catalogues_write_them() {
        let base = "https://s3.example/base/eodata";
        for (hrefs, key) in [
            (&["s3://eodata/Sentinel-2/a b+c.jp2"][..], "Sentinel-2/a%20b%2Bc.jp2"),
            (&["https://zipper/odata/v1/x", "s3://eodata/S2/é%41"], "S2/%C3%A9%2541"),
            (&["https://a/stac/download?filename=S2/2024/x.SAFE/B%2004.jp2"], "S2/2024/x.SAFE/B%2004.jp2"),
            (&["https://a/stac/download?filename=/eodata/S2/x?y#z"], "S2/x%3Fy%23z"),
            (&["https://s3.elsewhere/base/eodata/S2/x//y"], "S2/x//y"),
            (&["https://a/S2/x%20y%2Fz"], "S2/x%20y/z"),
        ] {
            assert_eq!(found("", hrefs).unwrap(), format!("{base}/{key}"), "{hrefs:?}");
        }
        assert_eq!(found("pre/", &["https://a/x"]).unwrap(), format!("{base}/pre/x"));
        assert_eq!(found("pre/", &["s3://eodata/x"]).unwrap(), format!("{base}/x"));
        assert_eq!(found("", &["s3://other/x"]).unwrap(), "https://s3.example/base/other/x");
    }

    #[test]
    fn what_would_ask_for_another_object_is_none() {
        for href in [
            "s3://eodata/",
            "s3://eodata",
            "s3:///x",
            "s3://eodata/a/../b",
            "s3://eodata/./b",
            "ftp://a/x",
            "https://a/?filename=a/%2e%2e/b",
            "https://a/",
            "s3",
            "§§§§§",
        ] {
            assert_eq!(found("", &[href]), None, "{href}");
        }
        assert_eq!(found("", &[&format!("s3://eodata/{}", "x".repeat(1025))]), None);
        for wrong in ["", "..", "a/b", "a b"] {
            assert!(Objects::new(&Url::parse("https://s3.example").unwrap(), wrong, "").is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_answer_tells_its_code() {
        let xml =
            "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>&lt;gone&gt;</Message></Error>";
        assert_eq!(
            (element(xml, "Code"), element(xml, "Message")),
            (Some("NoSuchKey"), Some("&lt;gone&gt;"))
        );
        assert_eq!(element("<Code></Code>", "Code"), None);
        assert_eq!(element("<Code>x", "Code"), None);
    }
}
