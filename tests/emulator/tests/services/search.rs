//! The search: filters, variants of items, and every form of paging.

use std::collections::HashSet;

use dcms_emulator::behaviour::{HrefForm, NextForm, Sizes};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Bench, ids, next, read};

#[tokio::test]
async fn the_root_leads_to_collections_and_search() {
    let bench = Bench::demo().await;
    let root = bench.json("/stac/api").await;
    let links = root["links"].as_array().unwrap();
    for rel in ["self", "data", "search"] {
        assert!(links.iter().any(|link| link["rel"] == rel), "{rel}");
    }
    let collections = bench.json("/stac/api/collections").await;
    let names = collections["collections"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap());
    let names = names.collect::<Vec<&str>>();
    for name in ["SENTINEL-1", "SENTINEL-2", "SENTINEL-3", "SENTINEL-5P", "GLOBAL-MOSAICS"] {
        assert!(names.contains(&name), "{name}");
    }
    let one = bench.json("/stac/api/collections/SENTINEL-2").await;
    assert_eq!(one["extent"]["temporal"]["interval"][0][1], Value::Null);
    assert_eq!(bench.get("/stac/api/collections/NOTHING").await.status, 404);
}

#[tokio::test]
async fn filters_narrow() {
    let bench = Bench::demo().await;
    let search = |query: &str| {
        let path = format!("/stac/api/search?collections=SENTINEL-2&{query}");
        let bench = &bench;
        async move { ids(&bench.json(&path).await) }
    };
    assert_eq!(search("").await.len(), 6);
    let day = search("datetime=2024-09-24T00:00:00Z/2024-09-25T00:00:00Z").await;
    assert_eq!(day.len(), 2);
    assert_eq!(search("datetime=2024-09-24T00:00:00Z/..").await.len(), 3);
    assert_eq!(search("datetime=../2024-09-20T00:00:00Z").await.len(), 2);
    assert_eq!(search("datetime=2024-09-24T10:10:31.024Z").await.len(), 1);
    assert_eq!(search("bbox=4,51,6,53").await.len(), 1);
    assert_eq!(search("bbox=4,51,-10,6,53,9000").await.len(), 1);
    assert_eq!(search("bbox=170,-90,-170,90").await.len(), 0);
    assert_eq!(search(&format!("ids={},unknown", day[0])).await, [day[0].clone()]);
    assert_eq!(search(&format!("ids={}", day[0].trim_end_matches(".SAFE"))).await, [day[0].clone()]);
    let clear = search("filter=eo:cloud_cover%3C30").await.len();
    let cloudy = search("filter=eo:cloud_cover%3E=30").await.len();
    assert!(clear > 0 && cloudy > 0 && clear + cloudy == 6);
    bench.change(|behaviour| {
        behaviour.stac.filter = false;
        behaviour.stac.ids = false;
    });
    assert_eq!(search("filter=eo:cloud_cover%3C30").await.len(), 6);
    assert_eq!(search("ids=unknown").await.len(), 6);
}

#[tokio::test]
async fn malformed_searches_are_400() {
    let bench = Bench::demo().await;
    for query in [
        "bbox=1,2,3",
        "bbox=a,b,c,d",
        "bbox=1,50,2,40",
        "bbox=0,0,200,0",
        "limit=0",
        "limit=x",
        "datetime=2024-09-24",
        "datetime=today",
        "datetime=../..",
        "filter=cloud",
        "token=xyz",
        "datetime=2024-09-25T00:00:00Z/2024-09-24T00:00:00Z",
    ] {
        assert_eq!(bench.get(&format!("/stac/api/search?{query}")).await.status, 400, "{query}");
    }
    let answer = bench.request(Method::POST, "/stac/api/search").body("{").send().await.unwrap();
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn post_searches_as_get_does() {
    let bench = Bench::demo().await;
    let body = json!({
        "collections": ["SENTINEL-2"], "bbox": [4, 51, 6, 53], "limit": 5,
        "filter": { "op": ">=", "args": [{ "property": "eo:cloud_cover" }, 0] }, "filter-lang": "cql2-json",
    });
    let post = || bench.request(Method::POST, "/stac/api/search").body(body.to_string()).send();
    assert_eq!(ids(&read(post().await.unwrap()).await.unwrap().json()).len(), 1);
    bench.change(|behaviour| behaviour.stac.post = false);
    assert_eq!(post().await.unwrap().status(), 405);
}

/// Follows `next` links to the end and gives the identifiers of each page.
async fn walk(bench: &Bench, first: &str, most: usize) -> Vec<Vec<String>> {
    let mut page = bench.json(first).await;
    let mut pages = vec![ids(&page)];
    let mut body = json!({ "collections": ["SENTINEL-2"], "limit": 7 });
    while let Some(link) = next(&page).filter(|_| pages.len() < most) {
        let href = link["href"].as_str().unwrap();
        let url = if href.starts_with('?') {
            format!("{}/stac/api/search{href}", bench.emulator.url())
        } else {
            href.to_owned()
        };
        page = if link["method"] == "POST" {
            if link["merge"] == true {
                for (key, value) in link["body"].as_object().unwrap() {
                    body[key] = value.clone();
                }
            } else {
                body = link["body"].clone();
            }
            let answer = bench.request(Method::POST, &url).body(body.to_string()).send().await.unwrap();
            read(answer).await.unwrap().json()
        } else {
            bench.json(&url).await
        };
        pages.push(ids(&page));
    }
    pages
}

#[tokio::test]
async fn every_form_of_paging_is_complete() {
    let bench = Bench::synthetic(10, 3).await;
    let forms = [
        NextForm::Token,
        NextForm::Relative,
        NextForm::PostMerge,
        NextForm::PostWhole,
        NextForm::Page,
        NextForm::EmptyPages,
    ];
    for form in forms {
        bench.change(|behaviour| behaviour.stac.next = form);
        let pages = walk(&bench, "/stac/api/search?collections=SENTINEL-2&limit=7", 50).await;
        let all = pages.concat();
        assert_eq!(all.len(), 30, "{form:?}");
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 30, "{form:?}");
        assert_eq!(pages.iter().any(Vec::is_empty), form == NextForm::EmptyPages, "{form:?}");
    }
}

#[tokio::test]
async fn paging_that_never_ends() {
    let bench = Bench::synthetic(10, 1).await;
    for form in [NextForm::Loop, NextForm::Endless] {
        bench.change(|behaviour| behaviour.stac.next = form);
        let pages = walk(&bench, "/stac/api/search?collections=SENTINEL-2&limit=7", 9).await;
        assert_eq!(pages.len(), 9, "{form:?}");
        let unique = pages.concat().into_iter().collect::<HashSet<String>>();
        assert_eq!(unique.len(), if form == NextForm::Loop { 7 } else { 10 }, "{form:?}");
    }
}

#[tokio::test]
async fn pages_are_capped() {
    let bench = Bench::synthetic(100, 1).await;
    bench.change(|behaviour| {
        behaviour.stac.max_limit = 20;
        behaviour.stac.max_pages = Some(3);
    });
    for form in [NextForm::Token, NextForm::Page] {
        bench.change(|behaviour| behaviour.stac.next = form);
        let pages = walk(&bench, "/stac/api/search?collections=SENTINEL-2&limit=1000", 50).await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<usize>>(), [20, 20, 20], "{form:?}");
    }
}

#[tokio::test]
async fn a_hundred_thousand_items() {
    let bench = Bench::synthetic(10_000, 10).await;
    let path =
        "/stac/api/collections/SENTINEL-2/items?limit=3&datetime=2024-09-07T12:00:00Z/2024-09-07T12:00:30Z";
    let page = bench.json(path).await;
    assert_eq!(ids(&page).len(), 3);
    let item = &page["features"][2];
    let own = item["links"][0]["href"].as_str().unwrap();
    assert_eq!(bench.json(own).await["id"], item["id"]);
    let last =
        bench.json("/stac/api/search?collections=SENTINEL-2&datetime=2024-09-10T23:59:50Z/..&limit=50").await;
    assert!(!ids(&last).is_empty() && next(&last).is_none());
}

#[tokio::test]
async fn every_form_of_address_downloads_the_same_file() {
    let bench = Bench::synthetic(8, 1).await;
    let forms = [
        HrefForm::Plain,
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
        bench.change(|behaviour| behaviour.items.hrefs = form);
        for collection in
            ["SENTINEL-1", "SENTINEL-2", "SENTINEL-3", "SENTINEL-5P", "GLOBAL-MOSAICS", "SENTINEL-6"]
        {
            let page = bench.json(&format!("/stac/api/search?collections={collection}&limit=8")).await;
            let item = &page["features"][3];
            let (_, asset) = item["assets"].as_object().unwrap().iter().next().unwrap();
            let href = asset["href"].as_str().unwrap();
            let answer = bench.request(Method::POST, href).bearer_auth(&bench.token).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{form:?} {href}");
            let answer = read(answer).await.unwrap();
            assert_eq!(answer.body.len() as u64, asset["file:size"].as_u64().unwrap(), "{form:?} {href}");
        }
    }
}

#[tokio::test]
async fn variants_of_items() {
    let bench = Bench::demo().await;
    let path = "/stac/api/search?collections=SENTINEL-2&limit=1";
    let item = bench.json(path).await["features"][0].clone();
    assert!(item["id"].as_str().unwrap().ends_with(".SAFE"));
    let count = item["assets"].as_object().unwrap().len();
    bench.change(|behaviour| {
        behaviour.items.suffix_in_id = false;
        behaviour.items.null_datetime = true;
        behaviour.items.product_zip = true;
        behaviour.items.few_assets = true;
        behaviour.items.sizes = Sizes::None;
    });
    let item = bench.json(path).await["features"][0].clone();
    assert!(!item["id"].as_str().unwrap().contains(".SAFE"));
    assert!(item["properties"]["datetime"].is_null() && item["properties"]["start_datetime"].is_string());
    let assets = item["assets"].as_object().unwrap();
    assert!(assets.len() < count / 2 && assets.contains_key("Product"));
    assert!(assets.values().all(|asset| asset.get("file:size").is_none()));
    let href = assets["Product"]["href"].as_str().unwrap();
    let zip = read(bench.request(Method::POST, href).bearer_auth(&bench.token).send().await.unwrap())
        .await
        .unwrap();
    assert_eq!((zip.status, &zip.body[..4]), (200, b"PK\x03\x04".as_slice()));
    let mosaics =
        bench.json("/stac/api/search?collections=GLOBAL-MOSAICS&datetime=2024-08-15T00:00:00Z").await;
    assert_eq!(ids(&mosaics), ["Sentinel-2_mosaic_2024_Q3_32TQM_0_0"]);
    bench.change(|behaviour| behaviour.items.gone = Some("T31UFT".to_owned()));
    assert_eq!(ids(&bench.json("/stac/api/search?collections=SENTINEL-2").await).len(), 5);
}
