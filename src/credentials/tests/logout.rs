//! What a logout takes back.

use super::*;

const DISCOVERY: &str = "/realms/desp/.well-known/openid-configuration";

async fn logged_in(discovery: impl Fn() -> Reply + Send + Sync + 'static) -> (Server, Bench) {
    let server = Server::start(move |heard| match heard.target.as_str() {
        DISCOVERY => discovery(),
        _ => Reply::new(200, "", ""),
    })
    .await;
    let bench = Bench::new(&server);
    bench.save("old", 300, Some("offline"), Some("password")).await;
    (server, bench)
}

#[tokio::test]
async fn tokens_are_revoked_and_the_netrc_entry_goes() {
    // The address is known only when the server runs, so the document names it by its path.
    let (server, bench) = logged_in(|| Reply::new(404, "", "")).await;
    let described = server.url("/revoke").to_string();
    let body = format!(r#"{{"issuer":"x","revocation_endpoint":"{described}"}}"#);
    let (other, mut settings) = logged_in(move || Reply::new(200, "", &body)).await;
    settings
        .netrc("machine other login me password mine\nmachine 127.0.0.1 login anonymous password offline\n");
    // The description names another host: nothing is sent there.
    let forgotten = forget_login(&settings.settings, "127.0.0.1").await.unwrap().unwrap();
    assert!(forgotten.netrc.unwrap());
    assert_eq!(forgotten.revoked.unwrap_err().kind(), ErrorKind::Protocol);
    assert!(posts(&server, "/revoke").is_empty() && posts(&other, "/").is_empty());
    let netrc = std::fs::read_to_string(settings.settings.netrc.as_deref().unwrap()).unwrap();
    assert_eq!(netrc, "machine other login me password mine\n");
    assert!(!settings.file().exists());

    // A provider without a description of itself offers none.
    let forgotten = forget_login(&bench.settings, "127.0.0.1").await.unwrap().unwrap();
    assert!(!forgotten.netrc.unwrap() && !forgotten.revoked.unwrap());
    settings.settings.file = None;
    assert!(forget_login(&settings.settings, "127.0.0.1").await.unwrap().is_none());
}

#[tokio::test]
async fn both_tokens_go_to_the_providers_own_endpoint() {
    let place = Arc::new(Mutex::new(String::new()));
    let known = Arc::clone(&place);
    let (server, bench) =
        logged_in(move || Reply::new(200, "", format!(r#"{{"revocation_endpoint":"{}"}}"#, known.lock())))
            .await;
    *place.lock() = server.url("/revoke").to_string();
    let forgotten = forget_login(&bench.settings, "127.0.0.1").await.unwrap().unwrap();
    assert!(forgotten.revoked.unwrap());
    let field = |heard: &Heard, name: &str| heard.field(name).unwrap();
    let sent: Vec<_> = posts(&server, "/revoke")
        .iter()
        .map(|heard| (field(heard, "client_id"), field(heard, "token")))
        .collect();
    assert_eq!(sent, [("dcms_client".into(), "r-old".into()), ("edh-public".into(), "offline".into())]);
}

#[tokio::test]
async fn a_running_mount_forgets_within_a_moment() {
    let (_server, bench) = logged_in(|| Reply::new(404, "", "")).await;
    let (credentials, keyring) = bench.mount();
    assert!(keyring.has(&bench.a) && keyring.has(&bench.b));
    forget_login(&bench.settings, "127.0.0.1").await.unwrap().unwrap();
    for _ in 0..40 {
        if !keyring.has(&bench.a) && !keyring.has(&bench.b) {
            assert!(credentials.status().iter().all(|line| line.state == AccountState::Missing));
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("still there after two seconds");
}
