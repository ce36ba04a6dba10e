//! Comparing a body that began again with the one that broke.

use bytes::Bytes;

use crate::error::{ErrorKind, Result, fail};

/// Skips the bytes that an earlier, broken body has already brought, and checks that they are the same.
pub(super) struct Compare {
    left: u64,
    sum: u32,
    expected: u32,
}

impl Compare {
    /// The first `known` bytes had the checksum `expected` (CRC-32C).
    pub(super) fn new(known: u64, expected: u32) -> Self {
        Self { left: known, sum: 0, expected }
    }

    /// Whether all of the known bytes have passed.
    pub(super) fn is_done(&self) -> bool {
        self.left == 0
    }

    /// What of the next `bytes` was not known.
    ///
    /// # Errors
    /// `Changed` when the known ones were others.
    pub(super) fn skip(&mut self, mut bytes: Bytes) -> Result<Bytes> {
        if self.left == 0 {
            return Ok(bytes);
        }
        let known = bytes.split_to(usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len()));
        self.sum = crc32c::crc32c_append(self.sum, &known);
        self.left -= known.len() as u64;
        if self.left == 0 && self.sum != self.expected {
            return fail(ErrorKind::Changed, "the server sent other bytes than before the connection broke");
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_body_must_begin_like_the_first() {
        let compare = |bytes: &'static [u8]| {
            let mut compare = Compare::new(3, crc32c::crc32c(b"abc"));
            compare.skip(Bytes::from_static(&bytes[..2]))?;
            compare.skip(Bytes::from_static(&bytes[2..]))
        };
        assert_eq!(compare(b"abcdef").unwrap().as_ref(), b"def");
        assert_eq!(compare(b"abXdef").unwrap_err().kind(), ErrorKind::Changed);
    }
}
