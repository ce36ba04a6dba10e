//! The Zarr host: what is in the stores, and who may have it.

use std::sync::Arc;

use dcms_emulator::accounts::OFFLINE_TOKEN;
use dcms_emulator::{DataSet, Options, Scale};
use reqwest::Method;
use serde_json::Value;
use zarrs::array::{Array, ArraySubset};
use zarrs::storage::store::MemoryStore;
use zarrs::storage::{StoreKey, WritableStorageTraits};

use crate::support::{Answer, Bench, read};

const CLIMATE: &str = "d1-climate-dt/demo-climate-sfc-v0.zarr";
const REANALYSIS: &str = "era5/demo-reanalysis-era5-v0.zarr";
const SHARDED: &str = "climate-dt-2/demo-sharded-v0.zarr";
const NESTED: &str = "era5/demo-nested-v0.zarr";

async fn object(bench: &Bench, key: &str) -> Answer {
    let url = bench.emulator.cache_b_url() + key;
    let request = bench.request(Method::GET, &url).basic_auth("anonymous", Some(OFFLINE_TOKEN));
    read(request.send().await.unwrap()).await.unwrap()
}

/// Copies one array of a store over HTTP and opens it.
async fn open(bench: &Bench, store: &str, path: &str, separator: &str) -> (Array<MemoryStore>, usize) {
    let copy = Arc::new(MemoryStore::new());
    let mut absent = 0;
    let put =
        |key: &str, bytes: Vec<u8>| copy.set(&StoreKey::new(format!("{path}/{key}")).unwrap(), bytes.into());
    for key in [".zarray", ".zattrs", "zarr.json"] {
        let answer = object(bench, &format!("{store}/{path}/{key}")).await;
        if answer.status == 200 {
            put(key, answer.body).unwrap();
        }
    }
    let array = Array::open(Arc::clone(&copy), &format!("/{path}")).unwrap();
    for chunk in ArraySubset::new_with_shape(array.chunk_grid().grid_shape().to_vec()).indices() {
        let name = chunk.iter().map(u64::to_string).collect::<Vec<String>>().join(separator);
        let name = if store.contains("sharded") || store.contains("reanalysis") {
            format!("c/{name}")
        } else {
            name
        };
        let answer = object(bench, &format!("{store}/{path}/{name}")).await;
        if answer.status == 200 {
            put(&name, answer.body).unwrap();
        } else {
            assert_eq!(answer.status, 404, "{name}");
            absent += 1;
        }
    }
    (array, absent)
}

#[tokio::test]
async fn the_stores_hold_temperatures() {
    let bench = Bench::demo().await;
    for (store, path, separator, absent) in [
        (CLIMATE, "t2m", ".", 3),
        (REANALYSIS, "t2m", "/", 0),
        (SHARDED, "t2m", "/", 0),
        (NESTED, "pressure/t", "/", 1),
    ] {
        let (array, missing) = open(&bench, store, path, separator).await;
        assert_eq!(missing, absent, "{store}");
        let values: Vec<f32> = array.retrieve_array_subset(&array.subset_all()).unwrap();
        let known = values.iter().filter(|value| !value.is_nan()).map(|value| f64::from(*value));
        let (count, sum) = known.fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value));
        assert!((245.0..285.0).contains(&(sum / count)), "{store}: {}", sum / count);
        assert_eq!(count as usize == values.len(), absent == 0, "{store}");
    }
}

#[tokio::test]
async fn metadata_is_the_same_in_every_run() {
    let (one, two) = (Bench::demo().await, Bench::demo().await);
    for key in
        [format!("{CLIMATE}/.zmetadata"), format!("{REANALYSIS}/zarr.json"), format!("{CLIMATE}/t2m/0.0.0")]
    {
        let (first, second) = (object(&one, &key).await, object(&two, &key).await);
        assert_eq!((first.status, &first.body), (200, &second.body), "{key}");
        assert_eq!(first.header("etag"), second.header("etag"));
        assert_eq!(one.emulator.expect_bytes(&key).unwrap(), first.body);
    }
    let consolidated: Value = object(&one, &format!("{CLIMATE}/.zmetadata")).await.json();
    let part: Value = object(&one, &format!("{CLIMATE}/t2m/.zarray")).await.json();
    assert_eq!(consolidated["metadata"]["t2m/.zarray"], part);
    let root: Value = object(&one, &format!("{REANALYSIS}/zarr.json")).await.json();
    assert_eq!(root["consolidated_metadata"]["metadata"]["t2m"]["shape"][0], 120);
    assert_eq!(object(&one, &format!("{NESTED}/.zmetadata")).await.status, 404);
    for key in [
        format!("{CLIMATE}/"),
        CLIMATE.to_owned(),
        format!("{CLIMATE}/t2m"),
        "nothing.zarr/.zgroup".to_owned(),
    ] {
        assert_eq!(object(&one, &key).await.status, 404, "{key}");
    }
}

#[tokio::test]
async fn credentials_quotas_and_switches() {
    let bench = Bench::demo().await;
    let key = format!("{CLIMATE}/.zgroup");
    let url = bench.emulator.cache_b_url() + &key;
    let status = async |login: &str, password: &str| {
        bench
            .request(Method::GET, &url)
            .basic_auth(login, Some(password))
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(bench.get(&url).await.status, 401);
    assert_eq!(status("anonymous", "wrong").await, 401);
    assert_eq!(status("edh", OFFLINE_TOKEN).await, 401);
    assert_eq!(status("anonymous", OFFLINE_TOKEN).await, 200);
    let bearer = bench.request(Method::GET, &url).bearer_auth(&bench.token).send();
    assert_eq!(bearer.await.unwrap().status(), 401);
    bench.change(|behaviour| {
        behaviour.cache_b.absent = 403;
        behaviour.cache_b.bearer = true;
        behaviour.cache_b.head = false;
        behaviour.cache_b.range = false;
    });
    assert_eq!(object(&bench, &format!("{CLIMATE}/t2m/3.1.1")).await.status, 403);
    let bearer = bench.request(Method::GET, &url).bearer_auth(&bench.token).header("Range", "bytes=0-1");
    assert_eq!(bearer.send().await.unwrap().status(), 200);
    let head = bench.request(Method::HEAD, &url).basic_auth("anonymous", Some(OFFLINE_TOKEN)).send().await;
    assert_eq!(head.unwrap().status(), 405);

    bench.emulator.journal().reset();
    bench.change(|behaviour| {
        behaviour.cache_b.request_quota = Some(3);
        behaviour.cache_b.retry_after = Some("60".to_owned());
    });
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(object(&bench, &key).await.status);
    }
    assert_eq!(seen, [200, 200, 200, 429]);
    bench.emulator.journal().reset();
    bench.change(|behaviour| {
        behaviour.cache_b.request_quota = None;
        behaviour.cache_b.byte_quota = Some(1000);
    });
    assert_eq!(object(&bench, &format!("{CLIMATE}/.zmetadata")).await.status, 200);
    let refused = object(&bench, &key).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("60")));
    bench.change(|behaviour| {
        behaviour.cache_b.byte_quota = None;
        behaviour.cache_b.forbidden = true;
    });
    assert_eq!(object(&bench, &key).await.status, 403);
}

#[tokio::test]
async fn the_huge_store() {
    let bench =
        Bench::with(Options { data: DataSet::Synthetic(Scale::default()), ..Options::default() }).await;
    let store = bench.emulator.stores().into_iter().find(|store| store.contains("IFS-NEMO")).unwrap();
    let consolidated: Value = object(&bench, &format!("{store}/.zmetadata")).await.json();
    assert_eq!(consolidated["metadata"]["t2m/.zarray"]["shape"], serde_json::json!([175_320, 4096, 8193]));
    let exists = |key: &str| bench.emulator.expect_size(&format!("{store}/t2m/{key}"));
    let present = (0..1000).filter(|time| exists(&format!("{time}.3.5")).is_some()).count();
    assert!((850..950).contains(&present), "{present}");
    for key in ["3653.0.0", "0.8.0", "0.0.17", "0.0", "0.0.0.0", "00.0.0", "-1.0.0", "a.b.c"] {
        assert_eq!(exists(key), None, "{key}");
    }
    let key = (0..).map(|time| format!("{time}.7.16")).find(|key| exists(key).is_some()).unwrap();
    assert_eq!(exists(&key), Some(48 * 512 * 512 * 4));
    let path = format!("{store}/t2m/{key}");
    let url = bench.emulator.cache_b_url() + &path;
    let part = bench.request(Method::GET, &url).basic_auth("anonymous", Some(OFFLINE_TOKEN));
    let part = read(part.header("Range", "bytes=1001-2000").send().await.unwrap()).await.unwrap();
    assert_eq!(part.body, bench.emulator.expect_range(&path, 1001, 1000).unwrap());
    let values = bench.emulator.expect_range(&path, 0, 4000).unwrap();
    let values = values.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    assert!(values.into_iter().all(|value| (256.0..320.0).contains(&value)));
}
