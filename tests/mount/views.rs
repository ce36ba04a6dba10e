//! The catalogue by tile, by search and as saved views: the same products, found otherwise.

use std::fs;
use std::path::PathBuf;

use dcms_emulator::Behaviour;
use dcms_emulator::journal::Endpoint;
use serde_json::Value;

use super::harness::{Bench, LIMIT, Mount, PRODUCT, Setup, errno, names, read, within};

const S2: &str = "cache-a/SENTINEL-2";
const QM: &str = "cache-a/SENTINEL-2/by-tile/32/T/QM";

fn requests(bench: &Bench) -> usize {
    bench.emulator.journal().snapshot().entries.len()
}

fn searches(bench: &Bench) -> u64 {
    bench.emulator.journal().requests(Endpoint::Search)
}

fn exists(path: PathBuf) -> std::io::Result<fs::Metadata> {
    within(LIMIT, "stat", move || fs::metadata(path))
}

/// The products of a search, over all its dates.
fn found(mount: &Mount, search: &str) -> Vec<String> {
    let root = mount.path.join(S2).join("search").join(search);
    let mut found = Vec::new();
    for year in dates(&root) {
        for month in dates(&year) {
            for day in dates(&month) {
                for bucket in names(&day).unwrap() {
                    let products = names(day.join(bucket)).unwrap();
                    found.extend(products.into_iter().filter(|name| name.ends_with(".SAFE")));
                }
            }
        }
    }
    found.sort();
    found
}

fn dates(path: &PathBuf) -> Vec<PathBuf> {
    let names = names(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    names.into_iter().filter(|name| name != "items.geojson").map(|name| path.join(name)).collect()
}

/// 4.7: zones, bands and squares are arithmetic; the days of a tile come from searches of its box, one for a year.
#[test]
fn mount_tiles_by_zone_band_and_square() {
    let bench = Bench::demo();
    let mount = bench.mount();
    let tiles = mount.path.join(S2).join("by-tile");
    assert_eq!(names(&tiles).unwrap().len(), 60);
    bench.emulator.journal().reset();
    assert_eq!(names(tiles.join("32")).unwrap().len(), 19, "no X in this zone");
    assert!(names(tiles.join("32/T")).unwrap().contains(&"QM".to_owned()));
    for wrong in ["0", "00", "61", "1", "32/A", "32/TT", "32/T/Q", "32/T/QZ", "32/T/qm", "x", ".Trash-0"] {
        assert_eq!(errno(exists(tiles.join(wrong))), libc::ENOENT, "{wrong}");
    }
    let qm = mount.path.join(QM);
    assert_eq!(names(&qm).unwrap()[0], "2024");
    assert_eq!(requests(&bench), 0, "tiles are arithmetic");
    let day = qm.join("2024/09/24");
    let item = format!("{PRODUCT}.SAFE.stac.json");
    assert_eq!(names(&day).unwrap(), [format!("{PRODUCT}.SAFE"), item, "items.geojson".into()]);
    assert_eq!(searches(&bench), 1, "a day of a tile is one search");
    assert_eq!(names(qm.join("2024")).unwrap(), ["09"]);
    assert_eq!(names(qm.join("2024/09")).unwrap(), ["19", "24"]);
    assert_eq!(errno(exists(qm.join("2024/09/23"))), libc::ENOENT);
    assert_eq!(searches(&bench), 2, "and all its days one more");
    // The same listing as below the date.
    assert!(exists(mount.path.join(S2).join("by-date/2024/09/24/T32TQM")).is_ok());
    assert_eq!(searches(&bench), 2);
}

/// 4.7: what has no tiles is there by its bucket.
#[test]
fn mount_other_places_by_their_buckets() {
    let bench = Bench::demo();
    let mount = bench.mount();
    for (place, day) in [
        ("SENTINEL-1/by-tile/R096", "2024/09/24"),
        ("SENTINEL-3/by-tile/OL_2_LFR___", ""),
        ("SENTINEL-5P/by-tile/L2__NO2___", ""),
        ("SENTINEL-6/by-tile/N40W020", "2024/09/24"),
        ("GLOBAL-MOSAICS/by-tile/32/T/QM", "2024/07/01"),
    ] {
        let mut place = mount.path.join("cache-a").join(place);
        if day.is_empty() {
            place = place.join(&names(&place).unwrap()[0]);
        }
        let day = if day.is_empty() { "2024/09/24" } else { day };
        assert!(names(place.join(day)).is_ok_and(|found| !found.is_empty()), "{}", place.display());
    }
    for wrong in
        ["SENTINEL-1/by-tile/32", "SENTINEL-1/by-tile/anything", "SENTINEL-3/by-tile/OL_2_LFR___/anything"]
    {
        assert_eq!(errno(exists(mount.path.join("cache-a").join(wrong))), libc::ENOENT, "{wrong}");
    }
}

/// 4.8: a search finds what it says, on services that ignore some or all of it, too.
#[test]
fn mount_searches_find_what_they_say() {
    type Quirk = fn(&mut Behaviour);
    let quirks: [(&str, Quirk); 5] = [
        ("a full service", |_| {}),
        ("no filter", |b| b.stac.filter = false),
        ("no ids", |b| b.stac.ids = false),
        ("no bbox", |b| b.stac.bbox = false),
        ("nothing, and POST pages", |b| {
            (b.stac.filter, b.stac.ids, b.stac.bbox) = (false, false, false);
            b.stac.next = dcms_emulator::behaviour::NextForm::PostMerge;
            b.stac.max_limit = 2;
        }),
    ];
    let product = format!("{PRODUCT}.SAFE");
    let by_id = format!("id={PRODUCT}");
    for (what, quirk) in quirks {
        let bench = Bench::demo();
        bench.emulator.change(quirk);
        let mount = bench.mount();
        for (search, expected) in [
            ("tile=32TQM,date=2024-09-24", 1),
            ("bbox=6:40:18:47,date=2024-09-24", 2),
            ("bbox=6:40:18:47,date=2024-09-24,cloud<20", 1),
            ("bbox=6:40:18:47,date=2024-09-24,cloud>=20", 1),
            ("bbox=6:40:18:47,date=2024-09-24,cloud>1,cloud<2", 0),
            ("bbox=60:40:70:47,date=2024-09-24", 0),
            ("bbox=6:40:18:47,date=2024-09-24,productType=S2MSI2A", 2),
            ("bbox=6:40:18:47,date=2024-09-24,productType=S2MSI1C", 0),
            ("date=2024-09-24..2024-09-24,tile=T32TQM", 1),
            (by_id.as_str(), 1),
        ] {
            let found = found(&mount, search);
            assert_eq!(found.len(), expected, "{what}: {search}: {found:?}");
            assert!(expected != 1 || search.contains(">=") || found[0] == product, "{what}: {search}");
        }
    }
}

/// 4.8: a wrong search is `EINVAL`, and the reason can be read.
#[test]
fn mount_a_wrong_search_says_why() {
    let bench = Bench::demo();
    let mount = bench.mount();
    for (search, reason) in [
        ("SENTINEL-2/search/cloud<many", "percent are expected"),
        ("SENTINEL-2/search/bbox=1:2:3", "west:south:east:north"),
        ("SENTINEL-2/search/clouds", "not a condition"),
        ("SENTINEL-1/search/cloud<20", "have no cloud cover"),
        ("SENTINEL-6/search/cloud<20", "have no cloud cover"),
    ] {
        let path = mount.path.join("cache-a").join(search);
        assert_eq!(errno(exists(path)), libc::EINVAL, "{search}");
        let errors = String::from_utf8(read(mount.path.join(".dcmsfs/errors")).unwrap()).unwrap();
        assert!(errors.lines().last().is_some_and(|line| line.contains(reason)), "{search}: {errors}");
    }
    let probe = mount.path.join(S2).join("search/.Trash-0");
    assert_eq!(errno(exists(probe)), libc::ENOENT);
    let outside = mount.path.join(S2).join("search/date=2024-09,tile=32TQM/2023");
    assert_eq!(errno(exists(outside)), libc::ENOENT);
}

/// 4.9: saved searches, and a mount that shows a part only.
#[test]
fn mount_views_and_restrictions() {
    let tables = "[view.alps]\ncollection = \"SENTINEL-2\"\nsearch = \"bbox=6:40:18:47,date=2024-09-24,cloud<20\"\n\
                  [view.radar]\ncollection = \"SENTINEL-1\"\nsearch = \"date=2024-09\"\n";
    let bench = Setup { tables: tables.into(), ..Setup::default() }.bench();
    let mount = bench.mount();
    assert_eq!(names(mount.path.join("views")).unwrap(), ["alps", "radar"]);
    assert_eq!(names(mount.path.join("views/alps/2024/09")).unwrap(), ["24"]);
    assert_eq!(names(mount.path.join("views/alps/2024/09/24")).unwrap(), ["T32TQM"]);
    assert_eq!(names(mount.path.join("views/radar/2024")).unwrap(), ["09"]);
    drop(mount);

    let cache_a = "bbox = \"10:46.5:12:47\"\ndatetime = \"2024-09\"\ncloud_cover = \"<90\"\n";
    let bench = Setup { cache_a: cache_a.into(), ..Setup::default() }.bench();
    let mount = bench.mount();
    let s2 = mount.path.join(S2);
    assert_eq!(names(s2.join("by-date")).unwrap(), ["2024", "items.geojson"]);
    assert_eq!(names(s2.join("by-date/2024/09/24")).unwrap(), ["T32TPS"], "T32TQM lies south of it");
    assert_eq!(errno(exists(s2.join("by-date/2024/09/24/T32TQM"))), libc::ENOENT);
    assert_eq!(errno(exists(s2.join("by-date/2023"))), libc::ENOENT);
    assert_eq!(errno(exists(s2.join("by-id").join(PRODUCT))), libc::ENOENT);
    // Collections without cloud cover are not restricted by it.
    let radar = mount.path.join("cache-a/SENTINEL-1/by-date");
    assert_eq!(names(radar).unwrap(), ["2024", "items.geojson"]);
}

/// 7.3: `items.geojson` tells where products are, and its paths lead to them.
#[test]
fn mount_footprints_lead_to_products() {
    let bench = Bench::demo();
    let mount = bench.mount();
    let search = "search/bbox=6:40:18:47,date=2024-09";
    assert!(names(mount.path.join(S2).join(search)).unwrap().contains(&"items.geojson".to_owned()));
    for (directory, least) in [
        (format!("{S2}/{search}"), 5),
        (format!("{S2}/by-date/2024/09/24/T32TQM"), 1),
        (format!("{QM}/2024/09/24"), 1),
        (QM.to_owned(), 2),
        ("cache-a/SENTINEL-6/by-tile/N40W020".into(), 1),
        ("cache-a/SENTINEL-6/search/bbox=-20:40:-10:50,date=2024-09".into(), 1),
    ] {
        let directory = mount.path.join(directory);
        let text = read(directory.join("items.geojson")).unwrap();
        let size = exists(directory.join("items.geojson")).unwrap().len();
        assert_eq!(size, text.len() as u64);
        let layer: Value = serde_json::from_slice(&text).unwrap();
        let features = layer["features"].as_array().unwrap();
        assert!(features.len() >= least, "{}: {}", directory.display(), features.len());
        for feature in features {
            let path = feature["properties"]["path"].as_str().unwrap();
            assert!(exists(directory.join(path)).is_ok(), "{}: {path}", directory.display());
            assert_eq!(feature["geometry"]["type"], "Polygon");
        }
    }
    // Nothing that would walk the archive.
    let all = mount.path.join(S2).join("search/cloud<50");
    assert!(!names(&all).unwrap().contains(&"items.geojson".to_owned()));
    assert_eq!(errno(exists(all.join("items.geojson"))), libc::ENOENT);
}
