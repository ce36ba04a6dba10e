//! Recognises readers who go through the chunks of an array in even steps, by arithmetic on the places in its grid.
//!
//! A walk is a start and some axes, the innermost first: along each of them a step, forwards or backwards, and how
//! many places there are before the next axis goes one step on. So a time series is one axis, a scan of maps three; the
//! places of a walk are numbered, and what comes next is the next number. A walk begins with three places in a row. It
//! gets a further axis when a reader comes back to its beginning, moved along that axis; since that may also be another
//! reader, the shorter walk stays, too.
//!
//! Reads need not come in order: threads and asynchronous readers mix them. A guess that nobody has read a while later
//! was wrong: then more has to be seen before the next one is made, and nothing is guessed beyond it until somebody goes
//! there, since programs take the same period at one point after another.

use std::collections::VecDeque;

/// Walks of one array that are known at once.
const WALKS: usize = 16;
/// Reads that are remembered: eight readers who take turns are seen at their third.
const HISTORY: usize = 32;
/// How far a read may be ahead of its walk, or behind it.
const AHEAD: u64 = 16;
const BEHIND: u64 = 32;
/// A guess is wrong when so many reads came since.
const PATIENCE: u64 = 20;
/// Of so many places that a walk has read it may be one ahead: what it asked for in vain when it ends. Requests are
/// counted by the month (protocol.md 4.5); a quarter keeps most of the gain, since it takes few ahead to hide a round trip.
const FOR_ONE_AHEAD: u64 = 4;
/// The most that has to be seen before the next guess.
const MOST_PROOF: u32 = 64;

/// A place in a grid, one coordinate for each dimension.
pub type Place = Vec<u64>;

/// What came of a read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// It had been guessed.
    pub was_guessed: bool,
    /// What to ask for, the nearest first.
    pub ask: Vec<Place>,
}

/// The readers of one array.
#[derive(Debug)]
pub struct Strides {
    /// Chunks along each dimension.
    counts: Vec<u64>,
    /// The one that moved last first.
    walks: Vec<Walk>,
    history: VecDeque<Place>,
    /// Places that readers have asked for and wait for, as far as known.
    awaited: VecDeque<Place>,
    /// Guesses that nobody has read yet.
    open: VecDeque<Guess>,
    reads: u64,
    /// How often a walk must be right before it may guess.
    proof: u32,
    /// The read at which a guess was found wrong last.
    wrong: Option<u64>,
    /// Where walks ended, the last one of each axis and direction.
    ends: Vec<End>,
}

#[derive(Debug)]
struct Guess {
    place: Place,
    /// Where it is if nobody goes there.
    end: End,
    /// The number of the read that it was made at.
    made: u64,
    /// It was there already, and cost nothing.
    free: bool,
}

/// The coordinate on an axis that nobody who came near went on to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    axis: usize,
    forward: bool,
    at: u64,
}

/// A reader's way through the grid.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Walk {
    start: Place,
    /// The innermost first; never empty.
    axes: Vec<Axis>,
    /// The furthest number that was read.
    done: u64,
    /// How often it was right since the last wrong guess.
    hits: u32,
    /// The number of the read that moved it last.
    moved: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Axis {
    axis: usize,
    step: i64,
    /// Places along it. **Invariant**: unknown for the outermost axis and for no other.
    count: Option<u64>,
}

impl Strides {
    /// Of an array with so many chunks along each dimension.
    pub fn new(counts: &[u64]) -> Self {
        Self {
            counts: counts.to_vec(),
            walks: Vec::new(),
            history: VecDeque::new(),
            awaited: VecDeque::new(),
            open: VecDeque::new(),
            reads: 0,
            proof: 1,
            wrong: None,
            ends: Vec::new(),
        }
    }

    /// Notes that a reader has asked for the chunk at `place`. It may still only look.
    pub fn awaits(&mut self, place: &[u64]) {
        self.awaited.truncate(HISTORY - 1);
        self.awaited.push_front(place.to_vec());
    }

    /// Notes that the chunk at `place` is read, and says which to ask for: with those that were asked for and not read
    /// yet at most `most`.
    pub fn read(&mut self, place: &[u64], most: usize) -> Step {
        if place.len() != self.counts.len() || self.history.contains(&place.to_vec()) {
            return Step::default();
        }
        self.reads += 1;
        self.awaited.retain(|awaited| awaited != place);
        let guess =
            self.open.iter().position(|guess| guess.place == place).and_then(|at| self.open.remove(at));
        let was_guessed = guess.is_some_and(|guess| !guess.free);
        if was_guessed {
            self.proof = self.proof.saturating_sub(1).max(1);
        }
        self.judge();
        self.ends.retain(|end| !end.is_before(place));
        let walk = self.follow(place).or_else(|| self.turn(place)).or_else(|| self.begin(place));
        self.history.truncate(HISTORY - 1);
        self.history.push_front(place.to_vec());
        let Some(mut walk) = walk else { return Step { was_guessed, ask: Vec::new() } };
        walk.moved = self.reads;
        let ask = self.guess(&walk, most);
        self.walks.insert(0, walk);
        self.walks.truncate(WALKS);
        Step { was_guessed, ask }
    }

    /// A guess could not be asked for now.
    pub fn retract(&mut self, place: &[u64]) {
        self.open.retain(|guess| guess.place != place);
    }

    /// A guess was there already.
    pub fn was_there(&mut self, place: &[u64]) {
        self.open.iter_mut().filter(|guess| guess.place == place).for_each(|guess| guess.free = true);
    }

    /// Guesses that nobody will read any more, it seems; several at a time count once.
    fn judge(&mut self) {
        while self.open.front().is_some_and(|guess| guess.made + PATIENCE < self.reads) {
            let Some(guess) = self.open.pop_front() else { return };
            if !guess.free && self.wrong.is_none_or(|wrong| wrong + PATIENCE < self.reads) {
                self.wrong = Some(self.reads);
                self.proof = (self.proof * 2).min(MOST_PROOF);
                self.walks.iter_mut().for_each(|walk| walk.hits = 0);
                self.ends.retain(|end| (end.axis, end.forward) != (guess.end.axis, guess.end.forward));
                self.ends.push(guess.end);
            }
        }
    }

    /// The walk that comes to `place` next, moved on to it.
    fn follow(&mut self, place: &[u64]) -> Option<Walk> {
        let distance = |walk: &Walk| {
            let number = walk.number(place)?;
            let near = number <= walk.done + AHEAD && number + BEHIND > walk.done;
            near.then(|| number.abs_diff(walk.done + 1))
        };
        let near = self.walks.iter().enumerate().filter_map(|(at, walk)| Some((distance(walk)?, at)));
        let (_, at) = near.min()?;
        let mut walk = self.walks.remove(at);
        let number = walk.number(place)?;
        if number > walk.done {
            walk.done = number;
            walk.hits = walk.hits.saturating_add(1);
        }
        Some(walk)
    }

    /// A walk that came back to its beginning, moved along another axis.
    fn turn(&self, place: &[u64]) -> Option<Walk> {
        self.walks.iter().find_map(|walk| {
            let (axis, step) = only_difference(&walk.start, place)?;
            if walk.axes.iter().any(|known| known.axis == axis) {
                return None;
            }
            let mut turned = walk.clone();
            let inner = walk.inner();
            turned.axes.last_mut()?.count = Some(walk.done / inner + 1);
            turned.done = inner.checked_mul(walk.done / inner + 1)?;
            turned.axes.push(Axis { axis, step, count: None });
            // Perhaps it is another reader: the next one will tell.
            turned.hits = 0;
            Some(turned)
        })
    }

    /// A walk that begins with two places read lately and `place`, in a row.
    fn begin(&self, place: &[u64]) -> Option<Walk> {
        self.history.iter().find_map(|before| {
            let (axis, step) = only_difference(before, place)?;
            let mut start = before.clone();
            start[axis] = start[axis].checked_add_signed(step.checked_neg()?)?;
            let axes = vec![Axis { axis, step, count: None }];
            self.history.contains(&start).then_some(Walk { start, axes, done: 2, hits: 1, moved: 0 })
        })
    }

    fn guess(&mut self, walk: &Walk, most: usize) -> Vec<Place> {
        if walk.hits < self.proof {
            return Vec::new();
        }
        // Twice as many for each time that it was right, but no more than its share among those under way, nor than what
        // it may ask for in vain: every walk ends somewhere.
        let under_way =
            1 + self.walks.iter().filter(|other| other.moved + HISTORY as u64 > self.reads).count();
        let share = ((most / under_way).max(1) as u64).min((walk.done / FOR_ONE_AHEAD).max(1));
        let depth = share.min(1 << (walk.hits - self.proof + 1).min(16));
        let mut ask = Vec::new();
        // What other readers ask for already is not ahead of them.
        let mut last = walk.done + depth;
        for number in walk.done + 1..=last + HISTORY as u64 {
            if number > last || self.open.len() >= most {
                break;
            }
            let Some(place) = walk.place(number, &self.counts) else { break };
            if self.awaited.contains(&place) {
                last += 1;
                continue;
            }
            if self.ends.iter().any(|end| walk.ends_at(*end) && end.is_before(&place)) {
                break;
            }
            if !self.history.contains(&place) && !self.open.iter().any(|guess| guess.place == place) {
                let Some(end) = walk.end(&place) else { break };
                self.open.push_back(Guess { place: place.clone(), end, made: self.reads, free: false });
                ask.push(place);
            }
        }
        ask
    }
}

impl End {
    /// Whether `place` lies at it or beyond.
    fn is_before(self, place: &[u64]) -> bool {
        if self.forward { place[self.axis] >= self.at } else { place[self.axis] <= self.at }
    }
}

impl Walk {
    /// The end that it has if nobody goes on to `place`: on its outermost axis, as those of the others are known.
    fn end(&self, place: &[u64]) -> Option<End> {
        let outermost = self.axes.last()?;
        Some(End { axis: outermost.axis, forward: outermost.step > 0, at: place[outermost.axis] })
    }

    /// Whether it goes along the axis of `end` in that direction.
    fn ends_at(&self, end: End) -> bool {
        self.axes.last().is_some_and(|outer| outer.axis == end.axis && (outer.step > 0) == end.forward)
    }

    /// Places in one step of the outermost axis.
    fn inner(&self) -> u64 {
        self.axes.iter().filter_map(|axis| axis.count).product::<u64>().max(1)
    }

    /// The number of a place, if the walk comes to it.
    fn number(&self, place: &[u64]) -> Option<u64> {
        let on_axis = |dimension: usize| self.axes.iter().any(|axis| axis.axis == dimension);
        let mut places = self.start.iter().zip(place).enumerate();
        if !places.all(|(dimension, (start, at))| start == at || on_axis(dimension)) {
            return None;
        }
        let (mut number, mut unit) = (0u64, 1u64);
        for axis in &self.axes {
            let moved = i128::from(place[axis.axis]) - i128::from(self.start[axis.axis]);
            let step = i128::from(axis.step);
            let digit = u64::try_from(moved / step).ok().filter(|_| moved % step == 0)?;
            if axis.count.is_some_and(|count| digit >= count) {
                return None;
            }
            number = number.checked_add(digit.checked_mul(unit)?)?;
            unit = unit.checked_mul(axis.count.unwrap_or(1))?;
        }
        Some(number)
    }

    /// The place with a number, if it is in the grid.
    fn place(&self, number: u64, counts: &[u64]) -> Option<Place> {
        let (mut rest, mut place) = (number, self.start.clone());
        for axis in &self.axes {
            let digit = axis.count.map_or(rest, |count| rest % count);
            rest /= axis.count.unwrap_or(u64::MAX);
            let moved = axis.step.checked_mul(i64::try_from(digit).ok()?)?;
            let at = place[axis.axis].checked_add_signed(moved)?;
            place[axis.axis] = Some(at).filter(|at| *at < counts[axis.axis])?;
        }
        Some(place)
    }
}

/// Along which dimension two places differ, and by how much, if it is one alone.
fn only_difference(from: &[u64], to: &[u64]) -> Option<(usize, i64)> {
    let mut differ = from.iter().zip(to).enumerate().filter(|(_, (from, to))| from != to);
    let (axis, (from, to)) = differ.next()?;
    let step = i64::try_from(i128::from(*to) - i128::from(*from)).ok()?;
    differ.next().is_none().then_some((axis, step))
}

#[cfg(test)]
mod tests;
