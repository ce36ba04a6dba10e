//! Listings of parts of items, from services that leave out what is not asked for (STAC API fields extension).
//!
//! Nine tenths of an item are its assets, of which a listing needs one: its place shows how the product's folder is called.
//! Which one, and that the service understands, is tried with an item that is known as a whole.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::Item;

/// Members of an item that are asked for.
const MEMBERS: [&str; 6] = ["type", "stac_version", "id", "collection", "bbox", "geometry"];
/// Properties that a record is made of.
const PROPERTIES: [&str; 35] = [
    "datetime",
    "start_datetime",
    "end_datetime",
    "timeCoverageStart",
    "timeCoverageStop",
    "beginningDateTime",
    "endingDateTime",
    "publicationDate",
    "published",
    "created",
    "updated",
    "productIdentifier",
    "s2:product_uri",
    "title",
    "platform",
    "constellation",
    "platformName",
    "s2:mgrs_tile",
    "mgrs:utm_zone",
    "mgrs:latitude_band",
    "mgrs:grid_square",
    "grid:code",
    "s3:product_type",
    "s5p:product_type",
    "product:type",
    "productType",
    "sat:relative_orbit",
    "relativeOrbitNumber",
    "sat:absolute_orbit",
    "orbitNumber",
    "landsat:wrs_path",
    "landsat:wrs_row",
    "eo:cloud_cover",
    "cloudCover",
    "instrument",
];
/// Assets that are tried.
const TRIED: usize = 5;

/// What is asked for of the items of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    /// By their paths in the item.
    pub(super) fields: Arc<[String]>,
    /// The asset that each item has to have.
    asset: String,
}

impl Parts {
    /// What of this item, and hopefully of those like it, makes the same record; `None` where that is not much less.
    pub(super) fn of(item: &Item) -> Option<Self> {
        let whole: Map<String, Value> = serde_json::from_slice(&item.raw).ok()?;
        let plain = |key: &str| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        let mut keys = item.assets.iter().map(|asset| &asset.key).filter(|key| plain(key));
        let enough = |key: &&String| {
            let part = Value::Object(cut(&whole, key)).to_string();
            let same = Item::parse(&part.clone().into(), None).is_ok_and(|part| part.record == item.record);
            same && part.len() * 2 < item.raw.len()
        };
        let asset = keys.by_ref().take(TRIED).find(enough)?.clone();
        let properties = PROPERTIES.iter().map(|name| format!("properties.{name}"));
        let fields = MEMBERS.iter().map(ToString::to_string).chain(properties);
        Some(Self { fields: fields.chain([format!("assets.{asset}")]).collect(), asset })
    }

    /// Whether an item has all that was asked for and that every item has.
    pub(super) fn are_in(&self, item: &Item) -> bool {
        let record = &item.record;
        record.bbox.is_some()
            && record.instant().is_some()
            && item.assets.iter().any(|asset| asset.key == self.asset)
    }

    /// Whether `part` is what the service should have left of `whole`.
    pub(super) fn hold(&self, part: &Item, whole: &Item) -> bool {
        self.are_in(part) && part.record == whole.record && part.raw.len() * 2 < whole.raw.len()
    }
}

/// What a service leaves of an item that is asked for these parts.
fn cut(whole: &Map<String, Value>, asset: &str) -> Map<String, Value> {
    let mut part: Map<String, Value> =
        MEMBERS.iter().filter_map(|name| Some(((*name).to_owned(), whole.get(*name)?.clone()))).collect();
    let below = |member: &str, names: &[&str]| -> Value {
        let given = whole.get(member);
        let found = |name: &&str| Some(((*name).to_owned(), given?.get(*name)?.clone()));
        Value::Object(names.iter().filter_map(found).collect())
    };
    part.insert("properties".into(), below("properties", &PROPERTIES));
    part.insert("assets".into(), below("assets", &[asset]));
    part
}
