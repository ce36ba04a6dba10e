//! Validated settings, from files, the environment and options (tree.md, "Configuration names").
//!
//! Order: built-in defaults, `/etc/dcmsfs/config.toml`, `~/.config/dcmsfs/config.toml`, variables
//! `DCMSFS_*`, options. Every key is known: a wrong one is an error that names file, line and key.

pub mod layers;
mod limits;
pub mod quantity;
mod refusals;
mod searches;
mod tables;

use std::path::PathBuf;

pub use searches::CACHE_A;
pub use tables::{
    Access, Cache, CacheA, CacheB, Catalog, Credential, CredentialFiles, Identity, Method, Mount, Network,
    S3, Settings, View, ZarrRoot,
};
use url::{Host, Url};

use crate::error::{Error, ErrorKind, Result, fail};
use crate::settings::quantity::{parse_duration, parse_size};

impl Settings {
    /// Checks what no type can: addresses, sizes, names, and keys whose feature is not built yet.
    ///
    /// # Errors
    /// `Configuration`, naming the key, its value and what would be right.
    pub fn check(&self) -> Result<()> {
        for (key, url) in self.urls() {
            address(key, url)?;
        }
        parse_size("cache.memory", &self.cache.memory)?;
        parse_size("cache.size", &self.cache.size)?;
        parse_size("cache.min_free", &self.cache.min_free)?;
        parse_duration("mount.attr_ttl", &self.mount.attr_ttl)?;
        self.mount.read_ahead_bytes()?;
        self.check_searches()?;
        self.check_s3()?;
        let own = [
            ("cache_a.downloads", self.cache_a.downloads),
            ("cache_a.s3.requests", self.cache_a.s3.requests),
            ("cache_b.requests", self.cache_b.requests),
        ];
        self.cache_b.limits()?;
        for root in &self.cache_b.root {
            root.limits()?;
        }
        let catalogs = self.catalog.iter().map(|catalog| ("catalog.downloads", catalog.downloads));
        let roots = self.cache_b.root.iter().map(|root| ("cache_b.root.requests", root.requests));
        for (key, count) in own.into_iter().chain(catalogs).chain(roots) {
            if !(1..=256).contains(&count) {
                return fail(ErrorKind::Configuration, format!("`{key} = {count}`: must be 1 to 256"));
            }
        }
        let mut names: Vec<&str> = vec!["cache-a", "cache-b", "views", ".dcmsfs", "README.txt"];
        let further =
            self.catalog.iter().map(|root| &root.name).chain(self.cache_b.root.iter().map(|root| &root.name));
        for name in further {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
                let rule = "letters, digits, `-`, `_` and `.` only";
                return fail(ErrorKind::Configuration, format!("root name {name:?}: {rule}"));
            }
            if names.contains(&name.as_str()) {
                return fail(ErrorKind::Configuration, format!("root name {name:?} is used twice"));
            }
            names.push(name);
        }
        self.not_yet()
    }

    /// What `access = "s3"` cannot do without.
    fn check_s3(&self) -> Result<()> {
        let (s3, used) = (&self.cache_a.s3, self.cache_a.access == Access::S3);
        let needed =
            [("endpoint", &s3.endpoint, "\"https://s3.example.org\""), ("bucket", &s3.bucket, "\"eodata\"")];
        match needed.iter().find(|(_, value, _)| used && value.is_empty()) {
            Some((key, _, example)) => fail(
                ErrorKind::Configuration,
                format!("`cache_a.access = \"s3\"` needs `cache_a.s3.{key}`, for example {example}"),
            ),
            None => Ok(()),
        }
    }

    /// Keys that are part of the interface and whose feature is still to come: better refused than ignored.
    fn not_yet(&self) -> Result<()> {
        let set = [("mount.profile", self.mount.profile != "default")];
        match set.iter().find(|(_, set)| *set) {
            Some((key, _)) => fail(
                ErrorKind::Configuration,
                format!("`{key}` is not available in this version: leave it out"),
            ),
            None => Ok(()),
        }
    }

    fn urls(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let own = [
            ("cache_a.url", self.cache_a.url.as_str()),
            ("cache_a.download_url", &self.cache_a.download_url),
            ("cache_b.url", &self.cache_b.url),
            ("cache_a.s3.endpoint", &self.cache_a.s3.endpoint),
            ("identity.url", &self.identity.url),
            ("identity.cache_a_redirect", &self.identity.cache_a_redirect),
            ("identity.cache_b_redirect", &self.identity.cache_b_redirect),
        ];
        let catalogs = self.catalog.iter().map(|catalog| ("catalog.url", catalog.url.as_str()));
        let roots = self.cache_b.root.iter().map(|root| ("cache_b.root.url", root.url.as_str()));
        let hosts = self.network.hosts.iter().map(|host| ("network.hosts", host.as_str()));
        own.into_iter().filter(|(_, url)| !url.is_empty()).chain(catalogs).chain(roots).chain(hosts)
    }
}

impl Mount {
    /// Bytes that the kernel is to read ahead; `None`: as the system has it.
    ///
    /// # Errors
    /// `Configuration`, naming the key.
    pub fn read_ahead_bytes(&self) -> Result<Option<u64>> {
        match self.read_ahead.trim() {
            "" => Ok(None),
            text => parse_size("mount.read_ahead", text).map(Some),
        }
    }
}

/// Reads an address of the configuration: https, or http for loopback.
///
/// # Errors
/// `Configuration`, naming the key.
pub fn address(key: &str, text: &str) -> Result<Url> {
    let wrong = |why: &str| {
        Error::new(
            ErrorKind::Configuration,
            format!("`{key} = {text:?}`: {why}, for example https://host/path"),
        )
    };
    let url = Url::parse(text).map_err(|_| wrong("not an address"))?;
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(wrong("no host in it")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return fail(
            ErrorKind::Configuration,
            format!("`{key}` holds a user name or password: take it out and use `dcmsfs login` or ~/.netrc"),
        );
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        "http" => Err(wrong("http is for addresses of this machine only, use https")),
        _ => Err(wrong("only https is possible")),
    }
}

/// A path of the configuration, with a leading `~` replaced by `home`.
pub fn expand(path: &str, home: &std::path::Path) -> PathBuf {
    match path.strip_prefix('~') {
        Some("") => home.to_owned(),
        Some(rest) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_right() {
        Settings::default().check().unwrap();
    }

    #[test]
    fn addresses_are_https_or_of_this_machine() {
        for right in ["https://h/x", "http://127.0.0.1:9/", "http://localhost/", "http://[::1]:1/"] {
            assert!(address("k", right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "h/x",
            "http://10.0.0.1/",
            "http://127.0.0.1.evil.org/",
            "ftp://h/",
            "file:///etc",
            "https://",
        ] {
            let error = address("cache_a.url", wrong).unwrap_err();
            assert!(error.message().contains("cache_a.url"), "{error}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_repeated() {
        let error = address("cache_b.url", "https://me:sesame@h/").unwrap_err();
        assert!(!error.message().contains("sesame"));
    }

    #[test]
    fn what_is_not_built_is_refused_by_name() {
        let mut settings = Settings::default();
        settings.mount.profile = "gdal".into();
        assert!(settings.check().unwrap_err().message().contains("mount.profile"));
    }

    #[test]
    fn limits_are_sizes_and_numbers() {
        let read = |keys: &str| {
            let settings: Settings = toml::from_str(&format!("[cache_b]\n{keys}")).unwrap();
            settings.check().map(|()| settings.cache_b.limits().unwrap())
        };
        assert_eq!(read("").unwrap(), []);
        let limits = read("bytes_per_day = \"20GiB\"\nrequests_per_month = 500_000").unwrap();
        let limits: Vec<(&str, u64)> =
            limits.iter().map(|limit| (limit.setting.as_str(), limit.most)).collect();
        assert_eq!(limits, [("cache_b.bytes_per_day", 20 << 30), ("cache_b.requests_per_month", 500_000)]);
        for wrong in ["bytes_per_day = \"much\"", "requests_per_day = -1", "requests_per_month = \"20GiB\""] {
            let error = read(wrong).unwrap_err();
            assert!(error.message().contains(wrong.split(' ').next().unwrap()), "{error}");
        }
        let root = "[[cache_b.root]]\nname = \"r\"\nurl = \"https://h/\"\nbytes_per_month = \"x\"";
        assert!(read(root).unwrap_err().message().contains("cache_b.root.bytes_per_month"));
    }
}
