//! The embedded files of the demo, made by `fixtures/generate.py`, and their move to another place on earth.

use bytes::Bytes;

use crate::grid::Tile;

/// The corner and the zone at which the rasters were made.
const MADE_AT: (f64, f64, u16) = (699_960.0, 4_700_040.0, 32632);

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        /// An embedded file by its name in the folder of fixtures.
        pub(crate) fn get(name: &str) -> Option<&'static [u8]> {
            match name {
                $($name => Some(include_bytes!(concat!("../../fixtures/", $name))),)*
                _ => None,
            }
        }
    };
}

embedded! {
    "mosaic/B02.tif",
    "mosaic/B03.tif",
    "mosaic/B04.tif",
    "mosaic/B08.tif",
    "mosaic/observations.tif",
    "quicklook.png",
    "s1/measurement.tiff",
    "s2/AOT_10m.jp2",
    "s2/AOT_20m.jp2",
    "s2/AOT_60m.jp2",
    "s2/B01_20m.jp2",
    "s2/B01_60m.jp2",
    "s2/B02_10m.jp2",
    "s2/B02_20m.jp2",
    "s2/B02_60m.jp2",
    "s2/B03_10m.jp2",
    "s2/B03_20m.jp2",
    "s2/B03_60m.jp2",
    "s2/B04_10m.jp2",
    "s2/B04_20m.jp2",
    "s2/B04_60m.jp2",
    "s2/B05_20m.jp2",
    "s2/B05_60m.jp2",
    "s2/B06_20m.jp2",
    "s2/B06_60m.jp2",
    "s2/B07_20m.jp2",
    "s2/B07_60m.jp2",
    "s2/B08_10m.jp2",
    "s2/B09_60m.jp2",
    "s2/B11_20m.jp2",
    "s2/B11_60m.jp2",
    "s2/B12_20m.jp2",
    "s2/B12_60m.jp2",
    "s2/B8A_20m.jp2",
    "s2/B8A_60m.jp2",
    "s2/MSK_60m.jp2",
    "s2/SCL_20m.jp2",
    "s2/SCL_60m.jp2",
    "s2/TCI_10m.jp2",
    "s2/TCI_20m.jp2",
    "s2/TCI_60m.jp2",
    "s2/WVP_10m.jp2",
    "s2/WVP_20m.jp2",
    "s2/WVP_60m.jp2",
    "s3/LST_in.nc",
    "s3/geo_coordinates.nc",
    "s3/gifapar.nc",
    "s3/otci.nc",
    "s5p/ch4.nc",
    "s5p/no2.nc",
    "s6/measurement.nc",
}

/// An embedded file as it is.
pub(crate) fn plain(name: &str) -> Option<Bytes> {
    get(name).map(Bytes::from_static)
}

/// An embedded raster moved to the corner of a tile.
///
/// The place stands in the file as two doubles and a zone number in the keys of a `GeoTIFF`, which JPEG 2000
/// files carry too. They are replaced in place, which keeps the length.
pub(crate) fn at(name: &str, tile: &Tile) -> Option<Bytes> {
    let original = get(name)?;
    let epsg = tile.epsg as u16;
    if (f64::from(tile.x), f64::from(tile.y), epsg) == MADE_AT {
        return Some(Bytes::from_static(original));
    }
    let mut bytes = original.to_vec();
    replace(&mut bytes, &MADE_AT.0.to_le_bytes(), &f64::from(tile.x).to_le_bytes());
    replace(&mut bytes, &MADE_AT.1.to_le_bytes(), &f64::from(tile.y).to_le_bytes());
    // The key 3072 (projected system), in the tag itself, one value.
    let key = |epsg: u16| [&[0x00, 0x0c, 0, 0, 1, 0][..], &epsg.to_le_bytes()].concat();
    replace(&mut bytes, &key(MADE_AT.2), &key(epsg));
    let half = if epsg > 32700 { 'S' } else { 'N' };
    replace(&mut bytes, b"zone 32N", format!("zone {:02}{half}", epsg % 100).as_bytes());
    Some(bytes.into())
}

fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    if let Some(at) = bytes.windows(old.len()).position(|window| window == old) {
        bytes[at..at + new.len()].copy_from_slice(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::tile_named;

    #[test]
    fn rasters_can_be_moved() {
        let tile = tile_named("31UFT").unwrap();
        for name in ["s2/B04_10m.jp2", "s2/TCI_60m.jp2", "s2/SCL_20m.jp2", "s2/MSK_60m.jp2", "mosaic/B08.tif"]
        {
            let (before, after) = (get(name).unwrap(), at(name, &tile).unwrap());
            assert_eq!(before.len(), after.len());
            let differ = before.iter().zip(after.iter()).filter(|(a, b)| a != b).count();
            assert!((6..=20).contains(&differ), "{name}: {differ}");
        }
    }
}
