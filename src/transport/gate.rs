//! Who may be contacted: the configured origins, and perhaps public hosts.
//!
//! A host name is judged twice. Its text is checked before a request is made, its addresses when they are
//! resolved, in the resolver that the client itself uses: a name that resolves differently a second time
//! (DNS rebinding) gains nothing.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use parking_lot::RwLock;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::origin::{Origin, is_local_name};
use crate::error::{ErrorKind, Result, fail};

/// The setting that a refused foreign host is answered with.
const FOREIGN_SETTING: &str = "network.allow_foreign";

/// The allowed origins.
pub(super) struct Gate {
    configured: RwLock<HashSet<Origin>>,
    allow_foreign: bool,
}

impl Gate {
    pub(super) fn new(allow_foreign: bool) -> Self {
        Self { configured: RwLock::default(), allow_foreign }
    }

    pub(super) fn allow(&self, origin: Origin) -> Result<()> {
        if !origin.is_secure() && !origin.is_loopback() {
            return fail(
                ErrorKind::Configuration,
                format!("{origin}: plain http is for loopback addresses only, use https"),
            );
        }
        self.configured.write().insert(origin);
        Ok(())
    }

    /// Whether a request to `url` may be made, as far as its text says.
    pub(super) fn check(&self, url: &Url) -> Result<()> {
        let origin = Origin::of(url)?;
        if !url.username().is_empty() || url.password().is_some() {
            return fail(
                ErrorKind::Protocol,
                format!("{origin}: an address with a user name in it is refused"),
            );
        }
        let configured = self.configured.read();
        if configured.contains(&origin) {
            return Ok(());
        }
        let refused = |why: &str| fail(ErrorKind::Protocol, format!("{origin} is refused: {why}"));
        // The resolver lets a configured name through whatever its address; so its other ports stay shut.
        if configured.iter().any(|known| known.host() == origin.host()) {
            return refused("only another scheme or port of this host is in the configuration");
        }
        if !self.allow_foreign {
            return refused(&format!(
                "it is not in the configuration (to fetch from other hosts, without credentials, set {FOREIGN_SETTING})"
            ));
        }
        if !origin.is_secure() {
            return refused("other hosts are fetched by https only");
        }
        let public = match url.host() {
            Some(Host::Ipv4(address)) => is_public(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => is_public(IpAddr::V6(address)),
            Some(Host::Domain(name)) => !is_local_name(name),
            None => false,
        };
        if public {
            Ok(())
        } else {
            refused("it is a private or local address; name it in the configuration")
        }
    }

    /// The addresses of `host` that may be connected to.
    fn admit(&self, host: &str, found: Vec<SocketAddr>) -> std::result::Result<Vec<SocketAddr>, Refused> {
        // Plain http is allowed to these names, so they must mean this machine.
        let local = is_local_name(host);
        let known = self.configured.read().iter().any(|origin| origin.host() == host);
        let admitted = |address: &SocketAddr| {
            if local { address.ip().is_loopback() } else { known || is_public(address.ip()) }
        };
        let (kept, dropped): (Vec<_>, Vec<_>) = found.into_iter().partition(admitted);
        match dropped.first() {
            Some(address) if kept.is_empty() => Err(Refused(address.ip())),
            _ => Ok(kept),
        }
    }
}

/// A name led only to addresses that must not be contacted.
#[derive(Debug)]
pub(super) struct Refused(IpAddr);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it resolves to {}, a private or local address; name the host in the configuration", self.0)
    }
}

impl std::error::Error for Refused {}

/// The system's resolver behind the gate.
pub(super) struct Resolver(Arc<Gate>);

impl Resolver {
    pub(super) fn new(gate: Arc<Gate>) -> Self {
        Self(gate)
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let gate = Arc::clone(&self.0);
        Box::pin(async move {
            let host = name.as_str().to_ascii_lowercase();
            // Port 0 is replaced by the one of the request.
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let admitted = gate.admit(&host, found)?;
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is on the public internet: no private, local, shared, test or translated range.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    let embedded = |high: u16, low: u16| is_public_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match parts {
        // ::ffff:0:0/96 mapped, 64:ff9b::/96 translated, 2002::/16 6to4: as the address within.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2002, high, low, ..] => embedded(high, low),
        // Teredo, benchmarking, ORCHID and the like; documentation.
        [0x2001, second, ..] => second >= 0x200 && second != 0xdb8,
        [0x3fff, second, ..] => second >= 0x1000,
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(hosts: &[&str], allow_foreign: bool) -> Gate {
        let gate = Gate::new(allow_foreign);
        for host in hosts {
            gate.allow(Origin::of(&Url::parse(host).unwrap()).unwrap()).unwrap();
        }
        gate
    }

    fn admits(gate: &Gate, url: &str) -> bool {
        gate.check(&Url::parse(url).unwrap()).is_ok()
    }

    #[test]
    fn only_configured_origins_without_the_setting() {
        let gate = gate(&["https://cachea.destine.eu", "http://127.0.0.1:8080", "https://10.1.1.1"], false);
        assert!(
            admits(&gate, "https://cachea.destine.eu/stac/api") && admits(&gate, "http://127.0.0.1:8080/x")
        );
        assert!(admits(&gate, "https://10.1.1.1/"));
        for url in [
            "http://cachea.destine.eu/",
            "https://cachea.destine.eu:8443/",
            "https://cachea.destine.eu.evil.example/",
            "https://cachea.destine.eu@evil.example/",
            "https://user:secret@cachea.destine.eu/",
            "http://127.0.0.1:8081/",
            "http://localhost:8080/",
            "https://example.org/",
            "ftp://cachea.destine.eu/",
            "file:///etc/passwd",
        ] {
            assert!(!admits(&gate, url), "{url}");
        }
    }

    #[test]
    fn foreign_hosts_are_public_and_https() {
        let gate = gate(&["https://cachea.destine.eu"], true);
        assert!(admits(&gate, "https://objects.example.org/a") && admits(&gate, "https://193.0.6.139/"));
        for url in [
            "http://objects.example.org/",
            "https://cachea.destine.eu:22/",
            "https://localhost/",
            "https://a.localhost./",
            "https://127.1/",
            "https://0/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://169.254.169.254/latest/meta-data",
            "https://[::]/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[64:ff9b::a00:1]/",
            "https://[2002:7f00:1::]/",
            "https://[fe80::1]/",
            "https://[fd00::1]/",
            "https://100.64.0.1/",
            "https://224.0.0.1/",
        ] {
            assert!(!admits(&gate, url), "{url}");
        }
    }

    #[test]
    fn a_refusal_names_the_host_and_the_setting_and_no_query() {
        let error =
            gate(&[], false).check(&Url::parse("https://e.example/p?token=canary").unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.message().contains("https://e.example") && error.message().contains(FOREIGN_SETTING));
        assert!(!error.message().contains("canary"));
    }

    #[test]
    fn plain_http_is_for_this_machine() {
        let origin = Origin::of(&Url::parse("http://cachea.destine.eu").unwrap()).unwrap();
        assert_eq!(Gate::new(false).allow(origin).unwrap_err().kind(), ErrorKind::Configuration);
    }

    #[test]
    fn resolved_addresses_are_filtered() {
        let gate = gate(&["https://inside.example", "http://localhost:1"], true);
        let address = |text: &str| SocketAddr::new(text.parse().unwrap(), 0);
        let mixed = || vec![address("10.0.0.1"), address("193.0.6.139")];
        assert_eq!(gate.admit("outside.example", mixed()).unwrap(), [address("193.0.6.139")]);
        assert_eq!(gate.admit("inside.example", mixed()).unwrap(), mixed());
        assert!(gate.admit("outside.example", vec![address("127.0.0.1")]).is_err());
        assert!(gate.admit("localhost", vec![address("193.0.6.139")]).is_err(), "hosts file pointing away");
    }
}
