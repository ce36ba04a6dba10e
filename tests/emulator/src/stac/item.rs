//! An item as JSON, in the variants that a tolerant reader must accept.

use serde_json::{Map, Value, json};

use crate::behaviour::{HrefForm, ItemBehaviour, Sizes};
use crate::data::{Collection, File, Mission, Scene, file_media, is_main, iso};
use crate::download;
use crate::emulator::Shared;
use crate::request::encode;

/// The item of a product.
pub(crate) fn item(
    shared: &Shared,
    behaviour: &ItemBehaviour,
    collection: &Collection,
    scene: &Scene,
) -> Value {
    let id = identifier(behaviour, scene);
    let api = format!("{}/stac/api", shared.url);
    let name = collection.mission.collection();
    let mut assets = Map::new();
    let files = collection.files(scene);
    let form = form_of(behaviour, scene);
    for (index, file) in files.iter().enumerate() {
        if behaviour.few_assets && !is_main(&file.path) {
            continue;
        }
        let mut asset = json!({
            "href": href(shared, form, scene, index, &file.path),
            "type": file.media,
            "title": file.path.rsplit('/').next(),
            "roles": [role(file)],
        });
        let size = shared.present(&scene.path(&file.path), file.content.clone()).len();
        match behaviour.sizes {
            Sizes::All => asset["file:size"] = size.into(),
            Sizes::Half if index % 2 == 0 => asset["file:size"] = size.into(),
            Sizes::Wrong => asset["file:size"] = (size + 1).into(),
            Sizes::Half | Sizes::None => {}
        }
        if let Some((_, told)) = behaviour.checksums.iter().find(|(part, _)| file.path.contains(part)) {
            asset["file:checksum"] = told.as_str().into();
        }
        if behaviour.projection {
            project(&mut asset, scene, &file.path);
        }
        assets.insert(key(form, scene, file, &assets), asset);
    }
    if behaviour.product_zip {
        let path = scene.archive();
        let mut asset = json!({
            "href": href(shared, HrefForm::Plain, scene, 0, &path),
            "type": file_media(&path),
            "title": "Product",
            "roles": ["data", "metadata", "archive"],
        });
        if behaviour.sizes == Sizes::All {
            asset["file:size"] = collection.zip(scene, &files).len().into();
        }
        assets.insert("Product".to_owned(), asset);
    }
    json!({
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
            "https://stac-extensions.github.io/file/v2.1.0/schema.json",
        ],
        "id": id,
        "collection": name,
        "bbox": scene.bbox,
        "geometry": geometry(scene),
        "properties": properties(behaviour, scene),
        "assets": assets,
        "links": [
            { "rel": "self", "type": "application/geo+json", "href": format!("{api}/collections/{name}/items/{id}") },
            { "rel": "collection", "type": "application/json", "href": format!("{api}/collections/{name}") },
            { "rel": "root", "type": "application/json", "href": api },
        ],
    })
}

/// Where the pixels of an image lie, as CDSE tells it: `proj:*`, `data_type`, `bands`.
fn project(asset: &mut Value, scene: &Scene, path: &str) {
    let name = path.rsplit('/').next().unwrap_or(path);
    let metres = ["10", "20", "60"].into_iter().find(|metres| name.ends_with(&format!("_{metres}m.jp2")));
    let (Some(tile), Some(metres)) = (&scene.tile, metres.and_then(|metres| metres.parse::<u32>().ok()))
    else {
        return;
    };
    let pixels = 10_980 / metres;
    let (byte, bands) =
        (name.contains("_TCI_") || name.contains("_SCL_"), if name.contains("_TCI_") { 3 } else { 1 });
    asset["proj:code"] = format!("EPSG:{}", tile.epsg).into();
    asset["proj:shape"] = json!([pixels, pixels]);
    asset["proj:transform"] = json!([metres, 0, tile.x, 0, -i64::from(metres), tile.y]);
    asset["data_type"] = if byte { "uint8" } else { "uint16" }.into();
    asset["nodata"] = 0.into();
    asset["bands"] = (0..bands).map(|_| json!({})).collect();
}

/// The properties of a product, named as the documentation of the service names them.
pub(crate) fn properties(behaviour: &ItemBehaviour, scene: &Scene) -> Value {
    let mut properties = json!({
        "productIdentifier": identifier(behaviour, scene),
        "instrument": scene.mission.instrument(scene.product_type),
        "platformName": platform(scene),
        "productType": scene.product_type,
        "timeCoverageStart": iso(scene.start),
        "timeCoverageStop": iso(scene.end),
        "provider": "CDSE",
        "providerDescription": "Copernicus Data Space Ecosystem",
        "publicationDate": iso(scene.start + 9 * 3_600_000),
        "format": scene.mission.format(),
        "geometry": geometry(scene).to_string(),
    });
    if let Some(updated) = &behaviour.updated {
        properties["updated"] = updated.as_str().into();
    }
    if behaviour.null_datetime || scene.mission == Mission::Mosaics {
        properties["datetime"] = Value::Null;
        properties["start_datetime"] = iso(scene.start).into();
        properties["end_datetime"] = iso(scene.end).into();
    } else {
        properties["datetime"] = iso(scene.start).into();
    }
    if let Some(cloud) = scene.cloud {
        properties["eo:cloud_cover"] = cloud.into();
    }
    properties
}

fn geometry(scene: &Scene) -> Value {
    json!({ "type": "Polygon", "coordinates": [scene.ring] })
}

fn platform(scene: &Scene) -> &'static str {
    match scene.platform {
        "S1A" => "SENTINEL-1A",
        "S1C" => "SENTINEL-1C",
        "S2A" => "SENTINEL-2A",
        "S2B" => "SENTINEL-2B",
        "S3A" => "SENTINEL-3A",
        "S3B" => "SENTINEL-3B",
        "S5P" => "SENTINEL-5P",
        "S6A" => "SENTINEL-6A",
        _ => "SENTINEL-2",
    }
}

fn identifier(behaviour: &ItemBehaviour, scene: &Scene) -> String {
    let suffix = if behaviour.suffix_in_id { scene.mission.suffix() } else { "" };
    format!("{}{suffix}", scene.id)
}

fn role(file: &File) -> &'static str {
    if file.path.contains("preview") || file.path.contains("_PVI") || file.path.ends_with(".html") {
        "overview"
    } else if matches!(file.media, "application/xml" | "application/json") {
        "metadata"
    } else {
        "data"
    }
}

fn form_of(behaviour: &ItemBehaviour, scene: &Scene) -> HrefForm {
    const FORMS: [HrefForm; 8] = [
        HrefForm::Plain,
        HrefForm::LeadingSlash,
        HrefForm::Bucket,
        HrefForm::Encoded,
        HrefForm::NoSafe,
        HrefForm::Bare,
        HrefForm::KeyOnly,
        HrefForm::Relative,
    ];
    match behaviour.hrefs {
        HrefForm::Mixed => FORMS[(scene.number % FORMS.len() as u64) as usize],
        form => form,
    }
}

fn href(shared: &Shared, form: HrefForm, scene: &Scene, index: usize, file: &str) -> String {
    let path = scene.path(file);
    let download = format!("{}{}?filename=", shared.url, download::PATH);
    let base = file.rsplit('/').next().unwrap_or(file);
    let number = format!("{}/{}/{index}", scene.mission.collection(), scene.number);
    match form {
        HrefForm::Plain | HrefForm::Mixed => download + &path,
        HrefForm::LeadingSlash => format!("{download}/{path}"),
        HrefForm::Bucket => format!("{download}/eodata/{path}"),
        HrefForm::Encoded => download + &encode(&path),
        HrefForm::NoSafe => download + &path.replacen(&format!("{}/", scene.mission.suffix()), "/", 1),
        HrefForm::Bare => format!("{download}objects/{number}/{base}"),
        HrefForm::KeyOnly => format!("{}{}{number}", shared.url, download::OBJECTS_PATH),
        HrefForm::Relative => format!("{}?filename={path}", download::PATH),
    }
}

/// The name of an asset: short, as catalogues have it, or the path where nothing else shows it.
fn key(form: HrefForm, scene: &Scene, file: &File, taken: &Map<String, Value>) -> String {
    if form == HrefForm::KeyOnly {
        return file.path.clone();
    }
    let base = file.path.rsplit('/').next().unwrap_or(&file.path);
    let stem = base.rsplit_once('.').map_or(base, |(stem, _)| stem);
    let short = match scene.mission {
        // `T32TQM_20240924T101031_B02_10m` is known as `B02_10m`.
        Mission::Sentinel2 if file.path.contains("/IMG_DATA/") => stem.splitn(3, '_').nth(2).unwrap_or(stem),
        Mission::Sentinel5P => "product",
        _ => stem,
    };
    if taken.contains_key(short) { file.path.clone() } else { short.to_owned() }
}
