//! Readers of arrays: while a chunk is read, those that come next are fetched.
//!
//! A program that goes through an array waits a round trip for each chunk (read-path.md 1.9). Where its way is even
//! enough to be foreseen ([`Strides`]), the next chunks are asked for, each when its slot is free, and never with more
//! than half of the slots: the others are for who is waiting.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::filesystem::Filesystem;
use crate::namespace::{Cell, Content, FileNode, Node};
use crate::reader::Strides;
use crate::store::Begun;

/// Arrays whose readers are followed at once.
const FOLLOWED: usize = 16;

/// The arrays that are being read, most recent first.
#[derive(Default)]
pub(super) struct Grids(Mutex<Vec<Grid>>);

struct Grid {
    id: u64,
    strides: Strides,
    counts: Arc<[u64]>,
    /// Bytes of the chunk that was opened last: of the others nothing is known.
    length: u64,
}

impl Grids {
    fn with<T>(&self, cell: &Cell, work: impl FnOnce(&mut Grid) -> T) -> T {
        let mut grids = self.0.lock();
        let known = grids.iter().position(|grid| grid.id == cell.grid && grid.counts == cell.counts);
        let grid = match known {
            Some(at) => grids.remove(at),
            None => {
                let (strides, counts) = (Strides::new(&cell.counts), Arc::clone(&cell.counts));
                Grid { id: cell.grid, strides, counts, length: 0 }
            }
        };
        grids.truncate(FOLLOWED - 1);
        grids.insert(0, grid);
        work(&mut grids[0])
    }
}

impl Filesystem {
    /// A program asks for a chunk, which may take a while; then perhaps [`Self::goes_on`] tells that it reads it.
    pub(super) fn goes_to(&self, file: &FileNode) {
        if let Some(cell) = &file.cell {
            self.0.grids.with(cell, |grid| grid.strides.awaits(&cell.at));
        }
    }

    /// A program reads a chunk of `length` bytes, or was told that there is none: perhaps as one of many.
    pub(super) fn goes_on(&self, file: &FileNode, length: Option<u64>) {
        let (Some(cell), Content::Remote(remote)) = (&file.cell, &file.content) else { return };
        let most = remote.fetch.budget().ahead().min(remote.fetch.slots().1 / 2);
        let budget = self.0.store.ahead_budget();
        let step = self.0.grids.with(cell, |grid| {
            grid.length = length.unwrap_or(grid.length);
            let fits = usize::try_from(budget / grid.length.max(1)).unwrap_or(most);
            grid.strides.read(&cell.at, most.min(fits))
        });
        if step.was_guessed {
            remote.fetch.traffic().guess_was_right();
        }
        if !step.ask.is_empty() {
            let (filesystem, cell) = (self.clone(), cell.clone());
            self.0.store.spawn(async move { filesystem.fetch_next(&cell, step.ask).await });
        }
    }

    /// Begins to fetch chunks, as far as there are slots.
    async fn fetch_next(&self, cell: &Cell, places: Vec<Vec<u64>>) {
        for place in places {
            // Known to be absent: nothing to ask for, and nothing wrong about the guess.
            let mut begun = Begun::Under;
            if let Ok(Node::File(file)) = (cell.node)(&place).await
                && let Content::Remote(remote) = &file.content
            {
                begun = self.0.store.begin(remote, u64::MAX);
                if begun == Begun::Asked {
                    remote.fetch.traffic().guessed();
                }
            }
            match begun {
                Begun::NoSlot => self.0.grids.with(cell, |grid| grid.strides.retract(&place)),
                Begun::Under | Begun::Failed => {
                    self.0.grids.with(cell, |grid| grid.strides.was_there(&place))
                }
                Begun::Asked => {}
            }
        }
    }
}
