//! What is searched for: as an address, as a body, and as a test of what comes back.
//!
//! Servers may ignore parameters; [`Query::matches`] is applied to every result, so a server that knows
//! nothing but `limit` still gives right answers. Therefore what is sent may ask for more than is wanted,
//! never for less.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use url::Url;

use super::super::identifier::without_packing;
use super::super::mgrs::Bbox;
use super::collection::Endpoints;
use super::footprint::intersects;
use super::next::{Method, PageRequest};
use super::record::ItemRecord;

/// What is escaped in a value: all but unreserved characters and `:`, which the service's documentation
/// shows bare in `eo:cloud_cover` (protocol.md 3.2).
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');
/// Also `/` and `,`, where the program puts them itself to join parts (RFC 3986 allows both in a query).
const JOINED: &AsciiSet = &VALUE.remove(b'/').remove(b',');

/// The property that the service filters by (protocol.md 3.2).
const CLOUD_COVER: &str = "eo:cloud_cover";

/// How a property is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `=`
    Equal,
    /// `>=`
    GreaterOrEqual,
    /// `>`
    Greater,
}

impl Comparison {
    /// The sign, the same in CQL2 and in search expressions.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Equal => "=",
            Self::GreaterOrEqual => ">=",
            Self::Greater => ">",
        }
    }

    /// Whether `left` compares so to `right`.
    pub fn holds<T: PartialOrd>(self, left: T, right: T) -> bool {
        match self {
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Equal => left == right,
            Self::GreaterOrEqual => left >= right,
            Self::Greater => left > right,
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sign())
    }
}

/// A search.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// Collections; empty means all.
    pub collections: Vec<String>,
    /// West, south, east, north in degrees; `west > east` crosses the antimeridian.
    pub bbox: Option<Bbox>,
    /// First instant, and first instant behind; each side may be open.
    pub interval: (Option<Timestamp>, Option<Timestamp>),
    /// Item ids; empty means all. With and without `.SAFE` is the same id.
    pub ids: Vec<String>,
    /// Percent; all have to hold.
    pub clouds: Vec<(Comparison, f64)>,
    /// Items per page; the service may give fewer.
    pub limit: Option<u32>,
    /// Pages to read; `None`: all.
    pub pages: Option<usize>,
    /// Only the records of the items are wanted, of which there may be many.
    pub records_only: bool,
    /// The parts of the items to send; `None`: all.
    pub fields: Option<Arc<[String]>>,
}

impl Query {
    /// The search by GET: STAC API 1.0.0 item-search, the filter as CQL2 text.
    pub fn get(&self, endpoints: &Endpoints) -> PageRequest {
        let mut parameters = Vec::new();
        let list = |values: &[String]| {
            values
                .iter()
                .map(|value| utf8_percent_encode(value, VALUE).to_string())
                .collect::<Vec<_>>()
                .join(",")
        };
        if !self.collections.is_empty() {
            parameters.push(("collections", list(&self.collections)));
        }
        if !self.ids.is_empty() {
            parameters.push(("ids", list(&self.ids)));
        }
        parameters.extend(self.common_parameters());
        let comparison =
            |(comparison, percent): &(Comparison, f64)| format!("{CLOUD_COVER}{comparison}{percent}");
        let filter: Vec<String> = self.clouds_for(endpoints).iter().map(comparison).collect();
        if !filter.is_empty() {
            parameters.push(("filter", utf8_percent_encode(&filter.join(" AND "), VALUE).to_string()));
        }
        if let Some(fields) = &self.fields {
            parameters.push(("fields", list(fields)));
        }
        PageRequest::get(with_query(&endpoints.search_get, &parameters))
    }

    /// The search by POST: the same as a JSON body, the filter as CQL2 JSON.
    pub fn post(&self, endpoints: &Endpoints) -> PageRequest {
        let mut body = serde_json::Map::new();
        let mut put = |name: &str, value: Value| {
            body.insert(name.to_owned(), value);
        };
        if !self.collections.is_empty() {
            put("collections", json!(self.collections));
        }
        if !self.ids.is_empty() {
            put("ids", json!(self.ids));
        }
        if let Some(bbox) = self.bbox {
            put("bbox", json!(bbox));
        }
        if let Some(datetime) = self.datetime() {
            put("datetime", json!(datetime));
        }
        if let Some(limit) = self.limit {
            put("limit", json!(limit));
        }
        let comparison = |(comparison, percent): &(Comparison, f64)| json!({"op": comparison.sign(), "args": [{"property": CLOUD_COVER}, percent]});
        let filter: Vec<Value> = self.clouds_for(endpoints).iter().map(comparison).collect();
        if !filter.is_empty() {
            put("filter-lang", json!("cql2-json"));
            put(
                "filter",
                if let [only] = &*filter { only.clone() } else { json!({"op": "and", "args": filter}) },
            );
        }
        if let Some(fields) = &self.fields {
            put("fields", json!({"include": **fields}));
        }
        let body = Bytes::from(Value::Object(body).to_string());
        PageRequest { method: Method::Post, url: endpoints.search_post.clone(), body: Some(body) }
    }

    /// The items of the one collection that is searched (OGC API Features): knows box, time and limit only, and
    /// sends whole items.
    pub fn items(&self, endpoints: &Endpoints) -> Option<PageRequest> {
        let [collection] = self.collections.as_slice() else { return None };
        if self.fields.is_some() {
            return None;
        }
        let parameters: Vec<_> = self.common_parameters().collect();
        Some(PageRequest::get(with_query(&endpoints.items(collection), &parameters)))
    }

    /// The same search without the filter, which some services refuse; `None` if it has none.
    pub fn without_filter(&self) -> Option<Self> {
        (!self.clouds.is_empty()).then(|| Self { clouds: Vec::new(), ..self.clone() })
    }

    /// The conditions on cloud cover that are sent: one, where it is not known that the service understands two.
    fn clouds_for(&self, endpoints: &Endpoints) -> &[(Comparison, f64)] {
        &self.clouds[..if endpoints.conjunctions { self.clouds.len() } else { self.clouds.len().min(1) }]
    }

    /// Whether an item that came back is one that was asked for. What an item does not say does not match.
    pub fn matches(&self, item: &ItemRecord) -> bool {
        self.matches_id(item)
            && self.matches_time(item)
            && self.matches_box(item)
            && self.matches_cloud_cover(item)
    }

    /// Whether items of this collection were asked for; one that names none is taken at its word.
    pub fn wants_collection(&self, collection: Option<&str>) -> bool {
        self.collections.is_empty()
            || collection.is_none_or(|given| self.collections.iter().any(|id| id == given))
    }

    /// Different products among the ids asked for.
    pub fn products(&self) -> usize {
        let mut ids: Vec<_> = self.ids.iter().map(|id| without_packing(id)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.len()
    }

    fn matches_id(&self, item: &ItemRecord) -> bool {
        self.ids.is_empty() || self.ids.iter().any(|id| item.is_called(id))
    }

    fn matches_time(&self, item: &ItemRecord) -> bool {
        let (from, to) = self.interval;
        if from.is_none() && to.is_none() {
            return true;
        }
        // With `datetime` that instant counts, else whether the observation overlaps (STAC 1.0.0 item).
        let instant = item.datetime.map(|moment| (moment, moment));
        let span = || item.start.or(item.end).zip(item.end.or(item.start));
        let Some((first, last)) = instant.or_else(span) else { return false };
        from.is_none_or(|from| last.timestamp() >= from) && to.is_none_or(|to| first.timestamp() < to)
    }

    fn matches_box(&self, item: &ItemRecord) -> bool {
        self.bbox.is_none_or(|bbox| item.footprint().is_some_and(|footprint| intersects(footprint, bbox)))
    }

    fn matches_cloud_cover(&self, item: &ItemRecord) -> bool {
        let holds = |(comparison, percent): &(Comparison, f64)| {
            item.cloud_cover.is_some_and(|cover| comparison.holds(cover, *percent as f32))
        };
        self.clouds.iter().all(holds)
    }

    fn common_parameters(&self) -> impl Iterator<Item = (&'static str, String)> {
        let bbox = self.bbox.map(|bbox| bbox.map(|degrees| degrees.to_string()).join(","));
        let joined = |text: String| utf8_percent_encode(&text, JOINED).to_string();
        [
            bbox.map(|bbox| ("bbox", joined(bbox))),
            self.datetime().map(|datetime| ("datetime", joined(datetime))),
            self.limit.map(|limit| ("limit", limit.to_string())),
        ]
        .into_iter()
        .flatten()
    }

    /// Full instants, `..` for an open side. The standard's intervals include their end and ours do not,
    /// so this asks for one instant more.
    fn datetime(&self) -> Option<String> {
        let side = |instant: Option<Timestamp>| {
            instant.map_or_else(|| "..".to_owned(), |instant| instant.to_string())
        };
        match self.interval {
            (None, None) => None,
            (from, to) => Some(format!("{}/{}", side(from), side(to))),
        }
    }
}

/// `url` with more parameters, whose values are escaped already.
fn with_query(url: &Url, parameters: &[(&str, String)]) -> Url {
    let mut url = url.clone();
    let given = url.query().filter(|query| !query.is_empty()).map(str::to_owned);
    let added = parameters.iter().map(|(name, value)| format!("{name}={value}"));
    let query = given.into_iter().chain(added).collect::<Vec<_>>().join("&");
    url.set_query((!query.is_empty()).then_some(&query));
    url
}

#[cfg(test)]
mod tests {
    use super::super::Item;
    use super::*;
    use proptest::prelude::*;

    fn endpoints() -> Endpoints {
        Endpoints::at(&"https://c.example/stac/api".parse().unwrap()).unwrap()
    }

    fn time(text: &str) -> Option<Timestamp> {
        Some(text.parse().unwrap())
    }

    fn everything() -> Query {
        Query {
            collections: vec!["SENTINEL-2".into(), "a,b&c".into()],
            bbox: Some([6.0, 45.5, -8.25, 47.0]),
            interval: (time("2024-09-24T00:00:00Z"), time("2024-09-25T00:00:00Z")),
            ids: vec!["x+y/ä".into()],
            clouds: vec![(Comparison::LessOrEqual, 20.5)],
            limit: Some(100),
            ..Query::default()
        }
    }

    fn record(text: &str) -> ItemRecord {
        Item::parse(&Bytes::copy_from_slice(text.as_bytes()), None).unwrap().record
    }

    #[test]
    fn by_get() {
        let request = everything().get(&endpoints());
        assert_eq!(
            request.url.as_str(),
            "https://c.example/stac/api/search?collections=SENTINEL-2,a%2Cb%26c&ids=x%2By%2F%C3%A4&bbox=6,45.5,-8.25,47\
             &datetime=2024-09-24T00:00:00Z/2024-09-25T00:00:00Z&limit=100&filter=eo:cloud_cover%3C%3D20.5"
        );
        assert_eq!(Query::default().get(&endpoints()).url.as_str(), "https://c.example/stac/api/search");
        let open = Query { interval: (None, time("2024-09-25T00:00:00Z")), ..Query::default() };
        assert_eq!(open.get(&endpoints()).url.query(), Some("datetime=../2024-09-25T00:00:00Z"));
        let fixed = Endpoints { search_get: "https://c.example/s?key=1".parse().unwrap(), ..endpoints() };
        assert_eq!(open.get(&fixed).url.query(), Some("key=1&datetime=../2024-09-25T00:00:00Z"));
    }

    #[test]
    fn by_post() {
        let request = everything().post(&endpoints());
        let body: Value = serde_json::from_slice(&request.body.unwrap()).unwrap();
        assert_eq!(body["collections"], json!(["SENTINEL-2", "a,b&c"]));
        assert_eq!(body["datetime"], "2024-09-24T00:00:00Z/2024-09-25T00:00:00Z");
        assert_eq!(body["filter"], json!({"op": "<=", "args": [{"property": "eo:cloud_cover"}, 20.5]}));
        assert_eq!(Query::default().post(&endpoints()).body.unwrap(), "{}");
    }

    /// Two conditions go to who announces CQL2; of others one is asked for, and both are checked here.
    #[test]
    fn two_bounds() {
        let clouds = vec![(Comparison::Greater, 10.0), (Comparison::Less, 20.0)];
        let query = Query { clouds, ..Query::default() };
        let plain =
            |request: PageRequest| request.url.query_pairs().last().map(|(_, value)| value.into_owned());
        assert_eq!(plain(query.get(&endpoints())).unwrap(), "eo:cloud_cover>10");
        let cql2 = Endpoints { conjunctions: true, ..endpoints() };
        assert_eq!(plain(query.get(&cql2)).unwrap(), "eo:cloud_cover>10 AND eo:cloud_cover<20");
        let body: Value = serde_json::from_slice(&query.post(&cql2).body.unwrap()).unwrap();
        assert_eq!(
            (&body["filter"]["op"], body["filter"]["args"].as_array().unwrap().len()),
            (&json!("and"), 2)
        );
        assert_eq!(body["filter"]["args"][1]["args"], json!([{"property": "eo:cloud_cover"}, 20.0]));
        for (cover, expected) in
            [("10", false), ("10.1", true), ("19.9", true), ("20", false), ("null", false)]
        {
            let item = record(&format!(r#"{{"id":"a","properties":{{"eo:cloud_cover":{cover}}}}}"#));
            assert_eq!(query.matches(&item), expected, "{cover}");
        }
    }

    #[test]
    fn by_items() {
        assert_eq!(everything().items(&endpoints()), None);
        let one = Query { collections: vec!["a b".into()], ..everything() };
        let url = one.items(&endpoints()).unwrap().url;
        assert_eq!(url.path(), "/stac/api/collections/a%20b/items");
        assert!(!url.query().unwrap().contains("filter") && url.query().unwrap().contains("bbox="));
    }

    #[test]
    fn time_is_half_open() {
        let day = Query {
            interval: (time("2024-09-24T00:00:00Z"), time("2024-09-25T00:00:00Z")),
            ..Query::default()
        };
        for (properties, expected) in [
            (r#""datetime":"2024-09-24T00:00:00Z""#, true),
            (r#""datetime":"2024-09-24T23:59:59.999999Z""#, true),
            (r#""datetime":"2024-09-25T00:00:00Z""#, false),
            (r#""datetime":"2024-09-23T23:59:59.999999Z""#, false),
            (
                r#""datetime":null,"start_datetime":"2024-07-01T00:00:00Z","end_datetime":"2024-10-01T00:00:00Z""#,
                true,
            ),
            (
                r#""datetime":null,"start_datetime":"2024-09-25T00:00:00Z","end_datetime":"2024-10-01T00:00:00Z""#,
                false,
            ),
            (
                r#""datetime":"2024-07-01T00:00:00Z","start_datetime":"2024-07-01T00:00:00Z","end_datetime":"2024-10-01T00:00:00Z""#,
                false,
            ),
            (r#""x":1"#, false),
        ] {
            let item = record(&format!(r#"{{"id":"a","properties":{{{properties}}}}}"#));
            assert_eq!(day.matches(&item), expected, "{properties}");
            assert!(Query::default().matches(&item));
        }
    }

    #[test]
    fn other_conditions() {
        let item = record(r#"{"id":"a.SAFE","bbox":[1,2,3,4],"properties":{"eo:cloud_cover":12.3}}"#);
        let with = |query: Query| query.matches(&item);
        for (comparison, percent, expected) in [
            (Comparison::Less, 12.3, false),
            (Comparison::LessOrEqual, 12.3, true),
            (Comparison::Equal, 12.3, true),
            (Comparison::GreaterOrEqual, 12.3, true),
            (Comparison::Greater, 12.3, false),
            (Comparison::Less, 20.0, true),
        ] {
            assert_eq!(with(Query { clouds: vec![(comparison, percent)], ..Query::default() }), expected);
        }
        assert!(with(Query { bbox: Some([3.0, 4.0, 9.0, 9.0]), ..Query::default() }));
        assert!(!with(Query { bbox: Some([3.1, 4.0, 9.0, 9.0]), ..Query::default() }));
        assert!(with(Query { ids: vec!["x".into(), "a".into()], ..Query::default() }));
        assert!(!with(Query { ids: vec!["x".into()], ..Query::default() }));
        let empty = record(r#"{"id":"a"}"#);
        assert!(!Query { clouds: vec![(Comparison::Less, 101.0)], ..Query::default() }.matches(&empty));
        assert!(!Query { bbox: Some([-180.0, -90.0, 180.0, 90.0]), ..Query::default() }.matches(&empty));
        assert_eq!(
            Query { ids: vec!["a".into(), "a.SAFE".into(), "b".into()], ..Query::default() }.products(),
            2
        );
        let query = Query { collections: vec!["c".into()], ..Query::default() };
        assert!(
            query.wants_collection(Some("c"))
                && query.wants_collection(None)
                && !query.wants_collection(Some("d"))
        );
    }

    proptest! {
        #[test]
        fn values_never_become_parameters(id in "\\PC{0,20}|[&=#?+%,<]{1,6}", collection in "\\PC{1,20}|[&=#?+%,<]{1,6}") {
            let query = Query { ids: vec![id.clone()], collections: vec![collection.clone()], ..everything() };
            let url = query.get(&endpoints()).url;
            let pairs: Vec<_> = url.query_pairs().into_owned().collect();
            prop_assert_eq!(pairs.len(), 6);
            prop_assert_eq!(&pairs[0], &("collections".to_owned(), collection));
            prop_assert_eq!(&pairs[1], &("ids".to_owned(), id));
            prop_assert!(url.fragment().is_none() && url.as_str().is_ascii());
        }
    }
}
