//! Logins through the form, as the published tools do them, and their bad ends.

use super::*;

#[test]
fn the_published_clients() {
    let identity = IdentitySettings::published(Url::parse("https://auth.destine.eu").unwrap(), "desp");
    assert_eq!(
        identity.endpoint("token").unwrap().as_str(),
        "https://auth.destine.eu/realms/desp/protocol/openid-connect/token"
    );
    assert_eq!(identity.account_page(), "https://auth.destine.eu/realms/desp/account/");
}

#[tokio::test]
async fn a_login_as_the_published_tools_do_it() {
    let server = provider(FORM, success).await;
    let tokens = attempt(&server).await.unwrap();
    assert_eq!(tokens.access.expose_secret(), "access-1");
    assert_eq!(tokens.expires_in, Some(Duration::from_secs(300)));
    let heard = server.heard();
    assert_eq!(query(&heard[0], "client_id"), "dcms_client");
    assert_eq!(query(&heard[0], "redirect_uri"), "http://localhost:5000", "letter by letter");
    assert_eq!(
        (query(&heard[0], "scope"), query(&heard[0], "response_type")),
        ("openid".into(), "code".into())
    );
    assert_eq!(heard[1].target, "/login?a=1&b=2");
    let form = heard[1].form();
    for (name, value) in [("username", "me@example.org"), ("password", "pass&wörd"), ("credentialId", "x")] {
        assert!(form.contains(&(name.into(), value.into())), "{form:?}");
    }
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("code", "the-code"),
        ("client_id", "dcms_client"),
        ("scope", ""),
    ] {
        assert_eq!(heard[2].field(name).unwrap(), value);
    }
    assert_eq!(heard.len(), 3, "the redirect address is never visited");
}

#[tokio::test]
async fn the_second_client_comes_in_without_the_password() {
    let server = Server::start(|heard| match heard.target.split('?').next().unwrap() {
        AUTH if heard.header("cookie").is_some() => {
            let target = query(heard, "redirect_uri");
            Reply::redirect(302, &format!("{target}?code=c2&state={}", query(heard, "state")))
        }
        AUTH => login_page(heard, FORM),
        TOKEN => tokens(&heard.field("client_id").unwrap(), 300),
        _ => success(heard),
    })
    .await;
    let identity = identity(&server);
    let session = login::session(&identity).unwrap();
    let password = "p".into();
    let one = log_in(&session, &identity, &identity.cache_a, "me", &password, no_code).await.unwrap();
    let two = log_in(&session, &identity, &identity.cache_b, "me", &password, no_code).await.unwrap();
    assert_eq!((one.access.expose_secret(), two.access.expose_secret()), ("dcms_client", "edh-public"));
    assert_eq!(posts(&server, "/login").len(), 1);
}

#[tokio::test]
async fn a_wrong_password_shows_the_pages_reason_and_is_tried_once() {
    let server = provider(FORM, |_| {
        Reply::new(200, "", format!("{FORM}<span id=input-error>Invalid username or password.</span>"))
    })
    .await;
    let error = attempt(&server).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LoginRejected);
    assert!(error.message().contains("Invalid username or password."), "{error}");
    assert!(!format!("{error:?}").contains("pass&wörd"));
    assert_eq!(posts(&server, "/login").len(), 1);
}

#[tokio::test]
async fn a_one_time_code_is_asked_for() {
    let otp = "<form method=post action=/otp><input name=otp><input type=radio name=selectedCredentialId value=d checked></form>";
    let server = provider(FORM, move |heard| match heard.target.as_str() {
        "/otp" if heard.field("otp").as_deref() == Some("123456") => success(heard),
        "/otp" => Reply::new(200, "", format!("{otp}<span id=input-error-otp-code>Invalid code.</span>")),
        _ => Reply::new(200, "", otp),
    })
    .await;
    let identity = identity(&server);
    let mut prompts = Vec::new();
    let mut codes = ["000000", " 123456 \n"].into_iter();
    let ask = |prompt: &str| {
        prompts.push(prompt.to_owned());
        Ok(SecretString::from(codes.next().unwrap()))
    };
    let session = login::session(&identity).unwrap();
    log_in(&session, &identity, &identity.cache_a, "me", &"p".into(), ask).await.unwrap();
    assert_eq!(prompts.len(), 2);
    assert!(prompts[1].starts_with("Invalid code."), "{prompts:?}");
    let sent = posts(&server, "/otp");
    assert_eq!(sent[1].field("login").unwrap(), "Sign In");
    assert_eq!(sent[1].field("selectedCredentialId").unwrap(), "d");
    let error = attempt(&server).await.unwrap_err();
    assert_eq!(error.message(), "no code");
}

#[tokio::test]
async fn name_and_password_may_be_on_two_pages() {
    let name = "<form method=post action=/name><input name=username></form>";
    let server = provider(name, |heard| match heard.target.as_str() {
        "/name" => Reply::new(200, "", FORM.replace("<input name=username>", "")),
        _ => success(heard),
    })
    .await;
    attempt(&server).await.unwrap();
    assert_eq!(posts(&server, "/name")[0].field("password"), None);
}

#[tokio::test]
async fn what_the_user_must_do_first_is_said_with_the_address() {
    for (query, word) in [
        ("/login-actions/required-action?execution=TERMS_AND_CONDITIONS&client_id=x", "terms"),
        ("/login-actions/required-action?execution=UPDATE_PASSWORD", "UPDATE_PASSWORD"),
    ] {
        let server = provider(FORM, move |_| Reply::redirect(302, query)).await;
        let error = attempt(&server).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LoginExpired);
        let account = server.url("/realms/desp/account/");
        assert!(error.message().contains(word) && error.message().contains(account.as_str()), "{error}");
    }
}

#[tokio::test]
async fn bad_ends_of_a_login() {
    type Answer = fn(&Heard) -> Reply;
    let cases: [(Answer, ErrorKind, &str); 9] = [
        (
            |_| {
                Reply::redirect(
                    302,
                    "http://localhost:5000/?error=access_denied&error_description=not+you%1b",
                )
            },
            ErrorKind::LoginRejected,
            "not you",
        ),
        (
            |_| Reply::redirect(302, "http://localhost:5000/?code=c&state=other"),
            ErrorKind::Protocol,
            "another login",
        ),
        (|_| Reply::redirect(302, "http://localhost:5000/"), ErrorKind::Protocol, "without a code"),
        (
            |_| Reply::redirect(302, "https://evil.example/?code=c"),
            ErrorKind::Protocol,
            "https://evil.example",
        ),
        (
            |_| Reply::redirect(302, "http://localhost:5001/?code=c"),
            ErrorKind::Protocol,
            "http://localhost:5001",
        ),
        (|_| Reply::new(200, "", "<h1>Welcome to the airport"), ErrorKind::Protocol, "does not understand"),
        (
            |_| Reply::new(200, "", "<form method=post><input name=q type=file></form>"),
            ErrorKind::Protocol,
            "does not",
        ),
        (|_| Reply::new(400, "", "<span id=input-error>expired"), ErrorKind::Protocol, "expired"),
        (|_| Reply::new(503, "", ""), ErrorKind::Unavailable, "503"),
    ];
    for (answer, kind, text) in cases {
        let server = provider(FORM, answer).await;
        let error = attempt(&server).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(text), "{error}");
        assert!(!error.message().contains('\u{1b}') && !error.message().contains("wörd"), "{error}");
        assert!(posts(&server, TOKEN).is_empty());
    }
    let loops = provider(FORM, |_| Reply::redirect(302, "/again")).await;
    assert_eq!(attempt(&loops).await.unwrap_err().kind(), ErrorKind::Protocol);
    assert!(loops.heard().len() < 20);
}

#[tokio::test]
async fn the_password_never_leaves_the_provider() {
    let stranger = Server::start(|_| Reply::new(200, "", "")).await;
    let action = stranger.url("/collect").to_string();
    for page in [
        FORM.replace("/login?a=1&amp;b=2", &action),
        FORM.replace("/login?a=1&amp;b=2", &action.replace("http://", "//")),
        FORM.replace("method=post", "method=get"),
        FORM.replace("/login?a=1&amp;b=2", "javascript:alert(1)"),
        FORM.replace("/login?a=1&amp;b=2", "http://user:pw@127.0.0.1:1/"),
        FORM.replace("/login?a=1&amp;b=2", "https://["),
        format!("<form method=post action={action}><input name=username></form>"),
    ] {
        let server = provider(Box::leak(page.into_boxed_str()), success).await;
        assert_eq!(attempt(&server).await.unwrap_err().kind(), ErrorKind::Protocol);
        assert!(server.heard().iter().all(|heard| heard.method == "GET" && !heard.text.contains("pass")));
    }
    assert!(stranger.heard().is_empty());
    let plain = IdentitySettings::published(Url::parse("http://auth.example/").unwrap(), "desp");
    assert_eq!(login::session(&plain).err().unwrap().kind(), ErrorKind::Configuration);
}
