//! Where reads of one file stand, and how much to fetch for the next one.
//!
//! Few bytes on a jump, many on a run (read-path.md 5.1): a read that continues an earlier one gets a
//! window as long as the run so far, up to 8 MiB. The kernel's own read-ahead arrives out of order and from
//! several threads, and several programs read one file at once, so a file has a few cursors, each
//! with some tolerance (read-path.md 5.3).

use crate::object::ByteRange;
use crate::store::{BLOCK, Plan, covering};

/// Runs that are followed at once in one file.
const CURSORS: usize = 4;
/// A read continues a run if it ends at most so far before the run's end, or begins so far behind it.
const BACK: u64 = 256 * 1024;
const FORWARD: u64 = 512 * 1024;
/// The longest window.
const WINDOW: u64 = 8 * 1024 * 1024;
/// Bytes of a run before anything is fetched ahead of it: netCDF reads 4 KiB to 4 MiB at offset 0 and then
/// jumps (read-path.md 3), so the first reads of a file prove nothing.
const PROVEN: u64 = 256 * 1024;

/// The runs of reads in one file, most recent first.
#[derive(Debug, Default)]
pub struct Cursors {
    runs: Vec<Run>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    start: u64,
    end: u64,
}

impl Cursors {
    /// Notes a read of `range` and says what to fetch for it.
    pub fn plan(&mut self, range: ByteRange) -> Plan {
        let run = self.follow(range);
        let blocks = covering(range);
        let length = run.end - run.start;
        let window = if length >= PROVEN { length.min(WINDOW) / BLOCK } else { 0 };
        Plan { fetch: blocks.start..blocks.end + window, ahead: window }
    }

    fn follow(&mut self, range: ByteRange) -> Run {
        let continues = |run: &Run| {
            range.end.saturating_add(BACK) >= run.end && range.start <= run.end.saturating_add(FORWARD)
        };
        let run = match self.runs.iter().position(continues) {
            Some(index) => {
                let run = self.runs.remove(index);
                Run { start: run.start.min(range.start), end: run.end.max(range.end) }
            }
            None => Run { start: range.start, end: range.end },
        };
        self.runs.truncate(CURSORS - 1);
        self.runs.insert(0, run);
        run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: u64 = 1024;

    fn read(cursors: &mut Cursors, start: u64, len: u64) -> Plan {
        cursors.plan(ByteRange::new(start, start + len))
    }

    #[test]
    fn a_jump_fetches_its_own_blocks_only() {
        let mut cursors = Cursors::default();
        for start in [0, 700 * K * K, 90 * K * K, 300 * K * K] {
            let plan = read(&mut cursors, start, 4 * K);
            assert_eq!((plan.fetch.end - plan.fetch.start, plan.ahead), (1, 0));
        }
    }

    #[test]
    fn a_run_grows_to_eight_mebibytes_even_out_of_order() {
        let mut cursors = Cursors::default();
        let mut order: Vec<u64> = (0..128).collect();
        order.chunks_mut(2).for_each(<[u64]>::reverse);
        let plans: Vec<Plan> = order.iter().map(|n| read(&mut cursors, n * 128 * K, 128 * K)).collect();
        assert_eq!(plans.last().map(|plan| plan.ahead), Some(WINDOW / BLOCK));
        assert!(plans[8].ahead > 0);
    }

    #[test]
    fn two_readers_of_one_file_do_not_disturb_each_other() {
        let mut cursors = Cursors::default();
        let mut last = 0;
        for n in 0..32 {
            read(&mut cursors, n * 128 * K, 128 * K);
            last = read(&mut cursors, 500 * K * K + n * 128 * K, 128 * K).ahead;
        }
        assert!(last >= 32);
    }

    #[test]
    fn evenly_spaced_jumps_never_become_a_run() {
        let mut cursors = Cursors::default();
        assert!((0..120).all(|n| read(&mut cursors, n * 770 * K, 4 * K).ahead == 0));
    }
}
