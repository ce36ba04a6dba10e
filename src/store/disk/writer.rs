//! Blocks on their way to the disk: a bounded queue and one thread. Who hands a block over never waits.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tokio::time::Instant;

use crate::store::BLOCK;
use crate::store::disk::Inner;
use crate::store::disk::entry::Entry;
use crate::store::disk::opening::Denied;
use crate::store::disk::sweep;
use crate::store::disk::{root::Root, space};
use crate::sys::files;

/// How many waiting blocks are looked through for the next one of a run.
const SEARCHED: usize = 256;
/// How often files that were removed under us are let go of.
const TIDY: Duration = Duration::from_secs(30);

/// What is to be written.
pub(super) struct Queue {
    pending: Mutex<Pending>,
    work: Condvar,
    idle: Condvar,
    /// Most bytes that wait.
    room: usize,
    /// Most bytes that are written at once.
    run: usize,
}

#[derive(Default)]
struct Pending {
    jobs: VecDeque<Job>,
    bytes: usize,
    busy: bool,
    closed: bool,
}

enum Job {
    Store(Arc<Entry>, u64, Bytes),
    Touch(Arc<Entry>),
}

/// What the thread does next.
enum Next {
    /// Consecutive blocks of one entry.
    Store(Arc<Entry>, u64, Vec<Bytes>),
    Touch(Arc<Entry>),
    Idle,
    End,
}

/// For the thread that writes down what is complete: that takes as long as the disk needs.
pub(super) enum Seal {
    Entry(Arc<Entry>),
    /// Answered when all before it is done.
    Ping(SyncSender<()>),
}

impl Queue {
    pub(super) fn new(room: usize, run: u64) -> Self {
        let run = usize::try_from(run.max(BLOCK)).unwrap_or(usize::MAX);
        Self { pending: Mutex::default(), work: Condvar::new(), idle: Condvar::new(), room, run }
    }

    /// Hands a block over; `false` if it is dropped, because too many wait.
    pub(super) fn put(&self, entry: Arc<Entry>, block: u64, bytes: Bytes) -> bool {
        let mut pending = self.pending.lock();
        if pending.closed {
            return true;
        }
        let fits = pending.bytes + bytes.len() <= self.room;
        if fits {
            pending.bytes += bytes.len();
            pending.jobs.push_back(Job::Store(entry, block, bytes));
            drop(pending);
            self.work.notify_one();
        }
        fits
    }

    pub(super) fn is_nearly_full(&self) -> bool {
        self.pending.lock().bytes > self.room / 4 * 3
    }

    pub(super) fn is_idle(&self) -> bool {
        let pending = self.pending.lock();
        pending.jobs.is_empty() && !pending.busy
    }

    /// Marks the entry as used now.
    pub(super) fn touch(&self, entry: Arc<Entry>) {
        self.pending.lock().jobs.push_back(Job::Touch(entry));
        self.work.notify_one();
    }

    pub(super) fn close(&self) {
        self.pending.lock().closed = true;
        self.work.notify_all();
    }

    /// Waits until all is written; `false` when it takes longer than `limit`.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut pending = self.pending.lock();
        while pending.busy || !pending.jobs.is_empty() {
            if self.idle.wait_until(&mut pending, deadline.into_std()).timed_out() {
                return false;
            }
        }
        true
    }

    fn next(&self) -> Next {
        let mut pending = self.pending.lock();
        pending.busy = false;
        if pending.jobs.is_empty() {
            self.idle.notify_all();
        }
        while pending.jobs.is_empty() {
            if pending.closed {
                return Next::End;
            }
            if self.work.wait_for(&mut pending, TIDY).timed_out() && pending.jobs.is_empty() {
                return Next::Idle;
            }
        }
        pending.busy = true;
        match pending.jobs.pop_front() {
            Some(Job::Store(entry, first, bytes)) => {
                let parts = pending.rest_of_run(&entry, first, bytes, self.run);
                pending.bytes -= parts.iter().map(Bytes::len).sum::<usize>();
                Next::Store(entry, first, parts)
            }
            Some(Job::Touch(entry)) => Next::Touch(entry),
            None => Next::Idle,
        }
    }
}

impl Pending {
    /// The blocks behind `first` that wait, too; those of other entries may stand between.
    fn rest_of_run(&mut self, entry: &Arc<Entry>, first: u64, bytes: Bytes, most: usize) -> Vec<Bytes> {
        let mut size = bytes.len();
        let mut parts = vec![bytes];
        let mut at = 0;
        while at < self.jobs.len().min(SEARCHED) && size < most {
            let next = first + parts.len() as u64;
            let fits = matches!(&self.jobs[at], Job::Store(other, block, bytes)
                if *block == next && Arc::ptr_eq(other, entry) && size + bytes.len() <= most);
            match fits.then(|| self.jobs.remove(at)).flatten() {
                Some(Job::Store(_, _, bytes)) => {
                    size += bytes.len();
                    parts.push(bytes);
                }
                _ => at += 1,
            }
        }
        parts
    }
}

/// The writing thread; it ends when the tier is gone.
pub(super) fn write_all(queue: &Queue, disk: &Weak<Inner>) {
    let mut tidied = Instant::now();
    loop {
        let next = queue.next();
        if tidied.elapsed() >= TIDY
            && let Some(disk) = disk.upgrade()
        {
            disk.tidy();
            tidied = Instant::now();
        }
        match next {
            Next::Store(entry, first, parts) => store(&entry, first, &parts),
            Next::Touch(entry) => {
                if let Some(handle) = &*entry.slot.read() {
                    let _ = files::touch(&handle.map);
                }
            }
            Next::Idle => {}
            Next::End => return,
        }
    }
}

/// The sealing thread; it ends when the tier is gone.
pub(super) fn seal_all(complete: &Receiver<Seal>) {
    while let Ok(next) = complete.recv() {
        match next {
            Seal::Entry(entry) => entry.seal(),
            Seal::Ping(answer) => drop(answer.send(())),
        }
    }
}

/// How far writing came.
enum Written {
    All,
    /// Nothing is to be written any more.
    Nothing,
    /// There is no room any more.
    Full(u64),
}

fn store(entry: &Arc<Entry>, first: u64, parts: &[Bytes]) {
    let disk = &entry.disk;
    if entry.is_ended() || !disk.health.may_write() {
        return;
    }
    let stored = disk.root_to_write().and_then(|root| {
        let written = write(entry, &root, first, parts)?;
        let Written::Full(wanted) = written else { return Ok(written) };
        disk.tidy();
        match sweep::make_room(disk, &root, wanted)? {
            true => write(entry, &root, first, parts),
            false => Ok(Written::Full(wanted)),
        }
    });
    match stored {
        Ok(Written::All) => disk.health.recovered(),
        Ok(Written::Nothing) => {}
        Ok(Written::Full(_)) => disk.health.pause(disk.space.complaint(), false),
        Err(error) => disk.failed(&error),
    }
    if entry.is_complete() {
        // When there is too much to do, it is written down another time.
        let _ = disk.sealing.try_send(Seal::Entry(Arc::clone(entry)));
    }
}

fn write(entry: &Arc<Entry>, root: &Root, first: u64, parts: &[Bytes]) -> io::Result<Written> {
    let map = entry.identity.map_bytes();
    let handle = match entry.writable() {
        Ok(handle) => handle,
        Err(Denied::Full) => return Ok(Written::Full(space::of_object(map + 4096))),
        Err(Denied::No) => return Ok(Written::Nothing),
        Err(Denied::Failed(error)) => return Err(error),
    };
    let end = first + parts.len() as u64;
    // Another process may have stored some; a file that it has completed must not be touched.
    let there = handle.table(first..end)?;
    let mut block = first;
    while block < end {
        let index = |block: u64| usize::try_from(block - first).unwrap_or(usize::MAX);
        if there.get(index(block)).is_some_and(Option::is_some) {
            entry.mark(block);
            block += 1;
            continue;
        }
        let stop = (block..end).find(|block| there.get(index(*block)).is_some_and(Option::is_some));
        let run = block..stop.unwrap_or(end);
        let cost = space::of_blocks(&run, entry.length());
        if !entry.disk.space.take(root, cost)? {
            return Ok(Written::Full(cost));
        }
        let run_parts: Vec<&[u8]> =
            parts[index(run.start)..index(run.end)].iter().map(|part| &**part).collect();
        handle.write(&entry.key, run.start, &run_parts)?;
        for written in run.clone() {
            handle.trust(written);
            entry.mark(written);
        }
        block = run.end;
    }
    Ok(Written::All)
}
