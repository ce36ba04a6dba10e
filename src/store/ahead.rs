//! Reading ahead: blocks that a run will need next, asked for when a slot is free.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::store::object::{Object, Want};
use crate::store::{BLOCK, Plan};

impl Object {
    /// Sees to it that the blocks behind `plan.fetch` are there or on their way, if a slot is free.
    pub(super) fn read_ahead(self: &Arc<Self>, plan: &Plan) {
        let from = plan.fetch.end;
        // Most hits end here: half of the window is still asked for.
        let asked = self.ahead_to.load(Ordering::Acquire);
        if plan.ahead == 0 || (from + plan.ahead / 2 <= asked && asked <= from + 2 * plan.ahead) {
            return;
        }
        let Some(start) = self.first_gap(from, plan.ahead) else {
            self.ahead_to.store(from + plan.ahead, Ordering::Release);
            return;
        };
        // Outside the lock: a slot may be a lock file.
        let Some(slot) = self.remote.fetch.spare_slot() else { return };
        let mut state = self.state.lock();
        let Some(end) = state.length.map(|length| length.div_ceil(BLOCK)) else { return };
        if state.fate.is_some() || state.awaited.contains_key(&start) || start >= end {
            return;
        }
        let run = self.missing(&state, start..(start + plan.ahead).min(end));
        self.ahead_to.store(run.end, Ordering::Release);
        self.launch(&mut state, run, Some(slot), Want::Now);
    }

    /// The first of `ahead` blocks from `from` on that is neither there nor on its way.
    fn first_gap(&self, from: u64, ahead: u64) -> Option<u64> {
        if self.streams() {
            return None;
        }
        let state = self.state.lock();
        let end = state.length.filter(|_| state.fate.is_none())?.div_ceil(BLOCK);
        (from..(from + ahead).min(end))
            .find(|block| !state.awaited.contains_key(block) && !self.memory.holds(self.key(*block)))
    }
}
