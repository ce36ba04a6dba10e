//! One login for all who read: waiters, other processes, outages of the provider.

use super::*;

#[tokio::test]
async fn sixty_four_readers_cause_one_renewal() {
    let server = refreshing(300).await;
    let bench = Bench::new(&server);
    bench.save("old", 300, Some("offline"), None).await;
    let (credentials, keyring) = bench.mount();
    assert_eq!(header(&keyring, &bench.a), "Bearer old");
    assert_eq!(header(&keyring, &bench.b), "Basic anonymous:offline");
    let seen = keyring.generation(&bench.a);
    let readers = (0..64).map(|_| credentials.renew(&bench.a, seen));
    assert!(join_all(readers).await.iter().all(Result::is_ok));
    assert_eq!(header(&keyring, &bench.a), "Bearer access-1");
    assert_eq!(server.heard().len(), 1);
    assert_eq!(server.heard()[0].field("refresh_token").unwrap(), "r-old");
    let kept = files::load(bench.file()).unwrap().cache_a.unwrap();
    assert_eq!(kept.access_token.expose_secret(), "access-1");
    assert_eq!(kept.refresh_token.unwrap().expose_secret(), "r-access-1");

    // The new token is refused at once: no second renewal.
    let seen = keyring.generation(&bench.a);
    let readers = (0..64).map(|_| credentials.renew(&bench.a, seen));
    assert!(
        join_all(readers)
            .await
            .iter()
            .all(|outcome| { outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::LoginRejected) })
    );
    assert_eq!(server.heard().len(), 1);
}

#[tokio::test]
async fn a_renewal_outlives_the_reader_who_asked_for_it() {
    let server = Server::start(|_| {
        Reply::default().then(Duration::from_millis(200), "").then(Duration::ZERO, {
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"access_token\":\"new\",\"refresh_token\":\"rotated\"}"
    })
    })
    .await;
    let bench = Bench::new(&server);
    bench.save("old", 300, None, None).await;
    let (credentials, keyring) = bench.mount();
    let seen = keyring.generation(&bench.a);
    let killed = tokio::time::timeout(Duration::from_millis(50), credentials.renew(&bench.a, seen)).await;
    assert!(killed.is_err());
    credentials.renew(&bench.a, seen).await.unwrap();
    assert_eq!(header(&keyring, &bench.a), "Bearer new");
    assert_eq!(server.heard().len(), 1);
}

#[tokio::test]
async fn a_refused_refresh_token_needs_the_user_and_a_login_is_picked_up() {
    let server = Server::start(|_| Reply::new(400, "", r#"{"error":"invalid_grant"}"#)).await;
    let bench = Bench::new(&server);
    bench.save("old", 300, None, None).await;
    let (credentials, keyring) = bench.mount();
    assert!(matches!(credentials.status()[0].state, AccountState::LoggedIn { .. }));
    let seen = keyring.generation(&bench.a);
    for _ in 0..3 {
        let error = credentials.renew(&bench.a, seen).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LoginExpired);
        assert!(error.message().contains("`dcmsfs login`"), "{error}");
    }
    assert_eq!(server.heard().len(), 1);
    assert_eq!(header(&keyring, &bench.a), "Bearer old", "kept until something better is there");
    let status = &credentials.status()[0];
    assert_eq!((status.state.clone(), status.user.as_deref()), (AccountState::Expired, Some("me")));

    bench.save("canary", 300, None, None).await;
    credentials.reload();
    assert_eq!(header(&keyring, &bench.a), "Bearer canary");
    credentials.renew(&bench.a, seen).await.unwrap();
    assert!(matches!(credentials.status()[0].state, AccountState::LoggedIn { .. }));
    assert!(!format!("{:?} {keyring:?}", credentials.status()).contains("canary"));

    let forget = async || forget_login(&bench.settings, "127.0.0.1").await.unwrap();
    assert!(forget().await.is_some_and(|forgotten| forgotten.revoked.is_err()), "without a provider too");
    assert!(forget().await.is_none());
    credentials.reload();
    assert_eq!(header(&keyring, &bench.a), "");
    assert_eq!(credentials.status()[0].state, AccountState::Missing);
}

#[tokio::test]
async fn another_process_that_renewed_is_believed() {
    let server = refreshing(300).await;
    let bench = Bench::new(&server);
    bench.save("old", 300, None, None).await;
    let (one, one_keyring) = bench.mount();
    let (two, two_keyring) = bench.mount();
    one.renew(&bench.a, one_keyring.generation(&bench.a)).await.unwrap();
    two.renew(&bench.a, two_keyring.generation(&bench.a)).await.unwrap();
    assert_eq!(header(&one_keyring, &bench.a), header(&two_keyring, &bench.a));
    assert_eq!(server.heard().len(), 1);
}

#[tokio::test]
async fn an_outage_of_the_provider_is_no_storm_and_costs_no_login() {
    let server = Server::start(|_| Reply::new(503, "", "")).await;
    let bench = Bench::new(&server);
    bench.save("old", 300, None, Some("password")).await;
    let (credentials, keyring) = bench.mount();
    let seen = keyring.generation(&bench.a);
    let outcomes = join_all((0..20).map(|_| credentials.renew(&bench.a, seen))).await;
    assert!(
        outcomes.iter().all(|outcome| outcome.as_ref().is_err_and(|e| e.kind() == ErrorKind::Unavailable))
    );
    assert_eq!(server.heard().len(), 1);
}

#[tokio::test]
async fn a_kept_password_logs_in_once_a_minute() {
    let server = Server::start(|heard| match heard.target.split('?').next().unwrap() {
        AUTH => login_page(heard, FORM),
        TOKEN if heard.field("grant_type").unwrap() == "refresh_token" => {
            Reply::new(400, "", r#"{"error":"invalid_grant"}"#)
        }
        TOKEN => tokens("by-password", 1),
        _ => success(heard),
    })
    .await;
    let bench = Bench::new(&server);
    bench.save("old", 300, None, Some("password")).await;
    let (credentials, keyring) = bench.mount();
    credentials.renew(&bench.a, keyring.generation(&bench.a)).await.unwrap();
    assert_eq!(header(&keyring, &bench.a), "Bearer by-password");
    tokio::time::sleep(Duration::from_millis(600)).await;
    let error = credentials.renew(&bench.a, keyring.generation(&bench.a)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.wait().unwrap() > Duration::from_secs(50));
    assert_eq!(posts(&server, "/login").len(), 1);
}

#[tokio::test]
async fn a_short_lived_token_is_renewed_before_anyone_asks() {
    let server = refreshing(300).await;
    let bench = Bench::new(&server);
    bench.save("old", 2, None, None).await;
    let (_credentials, keyring) = bench.mount();
    for _ in 0..100 {
        if header(&keyring, &bench.a) == "Bearer access-1" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not renewed: {}", header(&keyring, &bench.a));
}

#[tokio::test]
async fn the_offline_token_is_never_put_into_a_refresh_grant() {
    let server = refreshing(300).await;
    let bench = Bench::new(&server);
    bench.netrc(
        "machine 127.0.0.1 login anonymous password stale\n# comment\nmachine 127.0.0.1\npassword of-netrc\n",
    );
    let (credentials, keyring) = bench.mount();
    assert_eq!(header(&keyring, &bench.b), "Basic anonymous:of-netrc");
    bench.save("old", 300, Some("of-login"), None).await;
    credentials.reload();
    assert_eq!(header(&keyring, &bench.b), "Basic anonymous:of-login", "newer than netrc");
    assert_eq!(credentials.status()[1].user.as_deref(), Some("me"));

    credentials.renew(&bench.b, keyring.generation(&bench.b)).await.unwrap();
    assert_eq!(header(&keyring, &bench.b), "Basic anonymous:of-netrc", "the other source");
    let seen = keyring.generation(&bench.b);
    for _ in 0..3 {
        let error = credentials.renew(&bench.b, seen).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LoginExpired);
        for word in ["127.0.0.1", "`dcmsfs login`", ".netrc (line 3)"] {
            assert!(error.message().contains(word), "{error}");
        }
    }
    assert_eq!(credentials.status()[1].state, AccountState::Expired);
    // Somebody mends netrc.
    bench.netrc("machine 127.0.0.1 login other password mended\n");
    credentials.reload();
    assert_eq!(header(&keyring, &bench.b), "Basic other:mended");
    assert_eq!(credentials.status()[1].state, AccountState::LoggedIn { until: None });
    assert!(server.heard().is_empty());
}

#[tokio::test]
async fn unusable_files_and_missing_logins_are_told() {
    use std::os::unix::fs::PermissionsExt;
    let server = refreshing(300).await;
    let bench = Bench::new(&server);
    let (credentials, keyring) = bench.mount();
    assert!(credentials.status().iter().all(|line| line.state == AccountState::Missing));
    for (url, words) in [(&bench.a, "no DestinE login yet"), (&bench.b, "add an entry for 127.0.0.1")] {
        let error = credentials.renew(url, keyring.generation(url)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LoginExpired);
        assert!(error.message().contains(words) && error.message().contains("dcmsfs login"), "{error}");
    }
    let error = credentials.renew(&server.url("/c"), 0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LoginRejected);

    bench.netrc("machine 127.0.0.1 password p\n");
    let path = bench.settings.netrc.as_deref().unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    credentials.reload();
    assert!(!keyring.has(&bench.b));
    assert!(credentials.status()[1].problem.as_ref().unwrap().contains("chmod 600"));
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    credentials.reload();
    assert_eq!(header(&keyring, &bench.b), "Basic anonymous:p");
    assert_eq!(credentials.status()[1].problem, None);

    bench.save("a", 300, None, None).await;
    std::fs::set_permissions(bench.file(), std::fs::Permissions::from_mode(0o640)).unwrap();
    let (other, other_keyring) = bench.mount();
    for url in [&bench.a, &bench.b] {
        let error = other.renew(url, other_keyring.generation(url)).await.unwrap_err();
        assert!(error.message().contains("chmod 600"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_logins_and_renewals_lose_nothing() {
    let server = refreshing(300).await;
    let bench = Bench::new(&server);
    let place = bench.file().to_owned();
    let write = |number: usize, part: usize| {
        let place = place.clone();
        tokio::spawn(async move {
            files::update(&place, |stored| {
                let secret = SecretString::from(format!("{number}-{}", "x".repeat(number * 50)));
                let login = files::CacheBLogin {
                    user: "me".into(),
                    password: secret.clone(),
                    obtained: None,
                    expires: None,
                };
                match part {
                    0 => stored.cache_b = Some(login),
                    _ => stored.account = Some(files::Account { user: "me".into(), password: secret }),
                }
            })
            .await
            .unwrap();
        })
    };
    let writers: Vec<_> = (1..60).map(|number| write(number, number % 2)).collect();
    for _ in 0..200 {
        files::load(&place).unwrap();
    }
    join_all(writers).await;
    let stored = files::load(&place).unwrap();
    assert!(stored.cache_b.is_some() && stored.account.is_some());
}
