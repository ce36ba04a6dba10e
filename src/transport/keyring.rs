//! The secrets by the addresses they are meant for. `transport` looks them up, `credentials` puts them in.
//!
//! Every change gets a new generation number. An exchange tells which generation it was sent with, so whoever
//! meets a 401 can ask for a renewal "of that one", and a hundred readers cause one.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use zeroize::Zeroizing;

use super::origin::{Origin, Scope};
use super::signature::S3Keys;
use crate::error::Result;

/// What proves to a service who we are.
#[derive(Clone)]
pub enum Authorization {
    /// An access token (Cache-A, protocol.md 3.4).
    Bearer(SecretString),
    /// User and password (Cache-B: `anonymous` and the offline token, protocol.md 4.1).
    Basic {
        /// The login name; no colon in it.
        user: String,
        /// The password or token.
        password: SecretString,
    },
    /// Keys that requests are signed with (S3).
    Signed(Box<S3Keys>),
}

impl Authorization {
    /// What goes with a request, marked so that nothing prints it and HTTP/2 does not index it.
    ///
    /// A secret with a control character in it cannot be sent; it becomes an empty value, which the
    /// service refuses.
    ///
    /// # Errors
    /// `Configuration` for keys that nothing can be signed with.
    pub(super) fn headers(&self, method: &Method, url: &Url) -> Result<HeaderMap> {
        let text = match self {
            Self::Signed(keys) => return keys.headers(method, url),
            Self::Bearer(token) => Zeroizing::new(format!("Bearer {}", token.expose_secret())),
            Self::Basic { user, password } => {
                let pair = Zeroizing::new(format!("{user}:{}", password.expose_secret()));
                Zeroizing::new(format!("Basic {}", *base64(pair.as_bytes())))
            }
        };
        let mut value = HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""));
        value.set_sensitive(true);
        Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bearer(_) => f.write_str("Bearer [REDACTED]"),
            Self::Basic { user, .. } => write!(f, "Basic {user}:[REDACTED]"),
            Self::Signed(keys) => keys.fmt(f),
        }
    }
}

/// Standard base64 with padding (RFC 4648 4), in memory that is wiped.
fn base64(bytes: &[u8]) -> Zeroizing<String> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Zeroizing::new(String::with_capacity(bytes.len().div_ceil(3) * 4));
    for group in bytes.chunks(3) {
        let at = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 63;
            text.push(if digit <= group.len() { char::from(ALPHABET[index as usize]) } else { '=' });
        }
    }
    text
}

struct Entry {
    generation: u64,
    /// `None` after a removal: the number must go on counting.
    secret: Option<Arc<Authorization>>,
}

#[derive(Default)]
struct Table {
    entries: HashMap<Origin, Vec<(Scope, Entry)>>,
    /// The last number given; counted over all entries, so that a number never comes back.
    last: u64,
}

/// The secrets by address, cheap to clone. The narrowest scope that holds an address counts.
#[derive(Clone, Default)]
pub struct Keyring(Arc<RwLock<Table>>);

impl Keyring {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a secret in place of the former; answers its generation.
    pub fn set(&self, scope: &Scope, secret: Authorization) -> u64 {
        self.put(scope, Some(Arc::new(secret)))
    }

    /// Forgets the secret of `scope`; the generation moves on.
    pub fn remove(&self, scope: &Scope) {
        self.put(scope, None);
    }

    fn put(&self, scope: &Scope, secret: Option<Arc<Authorization>>) -> u64 {
        let mut table = self.0.write();
        table.last += 1;
        let generation = table.last;
        let entry = Entry { generation, secret };
        let entries = table.entries.entry(scope.origin().clone()).or_default();
        match entries.iter_mut().find(|(known, _)| known == scope) {
            Some((_, place)) => *place = entry,
            None => entries.push((scope.clone(), entry)),
        }
        generation
    }

    /// The generation of the secret for `url`; 0 if there never was one.
    pub fn generation(&self, url: &Url) -> u64 {
        self.lookup(url).1
    }

    /// Whether a request to `url` would carry a secret.
    pub fn has(&self, url: &Url) -> bool {
        self.lookup(url).0.is_some()
    }

    /// The generation of exactly this scope's entry; 0 if there never was one.
    pub fn generation_of(&self, scope: &Scope) -> u64 {
        self.entry(scope, |entry| entry.generation).unwrap_or(0)
    }

    /// Whether exactly this scope has a secret.
    pub fn holds(&self, scope: &Scope) -> bool {
        self.entry(scope, |entry| entry.secret.is_some()).unwrap_or(false)
    }

    fn entry<T>(&self, scope: &Scope, look: impl Fn(&Entry) -> T) -> Option<T> {
        let table = self.0.read();
        let entries = table.entries.get(scope.origin())?;
        entries.iter().find(|(known, _)| known == scope).map(|(_, entry)| look(entry))
    }

    /// The secret itself, for tests of what fills it.
    #[cfg(test)]
    pub(crate) fn peek(&self, url: &Url) -> Option<Authorization> {
        self.lookup(url).0.map(|secret| (*secret).clone())
    }

    /// The secret for `url` and its generation.
    pub(super) fn lookup(&self, url: &Url) -> (Option<Arc<Authorization>>, u64) {
        let Ok(origin) = Origin::of(url) else { return (None, 0) };
        let table = self.0.read();
        let entries = table.entries.get(&origin).into_iter().flatten();
        let best =
            entries.filter(|(scope, _)| scope.holds(url.path())).max_by_key(|(scope, _)| scope.depth());
        best.map_or((None, 0), |(_, entry)| (entry.secret.clone(), entry.generation))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.0.read();
        let scopes = table.entries.values().flatten().map(|(scope, entry)| (scope, &entry.secret));
        f.debug_map().entries(scopes).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn bearer(token: &str) -> Authorization {
        Authorization::Bearer(SecretString::from(token))
    }

    #[test]
    fn base64_of_the_rfc() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(*base64(plain.as_bytes()), coded);
        }
        assert_eq!(*base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn the_narrowest_scope_counts_and_other_origins_get_nothing() {
        let keyring = Keyring::new();
        let one = keyring.set(&Scope::below(&url("http://127.0.0.1:1/stac/download")).unwrap(), bearer("a"));
        let two = keyring.set(&Scope::below(&url("http://127.0.0.1:1/cacheb/")).unwrap(), bearer("b"));
        assert!(two > one);
        assert_eq!(keyring.generation(&url("http://127.0.0.1:1/stac/download?filename=x")), one);
        assert_eq!(keyring.generation(&url("http://127.0.0.1:1/cacheb/store/.zmetadata")), two);
        for elsewhere in [
            "http://127.0.0.1:1/stac/api",
            "http://127.0.0.1:1/cachebb",
            "http://127.0.0.1:2/cacheb/",
            "https://127.0.0.1:1/cacheb/",
            "http://127.0.0.1:1/cacheb/../x",
            "http://127.0.0.1:1/cacheb/%2e%2e/x",
        ] {
            assert!(!keyring.has(&url(elsewhere)), "{elsewhere}");
        }
    }

    #[test]
    fn generations_never_repeat() {
        let keyring = Keyring::new();
        let scope = Scope::below(&url("https://h/")).unwrap();
        let first = keyring.set(&scope, bearer("a"));
        keyring.remove(&scope);
        let removed = keyring.generation(&url("https://h/x"));
        assert!(removed > first && !keyring.has(&url("https://h/x")));
        assert!(keyring.set(&scope, bearer("a")) > removed);
    }

    #[test]
    fn nothing_prints_a_secret() {
        let keyring = Keyring::new();
        let secret = Authorization::Basic { user: "anonymous".into(), password: "canary".into() };
        keyring.set(&Scope::below(&url("https://h/")).unwrap(), secret.clone());
        let header = secret.headers(&Method::GET, &url("https://h/")).unwrap().remove(AUTHORIZATION).unwrap();
        let printed = format!("{keyring:?} {secret:?} {header:?} {:?}", bearer("canary"));
        assert!(!printed.contains("canary") && !printed.contains("Y2FuYXJ5"), "{printed}");
        assert!(header.is_sensitive());
    }
}
