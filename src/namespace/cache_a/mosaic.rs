//! `<image>.vrt`: the images of one kind of all products of a directory, as one GDAL dataset (`TCI_10m.vrt`). Made from
//! what the items tell, so that no file is asked for until pixels are read. Not listed: each costs the items of all products.

use std::fmt::Write;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};

use super::scope::Scope;
use crate::catalog::stac::{ItemRecord, Raster, rasters};
use crate::error::{ErrorKind, Result, fail};
use crate::namespace::Node;
use crate::namespace::name::encode;

/// Products of one mosaic: each is a request, unless its item is known.
const MOST: usize = 200;
/// Items that are asked for at once.
const AT_ONCE: usize = 8;
/// Columns or rows of a mosaic.
const LARGEST: f64 = 2_147_483_647.0;

/// The kind of images that the name of a mosaic asks for; `None` for any other name. Programs probe for many names.
pub(super) fn asked(name: &str) -> Option<&str> {
    let kind = name.strip_suffix(".vrt")?;
    let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    let (band, resolution) = kind.split_once('_').unwrap_or((kind, "10m"));
    let metres = resolution.strip_suffix('m').is_some_and(|digits| digits.parse::<u16>().is_ok());
    ((2..=4).contains(&band.len()) && band.chars().all(plain) && metres).then_some(kind)
}

/// An image and the path to it.
struct Source {
    path: String,
    raster: Raster,
}

/// The mosaic of `records`; `path` leads to each product. What was seen last is on top.
///
/// # Errors
/// `NotFound` when no item tells where such images lie, or they lie in several reference systems; `TooLarge` for too
/// many products. What the service met.
pub(super) async fn node(
    scope: &Scope,
    kind: &str,
    mut records: Vec<ItemRecord>,
    path: impl Fn(&ItemRecord) -> String + Send + Sync,
) -> Result<Node> {
    if records.len() > MOST {
        let count = records.len();
        return fail(
            ErrorKind::TooLarge,
            format!("{kind}: a mosaic of {count} products; {MOST} are possible"),
        );
    }
    records.sort_by_key(ItemRecord::instant);
    let newest = records.iter().filter_map(ItemRecord::instant).max();
    let wanted: Vec<(String, String)> =
        records.iter().map(|record| (path(record), record.id.to_string())).collect();
    let found = stream::iter(wanted).map(|(path, id)| async move {
        let item = scope.archive.item(&scope.collection, &id).await?;
        let found = item.assets.iter().find(|asset| !asset.whole_product && is_of(kind, &asset.path));
        Ok(found.and_then(|asset| {
            let raster = rasters(&item.raw).into_iter().find(|(key, _)| *key == asset.key)?.1;
            let inside: Vec<String> = asset.path.split('/').map(encode).collect();
            Some(Source { path: format!("{path}/{}", inside.join("/")), raster })
        }))
    });
    let found: Vec<Result<Option<Source>>> = found.buffered(AT_ONCE).collect().await;
    let found: Result<Vec<Option<Source>>> = found.into_iter().collect();
    let sources: Vec<Source> = found?.into_iter().flatten().collect();
    let Some(first) = sources.first().map(|source| source.raster.clone()) else {
        return fail(ErrorKind::NotFound, format!("no item here tells where images {kind} lie"));
    };
    let same = |raster: &Raster| {
        (raster.epsg, raster.bands, raster.data_type) == (first.epsg, first.bands, first.data_type)
            && raster.pixel == first.pixel
    };
    if !sources.iter().all(|source| same(&source.raster)) {
        return fail(
            ErrorKind::NotFound,
            format!(
                "the images {kind} lie in several reference systems: use a directory of one tile or zone"
            ),
        );
    }
    match document(&sources, &first) {
        Some(text) => Ok(Node::bytes(text, newest)),
        None => {
            fail(ErrorKind::NotFound, format!("the images {kind} are too far from each other for a mosaic"))
        }
    }
}

/// Whether a file is such an image: `…/T32TQM_20240924T101031_TCI_10m.jp2`, `…/B02.tif`.
fn is_of(kind: &str, path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some((stem, ending)) = name.rsplit_once('.') else { return false };
    let image = matches!(ending.to_ascii_lowercase().as_str(), "jp2" | "tif" | "tiff");
    image
        && !stem.starts_with("MSK_")
        && (stem == kind || stem.strip_suffix(kind).is_some_and(|rest| rest.ends_with('_')))
}

/// The VRT (GDAL, "VRT -- GDAL Virtual Format"). With `SourceProperties` GDAL opens no source before it reads.
fn document(sources: &[Source], first: &Raster) -> Option<Bytes> {
    let (width, height) = first.pixel;
    let rasters = || sources.iter().map(|source| &source.raster);
    let left = rasters().map(|raster| raster.corner.0).fold(f64::INFINITY, f64::min);
    let top = rasters().map(|raster| raster.corner.1).fold(f64::NEG_INFINITY, f64::max);
    let column = |raster: &Raster| ((raster.corner.0 - left) / width).round();
    let row = |raster: &Raster| ((top - raster.corner.1) / height).round();
    let columns = rasters().map(|raster| column(raster) + f64::from(raster.size.0)).fold(0.0, f64::max);
    let rows = rasters().map(|raster| row(raster) + f64::from(raster.size.1)).fold(0.0, f64::max);
    if columns > LARGEST || rows > LARGEST {
        return None;
    }
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "<VRTDataset rasterXSize=\"{columns}\" rasterYSize=\"{rows}\">\n  <SRS>EPSG:{}</SRS>\n  \
         <GeoTransform>{left}, {width}, 0, {top}, 0, -{height}</GeoTransform>\n",
        first.epsg
    );
    for band in 1..=first.bands {
        let kind = first.data_type;
        let _ = writeln!(text, "  <VRTRasterBand dataType=\"{kind}\" band=\"{band}\">");
        if let Some(color) = ["Red", "Green", "Blue"].get(band - 1).filter(|_| first.bands == 3) {
            let _ = writeln!(text, "    <ColorInterp>{color}</ColorInterp>");
        }
        if let Some(no_data) = first.no_data {
            let _ = writeln!(text, "    <NoDataValue>{no_data}</NoDataValue>");
        }
        for Source { path, raster } in sources {
            let (own_columns, own_rows) = raster.size;
            let no_data = raster.no_data.map(|value| format!("<NODATA>{value}</NODATA>")).unwrap_or_default();
            let element = if no_data.is_empty() { "SimpleSource" } else { "ComplexSource" };
            let _ = writeln!(
                text,
                "    <{element}><SourceFilename relativeToVRT=\"1\">{}</SourceFilename><SourceBand>{band}</SourceBand>\
                 <SourceProperties RasterXSize=\"{own_columns}\" RasterYSize=\"{own_rows}\" DataType=\"{kind}\"/>\
                 <SrcRect xOff=\"0\" yOff=\"0\" xSize=\"{own_columns}\" ySize=\"{own_rows}\"/>\
                 <DstRect xOff=\"{}\" yOff=\"{}\" xSize=\"{own_columns}\" ySize=\"{own_rows}\"/>{no_data}</{element}>",
                escaped(path),
                column(raster),
                row(raster),
            );
        }
        text.push_str("  </VRTRasterBand>\n");
    }
    text.push_str("</VRTDataset>\n");
    Some(text.into())
}

/// Text inside an element.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, kind) in [
            ("TCI_10m.vrt", Some("TCI_10m")),
            ("B8A_20m.vrt", Some("B8A_20m")),
            ("B02.vrt", Some("B02")),
            ("T32TQM.vrt", None),
            ("x.vrt", None),
            ("B02_m.vrt", None),
            ("B02", None),
            ("b02.vrt", None),
        ] {
            assert_eq!(asked(name), kind, "{name}");
        }
        assert!(is_of("TCI_10m", "GRANULE/L2A/IMG_DATA/R10m/T32TQM_20240924T101031_TCI_10m.jp2"));
        assert!(
            is_of("B02", "B02.tif") && !is_of("B02", "QI/MSK_CLASSI_B02.jp2") && !is_of("B02", "xB02.jp2")
        );
    }

    #[test]
    fn a_path_cannot_leave_its_element() {
        let raster = Raster {
            epsg: 32632,
            size: (10, 20),
            corner: (600_000.0, 5_000_000.0),
            pixel: (10.0, 10.0),
            bands: 1,
            data_type: "UInt16",
            no_data: None,
        };
        let beside = Raster { corner: (600_050.0, 5_000_100.0), ..raster.clone() };
        let source = |path: &str, raster: &Raster| Source { path: path.into(), raster: raster.clone() };
        let sources = [source("a&<b>/x.jp2", &raster), source("y.jp2", &beside)];
        let text = String::from_utf8(document(&sources, &raster).unwrap().to_vec()).unwrap();
        assert!(
            text.contains("rasterXSize=\"15\" rasterYSize=\"30\"")
                && text.contains(">a&amp;&lt;b&gt;/x.jp2<")
        );
        assert!(text.contains("xOff=\"0\" yOff=\"10\"") && text.contains("xOff=\"5\" yOff=\"0\""), "{text}");
        let far = Raster { corner: (1e300, 0.0), ..raster.clone() };
        assert!(document(&[source("a", &raster), source("b", &far)], &raster).is_none());
    }
}
