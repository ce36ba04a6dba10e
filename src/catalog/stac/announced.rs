//! What a service announces of itself on its landing page, and in which order it is therefore asked.
//!
//! Announced classes only choose what is tried first: a service that announces nothing, or too much, is asked in
//! every way before it is given up (protocol.md 3.2: what Cache-A knows beside `filter` is not known).

use super::collection::Landing;
use super::walk::Way;

/// How a service may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// All ways, the likeliest first.
    pub ways: Vec<Way>,
    /// Whether it leaves out of items what is not asked for (STAC API fields extension).
    pub fields: bool,
}

impl Announced {
    /// What a landing page says. `item-search#filter` with neither language of CQL2 counts as both.
    pub fn on(landing: &Landing) -> Self {
        let says = |class: &str| landing.conforms(class);
        let silent = landing.conforms_to.is_empty();
        let searches = silent || says("/item-search") || !landing.search.is_empty();
        let method =
            |name: &str| landing.search.is_empty() || landing.search.iter().any(|link| link.method == name);
        let (get, post) = (method("GET"), method("POST"));
        let filter = says("item-search#filter");
        let language = |own: &str| filter && (says(own) || !says("cql2-text") && !says("cql2-json"));
        let (text, json) = (language("cql2-text"), language("cql2-json"));
        // A filter that is not announced comes behind the same question without it, which costs nothing but pages.
        let filtered = |announced: bool| if silent || announced { 0 } else { 2 };
        let unfiltered = if silent { 0 } else { 1 };
        let rank = |way: &Way| match way {
            Way::Get | Way::GetUnfiltered if !get => 4,
            Way::Post | Way::PostUnfiltered if !post => 4,
            Way::Get => filtered(text),
            Way::Post => filtered(json),
            Way::GetUnfiltered | Way::PostUnfiltered => unfiltered,
            Way::Items if searches => 3,
            Way::Items => 0,
        };
        let mut ways = Way::ALL.to_vec();
        ways.sort_by_key(rank);
        Self { ways, fields: says("item-search#fields") }
    }

    /// The ways, with those behind that were `refused` before.
    pub fn ways_but(&self, refused: &[Way]) -> Vec<Way> {
        let mut ways = self.ways.clone();
        ways.sort_by_key(|way| refused.contains(way));
        ways
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Way::{Get, GetUnfiltered, Items, Post, PostUnfiltered};

    fn announced(classes: &[&str], methods: &[&str]) -> Announced {
        let links: Vec<_> = methods
            .iter()
            .map(|method| serde_json::json!({"rel": "search", "href": "search", "method": method}))
            .collect();
        let page = serde_json::json!({"conformsTo": classes, "links": links}).to_string();
        Announced::on(&Landing::parse(&page.into()).unwrap())
    }

    const SEARCH: &str = "https://api.stacspec.org/v1.0.0/item-search";
    const FILTER: &str = "https://api.stacspec.org/v1.0.0-rc.3/item-search#filter";
    const TEXT: &str = "http://www.opengis.net/spec/cql2/1.0/conf/cql2-text";
    const JSON: &str = "http://www.opengis.net/spec/cql2/1.0/conf/cql2-json";

    #[test]
    fn who_says_nothing_is_asked_as_ever() {
        let silent = announced(&[], &[]);
        assert_eq!(silent.ways, Way::ALL);
        assert!(!silent.fields);
    }

    #[test]
    fn what_is_announced_comes_first_and_nothing_is_left_out() {
        for (classes, methods, first, last) in [
            (&[SEARCH][..], &["GET", "POST"][..], [GetUnfiltered, PostUnfiltered, Get], Items),
            (&[SEARCH, FILTER, TEXT], &["GET", "POST"], [Get, GetUnfiltered, PostUnfiltered], Items),
            (&[SEARCH, FILTER, JSON], &["GET", "POST"], [Post, GetUnfiltered, PostUnfiltered], Items),
            (&[SEARCH, FILTER], &["GET", "POST"], [Get, Post, GetUnfiltered], Items),
            (&[SEARCH, FILTER], &["POST"], [Post, PostUnfiltered, Items], GetUnfiltered),
            (&[SEARCH], &["GET"], [GetUnfiltered, Get, Items], PostUnfiltered),
            (
                &["https://api.stacspec.org/v1.0.0/ogcapi-features"],
                &[],
                [Items, GetUnfiltered, PostUnfiltered],
                Post,
            ),
        ] {
            let ways = announced(classes, methods).ways;
            assert_eq!(
                (&ways[..3], ways.last(), ways.len()),
                (&first[..], Some(&last), 5),
                "{classes:?} {methods:?}"
            );
        }
    }

    #[test]
    fn what_was_refused_comes_last() {
        let ways = announced(&[SEARCH, FILTER, TEXT], &["GET"]).ways_but(&[Get]);
        assert_eq!((ways[0], ways.last()), (GetUnfiltered, Some(&Get)));
        assert!(announced(&[SEARCH, &format!("{SEARCH}#fields")], &[]).fields);
    }
}
