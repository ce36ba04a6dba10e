//! The search API of Cache-A: root, collections, items, search.

mod filter;
mod item;
mod page;
mod query;

use hyper::header;
use serde_json::{Value, json};

use crate::data::{Collection, iso};
use crate::emulator::Shared;
use crate::journal::Endpoint;
use crate::reply::Reply;
use crate::request::{Request, decode};

/// Answers a request to the search API.
pub(crate) fn answer(shared: &Shared, request: &Request, endpoint: Endpoint) -> Reply {
    let parts = request.path.trim_start_matches("/stac/api").split('/').filter(|part| !part.is_empty());
    let parts = parts.map(decode).collect::<Vec<String>>();
    let posts = endpoint == Endpoint::Search && parts.len() == 1;
    match request.method.as_str() {
        "GET" | "HEAD" => {}
        "POST" if posts && shared.behaviour.read().stac.post => {}
        _ => return Reply::method_not_allowed("GET"),
    }
    match endpoint {
        Endpoint::Catalogue if parts.is_empty() => Reply::json(200, &root(shared)),
        Endpoint::Catalogue => Reply::json(200, &json!({ "conformsTo": CONFORMANCE })),
        Endpoint::Collections => match parts.get(1) {
            None => Reply::json(200, &collections(shared)),
            Some(id) => match shared.catalogue.collection(id) {
                Some(collection) => Reply::json(200, &describe(shared, collection)),
                None => Reply::error(404, "no such collection"),
            },
        },
        Endpoint::Item => one_item(shared, &parts),
        _ => {
            let within = (parts.len() > 1).then(|| parts[1].clone());
            if within.as_ref().is_some_and(|id| shared.catalogue.collection(id).is_none()) {
                return Reply::error(404, "no such collection");
            }
            match query::Query::read(shared, request, within) {
                Ok(query) => geojson(&page::find(shared, request, &query)),
                Err(reason) => Reply::error(400, &reason),
            }
        }
    }
}

fn geojson(value: &Value) -> Reply {
    Reply::json(200, value).with(header::CONTENT_TYPE, "application/geo+json")
}

fn one_item(shared: &Shared, parts: &[String]) -> Reply {
    let (Some(collection), Some(id)) = (parts.get(1), parts.get(3)) else {
        return Reply::error(404, "no such item");
    };
    let behaviour = shared.behaviour.read().items.clone();
    let gone = behaviour.gone.as_ref().is_some_and(|gone| id.contains(gone.as_str()));
    let found = shared.catalogue.collection(collection).filter(|_| !gone);
    match found.and_then(|collection| Some((collection, collection.find(id)?))) {
        Some((collection, scene)) => geojson(&item::item(shared, &behaviour, collection, &scene)),
        None => Reply::error(404, "no such item"),
    }
}

const CONFORMANCE: [&str; 9] = [
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/item-search",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "https://api.stacspec.org/v1.0.0/item-search#filter",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-text",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-cql2",
];

fn link(rel: &str, media: &str, href: String) -> Value {
    json!({ "rel": rel, "type": media, "href": href })
}

fn root(shared: &Shared) -> Value {
    let api = format!("{}/stac/api", shared.url);
    let mut links = vec![
        link("self", "application/json", api.clone()),
        link("root", "application/json", api.clone()),
        link("conformance", "application/json", format!("{api}/conformance")),
        link("data", "application/json", format!("{api}/collections")),
        json!({ "rel": "search", "type": "application/geo+json", "href": format!("{api}/search"), "method": "GET" }),
    ];
    if shared.behaviour.read().stac.post {
        links.push(
            json!({ "rel": "search", "type": "application/geo+json", "href": format!("{api}/search"), "method": "POST" }),
        );
    }
    for collection in &shared.catalogue.collections {
        let id = collection.mission.collection();
        links.push(link("child", "application/json", format!("{api}/collections/{id}")));
    }
    json!({
        "type": "Catalog",
        "stac_version": "1.0.0",
        "id": "dcms-cache-a",
        "title": "Stand-in of the DestinE Data Cache",
        "description": "Products of the Copernicus Sentinels. This is a stand-in for tests and demonstrations.",
        "conformsTo": CONFORMANCE,
        "links": links,
    })
}

fn collections(shared: &Shared) -> Value {
    let api = format!("{}/stac/api", shared.url);
    let list = shared.catalogue.collections.iter().map(|collection| describe(shared, collection));
    json!({
        "collections": list.collect::<Vec<Value>>(),
        "links": [
            link("self", "application/json", format!("{api}/collections")),
            link("root", "application/json", api.clone()),
        ],
    })
}

fn describe(shared: &Shared, collection: &Collection) -> Value {
    let api = format!("{}/stac/api", shared.url);
    let id = collection.mission.collection();
    let mut value = json!({
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": id,
        "title": collection.mission.title(),
        "description": format!("{}.", collection.mission.title()),
        "license": "proprietary",
        "keywords": ["Copernicus", "Sentinel"],
        "links": [
            link("self", "application/json", format!("{api}/collections/{id}")),
            link("root", "application/json", api.clone()),
            link("items", "application/geo+json", format!("{api}/collections/{id}/items")),
        ],
    });
    if !shared.behaviour.read().stac.no_extent {
        let first = collection.series.extent().map(|(first, _)| iso(first));
        value["extent"] = json!({
            "spatial": { "bbox": [[-180.0, -90.0, 180.0, 90.0]] },
            // The archive is rolling and fed every day: no end.
            "temporal": { "interval": [[first, null]] },
        });
    }
    value
}
