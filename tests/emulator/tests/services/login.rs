//! The login: pages, codes, tokens.

use dcms_emulator::accounts::{
    CACHE_A_CLIENT, CACHE_A_REDIRECT, CACHE_B_CLIENT, CACHE_B_REDIRECT, ERROR_USER, OTP, OTP_USER, PASSWORD,
    TERMS_USER, UNENTITLED_USER, USER,
};
use dcms_emulator::behaviour::LoginPage;
use reqwest::{Client, Method};
use serde_json::Value;

use crate::support::{Answer, Bench, read};

/// A browser that keeps cookies and follows no redirect.
struct Browser<'a> {
    bench: &'a Bench,
    client: Client,
}

impl<'a> Browser<'a> {
    fn new(bench: &'a Bench) -> Browser<'a> {
        let client = Client::builder().cookie_store(true).redirect(reqwest::redirect::Policy::none());
        Browser { bench, client: client.no_proxy().build().unwrap() }
    }

    async fn open(&self, client: &str, redirect: &str, scope: &str) -> Answer {
        let url = format!("{}/realms/desp/protocol/openid-connect/auth", self.bench.emulator.identity_url());
        let query =
            [("client_id", client), ("redirect_uri", redirect), ("scope", scope), ("response_type", "code")];
        read(self.client.get(url).query(&query).send().await.unwrap()).await.unwrap()
    }

    async fn send(&self, page: &Answer, form: &[(&str, &str)]) -> Answer {
        let url = action(&page.text());
        let url = if url.starts_with('/') { self.bench.emulator.identity_url() + &url } else { url };
        read(self.client.post(url).form(form).send().await.unwrap()).await.unwrap()
    }

    async fn log_in(&self, user: &str, password: &str) -> Answer {
        let page = self.open(CACHE_A_CLIENT, CACHE_A_REDIRECT, "openid").await;
        assert_eq!(page.status, 200);
        self.send(&page, &[("username", user), ("password", password)]).await
    }

    async fn token(&self, form: &[(&str, &str)]) -> Answer {
        let url = format!("{}/realms/desp/protocol/openid-connect/token", self.bench.emulator.identity_url());
        read(self.client.post(url).form(form).send().await.unwrap()).await.unwrap()
    }
}

/// The action of the form that a person would see: not the ones in a script and in a comment.
fn action(page: &str) -> String {
    let form = &page[page.rfind("<form id=").unwrap()..];
    let start = form.find("action=\"").unwrap() + 8;
    form[start..start + form[start..].find('"').unwrap()].replace("&amp;", "&")
}

fn code(answer: &Answer) -> String {
    assert_eq!(answer.status, 302);
    let location = answer.header("location").unwrap();
    assert!(location.starts_with(CACHE_A_REDIRECT) || location.starts_with(CACHE_B_REDIRECT), "{location}");
    location.split("code=").nth(1).unwrap().to_owned()
}

fn exchange(code: &str) -> [(&str, &str); 5] {
    let (client, redirect) = (("client_id", CACHE_A_CLIENT), ("redirect_uri", CACHE_A_REDIRECT));
    [client, redirect, ("code", code), ("grant_type", "authorization_code"), ("scope", "")]
}

#[tokio::test]
async fn a_login_gives_a_token_that_downloads() {
    let bench = Bench::demo().await;
    let browser = Browser::new(&bench);
    let code = code(&browser.log_in(USER, PASSWORD).await);
    let mut elsewhere = exchange(&code);
    elsewhere[1].1 = "http://localhost:5001";
    let tokens: Value = browser.token(&exchange(&code)).await.json();
    assert_eq!(tokens["expires_in"], 300);
    assert_eq!(tokens["access_token"].as_str().unwrap().split('.').count(), 3);
    assert_eq!(browser.token(&exchange(&code)).await.status, 400, "a code works once");
    let (path, _) = bench.small_file();
    let ask = bench.request(Method::POST, &format!("/stac/download?filename={path}"));
    let answer = ask.bearer_auth(tokens["access_token"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(bench.emulator.journal().logins(), 1);
    let code = self::code(&Browser::new(&bench).log_in(USER, PASSWORD).await);
    elsewhere[2].1 = &code;
    assert_eq!(browser.token(&elsewhere).await.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn wrong_passwords_and_missing_cookies() {
    let bench = Bench::demo().await;
    let browser = Browser::new(&bench);
    let again = browser.log_in(USER, "wrong").await;
    assert_eq!(again.status, 200);
    assert!(
        again.text().contains("id=\"input-error\"") && again.text().contains("Invalid username or password.")
    );
    code(&browser.send(&again, &[("username", USER), ("password", PASSWORD)]).await);
    assert_eq!(bench.emulator.journal().failed_logins(), 1);
    let page = Browser::new(&bench).open(CACHE_A_CLIENT, CACHE_A_REDIRECT, "openid").await;
    let url = action(&page.text());
    let bare = bench.request(Method::POST, &url).form(&[("username", USER), ("password", PASSWORD)]);
    assert_eq!(bare.send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_second_factor() {
    let bench = Bench::demo().await;
    let browser = Browser::new(&bench);
    let page = browser.log_in(OTP_USER, PASSWORD).await;
    assert!(page.status == 200 && page.text().contains("name=\"otp\""));
    assert!(!page.text().contains("input-error"));
    let again = browser.send(&page, &[("otp", "000000"), ("login", "Sign In")]).await;
    assert!(again.status == 200 && again.text().contains("input-error"));
    code(&browser.send(&again, &[("otp", OTP), ("login", "Sign In")]).await);
}

#[tokio::test]
async fn logins_that_cannot_succeed() {
    let bench = Bench::demo().await;
    let browser = Browser::new(&bench);
    let terms = browser.log_in(TERMS_USER, PASSWORD).await;
    assert!(terms.status == 302 && terms.header("location").unwrap().contains("TERMS_AND_CONDITIONS"));
    let error = browser.log_in(ERROR_USER, PASSWORD).await;
    assert!(error.header("location").unwrap().contains("error=access_denied&error_description="));
    assert_eq!(browser.open("unknown", CACHE_A_REDIRECT, "openid").await.status, 400);
    assert_eq!(browser.open(CACHE_A_CLIENT, CACHE_B_REDIRECT, "openid").await.status, 400);
    let page = |page| bench.change(|behaviour| behaviour.login.page = page);
    page(LoginPage::Unexpected);
    assert!(
        !browser.open(CACHE_A_CLIENT, CACHE_A_REDIRECT, "openid").await.text().contains("kc-form-login\" on")
    );
    page(LoginPage::Down);
    assert_eq!(browser.open(CACHE_A_CLIENT, CACHE_A_REDIRECT, "openid").await.status, 503);
    page(LoginPage::RelativeAction);
    code(&browser.log_in(USER, PASSWORD).await);
    page(LoginPage::Hostile);
    let browser = Browser::new(&bench);
    let hostile = browser.open(CACHE_A_CLIENT, CACHE_A_REDIRECT, "openid").await;
    assert!(action(&hostile.text()).starts_with(&bench.emulator.foreign_url()));
    assert_eq!(bench.emulator.journal().leaks(), 0);
    browser.send(&hostile, &[("username", USER), ("password", PASSWORD)]).await;
    assert_eq!(bench.emulator.journal().leaks(), 1);
}

#[tokio::test]
async fn refreshing() {
    let bench = Bench::demo().await;
    let browser = Browser::new(&bench);
    let code = code(&browser.log_in(USER, PASSWORD).await);
    let first: Value = browser.token(&exchange(&code)).await.json();
    let refresh = |token: &str| {
        [("client_id", CACHE_A_CLIENT), ("grant_type", "refresh_token"), ("refresh_token", token)]
            .map(|(key, value)| (key, value.to_owned()))
    };
    let send = async |token: &Value| {
        let form = refresh(token.as_str().unwrap());
        let form = form.iter().map(|(key, value)| (*key, value.as_str())).collect::<Vec<_>>();
        browser.token(&form).await
    };
    let second = send(&first["refresh_token"]).await;
    assert_eq!(second.status, 200);
    assert_ne!(second.json()["access_token"], first["access_token"]);
    assert_eq!(second.json()["refresh_token"], first["refresh_token"]);
    bench.change(|behaviour| behaviour.login.rotate = true);
    let third = send(&first["refresh_token"]).await.json();
    assert_ne!(third["refresh_token"], first["refresh_token"]);
    assert_eq!(send(&first["refresh_token"]).await.status, 400, "used up");
    bench.change(|behaviour| behaviour.login.refresh = false);
    assert_eq!(send(&third["refresh_token"]).await.json()["error"], "unauthorized_client");
    assert_eq!(bench.emulator.journal().refreshes(), 2);
}

#[tokio::test]
async fn offline_tokens_open_cache_b() {
    let bench = Bench::demo().await;
    for (user, status) in [(USER, 200), (UNENTITLED_USER, 403)] {
        let browser = Browser::new(&bench);
        let page = browser.open(CACHE_B_CLIENT, CACHE_B_REDIRECT, "openid offline_access").await;
        let code = code(&browser.send(&page, &[("username", user), ("password", PASSWORD)]).await);
        let mut form = exchange(&code);
        form[0].1 = CACHE_B_CLIENT;
        form[1].1 = CACHE_B_REDIRECT;
        let tokens: Value = browser.token(&form).await.json();
        assert_eq!(tokens["refresh_expires_in"], 0);
        let url = format!("{}{}/.zmetadata", bench.emulator.cache_b_url(), bench.emulator.stores()[0]);
        let ask =
            |password: &str| bench.request(Method::GET, &url).basic_auth("anonymous", Some(password)).send();
        assert_eq!(ask(tokens["refresh_token"].as_str().unwrap()).await.unwrap().status(), status);
        assert_eq!(ask(tokens["access_token"].as_str().unwrap()).await.unwrap().status(), 401);
    }
    let discovery = bench.json("/realms/desp/.well-known/openid-configuration").await;
    assert!(
        discovery["token_endpoint"].as_str().unwrap().ends_with("/realms/desp/protocol/openid-connect/token")
    );
}

#[tokio::test]
async fn the_same_browser_is_let_in_again() {
    let bench = Bench::demo().await;
    let browser = Browser::new(&bench);
    code(&browser.log_in(USER, PASSWORD).await);
    // For another client, without a form.
    code(&browser.open(CACHE_B_CLIENT, CACHE_B_REDIRECT, "openid offline_access").await);
    assert_eq!(Browser::new(&bench).open(CACHE_A_CLIENT, CACHE_A_REDIRECT, "openid").await.status, 200);
    bench.change(|behaviour| behaviour.login.single_sign_on = false);
    assert_eq!(browser.open(CACHE_A_CLIENT, CACHE_A_REDIRECT, "openid").await.status, 200);
}

#[tokio::test]
async fn a_revoked_token_ends() {
    let bench = Bench::demo().await;
    let browser = Browser::new(&bench);
    let code = code(&browser.log_in(USER, PASSWORD).await);
    let tokens: Value = browser.token(&exchange(&code)).await.json();
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let described = bench.json("/realms/desp/.well-known/openid-configuration").await;
    let endpoint = described["revocation_endpoint"].as_str().unwrap();
    let revoke = async |client: &str, token: &str| {
        let form = [("client_id", client), ("token", token)];
        browser.client.post(endpoint).form(&form).send().await.unwrap().status().as_u16()
    };
    let renew = async || {
        let grant = ("grant_type", "refresh_token");
        browser.token(&[("client_id", CACHE_A_CLIENT), grant, ("refresh_token", refresh)]).await.status
    };
    assert_eq!(revoke(CACHE_B_CLIENT, refresh).await, 200, "another client's: nothing happens");
    assert_eq!(renew().await, 200);
    assert_eq!(revoke(CACHE_A_CLIENT, "unknown").await, 200, "as good as revoked");
    assert_eq!(revoke(CACHE_A_CLIENT, refresh).await, 200);
    assert_eq!(renew().await, 400);
    assert_eq!(revoke("nobody", refresh).await, 401);
    bench.change(|behaviour| behaviour.login.revocation = false);
    assert_eq!(revoke(CACHE_A_CLIENT, refresh).await, 404);
    let described = bench.json("/realms/desp/.well-known/openid-configuration").await;
    assert!(described["revocation_endpoint"].is_null());
}
