//! The download address: credentials, ranges, the limit of parallel downloads, redirects, speed.

use std::time::Duration;

use dcms_emulator::behaviour::Excess;
use dcms_emulator::journal::Endpoint;
use dcms_emulator::{DataSet, Options, Scale};
use reqwest::Method;
use tokio::time::Instant;

use crate::support::{Bench, read};

#[tokio::test]
async fn a_file_comes_whole_and_in_parts() {
    let bench = Bench::demo().await;
    let (path, size) = bench.small_file();
    let truth = bench.emulator.expect_bytes(&path).unwrap();
    assert_eq!(truth.len() as u64, size);
    let whole = bench.download(&path).await;
    assert_eq!((whole.status, whole.header("content-length")), (200, Some(size.to_string().as_str())));
    assert!(whole.body == truth);
    let etag = whole.header("etag").unwrap().to_owned();
    let part = read(bench.ask(&path).header("Range", "bytes=100-299").send().await.unwrap()).await.unwrap();
    assert_eq!(part.status, 206);
    assert_eq!(part.header("content-range"), Some(format!("bytes 100-299/{size}").as_str()));
    assert!(part.body == truth[100..300] && part.header("etag") == Some(&etag));
    let past = bench.ask(&path).header("Range", format!("bytes={size}-")).send().await.unwrap();
    assert_eq!(past.status(), 416);
    let stale =
        bench.ask(&path).header("Range", "bytes=0-9").header("If-Range", "\"other\"").send().await.unwrap();
    assert_eq!(stale.status(), 200);
    assert_eq!(bench.ask(&path).header("If-Match", "\"other\"").send().await.unwrap().status(), 412);
    assert_eq!(bench.ask(&path).header("If-None-Match", &etag).send().await.unwrap().status(), 304);
    assert_eq!(bench.emulator.expect_range(&path, 100, 200).unwrap(), truth[100..300]);
}

#[tokio::test]
async fn switches() {
    let bench = Bench::demo().await;
    let (path, _) = bench.small_file();
    let address = format!("/stac/download?filename={path}");
    bench.change(|behaviour| {
        behaviour.download.range = false;
        behaviour.download.get = false;
        behaviour.download.etag = false;
        behaviour.download.last_modified = false;
        behaviour.download.content_length = false;
    });
    let answer = read(bench.ask(&path).header("Range", "bytes=0-0").send().await.unwrap()).await.unwrap();
    assert_eq!(answer.status, 200);
    for header in ["etag", "last-modified", "content-length", "accept-ranges"] {
        assert_eq!(answer.header(header), None, "{header}");
    }
    assert!(answer.body == bench.emulator.expect_bytes(&path).unwrap());
    for method in [Method::GET, Method::HEAD] {
        let answer = bench.request(method, &address).bearer_auth(&bench.token).send().await.unwrap();
        assert_eq!(answer.status(), 405);
    }
    bench.change(|behaviour| behaviour.download.head = true);
    bench.change(|behaviour| behaviour.download.content_length = true);
    let head = bench.request(Method::HEAD, &address).bearer_auth(&bench.token).send().await.unwrap();
    assert_eq!(head.status(), 200);
}

#[tokio::test]
async fn credentials() {
    let bench = Bench::demo().await;
    let (path, _) = bench.small_file();
    let address = format!("/stac/download?filename={path}");
    assert_eq!(bench.request(Method::POST, &address).send().await.unwrap().status(), 401);
    assert_eq!(bench.request(Method::POST, &address).bearer_auth("x").send().await.unwrap().status(), 401);
    assert_eq!(bench.ask("no/such/file").send().await.unwrap().status(), 404);
    assert_eq!(bench.ask("").send().await.unwrap().status(), 404);
    bench.emulator.revoke_tokens();
    assert_eq!(bench.ask(&path).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn the_third_parallel_download() {
    let scale = Scale { items_per_day: 2, days: 1, ..Scale::default() };
    let bench = Bench::with(Options { data: DataSet::Synthetic(scale), ..Options::default() }).await;
    let page = bench.json("/stac/api/search?collections=SENTINEL-5P&limit=1").await;
    let id = page["features"][0]["id"].as_str().unwrap().to_owned();
    let (path, size) = bench.emulator.files("SENTINEL-5P", &id)[0].clone();
    assert!(size > 300_000_000);
    // Too large for the buffers of the sockets, so these two run until they are dropped.
    let first = bench.ask(&path).send().await.unwrap();
    let second = bench.ask(&path).send().await.unwrap();
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
    for code in [429, 403, 503] {
        bench.change(|behaviour| {
            behaviour.download.excess = Excess::Status(code);
            behaviour.download.retry_after = Some("7".to_owned());
        });
        let third = read(bench.ask(&path).send().await.unwrap()).await.unwrap();
        assert_eq!((third.status, third.header("retry-after")), (code, Some("7")));
    }
    assert_eq!(bench.emulator.journal().refused(), 3);
    bench.change(|behaviour| behaviour.download.excess = Excess::Wait);
    let third = bench.ask(&path).header("Range", "bytes=5-14").send();
    let drop_one = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(first);
    };
    let (third, ()) = tokio::join!(third, drop_one);
    let third = read(third.unwrap()).await.unwrap();
    assert_eq!(third.body, bench.emulator.expect_range(&path, 5, 10).unwrap());
    let journal = bench.emulator.journal();
    assert_eq!(journal.peak(Endpoint::Download), 2);
    drop(second);
    tokio::time::timeout(Duration::from_secs(5), async {
        while journal.totals(Endpoint::Download).running > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("dropped connections give their slots back");
    assert!(journal.bytes(Endpoint::Download) < size);
}

#[tokio::test]
async fn one_after_the_other_never_meets_the_limit() {
    let bench = Bench::demo().await;
    bench.change(|behaviour| behaviour.download.parallel = 1);
    let (path, _) = bench.small_file();
    for _ in 0..200 {
        assert_eq!(bench.download(&path).await.status, 200);
    }
}

#[tokio::test]
async fn redirects_lead_to_the_foreign_host() {
    let bench = Bench::demo().await;
    let (path, _) = bench.small_file();
    for code in [302, 307] {
        bench.change(|behaviour| behaviour.download.redirect = Some(code));
        let answer = bench.download(&path).await;
        assert_eq!(answer.status, code);
        let location = answer.header("location").unwrap().to_owned();
        assert!(location.starts_with(&bench.emulator.foreign_url()));
        let bytes = bench.get(&location).await;
        assert_eq!(bytes.status, 200);
        assert!(bytes.body == bench.emulator.expect_bytes(&path).unwrap());
        assert_eq!(bench.get(&location.replace("demo&", "other&")).await.status, 403);
        assert_eq!(bench.emulator.journal().leaks(), u64::from(code == 307));
        let leaky = bench.request(Method::GET, &location).bearer_auth(&bench.token).send().await.unwrap();
        assert_eq!(leaky.status(), 200);
    }
    let journal = bench.emulator.journal().snapshot();
    assert_eq!(journal.leaks, 2);
    assert!(journal.totals[&Endpoint::SignedDownload].bytes > 0);
    bench.change(|behaviour| behaviour.download.redirect_lifetime = 0);
    let answer = bench.download(&path).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(bench.get(answer.header("location").unwrap()).await.status, 403);
}

#[tokio::test]
async fn tokens_expire_in_mid_run() {
    let bench = Bench::demo().await;
    let (path, _) = bench.small_file();
    bench.change(|behaviour| behaviour.login.access_lifetime = 1);
    let token = bench.emulator.access_token();
    let ask = || bench.request(Method::POST, &format!("/stac/download?filename={path}")).bearer_auth(&token);
    assert_eq!(ask().send().await.unwrap().status(), 200);
    bench.change(|behaviour| behaviour.login.check_during_transfer = true);
    bench.emulator.faults().add("/stac/download -> drip rate=6000").unwrap();
    let answer = ask().send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(read(answer).await.is_err());
    assert_eq!(ask().send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn latency_and_speed() {
    let bench = Bench::with(Options {
        latency: Duration::from_millis(40),
        rate_per_connection: Some(40_000),
        ..Options::default()
    })
    .await;
    let (path, size) = bench.small_file();
    let start = Instant::now();
    assert_eq!(bench.download(&path).await.body.len() as u64, size);
    let (took, least) = (start.elapsed().as_secs_f64(), size as f64 / 40_000.0);
    assert!(took > least && took < least + 1.0, "{took} {least}");
}

#[tokio::test]
async fn synthetic_bytes_are_a_function_of_path_and_offset() {
    let (one, two) = (Bench::synthetic(5, 1).await, Bench::synthetic(5, 1).await);
    let page = one.json("/stac/api/search?collections=SENTINEL-1&limit=1").await;
    let id = page["features"][0]["id"].as_str().unwrap().to_owned();
    for (path, size) in one.emulator.files("SENTINEL-1", &id) {
        assert_eq!(two.emulator.expect_size(&path), Some(size));
        assert_eq!(one.download(&path).await.body, two.emulator.expect_bytes(&path).unwrap(), "{path}");
    }
}
