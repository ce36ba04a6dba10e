//! Products and stores from a directory, plain addresses, and a network that is changed while it runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dcms_emulator::accounts::OFFLINE_TOKEN;
use dcms_emulator::journal::Endpoint;
use dcms_emulator::{Network, Options};
use reqwest::Method;
use tokio::time::Instant;

use crate::support::{Answer, Bench, ids, read};

const PRODUCT: &str = "S2A_MSIL2A_20240924T101031_N0511_R022_T32TQM_20240924T161048.SAFE";
const SINGLE: &str = "S5P_OFFL_L2__NO2____20240924T112305_20240924T112805_36004_03_020701_20240924T172322";

/// A directory with some files, removed when it is dropped.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let top = std::env::temp_dir().join(format!("dcms-emulator-{name}-{}", std::process::id()));
        let put = |path: &str, bytes: &[u8]| {
            let path = top.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        put(&format!("products/SENTINEL-2/{PRODUCT}/MTD_MSIL2A.xml"), b"<metadata/>");
        put(&format!("products/SENTINEL-2/{PRODUCT}/GRANULE/L2A/B04_10m.jp2"), &[7; 100_000]);
        put(&format!("products/SENTINEL-5P/{SINGLE}/{SINGLE}.nc"), b"netCDF");
        put("stores/bench/little.zarr/.zgroup", b"{\"zarr_format\":2}");
        put("stores/bench/little.zarr/t2m/0.0", &[9; 500]);
        Directory(top)
    }

    async fn bench(&self) -> Bench {
        Bench::with(Options { files: Some(self.0.clone()), ..Options::default() }).await
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn plain(bench: &Bench, path: &str) -> Answer {
    let request = bench.request(Method::GET, &format!("/plain/{path}")).bearer_auth(&bench.token);
    read(request.send().await.unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_directory_is_served_as_products() {
    let directory = Directory::new("products");
    let bench = directory.bench().await;
    let page = bench.json("/stac/api/search?collections=SENTINEL-2").await;
    assert_eq!(ids(&page), [PRODUCT]);
    let assets = page["features"][0]["assets"].as_object().unwrap();
    let sizes = assets.values().map(|asset| asset["file:size"].as_u64().unwrap());
    assert_eq!(sizes.sum::<u64>(), 100_011);
    let path = format!("SENTINEL-2/2024/09/24/{PRODUCT}/GRANULE/L2A/B04_10m.jp2");
    assert_eq!(bench.download(&path).await.body, [7; 100_000]);
    assert_eq!(bench.download(&format!("SENTINEL-5P/2024/09/24/{SINGLE}.nc")).await.body, b"netCDF");
    // The other collections stay as they are.
    assert!(!ids(&bench.json("/stac/api/search?collections=SENTINEL-3").await).is_empty());
}

#[tokio::test]
async fn a_directory_is_served_as_stores() {
    let directory = Directory::new("stores");
    let bench = directory.bench().await;
    assert!(bench.emulator.stores().contains(&"bench/little.zarr".to_owned()));
    for (key, status, length) in [("t2m/0.0", 200, 500), ("t2m/0.1", 404, 0), (".zgroup", 200, 17)] {
        let url = format!("{}bench/little.zarr/{key}", bench.emulator.cache_b_url());
        let request = bench.request(Method::GET, &url).basic_auth("anonymous", Some(OFFLINE_TOKEN));
        let answer = read(request.send().await.unwrap()).await.unwrap();
        assert_eq!(answer.status, status, "{key}");
        assert!(status == 404 || answer.body.len() == length, "{key}");
    }
}

#[tokio::test]
async fn plain_addresses_have_index_pages() {
    let directory = Directory::new("plain");
    let bench = directory.bench().await;
    let folder = format!("SENTINEL-2/2024/09/24/{PRODUCT}/");
    let links = plain(&bench, &folder).await.text();
    assert!(links.contains("href=\"GRANULE/\"") && links.contains("href=\"MTD_MSIL2A.xml\""), "{links}");
    assert_eq!(plain(&bench, &format!("{folder}GRANULE/L2A/B04_10m.jp2")).await.body.len(), 100_000);
    assert!(plain(&bench, "SENTINEL-5P/2024/09/24/").await.text().contains(&format!("href=\"{SINGLE}.nc\"")));
    assert_eq!(plain(&bench, &format!("{folder}nothing/")).await.status, 404);
    assert_eq!(bench.get(&format!("/plain/{folder}MTD_MSIL2A.xml")).await.status, 401);
    assert_eq!(bench.emulator.journal().peak(Endpoint::Download), 1);
}

#[tokio::test]
async fn a_directory_that_cannot_be_read_is_an_error() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let started = dcms_emulator::Emulator::start(Options { files: Some(file), ..Options::default() }).await;
    assert!(started.is_err());
}

#[tokio::test]
async fn the_network_can_be_changed() {
    let bench = Bench::demo().await;
    let took = async |network: &str| {
        let url = "/_emulator/network";
        let answer = bench.request(Method::POST, url).body(network.to_owned()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        // It holds for connections that are made afterwards.
        let client = reqwest::Client::new();
        let begun = Instant::now();
        let answer = client.get(bench.emulator.stac_url()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        begun.elapsed()
    };
    assert!(took(r#"{"rtt_ms": 100}"#).await >= Duration::from_millis(300));
    assert!(took("{}").await < Duration::from_millis(300));
    let told = bench.json("/_emulator/network").await;
    assert_eq!(serde_json::from_value::<Network>(told).unwrap(), Network::default());
    let wrong =
        bench.request(Method::POST, "/_emulator/network").body("{\"speed\": 1}").send().await.unwrap();
    assert_eq!(wrong.status(), 400);
}
