//! Where an asset lies inside its product: the rules of protocol.md 3.3.
//!
//! The path after `?filename=` (percent-decoded), else `file:local_path`, else the asset's key if it has folders in it,
//! else the path of the address, else the asset's key. Of it, what follows the product's own folder (the component that equals the item's id, or
//! ends in `.SAFE` or `.SEN3`); without such a folder the base name alone. A relative address that stays
//! below the item is a path inside the product already.
//!
//! All of this is server text: a path with `..`, `.`, empty or NUL components is passed over, and the next
//! source is asked.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::super::identifier::without_packing;
use super::super::limits::PATH_DEPTH;
use super::record::Packing;

/// Endings of files that hold a product as a whole.
const ARCHIVES: [&str; 4] = [".zip", ".tar", ".tar.gz", ".tgz"];

/// A path inside a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Components joined by `/`; none is empty, `.`, `..` or holds NUL. Text as served, not yet file names.
    pub path: String,
    /// The ending of the product's folder, if the source of the path showed that folder.
    pub folder: Option<Packing>,
}

/// What an asset says about its place.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The asset's key.
    pub key: &'a str,
    /// The asset's own `href`, then those of its alternates, as served.
    pub hrefs: &'a [&'a str],
    /// `file:local_path` (STAC file extension).
    pub local_path: Option<&'a str>,
}

/// The place of an asset in the product `id`; `None` if no source gives a usable path.
pub fn place(id: &str, sources: Sources<'_>) -> Option<Place> {
    let asked = sources.hrefs.iter().find_map(|href| within(id, &file_name(href)?, false));
    let local = || within(id, sources.local_path?, false);
    let address = || sources.hrefs.iter().find_map(|href| by_address(id, href));
    let key = || within(id, sources.key, true);
    // A key with folders in it is a path; an address without a file's name may be a number.
    let path = || key().filter(|place| place.path.contains('/'));
    asked.or_else(local).or_else(path).or_else(address).or_else(key)
}

/// Whether `path` is the product `id` packed into one archive.
pub fn is_whole_product(id: &str, place: &Place) -> bool {
    let archive = ARCHIVES.iter().any(|ending| place.path.ends_with(ending));
    // Two endings: `X.SAFE.zip`.
    let name = without_packing(without_packing(&place.path));
    archive && place.folder.is_none() && name == without_packing(id)
}

/// The path that a download address asks for: all behind `filename=`, percent-decoded (`+` is a plus).
pub fn file_name(href: &str) -> Option<Cow<'_, str>> {
    let start =
        ["?filename=", "&filename="].iter().filter_map(|mark| Some(href.find(mark)? + mark.len())).min()?;
    href.get(start..).map(decode)
}

/// `text` percent-decoded; as it is where that would not be UTF-8.
fn decode(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8().unwrap_or(Cow::Borrowed(text))
}

fn by_address(id: &str, href: &str) -> Option<Place> {
    match href.split_once("://") {
        // An object key is a plain name: no query, no escapes.
        Some(("s3", rest)) => within(id, rest.split_once('/')?.1, false),
        Some((_, rest)) => within(id, &decode(without_query(rest).split_once('/')?.1), false),
        None if href.contains(':') => None,
        None => {
            let path = decode(without_query(href));
            let below = !path.starts_with('/') && path.split('/').all(|component| component != "..");
            let parts: Vec<_> = path.split('/').filter(|component| *component != ".").collect();
            within(id, &parts.join("/"), below)
        }
    }
    // OData ends addresses in `/$value`: a verb, not a name.
    .filter(|place| !place.path.rsplit('/').next().is_some_and(|name| name.starts_with('$')))
}

fn without_query(address: &str) -> &str {
    address.split(['?', '#']).next().unwrap_or_default()
}

/// The part of `path` inside the product `id`; the whole of it counts as inside if `below`.
fn within(id: &str, path: &str, below: bool) -> Option<Place> {
    let components: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let folders = components.split_last().map_or(&[][..], |(_, folders)| folders);
    let plain = without_packing(id);
    let own = folders.iter().position(|folder| *folder == id || without_packing(folder) == plain);
    let packed = || folders.iter().position(|folder| !matches!(Packing::of(folder), Packing::Bare));
    let cut = own.or_else(packed);
    let inside = match cut {
        Some(folder) => components.get(folder + 1..)?,
        None if below => &components,
        None => components.get(components.len().checked_sub(1)?..)?,
    };
    let usable = |component: &str| !matches!(component, "" | "." | "..") && !component.contains('\0');
    (inside.len() <= PATH_DEPTH && inside.iter().copied().all(usable)).then_some(())?;
    let folder = cut.and_then(|folder| components.get(folder)).map(|folder| Packing::of(folder));
    Some(Place { path: inside.join("/"), folder })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "S2A_MSIL2A_20240924T101031_N0511_R022_T32TQM_20240924T160000";

    fn found(hrefs: &[&str], local_path: Option<&str>) -> Option<(String, Option<Packing>)> {
        place(ID, Sources { key: "B02", hrefs, local_path }).map(|place| (place.path, place.folder))
    }

    #[test]
    fn a_key_with_folders_tells_more_than_a_number() {
        let hrefs = &["https://c.example/stac/objects/SENTINEL-2/3/17"][..];
        let found = |key| place(ID, Sources { key, hrefs, local_path: None }).map(|place| place.path);
        assert_eq!(found("GRANULE/IMG/B02.jp2").as_deref(), Some("GRANULE/IMG/B02.jp2"));
        assert_eq!(found("B02").as_deref(), Some("17"));
    }

    fn path(href: &str) -> String {
        found(&[href], None).unwrap().0
    }

    #[test]
    fn behind_filename() {
        let base = "https://c.example/stac/download?filename=";
        for (file, expected) in [
            (format!("SENTINEL-2/2024/09/24/{ID}.SAFE/GRANULE/x/T_B02.jp2"), "GRANULE/x/T_B02.jp2"),
            (format!("/{ID}.SAFE/manifest.safe"), "manifest.safe"),
            (format!("{ID}/manifest.safe"), "manifest.safe"),
            ("bucket/OTHER.SAFE/a/b".into(), "a/b"),
            (format!("a.SAFE/{ID}.SAFE/b"), "b"),
            ("no/folder/T_B02.jp2".into(), "T_B02.jp2"),
            (format!("{ID}.SAFE%2Fa%20b+c%26d.xml"), "a b+c&d.xml"),
            (format!("{ID}.SAFE/a&b=c"), "a&b=c"),
            (format!("x/{ID}.SAFE"), &format!("{ID}.SAFE")),
            ("%ff.xml".into(), "%ff.xml"),
        ] {
            assert_eq!(path(&format!("{base}{file}")), expected, "{file}");
        }
        assert_eq!(path(&format!("https://c.example/d?x=1&filename={ID}.SAFE/a")), "a");
    }

    #[test]
    fn the_order_of_sources() {
        let s3 = format!("s3://eodata/Sentinel-2/MSI/{ID}.SAFE/A/b.jp2");
        assert_eq!(found(&[&s3], None), Some(("A/b.jp2".into(), Some(Packing::Safe))));
        let local = format!("{ID}.SAFE/C/d.jp2");
        assert_eq!(found(&[&s3], Some(&local)).unwrap().0, "C/d.jp2");
        let asked = format!("https://c.example/d?filename={ID}.SAFE/E/f.jp2");
        assert_eq!(found(&[&s3, &asked], Some(&local)).unwrap().0, "E/f.jp2");
        assert_eq!(path("https://c.example/odata/Products(1)/$value"), "B02");
        assert_eq!(path("https://c.example/odata/Products(1)/Nodes(x)/"), "B02");
        assert_eq!(path("https://c.example"), "B02");
        assert_eq!(path("https://c.example/x/T.jp2?sig=a/b#c/d"), "T.jp2");
    }

    #[test]
    fn relative_addresses() {
        assert_eq!(path("./GRANULE/x/B02.jp2"), "GRANULE/x/B02.jp2");
        assert_eq!(path("GRANULE/B02.jp2"), "GRANULE/B02.jp2");
        assert_eq!(path("../data/X.SEN3/ogvi.nc"), "ogvi.nc");
        assert_eq!(path("../data/x/ogvi.nc"), "ogvi.nc");
        assert_eq!(path("/data/x/ogvi.nc"), "ogvi.nc");
        assert_eq!(path("data:text/plain,x/y"), "B02");
    }

    #[test]
    fn refused_components() {
        let base = format!("https://c.example/d?filename={ID}.SAFE/");
        for bad in ["../x", "a/../x", "a//x", "a/./x", "a/", "%2e%2e/x", "a/%00", "..%2f..%2fetc", ""] {
            assert_eq!(found(&[&format!("{base}{bad}")], Some("good.xml")).unwrap().0, "good.xml", "{bad}");
        }
        let deep = "a/".repeat(PATH_DEPTH) + "x";
        assert_eq!(found(&[&format!("{base}{deep}")], Some("good.xml")).unwrap().0, "good.xml");
        for key in ["", ".", "..", "a/..", "\0"] {
            assert_eq!(
                place(ID, Sources { key, hrefs: &["https://c.example"], local_path: Some("..") }),
                None,
                "{key:?}"
            );
        }
    }

    #[test]
    fn archives() {
        let whole = |path: &str| is_whole_product(ID, &Place { path: path.into(), folder: None });
        assert!(
            whole(&format!("{ID}.SAFE.zip")) && whole(&format!("{ID}.zip")) && whole(&format!("{ID}.tar.gz"))
        );
        assert!(!whole("other.zip") && !whole(&format!("{ID}.jp2")) && !whole(&format!("{ID}.SAFE")));
    }

    proptest! {
        #[test]
        fn never_leaves_the_product(key in "[./a\\x00%]{0,6}", href in "(https?://c/|s3://b/|)(\\PC|[./%\\x00?=]){0,30}",
            file in "[./a%2eEfF\\x00]{0,20}", local in "[./a\\x00]{0,12}") {
            let asked = format!("{href}?filename={file}");
            for hrefs in [&[href.as_str()][..], &[asked.as_str()]] {
                if let Some(place) = place("a", Sources { key: &key, hrefs, local_path: Some(&local) }) {
                    prop_assert!(place.path.split('/').all(|c| !matches!(c, "" | "." | "..") && !c.contains('\0')));
                }
            }
        }
    }
}
