//! Walks against services of many kinds, each a few lines.

use std::sync::Mutex;

use futures_util::FutureExt;
use serde_json::{Value, json};

use super::super::next::Method;
use super::*;

/// A service: what it answers, and what it was asked.
struct Service<F> {
    answer: F,
    asked: Mutex<Vec<PageRequest>>,
}

fn items(range: std::ops::Range<usize>) -> Vec<Value> {
    range
        .map(|n| json!({"id": format!("item-{n}"), "collection": "c", "properties": {"eo:cloud_cover": n}}))
        .collect()
}

fn search() -> Query {
    Query { collections: vec!["c".into()], ..Query::default() }
}

fn run(
    query: &Query,
    answer: impl Fn(&PageRequest, usize) -> Result<Value> + Send + Sync,
) -> (Result<WalkEnd>, Vec<String>, Vec<PageRequest>) {
    let service = Service { answer, asked: Mutex::new(Vec::new()) };
    let endpoints = Endpoints::at(&"https://c.example/api".parse().unwrap()).unwrap();
    let mut ids = Vec::new();
    let fetch = |request: PageRequest| {
        let mut asked = service.asked.lock().unwrap();
        let answer = (service.answer)(&request, asked.len());
        asked.push(request);
        async move { answer.map(|page| Bytes::from(page.to_string())) }.boxed()
    };
    let mut sink = |item: Item| ids.push(item.id().to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let end = runtime.block_on(walk(&endpoints, query, &Way::ALL, &fetch, &mut sink));
    let asked = service.asked.into_inner().unwrap();
    (end, ids, asked)
}

/// Pages of ten by `?page=`.
fn paged(total: usize) -> impl Fn(&PageRequest, usize) -> Result<Value> {
    move |_, page| {
        let last = (page * 10 + 10).min(total);
        let links = if last < total {
            json!([{"rel": "next", "href": format!("?page={}", page + 1)}])
        } else {
            json!([])
        };
        Ok(json!({"features": items(page * 10..last), "links": links}))
    }
}

#[test]
fn all_pages() {
    let (end, ids, asked) = run(&search(), paged(35));
    let end = end.unwrap();
    assert_eq!((end.pages, end.items, ids.len(), asked.len()), (4, 35, 35, 4));
    assert!(end.complete && end.way == Way::Get);
    assert!(asked.iter().all(|request| request.method == Method::Get));
}

#[test]
fn results_are_checked_here() {
    let query = Query { clouds: vec![(super::super::Comparison::Less, 5.0)], ..search() };
    let (end, ids, asked) = run(&query, paged(20));
    assert_eq!((ids.len(), end.unwrap().unasked), (5, 15));
    assert!(asked[0].url.as_str().ends_with("filter=eo:cloud_cover%3C5"));
    let other = Query { collections: vec!["d".into()], ..Query::default() };
    assert_eq!(run(&other, paged(20)).1.len(), 0);
}

#[test]
fn a_service_that_ignores_ids_is_left_when_all_are_found() {
    let query = Query { ids: vec!["item-13".into(), "item-13.SAFE".into()], ..search() };
    let (end, ids, asked) = run(&query, paged(10_000));
    let end = end.unwrap();
    assert_eq!((ids, asked.len(), end.complete), (vec!["item-13".into()], 2, true));
}

#[test]
fn other_ways_are_tried_after_a_refusal() {
    let refuse = |kind| move || fail::<Value>(kind, "method not allowed");
    let not_found = refuse(ErrorKind::NotFound);
    let (end, ids, asked) = run(&search(), |request, _| match request.method {
        Method::Get => not_found(),
        Method::Post => Ok(json!({"features": items(0..3)})),
    });
    assert_eq!((end.unwrap().way, ids.len(), asked.len()), (Way::Post, 3, 2));
    let (end, ids, _) = run(&search(), |request, _| {
        if request.url.path().ends_with("/items") {
            Ok(json!({"features": items(0..3)}))
        } else {
            not_found()
        }
    });
    assert_eq!((end.unwrap().way, ids.len()), (Way::Items, 3));
    let filtered = Query { clouds: vec![(super::super::Comparison::Less, 2.0)], ..search() };
    let protocol = refuse(ErrorKind::Protocol);
    let (end, ids, asked) = run(&filtered, |request, _| {
        if request.url.as_str().contains("filter") {
            protocol()
        } else {
            Ok(json!({"features": items(0..3)}))
        }
    });
    assert_eq!((end.unwrap().way, ids.len(), asked.len()), (Way::GetUnfiltered, 2, 2));
    // HTML for JSON is a refusal, too.
    let (end, ids, _) = run(&search(), |request, _| match request.method {
        Method::Get => Ok(json!("<html>")),
        Method::Post => Ok(json!({"features": items(0..3)})),
    });
    assert_eq!((end.unwrap().way, ids.len()), (Way::Post, 3));
}

#[test]
fn errors() {
    let (end, _, asked) = run(&search(), |_, _| fail(ErrorKind::Unavailable, "503"));
    assert_eq!((end.unwrap_err().kind(), asked.len()), (ErrorKind::Unavailable, 1));
    let (end, _, asked) = run(&search(), |_, n| fail(ErrorKind::NotFound, format!("answer {n}")));
    assert_eq!((end.unwrap_err().message(), asked.len()), ("answer 0", 3));
    // After the first page there is no other way.
    let (end, ids, asked) = run(&search(), |request, n| match n {
        0 => paged(50)(request, 0),
        _ => fail(ErrorKind::NotFound, "gone"),
    });
    assert_eq!((end.unwrap_err().kind(), ids.len(), asked.len()), (ErrorKind::NotFound, 10, 2));
}

#[test]
fn post_pages_merge() {
    let (end, ids, asked) = run(&search(), |request, n| match (request.method, n) {
        (Method::Get, _) => fail(ErrorKind::Protocol, "405"),
        (Method::Post, 1) => Ok(json!({"features": items(0..3), "links": [
            {"rel": "next", "href": "https://c.example/api/search", "method": "POST", "body": {"token": "t"}, "merge": true}]})),
        _ => Ok(json!({"features": items(3..5)})),
    });
    assert_eq!((end.unwrap().items, ids.len()), (5, 5));
    let body: Value = serde_json::from_slice(asked[2].body.as_ref().unwrap()).unwrap();
    assert_eq!(body, json!({"collections": ["c"], "token": "t"}));
}

#[test]
fn loops_end() {
    let next = |href: String| json!([{"rel": "next", "href": href}]);
    // To itself.
    let (end, ids, asked) =
        run(&search(), |_, _| Ok(json!({"features": items(0..3), "links": next("?same".into())})));
    let end = end.unwrap();
    assert_eq!((ids.len(), asked.len(), end.complete), (3, 2, false));
    assert!(end.reason.unwrap().contains("leads back"));
    // A new token, and the same items again.
    let (end, ids, asked) =
        run(&search(), |_, n| Ok(json!({"features": items(0..3), "links": next(format!("?{n}"))})));
    let end = end.unwrap();
    assert_eq!((ids.len(), asked.len(), end.complete), (3, 4, false));
    assert!(end.reason.unwrap().contains("nothing new"));
    // Empty pages for ever, but the service said how many there are: that is all of them.
    let (end, ids, _) = run(&search(), |_, n| {
        let features = if n == 0 { items(0..3) } else { vec![] };
        Ok(json!({"features": features, "numberMatched": 3, "links": next(format!("?{n}"))}))
    });
    assert_eq!((ids.len(), end.unwrap().complete), (3, true));
    // New items for ever.
    let (end, ids, asked) =
        run(&search(), |_, n| Ok(json!({"features": items(n..n + 1), "links": next(format!("?{n}"))})));
    let end = end.unwrap();
    assert_eq!((ids.len(), asked.len(), end.complete), (1000, 1000, false));
    // To another host, or by another method.
    for link in [
        json!({"rel": "next", "href": "https://evil.example/"}),
        json!({"rel": "next", "href": "?x", "method": "DELETE"}),
    ] {
        let (end, ids, asked) = run(&search(), |_, _| Ok(json!({"features": items(0..3), "links": [link]})));
        let end = end.unwrap();
        assert_eq!((ids.len(), asked.len(), end.complete), (3, 1, false));
        assert!(end.reason.is_some());
    }
}

#[test]
fn broken_items_are_counted() {
    let (end, ids, _) =
        run(&search(), |_, _| Ok(json!({"features": [{"id": "a"}, {"id": 1}, {"id": "b"}, {"id": "a"}]})));
    let end = end.unwrap();
    assert_eq!((ids.len(), end.skipped, end.problem.as_deref()), (2, 1, Some("item has no usable id")));
}

#[test]
fn a_walk_can_be_a_task() {
    fn can_move<T: Send>(task: T) -> T {
        task
    }
    let endpoints = Endpoints::at(&"https://c.example/api".parse().unwrap()).unwrap();
    let query = search();
    let fetch = |_| async { fail::<Bytes>(ErrorKind::Unavailable, "503") }.boxed();
    let mut sink = |_: Item| ();
    let end = can_move(walk(&endpoints, &query, &[Way::Items], &fetch, &mut sink)).now_or_never();
    assert_eq!(end.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn the_next_page_is_asked_for_before_this_one_is_read() {
    let endpoints = Endpoints::at(&"https://c.example/api".parse().unwrap()).unwrap();
    let asked = Mutex::new(0);
    let page = paged(30);
    let fetch = |request: PageRequest| {
        let mut asked = asked.lock().unwrap();
        let answer = page(&request, *asked);
        *asked += 1;
        async move { answer.map(|page| Bytes::from(page.to_string())) }.boxed()
    };
    let mut seen = Vec::new();
    let mut sink = |_: Item| seen.push(*asked.lock().unwrap());
    walk(&endpoints, &search(), &[Way::Get], &fetch, &mut sink).await.unwrap();
    assert_eq!((seen[0], seen[10], seen[20]), (2, 3, 3));
    // By identifier, the first page may well be enough.
    *asked.lock().unwrap() = 0;
    let query = Query { ids: vec!["item-3".into()], ..search() };
    let mut sink = |_: Item| {};
    walk(&endpoints, &query, &[Way::Get], &fetch, &mut sink).await.unwrap();
    assert_eq!(*asked.lock().unwrap(), 1);
}
