//! What may renew a login without the person, and how little it may ask for.

use std::sync::atomic::{AtomicBool, AtomicU64};

use super::*;

/// A provider whose login page takes any password, lets a browser in again, and refuses refresh grants.
async fn by_password(access_life: u64) -> Server {
    let count = AtomicUsize::new(1);
    Server::start(move |heard| match heard.target.split('?').next().unwrap() {
        AUTH if heard.header("cookie").is_some() => {
            let target = query(heard, "redirect_uri");
            Reply::redirect(302, &format!("{target}?code=c&state={}", query(heard, "state")))
        }
        AUTH => login_page(heard, FORM),
        TOKEN if heard.field("grant_type").unwrap() == "refresh_token" => {
            Reply::new(400, "", r#"{"error":"invalid_grant"}"#)
        }
        TOKEN => tokens(
            &format!("{}-{}", heard.field("client_id").unwrap(), count.fetch_add(1, Ordering::Relaxed)),
            access_life,
        ),
        _ => success(heard),
    })
    .await
}

fn given(password: &str) -> Option<Account> {
    Some(Account { user: "service".into(), password: password.into() })
}

#[tokio::test]
async fn two_processes_log_in_once_a_minute() {
    let server = by_password(1).await;
    let bench = Bench::new(&server);
    bench.save("old", 300, None, Some("password")).await;
    let (one, one_keyring) = bench.mount();
    let (two, two_keyring) = bench.mount();
    one.renew(&bench.a, one_keyring.generation(&bench.a)).await.unwrap();
    two.renew(&bench.a, two_keyring.generation(&bench.a)).await.unwrap();
    assert_eq!(header(&one_keyring, &bench.a), header(&two_keyring, &bench.a), "found in the file");
    // Not fresh any more: both would have to log in.
    tokio::time::sleep(Duration::from_millis(600)).await;
    for (mount, keyring) in [(&one, &one_keyring), (&two, &two_keyring)] {
        let error = mount.renew(&bench.a, keyring.generation(&bench.a)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        assert!(error.wait().unwrap() > Duration::from_secs(50));
    }
    assert_eq!(posts(&server, "/login").len(), 1);
    // A third, started just now, knows it too.
    let (three, three_keyring) = bench.mount();
    assert!(three.renew(&bench.a, three_keyring.generation(&bench.a)).await.is_err());
    assert_eq!(posts(&server, "/login").len(), 1);
}

#[tokio::test]
async fn one_login_brings_both_services_when_both_want_one() {
    let server = by_password(300).await;
    let mut bench = Bench::new(&server);
    bench.settings.account = given("password");
    let (credentials, keyring) = bench.mount();
    credentials.renew(&bench.a, keyring.generation(&bench.a)).await.unwrap();
    assert!(header(&keyring, &bench.a).starts_with("Bearer dcms_client-"));
    assert!(header(&keyring, &bench.b).starts_with("Basic anonymous:r-edh-public-"));
    assert_eq!(posts(&server, "/login").len(), 1, "one conversation");
    // Kept for the next start, but not the password, which is the service manager's.
    let kept = std::fs::read_to_string(bench.file()).unwrap();
    assert!(kept.contains("[cache_a]") && kept.contains("[cache_b]"));
    assert!(files::load(bench.file()).unwrap().account.is_none());
    drop(credentials);
    let (_again, keyring) = bench.mount();
    assert!(keyring.has(&bench.a) && keyring.has(&bench.b));
}

#[tokio::test]
async fn a_given_account_is_logged_in_before_anyone_asks() {
    let server = by_password(300).await;
    let mut bench = Bench::new(&server);
    bench.settings.account = given("password");
    let (_credentials, keyring) = bench.mount();
    for _ in 0..100 {
        if keyring.has(&bench.a) && keyring.has(&bench.b) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not logged in: {:?}", server.heard());
}

#[tokio::test]
async fn a_refused_password_is_tried_once() {
    let server = provider(FORM, |_| {
        Reply::new(200, "", format!("{FORM}<span id=input-error>Invalid username or password.</span>"))
    })
    .await;
    let mut bench = Bench::new(&server);
    bench.settings.account = given("canary");
    let (credentials, keyring) = bench.mount();
    let error = credentials.renew(&bench.a, keyring.generation(&bench.a)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LoginRejected);
    let error = credentials.renew(&bench.b, keyring.generation(&bench.b)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LoginExpired);
    assert!(error.message().contains("dcmsfs login") && !error.message().contains("canary"), "{error}");
    assert_eq!(posts(&server, "/login").len(), 1);
}

#[tokio::test]
async fn a_login_helps_a_reader_at_once() {
    let server = Server::start(|_| Reply::new(400, "", r#"{"error":"invalid_grant"}"#)).await;
    let bench = Bench::new(&server);
    bench.save("old", 300, None, None).await;
    let (credentials, keyring) = bench.mount();
    let seen = keyring.generation(&bench.a);
    assert!(credentials.renew(&bench.a, seen).await.is_err());
    assert!(credentials.renew(&bench.a, seen).await.is_err(), "from memory");
    bench.save("new", 300, None, None).await;
    credentials.renew(&bench.a, seen).await.unwrap();
    assert_eq!(header(&keyring, &bench.a), "Bearer new");
}

#[tokio::test]
async fn a_token_endpoint_that_lies_is_asked_once_and_changes_nothing() {
    let stranger = Server::start(|_| Reply::new(200, "", "")).await;
    let elsewhere = stranger.url("/token").to_string();
    let redirect = move || Reply::redirect(307, &elsewhere);
    type Lie = Box<dyn Fn() -> Reply + Send + Sync>;
    let lies: Vec<(&str, Lie)> = vec![
        ("a web page", Box::new(|| Reply::new(200, "Content-Type: text/html\r\n", "<html>canary</html>"))),
        ("nothing", Box::new(|| Reply::new(200, "", "{}"))),
        ("no token", Box::new(|| Reply::new(200, "", r#"{"access_token":null,"refresh_token":"canary"}"#))),
        ("a header in the token", Box::new(|| Reply::new(200, "", r#"{"access_token":"canary\r\nX: y"}"#))),
        ("half an answer", Box::new(|| Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"access"))),
        ("another place", Box::new(redirect)),
        ("too much", Box::new(|| Reply::new(200, "", vec![b' '; 2 << 20]))),
        ("a fault", Box::new(|| Reply::new(500, "", "canary"))),
        ("too many", Box::new(|| Reply::new(429, "Retry-After: 30\r\n", ""))),
    ];
    for (lie, answer) in lies {
        let server = Server::start(move |_| answer()).await;
        let bench = Bench::new(&server);
        bench.save("old", 300, None, Some("password")).await;
        let (credentials, keyring) = bench.mount();
        let seen = keyring.generation(&bench.a);
        let outcomes = join_all((0..50).map(|_| credentials.renew(&bench.a, seen))).await;
        for error in outcomes.into_iter().map(Result::unwrap_err) {
            assert!(
                !matches!(error.kind(), ErrorKind::LoginExpired | ErrorKind::LoginRejected),
                "{lie}: {error}"
            );
            assert!(!error.message().contains("canary"), "{lie}: {error}");
        }
        assert_eq!(server.heard().len(), 1, "{lie}: no storm, and no login by password for a fault");
        assert_eq!(header(&keyring, &bench.a), "Bearer old", "{lie}");
        let kept = files::load(bench.file()).unwrap().cache_a.unwrap();
        assert_eq!(kept.refresh_token.unwrap().expose_secret(), "r-old", "{lie}");
    }
    assert!(stranger.heard().is_empty());
}

#[tokio::test]
async fn a_token_that_is_given_but_never_works_is_not_asked_for_again() {
    // "Here is a new token, good for ten years", and the service refuses it.
    let server = refreshing(315_360_000).await;
    let bench = Bench::new(&server);
    bench.save("old", 300, None, None).await;
    let (credentials, keyring) = bench.mount();
    for round in 0..30 {
        let outcome = credentials.renew(&bench.a, keyring.generation(&bench.a)).await;
        assert_eq!(outcome.err().map(|error| error.kind()), (round > 0).then_some(ErrorKind::LoginRejected));
    }
    assert_eq!(server.heard().len(), 1);
}

/// A provider that rotates: each refresh token works once (RFC 6749 6, RFC 9700 2.2.2).
struct Rotating {
    server: Server,
    /// The refresh tokens that are good.
    live: Arc<Mutex<Vec<String>>>,
    reused: Arc<AtomicU64>,
}

async fn rotating() -> Rotating {
    let live = Arc::new(Mutex::new(vec!["r-login-0".to_owned()]));
    let reused = Arc::new(AtomicU64::new(0));
    let (tokens, misuse) = (Arc::clone(&live), Arc::clone(&reused));
    let count = AtomicUsize::new(0);
    let server = Server::start(move |heard| {
        let used = heard.field("refresh_token").unwrap_or_default();
        let mut live = tokens.lock();
        let Some(place) = live.iter().position(|token| *token == used) else {
            misuse.fetch_add(1, Ordering::Relaxed);
            return Reply::new(400, "", r#"{"error":"invalid_grant","error_description":"used"}"#);
        };
        let number = count.fetch_add(1, Ordering::Relaxed);
        live[place] = format!("r-renewed-{number}");
        let body = format!(
            r#"{{"access_token":"a-renewed-{number}","refresh_token":"r-renewed-{number}","expires_in":0.002}}"#
        );
        Reply::new(200, "", body)
    })
    .await;
    Rotating { server, live, reused }
}

/// Two mounts and a person who logs in, on one file: whatever the order, the file is whole, and the refresh token in
/// it is one that the provider still accepts. The locks are those that hold between processes (flock on files that
/// were opened apart).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_races_lose_no_token() {
    let provider = rotating().await;
    let bench = Bench::new(&provider.server);
    let save = |round: usize| {
        let tokens = TokenSet {
            access: format!("a-login-{round}").into(),
            refresh: Some(format!("r-login-{round}").into()),
            expires_in: Some(Duration::from_millis(2)),
            refresh_expires_in: None,
            obtained: Timestamp::now(),
        };
        NewLogin { user: "me".into(), cache_a: Some(tokens), ..NewLogin::default() }
    };
    save_login(bench.file(), &save(0)).await.unwrap();
    let (one, one_keyring) = bench.mount();
    let (two, two_keyring) = bench.mount();
    let looking = Arc::new(AtomicBool::new(true));
    let (file, look) = (bench.file().to_owned(), Arc::clone(&looking));
    let onlooker = tokio::task::spawn_blocking(move || {
        let mut looks = 0_u64;
        while look.load(Ordering::Relaxed) {
            // Never torn, never gone, never without its token.
            assert!(files::load(&file).unwrap().cache_a.unwrap().refresh_token.is_some());
            looks += 1;
        }
        looks
    });
    for round in 1..=1000 {
        let person = async {
            if round % 5 == 0 {
                provider.live.lock().push(format!("r-login-{round}"));
                save_login(bench.file(), &save(round)).await.unwrap();
            }
        };
        // A refusal of a token that was renewed a moment ago is no loss.
        let (first, second, ()) = tokio::join!(
            one.renew(&bench.a, one_keyring.generation(&bench.a)),
            two.renew(&bench.a, two_keyring.generation(&bench.a)),
            person
        );
        for outcome in [first, second] {
            let kind = outcome.err().map(|error| error.kind());
            assert!(matches!(kind, None | Some(ErrorKind::LoginRejected)), "round {round}: {kind:?}");
        }
        // With the lock, since the refreshers go on: between the provider's answer and the writing of it the file
        // is behind.
        let _lock = private_file::lock(bench.file()).await.unwrap();
        let kept = files::load(bench.file()).unwrap().cache_a.unwrap().refresh_token.unwrap();
        let live = provider.live.lock().clone();
        assert!(
            live.iter().any(|token| token == kept.expose_secret()),
            "round {round}: a dead token is kept"
        );
    }
    looking.store(false, Ordering::Relaxed);
    assert!(onlooker.await.unwrap() > 100);
    assert_eq!(provider.reused.load(Ordering::Relaxed), 0, "a refresh token was used twice");
    assert!(provider.server.heard().len() > 300, "{} renewals", provider.server.heard().len());
    let left = std::fs::read_dir(bench.file().parent().unwrap()).unwrap().count();
    assert_eq!(left, 2, "the file and its lock, nothing beside them");
}

#[tokio::test]
async fn a_long_login_shows_its_end_for_both_services() {
    let server = refreshing(300).await;
    let bench = Bench::new(&server);
    let month = Duration::from_secs(30 * 86_400);
    let tokens = || TokenSet {
        access: "a".into(),
        refresh: Some("r".into()),
        expires_in: Some(Duration::from_secs(300)),
        refresh_expires_in: Some(month),
        obtained: Timestamp::now(),
    };
    let login =
        NewLogin { user: "me".into(), cache_a: Some(tokens()), cache_b: Some(tokens()), keep_password: None };
    save_login(bench.file(), &login).await.unwrap();
    let (credentials, _) = bench.mount();
    for line in credentials.status() {
        let AccountState::LoggedIn { until: Some(until) } = line.state else { panic!("{line:?}") };
        let left = Duration::try_from(until.duration_since(Timestamp::now())).unwrap();
        assert!(month - left < Duration::from_secs(60), "{line:?}");
    }
}
