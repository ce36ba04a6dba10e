//! Whose address it is: scheme, host and port, and the part of its paths that a secret is meant for.

use std::fmt;

use url::{Host, Url};

use crate::error::{Error, ErrorKind, Result};

/// Scheme, host and port: the unit that secrets and permissions belong to (contract.md 8.1).
///
/// The host is the one that the URL parser found, so `user@host` tricks cannot change it (CVE-2024-47081).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    secure: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of `url`; fails with `Protocol` unless it is http or https with a host.
    pub fn of(url: &Url) -> Result<Self> {
        let secure = match url.scheme() {
            "https" => true,
            "http" => false,
            other => {
                return Err(Error::new(
                    ErrorKind::Protocol,
                    format!("an address of scheme {other}: only https is fetched"),
                ));
            }
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| Error::new(ErrorKind::Protocol, "an address without a host"))?;
        // Both schemes have a default, so the port is always known.
        let port = url.port_or_known_default().unwrap_or(if secure { 443 } else { 80 });
        Ok(Self { secure, host: host.to_owned(), port })
    }

    /// Whether it is https.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host as the URL parser writes it: lower case, IPv6 addresses in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether the host is this machine: a loopback address, `localhost` or a name below it.
    pub fn is_loopback(&self) -> bool {
        match Host::parse(&self.host) {
            Ok(Host::Ipv4(address)) => address.is_loopback(),
            Ok(Host::Ipv6(address)) => address.is_loopback(),
            Ok(Host::Domain(name)) => is_local_name(&name),
            Err(_) => false,
        }
    }
}

/// Whether a host name means this machine by RFC 6761 6.3.
pub(super) fn is_local_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, default) = if self.secure { ("https", 443) } else { ("http", 80) };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port == default { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An origin and a path: the addresses below it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    origin: Origin,
    /// Without a slash at its end; empty for the whole origin.
    prefix: String,
}

impl Scope {
    /// The addresses of `origin` whose path is `prefix` or lies below it; `/` is the whole origin.
    pub fn new(origin: Origin, prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        Self { origin, prefix }
    }

    /// The addresses at and below `url`, whatever its query.
    pub fn below(url: &Url) -> Result<Self> {
        Ok(Self::new(Origin::of(url)?, url.path()))
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether a request for `path` of the same origin falls under it. Whole segments count: `/a` does not
    /// hold `/ab`.
    pub(super) fn holds(&self, path: &str) -> bool {
        path.strip_prefix(self.prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether `url` is one of its addresses.
    pub fn contains(&self, url: &Url) -> bool {
        Origin::of(url).is_ok_and(|origin| origin == self.origin) && self.holds(url.path())
    }

    /// How narrow it is: of several that hold a path the longest counts.
    pub fn depth(&self) -> usize {
        self.prefix.len()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}/", self.origin, self.prefix)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::of(&Url::parse(text).unwrap()).unwrap()
    }

    #[test]
    fn default_ports_and_user_parts_do_not_matter_but_scheme_and_port_do() {
        assert_eq!(origin("https://Example.org/a?b"), origin("https://x:y@example.org:443"));
        assert_ne!(origin("https://example.org"), origin("http://example.org"));
        assert_ne!(origin("https://example.org"), origin("https://example.org:8443"));
        assert_ne!(origin("https://example.org"), origin("https://example.org."));
        assert_eq!(origin("https://example.org:8443/x").to_string(), "https://example.org:8443");
        assert_eq!(origin("http://[::1]:5000").to_string(), "http://[::1]:5000");
        assert!(Origin::of(&Url::parse("ftp://example.org").unwrap()).is_err());
        assert!(Origin::of(&Url::parse("file:///etc/passwd").unwrap()).is_err());
    }

    #[test]
    fn loopback_in_its_disguises() {
        for text in
            ["http://127.0.0.1", "http://127.1.2.3:80", "http://[::1]", "http://0x7f.1", "http://LOCALHOST"]
        {
            assert!(origin(text).is_loopback(), "{text}");
        }
        for text in ["http://127.0.0.1.example.org", "http://localhost.example.org", "http://10.0.0.1"] {
            assert!(!origin(text).is_loopback(), "{text}");
        }
    }

    #[test]
    fn scopes_end_at_segments() {
        let scope = Scope::below(&Url::parse("https://h/stac/download?filename=x").unwrap()).unwrap();
        assert!(scope.holds("/stac/download") && scope.holds("/stac/download/x"));
        assert!(!scope.holds("/stac/downloads") && !scope.holds("/stac/api") && !scope.holds("/"));
        assert!(
            Scope::new(origin("https://h"), "/").holds("/")
                && Scope::new(origin("https://h"), "").holds("/a")
        );
    }
}
