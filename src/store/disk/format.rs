//! What is written where: names, the header of a map, the entry of a block. All numbers are little-endian.
//!
//! ```text
//! v1/objects/ab/<key>/data    the object's bytes at their places, with holes
//! v1/objects/ab/<key>/map     header, an entry for each block, the sums of the pages of each block
//! v1/current/ab/<name>        the key of the version of an object that was stored last
//!
//! header   0  magic, its last byte is the version of the format
//!          8  bytes of the header, a multiple of 512
//!         12  CRC-32C of the header without this field and the next one
//!         16  blake3 of all entries once the object is complete, else zeros
//!         48  bytes of the text behind it
//!         52  JSON: what the object is
//! entry    0  CRC-32C of object key, block number and sums of the block's pages
//!          4  1 when the block is stored
//!          5  in which order blocks were written
//! sums     0  CRC-32C of object key, page number and page, for each of 16 pages; zero behind the object's end
//! ```
//!
//! Pages have sums of their own, because a program that jumps reads one at a time: to check a whole block for each would
//! be to read sixteen.

use std::fs::File;
use std::io;

use serde::{Deserialize, Serialize};

use crate::object::{ObjectId, Validator};
use crate::store::BLOCK;
use crate::sys::files::{self, Wait};

const MAGIC: &[u8; 8] = b"dcmsfs\0\x02";
const FIXED: usize = 52;
/// No address is so long.
const LONGEST: usize = 64 * 1024;
/// Where the digest of a complete object stands.
pub(super) const MARK: u64 = 16;
/// Bytes of an entry.
pub(super) const ENTRY: u64 = 8;
/// Bytes that have a sum of their own.
pub(super) const PAGE: u64 = 4096;
/// Pages of a block.
pub(super) const PAGES: u64 = BLOCK / PAGE;

/// The sums of a block's pages as they stand in a map.
pub(super) type Sums = [u8; 4 * PAGES as usize];
/// Bytes of them.
pub(super) const SUMS: u64 = 4 * PAGES;

/// The name of an object's directory: a digest of what it is.
pub(super) type Key = [u8; 16];

/// What an object is: equal identities mean equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) id: String,
    pub(super) length: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) last_modified: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) updated: Option<String>,
    block: u64,
}

impl Identity {
    pub(super) fn new(id: &ObjectId, version: &Validator, updated: Option<&str>, length: u64) -> Self {
        Self {
            id: id.as_str().to_owned(),
            length,
            etag: version.etag.clone(),
            last_modified: version.last_modified.clone(),
            updated: updated.map(str::to_owned),
            block: BLOCK,
        }
    }

    pub(super) fn version(&self) -> Validator {
        Validator { etag: self.etag.clone(), last_modified: self.last_modified.clone() }
    }

    /// The strongest validator there is tells versions apart: entity tag, else time and length, else the
    /// catalogue's word and length.
    pub(super) fn key(&self) -> Key {
        let (kind, told) = match (&self.etag, &self.last_modified, &self.updated) {
            (Some(etag), _, _) => ("etag", etag.as_str()),
            (_, Some(time), _) => ("time", time.as_str()),
            (_, _, Some(updated)) => ("updated", updated.as_str()),
            _ => ("length", ""),
        };
        digest(&[&self.id, kind, told, &self.length.to_string()])
    }

    /// Whether both are of the same object; with equal keys they are of the same version, however told.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.id == other.id && self.length == other.length
    }

    pub(super) fn blocks(&self) -> u64 {
        self.length.div_ceil(BLOCK)
    }

    /// Bytes of the map behind its header.
    pub(super) fn map_bytes(&self) -> u64 {
        self.blocks() * (ENTRY + SUMS)
    }
}

/// The name of the file that names an object's last version.
pub(super) fn pointer_name(id: &str) -> Key {
    digest(&[id])
}

fn digest(parts: &[&str]) -> Key {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let mut key = Key::default();
    hasher.finalize_xof().fill(&mut key);
    key
}

/// A key as text: 32 hexadecimal digits.
pub(super) fn hex(key: &Key) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The key that `text` names.
pub(super) fn parse_hex(text: &str) -> Option<Key> {
    let mut key = Key::default();
    let plain = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    for (byte, at) in key.iter_mut().zip((0..32).step_by(2)).filter(|_| plain) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    plain.then_some(key)
}

/// A header as it stands in a file.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) identity: Identity,
    /// Where the entries begin.
    pub(super) table: u64,
    /// The digest of the entries of a complete object.
    pub(super) mark: Option<[u8; 32]>,
}

/// The header of an object that is not complete; `None` when its address is too long to be kept.
pub(super) fn encode(identity: &Identity) -> Option<Vec<u8>> {
    let text = serde_json::to_vec(identity).ok()?;
    let length = (FIXED + text.len()).next_multiple_of(512);
    if length > LONGEST {
        return None;
    }
    let mut header = vec![0; length];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&u32::try_from(length).ok()?.to_le_bytes());
    header[48..52].copy_from_slice(&u32::try_from(text.len()).ok()?.to_le_bytes());
    header[FIXED..FIXED + text.len()].copy_from_slice(&text);
    let sum = header_sum(&header);
    header[12..16].copy_from_slice(&sum.to_le_bytes());
    Some(header)
}

fn header_sum(header: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[..12]), &header[48..])
}

/// Reads a map's header; `None` when it is none of ours or damaged.
///
/// # Errors
/// As pread(2).
pub(super) fn read_header(map: &File) -> io::Result<Option<Header>> {
    let mut bytes = files::read(map, 0, 4096, Wait::Allowed)?;
    let Some(length) = header_length(&bytes) else { return Ok(None) };
    if length > bytes.len() {
        bytes = files::read(map, 0, length, Wait::Allowed)?;
    }
    Ok(bytes.get(..length).and_then(decode))
}

fn header_length(bytes: &[u8]) -> Option<usize> {
    let length = number(bytes.strip_prefix(MAGIC)?.get(..4)?);
    ((512..=LONGEST).contains(&length) && length.is_multiple_of(512)).then_some(length)
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

fn decode(header: &[u8]) -> Option<Header> {
    if number(&header[12..16]) != usize::try_from(header_sum(header)).ok()? {
        return None;
    }
    let text = header.get(FIXED..FIXED + number(&header[48..52]))?;
    let identity: Identity =
        serde_json::from_slice(text).ok().filter(|told: &Identity| told.block == BLOCK)?;
    let mark: [u8; 32] = header[16..48].try_into().ok()?;
    Some(Header { identity, table: header.len() as u64, mark: Some(mark).filter(|mark| *mark != [0; 32]) })
}

/// What is known of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) sum: u32,
    /// Smaller numbers were written earlier, within an object.
    pub(super) order: u32,
}

/// The largest number of an order; then they begin again.
pub(super) const LAST_ORDER: u32 = 0xff_ffff;

impl Block {
    pub(super) fn to_bytes(self) -> [u8; 8] {
        let (sum, order) = (self.sum.to_le_bytes(), self.order.to_le_bytes());
        [sum[0], sum[1], sum[2], sum[3], 1, order[0], order[1], order[2]]
    }

    /// `None` when the block is not stored.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let &[s0, s1, s2, s3, 1, o0, o1, o2] = bytes else { return None };
        Some(Self { sum: u32::from_le_bytes([s0, s1, s2, s3]), order: u32::from_le_bytes([o0, o1, o2, 0]) })
    }
}

/// The checksum of a page, or of a block's sums, at its place: one of another object or from another place does not have
/// it.
pub(super) fn sum(key: &Key, number: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(key), &number.to_le_bytes()), bytes)
}

/// The sums of a block's pages.
pub(super) fn sums(key: &Key, block: u64, bytes: &[u8]) -> Sums {
    let mut sums = [0; SUMS as usize];
    let pages = bytes.chunks(PAGE as usize);
    for ((page, bytes), place) in (block * PAGES..).zip(pages).zip(sums.as_chunks_mut().0) {
        *place = sum(key, page, bytes).to_le_bytes();
    }
    sums
}

/// Whether `bytes` are the page with number `page` of the object, as `sums` of its block say.
pub(super) fn is_page(key: &Key, page: u64, bytes: &[u8], sums: &Sums) -> bool {
    let expected = usize::try_from(page % PAGES).ok().and_then(|index| sums.as_chunks().0.get(index));
    expected == Some(&sum(key, page, bytes).to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        let version = Validator { etag: Some("\"a\"".into()), last_modified: None };
        Identity::new(&ObjectId::new("cache-a", "https://h/x\u{1b}[31m"), &version, None, 200_000)
    }

    #[test]
    fn a_header_is_read_back_and_any_flipped_bit_is_found() {
        let header = encode(&identity()).unwrap();
        assert_eq!(decode(&header).unwrap().identity, identity());
        for bit in 0..header.len() * 8 {
            let mut damaged = header.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let mark = (16..48).contains(&(bit / 8));
            let read = header_length(&damaged).and_then(|length| decode(damaged.get(..length)?));
            assert_eq!(read.is_some(), mark, "bit {bit}");
        }
    }

    #[test]
    fn each_part_of_the_version_is_in_the_key() {
        let id = ObjectId::new("s", "u");
        let told = |etag: &str, time: &str| Validator {
            etag: Some(etag.to_owned()).filter(|text| !text.is_empty()),
            last_modified: Some(time.to_owned()).filter(|text| !text.is_empty()),
        };
        let key = |version: &Validator, updated, length| Identity::new(&id, version, updated, length).key();
        let keys = [
            key(&told("a", ""), None, 1),
            key(&told("b", ""), None, 1),
            key(&told("", "a"), None, 1),
            key(&told("", "b"), None, 1),
            key(&told("", ""), Some("a"), 1),
            key(&told("", ""), Some("b"), 1),
            key(&told("", ""), None, 1),
            key(&told("", ""), None, 2),
        ];
        let different: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
        assert_eq!(key(&told("a", "x"), Some("y"), 1), keys[0]);
        assert_eq!(parse_hex(&hex(&keys[0])), Some(keys[0]));
        assert_eq!(parse_hex(&"é".repeat(16)), None);
    }

    #[test]
    fn a_block_counts_only_at_its_place() {
        let block = Block { sum: sum(&[1; 16], 7, b"x"), order: LAST_ORDER };
        assert_eq!(Block::from_bytes(&block.to_bytes()), Some(block));
        assert_eq!((Block::from_bytes(&[0; 8]), Block::from_bytes(&[2; 8])), (None, None));
        assert_ne!(block.sum, sum(&[1; 16], 8, b"x"));
        assert_ne!(block.sum, sum(&[2; 16], 7, b"x"));
    }
}
