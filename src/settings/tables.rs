//! The tables and keys of the configuration, with their defaults: the names are an interface (tree.md).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::settings::quantity::text_or_number;

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
// For the message when something else was written there; else it names the type of this source.
#[serde(expecting = "the table [cache_a]", deny_unknown_fields, default)]
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
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(expecting = "the table [cache_a.s3]", deny_unknown_fields, default)]
pub struct S3 {
    /// Address of the S3 service.
    pub endpoint: String,
    /// Bucket name.
    pub bucket: String,
    /// Region name, as signatures name it.
    pub region: String,
    /// AWS style file with the keys; empty: `~/.aws/credentials`.
    pub credentials_file: String,
    /// The section of that file.
    pub profile: String,
    /// Put before keys that are read out of web addresses.
    pub prefix: String,
    /// Parallel requests.
    pub requests: usize,
}

impl Default for S3 {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            bucket: String::new(),
            // What services without regions take, too.
            region: "us-east-1".into(),
            credentials_file: String::new(),
            profile: "default".into(),
            prefix: String::new(),
            requests: 16,
        }
    }
}

/// `[cache_b]`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(expecting = "the table [cache_b]", deny_unknown_fields, default)]
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
    /// Chunks that are fetched ahead of a reader, at most.
    pub ahead: usize,
    /// How long metadata holds before the host is asked whether it still does.
    pub metadata_ttl: String,
    /// Most bytes of answers in a day, such as `20GiB`; empty: no limit.
    #[serde(deserialize_with = "text_or_number")]
    pub bytes_per_day: String,
    /// The same in a month.
    #[serde(deserialize_with = "text_or_number")]
    pub bytes_per_month: String,
    /// Most requests in a day; empty: no limit.
    #[serde(deserialize_with = "text_or_number")]
    pub requests_per_day: String,
    /// The same in a month.
    #[serde(deserialize_with = "text_or_number")]
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
            ahead: 8,
            metadata_ttl: "10min".into(),
            bytes_per_day: String::new(),
            bytes_per_month: String::new(),
            requests_per_day: String::new(),
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
    /// The password of netrc as Bearer token.
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
    /// Chunks that are fetched ahead of a reader, at most.
    #[serde(default = "eight")]
    pub ahead: usize,
    /// Most bytes of answers in a day, such as `20GiB`; empty: no limit.
    #[serde(deserialize_with = "text_or_number", default)]
    pub bytes_per_day: String,
    /// The same in a month.
    #[serde(deserialize_with = "text_or_number", default)]
    pub bytes_per_month: String,
    /// Most requests in a day; empty: no limit.
    #[serde(deserialize_with = "text_or_number", default)]
    pub requests_per_day: String,
    /// The same in a month.
    #[serde(deserialize_with = "text_or_number", default)]
    pub requests_per_month: String,
}

fn api_key() -> Credential {
    Credential::ApiKey
}

fn eight() -> usize {
    8
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
#[serde(expecting = "the table [identity]", deny_unknown_fields, default)]
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
#[serde(expecting = "the table [credentials]", deny_unknown_fields, default)]
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
#[serde(expecting = "the table [cache]", deny_unknown_fields, default)]
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
#[serde(expecting = "the table [mount]", deny_unknown_fields, default)]
pub struct Mount {
    /// Other users may read the mount, on this account.
    pub allow_other: bool,
    /// How long the kernel may believe names and sizes of what does not change.
    pub attr_ttl: String,
    /// How far the kernel reads ahead, where we may set it; empty: as the system has it.
    pub read_ahead: String,
    /// Tuning by tool.
    pub profile: String,
}

impl Default for Mount {
    fn default() -> Self {
        let [attr_ttl, read_ahead, profile] = ["1h", "512KiB", "default"].map(str::to_owned);
        Self { allow_other: false, attr_ttl, read_ahead, profile }
    }
}

/// `[network]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(expecting = "the table [network]", deny_unknown_fields, default)]
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
    /// The `[[catalog]]` searched; empty: cache-a.
    #[serde(default)]
    pub catalog: String,
    /// Collection searched.
    pub collection: String,
    /// Search expression.
    pub search: String,
}
