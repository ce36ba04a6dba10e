//! One page of a search, and its link to the next one in any of the forms that services use.

use serde_json::{Map, Value, json};

use super::item;
use super::query::{Asked, Query, Token};
use crate::behaviour::{ItemBehaviour, NextForm};
use crate::data::{Collection, Scene};
use crate::emulator::Shared;
use crate::request::{Request, encode};

/// The page that a query asks for.
pub(crate) fn find(shared: &Shared, request: &Request, query: &Query) -> Value {
    let (stac, items) = {
        let behaviour = shared.behaviour.read();
        (behaviour.stac.clone(), behaviour.items.clone())
    };
    let counted = stac.next == NextForm::Page;
    let mut token = query.token.unwrap_or(Token { page: 1, collection: 0, number: 0 });
    let mut skip = if counted { (query.page.max(1) - 1).saturating_mul(query.limit) } else { 0 };
    let page = if counted { query.page.max(1) } else { token.page };
    let over = stac.max_pages.is_some_and(|pages| page > pages);
    let empty = over || stac.next == NextForm::EmptyPages && page.is_multiple_of(2);

    let mut features = Vec::new();
    let mut next = None;
    if empty {
        next = Some(token).filter(|_| !over);
    } else {
        let collections = &shared.catalogue.collections;
        'search: while let Some(collection) = collections.get(token.collection) {
            if wanted(query, collection) {
                let window = numbers(query, collection);
                for number in window.start.max(token.number)..window.end {
                    let Some(scene) = collection.series.scene(number) else { continue };
                    if !matches(query, &items, &scene) {
                        continue;
                    }
                    if skip > 0 {
                        skip -= 1;
                        continue;
                    }
                    if features.len() as u64 == query.limit {
                        next = Some(Token { number, ..token });
                        break 'search;
                    }
                    features.push(item::item(shared, &items, collection, &scene));
                }
            }
            token = Token { collection: token.collection + 1, number: 0, ..token };
        }
    }
    if stac.next == NextForm::Endless && next.is_none() {
        next = Some(Token { number: u64::from(u32::MAX), ..token });
    }
    let last = stac.max_pages.is_some_and(|pages| page >= pages);
    let next = next.filter(|_| !last).map(|token| Token { page: page.saturating_add(1), ..token });

    let address = format!("{}{}", shared.url, request.path);
    let mut links = vec![
        json!({ "rel": "self", "type": "application/geo+json", "href": format!("{}{}", shared.url, request.target()) }),
        json!({ "rel": "root", "type": "application/json", "href": format!("{}/stac/api", shared.url) }),
    ];
    links.extend(next.map(|token| link(stac.next, &address, &query.asked, token)));
    json!({
        "type": "FeatureCollection",
        "numberReturned": features.len(),
        "features": features,
        "links": links,
    })
}

fn wanted(query: &Query, collection: &Collection) -> bool {
    query.collections.is_empty() || query.collections.iter().any(|id| id == collection.mission.collection())
}

/// The numbers of the products that may match: those asked for by identifier, or those of the time.
fn numbers(query: &Query, collection: &Collection) -> std::ops::Range<u64> {
    if query.ids.is_empty() {
        return collection.series.window(query.from, query.to);
    }
    let found = query.ids.iter().filter_map(|id| collection.find(id)).map(|scene| scene.number);
    let (low, high) =
        found.fold((u64::MAX, 0), |(low, high), number| (low.min(number), high.max(number + 1)));
    low.min(high)..high
}

fn matches(query: &Query, items: &ItemBehaviour, scene: &Scene) -> bool {
    let suffix = scene.mission.suffix();
    let named = || query.ids.iter().any(|id| id.trim_end_matches(suffix) == scene.id);
    scene.start <= query.to
        && scene.end >= query.from
        && query.bbox.is_none_or(|bbox| overlaps(bbox, scene.bbox))
        && (query.ids.is_empty() || named())
        && items.gone.as_ref().is_none_or(|gone| !scene.id.contains(gone.as_str()))
        && query.filter.as_ref().is_none_or(|filter| filter.accepts(&item::properties(items, scene)))
}

/// Whether two boxes touch. The first may cross the antimeridian, its west being greater than its east.
fn overlaps(a: [f64; 4], b: [f64; 4]) -> bool {
    let beside = if a[0] <= a[2] { a[0] > b[2] || b[0] > a[2] } else { b[0] > a[2] && b[2] < a[0] };
    !beside && a[1] <= b[3] && b[1] <= a[3]
}

fn link(form: NextForm, address: &str, asked: &Asked, token: Token) -> Value {
    let text = match form {
        NextForm::Endless => format!("{}{}", token.text(), "_".repeat(token.page as usize)),
        _ => token.text(),
    };
    let (name, value) = match form {
        NextForm::Page => ("page", Value::from(token.page)),
        NextForm::Loop => ("token", Value::from(Token { page: 1, collection: 0, number: 0 }.text())),
        _ => ("token", Value::from(text)),
    };
    let repeated = match asked {
        Asked::Query(fields) => fields.clone(),
        Asked::Body(_) => Vec::new(),
    };
    let get = |base: &str| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let fields = repeated.iter().filter(|(key, _)| key != "token" && key != "page");
        let mut parts =
            fields.map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect::<Vec<_>>();
        parts.push(format!("{name}={}", encode(&value)));
        json!({ "rel": "next", "type": "application/geo+json", "href": format!("{base}?{}", parts.join("&")) })
    };
    let post = |merge: bool, body: Value| {
        // Only the search address takes POST, whatever the address of the first page was.
        json!({ "rel": "next", "type": "application/geo+json", "method": "POST", "merge": merge,
                "href": address, "body": body })
    };
    match (form, asked) {
        (NextForm::PostMerge, _) => post(true, json!({ name: value })),
        (NextForm::PostWhole, _) | (_, Asked::Body(_)) => {
            let mut body = match asked {
                Asked::Body(Value::Object(body)) => body.clone(),
                Asked::Body(_) => Map::new(),
                Asked::Query(fields) => body_of(fields),
            };
            body.insert(name.to_owned(), value);
            post(false, body.into())
        }
        (NextForm::Relative, _) => get(""),
        _ => get(address),
    }
}

/// The body that asks the same as a query.
fn body_of(fields: &[(String, String)]) -> Map<String, Value> {
    let convert = |(key, text): &(String, String)| {
        let value = match key.as_str() {
            "bbox" => text.split(',').filter_map(|number| number.parse::<f64>().ok()).collect(),
            "collections" | "ids" => text.split(',').collect(),
            "limit" => text.parse::<u64>().map_or(Value::Null, Value::from),
            _ => Value::from(text.as_str()),
        };
        (key.clone(), value)
    };
    fields.iter().filter(|(key, _)| key != "token" && key != "page").map(convert).collect()
}
