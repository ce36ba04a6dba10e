//! `items.geojson`: what the products of a directory cover, as a layer for maps (RFC 7946). The field `path` leads
//! from the file's directory to the product.

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::products::{day_of, place_of};
use crate::catalog::stac::outline::geometry_of_box;
use crate::catalog::stac::{ItemRecord, Outline};
use crate::namespace::name::encode;
use crate::namespace::{Load, Node};

/// The name of the file.
pub(super) const NAME: &str = "items.geojson";

/// The file for these products; `path` says where each is. It is written again when it is read, so that a look
/// at it holds no text in memory.
pub(super) fn node(
    records: Vec<ItemRecord>,
    path: impl Fn(&ItemRecord) -> String + Send + Sync + 'static,
) -> Node {
    let newest = records.iter().filter_map(ItemRecord::instant).max();
    let write = move || document(&records, &path);
    let length = write().len() as u64;
    let write = Arc::new(write);
    let load: Load = Arc::new(move || {
        let write = Arc::clone(&write);
        Box::pin(async move { Ok(write()) })
    });
    Node::document(length, load, newest)
}

/// The way from a directory of years to a product: the date, the bucket, its name.
pub(super) fn path_by_date(record: &ItemRecord) -> String {
    let mut path = match day_of(record) {
        Some(day) => format!("{:04}/{:02}/{:02}/", day.year(), day.month(), day.day()),
        None => String::new(),
    };
    for level in place_of(record) {
        let _ = write!(path, "{level}/");
    }
    path + &encode(&record.name())
}

/// The same where the bucket stands above the years.
pub(super) fn path_by_date_alone(record: &ItemRecord) -> String {
    let path = path_by_date(record);
    let bucket: usize = place_of(record).iter().map(|level| level.len() + 1).sum();
    let date = day_of(record).map_or(0, |_| "2024/09/24/".len());
    format!("{}{}", &path[..date], &path[date + bucket..])
}

/// One feature a line, so that it can be read and searched as text.
fn document(records: &[ItemRecord], path: &impl Fn(&ItemRecord) -> String) -> Bytes {
    let mut text = String::from("{\"type\":\"FeatureCollection\",\"features\":[");
    for (number, record) in records.iter().enumerate() {
        let separator = if number == 0 { "\n" } else { ",\n" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}{}", feature(record, path(record)));
    }
    text.push_str("\n]}\n");
    text.into()
}

fn feature(record: &ItemRecord, path: String) -> Value {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    let moment = |moment: Option<crate::catalog::stac::Moment>| time(moment.map(|moment| moment.timestamp()));
    let cloud_cover = record.cloud_cover.map(|percent| (f64::from(percent) * 1e4).round() / 1e4);
    json!({
        "type": "Feature",
        "geometry": record.outline.as_ref().map(Outline::geometry).or_else(|| record.footprint().map(geometry_of_box)),
        "properties": {
            "path": path,
            "id": record.id,
            "datetime": time(record.instant()),
            "start": moment(record.start),
            "end": moment(record.end),
            "published": moment(record.published),
            "cloud_cover": cloud_cover,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::stac::Item;

    #[test]
    fn paths_and_footprints() {
        let item = r#"{"id":"S2A_MSIL2A_20240924T101031_N0511_R026_T32TQM_20240924T161048.SAFE",
            "bbox":[11,44,13,45],"properties":{"datetime":"2024-09-24T10:10:31Z","eo:cloud_cover":12.3}}"#;
        let record = Item::parse(&Bytes::from(item), None).unwrap().record;
        let name = &*record.id;
        assert_eq!(path_by_date(&record), format!("2024/09/24/T32TQM/{name}"));
        assert_eq!(path_by_date_alone(&record), format!("2024/09/24/{name}"));
        let document: Value =
            serde_json::from_slice(&document(std::slice::from_ref(&record), &path_by_date)).unwrap();
        let feature = &document["features"][0];
        assert_eq!(feature["geometry"]["type"], "Polygon");
        assert_eq!(feature["properties"]["cloud_cover"], 12.3);
        assert_eq!(feature["properties"]["datetime"], "2024-09-24T10:10:31Z");
    }
}
