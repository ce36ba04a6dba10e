//! Whole exchanges against loopback servers: who gets the secret, what is followed, what is refused.

mod hostile;

use std::time::Duration;

use super::header::{HeaderMap, HeaderValue, RANGE};
use super::loopback::{Reply, Server};
use super::*;

const PATIENCE: Duration = Duration::from_secs(5);

fn tiny() -> Limits {
    Limits {
        connect: Duration::from_secs(2),
        no_progress: Duration::from_millis(150),
        minimum_rate: 1000,
        rate_window: Duration::from_millis(400),
        ..Limits::default()
    }
}

fn transport(servers: &[&Server]) -> Transport {
    let hosts = servers.iter().map(|server| Origin::of(&server.url("/")).unwrap()).collect();
    Transport::new(Policy { hosts, allow_foreign: false, limits: tiny() }, Keyring::new()).unwrap()
}

fn get(url: Url, purpose: Purpose) -> Request {
    Request {
        method: Method::GET,
        url,
        headers: HeaderMap::new(),
        body: RequestBody::Empty,
        purpose,
        first_byte: PATIENCE,
    }
}

fn post(url: Url) -> Request {
    Request { method: Method::POST, ..get(url, Purpose::Data) }
}

fn give(transport: &Transport, url: &Url, token: &str) -> u64 {
    transport.keyring().set(&Scope::below(url).unwrap(), Authorization::Bearer(token.into()))
}

async fn body(response: Response) -> Bytes {
    response.read_bounded(1 << 20).await.unwrap()
}

#[tokio::test]
async fn the_secret_goes_to_its_scope_and_an_empty_post_says_so() {
    let server = Server::start(|_| Reply::new(200, "", "bytes")).await;
    let transport = transport(&[&server]);
    let generation = give(&transport, &server.url("/stac/download"), "canary");

    let answer = transport.send(post(server.url("/stac/download?filename=a/b"))).await.unwrap();
    assert_eq!(answer.generation, generation);
    assert_eq!(&body(answer).await[..], b"bytes");
    let answer = transport.send(get(server.url("/stac/api"), Purpose::Metadata)).await.unwrap();
    assert_eq!(answer.generation, 0);

    let heard = server.heard();
    assert_eq!(heard[0].header("authorization"), Some("Bearer canary"));
    assert_eq!(heard[0].header("content-length"), Some("0"));
    assert_eq!(heard[0].header("content-type"), None);
    assert_eq!(heard[0].header("accept-encoding"), Some("identity"));
    assert_eq!(heard[0].header("user-agent"), Some(USER_AGENT));
    assert_eq!(heard[1].header("authorization"), None);
    assert_eq!(heard[1].header("accept-encoding"), Some("gzip"));
}

#[tokio::test]
async fn a_redirect_chain_never_carries_the_secret_elsewhere() {
    let signed = Server::start(|_| Reply::new(200, "", "signed bytes")).await;
    for status in [301, 302, 303, 307, 308] {
        let target = signed.url("/object?signature=s").to_string();
        let service = Server::start(move |heard| match heard.target.as_str() {
            "/a" => Reply::redirect(status, "/b"),
            _ => Reply::redirect(status, &target),
        })
        .await;
        let transport = transport(&[&service, &signed]);
        give(&transport, &service.url("/"), "canary");
        let before = signed.heard().len();
        let mut request = post(service.url("/a"));
        request.headers.insert(RANGE, HeaderValue::from_static("bytes=0-9"));
        assert_eq!(&body(transport.send(request).await.unwrap()).await[..], b"signed bytes");

        let heard = service.heard();
        assert!(heard.iter().all(|heard| heard.header("authorization") == Some("Bearer canary")));
        let last = &signed.heard()[before];
        assert_eq!(last.header("authorization"), None);
        assert_eq!((last.header("referer"), last.header("cookie")), (None, None));
        assert_eq!(last.header("range"), Some("bytes=0-9"));
        assert!(!last.text.contains("canary"));
        assert_eq!(last.method, if status < 304 { "GET" } else { "POST" });
    }
}

#[tokio::test]
async fn an_unconfigured_host_is_refused_before_a_byte_is_sent() {
    let stranger = Server::start(|_| Reply::new(200, "", "")).await;
    let target = stranger.url("/x?token=canary").to_string();
    let service = Server::start(move |_| Reply::redirect(302, &target)).await;
    let transport = transport(&[&service]);
    give(&transport, &service.url("/"), "canary");
    let error = transport.send(get(service.url("/"), Purpose::Data)).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.message().contains(&Origin::of(&stranger.url("/")).unwrap().to_string()), "{error}");
    assert!(!error.message().contains("canary"));
    assert!(stranger.heard().is_empty());
}

#[tokio::test]
async fn redirects_end() {
    let server = Server::start(|_| Reply::redirect(302, "/again")).await;
    let error = transport(&[&server]).send(get(server.url("/"), Purpose::Metadata)).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert_eq!(server.heard().len(), MAX_REDIRECTS + 1);
    for location in ["http://", "//user:pw@127.0.0.1/", "javascript:alert(1)", "file:///etc/passwd", ""] {
        let server = Server::start(move |heard| match heard.target.as_str() {
            "/" if location.is_empty() => Reply::new(302, "", ""),
            "/" => Reply::redirect(302, location),
            _ => Reply::new(200, "", ""),
        })
        .await;
        let error = transport(&[&server]).send(get(server.url("/"), Purpose::Metadata)).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{location}");
    }
}

#[tokio::test]
async fn callers_cannot_bring_a_credential() {
    let server = Server::start(|_| Reply::new(200, "", "")).await;
    for name in ["authorization", "cookie"] {
        let mut request = get(server.url("/"), Purpose::Data);
        request.headers.insert(name, HeaderValue::from_static("canary"));
        assert_eq!(transport(&[&server]).send(request).await.err().unwrap().kind(), ErrorKind::Internal);
    }
    assert!(server.heard().is_empty());
}

#[tokio::test]
async fn bodies_are_bounded_after_decoding() {
    // 1 MiB of zeros, gzipped: 1,063 bytes.
    let bomb = include_bytes!("testdata/zeros-1m.gz");
    let server = Server::start(move |heard| match heard.target.as_str() {
        "/bomb" => Reply::new(200, "Content-Encoding: gzip\r\n", bomb),
        _ => Reply::new(200, "", vec![7; 5000]),
    })
    .await;
    let transport = transport(&[&server]);
    let read = async |target: &str, limit: usize| {
        let answer = transport.send(get(server.url(target), Purpose::Metadata)).await.unwrap();
        answer.read_bounded(limit).await
    };
    assert_eq!(read("/", 5000).await.unwrap().len(), 5000);
    assert_eq!(read("/", 4999).await.unwrap_err().kind(), ErrorKind::Protocol);
    assert_eq!(read("/bomb", 1 << 20).await.unwrap().len(), 1 << 20);
    assert_eq!(read("/bomb", 100_000).await.unwrap_err().kind(), ErrorKind::Protocol);
    let error = transport.send(get(server.url("/bomb"), Purpose::Data)).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Protocol, "encoded data");
}

#[tokio::test]
async fn silence_dripping_and_breaks() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    let server = Server::start(move |heard| match heard.target.as_str() {
        "/silent" => Reply::default().then_silence(),
        "/stalled" => Reply::raw(format!("{head}abc")).then_silence(),
        "/dripping" => (0..100).fold(Reply::raw(head), |reply, _| reply.then(Duration::from_millis(50), "x")),
        _ => Reply::raw(format!("{head}abc")),
    })
    .await;
    let transport = transport(&[&server]);
    let kind = async |target: &str| {
        let mut request = get(server.url(target), Purpose::Data);
        request.first_byte = Duration::from_millis(300);
        match transport.send(request).await {
            Ok(answer) => answer.read_bounded(1 << 20).await.unwrap_err().kind(),
            Err(error) => error.kind(),
        }
    };
    assert_eq!(kind("/silent").await, ErrorKind::TimedOut);
    assert_eq!(kind("/stalled").await, ErrorKind::TimedOut);
    assert_eq!(kind("/dripping").await, ErrorKind::TimedOut);
    assert_eq!(kind("/short").await, ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_broken_body_stays_broken_and_a_slow_consumer_is_no_fault() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n";
    let server = Server::start(move |heard| match heard.target.as_str() {
        "/short" => Reply::raw(format!("{head}abc")),
        _ => Reply::raw(format!("{head}abc")).then(Duration::from_millis(50), "def"),
    })
    .await;
    let transport = transport(&[&server]);
    let mut answer = transport.send(get(server.url("/short"), Purpose::Data)).await.unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "abc");
    for _ in 0..3 {
        assert_eq!(answer.chunk().await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    let mut answer = transport.send(get(server.url("/"), Purpose::Data)).await.unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "abc");
    // Longer than the no-progress limit, but nobody was waiting.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "def");
    assert_eq!(answer.chunk().await.unwrap(), None);
}

#[tokio::test]
async fn what_cannot_be_reached_or_trusted_is_told_apart() {
    let gone = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        Url::parse(&format!("http://{}/x?token=canary", listener.local_addr().unwrap())).unwrap()
    };
    // Speaks plain HTTP where TLS is expected.
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tls = Url::parse(&format!("https://{}/x?token=canary", plain.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        std::future::pending::<()>().await;
    });
    let garbage = Server::start(|_| Reply::raw("not http at all\r\n\r\n")).await;
    let transport = transport(&[&garbage]);
    for (url, expected) in [
        (gone, ErrorKind::Unreachable),
        (garbage.url("/"), ErrorKind::Unavailable),
        (tls, ErrorKind::Protocol),
        (Url::parse("https://no-such-host.invalid/").unwrap(), ErrorKind::Unreachable),
    ] {
        transport.allow(Origin::of(&url).unwrap()).unwrap();
        let error = transport.send(get(url.clone(), Purpose::Data)).await.err().unwrap();
        assert_eq!(error.kind(), expected, "{url}: {error}");
        assert!(
            error.message().contains(url.host_str().unwrap()) && !error.message().contains("canary"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_web_page_instead_of_data_is_noticed() {
    let server =
        Server::start(|_| Reply::new(200, "Content-Type: Text/HTML; charset=utf-8\r\n", "<html>")).await;
    let answer = transport(&[&server]).send(get(server.url("/"), Purpose::Metadata)).await.unwrap();
    assert_eq!(answer.refuse_html().unwrap_err().kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn a_session_stays_at_home() {
    let stranger = Server::start(|_| Reply::new(200, "", "")).await;
    let provider = Server::start(|heard| match heard.target.as_str() {
        "/auth" => Reply::new(200, "Set-Cookie: sid=1; HttpOnly\r\n", "page"),
        _ => Reply::redirect(302, "http://localhost:5000/?code=c"),
    })
    .await;
    let session = session::Session::new(Origin::of(&provider.url("/")).unwrap()).unwrap();
    assert_eq!(*session.get(&provider.url("/auth")).await.unwrap().body, b"page");
    let fields = [("username", "u"), ("password", "p&=ü")];
    let page = session.post(&provider.url("/login"), &fields).await.unwrap();
    assert_eq!(page.location().unwrap().as_str(), "http://localhost:5000/?code=c");
    let heard = &provider.heard()[1];
    assert_eq!(heard.header("cookie"), Some("sid=1"));
    assert_eq!(heard.field("password").unwrap(), "p&=ü");
    let error = session.post(&stranger.url("/login"), &fields).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(stranger.heard().is_empty());
}
