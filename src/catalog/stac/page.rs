//! A page of items, read as a stream: each item is handed over when it has been read.
//!
//! No tree of the page is built; what lives at a time is the page's text and one item. A broken item is
//! counted and skipped, a page that is not a feature collection is an error.

use std::fmt;

use bytes::Bytes;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use url::Url;

use super::super::lenient::{Key, Members, Pick, whole};
use super::super::limits::{DOCUMENT_BYTES, ITEMS_PER_PAGE};
use super::super::quote::quote;
use super::Item;
use super::link::{self, Link};
use crate::error::{Error, ErrorKind, Result, fail};

/// What a page holds beside its items.
#[derive(Clone, Debug, Default)]
pub struct PageEnd {
    /// Items handed over.
    pub items: usize,
    /// Items that could not be read.
    pub skipped: usize,
    /// Why the first of them could not.
    pub problem: Option<String>,
    /// The links, `next` among them.
    pub links: Vec<Link>,
    /// How many items the whole search has, if the service says so (`numberMatched`, `context.matched`).
    pub matched: Option<u64>,
}

/// Reads a page and gives each item to `sink`.
///
/// `base` is the address that the page came from. [`ErrorKind::Protocol`] if the page is not a feature
/// collection or has too many items; items before the fault were handed over then.
pub fn read(page: &Bytes, base: Option<&Url>, sink: &mut (dyn FnMut(Item) + Send)) -> Result<PageEnd> {
    if page.len() > DOCUMENT_BYTES {
        return fail(ErrorKind::Protocol, format!("search answer is longer than {DOCUMENT_BYTES} bytes"));
    }
    let text = std::str::from_utf8(page)
        .map_err(|_| Error::new(ErrorKind::Protocol, "search answer is not utf-8"))?;
    let mut reader = Reader { page, base, sink, end: PageEnd::default(), features: false };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let outcome = deserializer.deserialize_map(&mut reader).and_then(|()| deserializer.end());
    if let Err(error) = outcome {
        let (start, error) =
            (quote(text.get(..text.floor_char_boundary(40)).unwrap_or_default()), quote(&error.to_string()));
        return fail(
            ErrorKind::Protocol,
            format!("search answer cannot be read: {error}; it starts with {start:?}"),
        );
    }
    if !reader.features {
        return fail(ErrorKind::Protocol, "search answer is not a feature collection");
    }
    Ok(reader.end)
}

/// The links of a page, without looking at its items; none if the page cannot be read.
pub fn links(page: &Bytes) -> Vec<Link> {
    let Ok(text) = std::str::from_utf8(page) else { return Vec::new() };
    let picked = Pick(["links"]).deserialize(&mut serde_json::Deserializer::from_str(text));
    picked.ok().and_then(|[links]| links).map(link::read_all).unwrap_or_default()
}

struct Reader<'r> {
    page: &'r Bytes,
    base: Option<&'r Url>,
    sink: &'r mut (dyn FnMut(Item) + Send),
    end: PageEnd,
    /// Whether the answer had the member that makes it a page.
    features: bool,
}

impl<'de> Visitor<'de> for &mut Reader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a feature collection")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            match &*key {
                "features" => {
                    map.next_value_seed(Features(&mut *self))?;
                    self.features = true;
                }
                "links" => self.end.links = link::read_all(map.next_value()?),
                "numberMatched" => self.end.matched = whole(map.next_value()?).or(self.end.matched),
                "context" => {
                    let context = Members::of(map.next_value()?);
                    self.end.matched = self.end.matched.or(context.whole(&["matched"]));
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

struct Features<'a, 'r>(&'a mut Reader<'r>);

impl<'de> DeserializeSeed<'de> for Features<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Features<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of features")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<(), A::Error> {
        let Reader { page, base, sink, end, .. } = self.0;
        while let Some(feature) = seq.next_element::<&RawValue>()? {
            if end.items + end.skipped >= ITEMS_PER_PAGE {
                return Err(A::Error::custom(format!("more than {ITEMS_PER_PAGE} items in one page")));
            }
            match Item::parse(&page.slice_ref(feature.get().as_bytes()), *base) {
                Ok(item) => {
                    end.items += 1;
                    sink(item);
                }
                Err(error) => {
                    end.skipped += 1;
                    end.problem.get_or_insert_with(|| error.message().to_owned());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn page(text: impl Into<String>) -> (Result<PageEnd>, Vec<String>) {
        let mut ids = Vec::new();
        let end = read(&Bytes::from(text.into()), None, &mut |item| ids.push(item.id().to_owned()));
        (end, ids)
    }

    #[test]
    fn a_page() {
        let (end, ids) = page(
            r#"{"type":"FeatureCollection","numberReturned":2,"numberMatched":7,"features":[{"id":"a"},{"id":"b","assets":{}}],
            "links":[{"rel":"next","href":"https://c/?page=2"},{"rel":7},{}]}"#,
        );
        let end = end.unwrap();
        assert_eq!((ids, end.items, end.skipped, end.matched), (vec!["a".into(), "b".into()], 2, 0, Some(7)));
        assert_eq!(
            (end.links.len(), end.links[0].rel.as_str(), end.links[0].method.as_str()),
            (1, "next", "GET")
        );
        assert_eq!(page(r#"{"features":[],"context":{"matched":3}}"#).0.unwrap().matched, Some(3));
    }

    #[test]
    fn a_broken_item_loses_only_itself() {
        let (end, ids) = page(r#"{"features":[{"id":"a"},{"id":""},7,null,{"id":"z"}],"links":null}"#);
        let end = end.unwrap();
        assert_eq!((ids, end.skipped), (vec!["a".into(), "z".into()], 3));
        assert_eq!(end.problem.as_deref(), Some("item has no usable id"));
    }

    #[test]
    fn what_is_no_page() {
        for text in [
            "",
            "<!DOCTYPE html>",
            "[]",
            "{}",
            r#"{"features":{}}"#,
            r#"{"features":null}"#,
            r#"{"features":[}"#,
        ] {
            let error = page(text).0.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol, "{text}");
        }
        assert!(page("<!DOCTYPE html>").0.unwrap_err().message().contains("<!DOCTYPE html>"));
        let many = vec![r#"{"id":"a"}"#; ITEMS_PER_PAGE + 1].join(",");
        assert!(
            page(format!(r#"{{"features":[{many}]}}"#))
                .0
                .unwrap_err()
                .message()
                .contains("more than 10000 items")
        );
        let end = read(&Bytes::from_static(b"{\"features\":[\"\xff\"]}"), None, &mut |_| ());
        assert_eq!(end.unwrap_err().kind(), ErrorKind::Protocol);
    }

    proptest! {
        #[test]
        fn damage_gives_no_panic(place in 0usize..120, with in any::<u8>()) {
            let mut text = br#"{"features":[{"id":"a","assets":{"x":{"href":"https://c/x"}}},{"id":"b"}],"links":[{"rel":"next","href":"?x"}]}"#.to_vec();
            if let Some(byte) = text.get_mut(place) {
                *byte = with;
            }
            let _ = read(&Bytes::from(text), None, &mut |_| ());
        }
    }
}
