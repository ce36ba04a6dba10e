//! Reading ahead: blocks that a run will need next, asked for when a slot is free.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;

use crate::store::board::Want;
use crate::store::object::Object;
use crate::store::{BLOCK, Begun, Plan};

/// From so many missing blocks on, the end of a file is divided between two transfers.
const DIVIDED: u64 = 16;

/// All transfers of a reader bring at most this part of the memory.
const SHARE: u64 = 3;

/// Transfers that one reader has at most, where a service allows many: beyond that the line is mostly full.
const TRANSFERS: u64 = 8;

/// So long a slot is waited for at most before it is looked again whether it is still wanted.
const LATER: Duration = Duration::from_secs(1);

impl Object {
    /// Where a transfer for `plan` ends that begins at `from`: within this reader's share of the memory, and
    /// where others may go on meanwhile: in the middle of what is left of the file if there are two.
    pub(super) fn fetch_end(&self, from: u64, plan: &Plan, length: u64) -> u64 {
        let end = length.div_ceil(BLOCK);
        let (share, left) = (self.share(), end.saturating_sub(from));
        let (running, slots) = self.remote.fetch.slots();
        let alone = running + 1 >= slots;
        match plan.runs_on && !self.streams() {
            true if alone => end.min(from + self.transfers() * share),
            // The other one begins later where it is not known yet whether there are parts.
            true if left >= DIVIDED && self.remote.fetch.ranges().is_none() => {
                from + (left * 17 / 32).min(2 * share)
            }
            true if left >= DIVIDED => from + self.part(left).min(share),
            true => end,
            false => plan.fetch.end.min(from + share).max(from + 1).min(end),
        }
    }

    /// The blocks that one transfer brings of a file that is wanted whole: with two of them a half, if it is not too
    /// large; a little more for the first one while the second has no connection yet.
    pub(super) fn segment(&self, block: u64, length: u64) -> Range<u64> {
        let end = length.div_ceil(BLOCK);
        let most = self.share() * 3 / 2;
        let part = || match self.transfers() {
            2 if self.remote.fetch.needs_connection(2) => end * 9 / 16,
            transfers => end.div_ceil(transfers),
        };
        let size = most.min(*self.part_size.get_or_init(part)).max(1);
        let start = block / size * size;
        start..(start + size).min(end)
    }

    /// Sees to it that the blocks behind `read` are there or on their way, if a slot is free.
    pub(super) fn read_ahead(self: &Arc<Self>, read: &Range<u64>, plan: &Plan) {
        self.reaches(plan.fetch.end);
        let share = self.share();
        let window = if plan.runs_on && plan.ahead > 0 { share } else { plan.ahead.min(share) };
        // Most hits end here: most of the window is still asked for, or no slot is free.
        let asked = plan.frontier.asked.load(Ordering::Acquire);
        let reach = window * self.transfers();
        let covered = read.end + reach - window / 2 <= asked && asked <= read.end + 2 * reach;
        if window == 0 || covered {
            return;
        }
        let later = || {
            if plan.whole {
                self.read_ahead_later(read, plan);
            }
        };
        if !self.may_read_ahead() {
            return later();
        }
        let from = if (read.end..=read.end + reach).contains(&asked) { asked } else { read.end };
        let horizon = if plan.whole { 0..u64::MAX } else { from..read.end + reach };
        let Some(start) = self.first_gap(horizon) else {
            plan.frontier.asked.store(read.end + reach, Ordering::Release);
            return;
        };
        // Outside the lock: a slot may be a lock file.
        let Some(slot) = self.remote.fetch.spare_slot() else { return later() };
        let mut state = self.state.lock();
        let Some(end) = state.length.map(|length| length.div_ceil(BLOCK)) else { return };
        // Where something has just failed, a guess would only fail, too.
        let doubtful = state.fate.is_some() || state.is_doubted() || state.has_failed_lately();
        if doubtful || state.awaited.contains_key(&start) || start >= end {
            return;
        }
        let run = self.missing(&state, start..(start + window.min(self.part(end))).min(end), plan.whole);
        plan.frontier.asked.store(run.end, Ordering::Release);
        self.launch(&mut state, run, Some(slot), Want::Bytes);
    }

    /// The same once a slot is free: of a file that is wanted whole nothing else may ask before its reader has got what
    /// it waits for.
    fn read_ahead_later(self: &Arc<Self>, read: &Range<u64>, plan: &Plan) {
        if self.streams() || self.later.swap(true, Ordering::AcqRel) {
            return;
        }
        let (object, read, plan) = (Arc::clone(self), read.clone(), plan.clone());
        self.shared.runtime.spawn(async move {
            let _ = timeout(LATER, object.remote.fetch.slot_freed()).await;
            object.later.store(false, Ordering::Release);
            if !object.is_left() {
                object.read_ahead(&read, &plan);
            }
        });
    }

    /// Begins to fetch what is missing of the first `most` bytes, if a slot is free.
    pub(super) fn begin(self: &Arc<Self>, most: u64) -> Begun {
        let blocks = most.div_ceil(BLOCK);
        self.reaches(blocks);
        let mut begun = Begun::Under;
        loop {
            let length = self.known_length();
            // Of a file of unknown length the first blocks will tell.
            let start = match length {
                Some(_) => self.first_gap(0..blocks),
                None => (self.state.lock().running == 0).then_some(0),
            };
            let Some(start) = start else { return begun };
            if !self.remote.fetch.may_spare() {
                return Begun::NoSlot;
            }
            let Some(slot) = self.remote.fetch.spare_slot() else { return Begun::NoSlot };
            let mut state = self.state.lock();
            if state.fate.is_some() || state.is_doubted() || state.fresh_failure(start).is_some() {
                return Begun::Failed;
            }
            if state.awaited.contains_key(&start) {
                continue;
            }
            let end = state.length.map_or(1, |length| length.div_ceil(BLOCK).min(blocks));
            let run = self.missing(&state, start..end, false);
            self.launch(&mut state, run, Some(slot), Want::Bytes);
            begun = Begun::Asked;
        }
    }

    /// Blocks that one reader may have on their way in one transfer.
    fn share(&self) -> u64 {
        let active = self.shared.active.load(Ordering::Acquire).max(1) as u64;
        (self.shared.memory.capacity() / SHARE / self.transfers() / active / BLOCK).max(1)
    }

    /// What each transfer brings of so many blocks when they are divided.
    fn part(&self, blocks: u64) -> u64 {
        blocks.div_ceil(self.transfers()).max(DIVIDED / 2)
    }

    /// How many transfers one reader may have: both where there are two, half of them where there are many.
    fn transfers(&self) -> u64 {
        let slots = self.remote.fetch.slots().1 as u64;
        (slots / 2).clamp(2, TRANSFERS)
    }

    /// A server that may give no parts is not asked for two at once: each would be the whole file.
    fn may_read_ahead(&self) -> bool {
        !self.streams() && self.remote.fetch.ranges() == Some(true) && self.remote.fetch.may_spare()
    }

    /// The first of `blocks` that is neither there nor on its way.
    fn first_gap(&self, blocks: Range<u64>) -> Option<u64> {
        let state = self.state.lock();
        let end = state.length.filter(|_| state.fate.is_none())?.div_ceil(BLOCK);
        (blocks.start..blocks.end.min(end))
            .find(|block| !state.awaited.contains_key(block) && !self.is_here(*block))
    }
}
