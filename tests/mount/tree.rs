//! Products as directories: found without listing, listed without missing one, whatever the service's forms.

use std::fs;
use std::path::PathBuf;

use dcms_emulator::behaviour::{HrefForm, NextForm, Sizes};
use dcms_emulator::journal::Endpoint;
use dcms_emulator::{Behaviour, DataSet, Options, Scale};

use super::harness::{Bench, LIMIT, Mount, PRODUCT, Setup, assert_same, errno, names, read, within};

const DAY: &str = "cache-a/SENTINEL-2/by-date/2024/09/24";

fn stat(path: impl Into<PathBuf>) -> std::io::Result<fs::Metadata> {
    let path = path.into();
    within(LIMIT, "stat", move || fs::metadata(path))
}

fn searches(bench: &Bench) -> u64 {
    let journal = bench.emulator.journal();
    journal.requests(Endpoint::Search) + journal.requests(Endpoint::Item)
}

/// All products of a collection's day, below its buckets.
fn products(mount: &Mount, collection: &str, day: &str) -> Vec<PathBuf> {
    let mut open = vec![mount.path.join("cache-a").join(collection).join("by-date").join(day)];
    within(LIMIT, "walking", move || {
        let mut found = Vec::new();
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                if let Some(item) = name.strip_suffix(".stac.json") {
                    found.push(path.with_file_name(item));
                } else if path.is_dir() && !path.with_file_name(format!("{name}.stac.json")).exists() {
                    open.push(path);
                }
            }
        }
        found.sort();
        found
    })
}

/// 4.6, 5.2: every collection, known or not, has its days, and each product's files are right.
#[test]
fn mount_every_collection_is_shown() {
    let bench = Bench::demo();
    let mount = bench.mount();
    let collections = names(mount.path.join("cache-a")).unwrap();
    assert_eq!(collections.len(), 6, "{collections:?}");
    let mut files = 0;
    for collection in collections {
        let day = if collection.to_lowercase().contains("mosaic") { "2024/07/01" } else { "2024/09/24" };
        let found = products(&mount, &collection, day);
        assert!(!found.is_empty(), "{collection} on {day}");
        for product in found {
            let id = product.file_name().unwrap().to_str().unwrap();
            let id = [".SAFE", ".SEN3", ".nc"].iter().find_map(|end| id.strip_suffix(end)).unwrap_or(id);
            let expected = bench.emulator.files(&collection, id);
            assert!(!expected.is_empty(), "{collection}: {id}");
            for (key, size) in expected {
                let path =
                    match key.split_once(&format!("{id}.SAFE/")).or(key.split_once(&format!("{id}.SEN3/"))) {
                        Some((_, inside)) => product.join(inside),
                        None if stat(&product).unwrap().is_file() => product.clone(),
                        None => product.join(key.split_once(&format!("{id}/")).unwrap().1),
                    };
                assert_eq!(stat(&path).unwrap_or_else(|e| panic!("{key}: {e}")).len(), size, "{key}");
                if collection != "SENTINEL-2" {
                    assert_same(&read(&path).unwrap(), &bench.emulator.expect_bytes(&key).unwrap(), &key);
                }
                files += 1;
            }
        }
    }
    assert!(files > 100, "{files}");
}

/// 4.2: entering a tile of a day asks for that tile, once; dates cost nothing; a product by its identifier costs its item.
#[test]
fn mount_a_lookup_does_not_list() {
    let bench = Bench::demo();
    let mount = bench.mount();
    stat(mount.path.join("cache-a/SENTINEL-2/by-date")).unwrap();
    bench.emulator.journal().reset();
    stat(mount.path.join(DAY)).unwrap();
    assert!(names(mount.path.join("cache-a/SENTINEL-2/by-date/2024/09")).unwrap().len() >= 9);
    for date in ["2024/13", "2024/02/30", "2024/9", "24", "1900", "2024/09/24x", "2999"] {
        assert_eq!(
            errno(stat(mount.path.join("cache-a/SENTINEL-2/by-date").join(date))),
            libc::ENOENT,
            "{date}"
        );
    }
    assert_eq!(bench.emulator.journal().snapshot().entries.len(), 0, "dates are arithmetic");
    let tile = mount.path.join(DAY).join("T32TQM");
    stat(&tile).unwrap();
    assert_eq!(searches(&bench), 1);
    stat(&tile).unwrap();
    let inside = tile.join(format!("{PRODUCT}.SAFE/manifest.safe"));
    stat(inside).unwrap();
    assert_eq!(searches(&bench), 1, "what the search brought is not asked for again");
    for wrong in ["T32TQ", "T99ZZZ", "32TQM", "T32TQMM", ".Trash-0"] {
        assert_eq!(errno(stat(mount.path.join(DAY).join(wrong))), libc::ENOENT, "{wrong}");
    }
    assert_eq!(bench.downloads(), 0);
}

/// 3.3: a product is found with and without its ending, in its tile and by its identifier; its item is as served.
#[test]
fn mount_a_product_with_and_without_its_ending() {
    let bench = Bench::demo();
    let mount = bench.mount();
    for place in [format!("{DAY}/T32TQM"), "cache-a/SENTINEL-2/by-id".into()] {
        let place = mount.path.join(place);
        for name in [PRODUCT.to_owned(), format!("{PRODUCT}.SAFE")] {
            assert!(read(place.join(&name).join("manifest.safe")).is_ok(), "{name}");
        }
        let item = read(place.join(format!("{PRODUCT}.SAFE.stac.json"))).unwrap();
        let item: serde_json::Value = serde_json::from_slice(&item).unwrap();
        assert!(item["id"].as_str().unwrap().starts_with(PRODUCT));
        assert!(item["assets"].as_object().unwrap().len() > 50);
    }
    assert_eq!(names(mount.path.join(DAY).join("T32TQM")).unwrap().len(), 3, "listed is one spelling");
    for wrong in [
        "nothing",
        "S2A_MSIL2A_20240924T101031_N0511_R026_T32TQM_20240924T161049.SAFE",
        ".Trash-0",
        "x.aux.xml",
    ] {
        assert_eq!(
            errno(stat(mount.path.join("cache-a/SENTINEL-2/by-id").join(wrong))),
            libc::ENOENT,
            "{wrong}"
        );
    }
}

/// 1.1: whatever form the addresses of the files have, all files are there with their bytes.
#[test]
fn mount_addresses_in_every_form() {
    let forms = [
        HrefForm::LeadingSlash,
        HrefForm::Bucket,
        HrefForm::Encoded,
        HrefForm::NoSafe,
        HrefForm::Bare,
        HrefForm::KeyOnly,
        HrefForm::Relative,
        HrefForm::Mixed,
    ];
    for form in forms {
        let bench = Bench::demo();
        bench.emulator.change(|behaviour| behaviour.items.hrefs = form);
        let mount = bench.mount();
        let folder = mount.path.join("cache-a/SENTINEL-2/by-id").join(format!("{PRODUCT}.SAFE"));
        let samples = bench.samples(&mount, PRODUCT);
        for sample in samples.iter().step_by(3) {
            // Where an address tells no folder, there is none to show.
            let name = sample.path.file_name().unwrap();
            let bare = form == HrefForm::Bare;
            if bare && samples.iter().filter(|other| other.path.file_name() == Some(name)).count() > 1 {
                continue;
            }
            let path = if bare { folder.join(name) } else { sample.path.clone() };
            // Only a key with folders in it is known to be a path; a file beside it is shown by its address.
            let inside = path.strip_prefix(&folder).unwrap().components().count();
            if form == HrefForm::KeyOnly && inside == 1 {
                let expected = bench.expect(sample);
                let shown = names(&folder).unwrap().into_iter().map(|name| folder.join(name));
                let same = |path: PathBuf| path.is_file() && read(path).unwrap() == expected;
                assert!(shown.into_iter().any(same), "{form:?}: {}: its bytes are under no name", sample.key);
                continue;
            }
            let found = read(path).unwrap_or_else(|error| panic!("{form:?}: {}: {error}", sample.key));
            assert_same(&found, &bench.expect(sample), &format!("{form:?}: {}", sample.key));
        }
        mount.settles();
    }
}

/// 4.4: a listing is complete whatever the form of its pages, and ends even if the service has no end.
#[test]
fn mount_pages_in_every_form() {
    let forms = [
        NextForm::Token,
        NextForm::Relative,
        NextForm::PostMerge,
        NextForm::PostWhole,
        NextForm::Page,
        NextForm::EmptyPages,
        NextForm::Endless,
        NextForm::Loop,
    ];
    for form in forms {
        let scale = Scale { items_per_day: 45, days: 2, shrink: 1000, ..Scale::default() };
        let options = Options { data: DataSet::Synthetic(scale), ..Options::default() };
        let bench = Setup { options, ..Setup::default() }.bench();
        bench.emulator.change(|behaviour| {
            behaviour.stac.next = form;
            behaviour.stac.max_limit = 10;
        });
        let mount = bench.mount();
        let found = products(&mount, "SENTINEL-2", "2024/09/01");
        let expected = if form == NextForm::Loop { 10 } else { 45 };
        assert_eq!(found.len(), expected, "{form:?}");
        assert!(searches(&bench) < 20, "{form:?}: {} searches", searches(&bench));
        if matches!(form, NextForm::Loop | NextForm::Endless) {
            assert!(mount.log().contains("incomplete"), "{form:?}: the log says so");
        }
    }
}

/// Services that do less than the specification asks, or otherwise.
#[test]
fn mount_services_of_other_kinds() {
    type Quirk = fn(&mut Behaviour);
    let quirks: [(&str, Quirk); 12] = [
        ("no POST", |b| b.stac.post = false),
        ("no filter", |b| b.stac.filter = false),
        ("ids ignored", |b| b.stac.ids = false),
        ("half-open windows", |b| b.stac.half_open = true),
        ("no extent", |b| b.stac.no_extent = true),
        ("no times", |b| b.items.null_datetime = true),
        ("ids without endings", |b| b.items.suffix_in_id = false),
        ("zips", |b| b.items.product_zip = true),
        ("no sizes", |b| b.items.sizes = Sizes::None),
        ("few assets", |b| b.items.few_assets = true),
        ("no GET for downloads", |b| b.download.get = false),
        ("no compression", |b| b.stac.gzip = false),
    ];
    for (what, quirk) in quirks {
        let bench = Bench::demo();
        bench.emulator.change(quirk);
        let mount = bench.mount();
        let found = products(&mount, "SENTINEL-2", "2024/09/24");
        assert_eq!(found.len(), 2, "{what}: {found:?}");
        let sample = bench.sample(&mount, "_B02_10m.jp2");
        let expected = bench.expect(&sample);
        assert_eq!(stat(&sample.path).unwrap().len(), sample.size, "{what}");
        assert_same(&read(&sample.path).unwrap(), &expected, what);
        let inside = sample.path.to_str().unwrap().split_once(".SAFE/").unwrap().1.to_owned();
        let by_date = found.iter().find(|path| path.to_str().unwrap().contains("T32TQM")).unwrap();
        assert_same(&read(by_date.join(inside)).unwrap(), &expected, what);
        mount.settles();
    }
}

/// A product that the rolling archive has dropped is gone; the others stay.
#[test]
fn mount_a_product_that_is_gone_does_not_exist() {
    let bench = Bench::demo();
    bench.emulator.change(|behaviour| behaviour.items.gone = Some("T32TQM".into()));
    let mount = bench.mount();
    assert_eq!(names(mount.path.join(DAY)).unwrap(), ["T32TPS"]);
    assert_eq!(errno(stat(mount.path.join(DAY).join("T32TQM"))), libc::ENOENT);
    assert_eq!(errno(stat(mount.path.join("cache-a/SENTINEL-2/by-id").join(PRODUCT))), libc::ENOENT);
}
