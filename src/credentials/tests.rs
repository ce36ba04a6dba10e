//! Logins and renewals against a scripted identity provider.

mod browsers;
mod logins;
mod logout;
mod renewals;
mod sharing;

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
