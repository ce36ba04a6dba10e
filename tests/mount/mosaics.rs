//! `<image>.vrt`: a mosaic of what a directory holds, as GDAL opens it.

use std::process::Command;

use super::harness::{Bench, LIMIT, Setup, errno, within};

fn gdal(program: &str, args: &[&str]) -> (String, bool) {
    let (program, args) = (program.to_owned(), args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
    let output = within(LIMIT, "GDAL", move || Command::new(program).args(args).output().unwrap());
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (text, output.status.success())
}

fn projected() -> Bench {
    let bench = Setup::default().bench();
    bench.emulator.change(|behaviour| behaviour.items.projection = true);
    bench
}

/// 18.1: GDAL opens the mosaic of a search without a download, and finds the same pixels in it as in the image itself.
#[test]
fn mount_a_mosaic_opens_without_a_download() {
    let bench = projected();
    let mount = bench.mount();
    let search = mount.path.join("cache-a/SENTINEL-2/search/tile=32TQM,date=2024-09-24");
    let mosaic = search.join("TCI_60m.vrt");
    let (said, opened) = gdal("gdalinfo", &[mosaic.to_str().unwrap()]);
    assert!(opened && said.contains("Driver: VRT") && said.contains("\"EPSG\",32632"), "{said}");
    assert!(said.contains("Size is 183, 183") && said.contains("Pixel Size = (60.0"), "{said}");
    // Of a mosaic of one image GDAL asks that image for overviews.
    assert!(bench.downloads() <= 1, "{said}");

    let day = mount.path.join("cache-a/SENTINEL-2/by-date/2024/09/24/T32TQM");
    for mosaic in [&mosaic, &day.join("TCI_60m.vrt")] {
        let (said, read) = gdal("gdalinfo", &["-checksum", mosaic.to_str().unwrap()]);
        let image = bench.sample(&mount, "_TCI_60m.jp2").path;
        let (own, _) = gdal("gdalinfo", &["-checksum", image.to_str().unwrap()]);
        let sums = |text: &str| -> Vec<String> {
            text.lines()
                .filter(|line| line.contains("Checksum="))
                .map(|line| line.trim().to_owned())
                .collect()
        };
        assert!(read && sums(&said).len() == 3 && sums(&said) == sums(&own), "{said}{own}");
    }
    mount.end();
}

/// 18.2: it is not listed, so listing costs nothing; what cannot be made is not there.
#[test]
fn mount_mosaics_are_not_listed() {
    let bench = projected();
    let mount = bench.mount();
    let day = mount.path.join("cache-a/SENTINEL-2/by-date/2024/09/24/T32TQM");
    assert!(super::harness::names(&day).unwrap().iter().all(|name| !name.ends_with(".vrt")));
    for name in ["B99_10m.vrt", "x.vrt", "T32TQM.vrt"] {
        assert_eq!(errno(std::fs::metadata(day.join(name))), libc::ENOENT, "{name}");
    }
    mount.end();

    let bench = Bench::demo();
    let mount = bench.mount();
    let day = mount.path.join("cache-a/SENTINEL-2/by-date/2024/09/24/T32TQM");
    assert_eq!(errno(std::fs::metadata(day.join("TCI_60m.vrt"))), libc::ENOENT, "the items tell nothing");
    mount.end();
}
