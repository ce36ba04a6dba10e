//! What the identity provider remembers: login pages that are open, codes, and tokens with their ends.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use crate::accounts;
use crate::content::mix;
use crate::request::{Request, decode};

/// The memory of the identity provider.
#[derive(Debug)]
pub(crate) struct Identity {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    counter: u64,
    seed: u64,
    sessions: HashMap<String, Session>,
    codes: HashMap<String, Grant>,
    access: HashMap<String, (String, Instant)>,
    refresh: HashMap<String, (Grant, Option<Instant>)>,
    /// Who is logged in, by the cookie of the browser.
    browsers: HashMap<String, String>,
    /// Whether [`accounts::OFFLINE_TOKEN`] is accepted.
    standing: bool,
}

/// A login that is going on.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) client: String,
    pub(crate) redirect: String,
    pub(crate) scope: String,
    pub(crate) state: Option<String>,
    /// The code in the address of the form that is shown.
    pub(crate) form: String,
    /// Who has given the right password and owes a one-time code.
    pub(crate) user: Option<String>,
}

/// What a user has granted to a client.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) user: String,
    pub(crate) client: String,
    pub(crate) redirect: String,
    pub(crate) scope: String,
}

impl State {
    fn random(&mut self) -> String {
        self.counter += 1;
        format!("{:016x}{:016x}", mix(self.seed, self.counter), mix(!self.seed, self.counter))
    }

    /// A token that looks like a JWT, unsigned.
    fn token(&mut self, kind: &str, grant: (&str, &str), lifetime: Option<u64>) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut claims = json!({
            "typ": kind, "sub": grant.0, "preferred_username": grant.0, "azp": grant.1, "iat": now,
            "jti": self.random(),
        });
        if let Some(lifetime) = lifetime {
            claims["exp"] = (now + lifetime).into();
        }
        let part = |text: String| URL_SAFE_NO_PAD.encode(text);
        let head = part(json!({ "alg": "none", "typ": "JWT", "kid": "stand-in" }).to_string());
        format!("{head}.{}.{}", part(claims.to_string()), part(self.random()))
    }
}

impl Identity {
    pub(crate) fn new() -> Identity {
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        Identity {
            state: Mutex::new(State {
                counter: 0,
                seed,
                sessions: HashMap::new(),
                codes: HashMap::new(),
                access: HashMap::new(),
                refresh: HashMap::new(),
                browsers: HashMap::new(),
                standing: true,
            }),
        }
    }

    /// Starts a login; gives its cookie and the session with the code of its first form.
    pub(crate) fn open_session(&self, session: Session) -> (String, Session) {
        let id = self.state.lock().random();
        let session = self.keep_session(&id, session);
        (id, session)
    }

    /// Takes a session out, if the form that was sent is the one it shows.
    pub(crate) fn take_session(&self, id: &str, form: &str) -> Option<Session> {
        let mut state = self.state.lock();
        let shown = state.sessions.get(id)?.form == form;
        if shown { state.sessions.remove(id) } else { None }
    }

    /// Puts a session back with a new form.
    pub(crate) fn keep_session(&self, id: &str, mut session: Session) -> Session {
        let mut state = self.state.lock();
        session.form = state.random();
        state.sessions.insert(id.to_owned(), session.clone());
        session
    }

    /// A cookie by which the same browser is let in again.
    pub(crate) fn remember_browser(&self, user: &str) -> String {
        let mut state = self.state.lock();
        let cookie = state.random();
        state.browsers.insert(cookie.clone(), user.to_owned());
        cookie
    }

    /// Who is logged in with a browser.
    pub(crate) fn user_of_browser(&self, cookie: &str) -> Option<String> {
        self.state.lock().browsers.get(cookie).cloned()
    }

    pub(crate) fn issue_code(&self, grant: Grant) -> String {
        let mut state = self.state.lock();
        let code = format!("{}.0f2c.{}", state.random(), state.counter);
        state.codes.insert(code.clone(), grant);
        code
    }

    /// The grant of a code, which thereby is used up.
    pub(crate) fn redeem_code(&self, code: &str) -> Option<Grant> {
        self.state.lock().codes.remove(code)
    }

    pub(crate) fn issue_access(&self, user: &str, client: &str, lifetime: u64) -> String {
        let mut state = self.state.lock();
        let token = state.token("Bearer", (user, client), Some(lifetime));
        let end = Instant::now() + Duration::from_secs(lifetime);
        state.access.insert(token.clone(), (user.to_owned(), end));
        token
    }

    /// A refresh token, or without a lifetime an offline token.
    pub(crate) fn issue_refresh(&self, grant: Grant, lifetime: Option<u64>) -> String {
        let mut state = self.state.lock();
        let kind = if lifetime.is_some() { "Refresh" } else { "Offline" };
        let token = state.token(kind, (&grant.user, &grant.client), lifetime);
        let end = lifetime.map(|lifetime| Instant::now() + Duration::from_secs(lifetime));
        state.refresh.insert(token.clone(), (grant, end));
        token
    }

    /// The grant of a refresh token; with `rotate` the token is used up.
    pub(crate) fn redeem_refresh(&self, token: &str, client: &str, rotate: bool) -> Option<Grant> {
        let mut state = self.state.lock();
        let (grant, end) = state.refresh.get(token)?;
        if grant.client != client || end.is_some_and(|end| Instant::now() >= end) {
            return None;
        }
        let grant = grant.clone();
        if rotate {
            state.refresh.remove(token);
        }
        Some(grant)
    }

    /// Whose access token this is, if it is valid.
    pub(crate) fn user_of_access(&self, token: &str) -> Option<String> {
        let state = self.state.lock();
        let (user, end) = state.access.get(token)?;
        (Instant::now() < *end).then(|| user.clone())
    }

    /// Whose offline token this is, if it is valid.
    pub(crate) fn user_of_offline(&self, token: &str) -> Option<String> {
        let state = self.state.lock();
        if token == accounts::OFFLINE_TOKEN {
            return state.standing.then(|| accounts::USER.to_owned());
        }
        let (grant, end) = state.refresh.get(token)?;
        (end.is_none() && grant.client == accounts::CACHE_B_CLIENT).then(|| grant.user.clone())
    }

    /// Ends one refresh or offline token of a client, and the access tokens of its user and client with it.
    pub(crate) fn end(&self, token: &str, client: &str) {
        let mut state = self.state.lock();
        let now = Instant::now();
        let Some((grant, end)) = state.refresh.get_mut(token).filter(|(grant, _)| grant.client == client)
        else {
            return;
        };
        *end = Some(now);
        let user = grant.user.clone();
        if client == accounts::CACHE_A_CLIENT {
            state.access.values_mut().filter(|(of, _)| *of == user).for_each(|(_, end)| *end = now);
        }
    }

    /// Makes every token invalid, and forgets every browser.
    pub(crate) fn revoke(&self) {
        let mut state = self.state.lock();
        state.codes.clear();
        state.browsers.clear();
        // Kept as ended ones, so that they are still recognized where they do not belong.
        let now = Instant::now();
        state.access.values_mut().for_each(|(_, end)| *end = now);
        state.refresh.values_mut().for_each(|(_, end)| *end = Some(now));
        state.standing = false;
    }

    /// Whether any secret shows anywhere in a request: address, headers or body.
    pub(crate) fn appears_in(&self, request: &Request) -> bool {
        let mut text = decode(&request.target());
        for value in request.headers.values() {
            text.push('\n');
            text.push_str(&String::from_utf8_lossy(value.as_bytes()));
        }
        text.push('\n');
        text.push_str(&decode(&String::from_utf8_lossy(&request.body)));
        let state = self.state.lock();
        text.contains(accounts::OFFLINE_TOKEN)
            || text.contains(accounts::PASSWORD)
            || state
                .codes
                .keys()
                .chain(state.access.keys())
                .chain(state.refresh.keys())
                .any(|token| text.contains(token))
    }
}
