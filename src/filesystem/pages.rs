//! What the open handles of one file have in common with the kernel: its pages, or a file on disk that it reads
//! by itself. A pure state machine; the kernel's table behind it is in fuse.md 2, "Per-inode open state".
//!
//! **Invariant**: pages are filled from one version only, and while one handle fills pages, or reads a file on
//! disk, all others do the same or stay away.

use std::any::Any;
use std::sync::Arc;

/// What the kernel knows a file on disk by. Dropping the last clone takes it back, so it is kept here for as
/// long as a handle uses it.
pub type Registered = Arc<dyn Any + Send + Sync>;

/// The state of one file. The default: nothing is open and there are no pages.
#[derive(Default)]
pub struct Pages {
    /// The version that they were filled from.
    version: Option<u64>,
    /// Whether the open that dropped earlier pages is known to have reached the kernel: it has read since.
    settled: bool,
    open: Open,
}

/// The handles that are open, but for those that stay away.
#[derive(Default)]
enum Open {
    #[default]
    None,
    /// They fill pages.
    Cached(usize),
    /// The kernel reads a file on disk for them.
    Through { handles: usize, version: u64, registered: Registered },
}

/// How a file is to be opened. All but `Bypass` count as open until [`Pages::close`].
#[derive(Clone)]
pub enum Caching {
    /// The kernel's pages are of this version: keep them.
    Keep,
    /// They may be of an earlier version: drop them.
    Drop,
    /// They belong to handles of another version that are still open: stay away from them.
    Bypass,
    /// The kernel reads this file on disk by itself.
    Through(Registered),
}

impl Pages {
    /// Opens the file in `version`. `register` gives the whole version on disk to the kernel, if it is there; it
    /// is asked only when the kernel would take it. `None`: this cannot be opened as long as another version is
    /// open, because the kernel reads that one by itself and refuses any other way.
    pub fn open(&mut self, version: u64, register: impl FnOnce() -> Option<Registered>) -> Option<Caching> {
        match &mut self.open {
            Open::Through { handles, version: open, registered } if *open == version => {
                *handles += 1;
                Some(Caching::Through(Arc::clone(registered)))
            }
            Open::Through { .. } => None,
            Open::None => match register() {
                Some(registered) => {
                    self.open = Open::Through { handles: 1, version, registered: Arc::clone(&registered) };
                    Some(Caching::Through(registered))
                }
                None => Some(self.open_cached(version, 0)),
            },
            Open::Cached(handles) => {
                let handles = *handles;
                Some(self.open_cached(version, handles))
            }
        }
    }

    fn open_cached(&mut self, version: u64, handles: usize) -> Caching {
        // Before the first open there are no pages. Dropping some that another reader waits for would make
        // this open wait with it, beyond the reach of any signal.
        let fresh = self.version.is_none();
        let keep = fresh || (self.version == Some(version) && self.settled);
        if !keep && handles > 0 {
            return Caching::Bypass;
        }
        (self.version, self.settled) = (Some(version), keep);
        self.open = Open::Cached(handles + 1);
        if keep { Caching::Keep } else { Caching::Drop }
    }

    /// A handle that was to drop pages has read: its open has reached the kernel.
    pub fn settle(&mut self) {
        self.settled = true;
    }

    /// Closes a handle that counts as open.
    pub fn close(&mut self) {
        if let Open::Cached(handles) | Open::Through { handles, .. } = &mut self.open {
            *handles -= 1;
            if *handles == 0 {
                self.open = Open::None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn open(pages: &mut Pages, version: u64) -> &'static str {
        name(pages.open(version, || None))
    }

    fn through(pages: &mut Pages, version: u64) -> &'static str {
        name(pages.open(version, || Some(Arc::new(version))))
    }

    fn name(caching: Option<Caching>) -> &'static str {
        match caching {
            None => "refused",
            Some(Caching::Keep) => "keep",
            Some(Caching::Drop) => "drop",
            Some(Caching::Bypass) => "bypass",
            Some(Caching::Through(_)) => "through",
        }
    }

    #[test]
    fn pages_are_filled_from_one_version_at_a_time() {
        let mut pages = Pages::default();
        // Nothing to drop, and dropping would wait for readers in between.
        assert_eq!(open(&mut pages, 1), "keep");
        assert_eq!(open(&mut pages, 1), "keep");
        assert_eq!(open(&mut pages, 2), "bypass");
        (0..2).for_each(|_| pages.close());
        assert_eq!(open(&mut pages, 2), "drop");
        // Until that open has reached the kernel, which may drop the pages at any moment, others keep away.
        assert_eq!(open(&mut pages, 2), "bypass");
        pages.settle();
        assert_eq!(open(&mut pages, 2), "keep");
        (0..2).for_each(|_| pages.close());
        assert_eq!(open(&mut pages, 2), "keep");
    }

    #[test]
    fn a_file_that_completes_while_it_is_open_stays_cached_until_all_have_closed() {
        let mut pages = Pages::default();
        assert_eq!(open(&mut pages, 1), "keep");
        assert_eq!(through(&mut pages, 1), "keep");
        (0..2).for_each(|_| pages.close());
        assert_eq!(through(&mut pages, 1), "through");
        // Pages that are kept, or have been dropped, are of no other version.
        pages.close();
        assert_eq!(open(&mut pages, 1), "keep");
    }

    #[test]
    fn while_the_kernel_reads_a_file_all_use_the_same_one() {
        let mut pages = Pages::default();
        let registered: Registered = Arc::new(());
        assert_eq!(name(pages.open(1, || Some(Arc::clone(&registered)))), "through");
        // Evicted meanwhile: the one that is registered still serves.
        assert_eq!(open(&mut pages, 1), "through");
        assert_eq!(open(&mut pages, 2), "refused");
        pages.close();
        assert_eq!(Arc::strong_count(&registered), 2);
        pages.close();
        assert_eq!(Arc::strong_count(&registered), 1);
        assert_eq!(open(&mut pages, 2), "keep");
        pages.close();
        assert_eq!(open(&mut pages, 3), "drop");
    }

    proptest! {
        /// The kernel's own table (fuse.md 2), followed step by step: nothing that it refuses is ever answered.
        #[test]
        fn the_kernel_takes_every_answer(steps in prop::collection::vec((0..3_u64, any::<bool>(), 0..4_usize), 1..200)) {
            let (mut pages, mut handles) = (Pages::default(), Vec::new());
            for (version, complete, action) in steps {
                if action == 0 && !handles.is_empty() {
                    let (kind, _): (&str, u64) = handles.swap_remove(version as usize % handles.len());
                    if kind != "bypass" {
                        pages.close();
                    }
                    continue;
                }
                let kind = if complete { through(&mut pages, version) } else { open(&mut pages, version) };
                let others = |wanted: &[&str]| handles.iter().filter(|(kind, _)| wanted.contains(kind)).count();
                let cached_of_another =
                    handles.iter().any(|(kind, of)| ["keep", "drop"].contains(kind) && *of != version);
                match kind {
                    "keep" | "drop" => prop_assert!(others(&["through"]) == 0 && !cached_of_another),
                    "through" => {
                        prop_assert!(others(&["keep", "drop"]) == 0);
                        prop_assert!(handles.iter().all(|(kind, of)| *kind != "through" || *of == version));
                    }
                    "bypass" => prop_assert!(others(&["through"]) == 0),
                    _ => prop_assert!(others(&["through"]) > 0),
                }
                if kind == "drop" && action == 1 {
                    pages.settle();
                }
                if kind != "refused" {
                    handles.push((kind, version));
                }
            }
        }
    }
}
