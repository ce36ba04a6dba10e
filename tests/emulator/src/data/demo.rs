//! The products of the demo: few, small, and opened by the programs that people use.

use std::fmt::Write;

use bytes::Bytes;

use super::files::{self, File};
use super::mission::Place;
use super::{Mission, Scene, fixtures, parse_time, sentinel2};
use crate::content::Content;

/// When, over which tile or place, and the choice of platform and product type.
type Entry = (&'static str, Place<'static>, u64);

/// The products of a collection, in the order of time.
pub(crate) fn scenes(mission: Mission) -> Vec<Scene> {
    let list: Vec<Entry> = match mission {
        Mission::Sentinel1 => vec![
            // Twelve days apart, hence over the same place.
            ("2024-09-12T17:06:39Z", Place::Point(12.0, 42.2), 0),
            ("2024-09-24T17:06:39Z", Place::Point(12.0, 42.2), 0),
        ],
        Mission::Sentinel2 => vec![
            ("2024-09-17T10:20:21Z", Place::Tile("32TPS"), 1),
            ("2024-09-19T10:10:21Z", Place::Tile("32TQM"), 1),
            ("2024-09-22T10:20:31Z", Place::Tile("32TPS"), 0),
            ("2024-09-24T10:10:31Z", Place::Tile("32TQM"), 0),
            ("2024-09-24T10:10:46Z", Place::Tile("32TPS"), 0),
            ("2024-09-25T10:36:51Z", Place::Tile("31UFT"), 1),
        ],
        Mission::Sentinel3 => vec![
            ("2024-09-23T09:46:58Z", Place::Point(12.0, 44.0), 2),
            ("2024-09-24T09:21:13Z", Place::Point(12.0, 44.0), 0),
        ],
        Mission::Sentinel5P => vec![
            ("2024-09-23T11:42:07Z", Place::Point(12.0, 45.0), 9),
            ("2024-09-24T11:23:05Z", Place::Point(12.0, 45.0), 0),
        ],
        Mission::Mosaics => vec![
            ("2024-04-01T00:00:00Z", Place::Tile("32TQM"), 0),
            ("2024-07-01T00:00:00Z", Place::Tile("32TQM"), 0),
        ],
        Mission::Sentinel6 => vec![("2024-09-24T06:02:11Z", Place::Point(-20.0, 40.0), 0)],
    };
    let mut scenes = Vec::new();
    for (start, place, pick) in list {
        let Some(start) = parse_time(start) else { continue };
        let mut scene = Scene::new(mission, scenes.len() as u64, start, &place, pick);
        if mission == Mission::Mosaics {
            scene.end = start + 91 * 86_400_000 - 1;
        }
        scenes.push(scene);
    }
    scenes
}

/// The files of a product, in the order of their paths.
pub(crate) fn files(scene: &Scene) -> Vec<File> {
    let plan = files::plan(scene);
    let listed = |path: &String| scene.mission != Mission::Sentinel3 || sentinel3(path).is_some();
    let paths = plan.into_iter().map(|(path, _)| path).filter(listed);
    let mut files = paths
        .map(|path| File { media: files::media(&path), content: Content::bytes(content(scene, &path)), path })
        .collect::<Vec<File>>();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    // The manifest lists the others, so it comes last.
    let listing = manifest(scene, &files);
    if let Some(file) = files.iter_mut().find(|file| is_manifest(&file.path)) {
        file.content = Content::bytes(listing);
    }
    files
}

fn is_manifest(path: &str) -> bool {
    matches!(path, "manifest.safe" | "xfdumanifest.xml")
}

/// The embedded file for a file of a Sentinel-3 product; products of the demo have no others.
fn sentinel3(path: &str) -> Option<&'static str> {
    Some(match path {
        "geo_coordinates.nc" | "geodetic_in.nc" => "s3/geo_coordinates.nc",
        "otci.nc" => "s3/otci.nc",
        "gifapar.nc" => "s3/gifapar.nc",
        "LST_in.nc" => "s3/LST_in.nc",
        "xfdumanifest.xml" => "",
        _ => return None,
    })
}

fn content(scene: &Scene, path: &str) -> Bytes {
    let raster = |name: &str| match &scene.tile {
        Some(tile) => fixtures::at(name, tile),
        None => fixtures::plain(name),
    };
    let name = path.rsplit('/').next().unwrap_or(path);
    let embedded = match (scene.mission, name.rsplit('.').next().unwrap_or("")) {
        (_, "png") => fixtures::plain("quicklook.png"),
        (Mission::Sentinel2, "jp2") if path.contains("/IMG_DATA/") => {
            let image = name.splitn(3, '_').nth(2).unwrap_or(name);
            raster(&format!("s2/{image}"))
        }
        (Mission::Sentinel2, "jp2") if name.ends_with("_PVI.jp2") => raster("s2/TCI_60m.jp2"),
        (Mission::Sentinel2, "jp2") => raster("s2/MSK_60m.jp2"),
        (Mission::Sentinel2, _) if name == "MTD_MSIL2A.xml" => {
            Some(sentinel2::metadata::product(scene).into())
        }
        (Mission::Sentinel2, _) if name == "MTD_TL.xml" => Some(sentinel2::metadata::granule(scene).into()),
        (Mission::Sentinel1, "tiff") => fixtures::plain("s1/measurement.tiff"),
        (Mission::Sentinel3, "nc") => sentinel3(path).and_then(fixtures::plain),
        (Mission::Sentinel5P, _) if scene.product_type.contains("CH4") => fixtures::plain("s5p/ch4.nc"),
        (Mission::Sentinel5P, _) => fixtures::plain("s5p/no2.nc"),
        (Mission::Sentinel6, "nc") => fixtures::plain("s6/measurement.nc"),
        (Mission::Mosaics, "tif") => raster(&format!("mosaic/{name}")),
        _ => None,
    };
    embedded.unwrap_or_else(|| small(scene, path).into())
}

/// The text of files that nobody looks into.
fn small(scene: &Scene, path: &str) -> String {
    match path.rsplit('.').next().unwrap_or("") {
        "json" => format!("{{\"product\":\"{}\",\"processor\":\"demonstration\"}}\n", scene.id),
        "html" => {
            format!("<!DOCTYPE html>\n<title>{}</title>\n<p>Product of the demonstration.</p>\n", scene.id)
        }
        "kml" => kml(scene),
        "xml" | "xsd" | "xsl" => {
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Document product=\"{}\" file=\"{path}\"/>\n",
                scene.id
            )
        }
        _ => format!("{}\n{path}\n", scene.id),
    }
}

fn kml(scene: &Scene) -> String {
    let ring = scene.ring.iter().map(|[lon, lat]| format!("{lon},{lat}")).collect::<Vec<String>>().join(" ");
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<kml xmlns=\"http://www.opengis.net/kml/2.2\"><Placemark><name>{}</name>\
<Polygon><outerBoundaryIs><LinearRing><coordinates>{ring}</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark></kml>\n",
        scene.id
    )
}

/// The list of a product's files with their sizes.
fn manifest(scene: &Scene, files: &[File]) -> String {
    let mut objects = String::new();
    for (number, file) in files.iter().enumerate().filter(|(_, file)| !is_manifest(&file.path)) {
        // Writing into a string does not fail.
        let _ = writeln!(
            objects,
            "    <dataObject ID=\"file{number}\"><byteStream mimeType=\"{}\" size=\"{}\"><fileLocation locatorType=\"URL\" href=\"./{}\"/></byteStream></dataObject>",
            file.media,
            file.content.len(),
            file.path
        );
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<xfdu:XFDU xmlns:xfdu=\"urn:ccsds:schema:xfdu:1\" version=\"esa/safe/sentinel-1.0\">\n  <informationPackageMap>\n    <xfdu:contentUnit textInfo=\"{}\" unitType=\"Product\"/>\n  </informationPackageMap>\n  <dataObjectSection>\n{objects}  </dataObjectSection>\n</xfdu:XFDU>\n",
        scene.id
    )
}
