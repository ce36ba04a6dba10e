//! Links of pages, items and the landing page. Headers that a link wants are never read (contract.md 7).

use serde_json::value::RawValue;
use url::Url;

use super::super::lenient::{Members, values};
use super::super::limits::{LINKS, STRING_BYTES};

/// A link (STAC 1.0.0 "Link Object", STAC API 1.0.0 item-search "pagination").
#[derive(Clone, Debug)]
pub struct Link {
    /// What it leads to.
    pub rel: String,
    /// The address as served.
    pub href: String,
    /// The HTTP method in capitals; `GET` if it names none.
    pub method: String,
    /// The media type.
    pub media_type: Option<String>,
    /// The body to send, JSON text.
    pub body: Option<Box<RawValue>>,
    /// Whether the body is to be laid over the one of the request that brought the link.
    pub merge: bool,
}

impl Link {
    /// The address, made absolute.
    pub fn resolve(&self, base: Option<&Url>) -> Option<Url> {
        match base {
            Some(base) => base.join(&self.href).ok(),
            None => self.href.parse().ok(),
        }
    }

    fn read(raw: &RawValue) -> Option<Self> {
        let members = Members::of(raw);
        let body =
            members.get("body").filter(|body| body.get().len() <= STRING_BYTES && body.get() != "null");
        Some(Self {
            rel: members.text(&["rel"])?,
            href: members.text(&["href"])?,
            method: members
                .text(&["method"])
                .map_or_else(|| "GET".to_owned(), |method| method.to_ascii_uppercase()),
            media_type: members.text(&["type"]),
            body: body.map(ToOwned::to_owned),
            merge: members.get("merge").is_some_and(|merge| merge.get() == "true"),
        })
    }
}

/// The usable links of a list.
pub(super) fn read_all(raw: &RawValue) -> Vec<Link> {
    values(raw, LINKS).into_iter().filter_map(Link::read).collect()
}
