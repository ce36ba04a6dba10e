//! The way of a request: journal, faults, latency, the service it is for, and out.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Response, header};

use crate::emulator::Shared;
use crate::fault::{Effect, apply};
use crate::journal::{Endpoint, Entry, Host};
use crate::reply::{Payload, Reply};
use crate::request::Request;
use crate::wire::Connection;
use crate::{cache_b, control, download, identity, stac};

/// Answers one request.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    request: hyper::Request<Incoming>,
) -> Result<Response<Payload>, Infallible> {
    let mut request = Request::read(connection.host, request).await;
    let endpoint = endpoint(&request);
    let line = shared.journal.open(entry(&shared, &connection, &request, endpoint));
    let (effects, rules) = shared.faults.strike(&request);
    if let Some(rules) = rules {
        line.fault(&rules);
    }
    let delay =
        effects.iter().map(|effect| if let Effect::Delay { time } = effect { *time } else { Duration::ZERO });
    if endpoint != Endpoint::Control {
        connection.road.request(delay.sum()).await;
    }
    let mut reply = match apply::before(&effects, &mut request, &shared, &connection) {
        Some(reply) => reply,
        None if request.body_too_large => Reply::error(413, "body too large"),
        None => route(&shared, &request, endpoint).await,
    };
    let plan = apply::after(&effects, &mut reply);
    Ok(reply.send(connection, line, plan))
}

async fn route(shared: &Arc<Shared>, request: &Request, endpoint: Endpoint) -> Reply {
    match endpoint {
        Endpoint::Catalogue | Endpoint::Collections | Endpoint::Item | Endpoint::Search => {
            let mut reply = stac::answer(shared, request, endpoint);
            let accepts = request.header(header::ACCEPT_ENCODING).is_some_and(|list| list.contains("gzip"));
            if accepts && shared.behaviour.read().stac.gzip {
                apply::gzip(&mut reply);
            }
            reply
        }
        Endpoint::Download => download::answer(shared, request).await,
        Endpoint::SignedDownload => download::answer_signed(shared, request).await,
        Endpoint::ZarrDirectory | Endpoint::ZarrMetadata | Endpoint::ZarrChunk => {
            cache_b::answer(shared, request).await
        }
        Endpoint::LoginPage
        | Endpoint::LoginForm
        | Endpoint::Token
        | Endpoint::Discovery
        | Endpoint::Revocation => identity::answer(shared, request, endpoint),
        Endpoint::Control => control::answer(shared, request),
        Endpoint::Unknown => Reply::error(404, "not found"),
    }
}

fn endpoint(request: &Request) -> Endpoint {
    let path = request.path.as_str();
    if request.host == Host::Foreign {
        return if path == download::SIGNED_PATH { Endpoint::SignedDownload } else { Endpoint::Unknown };
    }
    if let Some(rest) = path.strip_prefix("/stac/api") {
        let parts = rest.split('/').filter(|part| !part.is_empty()).collect::<Vec<&str>>();
        return match parts.as_slice() {
            [] | ["conformance"] => Endpoint::Catalogue,
            ["collections"] | ["collections", _] => Endpoint::Collections,
            ["search"] | ["collections", _, "items"] => Endpoint::Search,
            ["collections", _, "items", _] => Endpoint::Item,
            _ => Endpoint::Unknown,
        };
    }
    if path == download::PATH
        || path.starts_with(download::OBJECTS_PATH)
        || path.starts_with(download::PLAIN_PATH)
    {
        return Endpoint::Download;
    }
    if path.starts_with(cache_b::PATH) {
        let name = path.rsplit('/').next().unwrap_or("");
        return match name {
            "" => Endpoint::ZarrDirectory,
            "zarr.json" => Endpoint::ZarrMetadata,
            name if name.starts_with(".z") => Endpoint::ZarrMetadata,
            _ => Endpoint::ZarrChunk,
        };
    }
    match path.strip_prefix("/realms/desp/") {
        Some("protocol/openid-connect/auth") => return Endpoint::LoginPage,
        Some("protocol/openid-connect/token") => return Endpoint::Token,
        Some("protocol/openid-connect/revoke") => return Endpoint::Revocation,
        Some("login-actions/authenticate") => return Endpoint::LoginForm,
        Some(".well-known/openid-configuration") => return Endpoint::Discovery,
        _ => {}
    }
    if path.starts_with("/_emulator") { Endpoint::Control } else { Endpoint::Unknown }
}

fn entry(shared: &Shared, connection: &Connection, request: &Request, endpoint: Endpoint) -> Entry {
    let (authorization, cookie) = (request.authorization(), request.headers.contains_key(header::COOKIE));
    let leak = request.host == Host::Foreign
        && (authorization.is_some() || cookie || shared.identity.appears_in(request));
    Entry {
        number: 0,
        host: request.host,
        connection: connection.number,
        endpoint,
        method: request.method.clone(),
        path: request.path.clone(),
        query: request.query.clone(),
        range: request.header(header::RANGE).map(str::to_owned),
        authorization,
        cookie,
        leak,
        status: None,
        bytes: 0,
        complete: false,
        fault: None,
        started: Duration::ZERO,
        ended: None,
    }
}
