//! Whole files onto the disk, for nobody who reads them now.
//!
//! A file is asked for in as few requests as can be. What is stored already is not asked for again, so a run that was
//! broken off at any time goes on where it was.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join;
use tokio::time::{Instant, sleep};

use crate::error::{ErrorKind, Result, fail};
use crate::store::disk::Disk;
use crate::store::object::Object;
use crate::store::{Access, BLOCK, Frontier, Plan, Remote, Store};

/// How often what is not on the disk in the end is fetched again: it was pushed out, or found damaged.
const ROUNDS: usize = 3;
/// How long the disk may take to write what was handed to it last.
const WRITTEN: Duration = Duration::from_secs(20);
/// How long the comparison of a file with its checksum may take; what takes longer is compared all the same.
const CHECKED: Duration = Duration::from_secs(60);
/// How long to wait before the disk is looked at again.
const LOOK: Duration = Duration::from_millis(5);
/// Blocks that are asked for to learn whether there are parts.
const PROBE: u64 = 16;

/// In how many transfers at once a file comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lanes {
    /// In one: the other slots have other files to bring.
    One,
    /// In two where parts can be had, because a slot would be idle.
    Two,
}

impl Store {
    /// Brings what is missing of `remote` to the disk, and answers its length. `came` is told of each block that is
    /// there, with its bytes.
    ///
    /// # Errors
    /// What the transfer met. `Corrupt` when it came twice with a wrong checksum. `TooLarge` with the reason when the disk does not take it.
    pub async fn bring(&self, remote: &Remote, lanes: Lanes, came: &(dyn Fn(u64) + Sync)) -> Result<u64> {
        match self.bring_once(remote, lanes, came).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => self.bring_once(remote, lanes, &|_| {}).await,
            brought => brought,
        }
    }

    async fn bring_once(&self, remote: &Remote, lanes: Lanes, came: &(dyn Fn(u64) + Sync)) -> Result<u64> {
        let Some(disk) = &self.0.shared.disk else {
            return fail(ErrorKind::Configuration, "there is no disk cache: set `[cache] size`");
        };
        let object = self.object(remote);
        let length = object.length().await?;
        let blocks = length.div_ceil(BLOCK);
        object.reaches(blocks);
        let mut told = came;
        for _ in 0..ROUNDS {
            self.bring_missing(disk, &object, length, lanes, told).await?;
            told = &|_| {};
            let deadline = Instant::now() + WRITTEN;
            let done = || object.entry().is_some_and(|entry| entry.is_complete()) || blocks == 0;
            while !done() && !disk.is_idle() && disk.used().paused.is_none() && Instant::now() < deadline {
                sleep(LOOK).await;
            }
            if done() {
                return self.checked(remote, &object).await.map(|()| length);
            }
            if let Some(reason) = disk.used().paused {
                return fail(ErrorKind::TooLarge, format!("the disk cache does not take it: {reason}"));
            }
            // What was dropped while too much waited to be written may still be in memory.
            object.keep_all();
        }
        fail(ErrorKind::TooLarge, "the disk cache does not hold it: it is too small, or others need its room")
    }

    /// Waits until what is complete was compared with its checksum, if it has one.
    async fn checked(&self, remote: &Remote, object: &Object) -> Result<()> {
        let deadline = Instant::now() + CHECKED;
        while remote.checksum.is_some()
            && object.entry().is_some_and(|entry| entry.is_complete() && !entry.is_sealed())
            && Instant::now() < deadline
        {
            sleep(LOOK).await;
        }
        let fate = object.state.lock().fate.clone();
        fate.map_or(Ok(()), Err)
    }

    async fn bring_missing(
        &self,
        disk: &Disk,
        object: &Arc<Object>,
        length: u64,
        lanes: Lanes,
        came: &(dyn Fn(u64) + Sync),
    ) -> Result<()> {
        let blocks = length.div_ceil(BLOCK);
        let bring = |run: Range<u64>| self.bring_run(disk, object, run, length, came);
        let parts = matches!(object.remote.access, Access::Parts(_));
        if lanes == Lanes::One || !parts || blocks < 4 * PROBE {
            return bring(0..blocks).await;
        }
        let mut first = 0;
        if object.remote.fetch.ranges().is_none() {
            bring(0..PROBE).await?;
            first = PROBE;
        }
        if object.remote.fetch.ranges() != Some(true) {
            return bring(first..blocks).await;
        }
        let middle = first + (blocks - first) / 2;
        try_join(bring(first..middle), bring(middle..blocks)).await.map(drop)
    }

    /// Block after block: all of the run is asked for at once, and comes while its beginning is waited for.
    async fn bring_run(
        &self,
        disk: &Disk,
        object: &Arc<Object>,
        run: Range<u64>,
        length: u64,
        came: &(dyn Fn(u64) + Sync),
    ) -> Result<()> {
        for block in run.clone() {
            if !object.is_stored(block) {
                // What the disk cannot take now it would drop; what it drops is brought in another round.
                let deadline = Instant::now() + WRITTEN;
                while disk.is_behind() && Instant::now() < deadline {
                    sleep(LOOK).await;
                }
                let plan =
                    Plan { fetch: block..run.end, frontier: Arc::<Frontier>::default(), ..Plan::default() };
                self.read_blocks(object, &(block..block + 1), &plan, length).await?;
            }
            came(BLOCK.min(length - block * BLOCK));
        }
        Ok(())
    }
}
