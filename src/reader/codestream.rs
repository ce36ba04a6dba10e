//! The head of a JPEG 2000 file: whether its tiles can be found without walking over all of them.

/// Markers by their names in ISO/IEC 15444-1, table A.2: start of codestream, image and tile size, tile-part lengths, start of
/// tile-part.
const SOC: [u8; 2] = [0xff, 0x4f];
const SIZ: [u8; 2] = [0xff, 0x51];
const TLM: [u8; 2] = [0xff, 0x55];
const SOT: [u8; 2] = [0xff, 0x90];

/// Whether a file that begins with `head` has several tiles and no index of them (no `TLM` marker segment, A.7.1), so that
/// who reads any tile goes through the headers of those before it. `false` where `head` ends too early to tell, and for what is
/// neither JP2 (Annex I) nor a bare codestream (Annex A).
pub fn has_no_index(head: &[u8]) -> bool {
    codestream(head).and_then(main_header).is_some_and(|header| header.tiles > 1 && !header.indexed)
}

struct MainHeader {
    tiles: u64,
    indexed: bool,
}

/// What follows the boxes before the codestream (I.4).
fn codestream(mut head: &[u8]) -> Option<&[u8]> {
    if head.starts_with(&SOC) {
        return Some(head);
    }
    loop {
        let (length, kind) = (number(head, 0)?, head.get(4..8)?);
        let (begins, length) = match length {
            0 => (8, None),
            1 => (16, Some(u64::from(number(head, 8)?) << 32 | u64::from(number(head, 12)?))),
            short => (8, Some(u64::from(short))),
        };
        if kind == b"jp2c" {
            return head.get(begins..);
        }
        let next = usize::try_from(length?).ok().filter(|next| *next >= begins)?;
        head = head.get(next..)?;
    }
}

/// Reads marker segments up to the first tile-part.
fn main_header(stream: &[u8]) -> Option<MainHeader> {
    let mut header = MainHeader { tiles: 0, indexed: false };
    let mut rest = stream.strip_prefix(&SOC)?;
    loop {
        let marker: [u8; 2] = *rest.first_chunk()?;
        if marker == SOT {
            return Some(header);
        }
        let length = usize::from(u16::from_be_bytes(*rest.get(2..)?.first_chunk()?)).max(2);
        match marker {
            SIZ => header.tiles = tiles(rest.get(4..2 + length)?)?,
            TLM => header.indexed = true,
            _ => {}
        }
        rest = rest.get(2 + length..)?;
    }
}

/// The number of tiles that a `SIZ` segment tells (A.5.1, equation B-5): across times down.
fn tiles(size: &[u8]) -> Option<u64> {
    let along = |axis: usize| {
        let value = |field: usize| number(size, 2 + 4 * (2 * field + axis)).map(u64::from);
        // Of the grid its extent, of tiles their size and where they begin.
        let (extent, step, begins) = (value(0)?, value(2)?, value(3)?);
        Some(extent.checked_sub(begins)?.div_ceil(Some(step).filter(|step| *step > 0)?))
    };
    along(0)?.checked_mul(along(1)?)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segment(marker: [u8; 2], body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(2 + body.len()).unwrap().to_be_bytes();
        [&marker[..], &length, body].concat()
    }

    /// The main header of a picture of `side` pixels a side in tiles of 1,024, and the marker of its first tile-part.
    pub(in crate::reader) fn stream(side: u32, indexed: bool) -> Vec<u8> {
        let fields = [side, side, 0, 0, 1024, 1024, 0, 0].map(u32::to_be_bytes).concat();
        let size = segment(SIZ, &[&[0, 0][..], &fields, &[0, 1, 15, 1, 1]].concat());
        let coding = segment([0xff, 0x52], &[0; 10]);
        let lengths = if indexed { segment(TLM, &[0, 0x60, 0, 0, 0, 1, 0, 0]) } else { Vec::new() };
        [&SOC[..], &size, &coding, &lengths, &SOT].concat()
    }

    /// `length`: that of the box with the codestream as it is written, 1 for a long one.
    fn boxed(length: u32, stream: &[u8]) -> Vec<u8> {
        let mut file = vec![0, 0, 0, 12, b'j', b'P', b' ', b' ', 0x0d, 0x0a, 0x87, 0x0a];
        file.extend([&[0, 0, 0, 16][..], b"asoc", &[0xff; 8]].concat());
        file.extend([&length.to_be_bytes()[..], b"jp2c"].concat());
        if length == 1 {
            file.extend(u64::MAX.to_be_bytes());
        }
        file.extend(stream);
        file
    }

    #[test]
    fn only_several_tiles_without_an_index_have_to_be_walked() {
        for (side, indexed, walked) in
            [(10_980, false, true), (10_980, true, false), (1024, false, false), (1025, false, true)]
        {
            let stream = stream(side, indexed);
            let boxes = [0, 1, 90_000_000].map(|length| boxed(length, &stream));
            assert_eq!(
                [&boxes[0], &boxes[1], &boxes[2], &stream].map(|head| has_no_index(head)),
                [walked; 4]
            );
        }
    }

    #[test]
    fn a_head_that_ends_early_tells_nothing() {
        let file = boxed(0, &stream(10_980, false));
        assert!(has_no_index(&file));
        assert!((0..file.len()).all(|length| !has_no_index(&file[..length])));
    }

    proptest! {
        #[test]
        fn garbage_is_no_reason_to_fetch_all(head in proptest::collection::vec(any::<u8>(), 0..200), at in 0..80_usize) {
            prop_assert!(!has_no_index(&head) || head.starts_with(&SOC));
            let mut file = boxed(1, &stream(10_980, false));
            file.truncate(at);
            file.extend(head);
            // Whatever it says, it ends.
            has_no_index(&file);
        }
    }
}
