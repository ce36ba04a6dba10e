//! What a branch of the tree shows: the products of a collection that meet an expression.

use std::sync::Arc;

use jiff::civil::Date;

use super::archive::Archive;
use super::listings::Before;
use super::products::Products;
use super::span::Span;
use crate::catalog::expression::{Expression, Grain};
use crate::catalog::identifier::BucketName;
use crate::catalog::parse_bucket_name;
use crate::error::Result;

/// A collection and conditions on its products. Scopes that mean the same share their listings, wherever in the
/// tree they are.
#[derive(Clone)]
pub(super) struct Scope {
    pub(super) archive: Arc<Archive>,
    pub(super) collection: Arc<str>,
    pub(super) expression: Arc<Expression>,
    /// The conditions in their one spelling.
    pub(super) canonical: Arc<str>,
}

impl Scope {
    /// What meets `expression` and the restrictions of the whole mount.
    pub(super) fn new(archive: Arc<Archive>, collection: Arc<str>, expression: &Expression) -> Self {
        let expression = expression.clone().and(&archive.restriction(&collection));
        Self::exactly(archive, collection, expression)
    }

    fn exactly(archive: Arc<Archive>, collection: Arc<str>, expression: Expression) -> Self {
        let canonical = expression.canonical().into();
        Self { archive, collection, expression: Arc::new(expression), canonical }
    }

    /// The part of it that can lie in the bucket `name`, where that can be searched for: a tile, a cell.
    pub(super) fn within(&self, name: &str) -> Option<Self> {
        let expression = match parse_bucket_name(name)? {
            BucketName::Tile(tile) => self.expression.in_tile(tile),
            name => self.expression.in_box(name.bbox()?),
        };
        Some(Self::exactly(Arc::clone(&self.archive), Arc::clone(&self.collection), expression))
    }

    /// The products of some days.
    ///
    /// # Errors
    /// What the service met.
    pub(super) async fn products(&self, span: Span) -> Result<Arc<Products>> {
        self.products_after(span, None).await
    }

    async fn products_after(&self, span: Span, before: Option<Before>) -> Result<Arc<Products>> {
        match self.known(span).await {
            Some(products) => Ok(products),
            None => self.archive.listing_after(self, span, before).await,
        }
    }

    /// The products of a day that may lie in bucket `name`: one small search, unless the whole day is known.
    ///
    /// # Errors
    /// What the service met.
    pub(super) async fn products_in(&self, day: Date, name: &str) -> Result<Arc<Products>> {
        let span = Span::day(day);
        if let Some(whole) = self.known(span).await {
            return Ok(whole);
        }
        match self.within(name) {
            Some(part) => {
                let before = self.archive.recall(self, span).await;
                let before = before.map(|products| Before { products, place: Some(name.to_owned()) });
                part.products_after(span, before).await
            }
            None => self.archive.listing(self, span).await,
        }
    }

    /// Days are mostly walked through in order: brings a listing that is on disk into memory meanwhile. Asks no service.
    pub(super) fn foresee(&self, span: Span) {
        if self.in_memory(span).is_none() {
            let scope = self.clone();
            tokio::spawn(async move { scope.archive.recall(&scope, span).await });
        }
    }

    /// A listing that is in memory and still true.
    pub(super) fn in_memory(&self, span: Span) -> Option<Arc<Products>> {
        self.archive.in_memory(self, span)
    }

    /// A listing that is still true, of the span or of more.
    async fn known(&self, span: Span) -> Option<Arc<Products>> {
        if let Some(known) = self.archive.fresh(self, span).await {
            return Some(known);
        }
        let day = Some(span.first).filter(|_| span.is_day())?;
        for wider in self.wider(day) {
            if let Some(known) = self.archive.fresh(self, wider).await {
                let narrowed = Arc::new(known.of_day(day));
                self.archive.keep_listing(self, span, &narrowed);
                return Some(narrowed);
            }
        }
        None
    }

    /// The spans by which days are looked for, around one day.
    fn wider(&self, day: Date) -> Vec<Span> {
        let mut spans = Vec::new();
        if self.expression.grain() >= Grain::Month {
            spans.push(Span::month(day.year(), day.month()));
        }
        if self.expression.grain() >= Grain::Year {
            spans.push(Span::year(day.year()));
        }
        spans
    }
}
