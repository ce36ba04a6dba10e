//! What a service gives: documents, and transfers that hold a slot.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::backend::answer::Answer;
use crate::error::Result;
use crate::fetch::Fetch;
use crate::fetch::slots::{Counted, Queue, Slot};

/// A transfer under way. It holds its slot until dropped.
pub struct Transfer {
    /// The body and what its headers promised.
    pub answer: Answer,
    /// How long the service took to begin its answer, a new connection included.
    pub answered: Duration,
    pub(super) fetch: Fetch,
    pub(super) slot: Slot,
    pub(super) _brief: Option<Counted>,
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.fetch.0.budget.ended();
        self.fetch.0.connections.ended();
    }
}

impl Transfer {
    /// Who waits for a slot of this service.
    pub fn queue(&self) -> Arc<Queue> {
        self.slot.queue()
    }

    /// The next piece of the body, `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let piece = self.answer.chunk().await;
        if let Ok(Some(bytes)) = &piece {
            self.fetch.received(bytes.len());
        }
        piece
    }
}
