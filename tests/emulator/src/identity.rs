//! The identity provider: the authorization-code login with its HTML pages, and the token endpoint.
//!
//! It behaves as Keycloak does where a client can notice: cookies that must come back, a form address that
//! works once, codes that work once and only with the client and the redirect address they were made for, a
//! cookie that lets the same browser in again, and revocation (RFC 7009).

mod pages;
mod tokens;

use hyper::header;
use serde_json::json;

use crate::accounts;
use crate::behaviour::LoginPage;
use crate::emulator::Shared;
use crate::journal::{Endpoint, Event};
use crate::reply::Reply;
use crate::request::{Request, encode, field};

pub(crate) use tokens::Identity;
use tokens::{Grant, Session};

const REALM_PATH: &str = "/realms/desp/";

/// Answers a request to the identity provider.
pub(crate) fn answer(shared: &Shared, request: &Request, endpoint: Endpoint) -> Reply {
    match (endpoint, request.method.as_str()) {
        (Endpoint::LoginPage, "GET") => login_page(shared, request),
        (Endpoint::LoginForm, "POST") => login_form(shared, request),
        (Endpoint::Token, "POST") => token(shared, request),
        (Endpoint::Revocation, "POST") => revoke(shared, request),
        (Endpoint::Discovery, "GET") => discovery(shared),
        _ => Reply::method_not_allowed("GET, POST"),
    }
}

fn discovery(shared: &Shared) -> Reply {
    let realm = format!("{}/realms/desp", shared.url);
    let endpoint = |name: &str| format!("{realm}/protocol/openid-connect/{name}");
    let mut document = json!({
        "issuer": realm,
        "authorization_endpoint": endpoint("auth"),
        "token_endpoint": endpoint("token"),
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "response_types_supported": ["code"],
        "scopes_supported": ["openid", "offline_access"],
        "token_endpoint_auth_methods_supported": ["none"],
    });
    if shared.behaviour.read().login.revocation {
        document["revocation_endpoint"] = endpoint("revoke").into();
    }
    Reply::json(200, &document)
}

/// RFC 7009: a token that is not known is as good as revoked; another client's token stays.
fn revoke(shared: &Shared, request: &Request) -> Reply {
    let fields = request.fields();
    let given = |name| field(&fields, name).unwrap_or("");
    if !shared.behaviour.read().login.revocation {
        return Reply::error(404, "not found");
    }
    if accounts::redirect_of(given("client_id")).is_none() {
        return Reply::json(401, &json!({ "error": "invalid_client" }));
    }
    if given("token").is_empty() {
        return Reply::json(400, &json!({ "error": "invalid_request" }));
    }
    shared.identity.end(given("token"), given("client_id"));
    Reply::new(200, "application/json", "")
}

fn html(code: u16, page: String) -> Reply {
    Reply::new(code, "text/html;charset=utf-8", page).with(header::CACHE_CONTROL, "no-store, must-revalidate")
}

fn login_page(shared: &Shared, request: &Request) -> Reply {
    let parameters = request.parameters();
    let value = |name| field(&parameters, name).unwrap_or("");
    let (client, redirect) = (value("client_id"), value("redirect_uri"));
    let page = shared.behaviour.read().login.page;
    match accounts::redirect_of(client) {
        _ if page == LoginPage::Down => return html(503, pages::error("We are down for maintenance")),
        _ if page == LoginPage::Unexpected => return html(200, pages::unexpected()),
        None => return html(400, pages::error("Client not found.")),
        Some(known) if known != redirect => {
            return html(400, pages::error("Invalid parameter: redirect_uri"));
        }
        Some(_) => {}
    }
    if value("response_type") != "code" {
        let location = format!("{redirect}?error=unsupported_response_type");
        return Reply::new(302, "text/plain", "").with(header::LOCATION, &location);
    }
    let session = Session {
        client: client.to_owned(),
        redirect: redirect.to_owned(),
        scope: value("scope").to_owned(),
        state: field(&parameters, "state").map(str::to_owned),
        form: String::new(),
        user: None,
    };
    let known =
        request.cookie("KEYCLOAK_IDENTITY").and_then(|cookie| shared.identity.user_of_browser(&cookie));
    if let Some(user) = known.filter(|_| shared.behaviour.read().login.single_sign_on) {
        return finish(shared, session, &user);
    }
    let (id, session) = shared.identity.open_session(session);
    html(200, pages::login(&action(shared, &session), None))
        .with_cookie(&format!("AUTH_SESSION_ID={id}; Path={REALM_PATH}; HttpOnly; SameSite=None"))
        .with_cookie(&format!("KC_RESTART={}; Path={REALM_PATH}; HttpOnly", session.form))
}

/// The address that the form of a session's page posts to.
fn action(shared: &Shared, session: &Session) -> String {
    let base = match shared.behaviour.read().login.page {
        LoginPage::Hostile => shared.foreign_url.as_str(),
        LoginPage::RelativeAction => "",
        _ => shared.url.as_str(),
    };
    format!(
        "{base}{REALM_PATH}login-actions/authenticate?session_code={}&execution=5d1e&client_id={}&tab_id=t1",
        session.form,
        encode(&session.client)
    )
}

fn login_form(shared: &Shared, request: &Request) -> Reply {
    let expired =
        || html(400, pages::error("Your login attempt timed out. Login will start from the beginning."));
    let Some(id) = request.cookie("AUTH_SESSION_ID") else {
        return html(
            400,
            pages::error("Cookie not found. Please make sure cookies are enabled in your browser."),
        );
    };
    if request.cookie("KC_RESTART").is_none() {
        return html(400, pages::error("Restart login cookie not found."));
    }
    let parameters = request.parameters();
    let form = field(&parameters, "session_code").unwrap_or("");
    let Some(session) = shared.identity.take_session(&id, form) else { return expired() };
    let fields = request.fields();
    let given = |name| field(&fields, name).unwrap_or("");
    let fail = |session: Session, page: fn(&str, Option<&str>) -> String, reason: &str| {
        shared.journal.count(Event::FailedLogin);
        let session = shared.identity.keep_session(&id, session);
        html(200, page(&action(shared, &session), Some(reason)))
    };
    if let Some(user) = session.user.clone() {
        if given("otp") != accounts::OTP {
            return fail(session, pages::otp, "Invalid authenticator code.");
        }
        return finish(shared, session, &user);
    }
    let user = given("username").to_owned();
    if !accounts::USERS.contains(&user.as_str()) || given("password") != accounts::PASSWORD {
        return fail(session, pages::login, "Invalid username or password.");
    }
    match user.as_str() {
        accounts::OTP_USER => {
            let session = shared.identity.keep_session(&id, Session { user: Some(user), ..session });
            html(200, pages::otp(&action(shared, &session), None))
        }
        accounts::TERMS_USER => {
            let location = format!(
                "{}{REALM_PATH}login-actions/required-action?execution=TERMS_AND_CONDITIONS&client_id={}",
                shared.url,
                encode(&session.client)
            );
            Reply::new(302, "text/plain", "").with(header::LOCATION, &location)
        }
        accounts::ERROR_USER => {
            let location = format!(
                "{}?error=access_denied&error_description={}",
                session.redirect,
                encode("The account is locked")
            );
            Reply::new(302, "text/plain", "").with(header::LOCATION, &location)
        }
        _ => finish(shared, session, &user),
    }
}

fn finish(shared: &Shared, session: Session, user: &str) -> Reply {
    let mut location = format!("{}?", session.redirect);
    if let Some(state) = &session.state {
        location.push_str(&format!("state={}&", encode(state)));
    }
    let code = shared.identity.issue_code(Grant {
        user: user.to_owned(),
        client: session.client,
        redirect: session.redirect,
        scope: session.scope,
    });
    location.push_str(&format!("session_state=0f2c&code={code}"));
    let browser = shared.identity.remember_browser(user);
    Reply::new(302, "text/plain", "")
        .with(header::LOCATION, &location)
        .with_cookie(&format!("KEYCLOAK_IDENTITY={browser}; Path={REALM_PATH}; HttpOnly; SameSite=None"))
}

fn token(shared: &Shared, request: &Request) -> Reply {
    let fields = request.fields();
    let given = |name| field(&fields, name).unwrap_or("");
    let refuse = |code, error: &str, description: &str| {
        Reply::json(code, &json!({ "error": error, "error_description": description }))
    };
    if accounts::redirect_of(given("client_id")).is_none() {
        return refuse(401, "invalid_client", "Invalid client or Invalid client credentials");
    }
    let behaviour = shared.behaviour.read().login.clone();
    let grant = match given("grant_type") {
        "authorization_code" => match shared.identity.redeem_code(given("code")) {
            Some(grant) if grant.client != given("client_id") => {
                return refuse(400, "invalid_grant", "Auth error");
            }
            Some(grant) if grant.redirect != given("redirect_uri") => {
                return refuse(400, "invalid_grant", "Incorrect redirect_uri");
            }
            Some(grant) => {
                shared.journal.count(Event::Login);
                (grant, None)
            }
            None => return refuse(400, "invalid_grant", "Code not valid"),
        },
        "refresh_token" if !behaviour.refresh => {
            return refuse(400, "unauthorized_client", "Client not allowed for refresh");
        }
        "refresh_token" => {
            let old = given("refresh_token");
            match shared.identity.redeem_refresh(old, given("client_id"), behaviour.rotate) {
                Some(grant) => {
                    shared.journal.count(Event::Refresh);
                    (grant, Some(old.to_owned()).filter(|_| !behaviour.rotate))
                }
                None => return refuse(400, "invalid_grant", "Token is not active"),
            }
        }
        _ => return refuse(400, "unsupported_grant_type", "Unsupported grant_type"),
    };
    let (grant, kept) = grant;
    let offline = grant.scope.split(' ').any(|scope| scope == "offline_access");
    let access = shared.identity.issue_access(&grant.user, &grant.client, behaviour.access_lifetime);
    let scope = grant.scope.clone();
    let lifetime = (!offline).then_some(behaviour.refresh_lifetime);
    let refresh = kept.unwrap_or_else(|| shared.identity.issue_refresh(grant, lifetime));
    let answer = json!({
        "access_token": access,
        "expires_in": behaviour.access_lifetime,
        "refresh_expires_in": lifetime.unwrap_or(0),
        "refresh_token": refresh,
        "token_type": "Bearer",
        "not-before-policy": 0,
        "session_state": "0f2c",
        "scope": scope,
    });
    Reply::json(200, &answer).with(header::CACHE_CONTROL, "no-store")
}
