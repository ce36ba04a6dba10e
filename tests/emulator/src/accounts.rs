//! The accounts that exist and the constants a client has to be configured with.

/// A user without second factor.
pub const USER: &str = "demo";
/// The password of all accounts.
pub const PASSWORD: &str = "one-planet";
/// A user whose login asks for a one-time code after the password.
pub const OTP_USER: &str = "demo-2fa";
/// The one-time code of [`OTP_USER`].
pub const OTP: &str = "271828";
/// A user who has not yet accepted the terms; the redirect says so and carries no code.
pub const TERMS_USER: &str = "demo-terms";
/// A user for whom the identity provider answers with an error in the redirect.
pub const ERROR_USER: &str = "demo-error";
/// A user who may log in but has no right to the data of Cache-B (403).
pub const UNENTITLED_USER: &str = "demo-unentitled";

/// Every account that can log in.
pub const USERS: &[&str] = &[USER, OTP_USER, TERMS_USER, ERROR_USER, UNENTITLED_USER];

/// The realm of the identity provider.
pub const REALM: &str = "desp";
/// The client that gives access tokens for Cache-A.
pub const CACHE_A_CLIENT: &str = "dcms_client";
/// The only redirect address accepted for [`CACHE_A_CLIENT`].
pub const CACHE_A_REDIRECT: &str = "http://localhost:5000";
/// The client that gives offline tokens for Cache-B.
pub const CACHE_B_CLIENT: &str = "edh-public";
/// The only redirect address accepted for [`CACHE_B_CLIENT`].
pub const CACHE_B_REDIRECT: &str = "https://cacheb.dcms.destine.eu/";
/// The user name of HTTP Basic authentication on Cache-B.
pub const CACHE_B_LOGIN: &str = "anonymous";
/// The user name of HTTP Basic authentication with an API key, as Earth Data Hub has it.
pub const API_LOGIN: &str = "edh";
/// The API key of [`USER`].
pub const API_KEY: &str = "edh_pat_c0ffee5eed";
/// An offline token that Cache-B always accepts, for tests that do not want to log in.
pub const OFFLINE_TOKEN: &str =
    "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJ0eXAiOiJPZmZsaW5lIiwic3ViIjoiZGVtbyJ9.c3RhbmRpbmctb2ZmZXI";

/// The redirect address of a client, or `None` for a client the provider does not know.
pub(crate) fn redirect_of(client: &str) -> Option<&'static str> {
    match client {
        CACHE_A_CLIENT => Some(CACHE_A_REDIRECT),
        CACHE_B_CLIENT => Some(CACHE_B_REDIRECT),
        _ => None,
    }
}
