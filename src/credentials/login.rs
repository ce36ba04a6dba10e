//! The login without a browser, as the published tools do it (protocol.md 2.2, 2.3): fetch the provider's
//! page, answer its form, pick the code out of the redirect, change it for tokens.
//!
//! The page decides the next step, so this is a loop over pages: the name, the password and the one-time code
//! are each given when a form asks for them, the password once. The session refuses to leave the provider's
//! origin, so a page cannot send the password elsewhere.

use std::io::Read;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::form::{self, Form};
use super::token::{self, TokenSet, printable};
use super::{Client, IdentitySettings};
use crate::error::{Error, ErrorKind, Result, fail};
use crate::transport::session::{Page, Session};
use crate::transport::{Origin, shown, status_error};

/// Pages of one login, redirects included: more is a loop.
const MAX_PAGES: usize = 12;

/// One-time codes that may be tried: the provider locks accounts.
const MAX_CODES: usize = 3;

/// A conversation with the provider that `identity` names. Used for one login of one or both clients: the
/// provider may then let the second in without the password.
///
/// Fails with `Configuration` if its address is not https (or http on a loopback address).
pub fn session(identity: &IdentitySettings) -> Result<Session> {
    Session::new(Origin::of(&identity.url).map_err(|error| error.reclassify(ErrorKind::Configuration))?)
}

/// Logs `client` in and answers its tokens.
///
/// `ask_code` is called with a line for the person when the account has a second factor; it blocks the task.
/// Fails with `LoginRejected` and the page's own reason, `LoginExpired` if the person has to act in a browser
/// first (terms, a new password), `Protocol` if a page is not understood or leads away from the provider;
/// else like `Transport::send`. Nothing is kept anywhere.
pub async fn log_in(
    session: &Session,
    identity: &IdentitySettings,
    client: &Client,
    user: &str,
    password: &SecretString,
    ask_code: impl FnMut(&str) -> Result<SecretString> + Send,
) -> Result<TokenSet> {
    go_through(session, identity, client, user, Some(password), ask_code).await
}

/// As `log_in`, but only as far as the session is let in by what it has: a page that asks for the password ends it
/// with `LoginExpired`.
pub(super) async fn go_through_again(
    session: &Session,
    identity: &IdentitySettings,
    client: &Client,
    user: &str,
) -> Result<TokenSet> {
    let refuse = |_: &str| fail(ErrorKind::LoginExpired, "a one-time code is asked for again");
    go_through(session, identity, client, user, None, refuse).await
}

async fn go_through(
    session: &Session,
    identity: &IdentitySettings,
    client: &Client,
    user: &str,
    password: Option<&SecretString>,
    mut ask_code: impl FnMut(&str) -> Result<SecretString> + Send,
) -> Result<TokenSet> {
    let state = random_state()?;
    let mut page = session.get(&start(identity, client, &state)?).await?;
    let mut password_given = false;
    let mut name_given = false;
    let mut codes = 0;
    for _ in 0..MAX_PAGES {
        if page.status.is_redirection() {
            match next(page.location(), identity, client, &state)? {
                Next::Code(code) => return token::from_code(session, identity, client, &code).await,
                Next::Page(url) => page = session.get(&url).await?,
            }
            continue;
        }
        if !page.status.is_success() {
            return Err(failed(&page));
        }
        let found = form::read(&page.body, &page.url);
        let form = found.form.ok_or_else(|| unexpected(&page, found.reason.as_deref()))?;
        if let Some(field) = form.code_field() {
            if codes == MAX_CODES || (codes > 0 && found.reason.is_none()) {
                return fail(ErrorKind::LoginRejected, rejected("the one-time code", found.reason));
            }
            codes += 1;
            let prompt = found.reason.map_or_else(String::new, |reason| format!("{reason} "));
            let code = ask_code(&format!("{prompt}One-time code for {user}: "))?;
            // The button's name and value, as the official client sends them (protocol.md 2.3).
            let typed = [(field, code.expose_secret().trim()), ("login", "Sign In")];
            page = answer(session, &form, &typed).await?;
        } else if let Some(field) = form.password_field() {
            let Some(password) = password else {
                return fail(ErrorKind::LoginExpired, "the password is asked for again");
            };
            if password_given {
                return fail(ErrorKind::LoginRejected, rejected("user name or password", found.reason));
            }
            password_given = true;
            let mut typed = vec![(field, password.expose_secret())];
            typed.extend(form.user_field().map(|field| (field, user)));
            page = answer(session, &form, &typed).await?;
        } else if let Some(field) = form.user_field().filter(|_| !name_given && !password_given) {
            name_given = true;
            page = answer(session, &form, &[(field, user)]).await?;
        } else {
            return Err(unexpected(&page, found.reason.as_deref()));
        }
    }
    fail(ErrorKind::Protocol, format!("{}: the login does not come to an end", identity.url))
}

/// The address of the login page.
pub(super) fn start(identity: &IdentitySettings, client: &Client, state: &str) -> Result<Url> {
    let mut start = identity.endpoint("auth")?;
    start
        .query_pairs_mut()
        .append_pair("client_id", &client.id)
        .append_pair("redirect_uri", &client.redirect_uri)
        .append_pair("scope", &client.scope)
        .append_pair("response_type", "code")
        .append_pair("state", state);
    Ok(start)
}

/// Sends a form with what was typed and what it brought along.
async fn answer(session: &Session, form: &Form, typed: &[(&str, &str)]) -> Result<Page> {
    let action = form.action.as_ref().filter(|_| form.is_post);
    let action = action.ok_or_else(|| {
        let home = session.home();
        Error::new(
            ErrorKind::Protocol,
            format!("{home}: a login form that is not sent by POST: nothing was sent"),
        )
    })?;
    let given = form.given().filter(|(name, _)| typed.iter().all(|(other, _)| other != name));
    let fields: Vec<(&str, &str)> = given.chain(typed.iter().copied()).collect();
    session.post(action, &fields).await
}

/// Where a redirect leads.
pub(super) enum Next {
    /// To the client, with a code for tokens.
    Code(SecretCode),
    /// To another page of the provider.
    Page(Url),
}

/// Changes into tokens once, but is a secret until then.
pub(super) type SecretCode = zeroize::Zeroizing<String>;

/// What a redirect means: the code, the provider's refusal, a demand on the person, or another page.
pub(super) fn next(
    location: Option<Url>,
    identity: &IdentitySettings,
    client: &Client,
    state: &str,
) -> Result<Next> {
    let home = Origin::of(&identity.url)?;
    let location =
        location.ok_or_else(|| Error::new(ErrorKind::Protocol, format!("{home}: a redirect to nowhere")))?;
    let value = |name: &str| location.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value);
    let demand = value("execution").filter(|_| location.path().contains("required-action"));
    if location.as_str().contains("TERMS_AND_CONDITIONS") {
        return fail(
            ErrorKind::LoginExpired,
            format!(
                "the terms are not accepted yet: log in once in a browser at {}",
                identity.account_page()
            ),
        );
    }
    if let Some(demand) = demand {
        return fail(
            ErrorKind::LoginExpired,
            format!(
                "the account needs attention ({}): log in once in a browser at {}",
                printable(&demand),
                identity.account_page()
            ),
        );
    }
    let target = Url::parse(&client.redirect_uri).map_err(|_| {
        Error::new(
            ErrorKind::Configuration,
            format!("the redirect address of client {} is no address", client.id),
        )
    })?;
    let arrived = Origin::of(&location).ok() == Origin::of(&target).ok() && location.path() == target.path();
    if !arrived {
        if Origin::of(&location)? != home {
            return fail(
                ErrorKind::Protocol,
                format!(
                    "{home}: the login leads to {}, which is neither the provider nor the client: stopped",
                    shown(&location)
                ),
            );
        }
        return Ok(Next::Page(location));
    }
    // RFC 6749 10.12: an answer to another question than ours.
    if value("state").is_some_and(|came| came != state) {
        return fail(ErrorKind::Protocol, format!("{home}: the answer belongs to another login"));
    }
    if let Some(error) = value("error") {
        let reason = value("error_description").unwrap_or(error);
        return fail(ErrorKind::LoginRejected, format!("{home} refuses the login: {}", printable(&reason)));
    }
    match value("code").filter(|code| !code.is_empty()) {
        Some(code) => Ok(Next::Code(code.into_owned().into())),
        None => fail(ErrorKind::Protocol, format!("{home}: the login ended without a code")),
    }
}

/// An error page. The provider explains 400 (unknown client, wrong redirect address, expired page) in HTML.
fn failed(page: &Page) -> Error {
    match page.status.as_u16() {
        429 | 500..=599 | 408 => status_error(page.status, &page.headers, "the login page", &page.url),
        status => {
            let reason = form::read(&page.body, &page.url)
                .reason
                .map_or_else(String::new, |reason| format!(": {reason}"));
            Error::new(
                ErrorKind::Protocol,
                format!("{} answers {status} instead of a login page{reason}", shown(&page.url)),
            )
        }
    }
}

fn unexpected(page: &Page, reason: Option<&str>) -> Error {
    let reason = reason.map_or_else(String::new, |reason| format!(" (it says: {reason})"));
    Error::new(
        ErrorKind::Protocol,
        format!(
            "{}: a page that this program does not understand{reason}: log in once in a browser and try again",
            shown(&page.url)
        ),
    )
}

fn rejected(what: &str, reason: Option<String>) -> String {
    match reason {
        Some(reason) => format!("the login was refused: {reason}"),
        None => format!("the login was refused: {what} not accepted"),
    }
}

/// 128 bits from the system's generator, as text.
pub(super) fn random_state() -> Result<String> {
    let mut bytes = [0; 16];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|error| Error::new(ErrorKind::Internal, format!("no random numbers: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
