//! How an answer lies on the shelf: compressed, together with its key and its time, under a checksum (zlib's Adler-32,
//! RFC 1950), so that neither a flipped bit nor a row that was mixed up passes for it.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use jiff::Timestamp;

use super::{Kept, Key};

/// Bytes of one answer: a listing of a million products.
const LONGEST: u64 = 1 << 30;
/// Bytes before the answer itself: key and time.
const HEAD: usize = 16 + 8;

pub(super) fn pack(key: Key, bytes: &[u8], fetched: Timestamp) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    let written = encoder
        .write_all(&key.0)
        .and_then(|()| encoder.write_all(&fetched.as_microsecond().to_le_bytes()))
        .and_then(|()| encoder.write_all(bytes))
        .and_then(|()| encoder.finish());
    // Writing to memory does not fail; if it did, nothing would unpack again.
    written.unwrap_or_default()
}

/// The answer; `None` if it is not whole or another one.
pub(super) fn unpack(key: Key, packed: &[u8]) -> Option<Kept> {
    let mut text = Vec::new();
    ZlibDecoder::new(packed).take(LONGEST).read_to_end(&mut text).ok()?;
    let (head, _) = text.split_at_checked(HEAD)?;
    let (named, time) = head.split_at(16);
    let time = i64::from_le_bytes(time.try_into().ok()?);
    let fetched = Timestamp::from_microsecond(time).ok()?;
    (named == key.0).then(|| Kept { bytes: text.split_off(HEAD), fetched })
}
