//! Checksums as catalogues tell them: a multihash in hexadecimal, which names its function (STAC file extension,
//! `file:checksum`; the codes are those of the multicodec table). CDSE tells SHA3-256 (`1620…`) of Sentinel-2 and MD5
//! (`d50110…`) of Sentinel-3.

use std::fmt;
use std::sync::Arc;

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use sha3::{Sha3_256, Sha3_512};

/// What the bytes of a file should be.
#[derive(Clone, PartialEq, Eq)]
pub struct Checksum {
    function: Function,
    digest: Arc<[u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Sha1,
    Sha256,
    Sha512,
    Sha3_256,
    Sha3_512,
    Blake3,
    Md5,
}

/// The multicodec code of each function, and the bytes of its digest.
const KNOWN: [(u64, usize, Function); 7] = [
    (0x11, 20, Function::Sha1),
    (0x12, 32, Function::Sha256),
    (0x13, 64, Function::Sha512),
    (0x14, 64, Function::Sha3_512),
    (0x16, 32, Function::Sha3_256),
    (0x1e, 32, Function::Blake3),
    (0xd5, 16, Function::Md5),
];

/// Bytes on their way into a checksum.
pub struct Hasher(State);

enum State {
    Sha1(Sha1),
    Sha256(Sha256),
    Sha512(Sha512),
    Sha3_256(Box<Sha3_256>),
    Sha3_512(Box<Sha3_512>),
    Blake3(Box<blake3::Hasher>),
    Md5(Md5),
}

impl Checksum {
    /// Reads a multihash. `None` for a function that is not known here, a digest that is cut, and what is no multihash:
    /// then nothing is claimed of the file.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 200 || !text.len().is_multiple_of(2) || !text.bytes().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        let at = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).ok();
        let bytes: Vec<u8> = (0..text.len()).step_by(2).map(at).collect::<Option<_>>()?;
        let (code, rest) = number(&bytes)?;
        let (length, digest) = number(rest)?;
        let (_, bytes, function) = KNOWN.iter().find(|(known, ..)| *known == code)?;
        let whole = length == *bytes as u64 && digest.len() == *bytes;
        whole.then(|| Self { function: *function, digest: digest.into() })
    }

    /// Begins to compute it.
    pub fn begin(&self) -> Hasher {
        Hasher(match self.function {
            Function::Sha1 => State::Sha1(Sha1::new()),
            Function::Sha256 => State::Sha256(Sha256::new()),
            Function::Sha512 => State::Sha512(Sha512::new()),
            Function::Sha3_256 => State::Sha3_256(Box::default()),
            Function::Sha3_512 => State::Sha3_512(Box::default()),
            Function::Blake3 => State::Blake3(Box::default()),
            Function::Md5 => State::Md5(Md5::new()),
        })
    }

    /// Whether that is what came out.
    pub fn is(&self, hasher: Hasher) -> bool {
        match hasher.0 {
            State::Sha1(state) => state.finalize()[..] == *self.digest,
            State::Sha256(state) => state.finalize()[..] == *self.digest,
            State::Sha512(state) => state.finalize()[..] == *self.digest,
            State::Sha3_256(state) => state.finalize()[..] == *self.digest,
            State::Sha3_512(state) => state.finalize()[..] == *self.digest,
            State::Blake3(state) => state.finalize().as_bytes()[..] == *self.digest,
            State::Md5(state) => state.finalize()[..] == *self.digest,
        }
    }
}

impl Hasher {
    /// Takes the next bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha1(state) => state.update(bytes),
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
            State::Sha3_256(state) => state.update(bytes),
            State::Sha3_512(state) => state.update(bytes),
            State::Blake3(state) => {
                state.update(bytes);
            }
            State::Md5(state) => state.update(bytes),
        }
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ", self.function)?;
        self.digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// An unsigned varint, and what is behind it; in its shortest form, as multihash demands.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().take(9).position(|byte| *byte < 0x80)? + 1;
    let (number, rest) = bytes.split_at(end);
    let shortest = end == 1 || number.last() != Some(&0);
    let value = number.iter().rev().fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7f));
    shortest.then_some((value, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Of the three bytes `abc`, as published with each function (RFC 1321, FIPS 180-4 and 202, the test vectors of BLAKE3).
    const ABC: [&str; 7] = [
        "d50110900150983cd24fb0d6963f7d28e17f72",
        "1114a9993e364706816aba3e25717850c26c9cd0d89d",
        "1220ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "1340ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "1440b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0",
        "16203a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
        "1e206437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
    ];

    #[test]
    fn known_digests() {
        for text in ABC {
            let checksum = Checksum::parse(text).unwrap();
            let of = |parts: &[&[u8]]| {
                let mut hasher = checksum.begin();
                parts.iter().for_each(|part| hasher.update(part));
                checksum.is(hasher)
            };
            assert!(of(&[b"abc"]) && of(&[b"a", b"", b"bc"]), "{text}");
            assert!(!of(&[b"abd"]) && !of(&[]), "{text}");
            assert_eq!(Checksum::parse(&text.to_uppercase()), Some(checksum));
        }
    }

    #[test]
    fn what_is_not_known_is_not_claimed() {
        for text in [
            "",
            "1220",
            "900150983cd24fb0d6963f7d28e17f72",     // MD5 without its code
            "d50110900150983cd24fb0d6963f7d28e17f", // a byte is missing
            "d50110900150983cd24fb0d6963f7d28e17f7200", // one too many
            "d5010f900150983cd24fb0d6963f7d28e17f72", // another length
            "d58100109001509983cd24fb0d6963f7d28e17f72", // not the shortest form
            "1620aa",                               // SHA3, cut
            "b220ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "00036162",
            "ffffffffffffffffffffff",
            "d501 10",
            "zz",
            "é",
        ] {
            assert_eq!(Checksum::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_safe(text in "\\PC{0,40}|[0-9a-f]{0,70}") {
            let _ = Checksum::parse(&text);
        }
    }
}
