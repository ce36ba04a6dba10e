//! Questions to a STAC API, each a document or a walk over pages, through the service's door.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use url::Url;

use super::super::identifier::spellings;
use super::super::limits::{COLLECTIONS, DOCUMENT_BYTES, PAGES};
use super::announced::Announced;
use super::collection::{Collection, CollectionList, Endpoints, Landing};
use super::item::Item;
use super::next::{self, PageRequest, next_request};
use super::parts::Parts;
use super::query::Query;
use super::walk::{WalkEnd, Way, walk};
use crate::error::{ErrorKind, Result};
use crate::fetch::{Document, Fetch};
use crate::transport::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use crate::transport::{Method, Purpose, Request, RequestBody};

/// How long one document's headers may take (contract.md 4.3: listing page).
const FIRST_BYTE: Duration = Duration::from_secs(30);
/// Items asked for per page at first; a service that refuses it is asked again without a wish.
const PAGE: u32 = 250;
/// The largest page of the catalogue whose documentation Cache-A's repeats (protocol.md 3.2).
const LARGEST_PAGE: usize = 1000;
/// Bytes of a listing of whole items from which on it is worth to ask for parts of them the next time.
const MUCH: usize = 1 << 20;
/// What a page should have: items differ from 3 to 100 KiB, and two pages are in memory at a time.
const PAGE_BYTES: usize = 12 << 20;

/// A STAC API.
pub struct Client {
    root: Url,
    fetch: Fetch,
    service: OnceCell<Service>,
    learnt: Mutex<Learnt>,
    /// What is asked for of the items of each collection; `None`: the service does not leave what it should.
    parts: Mutex<HashMap<String, Option<Arc<Parts>>>>,
}

/// What the service says of itself.
struct Service {
    endpoints: Endpoints,
    announced: Announced,
}

/// What the service has shown of itself.
#[derive(Clone)]
struct Learnt {
    /// The ways of searching that were refused while another worked.
    refused: Vec<Way>,
    /// The page size that it takes.
    page: Option<u32>,
}

impl Client {
    /// The API at `root`; asks nothing yet.
    pub fn new(root: Url, fetch: Fetch) -> Self {
        let learnt = Learnt { refused: Vec::new(), page: Some(PAGE) };
        Self { root, fetch, service: OnceCell::new(), learnt: Mutex::new(learnt), parts: Mutex::default() }
    }

    /// Asks for the root of the API.
    ///
    /// # Errors
    /// What the service met; `Protocol` when it is no STAC API.
    pub async fn check(&self) -> Result<()> {
        self.service().await.map(|_| ())
    }

    /// All collections, over as many pages as the service makes of them.
    ///
    /// # Errors
    /// What the service met, naming the address that was asked.
    pub async fn collections(&self) -> Result<Vec<Collection>> {
        let endpoints = &self.service().await?.endpoints;
        let mut request = PageRequest::get(endpoints.collections.clone());
        let mut collections: Vec<Collection> = Vec::new();
        for _ in 0..PAGES {
            let page = CollectionList::parse(&self.document(request.clone()).await?.bytes)?;
            let before = collections.len();
            for collection in page.collections {
                if collections.iter().all(|known| known.id != collection.id) {
                    collections.push(collection);
                }
            }
            match next_request(&page.links, &request) {
                Ok(Some(next)) if collections.len() > before && collections.len() < COLLECTIONS => {
                    request = next
                }
                _ => break,
            }
        }
        Ok(collections)
    }

    /// Gives every item that matches `query` to `sink`, once. Where only records are wanted, the items may be parts
    /// ([`WalkEnd::whole`]) from a service that announces that, and some may come twice.
    ///
    /// # Errors
    /// What the service met.
    pub async fn search(&self, query: &Query, sink: &mut (dyn FnMut(Item) + Send)) -> Result<WalkEnd> {
        let [collection] = query.collections.as_slice() else { return self.search_whole(query, sink).await };
        if !query.records_only || !self.service().await?.announced.fields {
            return self.search_whole(query, sink).await;
        }
        let known = self.parts.lock().get(collection).cloned();
        if let Some(Some(parts)) = &known {
            if let Some(end) = self.search_parts(query, parts, sink).await? {
                return Ok(end);
            }
            self.parts.lock().insert(collection.clone(), None);
        }
        let mut sample = None;
        let mut sampling = |item: Item| {
            if known.is_none() && sample.is_none() {
                sample = Some(item.clone().detach());
            }
            sink(item);
        };
        let end = self.search_whole(query, &mut sampling).await?;
        if let Some(sample) = sample.filter(|_| end.bytes >= MUCH) {
            let parts = self.tried(collection, &sample).await;
            self.parts.lock().insert(collection.clone(), parts);
        }
        Ok(end)
    }

    /// Parts of all items; `None` where the service refuses or leaves out too much. What was given to `sink` is right.
    async fn search_parts(
        &self,
        query: &Query,
        parts: &Parts,
        sink: &mut (dyn FnMut(Item) + Send),
    ) -> Result<Option<WalkEnd>> {
        let limit = self.learnt.lock().page.and(u32::try_from(LARGEST_PAGE).ok());
        let asked = Query { limit, fields: Some(Arc::clone(&parts.fields)), ..query.clone() };
        let mut complete = true;
        let mut take = |item: Item| match parts.are_in(&item) {
            true => sink(item),
            false => complete = false,
        };
        match self.walk(&asked, &mut take).await {
            // An item without its time or box does not match.
            Ok(end) if complete && end.unasked + end.skipped == 0 => {
                Ok(Some(WalkEnd { whole: false, ..end }))
            }
            Ok(_) => Ok(None),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Protocol) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What to ask for of items like this one, if the service leaves the right parts of it.
    async fn tried(&self, collection: &str, sample: &Item) -> Option<Arc<Parts>> {
        let parts = Parts::of(sample)?;
        let (collections, ids) = (vec![collection.to_owned()], vec![sample.id().to_owned()]);
        let query = Query { collections, ids, fields: Some(Arc::clone(&parts.fields)), ..Query::default() };
        let mut part = None;
        self.walk(&query, &mut |item| part = Some(item)).await.ok()?;
        part.is_some_and(|part| parts.hold(&part, sample)).then(|| Arc::new(parts))
    }

    /// As [`Self::search`], always whole items, each once.
    async fn search_whole(&self, query: &Query, sink: &mut (dyn FnMut(Item) + Send)) -> Result<WalkEnd> {
        let page = self.learnt.lock().page;
        let asked = Query { limit: page, ..query.clone() };
        let mut untouched = true;
        let mut counting = |item: Item| {
            untouched = false;
            sink(item);
        };
        let outcome = self.walk(&asked, &mut counting).await;
        match outcome {
            Err(error) if error.kind() == ErrorKind::Protocol && page.is_some() && untouched => {
                let end = self.walk(query, sink).await?;
                self.learnt.lock().page = None;
                Ok(end)
            }
            outcome => {
                if let Ok(end) = &outcome {
                    self.learn_page(end);
                }
                outcome
            }
        }
    }

    /// Fits the page to the size of the items that came.
    fn learn_page(&self, end: &WalkEnd) {
        let items = end.items + end.unasked;
        if let (true, Some(page)) = (items >= 10, &mut self.learnt.lock().page) {
            let fitting = PAGE_BYTES / (end.bytes / items).max(1);
            *page = u32::try_from(fitting.clamp(20, LARGEST_PAGE)).unwrap_or(PAGE);
        }
    }

    async fn walk(&self, query: &Query, sink: &mut (dyn FnMut(Item) + Send)) -> Result<WalkEnd> {
        let Service { endpoints, announced } = self.service().await?;
        let ways = announced.ways_but(&self.learnt.lock().refused);
        let fetch = |request: PageRequest| -> futures_util::future::BoxFuture<'_, Result<Bytes>> {
            Box::pin(async move { Ok(self.document(request).await?.bytes) })
        };
        let end = walk(endpoints, query, &ways, &fetch, sink).await?;
        if query.fields.is_some() {
            // It may be these that were refused.
            return Ok(end);
        }
        let before = ways.iter().take_while(|way| **way != end.way);
        let mut learnt = self.learnt.lock();
        learnt.refused.retain(|way| *way != end.way);
        for way in before.filter(|way| way.request(endpoints, query).is_some()) {
            // Without a filter it is the same request.
            let same = if query.clouds.is_empty() { way.unfiltered() } else { *way };
            learnt.refused.extend([*way, same]);
        }
        learnt.refused.sort_unstable();
        learnt.refused.dedup();
        Ok(end)
    }

    /// The item with this id, in any of its spellings; `None` when there is none.
    ///
    /// # Errors
    /// What the service met.
    pub async fn item(&self, collection: &str, id: &str) -> Result<Option<Item>> {
        let query = Query { collections: vec![collection.into()], ids: spellings(id), ..Query::default() };
        let mut found = None;
        let searched = self.walk(&query, &mut |item| found = Some(item)).await;
        if let (Some(item), _) = (found, &searched) {
            return Ok(Some(item.detach()));
        }
        // Some services do not search by id, but all have the item's own address (STAC API 1.0.0 features).
        let endpoints = &self.service().await?.endpoints;
        for spelling in spellings(id) {
            let address = endpoints.item(collection, &spelling);
            match self.document(PageRequest::get(address.clone())).await {
                Ok(document) => return Item::parse(&document.bytes, Some(&address)).map(Some),
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Protocol) => {}
                Err(error) => return Err(error),
            }
        }
        searched.map(|_| None)
    }

    /// What the service says of itself on its landing page; asked for once.
    async fn service(&self) -> Result<&Service> {
        let ask = || async {
            let document = self.document(PageRequest::get(self.root.clone())).await.map_err(|error| {
                // A service without a root is a wrong address, not one without products.
                match error.kind() {
                    ErrorKind::NotFound | ErrorKind::Protocol => error
                        .context(format!("{}: is this the root of a STAC API?", self.root))
                        .reclassify(ErrorKind::Protocol),
                    _ => error.context(&self.root),
                }
            })?;
            let landing = Landing::parse(&document.bytes)?;
            let endpoints = Endpoints::from_landing(&self.root, &landing)?;
            Ok(Service { endpoints, announced: Announced::on(&landing) })
        };
        self.service.get_or_try_init(ask).await
    }

    async fn document(&self, request: PageRequest) -> Result<Document> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/geo+json, application/json"));
        let (method, body) = match request.method {
            next::Method::Get => (Method::GET, RequestBody::Empty),
            next::Method::Post => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                (Method::POST, RequestBody::Json(request.body.unwrap_or_default()))
            }
        };
        let request = Request {
            method,
            url: request.url,
            headers,
            body,
            purpose: Purpose::Metadata,
            first_byte: FIRST_BYTE,
        };
        self.fetch.document(request, DOCUMENT_BYTES).await
    }
}
