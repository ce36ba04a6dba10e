//! All pages of a search, whatever the service understands: which request, in which order, and when to stop.
//!
//! The network is a closure of the caller's: it knows deadlines, slots and which hosts may be asked. A
//! walk that had to stop early is no error; it says that it is incomplete, and why.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::Item;
use super::collection::Endpoints;
use super::next::{Guard, PageRequest, next_request};
use super::page::{self, PageEnd};
use super::query::Query;
use crate::error::{Error, ErrorKind, Result, fail};

/// Fetches one page: the whole body, bounded to [`super::super::limits::DOCUMENT_BYTES`].
///
/// A refusal (400, 404, 405, 501, HTML for JSON) has to be [`ErrorKind::NotFound`] or
/// [`ErrorKind::Protocol`]: then the next way of asking is tried.
pub type Fetch<'f> = dyn Fn(PageRequest) -> BoxFuture<'f, Result<Bytes>> + Send + Sync + 'f;

/// The ways of asking a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// `GET /search`: what the only known client does (protocol.md 3.2).
    Get,
    /// The same without `filter`, filtered here.
    GetUnfiltered,
    /// `POST /search`.
    Post,
    /// The same without `filter`.
    PostUnfiltered,
    /// `GET /collections/{id}/items`, for a search in one collection.
    Items,
}

impl Way {
    /// All, the likeliest first where nothing is announced.
    pub const ALL: [Self; 5] =
        [Self::Get, Self::GetUnfiltered, Self::Post, Self::PostUnfiltered, Self::Items];

    /// The same way without a filter.
    pub(super) fn unfiltered(self) -> Self {
        match self {
            Self::Get => Self::GetUnfiltered,
            Self::Post => Self::PostUnfiltered,
            other => other,
        }
    }

    /// The first request of `query`; `None` where it cannot be put so.
    pub(super) fn request(self, endpoints: &Endpoints, query: &Query) -> Option<PageRequest> {
        match self {
            Self::Get => Some(query.get(endpoints)),
            Self::GetUnfiltered => query.without_filter().map(|query| query.get(endpoints)),
            Self::Post => Some(query.post(endpoints)),
            Self::PostUnfiltered => query.without_filter().map(|query| query.post(endpoints)),
            Self::Items => query.items(endpoints),
        }
    }
}

/// How a walk ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkEnd {
    /// The way that the service answered; a later walk can begin with it.
    pub way: Way,
    /// Pages read.
    pub pages: usize,
    /// Bytes of these pages.
    pub bytes: usize,
    /// Whether the items were whole.
    pub whole: bool,
    /// Items handed over: different ones that match the search.
    pub items: usize,
    /// Items that came but did not match: more than a few mean that the service ignores a parameter.
    pub unasked: usize,
    /// Items that could not be read.
    pub skipped: usize,
    /// Why the first of them could not.
    pub problem: Option<String>,
    /// Whether all pages were read.
    pub complete: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// Reads all pages of `query` and gives each matching item to `sink`, once.
///
/// `ways` are tried in order until one answers its first page; [`Way::ALL`] if nothing is known. Errors are
/// those of `fetch`, and [`ErrorKind::Protocol`] for a page that cannot be read; items handed over before
/// are good, but not all.
pub async fn walk<'f>(
    endpoints: &Endpoints,
    query: &Query,
    ways: &[Way],
    fetch: &'f Fetch<'f>,
    sink: &mut (dyn FnMut(Item) + Send),
) -> Result<WalkEnd> {
    let mut refusal: Option<Error> = None;
    for way in ways {
        let Some(request) = way.request(endpoints, query) else { continue };
        let mut walk = Walk { query, guard: Guard::new(), end: WalkEnd::new(*way) };
        match walk.run(request, fetch, sink).await {
            Ok(()) => return Ok(walk.end),
            Err(error) if walk.untouched() && is_refusal(&error) => {
                // The first way is the service's own, so its refusal says most.
                refusal.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    match refusal {
        Some(error) => Err(error),
        None => fail(
            ErrorKind::InvalidInput,
            "the search cannot be put to this service in any of the allowed ways",
        ),
    }
}

fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Protocol)
}

/// A page that was asked for before its turn.
struct Ahead<'f> {
    fetch: BoxFuture<'f, Result<Bytes>>,
    /// What came of it at once.
    outcome: Option<Result<Bytes>>,
}

impl<'f> Ahead<'f> {
    /// Sends the request, as far as that can be done without waiting.
    async fn begin(mut fetch: BoxFuture<'f, Result<Bytes>>) -> Self {
        let outcome = match poll_fn(|context| Poll::Ready(fetch.as_mut().poll(context))).await {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        };
        // Who writes to the connection is another task.
        tokio::task::yield_now().await;
        Self { fetch, outcome }
    }

    async fn end(self) -> Result<Bytes> {
        match self.outcome {
            Some(outcome) => outcome,
            None => self.fetch.await,
        }
    }
}

struct Walk<'q> {
    query: &'q Query,
    guard: Guard,
    end: WalkEnd,
}

impl Walk<'_> {
    async fn run<'f>(
        &mut self,
        mut request: PageRequest,
        fetch: &'f Fetch<'f>,
        sink: &mut (dyn FnMut(Item) + Send),
    ) -> Result<()> {
        if let Err(reason) = self.guard.admit(&request) {
            return self.stop(reason);
        }
        let mut page = fetch(request.clone()).await?;
        loop {
            let mut ahead = match self.foreseen(&page, &request) {
                Some(next) => Some((next.clone(), Ahead::begin(fetch(next)).await)),
                None => None,
            };
            let read = self.read(&page, &request, sink)?;
            if self.query.pages.is_some_and(|pages| self.end.pages >= pages) {
                return Ok(());
            }
            let found_all = !self.query.ids.is_empty() && self.end.items >= self.query.products();
            let next = match next_request(&read.links, &request) {
                Ok(Some(next)) if !found_all => next,
                Ok(_) => return Ok(()),
                Err(_) if found_all => return Ok(()),
                Err(reason) => return self.stop(reason),
            };
            if let Err(reason) = self.guard.end_page() {
                let all = read.matched.is_some_and(|matched| self.guard.items() as u64 >= matched);
                return if all { Ok(()) } else { self.stop(reason) };
            }
            if let Err(reason) = self.guard.admit(&next) {
                return self.stop(reason);
            }
            // Freed before the next one fills the memory.
            drop(std::mem::take(&mut page));
            page = match ahead.take().filter(|(asked, _)| *asked == next) {
                Some((_, coming)) => coming.end().await?,
                None => fetch(next.clone()).await?,
            };
            request = next;
        }
    }

    /// The next page, where it will be asked for whatever this one holds: its request goes out before this one is read.
    fn foreseen(&self, page: &Bytes, request: &PageRequest) -> Option<PageRequest> {
        if !self.query.ids.is_empty() || self.query.pages.is_some() {
            return None;
        }
        let next = next_request(&page::links(page), request).ok().flatten()?;
        self.guard.would_admit(&next).then_some(next)
    }

    fn read(
        &mut self,
        page: &Bytes,
        request: &PageRequest,
        sink: &mut (dyn FnMut(Item) + Send),
    ) -> Result<PageEnd> {
        let Self { query, guard, end } = self;
        let read = page::read(page, Some(&request.url), &mut |item| {
            if !guard.note(item.collection.as_deref(), item.id()) {
                return;
            }
            if query.wants_collection(item.collection.as_deref()) && query.matches(&item.record) {
                end.items += 1;
                sink(item);
            } else {
                end.unasked += 1;
            }
        })?;
        end.pages += 1;
        end.bytes += page.len();
        end.skipped += read.skipped;
        if end.problem.is_none() {
            end.problem.clone_from(&read.problem);
        }
        Ok(read)
    }

    /// Whether nothing has come of this way yet, so that another may be tried.
    fn untouched(&self) -> bool {
        self.end.pages == 0 && self.guard.items() == 0
    }

    fn stop(&mut self, reason: String) -> Result<()> {
        self.end.complete = false;
        self.end.reason = Some(reason);
        Ok(())
    }
}

impl WalkEnd {
    fn new(way: Way) -> Self {
        Self {
            way,
            pages: 0,
            bytes: 0,
            whole: true,
            items: 0,
            unasked: 0,
            skipped: 0,
            problem: None,
            complete: true,
            reason: None,
        }
    }
}

#[cfg(test)]
mod tests;
