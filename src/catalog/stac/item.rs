//! One item: a product with its files, read in one pass from the server's text.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserializer as _;
use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use url::Url;

use super::super::identifier::bucket::Facts;
use super::super::identifier::{Bucket, Identifier, Mission, without_packing};
use super::super::lenient::{Key, Members, Pick, text};
use super::super::limits::{ASSETS_PER_ITEM, STRING_BYTES};
use super::super::quote::quote;
use super::asset::{Asset, RawAsset, arrange};
use super::footprint;
use super::link;
use super::outline::Outline;
use super::record::{ItemRecord, Moment, Packing, Shape, SingleFile, compact};
use crate::error::{Error, ErrorKind, Result};

/// An item, as far as a file system needs it.
#[derive(Clone, Debug)]
pub struct Item {
    /// What a listing keeps.
    pub record: ItemRecord,
    /// The collection that it says it belongs to.
    pub collection: Option<String>,
    /// Its files, each with its own path; sorted, archives of the whole product last.
    pub assets: Vec<Asset>,
    /// Assets that could not be used (no address, no usable place).
    pub dropped_assets: usize,
    /// When its metadata were last changed, as it says (STAC common metadata, `updated`).
    pub updated: Option<Arc<str>>,
    /// The item's own address, if it names one.
    pub link_to_self: Option<Url>,
    /// The item as served. Of a page's items it keeps the whole page in memory: see [`Item::detach`].
    pub raw: Bytes,
    properties: Option<Bytes>,
    geometry: Option<Bytes>,
}

impl Item {
    /// Reads an item. `base` is the address that it came from, for relative links.
    ///
    /// [`ErrorKind::Protocol`] if it is not JSON, has no usable id, or passes a limit (contract.md 7).
    pub fn parse(raw: &Bytes, base: Option<&Url>) -> Result<Self> {
        let text =
            std::str::from_utf8(raw).map_err(|_| Error::new(ErrorKind::Protocol, "item is not utf-8"))?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let members = deserializer
            .deserialize_map(ItemVisitor)
            .and_then(|members| deserializer.end().map(|()| members))
            .map_err(|error| {
                Error::new(ErrorKind::Protocol, format!("item cannot be read: {}", quote(&error.to_string())))
            })?;
        Self::build(raw, base, members)
    }

    /// The id as served.
    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// Copies the item's text out of the page that it came with, so that the page can be freed.
    #[must_use]
    pub fn detach(mut self) -> Self {
        let part = |part: &Option<Bytes>, whole: &Bytes| {
            let part = part.as_ref()?;
            let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
            Some(start..start.checked_add(part.len())?)
        };
        let copy = Bytes::copy_from_slice(&self.raw);
        let properties = part(&self.properties, &self.raw);
        let geometry = part(&self.geometry, &self.raw);
        self.properties = properties.map(|range| copy.slice(range));
        self.geometry = geometry.map(|range| copy.slice(range));
        self.raw = copy;
        self
    }

    /// What it takes in memory, about: small files have far more of it around them than in them.
    pub fn bytes(&self) -> usize {
        let assets: usize = self.assets.iter().map(Asset::bytes).sum();
        size_of::<Self>() + self.record.bytes() + assets + self.raw.len()
    }

    /// The properties as name and text: strings without quotes, all else as JSON. `geometry` too, which
    /// STAC keeps outside the properties and tree.md wants beside them.
    pub fn attributes(&self) -> Vec<(String, String)> {
        let raw =
            |bytes: &Option<Bytes>| -> Option<Box<RawValue>> { serde_json::from_slice(bytes.as_ref()?).ok() };
        let mut attributes = Vec::new();
        if let Some(properties) = raw(&self.properties) {
            for (name, value) in Members::of(&properties).iter() {
                let value = text(value).unwrap_or_else(|| value.get().to_owned());
                attributes.push((name.to_owned(), value));
            }
        }
        if let Some(geometry) = raw(&self.geometry)
            && attributes.iter().all(|(name, _)| name != "geometry")
        {
            attributes.push(("geometry".to_owned(), geometry.get().to_owned()));
        }
        attributes
    }

    /// The text of one property, as in [`Item::attributes`].
    pub fn attribute(&self, name: &str) -> Option<String> {
        self.attributes().into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    fn build(raw: &Bytes, base: Option<&Url>, members: RawItem<'_>) -> Result<Self> {
        let id = members.id.and_then(text).filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| Error::new(ErrorKind::Protocol, "item has no usable id"))?;
        let links = members.links.map(link::read_all).unwrap_or_default();
        let own = links.iter().find(|link| link.rel == "self").and_then(|link| link.resolve(base));
        let base = own.as_ref().or(base);

        let mut folder = None;
        let mut assets = Vec::with_capacity(members.assets.len());
        let given = members.assets.len();
        for (key, asset) in members.assets {
            if let Some((asset, shown)) = Asset::read(&id, base, key, asset) {
                // The most telling ending wins, whatever the order of the assets.
                folder = folder.max(shown);
                assets.push(asset);
            }
        }
        let dropped_assets = given - assets.len();
        arrange(&mut assets);
        let shape = shape(&id, folder.unwrap_or_default(), &mut assets);
        let properties = members.properties.map(Members::of).unwrap_or_default();
        let updated = properties.text(&["updated"]).map(Arc::from);
        let record = record(id, &properties, members.bbox, members.geometry, shape);
        let slice = |part: Option<&RawValue>| part.map(|part| raw.slice_ref(part.get().as_bytes()));
        Ok(Self {
            record,
            collection: members.collection.and_then(text),
            assets,
            dropped_assets,
            updated,
            link_to_self: own,
            properties: slice(members.properties),
            geometry: slice(members.geometry),
            raw: raw.clone(),
        })
    }
}

/// A folder, or the one file that the product consists of: it must be named after the product, or two
/// products of a day could both be called `data.tif`.
fn shape(id: &str, packing: Packing, assets: &mut [Asset]) -> Shape {
    let [only] = assets else { return Shape::Folder(packing) };
    let named = without_packing(without_packing(&only.path)) == without_packing(id);
    if only.path.contains('/') || !named {
        return Shape::Folder(packing);
    }
    only.whole_product = false;
    Shape::File(Box::new(SingleFile { name: only.path.as_str().into(), size: only.size }))
}

fn record(
    id: String,
    properties: &Members<'_>,
    bbox: Option<&RawValue>,
    geometry: Option<&RawValue>,
    shape: Shape,
) -> ItemRecord {
    let identifier = Identifier::parse(&id).or_else(|| {
        // Some catalogues shorten ids and keep the product's name in a property.
        Identifier::parse(&properties.text(&["productIdentifier", "s2:product_uri", "title"])?)
    });
    let bbox = bbox.and_then(footprint::of_bbox).or_else(|| geometry.and_then(footprint::of_geometry));
    let mission = ["platform", "constellation", "platformName"];
    let facts = Facts {
        mission: mission.iter().find_map(|name| Mission::from_platform(&properties.text(&[name])?)),
        mgrs_tile: properties.text(&["s2:mgrs_tile"]).or_else(|| mgrs_parts(properties)),
        grid_code: properties.text(&["grid:code"]),
        product_type: properties.text(&[
            "s3:product_type",
            "s5p:product_type",
            "product:type",
            "productType",
        ]),
        relative_orbit: properties.whole(&["sat:relative_orbit", "relativeOrbitNumber"]),
        absolute_orbit: properties.whole(&["sat:absolute_orbit", "orbitNumber"]),
        path_row: properties.whole(&["landsat:wrs_path"]).zip(properties.whole(&["landsat:wrs_row"])),
        bbox,
    };
    let start = properties.instant(&["start_datetime", "timeCoverageStart", "beginningDateTime"]);
    let end = properties.instant(&["end_datetime", "timeCoverageStop", "endingDateTime"]);
    ItemRecord {
        datetime: properties.instant(&["datetime"]).map(Moment::from),
        start: start.or_else(|| identifier.as_ref().map(Identifier::start)).map(Moment::from),
        end: end.or_else(|| identifier.as_ref().and_then(Identifier::stop)).map(Moment::from),
        published: properties
            .instant(&["publicationDate", "published", "created", "updated"])
            .map(Moment::from),
        bbox: bbox.map(compact),
        outline: geometry.and_then(Outline::of_geometry),
        cloud_cover: properties.number(&["eo:cloud_cover", "cloudCover"]).map(|percent| percent as f32),
        bucket: Bucket::decide(identifier.as_ref(), facts),
        gone: false,
        shape,
        id: id.into(),
    }
}

/// The tile from the three properties of the MGRS extension.
fn mgrs_parts(properties: &Members<'_>) -> Option<String> {
    let zone: u8 = properties.whole(&["mgrs:utm_zone"])?;
    let (band, square) = (properties.text(&["mgrs:latitude_band"])?, properties.text(&["mgrs:grid_square"])?);
    Some(format!("{zone:02}{band}{square}"))
}

/// The members of an item that are looked at.
#[derive(Default)]
struct RawItem<'a> {
    id: Option<&'a RawValue>,
    collection: Option<&'a RawValue>,
    bbox: Option<&'a RawValue>,
    geometry: Option<&'a RawValue>,
    properties: Option<&'a RawValue>,
    links: Option<&'a RawValue>,
    assets: Vec<(String, RawAsset<'a>)>,
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = RawItem<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a STAC item")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut item = RawItem::default();
        while let Some(Key(key)) = map.next_key()? {
            match &*key {
                "id" => item.id = Some(map.next_value()?),
                "collection" => item.collection = Some(map.next_value()?),
                "bbox" => item.bbox = Some(map.next_value()?),
                "geometry" => item.geometry = Some(map.next_value()?),
                "properties" => item.properties = Some(map.next_value()?),
                "links" => item.links = Some(map.next_value()?),
                "assets" => item.assets = map.next_value_seed(AssetsSeed)?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(item)
    }
}

/// Reads the assets straight from the document: they are most of an item's text.
struct AssetsSeed;

impl<'de> DeserializeSeed<'de> for AssetsSeed {
    type Value = Vec<(String, RawAsset<'de>)>;

    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AssetsSeed {
    type Value = Vec<(String, RawAsset<'de>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of assets")
    }

    fn visit_unit<E>(self) -> std::result::Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut assets = Vec::new();
        while let Some(Key(key)) = map.next_key()? {
            if assets.len() == ASSETS_PER_ITEM {
                return Err(de::Error::custom(format!("more than {ASSETS_PER_ITEM} assets")));
            }
            if key.len() > STRING_BYTES {
                return Err(de::Error::custom("an asset's key is too long"));
            }
            assets.push((key.into_owned(), map.next_value_seed(Pick(super::asset::MEMBERS))?));
        }
        Ok(assets)
    }
}

#[cfg(test)]
mod tests;
