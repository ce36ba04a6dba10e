//! From one page to the next: the `next` link as a request, and when to stop believing it.
//!
//! STAC API 1.0.0 item-search "pagination": a link may carry a method, a body and `merge`. Headers are
//! ignored (contract.md 7); a link cannot make us send anything but a search to a place.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use url::Url;

use super::super::limits::{ITEMS, PAGES, PAGES_WITHOUT_NEWS, STRING_BYTES};
use super::super::quote::quote;
use super::link::Link;

/// The methods of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// With the query in the address.
    Get,
    /// With the query as a JSON body.
    Post,
}

/// A request for a page.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageRequest {
    /// How.
    pub method: Method,
    /// Where.
    pub url: Url,
    /// JSON to send; with [`Method::Post`] only.
    pub body: Option<Bytes>,
}

impl PageRequest {
    /// A request by GET.
    pub fn get(url: Url) -> Self {
        Self { method: Method::Get, url, body: None }
    }
}

/// The request that the page's `next` link wants. `Ok(None)` if this was the last page; `Err` says why
/// the link cannot be followed.
pub fn next_request(links: &[Link], current: &PageRequest) -> Result<Option<PageRequest>, String> {
    let Some(link) = links.iter().find(|link| link.rel == "next") else { return Ok(None) };
    let shown = quote(&link.href);
    let url =
        link.resolve(Some(&current.url)).ok_or_else(|| format!("next link {shown:?} is not an address"))?;
    let url =
        same_host(&current.url, url).ok_or_else(|| format!("next link leads to another host: {shown:?}"))?;
    match link.method.as_str() {
        "GET" => Ok(Some(PageRequest::get(url))),
        "POST" => {
            let body = next_body(link, current)?;
            Ok(Some(PageRequest { method: Method::Post, url, body: Some(body) }))
        }
        other => Err(format!("next link wants the method {:?}", quote(other))),
    }
}

/// The body for a `next` link by POST: the link's own, laid over the current one if it says `merge`; the
/// current one if it has none. What was asked by GET counts as the body that asks the same.
fn next_body(link: &Link, current: &PageRequest) -> Result<Bytes, String> {
    let object = |text: &[u8]| serde_json::from_slice::<Map<String, Value>>(text).ok();
    let before = match &current.body {
        Some(body) => object(body),
        None => Some(body_of_query(&current.url)),
    };
    let own = match &link.body {
        Some(body) => Some(object(body.get().as_bytes()).ok_or("body of the next link is not an object")?),
        None => None,
    };
    let body = match (own, before) {
        (Some(own), Some(mut before)) if link.merge => {
            before.extend(own);
            before
        }
        (Some(own), _) => own,
        (None, before) => before.unwrap_or_default(),
    };
    let body = Value::Object(body).to_string();
    if body.len() > STRING_BYTES {
        return Err("body of the next link is too long".to_owned());
    }
    Ok(body.into())
}

/// The body that asks the same as the query of a search by GET (STAC API 1.0.0 item-search).
fn body_of_query(url: &Url) -> Map<String, Value> {
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let value = |name: &str, text: &str| match name {
        "collections" | "ids" => text.split(',').map(plain).collect(),
        "bbox" => text.split(',').filter_map(|number| plain(number).parse::<f64>().ok()).collect(),
        "limit" => plain(text).parse::<u64>().map_or(Value::Null, Value::from),
        _ => plain(text).into(),
    };
    let pairs = url.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let mut body: Map<String, Value> =
        pairs.map(|(name, text)| (plain(name), value(&plain(name), text))).collect();
    if body.contains_key("filter") {
        body.insert("filter-lang".into(), "cql2-text".into());
    }
    body
}

/// `url` if it is on the host of `base`, with the base's scheme and port where a service behind a proxy
/// names itself by `http:`. Which hosts may be asked at all is decided where the request is sent.
pub(super) fn same_host(base: &Url, mut url: Url) -> Option<Url> {
    let same = url.host() == base.host() && url.username().is_empty() && url.password().is_none();
    if !same || !matches!(url.scheme(), "http" | "https") || url.as_str().len() > STRING_BYTES {
        return None;
    }
    if base.scheme() == "https" && url.scheme() == "http" {
        url.set_scheme("https").ok()?;
        url.set_port(base.port()).ok()?;
    }
    (url.port_or_known_default() == base.port_or_known_default()).then_some(url)
}

/// Watches a walk for loops and for endlessness (contract.md 7).
pub struct Guard {
    /// Digests of the requests made: equal requests give equal pages.
    requests: HashSet<blake3::Hash>,
    /// Hashes of the ids seen, under a key that no server knows.
    ids: HashSet<u64>,
    keys: RandomState,
    idle_pages: usize,
    news: bool,
}

impl Guard {
    /// A guard for a new walk.
    pub fn new() -> Self {
        Self {
            requests: HashSet::new(),
            ids: HashSet::new(),
            keys: RandomState::new(),
            idle_pages: 0,
            news: false,
        }
    }

    /// Whether this request will surely be made next.
    pub fn would_admit(&self, request: &PageRequest) -> bool {
        // After a page without news, each page may be the last.
        self.idle_pages == 0
            && self.requests.len() < PAGES
            && self.ids.len() < ITEMS
            && !self.requests.contains(&Self::digest(request))
    }

    fn digest(request: &PageRequest) -> blake3::Hash {
        let mut digest = blake3::Hasher::new();
        digest.update(&[request.method as u8]);
        digest.update(request.url.as_str().as_bytes());
        digest.update(&[0]);
        digest.update(request.body.as_deref().unwrap_or_default());
        digest.finalize()
    }

    /// Whether this request may be made; else why the walk ends here.
    pub fn admit(&mut self, request: &PageRequest) -> Result<(), String> {
        if self.requests.len() >= PAGES {
            return Err(format!("the listing has more than {PAGES} pages"));
        }
        if !self.requests.insert(Self::digest(request)) {
            return Err("the next link leads back to a page that was read already".to_owned());
        }
        self.news = false;
        Ok(())
    }

    /// Notes an item; whether it is new.
    pub fn note(&mut self, collection: Option<&str>, id: &str) -> bool {
        let new = self.ids.insert(self.keys.hash_one((collection, id)));
        self.news |= new;
        new
    }

    /// Ends a page; why the walk ends here, if it must.
    pub fn end_page(&mut self) -> Result<(), String> {
        if self.ids.len() >= ITEMS {
            return Err(format!("the listing has more than {ITEMS} items"));
        }
        self.idle_pages = if self.news { 0 } else { self.idle_pages + 1 };
        if self.idle_pages >= PAGES_WITHOUT_NEWS {
            return Err(format!("{PAGES_WITHOUT_NEWS} pages in a row brought nothing new"));
        }
        Ok(())
    }

    /// Different items so far.
    pub fn items(&self) -> usize {
        self.ids.len()
    }

    /// Pages asked for so far.
    pub fn pages(&self) -> usize {
        self.requests.len()
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::super::link;
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use serde_json::value::RawValue;

    fn next(link: Value, current: &PageRequest) -> Result<Option<PageRequest>, String> {
        let links = RawValue::from_string(json!([{"rel": "self", "href": "/x"}, link]).to_string()).unwrap();
        next_request(&link::read_all(&links), current)
    }

    fn current() -> PageRequest {
        PageRequest::get("https://c.example/api/search?limit=10".parse().unwrap())
    }

    fn posted(body: &str) -> PageRequest {
        PageRequest { method: Method::Post, body: Some(Bytes::copy_from_slice(body.as_bytes())), ..current() }
    }

    #[test]
    fn by_get() {
        for (href, url) in [
            ("https://c.example/api/search?token=a%2Bb", "https://c.example/api/search?token=a%2Bb"),
            ("?page=2", "https://c.example/api/search?page=2"),
            ("/other?page=2", "https://c.example/other?page=2"),
            ("http://c.example/api/search?p=2", "https://c.example/api/search?p=2"),
            ("http://c.example:80/api/search?p=2", "https://c.example/api/search?p=2"),
            // A service behind a proxy that names itself as it is called inside.
            ("http://c.example:8080/api/search?p=2", "https://c.example/api/search?p=2"),
        ] {
            let request = next(json!({"rel": "next", "href": href}), &current()).unwrap().unwrap();
            assert_eq!(request, PageRequest::get(url.parse().unwrap()), "{href}");
        }
        assert_eq!(next(json!({"rel": "prev", "href": "?"}), &current()), Ok(None));
    }

    #[test]
    fn by_post() {
        let body = |link: Value, before: &str| {
            let request = next(link, &posted(before)).unwrap().unwrap();
            assert_eq!(request.method, Method::Post);
            serde_json::from_slice::<Value>(&request.body.unwrap()).unwrap()
        };
        let link = |extra: Value| {
            let mut link = json!({"rel": "next", "href": "search", "method": "POST"});
            link.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            link
        };
        assert_eq!(body(link(json!({"body": {"token": "x"}})), r#"{"limit":1}"#), json!({"token": "x"}));
        assert_eq!(
            body(
                link(json!({"body": {"token": "x", "limit": 2}, "merge": true})),
                r#"{"limit":1,"ids":["a"]}"#
            ),
            json!({"token": "x", "limit": 2, "ids": ["a"]})
        );
        assert_eq!(body(link(json!({})), r#"{"limit":1}"#), json!({"limit": 1}));
        assert!(next(link(json!({"body": [1]})), &posted("{}")).is_err());
        assert!(
            next(
                link(json!({"body": {"a": "x".repeat(40_000)}, "merge": true})),
                &posted(&json!({"b": "x".repeat(40_000)}).to_string())
            )
            .is_err()
        );
        // After a GET, what it asked is what is merged with.
        let asked = "https://c.example/api/search?collections=S,a%2Cb&bbox=1,2.5,3,4&limit=10&datetime=a/b&filter=c%3C20";
        let asked = PageRequest::get(asked.parse().unwrap());
        let merged = next(link(json!({"body": {"token": "x"}, "merge": true})), &asked).unwrap().unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&merged.body.unwrap()).unwrap(),
            json!({
                "collections": ["S", "a,b"], "bbox": [1.0, 2.5, 3.0, 4.0], "limit": 10, "datetime": "a/b",
                "filter": "c<20", "filter-lang": "cql2-text", "token": "x",
            })
        );
        // A body for a GET is not sent.
        let request =
            next(json!({"rel": "next", "href": "?a", "body": {"x": 1}}), &posted("{}")).unwrap().unwrap();
        assert_eq!((request.method, request.body), (Method::Get, None));
    }

    #[test]
    fn refused() {
        for href in [
            "https://evil.example/",
            "https://c.example:8443/",
            "ftp://c.example/",
            "file:///etc/passwd",
            "javascript:1",
            "https://user:pw@c.example/",
            "https://",
            "//evil.example/x",
            "data:x",
        ] {
            let outcome = next(json!({"rel": "next", "href": href}), &current());
            assert!(outcome.is_err(), "{href}: {outcome:?}");
        }
        for method in ["PUT", "DELETE", "GET\r\nX: y"] {
            assert!(next(json!({"rel": "next", "href": "?a", "method": method}), &current()).is_err());
        }
        // A plain-text service of the user's own choice is not upgraded.
        let plain = PageRequest::get("http://127.0.0.1:8080/search".parse().unwrap());
        let request = next(json!({"rel": "next", "href": "http://127.0.0.1:8080/search?p=2"}), &plain)
            .unwrap()
            .unwrap();
        assert_eq!(request.url.scheme(), "http");
        assert!(next(json!({"rel": "next", "href": "http://127.0.0.1:9090/"}), &plain).is_err());
    }

    #[test]
    fn guarding() {
        let mut guard = Guard::new();
        assert!(guard.admit(&current()).is_ok());
        assert!(guard.note(None, "a") && !guard.note(None, "a") && guard.note(Some("c"), "a"));
        assert!(guard.end_page().is_ok());
        assert!(guard.admit(&current()).unwrap_err().contains("leads back"));
        let page = |n: usize| PageRequest::get(format!("https://c.example/?{n}").parse().unwrap());
        for n in 0..2 {
            assert!(guard.admit(&page(n)).is_ok() && guard.end_page().is_ok());
        }
        assert!(guard.admit(&page(2)).is_ok());
        assert!(guard.end_page().unwrap_err().contains("nothing new"));
        let mut guard = Guard::new();
        for n in 0..PAGES {
            guard.admit(&page(n)).unwrap();
        }
        assert!(guard.admit(&page(PAGES)).unwrap_err().contains("more than 1000 pages"));
        assert!(posted("1") != posted("2"));
    }

    proptest! {
        #[test]
        fn never_leaves_the_host(href in "(https?:|)(//|)(c\\.example|\\PC{0,8})(:[0-9]{1,5}|)[/\\\\@?#]{0,2}\\PC{0,12}") {
            if let Ok(Some(request)) = next(json!({"rel": "next", "href": href}), &current()) {
                prop_assert_eq!(request.url.host_str(), Some("c.example"));
                prop_assert_eq!((request.url.scheme(), request.url.port()), ("https", None));
            }
        }
    }
}
