//! The switches for everything the documentation of the services leaves open.
//!
//! The defaults are the friendly reading. Each field can be changed while the emulator runs, from a test
//! ([`crate::Emulator::set_behaviour`]) or a script (`POST /_emulator/behaviour` with a JSON object that
//! holds the fields to change).

use serde::{Deserialize, Serialize};

/// How the services answer where it is not known how the real ones do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// The search.
    pub stac: StacBehaviour,
    /// The shape of the items that the search returns.
    pub items: ItemBehaviour,
    /// The download address.
    pub download: DownloadBehaviour,
    /// The Zarr host.
    pub cache_b: CacheBBehaviour,
    /// The identity provider.
    pub login: LoginBehaviour,
}

/// Switches of the search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StacBehaviour {
    /// `POST /search` works; otherwise it answers 405.
    pub post: bool,
    /// `filter` is applied; otherwise it is silently ignored.
    pub filter: bool,
    /// `ids` is applied; otherwise it is silently ignored.
    pub ids: bool,
    /// `bbox` is applied; otherwise it is silently ignored.
    pub bbox: bool,
    /// The far end of a `datetime` interval is excluded, as in the old catalogue of the upstream provider.
    pub half_open: bool,
    /// JSON is compressed for clients that accept it.
    pub gzip: bool,
    /// Items per page when the client asks for no number.
    pub default_limit: u64,
    /// The largest page; a larger `limit` is cut down to it.
    pub max_limit: u64,
    /// A search ends after this many pages, as if there were no more items.
    pub max_pages: Option<u64>,
    /// How a page points to the next one.
    pub next: NextForm,
    /// Collections answer without `extent`.
    pub no_extent: bool,
}

impl Default for StacBehaviour {
    fn default() -> Self {
        StacBehaviour {
            post: true,
            filter: true,
            ids: true,
            bbox: true,
            half_open: false,
            gzip: true,
            default_limit: 20,
            max_limit: 1000,
            max_pages: None,
            next: NextForm::Token,
            no_extent: false,
        }
    }
}

/// How a page of items points to the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NextForm {
    /// An absolute address for GET with the whole query and a token.
    Token,
    /// The same as a reference relative to the address of the page.
    Relative,
    /// `method: POST` with a body that holds only the token, to be merged into the first body.
    PostMerge,
    /// `method: POST` with the complete body.
    PostWhole,
    /// `page=N` instead of a token.
    Page,
    /// The link of every page leads to the first page.
    Loop,
    /// Every second page is empty but has a `next`.
    EmptyPages,
    /// After the last item, empty pages whose token grows, without end.
    Endless,
}

/// Switches of the items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ItemBehaviour {
    /// Which assets carry `file:size`.
    pub sizes: Sizes,
    /// The form of the asset addresses.
    pub hrefs: HrefForm,
    /// `datetime` is null, with `start_datetime` and `end_datetime` instead. Mosaics always are so.
    pub null_datetime: bool,
    /// An asset with the whole product as a zip exists beside the files.
    pub product_zip: bool,
    /// The item ids end in `.SAFE` or `.SEN3`.
    pub suffix_in_id: bool,
    /// Only the images and the metadata are assets, not the quality files and pages (about 41 of 100).
    pub few_assets: bool,
    /// Items with this substring in their identifier are gone: 404, and not in any search.
    pub gone: Option<String>,
    /// The images of Sentinel-2 in the demo tell where their pixels lie (`proj:*`, `data_type`, `bands`).
    pub projection: bool,
    /// `file:checksum` of the files whose path contains the first text: the second, as it is.
    pub checksums: Vec<(String, String)>,
    /// What `updated` of all items says (STAC common metadata); without it they have none.
    pub updated: Option<String>,
}

impl Default for ItemBehaviour {
    fn default() -> Self {
        ItemBehaviour {
            sizes: Sizes::All,
            hrefs: HrefForm::Plain,
            null_datetime: false,
            product_zip: false,
            suffix_in_id: true,
            few_assets: false,
            gone: None,
            projection: false,
            checksums: Vec::new(),
            updated: None,
        }
    }
}

/// Which assets carry a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sizes {
    /// All.
    All,
    /// Every other asset.
    Half,
    /// None.
    None,
    /// All, but one byte too much.
    Wrong,
}

/// The form of an asset's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HrefForm {
    /// `…/stac/download?filename=SENTINEL-2/2024/09/24/….SAFE/….jp2`.
    Plain,
    /// The path starts with a slash.
    LeadingSlash,
    /// The path starts with a bucket name, `/eodata/`.
    Bucket,
    /// The path is percent-encoded, its slashes too.
    Encoded,
    /// The product's folder has no `.SAFE`.
    NoSafe,
    /// The path names neither the product nor a folder of it, only the file.
    Bare,
    /// No `?filename=`: the last part of the address is a number, the asset's key is the file's path.
    KeyOnly,
    /// The address has no scheme and host.
    Relative,
    /// Each item another of these forms.
    Mixed,
}

/// Switches of the download address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DownloadBehaviour {
    /// GET works as POST does; otherwise 405.
    pub get: bool,
    /// HEAD works; otherwise 405.
    pub head: bool,
    /// `Range` is honoured; otherwise the whole file comes with 200.
    pub range: bool,
    /// `Content-Length` is sent; otherwise the body is chunked.
    pub content_length: bool,
    /// `ETag` is sent.
    pub etag: bool,
    /// `Last-Modified` is sent.
    pub last_modified: bool,
    /// Parallel downloads of one user.
    pub parallel: usize,
    /// What one more meets.
    pub excess: Excess,
    /// `Retry-After` of the excess answer.
    pub retry_after: Option<String>,
    /// Answer with a redirect to a signed address on the foreign host, of this status.
    pub redirect: Option<u16>,
    /// Seconds for which a signed address works.
    pub redirect_lifetime: u64,
}

impl Default for DownloadBehaviour {
    fn default() -> Self {
        DownloadBehaviour {
            get: true,
            head: false,
            range: true,
            content_length: true,
            etag: true,
            last_modified: true,
            parallel: 2,
            excess: Excess::Status(429),
            retry_after: None,
            redirect: None,
            redirect_lifetime: 300,
        }
    }
}

/// What a download beyond the allowed number meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Excess {
    /// This status (429, 403, 503).
    Status(u16),
    /// Silence until another download has ended.
    Wait,
}

/// Switches of the Zarr host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheBBehaviour {
    /// HEAD works; otherwise 405.
    pub head: bool,
    /// `Range` is honoured; otherwise the whole object comes with 200.
    pub range: bool,
    /// `Content-Length` is sent; otherwise the body is chunked.
    pub content_length: bool,
    /// `ETag` and `Last-Modified` are sent.
    pub etag: bool,
    /// The status for objects that do not exist (404, or 403 as some object stores answer).
    pub absent: u16,
    /// Every user meets 403, as without the upgraded access.
    pub forbidden: bool,
    /// An access token as `Bearer` is accepted besides Basic.
    pub bearer: bool,
    /// No credential is needed; a wrong one is refused all the same.
    pub public: bool,
    /// Requests allowed since start or the last reset of the journal; then 429.
    pub request_quota: Option<u64>,
    /// Bytes allowed since start or the last reset of the journal; then 429.
    pub byte_quota: Option<u64>,
    /// `Retry-After` of the 429.
    pub retry_after: Option<String>,
}

impl Default for CacheBBehaviour {
    fn default() -> Self {
        CacheBBehaviour {
            head: true,
            range: true,
            content_length: true,
            etag: true,
            absent: 404,
            forbidden: false,
            bearer: false,
            public: false,
            request_quota: None,
            byte_quota: None,
            retry_after: None,
        }
    }
}

/// Switches of the identity provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoginBehaviour {
    /// The page that meets everybody, whatever the account.
    pub page: LoginPage,
    /// Seconds an access token lives.
    pub access_lifetime: u64,
    /// Seconds a refresh token lives.
    pub refresh_lifetime: u64,
    /// The refresh grant works; otherwise `unauthorized_client`.
    pub refresh: bool,
    /// A refresh token can be used once and is replaced by each use.
    pub rotate: bool,
    /// Access tokens are checked again for each piece of a running download, not only at its start.
    pub check_during_transfer: bool,
    /// Who has logged in is let in again by a cookie, without a form, as Keycloak does.
    pub single_sign_on: bool,
    /// Tokens can be revoked, and the discovery document says where.
    pub revocation: bool,
}

impl Default for LoginBehaviour {
    fn default() -> Self {
        LoginBehaviour {
            page: LoginPage::Normal,
            access_lifetime: 300,
            refresh_lifetime: 1800,
            refresh: true,
            rotate: false,
            check_during_transfer: false,
            single_sign_on: true,
            revocation: true,
        }
    }
}

/// What the authorization endpoint shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoginPage {
    /// The login form.
    Normal,
    /// A page without any form.
    Unexpected,
    /// A login form that posts to the foreign host.
    Hostile,
    /// A login form whose action is given without scheme and host.
    RelativeAction,
    /// 503, as during maintenance.
    Down,
}
