//! Documents: small, read whole, and by no download slot.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use url::Url;

use super::Fetch;
use crate::backend::answer::validator;
use crate::error::{ErrorKind, Result, fail};
use crate::fetch::retry::Retry;
use crate::object::Validator;
use crate::transport::header::{HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use crate::transport::{Request, StatusCode, status_error};

/// How long one document may take, all tries together (contract.md 4.3: a listing page 30 s each).
const DOCUMENT_LIMIT: Duration = Duration::from_secs(90);

/// A document: small, read whole.
#[derive(Clone, Debug)]
pub struct Document {
    /// The bytes as the server sent them, transfer coding removed.
    pub bytes: Bytes,
    /// The address that answered, after redirects.
    pub url: Url,
    /// The version, where the server tells one.
    pub version: Validator,
}

impl Fetch {
    /// Reads a document of at most `limit` bytes. It takes no download slot.
    ///
    /// # Errors
    /// As the status says; `Protocol` when it is longer than `limit`.
    pub async fn document(&self, request: Request, limit: usize) -> Result<Document> {
        let path = request.url.path().to_owned();
        match self.document_unless(request, limit, &Validator::default()).await? {
            Some(document) => Ok(document),
            None => fail(ErrorKind::Protocol, format!("{}: {path} came without bytes", self.service())),
        }
    }

    /// The same, unless it is still of the version `known` (RFC 9110 13.1): then `None`, and no bytes came.
    ///
    /// # Errors
    /// As [`Self::document`].
    pub async fn document_unless(
        &self,
        mut request: Request,
        limit: usize,
        known: &Validator,
    ) -> Result<Option<Document>> {
        for (name, value) in [(IF_NONE_MATCH, &known.etag), (IF_MODIFIED_SINCE, &known.last_modified)] {
            if let Some(Ok(value)) = value.as_deref().map(HeaderValue::from_str) {
                request.headers.insert(name, value);
            }
        }
        let url = request.url.clone();
        match timeout(DOCUMENT_LIMIT, self.document_with_retries(request, limit)).await {
            Ok(result) => result,
            Err(_) => fail(
                ErrorKind::TimedOut,
                format!(
                    "{}: {} did not arrive within {} s",
                    self.service(),
                    url.path(),
                    DOCUMENT_LIMIT.as_secs()
                ),
            ),
        }
    }

    async fn document_with_retries(&self, request: Request, limit: usize) -> Result<Option<Document>> {
        let mut retry = Retry::default();
        let mut renewals = 0;
        loop {
            self.wait_until_welcome().await?;
            let permit = self.0.documents.acquire().await;
            if !self.admit().await? {
                continue;
            }
            let seen = self.0.keyring.generation(&request.url);
            let error = match self.exchange(request.clone(), limit).await {
                Ok(document) => {
                    self.0.traffic.answered();
                    return Ok(document);
                }
                Err(error) => self.note(error),
            };
            drop(permit);
            self.recover(error, &request.url, seen, &mut renewals, &mut retry).await?;
        }
    }

    async fn exchange(&self, request: Request, limit: usize) -> Result<Option<Document>> {
        let what = format!("{}: {}", self.service(), request.url.path());
        let asked = [IF_NONE_MATCH, IF_MODIFIED_SINCE].iter().any(|name| request.headers.contains_key(name));
        let response = self.0.backend.transport().send(request).await?;
        if asked && response.status == StatusCode::NOT_MODIFIED {
            self.0.budget.ended();
            return Ok(None);
        }
        if !response.status.is_success() {
            let error = status_error(response.status, &response.headers, &what, &response.url);
            return Err(self.0.backend.meaning(error));
        }
        let (url, version) = (response.url.clone(), validator(&response.headers));
        let bytes = response.read_bounded(limit).await?;
        self.received(bytes.len());
        self.0.budget.ended();
        Ok(Some(Document { bytes, url, version }))
    }
}
