//! Is a file looked up to be read, or only to be looked at? The kernel's question is the same for both.
//!
//! The answer decides what an unknown length costs. Who goes on to read wants the download begun: its headers tell
//! the length, and it is one request instead of two. `ls -l`, `du` or `find -size` must not download anything. They
//! can be told apart by what the same thread did before: it listed the directory a moment ago, or found files of it one
//! after another and opened none. Opening one ends it. Other threads do not count: who reads by many threads looks
//! many files up before the first is opened.

use std::time::Duration;

use tokio::time::Instant;

/// So many files found in a row, without one being opened, are a listing's.
const IN_A_ROW: u32 = 4;
/// How long a listing explains what comes after it.
const LISTED: Duration = Duration::from_secs(10);
/// Lengths that one listing may ask a service for, one request each: a directory may have half a million files, as
/// many as some accounts have requests in a month (protocol.md 4.5).
const ASKED: u32 = 1000;
/// Threads that are remembered for a directory.
const THREADS: usize = 32;

/// What an unknown length may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// The beginning of the download.
    Download,
    /// A request without bytes.
    Request,
    /// Nothing.
    Nothing,
}

/// How the files of a directory were looked up lately.
#[derive(Default)]
pub(super) struct Looks {
    /// The last one that did something is the last.
    threads: Vec<Thread>,
    /// Lengths asked for since somebody began to list.
    asked: u32,
}

struct Thread {
    caller: u32,
    /// When it was heard of last, if it lists.
    lists: Option<Instant>,
    /// Files found, and none opened since.
    in_a_row: u32,
}

impl Looks {
    /// The thread `caller` begins to list the directory.
    pub(super) fn listed(&mut self, caller: u32) {
        self.asked = 0;
        *self.thread(caller) = Thread { caller, lists: Some(Instant::now()), in_a_row: 0 };
    }

    /// `caller` looks a file up whose length nobody knows.
    pub(super) fn begun(&mut self, caller: u32) -> Worth {
        let thread = self.thread(caller);
        let lists = thread.lists.is_some_and(|when| when.elapsed() < LISTED);
        if !lists && thread.in_a_row < IN_A_ROW {
            return Worth::Download;
        }
        self.asked = self.asked.saturating_add(1);
        if self.asked > ASKED { Worth::Nothing } else { Worth::Request }
    }

    /// A lookup by `caller` was answered; nobody opens what was not `found`.
    pub(super) fn answered(&mut self, caller: u32, found: bool) {
        let thread = self.thread(caller);
        thread.in_a_row = thread.in_a_row.saturating_add(u32::from(found));
        thread.lists = thread.lists.map(|_| Instant::now());
    }

    /// `caller` opens a file.
    pub(super) fn opened(&mut self, caller: u32) {
        self.threads.retain(|thread| thread.caller != caller);
        // Some look in one thread and open in another.
        self.threads.iter_mut().for_each(|thread| thread.in_a_row = 0);
    }

    fn thread(&mut self, caller: u32) -> &mut Thread {
        let known = self.threads.iter().position(|thread| thread.caller == caller);
        let thread = known.map(|place| self.threads.remove(place));
        if self.threads.len() >= THREADS {
            self.threads.remove(0);
        }
        self.threads.push(thread.unwrap_or(Thread { caller, lists: None, in_a_row: 0 }));
        let last = self.threads.len() - 1;
        &mut self.threads[last]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_long_listing_asks_for_lengths_only() {
        let mut looks = Looks::default();
        looks.listed(7);
        for _ in 0..ASKED {
            assert_eq!(looks.begun(7), Worth::Request);
            tokio::time::advance(LISTED / 2).await;
            looks.answered(7, true);
        }
        assert_eq!(looks.begun(7), Worth::Nothing, "half a million would be too many");
        looks.listed(7);
        assert_eq!(looks.begun(7), Worth::Request, "another listing");
        tokio::time::advance(LISTED).await;
        assert_eq!(looks.begun(7), Worth::Download, "that was long ago");
        (0..IN_A_ROW).for_each(|_| looks.answered(7, true));
        assert_eq!(looks.begun(7), Worth::Request, "names that a shell listed");
    }

    #[tokio::test(start_paused = true)]
    async fn who_opens_what_it_looked_up_reads() {
        let mut looks = Looks::default();
        for _ in 0..100 {
            assert_eq!(looks.begun(7), Worth::Download, "a stat before each open");
            looks.answered(7, true);
            looks.opened(7);
        }
        for _ in 0..100 {
            assert_eq!(looks.begun(7), Worth::Download, "absent ones cannot be opened");
            looks.answered(7, false);
        }
        looks.listed(7);
        assert_eq!(looks.begun(8), Worth::Download, "another program");
        assert_eq!(looks.begun(7), Worth::Request, "a copy's first file");
        looks.answered(7, true);
        looks.opened(7);
        assert_eq!(looks.begun(7), Worth::Download, "and the next ones");
    }

    #[tokio::test(start_paused = true)]
    async fn many_readers_at_once_are_no_listing() {
        let mut looks = Looks::default();
        for _ in 0..10 {
            for thread in 0..2 * THREADS as u32 {
                assert_eq!(looks.begun(thread), Worth::Download);
            }
            (0..2 * THREADS as u32).for_each(|thread| looks.answered(thread, true));
            assert!(looks.threads.len() <= THREADS);
            (0..2 * THREADS as u32).for_each(|thread| looks.opened(thread));
        }
    }
}
