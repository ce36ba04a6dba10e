//! Every effect of the fault grammar, seen by a client.

use std::io::ErrorKind;
use std::time::Duration;

use reqwest::{Client, Method};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::{Answer, Bench, read};

/// One download by a bare socket: what came, and how the connection ended.
async fn bare(bench: &Bench, path: &str) -> (Vec<u8>, Result<(), ErrorKind>) {
    let address = bench.emulator.url().replace("http://", "");
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST /stac/download?filename={path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nAuthorization: Bearer {}\r\n\r\n",
        bench.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut all, mut piece) = (Vec::new(), vec![0; 65536]);
    let end = loop {
        match tokio::time::timeout(Duration::from_secs(5), stream.read(&mut piece)).await.unwrap() {
            Ok(0) => break Ok(()),
            Ok(count) => all.extend_from_slice(&piece[..count]),
            Err(error) => break Err(error.kind()),
        }
    };
    (all, end)
}

fn body_of(answer: &[u8]) -> &[u8] {
    let at = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    &answer[at + 4..]
}

struct Stage {
    bench: Bench,
    path: String,
    truth: Vec<u8>,
}

impl Stage {
    async fn new() -> Stage {
        let bench = Bench::demo().await;
        let (path, _) = bench.small_file();
        let truth = bench.emulator.expect_bytes(&path).unwrap();
        Stage { bench, path, truth }
    }

    fn fault(&self, effect: &str) {
        self.bench.emulator.faults().clear();
        self.bench.emulator.faults().add(&format!("POST /stac/download* -> {effect}")).unwrap();
    }

    async fn download(&self) -> Answer {
        self.bench.download(&self.path).await
    }

    async fn range(&self, range: &str) -> Answer {
        read(self.bench.ask(&self.path).header("Range", range).send().await.unwrap()).await.unwrap()
    }
}

#[tokio::test]
async fn connections_that_end_early() {
    let stage = Stage::new().await;
    for after in [0usize, 1, 5000] {
        stage.fault(&format!("reset after={after}"));
        let (answer, end) = bare(&stage.bench, &stage.path).await;
        assert_eq!(body_of(&answer), &stage.truth[..after]);
        assert_eq!(end, Err(ErrorKind::ConnectionReset));
        stage.fault(&format!("close after={after}"));
        let (answer, end) = bare(&stage.bench, &stage.path).await;
        assert_eq!(body_of(&answer), &stage.truth[..after]);
        assert_eq!(end, Ok(()));
        let head = String::from_utf8_lossy(&answer).to_lowercase();
        assert!(head.contains(&format!("content-length: {}", stage.truth.len())), "{head}");
    }
    stage.fault("chunked + close after=100");
    let (answer, end) = bare(&stage.bench, &stage.path).await;
    assert!(
        end.is_ok() && String::from_utf8_lossy(&answer).to_lowercase().contains("transfer-encoding: chunked")
    );
    assert!(!answer.ends_with(b"0\r\n\r\n"));
    stage.fault("length add=10");
    let response = stage.bench.ask(&stage.path).send().await.unwrap();
    assert_eq!(response.content_length(), Some(stage.truth.len() as u64 + 10));
    assert!(read(response).await.is_err());
    stage.fault("length add=-10");
    assert_eq!(stage.download().await.body, stage.truth[..stage.truth.len() - 10]);
    stage.fault(r#"raw text="HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello""#);
    let (answer, _) = bare(&stage.bench, &stage.path).await;
    assert_eq!(answer, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello");
}

#[tokio::test]
async fn slowness() {
    let stage = Stage::new().await;
    for effect in ["delay for=150ms", "stall after=1000 for=150ms"] {
        stage.fault(effect);
        let start = Instant::now();
        assert!(stage.download().await.body == stage.truth);
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(150) && took < Duration::from_secs(3), "{effect} {took:?}");
    }
    stage.fault("drip rate=100");
    let start = Instant::now();
    assert_eq!(stage.range("bytes=0-29").await.body, stage.truth[..30]);
    assert!(start.elapsed() >= Duration::from_millis(250));
}

#[tokio::test]
async fn wrong_answers() {
    let stage = Stage::new().await;
    let size = stage.truth.len();
    stage.fault("flip at=100 count=2");
    let wrong = stage.download().await.body;
    let differ = (0..size).filter(|at| wrong[*at] != stage.truth[*at]).collect::<Vec<usize>>();
    assert_eq!(differ, [100, 101]);
    assert!(stage.range("bytes=102-199").await.body == stage.truth[102..200]);
    stage.fault("content-range shift=5");
    let answer = stage.range("bytes=10-19").await;
    assert_eq!(answer.header("content-range"), Some(format!("bytes 15-24/{size}").as_str()));
    assert_eq!(answer.body, stage.truth[10..20]);
    stage.fault("shift-range by=5");
    let answer = stage.range("bytes=10-19").await;
    assert_eq!(answer.header("content-range"), Some(format!("bytes 15-24/{size}").as_str()));
    assert_eq!(answer.body, stage.truth[15..25]);
    stage.fault("multipart");
    let answer = stage.range("bytes=10-19").await;
    assert!(answer.header("content-type").unwrap().starts_with("multipart/byteranges"));
    stage.fault("whole");
    assert_eq!(stage.range("bytes=10-19").await.status, 200);
    stage.fault("html");
    let answer = stage.download().await;
    assert!(answer.status == 200 && answer.text().contains("<html>"));
    stage.fault("gzip");
    let answer = stage.download().await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(&answer.body[..2], b"\x1f\x8b");
    stage.fault("redirect to=foreign code=307");
    let answer = stage.download().await;
    assert_eq!(answer.status, 307);
    let location = answer.header("location").unwrap();
    assert!(location.starts_with(&stage.bench.emulator.foreign_url()));
    assert!(stage.bench.get(location).await.body == stage.truth);
    stage.fault("header name=ETag value=W/x + remove-header name=content-length");
    let answer = stage.download().await;
    assert_eq!((answer.header("etag"), answer.header("content-length")), (Some("W/x"), None));
    stage.fault("status code=503 retry-after=7 body=later");
    let answer = stage.download().await;
    assert_eq!(
        (answer.status, answer.header("retry-after"), answer.text()),
        (503, Some("7"), "later".to_owned())
    );
}

#[tokio::test]
async fn objects_that_change() {
    let stage = Stage::new().await;
    let first = stage.download().await;
    stage.bench.emulator.faults().add("/stac/download nth=1 -> change longer=3").unwrap();
    let second = stage.download().await;
    assert_eq!(second.body.len(), first.body.len() + 3);
    assert_ne!(second.header("etag"), first.header("etag"));
    assert!(second.body.iter().zip(&first.body).all(|(a, b)| a != b));
    assert!(stage.download().await.body == second.body);
    stage.bench.emulator.touch(&stage.path, 0);
    let third = stage.download().await;
    assert_ne!(third.header("etag"), second.header("etag"));
    assert!(stage.bench.emulator.expect_bytes(&stage.path).unwrap() == third.body);
}

#[tokio::test]
async fn conditions() {
    let stage = Stage::new().await;
    let faults = stage.bench.emulator.faults();
    let rule = faults.add("POST *B02_10m.jp2 nth=2 range=any -> status code=500").unwrap();
    let mut seen = Vec::new();
    for range in [None, Some("bytes=0-1"), None, Some("bytes=2-3"), Some("bytes=4-5")] {
        let mut request = stage.bench.ask(&stage.path);
        if let Some(range) = range {
            request = request.header("Range", range);
        }
        seen.push(request.send().await.unwrap().status().as_u16());
    }
    assert_eq!(seen, [200, 206, 200, 500, 206]);
    assert_eq!(faults.hits(rule), 1);
    let journal = stage.bench.emulator.journal().snapshot();
    assert_eq!(journal.entries.iter().filter(|entry| entry.fault.is_some()).count(), 1);
    faults.clear();
    assert_eq!(stage.download().await.status, 200);
}

#[tokio::test]
async fn scripts_can_do_it_too() {
    let stage = Stage::new().await;
    let post = async |path: &str, body: &str| {
        let answer = stage.bench.request(Method::POST, path).body(body.to_owned()).send().await.unwrap();
        read(answer).await.unwrap()
    };
    assert_eq!(post("/_emulator/faults", "/stac/download -> html\nnonsense").await.status, 400);
    assert_eq!(stage.download().await.header("content-type"), Some("image/jp2"));
    assert_eq!(
        post("/_emulator/faults", "# a comment\n/stac/download -> status code=500\n").await.status,
        200
    );
    assert_eq!(stage.download().await.status, 500);
    stage.bench.request(Method::DELETE, "/_emulator/faults").send().await.unwrap();
    assert_eq!(stage.download().await.status, 200);
    assert_eq!(post("/_emulator/behaviour", r#"{"download":{"range":"maybe"}}"#).await.status, 400);
    assert_eq!(post("/_emulator/behaviour", r#"{"download":{"range":false}}"#).await.status, 200);
    assert!(!stage.bench.emulator.behaviour().download.range);
    assert_eq!(stage.range("bytes=0-0").await.status, 200);
    let token = post("/_emulator/token", "").await.json()["access_token"].as_str().unwrap().to_owned();
    let ask = stage.bench.request(Method::POST, &format!("/stac/download?filename={}", stage.path));
    assert_eq!(ask.bearer_auth(token).send().await.unwrap().status(), 200);
    let truth = stage.bench.get(&format!("/_emulator/object?path={}", stage.path)).await;
    assert!(truth.body == stage.truth);
    let journal = stage.bench.json("/_emulator/journal").await;
    assert_eq!(journal["totals"]["download"]["requests"], 5);
    assert!(journal["entries"].as_array().unwrap().iter().all(|entry| entry["path"] == "/stac/download"));
}

#[tokio::test]
async fn http_2_works() {
    let stage = Stage::new().await;
    let client = Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let url = format!("{}?filename={}", stage.bench.emulator.download_url(), stage.path);
    let answer = client.post(&url).bearer_auth(&stage.bench.token).send().await.unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    assert!(read(answer).await.unwrap().body == stage.truth);
}
