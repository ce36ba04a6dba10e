//! The files of a product: their paths, sizes and content.

use super::{Mission, Scene, compact, sentinel2};
use crate::content::{Content, hash, mix};

/// A file of a product.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// Below the product's folder.
    pub(crate) path: String,
    pub(crate) media: &'static str,
    pub(crate) content: Content,
}

/// A file that is only planned: its path and its usual size.
pub(crate) type Plan = (String, u64);

/// The files of a product whose bytes are computed.
pub(crate) fn computed(scene: &Scene, shrink: u64) -> Vec<File> {
    let seed = hash(&scene.id);
    let file = |(path, size): Plan| {
        let chance = hash(&path) ^ seed;
        // Sizes vary by an eighth, so that no two products look alike.
        let size = size - size / 8 + mix(chance, 0) % (size / 4).max(1);
        File { media: media(&path), content: Content::noise(chance, (size / shrink).max(64)), path }
    };
    let mut files = plan(scene).into_iter().map(file).collect::<Vec<File>>();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// The media type that a name's ending stands for.
pub(crate) fn media(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or("") {
        "jp2" => "image/jp2",
        "xml" | "safe" | "gml" => "application/xml",
        "tif" | "tiff" => "image/tiff; application=geotiff",
        "nc" => "application/x-netcdf",
        "png" => "image/png",
        "jpg" => "image/jpeg",
        "html" => "text/html",
        "kml" => "application/vnd.google-earth.kml+xml",
        "json" => "application/json",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}

/// Whether a file is among the few that some catalogues list.
pub(crate) fn is_main(path: &str) -> bool {
    let quality = path.contains("/QI_DATA/") || path.contains("/AUX_DATA/") || path.starts_with("HTML/");
    let extra =
        path.starts_with("rep_info/") || path.contains("/calibration/") || path.starts_with("support/");
    !quality && !extra
}

/// The files of a product with the sizes that they usually have.
pub(crate) fn plan(scene: &Scene) -> Vec<Plan> {
    match scene.mission {
        Mission::Sentinel1 => sentinel1(scene),
        Mission::Sentinel2 => sentinel2::plan(scene),
        Mission::Sentinel3 => sentinel3(scene),
        Mission::Sentinel5P => vec![(format!("{}.nc", scene.id), 420_000_000)],
        Mission::Mosaics => plans(&[
            ("B02.tif", 177_854_664),
            ("B03.tif", 180_615_753),
            ("B04.tif", 185_948_699),
            ("B08.tif", 181_079_975),
            ("observations.tif", 10_507_090),
            ("userdata.json", 1_255),
        ]),
        Mission::Sentinel6 => plans(&[("measurement.nc", 38_000_000), ("xfdumanifest.xml", 24_000)]),
    }
}

fn plans(list: &[(&str, u64)]) -> Vec<Plan> {
    list.iter().map(|(path, size)| ((*path).to_owned(), *size)).collect()
}

/// The common part of the names of a Sentinel-1 product's files: swath, polarisation, times, number.
pub(crate) fn sentinel1_names(scene: &Scene) -> Vec<String> {
    let mut names = Vec::new();
    let (start, end) = (compact(scene.start).to_lowercase(), compact(scene.end).to_lowercase());
    let platform = scene.platform.to_lowercase();
    let take = scene.id.rsplit('_').nth(1).unwrap_or("000000").to_lowercase();
    for (place, polarisation) in ["vh", "vv"].into_iter().enumerate() {
        for swath in 1..=3 {
            let number = place * 3 + swath;
            names.push(format!(
                "{platform}-iw{swath}-slc-{polarisation}-{start}-{end}-{:06}-{take}-{number:03}",
                scene.orbit
            ));
        }
    }
    names
}

fn sentinel1(scene: &Scene) -> Vec<Plan> {
    let mut plan = plans(&[
        ("manifest.safe", 24_510),
        ("preview/map-overlay.kml", 1_022),
        ("preview/product-preview.html", 3_975),
        ("preview/quick-look.png", 1_284_323),
        ("preview/icons/logo.png", 95_280),
        ("support/s1-level-1-measurement.xsd", 471),
        ("support/s1-level-1-product.xsd", 132_016),
    ]);
    let sizes = [1_239_586_235, 1_517_554_799, 1_482_262_595];
    for (place, name) in sentinel1_names(scene).iter().enumerate() {
        plan.push((format!("measurement/{name}.tiff"), sizes[place % 3]));
        plan.push((format!("annotation/{name}.xml"), 760_000));
        plan.push((format!("annotation/calibration/calibration-{name}.xml"), 1_040_000));
        plan.push((format!("annotation/calibration/noise-{name}.xml"), 98_000));
        plan.push((format!("annotation/rfi/rfi-{name}.xml"), 31_000));
    }
    plan
}

fn sentinel3(scene: &Scene) -> Vec<Plan> {
    let list: &[(&str, u64)] = match &scene.product_type[..2] {
        "OL" => &[
            ("gifapar.nc", 1_127_599),
            ("geo_coordinates.nc", 58_416_073),
            ("instrument_data.nc", 1_056_306),
            ("iwv.nc", 1_980_948),
            ("lqsf.nc", 1_831_351),
            ("otci.nc", 1_306_916),
            ("rc_gifapar.nc", 3_879_528),
            ("tie_geo_coordinates.nc", 1_286_286),
            ("tie_geometries.nc", 2_271_750),
            ("tie_meteo.nc", 19_901_329),
            ("time_coordinates.nc", 15_708),
            ("xfdumanifest.xml", 158_467),
        ],
        "SL" => &[
            ("LST_ancillary_ds.nc", 8_200_000),
            ("LST_in.nc", 6_100_000),
            ("cartesian_in.nc", 12_300_000),
            ("cartesian_tx.nc", 1_100_000),
            ("flags_in.nc", 3_400_000),
            ("geodetic_in.nc", 13_000_000),
            ("geodetic_tx.nc", 1_250_000),
            ("geometry_tn.nc", 1_500_000),
            ("indices_in.nc", 3_600_000),
            ("met_tx.nc", 13_900_000),
            ("time_in.nc", 30_000),
            ("xfdumanifest.xml", 110_000),
        ],
        "SY" => &[
            ("Syn_AMIN.nc", 21_000_000),
            ("Syn_Angstrom_exp550.nc", 10_200_000),
            ("Syn_AOT550.nc", 11_900_000),
            ("Syn_Oa01_reflectance.nc", 18_300_000),
            ("Syn_Oa08_reflectance.nc", 19_700_000),
            ("Syn_Oa17_reflectance.nc", 20_100_000),
            ("Syn_S1N_reflectance.nc", 19_000_000),
            ("Syn_S3N_reflectance.nc", 19_400_000),
            ("Syn_SDR_removed_pixels.nc", 9_000_000),
            ("flags.nc", 9_400_000),
            ("geolocation.nc", 58_000_000),
            ("tiepoints_meteo.nc", 20_000_000),
            ("time.nc", 36_000),
            ("xfdumanifest.xml", 240_000),
        ],
        _ => &[
            ("enhanced_measurement.nc", 410_000_000),
            ("reduced_measurement.nc", 1_700_000),
            ("standard_measurement.nc", 29_000_000),
            ("xfdumanifest.xml", 60_000),
        ],
    };
    plans(list)
}
