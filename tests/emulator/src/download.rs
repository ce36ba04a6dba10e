//! The download address of Cache-A: who may, how many at once, and which file a path means.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hyper::header;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::behaviour::Excess;
use crate::content::{Content, hash};
use crate::data::Catalogue;
use crate::emulator::Shared;
use crate::journal::Event;
use crate::reply::{ObjectRules, Reply};
use crate::request::{Request, decode, encode, field};

/// The address that takes `?filename=`.
pub(crate) const PATH: &str = "/stac/download";
/// Addresses of files that are not named by a path.
pub(crate) const OBJECTS_PATH: &str = "/stac/objects/";
/// Addresses of the same files as plain paths, with index pages of their folders: for programs that take no query.
pub(crate) const PLAIN_PATH: &str = "/plain/";
/// The address of signed downloads on the foreign host.
pub(crate) const SIGNED_PATH: &str = "/dcms-bucket/object";

/// Answers a download.
pub(crate) async fn answer(shared: &Arc<Shared>, request: &Request) -> Reply {
    let behaviour = shared.behaviour.read().clone();
    let plain = request.path.starts_with(PLAIN_PATH);
    match request.method.as_str() {
        "POST" if !plain => {}
        "GET" if behaviour.download.get => {}
        "HEAD" if behaviour.download.head => {}
        _ => return Reply::method_not_allowed("POST"),
    }
    let Some(token) = request.bearer() else { return unauthorized("no bearer token") };
    let Some(user) = shared.identity.user_of_access(token) else { return unauthorized("token is not valid") };
    let Some(asked) = asked_path(request) else { return Reply::error(400, "filename is missing") };
    let Some((key, content, media)) = find(&shared.catalogue, &asked) else {
        let index = if plain { index(&shared.catalogue, &asked) } else { None };
        return index.unwrap_or_else(|| Reply::error(404, "no such file"));
    };
    if behaviour.items.gone.as_ref().is_some_and(|gone| key.contains(gone.as_str())) {
        return Reply::error(404, "no such file");
    }
    if let Some(code) = behaviour.download.redirect {
        let location = signed_address(shared, &key, &user, behaviour.download.redirect_lifetime);
        return Reply::new(code, "text/plain", "").with(header::LOCATION, &location);
    }
    let mut reply = serve(shared, request, &user, &key, content, media).await;
    if behaviour.login.check_during_transfer {
        let (shared, token) = (Arc::clone(shared), token.to_owned());
        reply.still_allowed = Some(Box::new(move || shared.identity.user_of_access(&token).is_some()));
    }
    reply
}

/// Answers a download by a signed address, which needs no credential.
pub(crate) async fn answer_signed(shared: &Arc<Shared>, request: &Request) -> Reply {
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Reply::new(405, "application/xml", "<Error><Code>MethodNotAllowed</Code></Error>");
    }
    let parameters = request.parameters();
    let value = |name| field(&parameters, name).unwrap_or("");
    let (key, user, expires) = (value("key"), value("X-Amz-Credential"), value("X-Amz-Expires"));
    if value("X-Amz-Signature") != signature(key, user, expires) {
        return Reply::new(403, "application/xml", "<Error><Code>SignatureDoesNotMatch</Code></Error>");
    }
    let expires = Duration::from_millis(expires.parse().unwrap_or(0));
    if shared.journal.now() > expires {
        return Reply::new(403, "application/xml", "<Error><Code>AccessDenied</Code></Error>");
    }
    match find(&shared.catalogue, key) {
        Some((key, content, media)) => serve(shared, request, user, &key, content, media).await,
        None => Reply::new(404, "application/xml", "<Error><Code>NoSuchKey</Code></Error>"),
    }
}

async fn serve(
    shared: &Arc<Shared>,
    request: &Request,
    user: &str,
    key: &str,
    content: Content,
    media: &str,
) -> Reply {
    let behaviour = shared.behaviour.read().download.clone();
    let content = shared.present(key, content);
    let rules = ObjectRules {
        range: behaviour.range,
        content_length: behaviour.content_length,
        etag: behaviour.etag,
        last_modified: behaviour.last_modified,
    };
    let mut reply = Reply::object(request, key, content, media, &rules);
    if !reply.transfer {
        return reply;
    }
    reply.slot = match (shared.gate.try_enter(user, behaviour.parallel), behaviour.excess) {
        (Some(slot), _) => Some(slot),
        (None, Excess::Wait) => Some(shared.gate.enter(user, behaviour.parallel).await),
        (None, Excess::Status(code)) => {
            shared.journal.count(Event::Refused);
            let body = format!("{{\"error\":\"WAF\",\"message\":\"Rate limit exceeded\",\"status\":{code}}}");
            let refusal = Reply::new(code, "application/json", body);
            return match &behaviour.retry_after {
                Some(value) => refusal.with(header::RETRY_AFTER, value),
                None => refusal,
            };
        }
    };
    reply
}

fn unauthorized(reason: &str) -> Reply {
    Reply::error(401, reason).with(header::WWW_AUTHENTICATE, "Bearer realm=\"desp\"")
}

/// An address on the foreign host that gives a file without any credential, for some seconds.
pub(crate) fn signed_address(shared: &Shared, key: &str, user: &str, lifetime: u64) -> String {
    let expires = (shared.journal.now() + Duration::from_secs(lifetime)).as_millis().to_string();
    format!(
        "{}{SIGNED_PATH}?key={}&X-Amz-Credential={}&X-Amz-Expires={expires}&X-Amz-Signature={}",
        shared.foreign_url,
        encode(key),
        encode(user),
        signature(key, user, &expires)
    )
}

fn signature(key: &str, user: &str, expires: &str) -> String {
    format!("{:016x}", hash(&format!("{key}\n{user}\n{expires}")))
}

/// The path that a download request asks for, decoded; `None` if it is not a download request.
///
/// The filename is the last parameter: everything to the end of the query belongs to it.
pub(crate) fn asked_path(request: &Request) -> Option<String> {
    if request.path.starts_with(OBJECTS_PATH) {
        return Some(request.path.clone());
    }
    if let Some(path) = request.path.strip_prefix(PLAIN_PATH) {
        return Some(decode(path));
    }
    let query = request.query.as_deref().filter(|_| request.path == PATH)?;
    let at = query.find("filename=")?;
    Some(decode(&query[at + "filename=".len()..]))
}

/// The file that a path in any of the known forms means: its canonical path, content and media type.
pub(crate) fn find(catalogue: &Catalogue, path: &str) -> Option<(String, Content, &'static str)> {
    let path = path.split_once("filename=").map_or(path, |(_, path)| path);
    if let Some(rest) = path.strip_prefix(OBJECTS_PATH).or_else(|| path.strip_prefix("objects/")) {
        return catalogue.file_by_number(rest);
    }
    let path = decode(path);
    let path = path.trim_start_matches('/');
    catalogue.file(path.strip_prefix("eodata/").unwrap_or(path))
}

/// A page that names what is in a folder of a product, or of a day of listed products.
fn index(catalogue: &Catalogue, path: &str) -> Option<Reply> {
    let folder = path.strip_suffix('/')?;
    let mut parts = folder.split('/');
    let (collection, product) = (parts.next()?, parts.nth(3));
    let files = match product {
        Some(product) => catalogue.paths(collection, product),
        None => catalogue.listed_paths(collection),
    };
    let below = |(file, _): &(String, u64)| {
        let rest = file.strip_prefix(path)?;
        Some(rest.find('/').map_or(rest, |end| &rest[..=end]).to_owned())
    };
    let names = files.iter().filter_map(below).collect::<BTreeSet<String>>();
    let links = names.iter().map(|name| format!("<a href=\"{name}\">{name}</a>\n")).collect::<String>();
    (!links.is_empty()).then(|| Reply::new(200, "text/html", format!("<!DOCTYPE html>\n{links}")))
}

/// The canonical path of the file that a path means.
pub(crate) fn canonical(catalogue: &Catalogue, path: &str) -> Option<String> {
    find(catalogue, path).map(|(key, _, _)| key)
}

/// Counts the downloads of each user.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    running: Mutex<HashMap<String, usize>>,
    left: Notify,
}

/// The right to one running download, given back on drop.
#[derive(Debug)]
pub(crate) struct Slot {
    gate: Arc<Gate>,
    user: String,
}

impl Gate {
    fn try_enter(self: &Arc<Self>, user: &str, limit: usize) -> Option<Slot> {
        let mut running = self.running.lock();
        let count = running.entry(user.to_owned()).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Slot { gate: Arc::clone(self), user: user.to_owned() })
    }

    async fn enter(self: &Arc<Self>, user: &str, limit: usize) -> Slot {
        loop {
            // Registered before looking, so that a slot given back in between is not missed.
            let mut left = std::pin::pin!(self.left.notified());
            left.as_mut().enable();
            if let Some(slot) = self.try_enter(user, limit) {
                return slot;
            }
            left.await;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(count) = self.gate.running.lock().get_mut(&self.user) {
            *count -= 1;
        }
        self.gate.left.notify_waiters();
    }
}
