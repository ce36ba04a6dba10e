//! Where the pixels of an asset lie, as far as its item tells: the projection extension (`proj:*`, of the asset or of the
//! item), and the data types of STAC 1.1 and of the raster extension. Then a mosaic needs no look at the file.

use serde_json::Value;

/// An image on the ground.
#[derive(Clone, Debug, PartialEq)]
pub struct Raster {
    /// The code of its reference system in the EPSG registry.
    pub epsg: u32,
    /// Columns and rows.
    pub size: (u32, u32),
    /// The left and the upper edge of the first pixel, in units of the reference system.
    pub corner: (f64, f64),
    /// Width and height of a pixel, both positive: north is up.
    pub pixel: (f64, f64),
    /// How many bands it has.
    pub bands: usize,
    /// The type of a value, as GDAL names it.
    pub data_type: &'static str,
    /// The value that stands for no data.
    pub no_data: Option<f64>,
}

/// Most columns or rows.
const LARGEST: u64 = 1 << 24;
/// Most bands.
const BANDS: usize = 64;

/// The image of each asset that tells enough, by the asset's key.
pub fn rasters(item: &[u8]) -> Vec<(String, Raster)> {
    let Ok(item) = serde_json::from_slice::<Value>(item) else { return Vec::new() };
    let assets = item["assets"].as_object().into_iter().flatten();
    assets.filter_map(|(key, asset)| Some((key.clone(), raster(&item["properties"], asset)?))).collect()
}

fn raster(properties: &Value, asset: &Value) -> Option<Raster> {
    let told = |name: &str| asset.get(name).or_else(|| properties.get(name)).filter(|value| !value.is_null());
    let epsg = match told("proj:code") {
        Some(code) => code.as_str()?.strip_prefix("EPSG:")?.parse().ok()?,
        None => u32::try_from(told("proj:epsg")?.as_u64()?).ok()?,
    };
    let shape: Vec<u64> = numbers(asset.get("proj:shape")?, Value::as_u64)?;
    let &[rows, columns] = shape.as_slice() else { return None };
    if !(1..=LARGEST).contains(&rows) || !(1..=LARGEST).contains(&columns) {
        return None;
    }
    let (corner, pixel) = match asset.get("proj:transform") {
        Some(transform) => match numbers(transform, Value::as_f64)?.as_slice() {
            [width, 0.0, left, 0.0, height, top, ..] => ((*left, *top), (*width, -height)),
            _ => return None,
        },
        None => match numbers(asset.get("proj:bbox")?, Value::as_f64)?.as_slice() {
            [west, south, east, north] => {
                ((*west, *north), ((east - west) / columns as f64, (north - south) / rows as f64))
            }
            _ => return None,
        },
    };
    let usual = |number: f64| number.is_finite() && number > 0.0;
    if !usual(pixel.0) || !usual(pixel.1) || !corner.0.is_finite() || !corner.1.is_finite() {
        return None;
    }
    let count = |name: &str| asset.get(name).and_then(Value::as_array).map(Vec::len);
    let bands = count("raster:bands").or_else(|| count("bands")).or_else(|| count("eo:bands")).unwrap_or(1);
    let first = &asset["raster:bands"][0];
    let either = |name: &str| asset.get(name).or_else(|| first.get(name));
    Some(Raster {
        epsg,
        size: (u32::try_from(columns).ok()?, u32::try_from(rows).ok()?),
        corner,
        pixel,
        bands: Some(bands).filter(|bands| (1..=BANDS).contains(bands))?,
        data_type: match either("data_type")?.as_str()? {
            "uint8" => "Byte",
            "uint16" => "UInt16",
            "int16" => "Int16",
            "uint32" => "UInt32",
            "int32" => "Int32",
            "float32" => "Float32",
            "float64" => "Float64",
            _ => return None,
        },
        no_data: either("nodata").and_then(Value::as_f64),
    })
}

fn numbers<T>(value: &Value, read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    value.as_array().filter(|values| values.len() <= 16)?.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_cdse_tells() {
        let item = br#"{"properties":{},"assets":{
            "TCI_10m":{"proj:code":"EPSG:32632","proj:transform":[10.0,0.0,199980.0,0.0,-10.0,7100040.0],
                "proj:shape":[10980,10980],"data_type":"uint8","nodata":0,"bands":[{},{},{}]},
            "B02":{"proj:code":"EPSG:32631","proj:bbox":[400000.0,3900000.0,500080.0,4000080.0],
                "proj:shape":[10008,10008],"data_type":"int16","nodata":-32768,"bands":[{}]},
            "older":{"proj:shape":[10,20],"proj:transform":[60,0,0,0,-60,600],"raster:bands":[{"data_type":"uint16"}]},
            "turned":{"proj:code":"EPSG:4326","proj:shape":[1,1],"proj:transform":[1,0.5,0,0,-1,0],"data_type":"uint8"},
            "xml":{"type":"application/xml"}}}"#;
        let found = rasters(item);
        assert_eq!(found.len(), 2, "{found:?}");
        let (_, tci) = found.iter().find(|(key, _)| key == "TCI_10m").unwrap();
        assert_eq!((tci.epsg, tci.size, tci.bands, tci.data_type), (32632, (10980, 10980), 3, "Byte"));
        assert_eq!((tci.corner, tci.pixel, tci.no_data), ((199_980.0, 7_100_040.0), (10.0, 10.0), Some(0.0)));
        let (_, b02) = found.iter().find(|(key, _)| key == "B02").unwrap();
        assert_eq!((b02.corner, b02.pixel), ((400_000.0, 4_000_080.0), (10.0, 10.0)));
        let with_epsg = String::from_utf8_lossy(item)
            .replace(r#""properties":{}"#, r#""properties":{"proj:epsg":32701}"#);
        assert!(
            rasters(with_epsg.as_bytes()).iter().any(|(key, raster)| key == "older" && raster.epsg == 32701)
        );
    }

    #[test]
    fn what_makes_no_sense_is_left_out() {
        for asset in [
            r#"{"proj:code":"EPSG:x","proj:shape":[1,1],"proj:transform":[1,0,0,0,-1,0],"data_type":"uint8"}"#,
            r#"{"proj:code":"EPSG:4326","proj:shape":[0,1],"proj:transform":[1,0,0,0,-1,0],"data_type":"uint8"}"#,
            r#"{"proj:code":"EPSG:4326","proj:shape":[1,99999999999],"proj:transform":[1,0,0,0,-1,0],"data_type":"uint8"}"#,
            r#"{"proj:code":"EPSG:4326","proj:shape":[1,1],"proj:transform":[-1,0,0,0,-1,0],"data_type":"uint8"}"#,
            r#"{"proj:code":"EPSG:4326","proj:shape":[1,1],"proj:transform":[1,0,0],"data_type":"uint8"}"#,
            r#"{"proj:code":"EPSG:4326","proj:shape":[1,1],"proj:transform":[1,0,0,0,-1,0],"data_type":"x\"/>"}"#,
            "7",
            "null",
        ] {
            assert!(rasters(format!(r#"{{"assets":{{"a":{asset}}}}}"#).as_bytes()).is_empty(), "{asset}");
        }
        assert!(rasters(b"[]").is_empty() && rasters(b"{").is_empty());
    }
}
