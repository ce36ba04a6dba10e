//! What the token endpoint answers, and the two grants that are used (protocol.md 2.2 step 4, 2.5).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Client, IdentitySettings};
use crate::error::{Error, ErrorKind, Result};
use crate::transport::session::{Page, Session};
use crate::transport::{shown, status_error};

/// Longer lives are taken for this: far enough that nobody renews, near enough to count with.
const LONGEST_LIFE: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Longer tokens do not fit into a header that servers accept.
const LONGEST_TOKEN: usize = 16 << 10;

/// What a login or a renewal brought.
#[derive(Clone, Debug)]
pub struct TokenSet {
    /// Cache-A's Bearer.
    pub access: SecretString,
    /// For the refresh grant; with the scope `offline_access` it is Cache-B's password.
    pub refresh: Option<SecretString>,
    /// Life of the access token; absent if the answer does not say.
    pub expires_in: Option<Duration>,
    /// Life of the refresh token; absent if it has no end or the answer does not say.
    pub refresh_expires_in: Option<Duration>,
    /// When the answer came, by our clock.
    pub obtained: Timestamp,
}

impl TokenSet {
    /// When the access token ends.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires_in.and_then(|life| after(self.obtained, life))
    }

    /// When the refresh token ends.
    pub fn refresh_expires(&self) -> Option<Timestamp> {
        self.refresh_expires_in.and_then(|life| after(self.obtained, life))
    }
}

fn after(start: Timestamp, life: Duration) -> Option<Timestamp> {
    start.checked_add(SignedDuration::try_from(life).ok()?).ok()
}

#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    refresh_token: Option<String>,
    token_type: Option<String>,
    expires_in: Option<Value>,
    refresh_expires_in: Option<Value>,
}

#[derive(Deserialize)]
struct Refusal {
    error: Option<String>,
    error_description: Option<String>,
}

/// Changes an authorization code for tokens.
///
/// Fails with `LoginRejected` if the provider refuses it, else like `Session::post`.
pub(super) async fn from_code(
    session: &Session,
    identity: &IdentitySettings,
    client: &Client,
    code: &str,
) -> Result<TokenSet> {
    let fields = [
        ("client_id", client.id.as_str()),
        ("redirect_uri", client.redirect_uri.as_str()),
        ("code", code),
        ("grant_type", "authorization_code"),
        // Empty, as the published tools send it (protocol.md 2.2).
        ("scope", ""),
    ];
    let page = session.post(&identity.endpoint("token")?, &fields).await?;
    read(&page, ErrorKind::LoginRejected)
}

/// Changes a refresh token for a new access token. Never for Cache-B's offline token (contract.md 8.9).
///
/// Fails with `LoginExpired` if the provider refuses it, else like `Session::post`.
pub(super) async fn from_refresh(
    session: &Session,
    identity: &IdentitySettings,
    client: &Client,
    refresh: &SecretString,
) -> Result<TokenSet> {
    let fields = [
        ("client_id", client.id.as_str()),
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh.expose_secret()),
    ];
    let page = session.post(&identity.endpoint("token")?, &fields).await?;
    let mut tokens = read(&page, ErrorKind::LoginExpired)?;
    if tokens.refresh.is_none() {
        // RFC 6749 6: the provider may leave it out, and the old one stays good.
        tokens.refresh = Some(refresh.clone());
    }
    Ok(tokens)
}

/// What the provider says when it refuses (RFC 6749 5.2: 400 with a reason, 401 if the client itself is refused).
pub(super) fn refusal(page: &Page, kind: ErrorKind, what: &str) -> Error {
    let refusal: Option<Refusal> = serde_json::from_slice(&page.body).ok();
    let reason = refusal.and_then(|refusal| refusal.error_description.or(refusal.error));
    let reason = reason.map_or_else(|| "no reason given".to_owned(), |reason| printable(&reason));
    Error::new(kind, format!("{} {what}: {reason}", shown(&page.url)))
}

/// When a token ends by its own word, the claim `exp` of a JWT (RFC 7519 4.1.4). For display only: nobody has
/// checked its signature, and the service decides. Offline tokens often have none (protocol.md 2.5).
pub(super) fn end_by_claim(token: &SecretString) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Claims {
        exp: Option<f64>,
    }
    let middle = token.expose_secret().split('.').nth(1)?;
    let claims: Claims = serde_json::from_slice(&base64url(middle)?).ok()?;
    let seconds = claims.exp.filter(|seconds| *seconds > 0.0 && *seconds < 1e11)?;
    Timestamp::from_second(seconds as i64).ok()
}

/// Base64 with the alphabet for addresses, without padding (RFC 7515 2).
fn base64url(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let (mut bits, mut held) = (0_u32, 0);
    for digit in text.trim_end_matches('=').bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    Some(bytes)
}

fn read(page: &Page, refused: ErrorKind) -> Result<TokenSet> {
    let place = shown(&page.url);
    match page.status.as_u16() {
        200 => {}
        400 | 401 => return Err(refusal(page, refused, "gives no token")),
        _ => return Err(status_error(page.status, &page.headers, "the token", &page.url)),
    }
    let bad = |what: &str| Error::new(ErrorKind::Protocol, format!("{place}: {what}"));
    // The parser's message could quote the answer, so it is not shown.
    let answer: Answer =
        serde_json::from_slice(&page.body).map_err(|_| bad("not the answer of a token endpoint"))?;
    if answer.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(bad("a token of unknown type"));
    }
    let token = |text: String| {
        let text = SecretString::from(text);
        let exposed = text.expose_secret();
        let fits = !exposed.is_empty() && exposed.len() <= LONGEST_TOKEN;
        if fits && exposed.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(text)
        } else {
            Err(bad("a token that cannot be sent"))
        }
    };
    Ok(TokenSet {
        access: token(answer.access_token.ok_or_else(|| bad("an answer without a token"))?)?,
        refresh: answer.refresh_token.map(token).transpose()?,
        expires_in: life(answer.expires_in.as_ref()),
        refresh_expires_in: life(answer.refresh_expires_in.as_ref()),
        obtained: Timestamp::now(),
    })
}

/// Seconds as a number or as text; nonsense is as good as nothing said.
fn life(value: Option<&Value>) -> Option<Duration> {
    let seconds = match value? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    // Keycloak says 0 for an offline token that does not end; as the life of an access token it would be
    // nonsense. Not a comparison that NaN could pass.
    if seconds > 0.0 { Some(Duration::from_secs_f64(seconds.min(LONGEST_LIFE.as_secs_f64()))) } else { None }
}

/// Text of the provider for a terminal: no control characters, bounded.
pub(super) fn printable(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    // Characters that change the direction of what follows (bidi) would let it disguise itself.
    let harmless =
        |c: &char| !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
    words.join(" ").chars().filter(harmless).take(300).collect()
}

#[cfg(test)]
mod tests {
    use crate::transport::header::HeaderMap;
    use crate::transport::{StatusCode, Url};

    use super::*;

    fn answer(status: u16, body: &str) -> Result<TokenSet> {
        let page = Page {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            url: Url::parse("https://auth.example/token").unwrap(),
            body: Zeroizing::new(body.as_bytes().to_vec()),
        };
        read(&page, ErrorKind::LoginExpired)
    }

    #[test]
    fn lives_are_read_tolerantly() {
        let tokens = answer(
            200,
            r#"{"access_token":"a","refresh_token":"r","expires_in":300,"refresh_expires_in":0,"token_type":"bearer"}"#,
        )
        .unwrap();
        assert_eq!((tokens.expires_in, tokens.refresh_expires_in), (Some(Duration::from_secs(300)), None));
        assert_eq!(tokens.expires().unwrap().duration_since(tokens.obtained).as_secs(), 300);
        for (text, expected) in [
            ("-1", None),
            ("0", None),
            ("null", None),
            ("[]", None),
            ("\"60\"", Some(60)),
            ("1e300", Some(315_360_000)),
        ] {
            let tokens = answer(200, &format!(r#"{{"access_token":"a","expires_in":{text}}}"#)).unwrap();
            assert_eq!(tokens.expires_in.map(|life| life.as_secs()), expected, "{text}");
        }
    }

    #[test]
    fn a_token_tells_its_end_and_nonsense_tells_nothing() {
        let end = |token: &str| end_by_claim(&SecretString::from(token)).map(|end| end.as_second());
        // {"typ":"Offline","sub":"é>?","exp":1800000000}
        assert_eq!(
            end("x.eyJ0eXAiOiJPZmZsaW5lIiwic3ViIjoiw6k-PyIsImV4cCI6MTgwMDAwMDAwMH0.y"),
            Some(1_800_000_000)
        );
        // {"typ":"Offline"}, {"exp":-1}, {"exp":"x"}
        for token in
            ["", "opaque", "a.b", "x.eyJ0eXAiOiJPZmZsaW5lIn0.y", "x.eyJleHAiOi0xfQ.y", "x.eyJleHAiOiJ4In0.y"]
        {
            assert_eq!(end(token), None, "{token}");
        }
    }

    #[test]
    fn refusals_and_nonsense() {
        let error =
            answer(400, r#"{"error":"invalid_grant","error_description":"Token is\u001b[31m not active"}"#);
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LoginExpired);
        assert!(error.message().ends_with("Token is [31m not active"), "{error}");
        for (status, body, expected) in [
            (401, "<html>", ErrorKind::LoginExpired),
            (503, "", ErrorKind::Unavailable),
            (429, "", ErrorKind::Busy),
            (200, "<html>canary</html>", ErrorKind::Protocol),
            (200, "{}", ErrorKind::Protocol),
            (200, r#"{"access_token":""}"#, ErrorKind::Protocol),
            (200, r#"{"access_token":"can ary"}"#, ErrorKind::Protocol),
            (200, r#"{"access_token":"canary\r\nX: y"}"#, ErrorKind::Protocol),
            (200, r#"{"access_token":"canary","token_type":"mac"}"#, ErrorKind::Protocol),
            (200, r#"{"access_token":{"canary":1}}"#, ErrorKind::Protocol),
        ] {
            let error = answer(status, body).unwrap_err();
            assert_eq!(error.kind(), expected, "{status} {body}");
            assert!(!error.message().contains("canary"), "{error}");
        }
    }
}
