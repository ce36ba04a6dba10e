//! One file of an item: its address, its place in the product, and what is promised about its bytes.

mod arrange;

pub(super) use arrange::arrange;

use serde_json::value::RawValue;
use url::Url;

use super::super::lenient::{Members, text, texts, whole};
use super::super::limits::STRING_BYTES;
use super::path::{self, Sources};
use super::record::Packing;

/// Roles and alternates that are kept of one asset.
const LISTED: usize = 50;

/// A file of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    /// The asset's key in the item.
    pub key: String,
    /// The address to read it from: as served if it was absolute, else resolved against the item's own; an
    /// `https` alternate if the asset's own address is of another kind.
    pub href: String,
    /// The other addresses.
    pub alternates: Vec<Alternate>,
    /// Where it lies inside the product, components joined by `/` (see [`super::path`]); unique in the item.
    /// Text as served: each component still has to become a file name.
    pub path: String,
    /// `file:size`, bytes.
    pub size: Option<u64>,
    /// `type`.
    pub media_type: Option<String>,
    /// `file:checksum`: a multihash in hexadecimal (STAC file extension), as served.
    pub checksum: Option<String>,
    /// `file:local_path` as served.
    pub local_path: Option<String>,
    /// `roles`.
    pub roles: Vec<String>,
    /// The product as one archive: shown beside the product's folder, not in it.
    pub whole_product: bool,
}

/// Another address of the same bytes (STAC alternate-assets extension).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternate {
    /// Its key, for example `https` or `s3`.
    pub name: String,
    /// The address, made absolute where that was possible.
    pub href: String,
}

/// The members of an asset that are looked at, in the order of [`Asset::read`].
pub(super) const MEMBERS: [&str; 7] =
    ["href", "type", "roles", "file:size", "file:checksum", "file:local_path", "alternate"];

/// The raw values of [`MEMBERS`].
pub(super) type RawAsset<'a> = [Option<&'a RawValue>; 7];

impl Asset {
    /// The asset `key` of the item `id`, and the ending of the product's folder if its path shows it.
    ///
    /// `None` if it has no address, or no usable place in the product.
    pub(super) fn read(
        id: &str,
        base: Option<&Url>,
        key: String,
        [href, media_type, roles, size, checksum, local_path, alternate]: RawAsset<'_>,
    ) -> Option<(Self, Option<Packing>)> {
        let href = text(href?).filter(|href| !href.is_empty())?;
        let local_path = local_path.and_then(text);
        let mut alternates = alternate.map(alternates).unwrap_or_default();
        let mut hrefs = vec![href.as_str()];
        hrefs.extend(alternates.iter().map(|alternate| alternate.href.as_str()));
        let place = path::place(id, Sources { key: &key, hrefs: &hrefs, local_path: local_path.as_deref() })?;

        let mut href = absolute(href, base);
        for alternate in &mut alternates {
            alternate.href = absolute(std::mem::take(&mut alternate.href), base);
        }
        if !is_web(&href)
            && let Some(web) = alternates.iter_mut().find(|alternate| is_web(&alternate.href))
        {
            std::mem::swap(&mut href, &mut web.href);
            web.name = scheme(&web.href).unwrap_or("other").to_owned();
        }
        let asset = Self {
            key,
            href,
            alternates,
            whole_product: path::is_whole_product(id, &place),
            path: place.path,
            size: size.and_then(whole),
            media_type: media_type.and_then(text),
            checksum: checksum.and_then(text),
            local_path,
            roles: roles.map(|roles| texts(roles, LISTED)).unwrap_or_default(),
        };
        Some((asset, place.folder))
    }
}

impl Asset {
    /// What it takes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        let own = [Some(&self.key), Some(&self.href), Some(&self.path), self.media_type.as_ref()];
        let own = own.into_iter().chain([self.checksum.as_ref(), self.local_path.as_ref()]).flatten();
        let others = self.alternates.iter().flat_map(|other| [&other.name, &other.href]);
        let texts = own.chain(others).chain(&self.roles);
        // What an allocation takes beside its bytes, and a text's place in a list.
        size_of::<Self>() + texts.map(|text| text.len() + 32).sum::<usize>()
    }
}

fn alternates(raw: &RawValue) -> Vec<Alternate> {
    let members = Members::of(raw);
    let readable = members.iter().filter_map(|(name, value)| {
        let href = Members::of(value).text(&["href"])?;
        (name.len() <= STRING_BYTES).then(|| Alternate { name: name.to_owned(), href })
    });
    readable.take(LISTED).collect()
}

/// The scheme of an absolute address.
fn scheme(href: &str) -> Option<&str> {
    let (scheme, _) = href.split_once(':')?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    (!scheme.is_empty() && scheme.bytes().all(plain)).then_some(scheme)
}

/// Whether an address can be read over HTTP; whether it may be is decided by who reads it.
fn is_web(href: &str) -> bool {
    scheme(href)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http"))
}

/// `href` as served if it is absolute: what follows `?filename=` must reach the server unchanged
/// (protocol.md 3.4). Else joined to `base`.
fn absolute(href: String, base: Option<&Url>) -> String {
    match base {
        Some(base) if scheme(&href).is_none() => base.join(&href).map_or(href, String::from),
        _ => href,
    }
}
