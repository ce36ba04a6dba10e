//! Collections and the landing page: what a service offers, and where it is to be asked.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::value::RawValue;
use url::Url;

use super::super::lenient::{Members, instant, text, texts, values};
use super::super::limits::COLLECTIONS;
use super::super::mgrs::Bbox;
use super::super::quote::quote;
use super::footprint;
use super::link::{self, Link};
use crate::error::{Error, ErrorKind, Result, fail};

/// Conformance classes that are kept.
const CLASSES: usize = 200;

/// A collection of products (STAC 1.0.0 collection).
#[derive(Clone, Debug)]
pub struct Collection {
    /// The id as served.
    pub id: String,
    /// `title`.
    pub title: Option<String>,
    /// `description`.
    pub description: Option<String>,
    /// Where and when its products are.
    pub extent: Extent,
    /// The document as served.
    pub raw: Bytes,
}

/// The extent of a collection: the first, overall one of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Extent {
    /// First instant; `None` if open or not said.
    pub start: Option<Timestamp>,
    /// Last instant; `None` if open (it still grows) or not said.
    pub end: Option<Timestamp>,
    /// West, south, east, north in degrees.
    pub bbox: Option<Bbox>,
}

impl Collection {
    /// Reads a collection document; [`ErrorKind::Protocol`] if it is not one.
    pub fn parse(raw: &Bytes) -> Result<Self> {
        let document = document(raw, "collection")?;
        let members = Members::of(document);
        let Some(id) = members.text(&["id"]) else {
            return fail(ErrorKind::Protocol, "collection has no usable id");
        };
        Ok(Self {
            id,
            title: members.text(&["title"]),
            description: members.text(&["description"]),
            extent: members.get("extent").map(Extent::read).unwrap_or_default(),
            raw: raw.clone(),
        })
    }
}

impl Extent {
    fn read(raw: &RawValue) -> Self {
        let members = Members::of(raw);
        let first = |outer: &str, inner: &str| -> Option<&RawValue> {
            let list = Members::of(members.get(outer)?).get(inner)?;
            values(list, 1).first().copied()
        };
        let interval = first("temporal", "interval").map(|interval| values(interval, 2)).unwrap_or_default();
        let side = |place: usize| instant(&text(interval.get(place)?)?);
        Self { start: side(0), end: side(1), bbox: first("spatial", "bbox").and_then(footprint::of_bbox) }
    }
}

/// An answer of `/collections`.
#[derive(Clone, Debug, Default)]
pub struct CollectionList {
    /// The readable ones, in the order served.
    pub collections: Vec<Collection>,
    /// How many could not be read.
    pub skipped: usize,
    /// Among them `next`, where the service pages its collections.
    pub links: Vec<Link>,
}

impl CollectionList {
    /// Reads a list of collections; one broken collection is skipped.
    pub fn parse(raw: &Bytes) -> Result<Self> {
        let document = document(raw, "list of collections")?;
        let members = Members::of(document);
        let Some(list) = members.get("collections") else {
            return fail(ErrorKind::Protocol, "list of collections has no member called collections");
        };
        let given = values(list, COLLECTIONS);
        let collections: Vec<_> = given
            .iter()
            .filter_map(|one| Collection::parse(&raw.slice_ref(one.get().as_bytes())).ok())
            .collect();
        Ok(Self {
            skipped: given.len() - collections.len(),
            collections,
            links: members.get("links").map(link::read_all).unwrap_or_default(),
        })
    }
}

/// The landing page of a STAC API (STAC API 1.0.0 core).
#[derive(Clone, Debug, Default)]
pub struct Landing {
    /// `title`.
    pub title: Option<String>,
    /// `description`.
    pub description: Option<String>,
    /// The `search` links: one per method.
    pub search: Vec<Link>,
    /// The `data` link: the list of collections.
    pub collections: Option<Link>,
    /// `conformsTo`.
    pub conforms_to: Vec<String>,
}

impl Landing {
    /// Reads a landing page. A page that says nothing is still one: the usual addresses are tried then.
    pub fn parse(raw: &Bytes) -> Result<Self> {
        let members = Members::of(document(raw, "landing page")?);
        let links = members.get("links").map(link::read_all).unwrap_or_default();
        Ok(Self {
            title: members.text(&["title"]),
            description: members.text(&["description"]),
            search: links.iter().filter(|link| link.rel == "search").cloned().collect(),
            collections: links.into_iter().find(|link| link.rel == "data"),
            conforms_to: members.get("conformsTo").map(|list| texts(list, CLASSES)).unwrap_or_default(),
        })
    }

    /// Whether the service announces a conformance class that ends in `class`, whatever its version:
    /// for example `item-search#filter`.
    pub fn conforms(&self, class: &str) -> bool {
        self.conforms_to.iter().any(|uri| uri.ends_with(class))
    }
}

/// The addresses of a STAC API, and what may be sent there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Where the API begins.
    pub root: Url,
    /// Search by GET.
    pub search_get: Url,
    /// Search by POST.
    pub search_post: Url,
    /// The list of collections.
    pub collections: Url,
    /// Whether a filter may have more than one comparison: CQL2 is announced.
    pub conjunctions: bool,
}

impl Endpoints {
    /// The addresses that the specification gives an API at `root` (STAC API 1.0.0).
    ///
    /// [`ErrorKind::InvalidInput`] if `root` cannot have paths below it (`data:`).
    pub fn at(root: &Url) -> Result<Self> {
        let mut root = root.clone();
        root.set_query(None);
        root.set_fragment(None);
        if root.cannot_be_a_base() {
            return fail(
                ErrorKind::InvalidInput,
                format!("no stac service can be at {}", quote(root.as_str())),
            );
        }
        let search = below(&root, &["search"]);
        Ok(Self {
            collections: below(&root, &["collections"]),
            search_get: search.clone(),
            search_post: search,
            conjunctions: false,
            root,
        })
    }

    /// The addresses that the landing page of `root` names, the usual ones for what it does not.
    ///
    /// Links to another host are not taken: a landing page may not move a service.
    pub fn from_landing(root: &Url, landing: &Landing) -> Result<Self> {
        let mut endpoints = Self::at(root)?;
        endpoints.conjunctions = landing.conforms("item-search#filter");
        let base = below(&endpoints.root, &[""]);
        let here = |link: &Link| super::next::same_host(&base, link.resolve(Some(&base))?);
        let search = |method: &str| landing.search.iter().find(|link| link.method == method).and_then(here);
        if let Some(get) = search("GET") {
            // A lone search link without a method serves both in older services.
            endpoints.search_post = get.clone();
            endpoints.search_get = get;
        }
        if let Some(post) = search("POST") {
            endpoints.search_post = post;
        }
        if let Some(collections) = landing.collections.as_ref().and_then(here) {
            endpoints.collections = collections;
        }
        Ok(endpoints)
    }

    /// One collection.
    pub fn collection(&self, id: &str) -> Url {
        below(&self.root, &["collections", id])
    }

    /// The items of a collection.
    pub fn items(&self, collection: &str) -> Url {
        below(&self.root, &["collections", collection, "items"])
    }

    /// One item.
    pub fn item(&self, collection: &str, id: &str) -> Url {
        below(&self.root, &["collections", collection, "items", id])
    }
}

/// `root` with more path components, each percent-encoded as one.
fn below(root: &Url, components: &[&str]) -> Url {
    let mut url = root.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty();
        for component in components {
            // The url crate drops dot components; as ids they have to stay what they are.
            match *component {
                "." => path.push("%2E"),
                ".." => path.push("%2E%2E"),
                other => path.push(other),
            };
        }
    }
    url
}

/// A document as one raw JSON value.
fn document<'a>(raw: &'a Bytes, what: &str) -> Result<&'a RawValue> {
    let value: &RawValue = serde_json::from_slice(raw).map_err(|error| {
        let start = quote(&String::from_utf8_lossy(raw.get(..40.min(raw.len())).unwrap_or_default()));
        Error::new(
            ErrorKind::Protocol,
            format!("{what} is not json ({}), it starts with {start:?}", quote(&error.to_string())),
        )
    })?;
    if !value.get().starts_with('{') {
        return fail(ErrorKind::Protocol, format!("{what} is not a json object"));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    #[test]
    fn a_collection() {
        let text = r#"{"type":"Collection","id":"SENTINEL-2","title":"Sentinel-2 L2A","extent":{
            "spatial":{"bbox":[[-180,-56,180,83],[0,0,1,1]]},
            "temporal":{"interval":[["2015-07-04T00:00:00Z",null]]}},"links":[]}"#;
        let collection = Collection::parse(&bytes(text)).unwrap();
        assert_eq!(collection.id, "SENTINEL-2");
        assert_eq!(collection.extent.start, "2015-07-04T00:00:00Z".parse().ok());
        assert_eq!(
            (collection.extent.end, collection.extent.bbox),
            (None, Some([-180.0, -56.0, 180.0, 83.0]))
        );
        assert_eq!(collection.raw, text);
        for text in ["", "[]", "{}", "<html>", r#"{"id":""}"#, r#"{"id":3}"#] {
            assert_eq!(Collection::parse(&bytes(text)).unwrap_err().kind(), ErrorKind::Protocol, "{text}");
        }
        let odd =
            Collection::parse(&bytes(r#"{"id":"a","extent":{"temporal":{"interval":[[]]},"spatial":7}}"#))
                .unwrap();
        assert_eq!(odd.extent, Extent::default());
    }

    #[test]
    fn a_list() {
        let list = CollectionList::parse(&bytes(
            r#"{"collections":[{"id":"a"},5,{"title":"x"},{"id":"b"}],"links":[{"rel":"next","href":"?page=2"}]}"#,
        ))
        .unwrap();
        assert_eq!(list.collections.iter().map(|c| c.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((list.skipped, list.links.len()), (2, 1));
        let error = CollectionList::parse(&bytes("<html>\u{1b}[2J")).unwrap_err();
        assert!(error.message().contains("is not json") && !error.message().contains('\u{1b}'), "{error}");
    }

    #[test]
    fn a_landing_page() {
        let root: Url = "https://c.example/stac/api/".parse().unwrap();
        let landing = Landing::parse(&bytes(
            r#"{"id":"x","conformsTo":["https://api.stacspec.org/v1.0.0/item-search#filter"],"links":[
            {"rel":"search","href":"https://c.example/stac/api/find","type":"application/geo+json"},
            {"rel":"search","href":"find/post","method":"post"},
            {"rel":"data","href":"https://evil.example/collections"}]}"#,
        ))
        .unwrap();
        assert!(landing.conforms("item-search#filter") && !landing.conforms("#sort"));
        let endpoints = Endpoints::from_landing(&root, &landing).unwrap();
        assert_eq!(endpoints.search_get.as_str(), "https://c.example/stac/api/find");
        assert_eq!(endpoints.search_post.as_str(), "https://c.example/stac/api/find/post");
        assert_eq!(endpoints.collections.as_str(), "https://c.example/stac/api/collections");
    }

    #[test]
    fn addresses() {
        let at = |root: &str| Endpoints::at(&root.parse().unwrap());
        let endpoints = at("https://c.example/stac/api?x#y").unwrap();
        assert_eq!(endpoints.search_get.as_str(), "https://c.example/stac/api/search");
        assert_eq!(at("https://c.example").unwrap().collections.as_str(), "https://c.example/collections");
        assert_eq!(
            endpoints.item("a/b", "..").as_str(),
            "https://c.example/stac/api/collections/a%2Fb/items/%252E%252E"
        );
        assert_eq!(endpoints.items("é ?#").path(), "/stac/api/collections/%C3%A9%20%3F%23/items");
        assert_eq!(at("data:x").unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    proptest! {
        #[test]
        fn ids_never_leave_their_place(id in "\\PC{0,20}") {
            let endpoints = Endpoints::at(&"https://c.example/api".parse().unwrap()).unwrap();
            let url = endpoints.item("c", &id);
            prop_assert!(url.path().starts_with("/api/collections/c/items/"));
            prop_assert_eq!(url.path().split('/').count(), 6);
            prop_assert!(url.query().is_none() && url.fragment().is_none());
        }
    }
}
