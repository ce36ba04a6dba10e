//! Text from a server as the name of a file: the one function that makes names (contract.md 7).
//!
//! Percent-encoded, byte by byte: `/`, NUL and other control characters, `%`, characters that turn the
//! direction of text or break lines, a leading `~`, and names of dots only. All else stays as it is: case,
//! blanks, Unicode form. So two different texts never give one name, and a name tells its text.
//!
//! A name is at most 255 bytes. A longer one is cut at a character and gets `%~` and a hash of the whole
//! text; its ending is kept, for programs that look at it. No encoded text holds `%~`, so a cut name
//! meets no other; which text it came from is for its directory to remember.

use std::fmt::Write;

/// Longest name that Linux file systems and their users know, bytes (`NAME_MAX`).
pub const MAX_BYTES: usize = 255;

/// Opens the hash of a cut name.
const CUT: &str = "%~";
/// The name of the empty text: no other text gives a lone percent sign.
const EMPTY: &str = "%";
/// Hexadecimal digits of the hash: 128 bits, so that nobody makes two texts with one name.
const HASH_DIGITS: usize = 32;
/// Longest ending, dot included, that a cut name keeps, bytes.
const ENDING_BYTES: usize = 16;

/// The name of `text`: 1 to [`MAX_BYTES`] bytes, without `/` and NUL, neither `.` nor `..`.
pub fn encode(text: &str) -> String {
    if text.is_empty() {
        return EMPTY.to_owned();
    }
    // Most names, by the hundred thousand.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if text.len() <= MAX_BYTES
        && text.bytes().enumerate().all(|(place, byte)| plain(byte) || (place > 0 && byte == b'.'))
    {
        return text.to_owned();
    }
    let whole = encode_up_to(text, MAX_BYTES);
    if whole.complete { whole.name } else { cut(text) }
}

/// The text of a name that [`encode`] made without cutting; `None` for every other name, so that a text
/// has one name only.
pub fn decode(name: &str) -> Option<String> {
    if name == EMPTY {
        return Some(String::new());
    }
    let bytes = percent_encoding::percent_decode_str(name).decode_utf8().ok()?;
    let text = bytes.into_owned();
    (encode(&text) == name).then_some(text)
}

/// Whether a name holds a hash in place of part of its text.
pub fn is_cut(name: &str) -> bool {
    name.contains(CUT)
}

/// As much of a text's encoding as fits, ending at a character.
struct Encoded {
    name: String,
    complete: bool,
}

fn encode_up_to(text: &str, room: usize) -> Encoded {
    let only_dots = text.bytes().all(|b| b == b'.');
    let mut name = String::with_capacity(text.len().min(room));
    for (place, c) in text.char_indices() {
        let before = name.len();
        if only_dots || (place == 0 && c == '~') || is_encoded(c) {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a string cannot fail.
                let _ = write!(name, "%{byte:02X}");
            }
        } else {
            name.push(c);
        }
        if name.len() > room {
            name.truncate(before);
            return Encoded { name, complete: false };
        }
    }
    Encoded { name, complete: true }
}

fn is_encoded(c: char) -> bool {
    matches!(c,
        '/' | '%'
        // Direction marks, embeddings, overrides and isolates (Unicode TR9), and line separators.
        | '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
    ) || c.is_control()
}

/// The shortened name of a text whose encoding is too long.
fn cut(text: &str) -> String {
    let hash = blake3::hash(text.as_bytes()).to_hex();
    let ending = ending(text);
    let start = encode_up_to(text, MAX_BYTES - CUT.len() - HASH_DIGITS - ending.len()).name;
    format!("{start}{CUT}{}{ending}", &hash[..HASH_DIGITS])
}

/// The ending of a text with its dot, if it is short and plain enough to be kept.
fn ending(text: &str) -> &str {
    match text.rfind('.') {
        Some(dot) if dot > 0 && text.len() - dot <= ENDING_BYTES => {
            let ending = &text[dot..];
            if ending.chars().any(is_encoded) { "" } else { ending }
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn known() {
        for (text, name) in [
            ("S2A_MSIL2A.SAFE", "S2A_MSIL2A.SAFE"),
            ("", "%"),
            (".", "%2E"),
            ("..", "%2E%2E"),
            ("...", "%2E%2E%2E"),
            (".zattrs", ".zattrs"),
            ("a/b", "a%2Fb"),
            ("/etc/passwd", "%2Fetc%2Fpasswd"),
            ("a\0b\n", "a%00b%0A"),
            ("~x~", "%7Ex~"),
            ("100%", "100%25"),
            ("%2F", "%252F"),
            ("\u{202e}gpj", "%E2%80%AEgpj"),
            ("\u{85}", "%C2%85"),
            ("con", "con"),
            ("dot. ", "dot. "),
            ("Ä\u{308}", "Ä\u{308}"),
        ] {
            assert_eq!(encode(text), name, "{text:?}");
            assert_eq!(decode(name).as_deref(), Some(text), "{name}");
        }
    }

    #[test]
    fn names_that_no_text_has() {
        for name in ["", ".", "..", "%41", "%2f", "%", "%%", "%zz", "~x", "a\n", "%C3", "a%"] {
            let text = decode(name);
            assert!(text.is_none() || name == "%", "{name:?} is {text:?}");
        }
    }

    #[test]
    fn long_texts() {
        let exact = "x".repeat(MAX_BYTES);
        assert_eq!(encode(&exact), exact);
        let long = format!("{exact}.jp2");
        let name = encode(&long);
        assert!(
            name.len() == MAX_BYTES && name.ends_with(".jp2") && is_cut(&name) && name.starts_with("xxx")
        );
        assert_eq!(decode(&name), None);
        assert_ne!(name, encode(&format!("{exact}y.jp2")));
        // A text that looks like a cut name is another name.
        assert_ne!(encode(&name), name);
        assert_eq!(encode(&"/".repeat(100_000)).len(), 219 + 34);
        assert!(encode(&"é".repeat(200)).len() <= MAX_BYTES);
    }

    fn good(name: &str) -> bool {
        !name.is_empty()
            && name.len() <= MAX_BYTES
            && !name.chars().any(|c| c == '/' || c.is_control())
            && name != "."
            && name != ".."
            && !name.starts_with('~')
    }

    /// Texts of few letters, so that many meet, and repetitions of such, which are cut.
    fn texts() -> impl Strategy<Value = String> {
        let letters = prop_oneof![
            9 => prop::sample::select(vec!['.', '/', '%', '~', 'a', '2', 'E', 'F', '\0', '\n', '\u{202e}', 'é', '𝛼']),
            1 => any::<char>(),
        ];
        let short =
            prop::collection::vec(letters, 0..7).prop_map(|letters| letters.into_iter().collect::<String>());
        (short, prop::sample::select(vec![1, 1, 1, 1, 1, 1, 50, 100]), 0..4usize)
            .prop_map(|(text, times, more)| text.repeat(times) + &"x.jp2"[..if times > 1 { more } else { 0 }])
    }

    #[test]
    fn a_hundred_thousand_names() {
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
            cases: 100_000,
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        let seen = std::cell::RefCell::new(HashMap::<String, String>::new());
        let result = runner.run(&texts(), |text| {
            let name = encode(&text);
            prop_assert!(good(&name), "{:?}", name);
            match decode(&name) {
                Some(back) => prop_assert_eq!(&back, &text),
                None => prop_assert!(is_cut(&name) && text.len() > 80),
            }
            // What a user types may look like a name, too.
            if let Some(other) = decode(&text) {
                prop_assert_eq!(encode(&other), text.clone());
            }
            let before = seen.borrow_mut().insert(name, text.clone());
            prop_assert!(before.is_none_or(|before| before == text));
            Ok(())
        });
        result.unwrap();
    }
}
