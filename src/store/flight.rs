//! One transfer: from the first request to the last block, over broken bodies and changed minds.
//!
//! A transfer asks for a run of blocks. A server that ignores the range sends the object from its first
//! byte: then the transfer becomes the object's *stream* and hands out every block that passes. A body that
//! breaks is continued at the missing byte; where the server has no ranges the stream begins again, once,
//! and compares the bytes that it has already handed out.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::backend::Ask;
use crate::error::{Error, ErrorKind, Result, fail};
use crate::fetch::Transfer;
use crate::fetch::retry::Retry;
use crate::fetch::slots::Slot;
use crate::object::ByteRange;
use crate::store::BLOCK;
use crate::store::claim::Carrier;
use crate::store::compare::Compare;
use crate::store::disk::Disk;
use crate::store::object::Object;
use crate::store::turn::{TURN, Turn};
use crate::sys::buffers::Buffer;

/// A body of at most this many bytes is read to its end even if only its length was wanted.
const KEPT: u64 = 256 * 1024;
/// How long one block may take once its transfer has begun (contract.md 4.3).
const BLOCK_LIMIT: Duration = Duration::from_secs(60);
/// How long a transfer that nobody reads from holds its slot.
const PROBE_PATIENCE: Duration = Duration::from_millis(300);
const STREAM_PATIENCE: Duration = Duration::from_secs(10);
const READER_PATIENCE: Duration = Duration::from_secs(1);
/// Blocks that a transfer brings in any case: a connection is slow at first.
const FIRST: u64 = 16;
/// How long a transfer that nobody waits for lets the disk catch up, for each piece.
const DISK_PATIENCE: Duration = Duration::from_millis(20);

const _: () = assert!(Buffer::SIZE as u64 == BLOCK);

/// How a transfer ended when nothing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All that was asked for has been handed out.
    Complete,
    /// Nobody wanted the rest.
    Released,
}

/// What stops one attempt.
enum Break {
    /// No answer at all: `fetch` has tried again already.
    Refused(Error),
    /// The body broke.
    Body(Error),
    /// Another transfer needs the slot more, or nobody wants what comes.
    GiveWay,
}

/// A transfer on its way.
pub(super) struct Flight {
    object: Arc<Object>,
    carrier: Arc<Carrier>,
    /// The blocks asked for; `None` for the whole object.
    asked: Option<Range<u64>>,
    probe: bool,
    /// The block being put together, its number, and the next byte in the object.
    partial: Buffer,
    block: u64,
    /// The block that it began with.
    first: u64,
    /// Checksum of a stream's bytes from 0 to the next byte.
    passed: u32,
    streaming: bool,
    /// When the block being put together must be there.
    deadline: Instant,
    settled: bool,
}

impl Drop for Flight {
    /// A transfer that panics or dies with the runtime must not leave readers waiting.
    fn drop(&mut self) {
        if !self.settled {
            self.object.finish(self.carrier.id, fail(ErrorKind::Internal, "a transfer ended unexpectedly"));
        }
    }
}

impl Flight {
    pub(super) fn new(
        object: Arc<Object>,
        carrier: Arc<Carrier>,
        asked: Option<Range<u64>>,
        probe: bool,
    ) -> Self {
        let block = asked.as_ref().map_or(0, |blocks| blocks.start);
        let streaming = asked.is_none();
        let partial = Buffer::default();
        let deadline = Instant::now() + BLOCK_LIMIT;
        Self {
            object,
            carrier,
            asked,
            probe,
            partial,
            block,
            first: block,
            passed: 0,
            streaming,
            deadline,
            settled: false,
        }
    }

    /// Brings what was asked for, and settles everything that was promised.
    pub(super) async fn run(mut self, slot: Option<Slot>) {
        let end = self.bring(slot).await;
        if let Err(error) = &end {
            tracing::debug!(path = self.object.remote.url.path(), "transfer failed: {error}");
        }
        self.settled = true;
        self.object.finish(self.carrier.id, end);
    }

    async fn bring(&mut self, mut slot: Option<Slot>) -> Result<End> {
        let mut retry = Retry::default();
        let mut restarted = false;
        loop {
            let before = self.block;
            let guess = slot.is_some();
            match self.attempt(slot.take()).await {
                Ok(end) => return Ok(end),
                // What was only a guess fails for nobody; who waits by now makes the next try.
                // That there is nothing, though, is so for everybody.
                Err(Break::Refused(error)) if guess && error.kind() != ErrorKind::NotFound => {
                    if !self.carrier.is_awaited() {
                        self.object.doubt();
                        return Ok(End::Released);
                    }
                }
                Err(Break::Refused(error)) => return Err(error),
                Err(Break::GiveWay) => return Ok(End::Released),
                Err(Break::Body(error)) => {
                    // A whole block: a server that sends a byte and breaks off would be asked for ever.
                    if self.block > before {
                        retry = Retry::default();
                    }
                    // Without ranges each further try costs the whole object again.
                    let costly = self.streaming && self.object.remote.fetch.ranges() == Some(false);
                    if costly && std::mem::replace(&mut restarted, true) {
                        return Err(error);
                    }
                    let Some(delay) = retry.after(&error) else { return Err(error) };
                    sleep(delay).await;
                }
            }
        }
    }

    /// The next byte of the object that is needed.
    fn position(&self) -> u64 {
        self.block * BLOCK + self.partial.as_ref().len() as u64
    }

    fn ask(&self) -> Ask {
        let length = self.object.known_length();
        let range = match (&self.asked, self.position()) {
            (Some(blocks), from) => {
                Some(ByteRange::new(from, (blocks.end * BLOCK).min(length.unwrap_or(u64::MAX))))
            }
            // A stream that broke goes on where it was, if the server can.
            (None, from) if from > 0 && self.object.remote.fetch.ranges() != Some(false) => {
                length.map(|length| ByteRange::new(from, length))
            }
            (None, _) => None,
        };
        // A part that is the whole object is asked for as the published tools do: without `Range`. Before
        // the first answer with a part it is asked for all the same, to learn whether the server can.
        let whole = range.is_some_and(|range| range.start == 0 && Some(range.end) == length);
        let known = self.object.remote.fetch.ranges().is_some();
        Ask { range: range.filter(|_| !(whole && known)), version: self.object.version(), length }
    }

    async fn attempt(&mut self, slot: Option<Slot>) -> std::result::Result<End, Break> {
        let ask = self.ask();
        if ask.range.is_some_and(|range| range.is_empty()) {
            return Ok(End::Complete);
        }
        let object = Arc::clone(&self.object);
        let begun = object.remote.fetch.begin(&object.remote.url, &ask, slot).await;
        let mut transfer = begun.map_err(Break::Refused)?;
        object.learn(&transfer.answer).map_err(Break::Refused)?;
        let mut compare = None;
        if !transfer.answer.partial {
            if !self.streaming {
                if !object.becomes_stream(&self.carrier) {
                    return Ok(End::Complete);
                }
                self.streaming = true;
                self.asked = None;
                (self.block, self.passed) = (0, 0);
                self.partial.clear();
            }
            compare = Some(Compare::new(self.position(), self.passed));
        }
        self.deadline = Instant::now() + BLOCK_LIMIT;
        let mut turn = Turn::new(transfer.answered);
        while let Some(bytes) = self.next_piece(&mut transfer, &mut turn).await? {
            turn.took(bytes.len() as u64);
            let fresh = match &mut compare {
                Some(compare) => compare.skip(bytes).map_err(Break::Refused)?,
                None => bytes,
            };
            self.take_in(fresh);
            if let Some(end) = self.hold_back(&transfer).await {
                return Ok(end);
            }
        }
        if compare.is_some_and(|compare| !compare.is_done()) {
            let message =
                format!("{}: the body ended before the bytes known already", object.remote.url.path());
            return Err(Break::Body(Error::new(ErrorKind::Unavailable, message)));
        }
        self.last_block(&transfer)?;
        Ok(End::Complete)
    }

    /// The next piece of the body, within the time that a block may take.
    async fn next_piece(
        &self,
        transfer: &mut Transfer,
        turn: &mut Turn,
    ) -> std::result::Result<Option<Bytes>, Break> {
        let queue = transfer.queue();
        let piece = async {
            loop {
                let wanted = queue.wanted();
                tokio::pin!(wanted);
                wanted.as_mut().enable();
                if self.object.is_left() && self.may_give_way(0) {
                    return Err(Break::GiveWay);
                }
                let asked = queue.is_wanted() && self.may_give_way(turn.bytes());
                let until = if asked { turn.goes_on_until(self.left()) } else { None };
                if asked && until.is_none() && queue.give_way() {
                    return Err(Break::GiveWay);
                }
                tokio::select! {
                    piece = transfer.chunk() => return piece.map_err(Break::Body),
                    () = wanted => {}
                    () = sleep_until(until.unwrap_or(self.deadline)), if until.is_some() => {}
                }
            }
        };
        match timeout_at(self.deadline, piece).await {
            Ok(piece) => piece,
            Err(_) => {
                let path = self.object.remote.url.path();
                let message = format!("{path}: {BLOCK} bytes took more than {} s", BLOCK_LIMIT.as_secs());
                Err(Break::Refused(Error::new(ErrorKind::TimedOut, message)))
            }
        }
    }

    /// Whether the slot may go to another transfer that is waited for: when nobody waits for this one, or it
    /// has had its turn. Where there are no parts, giving way would cost all of the bytes again.
    fn may_give_way(&self, turn: u64) -> bool {
        let costly = self.streaming && self.object.remote.fetch.ranges() != Some(true);
        let awaited = self.carrier.is_awaited() || self.object.awaits_end();
        !costly && (!awaited || turn >= TURN)
    }

    /// Bytes that are missing of what was asked for; `None` for the whole object.
    fn left(&self) -> Option<u64> {
        self.asked.as_ref().map(|blocks| (blocks.end * BLOCK).saturating_sub(self.position()))
    }

    /// Puts arrived bytes into blocks and hands out each block that is full.
    fn take_in(&mut self, mut bytes: Bytes) {
        if self.streaming {
            self.passed = crc32c::crc32c_append(self.passed, &bytes);
        }
        while !bytes.is_empty() {
            bytes.advance(self.partial.fill(&bytes));
            if self.partial.as_ref().len() == Buffer::SIZE {
                self.hand_out();
            }
        }
    }

    fn hand_out(&mut self) {
        self.deadline = Instant::now() + BLOCK_LIMIT;
        // A short block would keep a whole buffer.
        let bytes = if self.partial.as_ref().len() < Buffer::SIZE {
            let short = Bytes::copy_from_slice(self.partial.as_ref());
            self.partial.clear();
            short
        } else {
            Bytes::from_owner(std::mem::take(&mut self.partial))
        };
        self.object.publish(self.block, bytes, self.carrier.id);
        self.block += 1;
    }

    /// The body has ended: the object's last block may be a short one, and its length is now known.
    fn last_block(&mut self, transfer: &Transfer) -> std::result::Result<(), Break> {
        let position = self.position();
        let length = transfer.answer.total.or(self.object.known_length()).unwrap_or(position);
        let path = self.object.remote.url.path();
        let asked_end = self.asked.as_ref().map_or(length, |blocks| length.min(blocks.end * BLOCK));
        if position < asked_end {
            let message = format!("{path}: the body ended {} bytes too early", asked_end - position);
            return Err(Break::Body(Error::new(ErrorKind::Unavailable, message)));
        }
        if position > length {
            self.object.is_told(position);
            let message = format!("{path} has {position} bytes on the server, not {length}");
            return Err(Break::Refused(Error::new(ErrorKind::Changed, message)));
        }
        if position == length {
            if self.object.known_length().is_none() {
                self.object.ended_at(length);
            }
            if !self.partial.as_ref().is_empty() {
                self.hand_out();
            }
        }
        Ok(())
    }

    /// Waits while nobody wants what comes next, so that a look at a length does not download a file and a
    /// stream does not push out of memory what has not been read. `Some` when the wait was in vain.
    async fn hold_back(&mut self, transfer: &Transfer) -> Option<End> {
        let object = Arc::clone(&self.object);
        let wanted = object.wanted();
        let moved = || object.wanted() != wanted || object.owes(self.carrier.id) || object.awaits_end();
        if object.shared.disk.as_ref().is_some_and(Disk::is_behind) && !self.carrier.is_awaited() {
            // What cannot be written now would have to be fetched again one day.
            object.comes_to(DISK_PATIENCE, moved).await;
        }
        let position = self.position();
        let in_time = if self.probe && wanted.is_none() && self.streaming {
            // A length that no header tells is found at the end only.
            let small = transfer.answer.total.is_some_and(|total| total <= KEPT);
            small || object.awaits_end() || object.comes_to(PROBE_PATIENCE, moved).await
        } else if self.streaming {
            let window = object.shared.memory.capacity() / 2;
            let fits = object.known_length().is_some_and(|length| length <= window);
            let behind = (wanted.unwrap_or(0) + 1) * BLOCK + window;
            fits || position <= behind || moved() || object.comes_to(STREAM_PATIENCE, moved).await
        } else {
            // The request asked for more than the reads so far are worth.
            let queue = transfer.queue();
            let goes_on = || {
                let worth = object.reach().max(self.first + FIRST);
                self.block < worth || self.carrier.is_awaited() || object.is_left() || queue.is_wanted()
            };
            goes_on() || object.comes_to(READER_PATIENCE, goes_on).await
        };
        self.deadline = Instant::now() + BLOCK_LIMIT;
        (!in_time).then_some(End::Released)
    }
}
