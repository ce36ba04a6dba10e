//! Where reads of one file stand, and how much to fetch for the next one.
//!
//! Few bytes on a jump, many on a run (read-path.md 5.1): a read that continues an earlier one gets a
//! window that grows with the run. The kernel's own read-ahead arrives out of order and from several
//! threads, and several programs read one file at once, so a file has a few cursors, each with some
//! tolerance (read-path.md 5.3).

use std::sync::Arc;

use crate::object::ByteRange;
use crate::reader::codestream::has_no_index;
use crate::store::{BLOCK, Format, Frontier, Plan, covering};

/// Runs that are followed at once in one file.
const CURSORS: usize = 4;
/// A read continues a run if it ends at most so far before the run's end, or begins so far behind it.
const BACK: u64 = 256 * 1024;
const FORWARD: u64 = 512 * 1024;
/// Of a run at least this part was read.
const DENSE: u64 = 8;
/// Bytes of a run before anything is fetched ahead of it.
const PROVEN: u64 = 256 * 1024;
/// From here on a run is not going to end soon: its window grows faster.
const LONG: u64 = 1024 * 1024;
/// A first read of so much at offset 0 is a copy's: what a program asks for in less, the kernel asks for in
/// less. The window then covers the kernel's read-ahead, too (read-path.md 5.7).
const COPY: u64 = 128 * 1024;
const COPY_WINDOW: u64 = LONG + COPY;
/// netCDF reads so much at offset 0 when it opens a file, and then jumps (read-path.md 3).
const HEADERS: u64 = 4 * 1024 * 1024;
/// A file of at most so many bytes comes in one go.
const SMALL: u64 = 256 * 1024;
/// Of each tile at most so many bytes are read before the next one, which lies at most so far behind: its header,
/// or its lowest resolutions.
const TILE_PART: u64 = 512 * 1024;
const TILE: u64 = 8 * 1024 * 1024;
/// Who walks the headers of tiles reads so much of each.
const TILE_HEADER: u64 = 16 * 1024;
/// The last bytes of a file, which hold boxes behind its tiles: GDAL looks at them when it opens one.
const TAIL: u64 = 64 * 1024;
/// So many tiles touched in a row: all of them will be (read-path.md 1.1).
const TILES: u32 = 3;
/// So many places read and left again: an overview, which reads all tiles, in whatever order its threads come to them.
const PLACES: usize = 6;
const PLACE: u64 = 1024 * 1024;
/// Or so many steps of one length, of so many places at least: threads of one program begin in rows of their own.
const ROWS: usize = 3;
const ROW: u64 = 4;

/// The runs of reads in one file, most recent first.
#[derive(Debug, Default)]
pub struct Cursors {
    runs: Vec<Run>,
    /// Tiles that were jumped to in a row.
    tiles: u32,
    /// Places of which more than a look was read, at most [`PLACES`].
    places: Vec<u64>,
    /// Whether those lie in even steps.
    in_rows: bool,
    /// Whether its head tells that there is no other way to a tile than over all those before it.
    no_index: bool,
    /// Whether a tile of such a file was read.
    begins_walk: bool,
}

#[derive(Clone, Debug, Default)]
struct Run {
    start: u64,
    end: u64,
    /// Bytes that were read of it.
    read: u64,
    /// It began at offset 0 as a copy does.
    copied: bool,
    frontier: Arc<Frontier>,
}

impl Cursors {
    /// Notes a read of `range` in a file of `length` bytes and says what to fetch for it.
    pub fn plan(&mut self, range: ByteRange, length: u64, format: Format) -> Plan {
        let run = self.follow(range);
        let blocks = covering(range);
        // The kernel reads some way ahead of who looks at the head only, which costs nothing within its block.
        let in_tiles = range.end > BLOCK && range.end.saturating_add(TAIL) < length;
        self.begins_walk |= self.no_index && in_tiles;
        let whole = format == Format::Jpeg2000 && self.walks_tiles();
        let window = match self.piece(&run, format) {
            _ if whole || length <= SMALL => length,
            piece if run.length() < 2 * piece => piece.saturating_sub(run.length()),
            // The kernel asks for a little more than a program that looks at the headers.
            _ if (range.start, format) == (0, Format::Scattered) => window(&run, range, format).max(COPY / 2),
            _ => window(&run, range, format),
        };
        let left = length.div_ceil(BLOCK).saturating_sub(blocks.end);
        let window = window.div_ceil(BLOCK).min(left);
        let runs_on = whole || (run.copied && !opens_scattered(&run, format)) || run.length() >= HEADERS;
        // Among scattered pieces nothing is asked for on the side before a run is long.
        let scattered = match format {
            Format::Scattered => true,
            Format::Jpeg2000 => !whole && !run.copied,
            Format::Other => false,
        };
        let ahead = if scattered && run.length() < HEADERS { 0 } else { window };
        Plan { fetch: blocks.start..blocks.end + window, ahead, runs_on, whole, frontier: run.frontier }
    }

    /// Takes in the first bytes of the file, which may tell how its tiles are found.
    pub fn learn(&mut self, head: &[u8], format: Format) {
        self.no_index |= format == Format::Jpeg2000 && has_no_index(head);
    }

    /// Whether one run goes from the first to the last of `length` bytes.
    pub fn reached(&self, length: u64) -> bool {
        length == 0 || self.runs.iter().any(|run| run.start == 0 && run.end >= length)
    }

    /// OpenJPEG before 2.5.3 walks all tile headers of a file before it decodes a window: some 120 jumps,
    /// evenly spaced; every version does where the file has no index. An overview reads all tiles. One request each would cost
    /// a round trip each; the whole file costs less.
    fn walks_tiles(&self) -> bool {
        self.begins_walk || self.tiles >= TILES || self.places.len() >= PLACES || self.in_rows
    }

    /// Bytes that are likely to be read at the place of a jump: as many as at another place lately, or a tile once more
    /// than its header is read.
    fn piece(&self, run: &Run, format: Format) -> u64 {
        let others = self.runs.iter().skip(1).filter(|run| run.start > 0);
        let most = others.map(|run| run.read.min(run.length())).max().unwrap_or_default();
        match format {
            Format::Jpeg2000 if run.end > COPY && run.length() > TILE_HEADER => LONG,
            _ if most >= PROVEN && run.start > 0 => most.min(LONG),
            _ => 0,
        }
    }

    fn follow(&mut self, range: ByteRange) -> Run {
        let continues = |run: &Run| {
            range.end.saturating_add(BACK) >= run.end && range.start <= run.end.saturating_add(FORWARD)
        };
        let run = match self.runs.iter().position(continues) {
            Some(index) => {
                let run = self.runs.remove(index);
                let copied = run.copied || copies(range);
                let (start, end) = (run.start.min(range.start), run.end.max(range.end));
                Run { start, end, read: run.read + range.len(), copied, ..run }
            }
            None => {
                self.note_jump(range);
                let (start, end, read) = (range.start, range.end, range.len());
                Run { start, end, read, copied: copies(range), ..Run::default() }
            }
        };
        self.runs.truncate(CURSORS - 1);
        self.runs.insert(0, run.clone());
        run
    }

    /// Whether `range` is the third of three places in even steps from the first tile on: an overview, as a window that
    /// begins there mostly has neighbouring tiles.
    fn begins_rows(&self, range: ByteRange) -> bool {
        let [one, other, ..] = &self.runs[..] else { return false };
        let reads_first = [one, other].iter().any(|run| run.start == 0 && run.end > COPY);
        let places = [range.start, one.start, other.start].map(|start| start / PLACE);
        reads_first && goes_down_a_column(&places, 2)
    }

    fn note_jump(&mut self, range: ByteRange) {
        let Some(last) = self.runs.first() else { return };
        let read = self.runs.iter().filter(|run| run.length() >= PROVEN);
        for place in read.map(|run| run.start / PLACE) {
            if self.places.len() < PLACES && !self.places.contains(&place) {
                self.places.push(place);
                self.in_rows |= goes_down_a_column(&self.places, ROWS);
            }
        }
        self.in_rows |= self.begins_rows(range);
        let short = (last.start == 0 || last.length() <= TILE_PART) && range.len() <= TILE_PART;
        let forward = range.start > last.end && range.start - last.end <= TILE;
        if short && forward {
            self.tiles += 1;
        } else if !self.walks_tiles() {
            self.tiles = 0;
        }
    }
}

impl Run {
    fn length(&self) -> u64 {
        self.end - self.start
    }
}

/// Whether places lie in even steps. A window lies in neighbouring tiles; who reads one tile of each row goes through
/// all columns.
fn goes_down_a_column(places: &[u64], steps: usize) -> bool {
    let mut places = places.to_vec();
    places.sort_unstable();
    let gaps: Vec<u64> = places.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let (least, most) = (gaps.iter().min(), gaps.iter().max());
    gaps.len() >= steps && least.zip(most).is_some_and(|(least, most)| *least >= ROW && most - least <= 1)
}

/// Whether a copy begins with this read.
fn copies(range: ByteRange) -> bool {
    range.start == 0 && range.len() >= COPY
}

/// Bytes to fetch behind a read.
fn window(run: &Run, range: ByteRange, format: Format) -> u64 {
    let grown = match run.length() {
        // One read is no run, however long: it may be the kernel's own read-ahead.
        _ if (run.start, run.end) == (range.start, range.end) => 0,
        // Nor are jumps that happened to end near each other.
        length if run.read < length / DENSE => 0,
        ..PROVEN => 0,
        PROVEN..HEADERS if format == Format::Scattered => run.length() / 2,
        PROVEN..HEADERS if format == Format::Jpeg2000 => run.length().min(LONG),
        PROVEN..LONG => run.length(),
        HEADERS.. if run.copied => u64::MAX,
        length => length.saturating_mul(4),
    };
    let window = if run.copied { grown.max(COPY_WINDOW) } else { grown };
    if opens_scattered(run, format) { window.min(HEADERS - run.end) } else { window }
}

/// Whether a run is still among the headers of a file whose data lies anywhere.
fn opens_scattered(run: &Run, format: Format) -> bool {
    format == Format::Scattered && run.start == 0 && run.end <= HEADERS
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: u64 = 1024;
    const LARGE: u64 = 1 << 40;

    fn read(cursors: &mut Cursors, start: u64, len: u64) -> Plan {
        cursors.plan(ByteRange::new(start, start + len), LARGE, Format::Other)
    }

    fn fetched(plan: &Plan) -> u64 {
        plan.fetch.end - plan.fetch.start
    }

    #[test]
    fn a_jump_fetches_its_own_blocks_only() {
        let mut cursors = Cursors::default();
        for start in [0, 700 * K * K, 90 * K * K, 300 * K * K] {
            let plan = read(&mut cursors, start, 4 * K);
            assert_eq!((fetched(&plan), plan.ahead), (1, 0));
        }
    }

    #[test]
    fn a_run_grows_even_out_of_order() {
        let mut cursors = Cursors::default();
        let mut order: Vec<u64> = (0..128).collect();
        order.chunks_mut(2).for_each(<[u64]>::reverse);
        let plans: Vec<Plan> =
            order.iter().map(|n| read(&mut cursors, 900 * K * K + n * 128 * K, 128 * K)).collect();
        assert_eq!((plans[0].ahead, plans[1].ahead), (0, 256 * K / BLOCK));
        assert_eq!(plans.last().map(|plan| plan.ahead), Some(4 * 128 * 128 * K / BLOCK));
    }

    #[test]
    fn one_read_is_no_run_however_long() {
        let mut cursors = Cursors::default();
        assert_eq!(read(&mut cursors, 700 * K, 512 * K).ahead, 0);
        assert!(read(&mut cursors, 1212 * K, 512 * K).ahead > 0);
    }

    #[test]
    fn jumps_near_each_other_are_no_run() {
        let mut cursors = Cursors::default();
        read(&mut cursors, 700 * K, 4 * K);
        assert_eq!(fetched(&read(&mut cursors, 1200 * K, 4 * K)), 1);
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
    fn a_copy_is_seen_at_its_first_read_and_a_look_at_the_header_is_none() {
        let plan = read(&mut Cursors::default(), 0, 128 * K);
        assert_eq!((fetched(&plan), plan.runs_on), ((COPY + COPY_WINDOW) / BLOCK, true));
        assert_eq!(fetched(&read(&mut Cursors::default(), 0, 16 * K)), 1);
    }

    #[test]
    fn headers_of_scattered_formats_do_not_start_a_stream() {
        let mut cursors = Cursors::default();
        let mut read = |n: u64| {
            let range = ByteRange::new(n * 128 * K, (n + 1) * 128 * K);
            cursors.plan(range, LARGE, Format::Scattered)
        };
        let most = (0..32).map(|n| read(n).fetch.end).max();
        assert_eq!(most, Some(HEADERS / BLOCK));
        assert!((32..40).map(read).any(|plan| plan.runs_on && plan.fetch.end > 2 * HEADERS / BLOCK));
    }

    #[test]
    fn a_walk_over_tiles_wants_the_whole_file_in_one_format_only() {
        let length = 88 * K * K;
        for (format, whole) in [(Format::Jpeg2000, true), (Format::Other, false)] {
            let mut cursors = Cursors::default();
            let mut read = |start| cursors.plan(ByteRange::new(start, start + 4 * K), length, format);
            read(0);
            // The tail, as GDAL does.
            read(length - 4 * K);
            let last = (0..10).map(|n| read(n * 770 * K)).last();
            assert_eq!(last.map(|plan| plan.fetch.end == length / BLOCK), Some(whole));
        }
    }

    #[test]
    fn a_file_without_an_index_is_wanted_whole_once_a_tile_is_read() {
        let length = 88 * K * K;
        let mut cursors = Cursors::default();
        let mut read = |start, len, head: &[u8]| {
            let plan = cursors.plan(ByteRange::new(start, start + len), length, Format::Jpeg2000);
            cursors.learn(head, Format::Jpeg2000);
            (fetched(&plan), plan.whole)
        };
        let head = crate::reader::codestream::tests::stream(10_980, false);
        let looks = [read(0, 16 * K, &head), read(length - 4 * K, 4 * K, b""), read(16 * K, 32 * K, b"")];
        assert_eq!(looks, [(1, false); 3]);
        assert!(read(770 * K, 16 * K, b"").1);
        // From then on.
        assert!(read(40 * K, 16 * K, b"").1);
    }

    #[test]
    fn an_overview_wants_the_whole_file_whatever_its_threads_read_first() {
        let length = 88 * K * K;
        let mut cursors = Cursors::default();
        let mut read = |start| cursors.plan(ByteRange::new(start, start + 700 * K), length, Format::Jpeg2000);
        let tiles = [8, 24, 4, 50, 16, 41].map(|tile| read(tile * K * K).whole);
        assert_eq!(tiles, [false; 6]);
        assert!(read(33 * K * K).whole);
    }

    #[test]
    fn a_jump_fetches_as_much_as_was_read_at_another_place() {
        let mut cursors = Cursors::default();
        let mut piece = |start: u64, len| {
            let first = read(&mut cursors, start * K * K, 4 * K);
            read(&mut cursors, start * K * K + 4 * K, len);
            fetched(&first) * BLOCK
        };
        assert_eq!(piece(90, 700 * K), BLOCK);
        let places = [50, 70, 10, 30].map(|place| piece(place, 8 * K));
        assert!(places[..3].iter().all(|bytes| (700 * K..900 * K).contains(bytes)), "{places:?}");
        // It is forgotten soon.
        assert_eq!(places[3], BLOCK);
    }

    #[test]
    fn a_tile_comes_in_one_piece_once_more_than_its_header_is_read() {
        let mut cursors = Cursors::default();
        let mut read = |start, len| {
            fetched(&cursors.plan(ByteRange::new(start, start + len), LARGE, Format::Jpeg2000)) * BLOCK
        };
        assert_eq!((read(0, 16 * K), read(90 * K * K, 4 * K)), (BLOCK, BLOCK));
        assert!(read(90 * K * K + 4 * K, 32 * K) >= LONG);
    }

    #[test]
    fn headers_come_with_what_the_kernel_asks_for_behind_them() {
        let first = |format| fetched(&Cursors::default().plan(ByteRange::new(0, 16 * K), LARGE, format));
        assert_eq!((first(Format::Scattered), first(Format::Jpeg2000), first(Format::Other)), (2, 1, 1));
    }

    #[test]
    fn threads_that_go_through_rows_of_tiles_want_the_whole_file() {
        let length = 88 * K * K;
        let last = |tiles: [u64; 4]| {
            let mut cursors = Cursors::default();
            let mut read =
                |start| cursors.plan(ByteRange::new(start, start + 700 * K), length, Format::Jpeg2000);
            tiles.map(|tile| read(tile * 750 * K)).map(|_| read(80 * K * K)).last().map(|plan| plan.whole)
        };
        assert_eq!(last([0, 11, 33, 22]), Some(true));
        assert_eq!(last([36, 37, 47, 48]), Some(false));
    }

    #[test]
    fn rows_from_the_first_tile_on_are_seen_at_the_third() {
        let length = 88 * K * K;
        let third = |header, tiles: [u64; 2]| {
            let mut cursors = Cursors::default();
            let mut read =
                |start, len| cursors.plan(ByteRange::new(start, start + len), length, Format::Jpeg2000).whole;
            read(0, 16 * K);
            read(length - 4 * K, 4 * K);
            read(16 * K, header);
            tiles.map(|tile| read(tile * 750 * K, 4 * K))
        };
        assert_eq!(third(512 * K, [11, 22]), [false, true]);
        assert_eq!(third(4 * K, [11, 22]), [false; 2], "the first tile is not read");
        assert_eq!(third(512 * K, [1, 11]), [false; 2], "a window of two by two");
        assert_eq!(third(512 * K, [11, 33]), [false; 2]);
    }

    #[test]
    fn small_files_come_in_one_go() {
        let plan = Cursors::default().plan(ByteRange::new(70 * K, 71 * K), 200 * K, Format::Other);
        assert_eq!(plan.fetch, 1..4);
    }
}
