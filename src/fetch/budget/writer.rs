//! The one thread of a budget that writes into the ledger, and what it says when limits come near.

use std::sync::atomic::Ordering;

use jiff::civil::Date;

use crate::error::Result;
use crate::fetch::book::{Book, Counts};
use crate::fetch::budget::{Ask, Budget, State, today};

impl Budget {
    /// Writes until there is nothing more to be written.
    pub(super) fn write(&self) {
        loop {
            while self.write_once() {}
            self.0.writing.store(false, Ordering::Release);
            // Whoever came between the last look and that line has seen a writer at work.
            let state = self.0.state.lock();
            let done = state.asking.is_empty() && state.fresh.is_empty();
            drop(state);
            if done || self.0.writing.swap(true, Ordering::AcqRel) {
                return;
            }
        }
    }

    /// One entry for all that was counted and is asked for; `false` if that is nothing, or cannot be written.
    fn write_once(&self) -> bool {
        let (Some(ledger), today) = (&self.0.ledger, today()) else { return false };
        let mut state = self.0.state.lock();
        let fresh = std::mem::take(&mut state.fresh);
        if !fresh.is_empty() {
            state.unwritten.add(today, fresh);
        }
        let asking = std::mem::take(&mut state.asking);
        let (known, unwritten) = (state.book.clone(), state.unwritten.clone());
        drop(state);
        if asking.is_empty() && unwritten == Book::default() {
            return false;
        }
        let mut answers = Vec::new();
        let written = ledger.change(&known, |book| {
            book.add_all(&unwritten);
            answers = self.answers(book, &asking, today);
        });
        self.0.stuck.store(false, Ordering::Relaxed);
        let mut state = self.0.state.lock();
        let is_written = written.is_ok();
        let trouble = match written {
            Ok(found) => {
                state.book = found.book;
                state.unwritten = Book::default();
                let lost = "a file of counts was damaged; the last whole one counts";
                found.damaged.then(|| lost.to_owned())
            }
            Err(error) => {
                // From memory, and once more at the next entry.
                let mut total = known;
                total.add_all(&unwritten);
                answers = self.answers(&mut total, &asking, today);
                let requests = answers.iter().filter(|answer| matches!(answer, Some(Ok(())))).count() as u64;
                state.unwritten.add(today, Counts { requests, bytes: 0 });
                Some(format!("what is counted is not kept for now: {error}"))
            }
        };
        if trouble.is_some() && trouble != state.trouble {
            tracing::warn!("{}: {}", self.0.service, trouble.as_deref().unwrap_or_default());
        }
        state.trouble = trouble.filter(|_| !is_written);
        self.take_up_pause(&mut state);
        self.tell(&mut state, today);
        drop(state);
        for (ask, answer) in asking.into_iter().zip(answers) {
            if let Some(answer) = answer {
                let _ = ask.send(answer);
            }
        }
        is_written
    }

    /// Which of the requests may be sent; those are counted. Who has lost patience has counted for itself.
    fn answers(&self, book: &mut Book, asking: &[Ask], today: Date) -> Vec<Option<Result<()>>> {
        asking.iter().map(|ask| (!ask.is_closed()).then(|| self.allow(book, today))).collect()
    }

    /// Says once for each period that a limit is nearly used up, and once that it is.
    pub(super) fn tell(&self, state: &mut State, today: Date) {
        let total = state.total(today);
        state.near = false;
        for (number, limit) in self.0.limits.iter().enumerate() {
            let spent = limit.spent(&total, today);
            let (near, used_up) = (spent.is_near(), spent.is_used_up());
            let page = limit.period.begin(today);
            state.near |= near;
            if near && !used_up && state.told.insert((number, page, false)) {
                tracing::warn!("{}", spent.warning(&self.0.service));
            }
            if used_up && state.told.insert((number, page, true)) {
                tracing::warn!("{}", spent.refusal(&self.0.service));
            }
        }
    }
}
