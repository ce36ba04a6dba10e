//! The emulator's own addresses, for scripts that cannot call the library.
//!
//! `GET /_emulator/journal` · `DELETE /_emulator/journal` · `POST /_emulator/faults` (one rule a line) ·
//! `DELETE /_emulator/faults` · `GET`/`POST /_emulator/behaviour` (JSON, the fields to change) ·
//! `GET /_emulator/object?path=…` (the true bytes, without any credential) ·
//! `GET`/`POST /_emulator/network` (JSON, the whole of it; for connections made afterwards) ·
//! `POST /_emulator/touch?path=…&longer=N` · `POST /_emulator/token` (an access token) ·
//! `POST /_emulator/revoke`.

use serde_json::{Value, json};

use crate::accounts;
use crate::behaviour::Behaviour;
use crate::emulator::Shared;
use crate::rate::Network;
use crate::reply::{ObjectRules, Reply};
use crate::request::{Request, field};

/// Answers a request to the emulator itself.
pub(crate) fn answer(shared: &Shared, request: &Request) -> Reply {
    let parameters = request.parameters();
    let path = field(&parameters, "path");
    match (request.method.as_str(), request.path.trim_start_matches("/_emulator")) {
        ("GET", "/journal") => match serde_json::to_value(shared.journal.snapshot()) {
            Ok(value) => Reply::json(200, &value),
            Err(error) => Reply::error(500, &error.to_string()),
        },
        ("DELETE", "/journal") => {
            shared.journal.reset();
            done()
        }
        ("POST", "/faults") => add_faults(shared, &String::from_utf8_lossy(&request.body)),
        ("DELETE", "/faults") => {
            shared.faults.clear();
            done()
        }
        ("GET", "/behaviour") => behaviour(&shared.behaviour.read()),
        ("POST", "/behaviour") => change_behaviour(shared, &request.body),
        ("GET", "/network") => network(&shared.relay.read().network()),
        ("POST", "/network") => match serde_json::from_slice(&request.body) {
            Ok(changed) => {
                shared.set_network(changed);
                network(&changed)
            }
            Err(error) => Reply::error(400, &error.to_string()),
        },
        ("GET", "/object") => match path.and_then(|path| shared.object(path)) {
            Some(content) => {
                let rules =
                    ObjectRules { range: true, content_length: true, etag: true, last_modified: false };
                let mut reply = Reply::object(request, "", content, "application/octet-stream", &rules);
                reply.transfer = false;
                reply
            }
            None => Reply::error(404, "no such object"),
        },
        ("POST", "/touch") => {
            let Some(path) = path else { return Reply::error(400, "path is missing") };
            let longer = field(&parameters, "longer").and_then(|text| text.parse().ok()).unwrap_or(0);
            shared.bump(&shared.key_of(path), longer);
            done()
        }
        ("POST", "/token") => {
            let lifetime = shared.behaviour.read().login.access_lifetime;
            let token = shared.identity.issue_access(accounts::USER, accounts::CACHE_A_CLIENT, lifetime);
            Reply::json(200, &json!({ "access_token": token, "offline_token": accounts::OFFLINE_TOKEN }))
        }
        ("POST", "/revoke") => {
            shared.identity.revoke();
            done()
        }
        _ => Reply::error(404, "no such control address"),
    }
}

fn done() -> Reply {
    Reply::json(200, &json!({ "done": true }))
}

fn add_faults(shared: &Shared, text: &str) -> Reply {
    // All or nothing: a script with a typing mistake must not run with half of its faults.
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines.clone() {
        if let Err(error) = line.parse::<crate::fault::Rule>() {
            return Reply::error(400, &format!("{line}: {error}"));
        }
    }
    let ids = lines.filter_map(|line| shared.faults.add(line).ok()).map(|id| id.to_string());
    Reply::json(200, &json!({ "rules": ids.collect::<Vec<String>>() }))
}

fn network(network: &Network) -> Reply {
    match serde_json::to_value(network) {
        Ok(value) => Reply::json(200, &value),
        Err(error) => Reply::error(500, &error.to_string()),
    }
}

fn behaviour(behaviour: &Behaviour) -> Reply {
    match serde_json::to_value(behaviour) {
        Ok(value) => Reply::json(200, &value),
        Err(error) => Reply::error(500, &error.to_string()),
    }
}

fn change_behaviour(shared: &Shared, body: &[u8]) -> Reply {
    let mut present = shared.behaviour.write();
    let changed = serde_json::from_slice::<Value>(body).and_then(|change| {
        let mut value = serde_json::to_value(&*present)?;
        merge(&mut value, change);
        serde_json::from_value::<Behaviour>(value)
    });
    match changed {
        Ok(changed) => {
            *present = changed;
            behaviour(&present)
        }
        Err(error) => Reply::error(400, &error.to_string()),
    }
}

fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, change) => *into = change,
    }
}
