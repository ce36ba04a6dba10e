//! Budgets over real files, and over broken ones.

use std::fs::{self, File};
use std::path::Path;

use tokio::task::JoinSet;

use super::*;
use crate::fetch::limits::Measure;

const DAY_OF_REQUESTS: (Measure, Period) = (Measure::Requests, Period::Day);
const MONTH_OF_BYTES: (Measure, Period) = (Measure::Bytes, Period::Month);

fn open(home: &Path, limits: &[((Measure, Period), u64)]) -> Budget {
    let limit = |((measure, period), most): &((Measure, Period), u64)| Limit {
        setting: "cache_b.limit".into(),
        measure: *measure,
        period: *period,
        most: *most,
    };
    Budget::open(BudgetSettings {
        service: "cache-b".into(),
        address: "https://h.example/".into(),
        directory: home.join("counts/x"),
        limits: limits.iter().map(limit).collect(),
        ahead: 0,
    })
}

async fn settle(budget: &Budget) {
    let budget = budget.clone();
    while budget.0.writing.load(Ordering::Acquire) {
        tokio::task::yield_now().await;
    }
    tokio::task::spawn_blocking(move || budget.settle()).await.unwrap();
}

/// What a mount that begins now finds.
fn kept(home: &Path) -> Counts {
    open(home, &[]).account().month
}

#[tokio::test(flavor = "multi_thread")]
async fn two_mounts_together_send_as_many_requests_as_allowed_and_not_one_more() {
    let home = tempfile::tempdir().unwrap();
    let limits = [(DAY_OF_REQUESTS, 100)];
    let mounts = [open(home.path(), &limits), open(home.path(), &limits)];
    let mut asking = JoinSet::new();
    for number in 0..240 {
        let mount = mounts[number % 2].clone();
        asking.spawn(async move { mount.admit().await });
    }
    let answers = asking.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 100);
    let refused = answers.into_iter().find_map(Result::err).unwrap();
    assert_eq!(refused.kind(), ErrorKind::QuotaExceeded);
    assert!(refused.message().contains("`cache_b.limit` of 100 requests"), "{refused}");
    assert_eq!(kept(home.path()).requests, 100);
    assert!(mounts.iter().all(|mount| mount.account().limits[0].is_used_up() && !mount.may_guess()));
    // Another day, another mount: used up still, from its first request on.
    assert!(open(home.path(), &limits).admit().await.is_err());
    // A higher limit holds at once.
    assert!(open(home.path(), &[(DAY_OF_REQUESTS, 101)]).admit().await.is_ok());
}

#[tokio::test]
async fn bytes_of_one_mount_are_bytes_of_the_other() {
    let home = tempfile::tempdir().unwrap();
    let limits = [(MONTH_OF_BYTES, 1000)];
    let (one, two) = (open(home.path(), &limits), open(home.path(), &limits));
    one.admit().await.unwrap();
    one.received(799);
    one.ended();
    settle(&one).await;
    two.admit().await.unwrap();
    assert!(two.may_guess());
    two.received(1);
    two.admit().await.unwrap();
    assert!(!two.may_guess(), "four fifths are used up");
    // What is on its way comes to its end.
    two.received(500);
    settle(&two).await;
    assert!(one.admit().await.is_err() && two.admit().await.is_err());
    assert_eq!(two.allowance().bytes.map(|share| (share.most, share.left)), Some((1000, 0)));
    assert_eq!(kept(home.path()), Counts { requests: 3, bytes: 1300 });
}

#[tokio::test]
async fn without_limits_counts_are_written_by_the_way() {
    let home = tempfile::tempdir().unwrap();
    let budget = open(home.path(), &[]);
    budget.admit().await.unwrap();
    budget.received(7);
    // Nobody asks for it, nobody waits: as in a process that is killed some time later.
    while kept(home.path()).bytes == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(kept(home.path()), Counts { requests: 1, bytes: 7 });
    // So much is not kept back for a second.
    budget.received(usize::try_from(BYTES).unwrap());
    while kept(home.path()).bytes < BYTES {
        tokio::task::yield_now().await;
    }
    assert_eq!(budget.account().month, kept(home.path()));
}

#[tokio::test]
async fn where_nothing_can_be_written_counting_goes_on() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("counts"), "in the way").unwrap();
    let budget = open(home.path(), &[(DAY_OF_REQUESTS, 3)]);
    for _ in 0..3 {
        budget.admit().await.unwrap();
    }
    assert!(budget.admit().await.is_err(), "the limit holds all the same");
    let trouble = budget.account().trouble.unwrap();
    assert!(trouble.contains("not kept for now"), "{trouble}");
    // Once it can be written, all of it is.
    fs::remove_file(home.path().join("counts")).unwrap();
    assert!(budget.admit().await.is_err());
    assert_eq!((budget.account().trouble, kept(home.path()).requests), (None, 3));
}

#[tokio::test]
async fn what_is_removed_or_damaged_under_a_mount_comes_back() {
    let home = tempfile::tempdir().unwrap();
    let budget = open(home.path(), &[(DAY_OF_REQUESTS, 100)]);
    for _ in 0..5 {
        budget.admit().await.unwrap();
    }
    fs::remove_dir_all(home.path().join("counts")).unwrap();
    budget.admit().await.unwrap();
    assert_eq!(kept(home.path()).requests, 6);
    for name in ["a", "b"] {
        fs::write(home.path().join("counts/x").join(name), "rubbish").unwrap();
    }
    assert_eq!(kept(home.path()).requests, 0);
    budget.admit().await.unwrap();
    assert_eq!((kept(home.path()).requests, budget.account().today.requests), (7, 7));
}

#[tokio::test]
async fn who_holds_the_lock_for_ever_holds_nobody_up_for_long() {
    let home = tempfile::tempdir().unwrap();
    let budget = open(home.path(), &[(DAY_OF_REQUESTS, 3)]);
    budget.admit().await.unwrap();
    let lock = File::open(home.path().join("counts/x")).unwrap();
    lock.lock().unwrap();
    budget.admit().await.unwrap();
    budget.admit().await.unwrap();
    assert!(budget.admit().await.is_err(), "the limit holds all the same");
    drop(lock);
    settle(&budget).await;
    assert_eq!(kept(home.path()).requests, 3);
}

#[tokio::test]
async fn a_pause_holds_for_other_mounts_and_later_ones() {
    let home = tempfile::tempdir().unwrap();
    let (one, two) = (open(home.path(), &[]), open(home.path(), &[]));
    assert!(one.pause().is_none() && one.may_guess());
    let error = Error::new(ErrorKind::QuotaExceeded, "cache-b: the volume is used up");
    let error = one.pause_for(Duration::from_secs(3 * 24 * 3600), error);
    assert!(error.message().contains("no request is sent to cache-b before 20"), "{error}");
    assert!(!one.may_guess());
    settle(&one).await;
    two.admit().await.unwrap();
    settle(&two).await;
    for budget in [two, open(home.path(), &[])] {
        let (until, said) = budget.pause().unwrap();
        let days = until.duration_since(Instant::now()).as_secs_f64() / 86_400.0;
        assert!((2.99..=3.001).contains(&days), "{days}");
        assert_eq!((said.kind(), said.message()), (error.kind(), error.message()));
        assert!(budget.account().paused.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_ends_and_no_busy_service_is_left_alone_for_more_than_a_day() {
    let budget = Budget::default();
    let month = Duration::from_secs(31 * 24 * 3600);
    budget.pause_for(month, Error::new(ErrorKind::Busy, "x"));
    budget.pause_for(LONGEST_WAIT, Error::new(ErrorKind::Busy, "shorter"));
    tokio::time::advance(BUSY_PAUSE - LATEST).await;
    assert_eq!(budget.pause().unwrap().1.message(), "x");
    tokio::time::advance(LATEST).await;
    assert!(budget.pause().is_none() && budget.account().paused.is_none());
}
