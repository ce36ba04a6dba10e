//! The credentials file: what `dcmsfs login` keeps, and what a renewal replaces.
//!
//! ```toml
//! [cache_a]
//! user = "me"
//! access_token = "…"
//! refresh_token = "…"
//! obtained = "2026-11-22T21:55:00Z"
//! expires = "2026-11-22T22:00:00Z"
//! refresh_expires = "2026-11-22T22:30:00Z"
//!
//! [cache_b]
//! user = "me"
//! password = "…"                    # the offline token
//! obtained = "2026-11-22T21:55:00Z"
//! expires = "2026-12-22T21:55:00Z"  # if the provider says so
//!
//! [account]                         # only if the user wants the password kept
//! user = "me"
//! password = "…"
//!
//! [[key]]                           # of `dcmsfs login --root`
//! url = "https://…/"                # sent there only
//! user = "edh"                      # absent: as the configuration says
//! secret = "…"
//! ```

use std::fmt::Write;
use std::path::Path;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use url::Url;
use zeroize::Zeroizing;

use super::private_file;
use super::token::{self, TokenSet};
use crate::error::{ErrorKind, Result, fail};
use crate::transport::Scope;

/// Cache-A's token and what renews it.
#[derive(Clone, Debug, Deserialize)]
pub struct CacheALogin {
    /// Who logged in, for display.
    #[serde(default)]
    pub user: String,
    /// Sent as Bearer.
    #[serde(deserialize_with = "secret")]
    pub access_token: SecretString,
    /// For the refresh grant; absent if the provider gave none or it was refused.
    #[serde(default, deserialize_with = "some_secret")]
    pub refresh_token: Option<SecretString>,
    /// When the access token was given.
    pub obtained: Option<Timestamp>,
    /// When the access token ends, by our clock.
    pub expires: Option<Timestamp>,
    /// When the refresh token ends; absent if it does not or is not known.
    pub refresh_expires: Option<Timestamp>,
}

impl CacheALogin {
    /// What to keep of an answer of the token endpoint.
    pub fn new(user: &str, tokens: &TokenSet) -> Self {
        Self {
            user: user.to_owned(),
            access_token: tokens.access.clone(),
            refresh_token: tokens.refresh.clone(),
            obtained: Some(tokens.obtained),
            expires: tokens.expires(),
            refresh_expires: tokens.refresh_expires(),
        }
    }
}

/// Cache-B's offline token.
#[derive(Clone, Debug, Deserialize)]
pub struct CacheBLogin {
    /// Who logged in, for display.
    #[serde(default)]
    pub user: String,
    /// The offline token: the password of HTTP Basic, never put into a refresh grant (contract.md 8.9).
    #[serde(deserialize_with = "secret")]
    pub password: SecretString,
    /// When it was given.
    pub obtained: Option<Timestamp>,
    /// When it ends, for display; absent if it does not or is not known.
    pub expires: Option<Timestamp>,
}

impl CacheBLogin {
    /// What to keep of an answer of the token endpoint.
    ///
    /// Fails with `Protocol` if it holds no offline token.
    pub fn new(user: &str, tokens: &TokenSet) -> Result<Self> {
        let Some(password) = tokens.refresh.clone() else {
            return fail(
                ErrorKind::Protocol,
                "the provider gave no offline token: Cache-B cannot be used with it",
            );
        };
        let expires = tokens.refresh_expires().or_else(|| token::end_by_claim(&password));
        Ok(Self { user: user.to_owned(), password, obtained: Some(tokens.obtained), expires })
    }
}

/// The account itself, only if the user wants it kept.
#[derive(Clone, Debug, Deserialize)]
pub struct Account {
    /// Its name.
    pub user: String,
    /// Its password.
    #[serde(deserialize_with = "secret")]
    pub password: SecretString,
}

impl Account {
    /// Whether it is the same account with the same password.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.user == other.user && self.password.expose_secret() == other.password.expose_secret()
    }
}

/// A key of a Zarr host.
#[derive(Clone, Debug, Deserialize)]
pub struct Key {
    /// The host's base address: a root of the same name and another address does not get it.
    pub url: String,
    /// The login name that goes with it, if not that of the configuration.
    pub user: Option<String>,
    /// The key.
    #[serde(deserialize_with = "secret")]
    pub secret: SecretString,
}

impl Key {
    /// Whether it is meant for the addresses of `scope`, all of them and no other.
    pub(super) fn is_for(&self, scope: &Scope) -> bool {
        Url::parse(&self.url).is_ok_and(|url| Scope::below(&url).is_ok_and(|own| own == *scope))
    }
}

/// All that is kept.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Stored {
    /// Cache-A's token.
    pub cache_a: Option<CacheALogin>,
    /// Cache-B's offline token.
    pub cache_b: Option<CacheBLogin>,
    /// The account.
    pub account: Option<Account>,
    /// Keys of Zarr hosts.
    #[serde(default)]
    pub key: Vec<Key>,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<SecretString, D::Error> {
    String::deserialize(from).map(SecretString::from)
}

fn some_secret<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<SecretString>, D::Error> {
    secret(from).map(Some)
}

impl Stored {
    fn has_login(&self) -> bool {
        self.cache_a.is_some() || self.cache_b.is_some() || self.account.is_some()
    }
}

/// Reads the file; an absent one is an empty one.
///
/// Fails with `Configuration` if it is not private or not understood.
pub fn load(path: &Path) -> Result<Stored> {
    match private_file::read(path)? {
        Some(content) => parse(path, &content.bytes),
        None => Ok(Stored::default()),
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Stored> {
    let text = std::str::from_utf8(bytes).unwrap_or("\u{0}");
    toml::from_str(text).or_else(|error: toml::de::Error| {
        // The parser's own message quotes the line, and the line may be a token.
        let line = error
            .span()
            .map_or(1, |span| text.as_bytes()[..span.start.min(text.len())].split(|&b| b == b'\n').count());
        let shown = path.display();
        fail(
            ErrorKind::Configuration,
            format!("{shown}: line {line} is not understood: remove the file and run `dcmsfs login`"),
        )
    })
}

/// Replaces the file in one step; hold `private_file::lock` where two processes could do it.
///
/// Fails with `Configuration`.
pub fn save(path: &Path, stored: &Stored) -> Result<()> {
    private_file::replace(path, write(stored).as_bytes())
}

/// Changes the file under its lock: reads it, lets `change` act, writes it.
///
/// Fails with `Configuration` if it is not private or cannot be written, `TimedOut` if another process keeps
/// the lock. A file that is not understood is replaced, since only a new login mends it.
pub async fn update(path: &Path, change: impl FnOnce(&mut Stored)) -> Result<()> {
    let _lock = private_file::lock(path).await?;
    let content = private_file::read(path)?;
    let mut stored = content.and_then(|content| parse(path, &content.bytes).ok()).unwrap_or_default();
    change(&mut stored);
    save(path, &stored)
}

/// Forgets the login under the file's lock, and removes the file if no keys are left in it. What was in it, as far as
/// that was understood; `None` if there was no login.
///
/// Fails with `Configuration`, or `TimedOut` if another process keeps the lock.
pub async fn remove(path: &Path) -> Result<Option<Stored>> {
    // Without the lock, a renewal that is being saved could bring it back.
    let _lock = private_file::lock(path).await?;
    let stored = load(path).unwrap_or_default();
    if !stored.key.is_empty() {
        let key = stored.key.clone();
        save(path, &Stored { key, ..Stored::default() })?;
        return Ok(Some(stored).filter(Stored::has_login));
    }
    match std::fs::remove_file(path) {
        Ok(()) => Ok(Some(stored)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => fail(ErrorKind::Configuration, format!("cannot remove {}: {error}", path.display())),
    }
}

fn write(stored: &Stored) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(64 << 10));
    text.push_str("# Written by `dcmsfs login` and by the renewal of tokens. Keep it private.\n");
    if let Some(login) = &stored.cache_a {
        text.push_str("\n[cache_a]\n");
        line(&mut text, "user", &login.user);
        line(&mut text, "access_token", login.access_token.expose_secret());
        if let Some(token) = &login.refresh_token {
            line(&mut text, "refresh_token", token.expose_secret());
        }
        moment(&mut text, "obtained", login.obtained);
        moment(&mut text, "expires", login.expires);
        moment(&mut text, "refresh_expires", login.refresh_expires);
    }
    if let Some(login) = &stored.cache_b {
        text.push_str("\n[cache_b]\n");
        line(&mut text, "user", &login.user);
        line(&mut text, "password", login.password.expose_secret());
        moment(&mut text, "obtained", login.obtained);
        moment(&mut text, "expires", login.expires);
    }
    if let Some(account) = &stored.account {
        text.push_str("\n[account]\n");
        line(&mut text, "user", &account.user);
        line(&mut text, "password", account.password.expose_secret());
    }
    for key in &stored.key {
        text.push_str("\n[[key]]\n");
        line(&mut text, "url", &key.url);
        if let Some(user) = &key.user {
            line(&mut text, "user", user);
        }
        line(&mut text, "secret", key.secret.expose_secret());
    }
    text
}

fn moment(text: &mut String, key: &str, time: Option<Timestamp>) {
    if let Some(time) = time {
        line(text, key, &time.to_string());
    }
}

/// `key = "value"` as a TOML basic string.
fn line(text: &mut String, key: &str, value: &str) {
    text.push_str(key);
    text.push_str(" = \"");
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            // Writing to a string cannot fail.
            c if c.is_control() => drop(write!(text, "\\u{:04X}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push_str("\"\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stored(user: &str, secret: &str) -> Stored {
        let now = Some(Timestamp::from_second(1_795_000_000).unwrap());
        Stored {
            cache_a: Some(CacheALogin {
                user: user.into(),
                access_token: secret.into(),
                refresh_token: Some(secret.into()),
                obtained: now,
                expires: now,
                refresh_expires: None,
            }),
            cache_b: Some(CacheBLogin {
                user: user.into(),
                password: secret.into(),
                obtained: now,
                expires: now,
            }),
            account: Some(Account { user: user.into(), password: secret.into() }),
            key: vec![Key { url: "https://h/".into(), user: Some(user.into()), secret: secret.into() }],
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(user in any::<String>(), secret in any::<String>()) {
            let place = tempfile::tempdir().unwrap();
            let path = place.path().join("credentials.toml");
            save(&path, &stored(&user, &secret)).unwrap();
            let read = load(&path).unwrap();
            let (a, b, account) = (read.cache_a.unwrap(), read.cache_b.unwrap(), read.account.unwrap());
            prop_assert_eq!(a.access_token.expose_secret(), &secret);
            prop_assert_eq!(a.refresh_token.as_ref().unwrap().expose_secret(), &secret);
            prop_assert_eq!(b.password.expose_secret(), &secret);
            prop_assert_eq!(account.password.expose_secret(), &secret);
            prop_assert_eq!(read.key[0].secret.expose_secret(), &secret);
            prop_assert_eq!(read.key[0].user.as_ref(), Some(&user));
            prop_assert_eq!((a.user, b.user), (user.clone(), user));
            prop_assert_eq!(a.expires.unwrap().as_second(), 1_795_000_000);
        }
    }

    #[test]
    fn a_broken_file_is_not_quoted() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("credentials.toml");
        for text in [
            "[cache_a]\naccess_token = canary",
            "[cache_a]\naccess_token = [\"canary\"]",
            "[cache_a]\naccess_token = \"x\"\nexpires = \"canary\"",
            "cache_a = \"canary\"",
            "[cache_a]\nuser = \"canary\"",
        ] {
            private_file::replace(&path, text.as_bytes()).unwrap();
            let error = load(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(!error.message().contains("canary") && error.message().contains("line"), "{error}");
        }
        private_file::replace(&path, b"\xff\xfe").unwrap();
        assert!(load(&path).is_err());
    }

    #[tokio::test]
    async fn a_logout_keeps_keys_of_hosts() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("credentials.toml");
        save(&path, &stored("u", "s")).unwrap();
        assert!(remove(&path).await.unwrap().is_some());
        let left = load(&path).unwrap();
        assert!(!left.has_login() && left.key.len() == 1);
        assert!(remove(&path).await.unwrap().is_none(), "there was no login");
        let scope = |url: &str| Scope::below(&Url::parse(url).unwrap()).unwrap();
        let key = &left.key[0];
        assert!(key.is_for(&scope("https://h/")));
        for other in ["https://h/x/", "https://h:8443/", "http://127.0.0.1/", "https://h.evil.org/"] {
            assert!(!key.is_for(&scope(other)), "{other}");
        }
    }

    #[tokio::test]
    async fn updates_keep_the_rest() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("dir/credentials.toml");
        update(&path, |kept| kept.cache_b = stored("u", "s").cache_b).await.unwrap();
        update(&path, |kept| kept.cache_a = stored("u", "t").cache_a).await.unwrap();
        let read = load(&path).unwrap();
        assert!(read.cache_a.is_some() && read.cache_b.is_some() && read.account.is_none());
        assert!(!format!("{read:?}").contains("\"t\""));
    }
}
