//! The canary: addresses and redirect chains made to lure a secret away. Nobody but the service it belongs to may
//! hear it, and no message may hold it.

use super::*;

const CANARY: &str = "canary-7f3a9c";

/// The canary as it is, percent-encoded, and as HTTP Basic has it.
fn holds_canary(text: &str) -> bool {
    // Base64 of `anonymous:canary-7f3a9c`, and of the canary alone.
    ["canary", "%63anary", "%63%61", "YW5vbnltb3VzOmNhbmFye", "Y2FuYXJ5"]
        .iter()
        .any(|form| text.contains(form))
}

/// Addresses that lead, or may be read as leading, to a server at `port` of this machine, dressed as `home`.
fn lures(home: &Url, port: u16) -> Vec<String> {
    let authority = home.authority();
    let own = home.port().unwrap();
    let mut lures = Vec::new();
    // Names and numbers for this machine, in every way to write them.
    for host in [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:0:0:1]",
        "127.0.0.2",
        "127.255.255.254",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "ⓛocalhost",
    ] {
        lures.push(format!("http://{host}:{port}/x"));
        lures.push(format!("https://{host}:{port}/x"));
    }
    // The service's own name in places where it is none.
    for form in [
        "http://{home}@127.0.0.1:{port}/x",
        "http://{home}:pass@127.0.0.1:{port}/x",
        "http://{home}%40127.0.0.1:{port}/x",
        "http://user:pass@{home}@127.0.0.1:{port}/",
        "http://127.0.0.1:{port}/{home}/x",
        "http://127.0.0.1:{port}?{home}/x",
        "http://127.0.0.1:{port}#@{home}/x",
        "http://127.0.0.1:{port}\\@{home}/x",
        "http://127.0.0.1:{port};@{home}/",
        "http:127.0.0.1:{port}/x",
        "http:/127.0.0.1:{port}/x",
        "http:///127.0.0.1:{port}/x",
        "http:\\\\127.0.0.1:{port}\\x",
        "//127.0.0.1:{port}/x",
        "\\\\127.0.0.1:{port}/x",
        "/\\127.0.0.1:{port}/x",
        "///127.0.0.1:{port}/x",
        "////127.0.0.1:{port}/x",
        "/\t/127.0.0.1:{port}/x",
        "\t//127.0.0.1:{port}/x",
        "ht\ttp://127.0.0.1:{port}/x",
        "http://127.0.0.1:{port}\t/x",
        "http://127.0.0.1:{port}/..//{home}/x",
        "HTTP://127.0.0.1:{port}/x",
        "http://127.0.0.1:0{port}/x",
        "http://127.0.0.1:00{port}/x",
        "http://@127.0.0.1:{port}/x",
        "http://:@127.0.0.1:{port}/x",
        "http://{home}.127.0.0.1:{port}/x",
        "http://127.0.0.1.{home}/x",
        "https://{home}/x",
        "https://{home}:443/x",
        "http://127.0.0.1:443/x",
        "http://localhost:{own}/x",
        "http://127.0.0.2:{own}/x",
        "http://[::1]:{own}/x",
        "http://[::ffff:127.0.0.1]:{own}/x",
        "http://0.0.0.0:{own}/x",
        "http://user@{home}/x",
        "http://:pass@{home}/x",
        "http://anonymous:canary-7f3a9c@127.0.0.1:{port}/x",
        "http://127.0.0.1:{port}/?token=canary-7f3a9c",
        "ws://127.0.0.1:{port}/x",
        "wss://127.0.0.1:{port}/x",
        "ftp://127.0.0.1:{port}/x",
        "gopher://127.0.0.1:{port}/x",
        "s3://127.0.0.1:{port}/x",
        "file:///etc/passwd",
        "file://{home}/etc/passwd",
        "file:////127.0.0.1/share",
        "data:text/html,x",
        "javascript:alert(1)",
        "about:blank",
        "blob:http://{home}/x",
        "view-source:http://127.0.0.1:{port}/",
        "jar:http://127.0.0.1:{port}/!/x",
        "unix:///run/x.sock",
        "http+unix://127.0.0.1:{port}/x",
        "mailto:{home}",
        "x://127.0.0.1:{port}/x",
        "feed:http://127.0.0.1:{port}/x",
    ] {
        lures.push(
            form.replace("{home}", authority)
                .replace("{port}", &port.to_string())
                .replace("{own}", &own.to_string()),
        );
    }
    // Private, shared, link-local and translated addresses; a cloud's description of itself.
    for host in [
        "10.0.0.1",
        "10.255.255.255",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "169.254.169.254",
        "169.254.0.1",
        "100.64.0.1",
        "198.18.0.1",
        "192.0.2.1",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "192.0.0.8",
        "[fe80::1]",
        "[fd00::1]",
        "[fc00::1]",
        "[ff02::1]",
        "[::ffff:10.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::1]",
        "[2001:db8::1]",
        "[::ffff:169.254.169.254]",
        "2852039166",
        "0xa9fea9fe",
        "0xA9.0xFE.43518",
        "metadata.google.internal.localhost",
    ] {
        lures.push(format!("https://{host}/latest/meta-data"));
        lures.push(format!("http://{host}/latest/meta-data"));
    }
    lures
}

/// Sends one request; the message of what went wrong.
async fn attempt(transport: &Transport, url: Url, method: Method) -> String {
    let mut request = get(url, Purpose::Data);
    request.method = method;
    request.first_byte = Duration::from_secs(2);
    match transport.send(request).await {
        Ok(answer) => format!("{} from {}", answer.status, shown(&answer.url)),
        Err(error) => format!("{error:?} {error}"),
    }
}

/// Directly, as an asset's address or a `next` link would be; by a redirect of each kind; and at the end of a chain
/// that begins at home. With and without leave to go to other hosts: an address of this machine is never one.
#[tokio::test]
async fn no_lure_carries_the_secret_away() {
    let stranger = Server::start(|_| Reply::new(200, "", "got you")).await;
    let friend = Server::start(|_| Reply::new(200, "", "signed bytes")).await;
    let goal = parking_lot::Mutex::new(String::new());
    let goal = std::sync::Arc::new(goal);
    let to = std::sync::Arc::clone(&goal);
    let home = Server::start(move |heard| match heard.target.as_str() {
        "/one" => Reply::redirect(302, "/two"),
        "/two" => Reply::redirect(307, &to.lock()),
        target => {
            let code = target.trim_start_matches('/').parse().unwrap_or(0);
            if code == 0 { Reply::new(404, "", "") } else { Reply::redirect(code, &to.lock()) }
        }
    })
    .await;
    let address = home.url("/");
    let lures = lures(&address, stranger.url("/").port().unwrap());
    assert!(lures.len() >= 140, "{}", lures.len());
    let mut tried = 0;
    for foreign in [false, true] {
        let hosts = [&home, &friend].map(|server| Origin::of(&server.url("/")).unwrap()).into();
        let transport =
            Transport::new(Policy { hosts, allow_foreign: foreign, limits: tiny() }, Keyring::new()).unwrap();
        let scope = Scope::below(&address).unwrap();
        let secret = Authorization::Basic { user: "anonymous".into(), password: CANARY.into() };
        for secret in [Authorization::Bearer(CANARY.into()), secret] {
            transport.keyring().set(&scope, secret);
            for lure in &lures {
                // A header cannot hold these; the parser of addresses drops them, so the lure is the same one.
                *goal.lock() = lure.replace('\t', "");
                let direct =
                    address.join(lure).ok().filter(|url| Origin::of(url).ok() != Origin::of(&address).ok());
                for url in direct.into_iter().chain(["/one", "/302", "/308"].map(|path| home.url(path))) {
                    for method in [Method::GET, Method::POST] {
                        let said = attempt(&transport, url.clone(), method).await;
                        assert!(!holds_canary(&said), "{lure}: {said}");
                        tried += 1;
                    }
                }
            }
            // A configured host that a chain ends at: it answers, and hears nothing.
            *goal.lock() = friend.url("/object?signature=s").to_string();
            let said = attempt(&transport, home.url("/one"), Method::POST).await;
            assert!(said.starts_with("200"), "{said}");
        }
    }
    assert!(tried > 4000, "{tried}");
    assert_eq!(stranger.heard().len(), 0, "connections to an address that nobody configured");
    assert_eq!(friend.heard().len(), 4);
    for heard in friend.heard() {
        assert!(!holds_canary(&heard.text) && heard.header("authorization").is_none(), "{}", heard.text);
    }
    // At home it was needed, and it was there each time.
    assert!(home.heard().iter().all(|heard| heard.header("authorization").is_some()));
}
