//! Who brings which block: what readers claim, and what transfers owe.
//!
//! Lock order: `state` is the only lock, never held across an await.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::time::Instant;

use crate::error::Result;
use crate::fetch::slots::Slot;
use crate::store::Access;
use crate::store::claim::{Awaited, Carrier, Claimed, Waiter};
use crate::store::flight::{End, Flight};
use crate::store::object::{Object, Promise, State, Stream};

/// So many blocks are brought again rather than asked for around.
const FEW: u64 = 32;

/// Why a block is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// A reader waits for it, or will.
    Bytes,
    /// Only the length is wanted; the bytes may stop coming when nobody else asks.
    Length,
}

impl Object {
    /// A block: its bytes, or where they will come from. When no transfer brings it yet, one is begun for it
    /// and for those around it in `blocks` that are missing too.
    pub(super) fn claim(self: &Arc<Self>, block: u64, blocks: Range<u64>) -> Claimed {
        self.claim_unless(block, blocks, false)
    }

    /// The same for a file of which all will be read: its transfers do not push each other out of the slots for
    /// what one of them will bring anyway.
    pub(super) fn claim_in_turn(self: &Arc<Self>, block: u64, blocks: Range<u64>) -> Claimed {
        self.claim_unless(block, blocks, self.remote.fetch.ranges() == Some(true))
    }

    fn claim_unless(self: &Arc<Self>, block: u64, blocks: Range<u64>, in_turn: bool) -> Claimed {
        self.note_interest(block);
        let mut state = self.state.lock();
        if let Some(promise) = state.awaited.get(&block) {
            return Claimed::Awaited(promise.waiter());
        }
        if let Some(error) = state.fate.as_ref().or(state.fresh_failure(block)) {
            return Claimed::Failed(error.clone());
        }
        // After the promises: a block is put into memory before its promise is taken away.
        if let Some(bytes) = self.shared.memory.get(self.key(block)) {
            return Claimed::Here(bytes);
        }
        if self.is_stored(block) {
            return Claimed::Stored;
        }
        let doubtful = self.is_doubtful(&state);
        if doubtful || (in_turn && state.running >= self.remote.fetch.slots().1) {
            return Claimed::Later;
        }
        let known = |block: &u64| state.awaited.contains_key(block) || self.is_here(*block);
        let first = (blocks.start..block).find(|block| !known(block)).unwrap_or(block);
        let run = Some(self.missing(&state, first..blocks.end, in_turn)).filter(|run| run.contains(&block));
        let run = run.unwrap_or_else(|| self.missing(&state, block..blocks.end, in_turn));
        self.launch(&mut state, run, None, Want::Bytes);
        match state.awaited.get(&block) {
            Some(promise) => Claimed::Awaited(promise.waiter()),
            // `launch` promises the first block of its run.
            None => Claimed::Stored,
        }
    }

    /// The first of `blocks` and those behind it up to more than a few that are here or on their way: a second
    /// request would cost more than to bring those few again. Those are more where `all` will be read: each gap takes a
    /// slot from what is large.
    pub(super) fn missing(&self, state: &State, blocks: Range<u64>, all: bool) -> Range<u64> {
        let start = blocks.start;
        let mut end = start + 1;
        for block in start + 1..blocks.end {
            if block - end > if all { FEW } else { ((end - start) / 4).min(FEW) } {
                break;
            }
            if !state.awaited.contains_key(&block) && !self.is_here(block) {
                end = block + 1;
            }
        }
        start..end
    }

    /// Whether the block is in memory or on disk.
    pub(super) fn is_here(&self, block: u64) -> bool {
        self.shared.memory.holds(self.key(block)) || self.is_stored(block)
    }

    /// Whether the object comes by one transfer from its first byte on.
    pub(super) fn streams(&self) -> bool {
        self.remote.access == Access::Whole || self.remote.fetch.ranges() == Some(false)
    }

    /// Whether an answer is still to tell if the server gives parts: until then a second request may bring the whole
    /// object once more.
    fn is_doubtful(&self, state: &State) -> bool {
        let parts = self.remote.access != Access::Whole && self.remote.fetch.ranges() != Some(true);
        parts && state.running > 0 && state.stream.is_none()
    }

    /// Whether a transfer of `run` begins at the first byte: unless parts can be had, and the beginning is
    /// there already.
    fn begins_at_first_byte(&self, state: &State, run: &Range<u64>) -> bool {
        let rest = self.remote.access == Access::Whole
            && self.remote.fetch.ranges() == Some(true)
            && run.start > 0
            && state.length.is_some()
            && self.is_here(0);
        self.streams() && !rest
    }

    /// Promises `run`, by the stream that is under way if that still comes to it, else by a new transfer.
    pub(super) fn launch(
        self: &Arc<Self>,
        state: &mut State,
        run: Range<u64>,
        slot: Option<Slot>,
        want: Want,
    ) {
        self.is_wanted_again();
        let streams = self.begins_at_first_byte(state, &run);
        let passing = state.stream.as_ref().filter(|stream| self.streams() && stream.next <= run.start);
        let carrier = match passing.map(|stream| Arc::clone(&stream.carrier)) {
            Some(carrier) => carrier,
            None => {
                state.flights += 1;
                if state.running == 0 {
                    self.shared.active.fetch_add(1, Ordering::AcqRel);
                }
                state.running += 1;
                let carrier = Carrier::new(state.flights, slot.as_ref().map(Slot::ahead));
                if streams && state.stream.is_none() {
                    state.stream = Some(Stream { carrier: Arc::clone(&carrier), next: 0 });
                }
                let asked = (!streams).then(|| run.clone());
                let flight = Flight::new(Arc::clone(self), Arc::clone(&carrier), asked, want == Want::Length);
                self.shared.runtime.spawn(flight.run(slot));
                carrier
            }
        };
        for block in run.clone().filter(|block| *block == run.start || !self.is_here(*block)) {
            // What another transfer brings stays promised by that one; whichever comes first settles it.
            let promise = || Promise { awaited: Arc::default(), carrier: Arc::clone(&carrier) };
            state.awaited.entry(block).or_insert_with(promise);
        }
    }

    /// Hands a block out: to memory first, so that whoever finds no promise finds the bytes.
    pub(super) fn publish(self: &Arc<Self>, block: u64, bytes: Bytes, flight: u64) {
        self.shared.memory.put(self.key(block), bytes.clone());
        let mut state = self.state.lock();
        state.failed.remove(&block);
        if let Some(stream) = state.stream.as_mut().filter(|stream| stream.carrier.id == flight) {
            stream.next = block + 1;
        }
        if let Some(promise) = state.awaited.remove(&block) {
            promise.awaited.settle(Ok(Some(bytes.clone())));
        }
        let known = state.length.map(|length| (length, state.version.clone()));
        drop(state);
        self.keep(block, bytes, known);
    }

    /// The server sent the object from its first byte although a part was asked: from now on this transfer
    /// is the stream. `false`: another one is, and it now owes what this one had promised.
    pub(super) fn becomes_stream(&self, carrier: &Arc<Carrier>) -> bool {
        let mut state = self.state.lock();
        let other = match &state.stream {
            Some(stream) if stream.carrier.id != carrier.id => {
                Some((Arc::clone(&stream.carrier), stream.next))
            }
            Some(_) => None,
            None => {
                state.stream = Some(Stream { carrier: Arc::clone(carrier), next: 0 });
                // Who waits for what the answer tells may have been told before this.
                self.news.notify_waiters();
                None
            }
        };
        let Some((stream, next)) = other else { return true };
        let mut all = true;
        for (block, promise) in
            state.awaited.iter_mut().filter(|(_, promise)| promise.carrier.id == carrier.id)
        {
            if *block >= next {
                promise.carrier = Arc::clone(&stream);
            } else {
                all = false;
            }
        }
        !all
    }

    /// Whether this transfer has promised blocks that it has not brought yet.
    pub(super) fn owes(&self, flight: u64) -> bool {
        self.state.lock().awaited.values().any(|promise| promise.carrier.id == flight)
    }

    /// Settles all that a transfer still owes.
    pub(super) fn finish(self: &Arc<Self>, flight: u64, end: Result<End>) {
        let mut state = self.state.lock();
        state.running = state.running.saturating_sub(1);
        if state.running == 0 {
            self.shared.active.fetch_sub(1, Ordering::AcqRel);
        }
        if state.stream.as_ref().is_some_and(|stream| stream.carrier.id == flight) {
            state.stream = None;
        }
        let end = end.map_err(|error| state.judge(error));
        let now = Instant::now();
        let until = end.as_ref().err().map_or(now, |error| now + self.remembers(error));
        state.failed.retain(|_, (until, _)| *until > now);
        if let (None, Err(error)) = (state.length, &end) {
            // Whoever waits for the length looks here.
            state.failed.insert(0, (until, error.clone()));
        }
        let owed: Vec<u64> = state
            .awaited
            .iter()
            .filter(|(_, owed)| owed.carrier.id == flight)
            .map(|(block, _)| *block)
            .collect();
        for block in owed {
            let Some(promise) = state.awaited.remove(&block) else { continue };
            match &end {
                Ok(_) => promise.awaited.settle(Ok(None)),
                Err(error) => {
                    state.failed.insert(block, (until, error.clone()));
                    promise.awaited.settle(Err(error.clone()));
                }
            }
        }
        self.catches_up(&mut state);
        drop(state);
        self.news.notify_waiters();
    }
}

impl Promise {
    fn waiter(&self) -> Waiter {
        Waiter::new(Arc::<Awaited>::clone(&self.awaited), Arc::clone(&self.carrier))
    }
}
