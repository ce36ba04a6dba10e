//! Validated settings, from files, the environment and options (tree.md, "Configuration names").
//!
//! Order: built-in defaults, `/etc/dcmsfs/config.toml`, `~/.config/dcmsfs/config.toml`, variables
//! `DCMSFS_*`, options. Every key is known: a wrong one is an error that names file, line and key.

pub mod layers;
pub mod quantity;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::error::{Error, ErrorKind, Result, fail};
use crate::settings::quantity::{parse_duration, parse_size};

/// All settings, with the names that files use.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Sentinel products behind a STAC API.
    pub cache_a: CacheA,
    /// Climate and ERA5 Zarr stores.
    pub cache_b: CacheB,
    /// More STAC APIs, each shown beside `cache-a`.
    pub catalog: Vec<Catalog>,
    /// Where logins are made.
    pub identity: Identity,
    /// Where secrets are kept.
    pub credentials: CredentialFiles,
    /// The block cache.
    pub cache: Cache,
    /// The mount itself.
    pub mount: Mount,
    /// Hosts beyond the configured services.
    pub network: Network,
    /// Saved searches.
    pub view: BTreeMap<String, View>,
}

/// `[cache_a]`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheA {
    /// Root of the STAC API; empty: no `cache-a` in the tree.
    pub url: String,
    /// The address that takes `?filename=`; empty: as the assets' hrefs say.
    pub download_url: String,
    /// `auto`, `post` or `get`.
    pub download_method: Method,
    /// Parallel downloads of this user, over all mounts (protocol.md 3.4: 2).
    pub downloads: usize,
    /// `download`, or `s3` for service providers.
    pub access: Access,
    /// Collections to show; empty: all that the service lists.
    pub collections: Vec<String>,
    /// `W:S:E:N`; restricts the whole mount.
    pub bbox: String,
    /// Restricts the whole mount.
    pub datetime: String,
    /// `<20`; restricts the whole mount.
    pub cloud_cover: String,
    /// `[cache_a.s3]`
    pub s3: S3,
}

impl Default for CacheA {
    fn default() -> Self {
        Self {
            url: "https://cachea.destine.eu/stac/api".into(),
            download_url: String::new(),
            download_method: Method::Auto,
            downloads: 2,
            access: Access::Download,
            collections: Vec::new(),
            bbox: String::new(),
            datetime: String::new(),
            cloud_cover: String::new(),
            s3: S3::default(),
        }
    }
}

/// How a download address wants to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// POST where the address has `?filename=`, else GET.
    Auto,
    /// Always POST.
    Post,
    /// Always GET.
    Get,
}

/// How product files are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Through the download address.
    Download,
    /// By object key, for service providers.
    S3,
}

/// `[cache_a.s3]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct S3 {
    /// Address of the S3 service.
    pub endpoint: String,
    /// Bucket name.
    pub bucket: String,
    /// Region name.
    pub region: String,
    /// AWS style file with the keys.
    pub credentials_file: String,
}

/// `[cache_b]`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheB {
    /// Base of all stores; empty: no `cache-b` in the tree.
    pub url: String,
    /// Stores that are listed, as paths below `url`; others can be looked up.
    pub stores: Vec<String>,
    /// Login name for HTTP Basic.
    pub login: String,
    /// Kind of credential.
    pub credential: Credential,
    /// Parallel requests.
    pub requests: usize,
    /// Volume limit, such as `20GiB`; empty: none.
    pub bytes_per_day: String,
    /// Request limit; empty: none.
    pub requests_per_month: String,
    /// `[[cache_b.root]]`: more Zarr hosts.
    pub root: Vec<ZarrRoot>,
}

impl Default for CacheB {
    fn default() -> Self {
        let published = [
            "d1-climate-dt/ScenarioMIP-SSP3-7.0-IFS-NEMO-0001-high-sfc-v0.zarr",
            "d1-climate-dt/ScenarioMIP-SSP3-7.0-IFS-NEMO-0001-high-o2d-v0.zarr",
            "d1-climate-dt/ScenarioMIP-SSP3-7.0-IFS-NEMO-0001-high-pl-v0.zarr",
            "d1-climate-dt/ScenarioMIP-SSP3-7.0-ICON-0001-high-sfc-v0.zarr",
            "era5/reanalysis-era5-land-no-antartica-v0.zarr",
            "era5/reanalysis-era5-single-levels-v0.zarr",
        ];
        Self {
            url: "https://cacheb.dcms.destine.eu/".into(),
            stores: published.map(str::to_owned).into(),
            login: "anonymous".into(),
            credential: Credential::OfflineToken,
            requests: 16,
            bytes_per_day: String::new(),
            requests_per_month: String::new(),
            root: Vec::new(),
        }
    }
}

/// What kind of secret a Zarr host wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Credential {
    /// The offline token of a DestinE login as Basic password; from the login or from netrc.
    OfflineToken,
    /// A personal key as Basic password, from netrc.
    ApiKey,
    /// The access token of a DestinE login as Bearer.
    Bearer,
    /// Nothing.
    None,
}

/// `[[cache_b.root]]`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ZarrRoot {
    /// Its directory beside `cache-b`.
    pub name: String,
    /// Base of all its stores.
    pub url: String,
    /// Stores that are listed.
    #[serde(default)]
    pub stores: Vec<String>,
    /// Login name for HTTP Basic; empty: as netrc says.
    #[serde(default)]
    pub login: String,
    /// Kind of credential.
    #[serde(default = "api_key")]
    pub credential: Credential,
    /// Parallel requests.
    #[serde(default = "sixteen")]
    pub requests: usize,
}

fn api_key() -> Credential {
    Credential::ApiKey
}

fn sixteen() -> usize {
    16
}

/// `[[catalog]]`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// Its directory beside `cache-a`.
    pub name: String,
    /// Root of the STAC API.
    pub url: String,
    /// Parallel downloads.
    #[serde(default = "two")]
    pub downloads: usize,
}

fn two() -> usize {
    2
}

/// `[identity]` (protocol.md 2.1, 2.4)
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// Keycloak's base address.
    pub url: String,
    /// Keycloak's realm.
    pub realm: String,
    /// Client whose access token opens Cache-A.
    pub cache_a_client: String,
    /// Where that client's codes are sent.
    pub cache_a_redirect: String,
    /// Client whose offline token opens Cache-B.
    pub cache_b_client: String,
    /// Where that client's codes are sent.
    pub cache_b_redirect: String,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            url: "https://auth.destine.eu".into(),
            realm: "desp".into(),
            cache_a_client: "dcms_client".into(),
            cache_a_redirect: "http://localhost:5000".into(),
            cache_b_client: "edh-public".into(),
            cache_b_redirect: "https://cacheb.dcms.destine.eu/".into(),
        }
    }
}

/// `[credentials]`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CredentialFiles {
    /// What `dcmsfs login` keeps; mode 0600.
    pub file: String,
    /// Read for Zarr hosts; written only by `dcmsfs login --netrc`.
    pub netrc: String,
}

impl Default for CredentialFiles {
    fn default() -> Self {
        Self { file: "~/.config/dcmsfs/credentials.toml".into(), netrc: "~/.netrc".into() }
    }
}

/// `[cache]`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// Directory of the disk cache.
    pub dir: String,
    /// Most bytes on disk.
    pub size: String,
    /// Most bytes of blocks in memory.
    pub memory: String,
    /// Bytes left free on the disk.
    pub min_free: String,
}

impl Default for Cache {
    fn default() -> Self {
        let [dir, size, memory, min_free] = ["~/.cache/dcmsfs", "20GiB", "256MiB", "2GiB"].map(str::to_owned);
        Self { dir, size, memory, min_free }
    }
}

/// `[mount]`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mount {
    /// Other users may read the mount, on this account.
    pub allow_other: bool,
    /// How long the kernel may believe names and sizes of what does not change.
    pub attr_ttl: String,
    /// Tuning by tool.
    pub profile: String,
}

impl Default for Mount {
    fn default() -> Self {
        Self { allow_other: false, attr_ttl: "1h".into(), profile: "default".into() }
    }
}

/// `[network]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// More origins (`https://host[:port]`) that links and redirects of the services may lead to.
    pub hosts: Vec<String>,
    /// Follow links to any public https host, without credentials.
    pub allow_foreign: bool,
}

/// `[view.<name>]`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// Collection searched.
    pub collection: String,
    /// Search expression.
    pub search: String,
}

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
        let counts =
            [("cache_a.downloads", self.cache_a.downloads), ("cache_b.requests", self.cache_b.requests)];
        for (key, count) in counts {
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

    /// Keys that are part of the interface and whose feature is still to come: better refused than ignored.
    fn not_yet(&self) -> Result<()> {
        let set = [
            ("cache_a.access = \"s3\"", self.cache_a.access == Access::S3),
            ("cache_a.bbox", !self.cache_a.bbox.is_empty()),
            ("cache_a.datetime", !self.cache_a.datetime.is_empty()),
            ("cache_a.cloud_cover", !self.cache_a.cloud_cover.is_empty()),
            ("cache_b.bytes_per_day", !self.cache_b.bytes_per_day.is_empty()),
            ("cache_b.requests_per_month", !self.cache_b.requests_per_month.is_empty()),
            ("mount.profile", self.mount.profile != "default"),
            ("[view.…]", !self.view.is_empty()),
        ];
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
            ("identity.url", &self.identity.url),
        ];
        let catalogs = self.catalog.iter().map(|catalog| ("catalog.url", catalog.url.as_str()));
        let roots = self.cache_b.root.iter().map(|root| ("cache_b.root.url", root.url.as_str()));
        let hosts = self.network.hosts.iter().map(|host| ("network.hosts", host.as_str()));
        own.into_iter().filter(|(_, url)| !url.is_empty()).chain(catalogs).chain(roots).chain(hosts)
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
        settings.cache_b.bytes_per_day = "1GiB".into();
        assert!(settings.check().unwrap_err().message().contains("bytes_per_day"));
    }
}
