//! Logins and renewals against a scripted identity provider.

mod browsers;
mod logout;
mod renewals;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use secrecy::ExposeSecret;

use super::login::log_in;
use super::*;
use crate::error::fail;
use crate::transport::loopback::{Heard, Reply, Server};

const AUTH: &str = "/realms/desp/protocol/openid-connect/auth";
const TOKEN: &str = "/realms/desp/protocol/openid-connect/token";
const FORM: &str = "<form id=kc-form-login action='/login?a=1&amp;b=2' method=post>\
    <input name=username><input name=password type=password><input type=hidden name=credentialId value=x></form>";

fn identity(server: &Server) -> IdentitySettings {
    IdentitySettings::published(server.url("/"), "desp")
}

fn query(heard: &Heard, name: &str) -> String {
    let url = Url::parse(&format!("http://h{}", heard.target)).unwrap();
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// The redirect that ends a login; the state is in a cookie, as nothing else knows it.
fn success(heard: &Heard) -> Reply {
    let state = heard.header("cookie").and_then(|cookie| cookie.split("state=").nth(1)).unwrap_or_default();
    Reply::redirect(302, &format!("http://localhost:5000/?session_state=z&state={state}&code=the-code"))
}

fn login_page(heard: &Heard, html: &str) -> Reply {
    Reply::new(200, &format!("Set-Cookie: state={}; Path=/\r\n", query(heard, "state")), html)
}

fn tokens(access: &str, expires_in: u64) -> Reply {
    let body = format!(
        r#"{{"access_token":"{access}","refresh_token":"r-{access}","expires_in":{expires_in},"refresh_expires_in":1800}}"#
    );
    Reply::new(200, "Content-Type: application/json\r\n", body)
}

fn no_code(_: &str) -> Result<SecretString> {
    fail(ErrorKind::LoginExpired, "no code")
}

async fn attempt(server: &Server) -> Result<TokenSet> {
    let identity = identity(server);
    let session = login::session(&identity)?;
    log_in(&session, &identity, &identity.cache_a, "me@example.org", &"pass&wörd".into(), no_code).await
}

/// A provider whose page and answer to the form are given.
async fn provider(page: &'static str, answer: impl Fn(&Heard) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |heard| match heard.target.split('?').next().unwrap() {
        AUTH => login_page(heard, page),
        TOKEN => tokens("access-1", 300),
        _ => answer(heard),
    })
    .await
}

fn posts(server: &Server, path: &str) -> Vec<Heard> {
    server
        .heard()
        .into_iter()
        .filter(|heard| heard.method == "POST" && heard.target.starts_with(path))
        .collect()
}

#[test]
fn the_published_clients() {
    let identity = IdentitySettings::published(Url::parse("https://auth.destine.eu").unwrap(), "desp");
    assert_eq!(
        identity.endpoint("token").unwrap().as_str(),
        "https://auth.destine.eu/realms/desp/protocol/openid-connect/token"
    );
    assert_eq!(identity.account_page(), "https://auth.destine.eu/realms/desp/account/");
}

#[tokio::test]
async fn a_login_as_the_published_tools_do_it() {
    let server = provider(FORM, success).await;
    let tokens = attempt(&server).await.unwrap();
    assert_eq!(tokens.access.expose_secret(), "access-1");
    assert_eq!(tokens.expires_in, Some(Duration::from_secs(300)));
    let heard = server.heard();
    assert_eq!(query(&heard[0], "client_id"), "dcms_client");
    assert_eq!(query(&heard[0], "redirect_uri"), "http://localhost:5000", "letter by letter");
    assert_eq!(
        (query(&heard[0], "scope"), query(&heard[0], "response_type")),
        ("openid".into(), "code".into())
    );
    assert_eq!(heard[1].target, "/login?a=1&b=2");
    let form = heard[1].form();
    for (name, value) in [("username", "me@example.org"), ("password", "pass&wörd"), ("credentialId", "x")] {
        assert!(form.contains(&(name.into(), value.into())), "{form:?}");
    }
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("code", "the-code"),
        ("client_id", "dcms_client"),
        ("scope", ""),
    ] {
        assert_eq!(heard[2].field(name).unwrap(), value);
    }
    assert_eq!(heard.len(), 3, "the redirect address is never visited");
}

#[tokio::test]
async fn the_second_client_comes_in_without_the_password() {
    let server = Server::start(|heard| match heard.target.split('?').next().unwrap() {
        AUTH if heard.header("cookie").is_some() => {
            let target = query(heard, "redirect_uri");
            Reply::redirect(302, &format!("{target}?code=c2&state={}", query(heard, "state")))
        }
        AUTH => login_page(heard, FORM),
        TOKEN => tokens(&heard.field("client_id").unwrap(), 300),
        _ => success(heard),
    })
    .await;
    let identity = identity(&server);
    let session = login::session(&identity).unwrap();
    let password = "p".into();
    let one = log_in(&session, &identity, &identity.cache_a, "me", &password, no_code).await.unwrap();
    let two = log_in(&session, &identity, &identity.cache_b, "me", &password, no_code).await.unwrap();
    assert_eq!((one.access.expose_secret(), two.access.expose_secret()), ("dcms_client", "edh-public"));
    assert_eq!(posts(&server, "/login").len(), 1);
}

#[tokio::test]
async fn a_wrong_password_shows_the_pages_reason_and_is_tried_once() {
    let server = provider(FORM, |_| {
        Reply::new(200, "", format!("{FORM}<span id=input-error>Invalid username or password.</span>"))
    })
    .await;
    let error = attempt(&server).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LoginRejected);
    assert!(error.message().contains("Invalid username or password."), "{error}");
    assert!(!format!("{error:?}").contains("pass&wörd"));
    assert_eq!(posts(&server, "/login").len(), 1);
}

#[tokio::test]
async fn a_one_time_code_is_asked_for() {
    let otp = "<form method=post action=/otp><input name=otp><input type=radio name=selectedCredentialId value=d checked></form>";
    let server = provider(FORM, move |heard| match heard.target.as_str() {
        "/otp" if heard.field("otp").as_deref() == Some("123456") => success(heard),
        "/otp" => Reply::new(200, "", format!("{otp}<span id=input-error-otp-code>Invalid code.</span>")),
        _ => Reply::new(200, "", otp),
    })
    .await;
    let identity = identity(&server);
    let mut prompts = Vec::new();
    let mut codes = ["000000", " 123456 \n"].into_iter();
    let ask = |prompt: &str| {
        prompts.push(prompt.to_owned());
        Ok(SecretString::from(codes.next().unwrap()))
    };
    let session = login::session(&identity).unwrap();
    log_in(&session, &identity, &identity.cache_a, "me", &"p".into(), ask).await.unwrap();
    assert_eq!(prompts.len(), 2);
    assert!(prompts[1].starts_with("Invalid code."), "{prompts:?}");
    let sent = posts(&server, "/otp");
    assert_eq!(sent[1].field("login").unwrap(), "Sign In");
    assert_eq!(sent[1].field("selectedCredentialId").unwrap(), "d");
    let error = attempt(&server).await.unwrap_err();
    assert_eq!(error.message(), "no code");
}

#[tokio::test]
async fn name_and_password_may_be_on_two_pages() {
    let name = "<form method=post action=/name><input name=username></form>";
    let server = provider(name, |heard| match heard.target.as_str() {
        "/name" => Reply::new(200, "", FORM.replace("<input name=username>", "")),
        _ => success(heard),
    })
    .await;
    attempt(&server).await.unwrap();
    assert_eq!(posts(&server, "/name")[0].field("password"), None);
}

#[tokio::test]
async fn what_the_user_must_do_first_is_said_with_the_address() {
    for (query, word) in [
        ("/login-actions/required-action?execution=TERMS_AND_CONDITIONS&client_id=x", "terms"),
        ("/login-actions/required-action?execution=UPDATE_PASSWORD", "UPDATE_PASSWORD"),
    ] {
        let server = provider(FORM, move |_| Reply::redirect(302, query)).await;
        let error = attempt(&server).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LoginExpired);
        let account = server.url("/realms/desp/account/");
        assert!(error.message().contains(word) && error.message().contains(account.as_str()), "{error}");
    }
}

#[tokio::test]
async fn bad_ends_of_a_login() {
    type Answer = fn(&Heard) -> Reply;
    let cases: [(Answer, ErrorKind, &str); 9] = [
        (
            |_| {
                Reply::redirect(
                    302,
                    "http://localhost:5000/?error=access_denied&error_description=not+you%1b",
                )
            },
            ErrorKind::LoginRejected,
            "not you",
        ),
        (
            |_| Reply::redirect(302, "http://localhost:5000/?code=c&state=other"),
            ErrorKind::Protocol,
            "another login",
        ),
        (|_| Reply::redirect(302, "http://localhost:5000/"), ErrorKind::Protocol, "without a code"),
        (
            |_| Reply::redirect(302, "https://evil.example/?code=c"),
            ErrorKind::Protocol,
            "https://evil.example",
        ),
        (
            |_| Reply::redirect(302, "http://localhost:5001/?code=c"),
            ErrorKind::Protocol,
            "http://localhost:5001",
        ),
        (|_| Reply::new(200, "", "<h1>Welcome to the airport"), ErrorKind::Protocol, "does not understand"),
        (
            |_| Reply::new(200, "", "<form method=post><input name=q type=file></form>"),
            ErrorKind::Protocol,
            "does not",
        ),
        (|_| Reply::new(400, "", "<span id=input-error>expired"), ErrorKind::Protocol, "expired"),
        (|_| Reply::new(503, "", ""), ErrorKind::Unavailable, "503"),
    ];
    for (answer, kind, text) in cases {
        let server = provider(FORM, answer).await;
        let error = attempt(&server).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(text), "{error}");
        assert!(!error.message().contains('\u{1b}') && !error.message().contains("wörd"), "{error}");
        assert!(posts(&server, TOKEN).is_empty());
    }
    let loops = provider(FORM, |_| Reply::redirect(302, "/again")).await;
    assert_eq!(attempt(&loops).await.unwrap_err().kind(), ErrorKind::Protocol);
    assert!(loops.heard().len() < 20);
}

#[tokio::test]
async fn the_password_never_leaves_the_provider() {
    let stranger = Server::start(|_| Reply::new(200, "", "")).await;
    let action = stranger.url("/collect").to_string();
    for page in [
        FORM.replace("/login?a=1&amp;b=2", &action),
        FORM.replace("/login?a=1&amp;b=2", &action.replace("http://", "//")),
        FORM.replace("method=post", "method=get"),
        FORM.replace("/login?a=1&amp;b=2", "javascript:alert(1)"),
        FORM.replace("/login?a=1&amp;b=2", "http://user:pw@127.0.0.1:1/"),
        FORM.replace("/login?a=1&amp;b=2", "https://["),
        format!("<form method=post action={action}><input name=username></form>"),
    ] {
        let server = provider(Box::leak(page.into_boxed_str()), success).await;
        assert_eq!(attempt(&server).await.unwrap_err().kind(), ErrorKind::Protocol);
        assert!(server.heard().iter().all(|heard| heard.method == "GET" && !heard.text.contains("pass")));
    }
    assert!(stranger.heard().is_empty());
    let plain = IdentitySettings::published(Url::parse("http://auth.example/").unwrap(), "desp");
    assert_eq!(login::session(&plain).err().unwrap().kind(), ErrorKind::Configuration);
}

/// A mount's credentials with Cache-A at `/a/` and Cache-B at `/b/` of the provider's own address.
struct Bench {
    _place: tempfile::TempDir,
    settings: CredentialSettings,
    roots: Vec<RootCredential>,
    a: Url,
    b: Url,
}

impl Bench {
    fn new(server: &Server) -> Self {
        let place = tempfile::tempdir().unwrap();
        let root = |name: &str, path: &str, kind| RootCredential {
            name: name.into(),
            scope: Scope::below(&server.url(path)).unwrap(),
            kind,
        };
        Self {
            settings: CredentialSettings {
                identity: identity(server),
                file: Some(place.path().join("dcmsfs/credentials.toml")),
                netrc: Some(place.path().join(".netrc")),
                account: None,
            },
            roots: vec![
                root("cache-a", "/a/", Kind::CacheAToken),
                root("cache-b", "/b/", Kind::CacheBOfflineToken { login: "anonymous".into() }),
            ],
            a: server.url("/a/x"),
            b: server.url("/b/x"),
            _place: place,
        }
    }

    fn file(&self) -> &Path {
        self.settings.file.as_deref().unwrap()
    }

    fn netrc(&self, text: &str) {
        private_file::replace(self.settings.netrc.as_deref().unwrap(), text.as_bytes()).unwrap();
    }

    fn mount(&self) -> (Credentials, Keyring) {
        let keyring = Keyring::new();
        (Credentials::new(self.settings.clone(), keyring.clone(), self.roots.clone()).unwrap(), keyring)
    }

    async fn save(&self, access: &str, life: u64, offline: Option<&str>, keep: Option<&str>) {
        let set = |access: &str, refresh: &str| TokenSet {
            access: access.into(),
            refresh: Some(refresh.into()),
            expires_in: Some(Duration::from_secs(life)),
            refresh_expires_in: None,
            obtained: Timestamp::now(),
        };
        let login = NewLogin {
            user: "me".into(),
            cache_a: Some(set(access, &format!("r-{access}"))),
            cache_b: offline.map(|offline| set("unused", offline)),
            keep_password: keep.map(SecretString::from),
        };
        save_login(self.file(), &login).await.unwrap();
    }
}

/// The Authorization header that a request to `url` would carry.
fn header(keyring: &Keyring, url: &Url) -> String {
    match keyring.peek(url) {
        Some(crate::transport::Authorization::Bearer(token)) => format!("Bearer {}", token.expose_secret()),
        Some(crate::transport::Authorization::Basic { user, password }) => {
            format!("Basic {user}:{}", password.expose_secret())
        }
        Some(crate::transport::Authorization::Signed(keys)) => {
            format!("signed by {} {}", keys.access_key.expose_secret(), keys.secret_key.expose_secret())
        }
        None => String::new(),
    }
}

/// A provider with counted refresh grants.
async fn refreshing(expires_in: u64) -> Server {
    let count = AtomicUsize::new(1);
    Server::start(move |heard| match heard.field("refresh_token") {
        Some(_) => tokens(&format!("access-{}", count.fetch_add(1, Ordering::Relaxed)), expires_in),
        None => Reply::new(500, "", ""),
    })
    .await
}

#[tokio::test]
async fn sixty_four_readers_cause_one_renewal() {
    let server = refreshing(300).await;
    let bench = Bench::new(&server);
    bench.save("old", 300, Some("offline"), None).await;
    let (credentials, keyring) = bench.mount();
    assert_eq!(header(&keyring, &bench.a), "Bearer old");
    assert_eq!(header(&keyring, &bench.b), "Basic anonymous:offline");
    let seen = keyring.generation(&bench.a);
    let readers = (0..64).map(|_| credentials.renew(&bench.a, seen));
    assert!(join_all(readers).await.iter().all(Result::is_ok));
    assert_eq!(header(&keyring, &bench.a), "Bearer access-1");
    assert_eq!(server.heard().len(), 1);
    assert_eq!(server.heard()[0].field("refresh_token").unwrap(), "r-old");
    let kept = files::load(bench.file()).unwrap().cache_a.unwrap();
    assert_eq!(kept.access_token.expose_secret(), "access-1");
    assert_eq!(kept.refresh_token.unwrap().expose_secret(), "r-access-1");

    // The new token is refused at once: no second renewal.
    let seen = keyring.generation(&bench.a);
    let readers = (0..64).map(|_| credentials.renew(&bench.a, seen));
    assert!(
        join_all(readers)
            .await
            .iter()
            .all(|outcome| { outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::LoginRejected) })
    );
    assert_eq!(server.heard().len(), 1);
}

#[tokio::test]
async fn a_renewal_outlives_the_reader_who_asked_for_it() {
    let server = Server::start(|_| {
        Reply::default().then(Duration::from_millis(200), "").then(Duration::ZERO, {
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"access_token\":\"new\",\"refresh_token\":\"rotated\"}"
    })
    })
    .await;
    let bench = Bench::new(&server);
    bench.save("old", 300, None, None).await;
    let (credentials, keyring) = bench.mount();
    let seen = keyring.generation(&bench.a);
    let killed = tokio::time::timeout(Duration::from_millis(50), credentials.renew(&bench.a, seen)).await;
    assert!(killed.is_err());
    credentials.renew(&bench.a, seen).await.unwrap();
    assert_eq!(header(&keyring, &bench.a), "Bearer new");
    assert_eq!(server.heard().len(), 1);
}

#[tokio::test]
async fn a_refused_refresh_token_needs_the_user_and_a_login_is_picked_up() {
    let server = Server::start(|_| Reply::new(400, "", r#"{"error":"invalid_grant"}"#)).await;
    let bench = Bench::new(&server);
    bench.save("old", 300, None, None).await;
    let (credentials, keyring) = bench.mount();
    assert!(matches!(credentials.status()[0].state, AccountState::LoggedIn { .. }));
    let seen = keyring.generation(&bench.a);
    for _ in 0..3 {
        let error = credentials.renew(&bench.a, seen).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LoginExpired);
        assert!(error.message().contains("`dcmsfs login`"), "{error}");
    }
    assert_eq!(server.heard().len(), 1);
    assert_eq!(header(&keyring, &bench.a), "Bearer old", "kept until something better is there");
    let status = &credentials.status()[0];
    assert_eq!((status.state.clone(), status.user.as_deref()), (AccountState::Expired, Some("me")));

    bench.save("canary", 300, None, None).await;
    credentials.reload();
    assert_eq!(header(&keyring, &bench.a), "Bearer canary");
    credentials.renew(&bench.a, seen).await.unwrap();
    assert!(matches!(credentials.status()[0].state, AccountState::LoggedIn { .. }));
    assert!(!format!("{:?} {keyring:?}", credentials.status()).contains("canary"));

    let forget = async || forget_login(&bench.settings, "127.0.0.1").await.unwrap();
    assert!(forget().await.is_some_and(|forgotten| forgotten.revoked.is_err()), "without a provider too");
    assert!(forget().await.is_none());
    credentials.reload();
    assert_eq!(header(&keyring, &bench.a), "");
    assert_eq!(credentials.status()[0].state, AccountState::Missing);
}

#[tokio::test]
async fn another_process_that_renewed_is_believed() {
    let server = refreshing(300).await;
    let bench = Bench::new(&server);
    bench.save("old", 300, None, None).await;
    let (one, one_keyring) = bench.mount();
    let (two, two_keyring) = bench.mount();
    one.renew(&bench.a, one_keyring.generation(&bench.a)).await.unwrap();
    two.renew(&bench.a, two_keyring.generation(&bench.a)).await.unwrap();
    assert_eq!(header(&one_keyring, &bench.a), header(&two_keyring, &bench.a));
    assert_eq!(server.heard().len(), 1);
}

#[tokio::test]
async fn an_outage_of_the_provider_is_no_storm_and_costs_no_login() {
    let server = Server::start(|_| Reply::new(503, "", "")).await;
    let bench = Bench::new(&server);
    bench.save("old", 300, None, Some("password")).await;
    let (credentials, keyring) = bench.mount();
    let seen = keyring.generation(&bench.a);
    let outcomes = join_all((0..20).map(|_| credentials.renew(&bench.a, seen))).await;
    assert!(
        outcomes.iter().all(|outcome| outcome.as_ref().is_err_and(|e| e.kind() == ErrorKind::Unavailable))
    );
    assert_eq!(server.heard().len(), 1);
}

#[tokio::test]
async fn a_kept_password_logs_in_once_a_minute() {
    let server = Server::start(|heard| match heard.target.split('?').next().unwrap() {
        AUTH => login_page(heard, FORM),
        TOKEN if heard.field("grant_type").unwrap() == "refresh_token" => {
            Reply::new(400, "", r#"{"error":"invalid_grant"}"#)
        }
        TOKEN => tokens("by-password", 1),
        _ => success(heard),
    })
    .await;
    let bench = Bench::new(&server);
    bench.save("old", 300, None, Some("password")).await;
    let (credentials, keyring) = bench.mount();
    credentials.renew(&bench.a, keyring.generation(&bench.a)).await.unwrap();
    assert_eq!(header(&keyring, &bench.a), "Bearer by-password");
    tokio::time::sleep(Duration::from_millis(600)).await;
    let error = credentials.renew(&bench.a, keyring.generation(&bench.a)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.wait().unwrap() > Duration::from_secs(50));
    assert_eq!(posts(&server, "/login").len(), 1);
}

#[tokio::test]
async fn a_short_lived_token_is_renewed_before_anyone_asks() {
    let server = refreshing(300).await;
    let bench = Bench::new(&server);
    bench.save("old", 2, None, None).await;
    let (_credentials, keyring) = bench.mount();
    for _ in 0..100 {
        if header(&keyring, &bench.a) == "Bearer access-1" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not renewed: {}", header(&keyring, &bench.a));
}

#[tokio::test]
async fn the_offline_token_is_never_put_into_a_refresh_grant() {
    let server = refreshing(300).await;
    let bench = Bench::new(&server);
    bench.netrc(
        "machine 127.0.0.1 login anonymous password stale\n# comment\nmachine 127.0.0.1\npassword of-netrc\n",
    );
    let (credentials, keyring) = bench.mount();
    assert_eq!(header(&keyring, &bench.b), "Basic anonymous:of-netrc");
    bench.save("old", 300, Some("of-login"), None).await;
    credentials.reload();
    assert_eq!(header(&keyring, &bench.b), "Basic anonymous:of-login", "newer than netrc");
    assert_eq!(credentials.status()[1].user.as_deref(), Some("me"));

    credentials.renew(&bench.b, keyring.generation(&bench.b)).await.unwrap();
    assert_eq!(header(&keyring, &bench.b), "Basic anonymous:of-netrc", "the other source");
    let seen = keyring.generation(&bench.b);
    for _ in 0..3 {
        let error = credentials.renew(&bench.b, seen).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LoginExpired);
        for word in ["127.0.0.1", "`dcmsfs login`", ".netrc (line 3)"] {
            assert!(error.message().contains(word), "{error}");
        }
    }
    assert_eq!(credentials.status()[1].state, AccountState::Expired);
    // Somebody mends netrc.
    bench.netrc("machine 127.0.0.1 login other password mended\n");
    credentials.reload();
    assert_eq!(header(&keyring, &bench.b), "Basic other:mended");
    assert_eq!(credentials.status()[1].state, AccountState::LoggedIn { until: None });
    assert!(server.heard().is_empty());
}

#[tokio::test]
async fn unusable_files_and_missing_logins_are_told() {
    use std::os::unix::fs::PermissionsExt;
    let server = refreshing(300).await;
    let bench = Bench::new(&server);
    let (credentials, keyring) = bench.mount();
    assert!(credentials.status().iter().all(|line| line.state == AccountState::Missing));
    for (url, words) in [(&bench.a, "no DestinE login yet"), (&bench.b, "add an entry for 127.0.0.1")] {
        let error = credentials.renew(url, keyring.generation(url)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LoginExpired);
        assert!(error.message().contains(words) && error.message().contains("dcmsfs login"), "{error}");
    }
    let error = credentials.renew(&server.url("/c"), 0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LoginRejected);

    bench.netrc("machine 127.0.0.1 password p\n");
    let path = bench.settings.netrc.as_deref().unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    credentials.reload();
    assert!(!keyring.has(&bench.b));
    assert!(credentials.status()[1].problem.as_ref().unwrap().contains("chmod 600"));
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    credentials.reload();
    assert_eq!(header(&keyring, &bench.b), "Basic anonymous:p");
    assert_eq!(credentials.status()[1].problem, None);

    bench.save("a", 300, None, None).await;
    std::fs::set_permissions(bench.file(), std::fs::Permissions::from_mode(0o640)).unwrap();
    let (other, other_keyring) = bench.mount();
    for url in [&bench.a, &bench.b] {
        let error = other.renew(url, other_keyring.generation(url)).await.unwrap_err();
        assert!(error.message().contains("chmod 600"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_logins_and_renewals_lose_nothing() {
    let server = refreshing(300).await;
    let bench = Bench::new(&server);
    let place = bench.file().to_owned();
    let write = |number: usize, part: usize| {
        let place = place.clone();
        tokio::spawn(async move {
            files::update(&place, |stored| {
                let secret = SecretString::from(format!("{number}-{}", "x".repeat(number * 50)));
                let login = files::CacheBLogin {
                    user: "me".into(),
                    password: secret.clone(),
                    obtained: None,
                    expires: None,
                };
                match part {
                    0 => stored.cache_b = Some(login),
                    _ => stored.account = Some(files::Account { user: "me".into(), password: secret }),
                }
            })
            .await
            .unwrap();
        })
    };
    let writers: Vec<_> = (1..60).map(|number| write(number, number % 2)).collect();
    for _ in 0..200 {
        files::load(&place).unwrap();
    }
    join_all(writers).await;
    let stored = files::load(&place).unwrap();
    assert!(stored.cache_b.is_some() && stored.account.is_some());
}
