//! The login in a browser, for accounts that sign in by other means than a password (a passkey, another
//! provider): the person opens the provider's page, signs in, and pastes the address that the browser ends at.
//!
//! The redirect addresses are the registered ones (protocol.md 2.4). Nothing needs to answer there: the code is in
//! the address itself.

use url::Url;
use zeroize::Zeroizing;

use super::login::{self, Next};
use super::token::{self, TokenSet};
use super::{Client, IdentitySettings};
use crate::error::{ErrorKind, Result, fail};
use crate::transport::session::Session;

/// A login that a person makes in a browser.
pub struct Visit {
    /// The address to open.
    pub url: Url,
    state: String,
}

/// Begins one for `client`.
///
/// Fails with `Configuration` if the provider's address has no path.
pub fn visit(identity: &IdentitySettings, client: &Client) -> Result<Visit> {
    let state = login::random_state()?;
    Ok(Visit { url: login::start(identity, client, &state)?, state })
}

impl Visit {
    /// Ends it with what was pasted: the whole address, or the code alone.
    ///
    /// Fails with `InvalidInput` if that is something else, else like `log_in`.
    pub async fn end(
        self,
        session: &Session,
        identity: &IdentitySettings,
        client: &Client,
        pasted: &str,
    ) -> Result<TokenSet> {
        let pasted = pasted.trim();
        let code = match Url::parse(pasted) {
            Ok(address) => match login::next(Some(address), identity, client, &self.state)? {
                Next::Code(code) => code,
                Next::Page(_) => {
                    return fail(
                        ErrorKind::InvalidInput,
                        format!(
                            "that is a page of the login itself; go on until the browser is sent to {}",
                            client.redirect_uri
                        ),
                    );
                }
            },
            // Codes are words of visible characters (RFC 6749 A.11); a space is a slip.
            Err(_) if !pasted.is_empty() && pasted.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Zeroizing::new(pasted.to_owned())
            }
            Err(_) => return fail(ErrorKind::InvalidInput, "that is neither an address nor a code"),
        };
        token::from_code(session, identity, client, &code).await
    }
}
