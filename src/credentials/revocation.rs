//! Telling the provider that tokens are not wanted any more (RFC 7009), where it offers that.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::files::Stored;
use super::{CredentialSettings, IdentitySettings, login, token};
use crate::error::{Error, ErrorKind, Result};
use crate::transport::session::Session;
use crate::transport::{shown, status_error};

/// What matters of the discovery document (OpenID Connect Discovery 1.0, 3; protocol.md 2.1 has its address).
#[derive(Deserialize)]
struct Discovery {
    revocation_endpoint: Option<String>,
}

/// Ends the refresh and offline tokens of a login. Whether the provider offers it.
///
/// Fails like `Session::post`, with `LoginRejected` if the provider refuses.
pub(super) async fn revoke(settings: &CredentialSettings, stored: &Stored) -> Result<bool> {
    let identity = &settings.identity;
    let session = login::session(identity)?;
    let Some(endpoint) = endpoint(&session, identity).await? else { return Ok(false) };
    let refresh = stored.cache_a.as_ref().and_then(|login| login.refresh_token.as_ref());
    let offline = stored.cache_b.as_ref().map(|login| &login.password);
    for (client, token) in [(&identity.cache_a, refresh), (&identity.cache_b, offline)] {
        if let Some(token) = token {
            post(&session, &endpoint, &client.id, token).await?;
        }
    }
    Ok(true)
}

/// The revocation endpoint. The session refuses one that is not the provider's own.
async fn endpoint(session: &Session, identity: &IdentitySettings) -> Result<Option<Url>> {
    let document = identity.below(&[".well-known", "openid-configuration"])?;
    let page = session.get(&document).await?;
    if page.status.as_u16() == 404 {
        return Ok(None);
    }
    if !page.status.is_success() {
        return Err(status_error(page.status, &page.headers, "the provider's description", &page.url));
    }
    let bad =
        || Error::new(ErrorKind::Protocol, format!("{}: not a description of a provider", shown(&page.url)));
    let found: Discovery = serde_json::from_slice(&page.body).map_err(|_| bad())?;
    found.revocation_endpoint.map(|text| Url::parse(&text).map_err(|_| bad())).transpose()
}

async fn post(session: &Session, endpoint: &Url, client: &str, token: &SecretString) -> Result<()> {
    let fields =
        [("token", token.expose_secret()), ("token_type_hint", "refresh_token"), ("client_id", client)];
    let page = session.post(endpoint, &fields).await?;
    match page.status.as_u16() {
        // RFC 7009 2.2: also for a token that is not valid any more.
        200 => Ok(()),
        400 | 401 => Err(token::refusal(&page, ErrorKind::LoginRejected, "does not revoke the token")),
        _ => Err(status_error(page.status, &page.headers, "the revocation", &page.url)),
    }
}
