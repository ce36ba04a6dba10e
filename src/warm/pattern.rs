//! Paths with wildcards, as people write and paste them.
//!
//! ```text
//! pattern = step { "/" step } [ "[" part "]" ]     the part of an array, such as [0:48,:,:]
//! step    = "**"                                   any directories, none too
//!         | text with * ? [abc] [a-z] [!a-z]       of one name; a backslash takes its meaning from the next character
//! ```
//!
//! A name of digits, colons and commas between brackets at the very end is a part of an array when a colon, a comma or
//! `...` is in it; else it is a set of characters as in any name.

use crate::catalog::zarr::Selection;
use crate::error::{ErrorKind, Result, fail};

/// The longest pattern, bytes.
const LONGEST: usize = 4096;

/// A pattern of paths below the root of a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// As it was written.
    pub text: String,
    /// A name, or a pattern of names, for each level.
    pub steps: Vec<Step>,
    /// The part of an array that is meant.
    pub part: Option<Selection>,
}

/// One level of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Exactly this name: it is looked up, never listed.
    Name(String),
    /// Names that this fits.
    Glob(Vec<Token>),
    /// Any number of levels.
    Any,
}

/// What a name is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// This character.
    Char(char),
    /// Any character.
    One,
    /// Any characters, none too.
    Many,
    /// One of these; `true`: none of them.
    Set(bool, Vec<(char, char)>),
}

impl Pattern {
    /// Reads a pattern; blanks, slashes at its ends and `.` between them do not count.
    ///
    /// # Errors
    /// `InvalidInput`, saying what is wrong: it is empty, too long, leads upwards, or names a wrong part of an array.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| fail(ErrorKind::InvalidInput, format!("{}: {why}", shown(text)));
        if text.len() > LONGEST {
            return wrong("the path is too long");
        }
        let (path, part) = match part_of(text) {
            Some((path, part)) => (path, Some(Selection::parse(part)?)),
            None => (text, None),
        };
        let mut steps: Vec<Step> = Vec::new();
        for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
            match step(name) {
                Step::Name(name) if name == ".." => return wrong("a path with .. in it leads nowhere"),
                Step::Any if steps.last() == Some(&Step::Any) => {}
                step => steps.push(step),
            }
        }
        if steps.is_empty() {
            return wrong("name what is wanted, such as cache-a/SENTINEL-2/by-date/2024/09/24/T32TQM");
        }
        Ok(Self { text: text.to_owned(), steps, part })
    }
}

/// What may be shown of a path that somebody typed.
fn shown(text: &str) -> String {
    text.chars().take(200).collect()
}

/// The path and the part of an array behind it.
fn part_of(text: &str) -> Option<(&str, &str)> {
    let (path, part) = text.strip_suffix(']')?.rsplit_once('[')?;
    let plain = |c: char| c.is_ascii_digit() || ":,. -".contains(c);
    let tells = part.contains([':', ',']) || part == "...";
    let name = path.rsplit('/').next().unwrap_or_default();
    (part.chars().all(plain) && tells && !name.is_empty() && !name.ends_with('\\')).then_some((path, part))
}

fn step(name: &str) -> Step {
    if name == "**" {
        return Step::Any;
    }
    let tokens = tokens(name);
    let only: Option<String> = tokens
        .iter()
        .map(|token| match token {
            Token::Char(c) => Some(*c),
            _ => None,
        })
        .collect();
    match only {
        Some(name) => Step::Name(name),
        None => Step::Glob(tokens),
    }
}

fn tokens(name: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = name.chars();
    while let Some(c) = rest.next() {
        tokens.push(match c {
            '?' => Token::One,
            '*' if tokens.last() == Some(&Token::Many) => continue,
            '*' => Token::Many,
            '\\' => Token::Char(rest.next().unwrap_or('\\')),
            '[' => match set(rest.as_str()) {
                Some((token, behind)) => {
                    rest = behind.chars();
                    token
                }
                // Without an end it stands for itself.
                None => Token::Char('['),
            },
            c => Token::Char(c),
        });
    }
    tokens
}

/// The set that `text` begins with, behind its bracket, and what follows it.
fn set(text: &str) -> Option<(Token, &str)> {
    let (not, text) = match text.strip_prefix(['!', '^']) {
        Some(text) => (true, text),
        None => (false, text),
    };
    // A bracket right at the begin is one of the characters.
    let first = text.chars().next()?;
    let end = first.len_utf8() + text[first.len_utf8()..].find(']')?;
    let held: Vec<char> = text[..end].chars().collect();
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(first) = held.get(at) {
        match held.get(at + 1..at + 3) {
            Some(['-', last]) => {
                ranges.push((*first, *last));
                at += 3;
            }
            _ => {
                ranges.push((*first, *first));
                at += 1;
            }
        }
    }
    Some((Token::Set(not, ranges), &text[end + 1..]))
}

/// Whether a name fits. Takes no more than the product of both lengths, whatever they are.
pub fn fits(tokens: &[Token], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let (mut token, mut at) = (0, 0);
    // Where the last `*` stands, and what it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while at < name.len() {
        let one = tokens.get(token).map(|token| match token {
            Token::Char(c) => *c == name[at],
            Token::One => true,
            Token::Set(not, ranges) => {
                *not != ranges.iter().any(|(first, last)| (*first..=*last).contains(&name[at]))
            }
            Token::Many => false,
        });
        match (tokens.get(token), one, star) {
            (Some(Token::Many), ..) => {
                star = Some((token, at));
                token += 1;
            }
            (_, Some(true), _) => (token, at) = (token + 1, at + 1),
            (_, _, Some((many, taken))) => {
                star = Some((many, taken + 1));
                (token, at) = (many + 1, taken + 1);
            }
            _ => return false,
        }
    }
    tokens[token..].iter().all(|token| *token == Token::Many)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        match step(pattern) {
            Step::Any => true,
            Step::Name(only) => only == name,
            Step::Glob(tokens) => fits(&tokens, name),
        }
    }

    #[test]
    fn names() {
        for (pattern, right, wrong) in [
            (
                "*_B04_10m.jp2",
                &["T32TQM_B04_10m.jp2", "_B04_10m.jp2"][..],
                &["B04_10m.jp2", "x_B04_10m.jp2.aux"][..],
            ),
            ("*_B0[48]_10m.jp2", &["x_B04_10m.jp2", "x_B08_10m.jp2"], &["x_B03_10m.jp2", "x_B0_10m.jp2"]),
            ("B[!0-7]?", &["B8A"], &["B02", "B8", "B8AA"]),
            ("a*b*c", &["abc", "a-b-b-c"], &["acb", "ab"]),
            ("[]x]", &["]", "x"], &["[", ""]),
            ("[^x]", &["y"], &["x", "^x"]),
            ("[a-", &["[a-"], &["a"]),
            ("a\\*b", &["a*b"], &["axb"]),
            ("x\\", &["x\\"], &["x"]),
            ("*", &["", "é", ".zattrs"], &[]),
            ("?", &["é", "[", "]"], &["", "ab"]),
            ("cloud<20,bbox=6:45:8:47", &["cloud<20,bbox=6:45:8:47"], &["cloud<20"]),
        ] {
            assert!(right.iter().all(|name| matches(pattern, name)), "{pattern} fits {right:?}");
            assert!(!wrong.iter().any(|name| matches(pattern, name)), "{pattern} does not fit {wrong:?}");
        }
    }

    #[test]
    fn paths() {
        let read = |text: &str| Pattern::parse(text).unwrap();
        let searched = read(
            "cache-a/SENTINEL-2/search/cloud<20,bbox=-6.5:45:8:47,date=2024-06-01../**/**/*_B04_10m.jp2",
        );
        assert!(matches!(&searched.steps[3], Step::Name(name) if name.starts_with("cloud<20,bbox=-6.5:45")));
        assert_eq!((searched.steps.len(), &searched.steps[4]), (6, &Step::Any));
        let part = read("cache-b/era5/x.zarr/t2m[0:48,:,:]");
        assert_eq!(part.steps.last(), Some(&Step::Name("t2m".into())));
        assert_eq!(part.part, Some(Selection::parse("0:48,:,:").unwrap()));
        assert!(read("/cache-b//x.zarr/./t2m/").part.is_none());
        // Sets of characters, not parts.
        for text in ["x/B0[48]", "x/B0[4-8]", "x/[0:1]", "x/*_B0[48].jp2", "a[0:1]/b"] {
            assert!(read(text).part.is_none(), "{text}");
        }
        assert!(read("x.zarr/t*[0:48]").part.is_some());
        for text in ["", "/", "./.", "a/../b", "..", "x/t2m[::2]", "x/t2m[0:1,]", &"x/".repeat(3000)] {
            assert_eq!(
                Pattern::parse(text).err().map(|error| error.kind()),
                Some(ErrorKind::InvalidInput),
                "{text}"
            );
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        let pattern = "*a".repeat(400) + "b";
        assert!(!matches(&pattern, &"a".repeat(2000)));
    }

    /// The definition, for short texts.
    fn slow(tokens: &[Token], name: &[char]) -> bool {
        match (tokens.split_first(), name.split_first()) {
            (None, first) => first.is_none(),
            (Some((Token::Many, rest)), first) => {
                slow(rest, name) || first.is_some_and(|(_, behind)| slow(tokens, behind))
            }
            (Some((token, rest)), Some((c, behind))) => {
                let one = match token {
                    Token::Char(own) => own == c,
                    Token::Set(not, ranges) => *not != ranges.iter().any(|(one, two)| one <= c && c <= two),
                    _ => true,
                };
                one && slow(rest, behind)
            }
            (Some(_), None) => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn fits_as_defined(pattern in "[ab*?\\[\\]!-]{0,8}", name in "[ab\\[]{0,8}") {
            let tokens = tokens(&pattern);
            let letters: Vec<char> = name.chars().collect();
            prop_assert_eq!(fits(&tokens, &name), slow(&tokens, &letters));
        }

        #[test]
        fn any_text_is_safe(text in "\\PC{0,40}|[\\[\\]:,*?/\\\\.0-9a-]{0,30}", name in "\\PC{0,10}") {
            if let Ok(pattern) = Pattern::parse(&text) {
                for step in &pattern.steps {
                    if let Step::Glob(tokens) = step {
                        fits(tokens, &name);
                    }
                }
            }
        }
    }
}
