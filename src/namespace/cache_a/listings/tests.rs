//! Listings as they grow old, against a scripted service and a clock that is set forward.

use std::sync::atomic::{AtomicBool, Ordering};

use jiff::civil::date;
use jiff::tz::TimeZone;
use tempfile::TempDir;
use tokio::time::Instant;

use super::*;
use crate::backend::download::{Download, DownloadMethod};
use crate::catalog::expression::Expression;
use crate::catalog::shelf::{Room, Shelf};
use crate::credentials::{CredentialSettings, Credentials, IdentitySettings};
use crate::fetch::Fetch;
use crate::fetch::budget::Budget;
use crate::fetch::slots::UserSlots;
use crate::namespace::Directory;
use crate::namespace::cache_a::archive::Options;
use crate::namespace::cache_a::day::DayDirectory;
use crate::store::Store;
use crate::transport::loopback::{Heard, Reply, Server};
use crate::transport::{Keyring, Origin, Policy, Transport};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// A service with one product, observed at `observed`, that can fall silent or lose it.
struct Service {
    server: Server,
    silent: Arc<AtomicBool>,
    empty: Arc<AtomicBool>,
}

impl Service {
    async fn with(observed: Timestamp) -> Self {
        let silent = Arc::new(AtomicBool::new(false));
        let empty = Arc::new(AtomicBool::new(false));
        let (hushed, emptied) = (Arc::clone(&silent), Arc::clone(&empty));
        let script = move |heard: &Heard| {
            if !heard.target.starts_with("/search") {
                return Reply::new(200, "", "{}");
            }
            if hushed.load(Ordering::Relaxed) {
                return Reply::default().then_silence();
            }
            if emptied.load(Ordering::Relaxed) {
                return Reply::new(200, "", r#"{"features":[],"links":[]}"#);
            }
            let page = format!(
                r#"{{"features":[{{"id":"a","collection":"c","properties":{{"datetime":"{observed}"}}}}],"links":[]}}"#
            );
            Reply::new(200, "", page)
        };
        Self { server: Server::start(script).await, silent, empty }
    }

    /// A service that answers as `script` says.
    async fn answering(script: impl Fn(&Heard) -> Reply + Send + Sync + 'static) -> Self {
        Self { server: Server::start(script).await, silent: Arc::default(), empty: Arc::default() }
    }

    fn archive(&self, shelf: Shelf) -> Arc<Archive> {
        let root = self.server.url("/");
        let keyring = Keyring::new();
        let policy = Policy { hosts: vec![Origin::of(&root).unwrap()], ..Policy::default() };
        let transport = Transport::new(policy, keyring.clone()).unwrap();
        let identity = IdentitySettings::published(root.clone(), "desp");
        let settings = CredentialSettings { identity, file: None, netrc: None, account: None };
        let credentials = Credentials::new(settings, keyring.clone(), Vec::new()).unwrap();
        let backend = Arc::new(Download::new("test", DownloadMethod::Auto, 30 * SECOND, transport));
        let slots = Arc::new(UserSlots::local(2, 60 * SECOND));
        let fetch = Fetch::new(backend, slots, credentials, keyring, Budget::default());
        let store = Store::new(1 << 20, None, tokio::runtime::Handle::current());
        let (download, collections, restriction) = (None, Vec::new(), Expression::default());
        Archive::new(Options { root, download, objects: None, collections, restriction, fetch, shelf, store })
    }

    fn searches(&self) -> usize {
        self.server.heard().iter().filter(|heard| heard.target.starts_with("/search")).count()
    }
}

fn scope(archive: &Arc<Archive>) -> Scope {
    Scope::new(Arc::clone(archive), "c".into(), &Expression::default())
}

#[tokio::test]
async fn an_old_listing_is_shown_while_the_service_is_silent() {
    let service = Service::with("2024-09-24T10:00:00Z".parse().unwrap()).await;
    let scope = scope(&service.archive(Shelf::default()));
    let day = Span::day(date(2024, 9, 24));
    for _ in 0..2 {
        assert_eq!(scope.products(day).await.unwrap().records.len(), 1);
    }
    assert_eq!(service.searches(), 1, "what is known is not asked for");
    tokio::time::pause();
    tokio::time::advance(23 * HOUR).await;
    assert_eq!(scope.products(day).await.unwrap().records.len(), 1);
    assert_eq!(service.searches(), 1);
    tokio::time::advance(2 * HOUR).await;
    tokio::time::resume();
    assert_eq!(scope.products(day).await.unwrap().records.len(), 1);
    assert_eq!(service.searches(), 2, "an expired listing is asked for again");

    service.silent.store(true, Ordering::Relaxed);
    tokio::time::pause();
    tokio::time::advance(25 * HOUR).await;
    let before = Instant::now();
    assert_eq!(scope.products(day).await.unwrap().records.len(), 1);
    assert!(before.elapsed() <= 2 * SECOND, "{:?}", before.elapsed());
}

#[tokio::test]
async fn a_listing_of_today_is_never_shown_old() {
    let now = Timestamp::now();
    let service = Service::with(now).await;
    let scope = scope(&service.archive(Shelf::default()));
    let day = Span::day(now.to_zoned(TimeZone::UTC).date());
    assert_eq!(scope.products(day).await.unwrap().records.len(), 1);
    service.silent.store(true, Ordering::Relaxed);
    tokio::time::pause();
    tokio::time::advance(61 * SECOND).await;
    assert!(scope.products(day).await.is_err());
}

/// A file of a product that is listed turns out to be missing.
#[tokio::test]
async fn what_was_not_found_is_asked_for_again() {
    let service = Service::with("2024-09-24T10:00:00Z".parse().unwrap()).await;
    let archive = service.archive(Shelf::default());
    let scope = scope(&archive);
    let day = date(2024, 9, 24);
    assert_eq!(scope.products(Span::day(day)).await.unwrap().records.len(), 1);
    service.empty.store(true, Ordering::Relaxed);
    assert_eq!(scope.products(Span::day(day)).await.unwrap().records.len(), 1, "it is still believed");
    archive.lost(&"c".into(), "a", Some(day)).await;
    assert_eq!(scope.products(Span::day(day)).await.unwrap().records.len(), 0);
    archive.lost(&"c".into(), "b", Some(day)).await;
    assert_eq!(scope.products(Span::day(day)).await.unwrap().records.len(), 0);
    assert_eq!(service.searches(), 2, "not again at once");
    // A product that appears is there once the listing has expired.
    service.empty.store(false, Ordering::Relaxed);
    tokio::time::pause();
    tokio::time::advance(25 * HOUR).await;
    tokio::time::resume();
    assert_eq!(scope.products(Span::day(day)).await.unwrap().records.len(), 1);
}

/// Who gives up waiting does not end the search that others wait for.
#[tokio::test]
async fn a_search_outlives_who_began_it() {
    let service = Service::with("2024-09-24T10:00:00Z".parse().unwrap()).await;
    let scope = scope(&service.archive(Shelf::default()));
    let day = Span::day(date(2024, 9, 24));
    assert!(scope.products(day).now_or_never().is_none());
    assert_eq!(scope.products(day).await.unwrap().records.len(), 1);
    assert_eq!(service.searches(), 1);
}

#[tokio::test]
async fn the_shelf_outlives_the_archive() {
    let cache = TempDir::new().unwrap();
    let service = Service::with("2024-09-24T10:00:00Z".parse().unwrap()).await;
    let day = Span::day(date(2024, 9, 24));
    let shelf = || Shelf::open(cache.path(), Room { most: 1 << 30, min_free: 0 });
    let archive = service.archive(shelf());
    let known = scope(&archive).products(day).await.unwrap();
    archive.settle(10 * SECOND).await;
    let archive = service.archive(shelf());
    let recalled = scope(&archive).products(day).await.unwrap();
    assert_eq!(recalled.records, known.records);
    assert!(recalled.age.is_fresh() && recalled.age.settled);
    assert_eq!(archive.item(&"c".into(), "a").await.unwrap().id(), "a");
    assert_eq!(service.searches(), 1);
}

/// A service that does not announce `filter` is not asked for it, so nothing is refused; what comes is checked here.
#[tokio::test]
async fn an_unannounced_filter_costs_no_request() {
    let (day, clear) = (Span::day(date(2024, 9, 24)), Expression::parse("cloud>10,cloud<20").unwrap());
    let item = |cover: u32| {
        format!(
            r#"{{"id":"{cover}","collection":"c","properties":{{"datetime":"2024-09-24T10:00:00Z","eo:cloud_cover":{cover}}}}}"#
        )
    };
    let page = format!(r#"{{"features":[{},{},{}]}}"#, item(5), item(15), item(25));
    for (classes, requests, filter) in [
        (r#""https://api.stacspec.org/v1.0.0/item-search""#, 1, None),
        (
            r#""https://api.stacspec.org/v1.0.0/item-search","https://api.stacspec.org/v1.0.0/item-search#filter""#,
            3,
            Some("10%20AND%20"),
        ),
        ("", 2, Some("filter=eo:cloud_cover%3E10")),
    ] {
        let (landing, page) = (format!(r#"{{"conformsTo":[{classes}]}}"#), page.clone());
        let service = Service::answering(move |heard| match heard.target.as_str() {
            target if !target.starts_with("/search") => Reply::new(200, "", landing.clone()),
            // Also by POST, whose body is not in the address.
            target if target.contains("filter=") || !target.contains('?') => Reply::new(400, "", "{}"),
            _ => Reply::new(200, "", page.clone()),
        });
        let service = service.await;
        let archive = service.archive(Shelf::default());
        for _ in 0..2 {
            let scope = Scope::new(Arc::clone(&archive), "c".into(), &clear);
            let found = archive.search(&scope, day, None).await.unwrap().0;
            assert_eq!(found.records.iter().map(|record| &*record.id).collect::<Vec<_>>(), ["15"]);
        }
        // The second time, what was refused is not tried again.
        assert_eq!(service.searches(), requests + 1, "{classes}");
        let asked = service
            .server
            .heard()
            .into_iter()
            .any(|heard| filter.is_some_and(|text| heard.target.contains(text)));
        assert_eq!(asked, filter.is_some(), "{classes}");
    }
}

/// A map of a tile is made of the years that its months are listed from, and of no more products than it should hold.
#[tokio::test]
async fn a_map_of_a_tile_is_bounded() {
    let (asked, many) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (searched, crowded) = (Arc::clone(&asked), Arc::clone(&many));
    let service = Service::answering(move |heard| {
        let item = |year: i32, number: u32| {
            format!(
                r#"{{"id":"{year}-{number}","bbox":[11.5,41.5,12.5,42.4],"collection":"c","properties":{{"datetime":"{year}-09-24T10:00:00Z","platform":"sentinel-2a","s2:mgrs_tile":"32TQM"}}}}"#
            )
        };
        let target = heard.target.as_str();
        if target.starts_with("/collections") {
            return Reply::new(
                200,
                "",
                r#"{"collections":[{"id":"c","extent":{"temporal":{"interval":[["2022-01-01T00:00:00Z","2024-12-31T00:00:00Z"]]}}},{"id":"open"}]}"#,
            );
        }
        if !target.starts_with("/search") {
            return Reply::new(200, "", "{}");
        }
        searched.store(true, Ordering::Relaxed);
        let year = (2022..=2024).find(|year| target.contains(&format!("datetime={year}"))).unwrap();
        let is_tile = !target.contains("bbox=6");
        let count = if crowded.load(Ordering::Relaxed) { 5001 } else { 2 * u32::from(is_tile) };
        let items: Vec<String> = (0..count).map(|number| item(year, number)).collect();
        Reply::new(200, "", format!(r#"{{"features":[{}]}}"#, items.join(",")))
    });
    let service = service.await;
    let lookup = async |archive: Arc<Archive>, collection: &str, search: &str| {
        let scope = Scope::new(archive, collection.into(), &Expression::parse(search).unwrap());
        super::super::dates::Dates::years(scope, Vec::new()).lookup("items.geojson").await
    };
    assert!(lookup(service.archive(Shelf::default()), "c", "tile=32TQM").await.is_ok());
    assert_eq!(service.searches(), 3, "one for each year of the collection");
    let before = service.searches();
    assert!(lookup(service.archive(Shelf::default()), "c", "bbox=6:45:8:47").await.is_ok());
    assert_eq!(service.searches() - before, 36, "one for each month: a box may hold much more");
    many.store(true, Ordering::Relaxed);
    let before = service.searches();
    let error = lookup(service.archive(Shelf::default()), "c", "tile=32TQM").await.err().unwrap();
    assert_eq!(
        (error.kind(), service.searches() - before),
        (ErrorKind::TooLarge, 1),
        "the last year is enough"
    );
    assert!(error.message().contains("date=2024"), "{}", error.message());
    asked.store(false, Ordering::Relaxed);
    let error = lookup(service.archive(Shelf::default()), "open", "tile=32TQM").await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(!asked.load(Ordering::Relaxed), "nothing is searched that has no bound");
}

/// An item of 4 KiB, as a service sends it that is asked for `fields` and understands them or not.
fn heavy(number: u32, target: &str, quirk: &str) -> String {
    let asset = |key: &str| {
        format!(
            r#""{key}":{{"href":"https://c.example/P{number}.SAFE/{key}.jp2","more":"{}"}}"#,
            "x".repeat(1000)
        )
    };
    let properties = format!(r#""datetime":"2024-09-24T10:00:00Z","eo:cloud_cover":{}"#, number % 100);
    let part = target.contains("fields=") && quirk != "ignores";
    let keys = if part { vec!["a"] } else { vec!["a", "b", "c", "d"] };
    let mut assets: Vec<String> = keys.into_iter().map(asset).collect();
    if part && (quirk == "no assets" || quirk == "some without" && number == 7) {
        assets.clear();
    }
    let properties = if part && quirk == "no properties" { "" } else { &properties };
    let assets = assets.join(",");
    format!(
        r#"{{"id":"P{number}","collection":"c","bbox":[1,2,3,4],"properties":{{{properties}}},"assets":{{{assets}}}}}"#
    )
}

/// The second day is asked for in parts where the service announces that it can leave something out and does so
/// rightly; however it misuses that, the listing is the same.
#[tokio::test]
async fn parts_of_items_make_the_same_listing() {
    let announced = r#"{"conformsTo":["https://api.stacspec.org/v1.0.0/item-search","https://api.stacspec.org/v1.0.0/item-search#fields"]}"#;
    for (landing, quirk, by_fields, largest) in [
        (announced, "", 3, 600_000),
        ("{}", "", 0, 2_000_000),
        (announced, "ignores", 1, 2_000_000),
        (announced, "no assets", 1, 2_000_000),
        (announced, "no properties", 1, 2_000_000),
        (announced, "refuses", 1, 2_000_000),
        (announced, "some without", 2, 2_000_000),
    ] {
        let service = Service::answering(move |heard| {
            let target = heard.target.as_str();
            if !target.starts_with("/search") {
                return Reply::new(200, "", landing);
            }
            if quirk == "refuses" && target.contains("fields=") {
                return Reply::new(400, "", "{}");
            }
            let numbers = if target.contains("ids=") { 1..2 } else { 1..401 };
            let items: Vec<String> = numbers.map(|number| heavy(number, target, quirk)).collect();
            Reply::new(200, "", format!(r#"{{"features":[{}]}}"#, items.join(",")))
        });
        let service = service.await;
        let archive = service.archive(Shelf::default());
        let (scope, day) = (scope(&archive), Span::day(date(2024, 9, 24)));
        let (first, whole) = archive.search(&scope, day, None).await.unwrap();
        let (again, all) = archive.search(&scope, day, None).await.unwrap();
        assert!(whole && all && first.records.len() == 400, "{quirk}");
        assert_eq!(first.records, again.records, "{quirk}");
        archive.search(&scope, day, None).await.unwrap();
        let heard = service.server.heard();
        let asked = heard.iter().filter(|heard| heard.target.contains("fields=")).count();
        // One by identifier, to see whether it is right; then each listing.
        let more = usize::from(quirk == "refuses") * 4;
        assert!((by_fields..=by_fields + more).contains(&asked), "{quirk}: {asked}");
        let last = heard.iter().rfind(|heard| heard.target.starts_with("/search")).unwrap();
        let text: String = (1..401).map(|number| heavy(number, &last.target, quirk)).collect();
        assert!(text.len() < largest, "{quirk}: {}", text.len());
        // What is listed in parts is not taken for the item.
        let item = archive.item(&"c".into(), "P1").await.unwrap();
        assert_eq!(item.assets.len(), 4, "{quirk}");
    }
}

#[tokio::test]
async fn a_day_has_the_number_of_its_listing() {
    let service = Service::with("2024-09-24T10:00:00Z".parse().unwrap()).await;
    let date = date(2024, 9, 24);
    let day = DayDirectory { scope: scope(&service.archive(Shelf::default())), date };
    assert_eq!(day.edition(), None, "nobody knows yet what it shows");
    assert_eq!(day.list().await.unwrap().len(), 1);
    let first = day.edition();
    assert!(first.is_some());
    assert_eq!((day.list().await.unwrap().len(), day.edition()), (1, first));
    tokio::time::pause();
    tokio::time::advance(25 * HOUR).await;
    assert_eq!(day.edition(), None, "it may show something else now");
    tokio::time::resume();
    service.empty.store(true, Ordering::Relaxed);
    assert_eq!(day.list().await.unwrap().len(), 0);
    assert!(day.edition().is_some_and(|second| first != Some(second)));
}

#[tokio::test]
async fn the_day_after_is_brought_from_the_shelf_and_never_asked_for() {
    let service = Service::with("2024-09-24T10:00:00Z".parse().unwrap()).await;
    let home = TempDir::new().unwrap();
    let shelf = || Shelf::open(home.path(), Room { most: 1 << 30, min_free: 0 });
    let (listed, after) = (date(2024, 9, 23), date(2024, 9, 24));
    let archive = service.archive(shelf());
    for date in [listed, after] {
        scope(&archive).products(Span::day(date)).await.unwrap();
    }
    archive.settle(30 * SECOND).await;
    let searches = service.searches();

    let scope = scope(&service.archive(shelf()));
    let day = DayDirectory { scope: scope.clone(), date: listed };
    day.list().await.unwrap();
    let brought = async {
        while scope.in_memory(Span::day(after)).is_none() {
            tokio::task::yield_now().await;
        }
    };
    timeout(30 * SECOND, brought).await.unwrap();
    let next = DayDirectory { scope: scope.clone(), date: after };
    assert_eq!(next.list().await.unwrap().len(), 1);
    assert!(scope.in_memory(Span::day(date(2024, 9, 25))).is_none());
    assert_eq!(service.searches(), searches, "what nobody wants is not searched for");
}
