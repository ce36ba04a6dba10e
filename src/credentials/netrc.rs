//! `~/.netrc` as it is found in the wild (protocol.md 2.6): the same machine several times because a script
//! appended it on every run, indentation, comments, quotes, macros, a missing login.
//!
//! Of several entries for a machine the last counts: it is the newest. `default` never counts, and hosts are
//! compared whole (contract.md 8.4). Writing changes one entry; every other byte stays.

use std::ops::Range;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::private_file;
use crate::error::{ErrorKind, Result, fail};

/// What a `machine` entry says.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The host's name.
    pub machine: String,
    /// The login name, often missing.
    pub login: Option<String>,
    /// The password.
    pub password: Option<SecretString>,
    /// Line of the word `machine`, counted from 1.
    pub line: usize,
    /// From the word `machine` to the end of the last value.
    span: Range<usize>,
    /// Where the words of the values stand, quotes included.
    machine_at: Range<usize>,
    login_at: Option<Range<usize>>,
    password_at: Option<Range<usize>>,
}

/// The entries of a netrc text. Nothing is an error: words that mean nothing are passed over.
pub fn parse(text: &[u8]) -> Vec<Entry> {
    scan(text).entries
}

/// The entry that counts for `host`: the last one with a password.
pub fn find<'a>(entries: &'a [Entry], host: &str) -> Option<&'a Entry> {
    entries.iter().rev().find(|entry| entry.machine.eq_ignore_ascii_case(host) && entry.password.is_some())
}

/// Puts `login` and `password` into the entry of `host` that counts, or adds one; all other bytes stay.
///
/// Fails with `Configuration` if the file is not private or cannot be written.
pub fn write(path: &Path, host: &str, login: &str, password: &SecretString) -> Result<()> {
    let old = private_file::read(path)?;
    let old = old.as_ref().map_or(&[][..], |content| &content.bytes[..]);
    let new = with_entry(old, host, login, password);
    let entries = parse(&new);
    let written = find(&entries, host).and_then(|entry| entry.password.as_ref());
    if written.is_none_or(|written| written.expose_secret() != password.expose_secret()) {
        // A keyword without a value at the end of the file would swallow the new entry.
        return fail(
            ErrorKind::Configuration,
            format!("{} ends in the middle of an entry: complete it by hand first", path.display()),
        );
    }
    private_file::replace(path, &new)
}

/// Takes out the entries of `host` that hold `password`; all other bytes stay. Whether there were any.
///
/// Fails with `Configuration` if the file is not private or cannot be written.
pub fn remove(path: &Path, host: &str, password: &SecretString) -> Result<bool> {
    let Some(old) = private_file::read(path)? else { return Ok(false) };
    match without_entries(&old.bytes, host, password) {
        Some(new) => private_file::replace(path, &new).map(|()| true),
        None => Ok(false),
    }
}

/// The text without the entries of `host` that hold `password`; `None` if there are none.
fn without_entries(text: &[u8], host: &str, password: &SecretString) -> Option<Zeroizing<Vec<u8>>> {
    let holds = |entry: &&Entry| {
        let same = |secret: &SecretString| secret.expose_secret() == password.expose_secret();
        entry.machine.eq_ignore_ascii_case(host) && entry.password.as_ref().is_some_and(same)
    };
    let entries = scan(text).entries;
    let mut new = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut copied = 0;
    for entry in entries.iter().filter(holds) {
        // With its own indentation and the end of its line, so that no empty line is left.
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let indent = text[..entry.span.start].iter().rev().take_while(|byte| blank(byte)).count();
        let begin = entry.span.start - indent;
        let begin = if begin == 0 || text[begin - 1] == b'\n' { begin } else { entry.span.start };
        let behind = text[entry.span.end..].iter().take_while(|byte| blank(byte)).count();
        let line = &text[entry.span.end + behind..];
        let ended = if line.starts_with(b"\r\n") { 2 } else { usize::from(line.starts_with(b"\n")) };
        let whole = begin < entry.span.start || begin == 0 || text[begin - 1] == b'\n';
        new.extend_from_slice(&text[copied..begin]);
        copied = entry.span.end + if whole && ended > 0 { behind + ended } else { 0 };
    }
    new.extend_from_slice(&text[copied..]);
    (copied > 0).then_some(new)
}

/// The text with one entry changed or added.
fn with_entry(text: &[u8], host: &str, login: &str, password: &SecretString) -> Zeroizing<Vec<u8>> {
    let scan = scan(text);
    let login = word(login);
    let password = word(password.expose_secret());
    // Room for all, so that no outgrown buffer is left behind unwiped.
    let mut new =
        Zeroizing::new(Vec::with_capacity(text.len() + host.len() + login.len() + password.len() + 64));
    let of_host = |entry: &&Entry| entry.machine.eq_ignore_ascii_case(host);
    let counting = scan.entries.iter().rev().filter(of_host);
    let Some(entry) = counting.max_by_key(|entry| (entry.password.is_some(), entry.machine_at.start)) else {
        new.extend_from_slice(text);
        if !text.is_empty() && !text.ends_with(b"\n") {
            new.push(b'\n');
        }
        if scan.open_macro {
            // Only an empty line ends a macro.
            new.push(b'\n');
        }
        new.extend_from_slice(format!("machine {host} login {} password ", *login).as_bytes());
        new.extend_from_slice(password.as_bytes());
        new.push(b'\n');
        return new;
    };
    // Missing words go behind the machine's name; `login` first. In order of their place.
    let behind = entry.machine_at.end..entry.machine_at.end;
    let mut edits: Vec<(Range<usize>, &str, &str)> = vec![
        entry.login_at.clone().map_or((behind.clone(), " login ", &**login), |at| (at, "", &login)),
        entry.password_at.clone().map_or((behind, " password ", &**password), |at| (at, "", &password)),
    ];
    edits.sort_by_key(|(at, ..)| at.start);
    let mut copied = 0;
    for (at, keyword, value) in edits {
        new.extend_from_slice(&text[copied..at.start]);
        new.extend_from_slice(keyword.as_bytes());
        new.extend_from_slice(value.as_bytes());
        // A quoted value may have been followed at once by the next word.
        if text.get(at.end).is_some_and(|byte| !byte.is_ascii_whitespace()) {
            new.push(b' ');
        }
        copied = at.end;
    }
    new.extend_from_slice(&text[copied..]);
    new
}

/// A value as one word, quoted if it must be.
fn word(value: &str) -> Zeroizing<String> {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '"' && c != '\\';
    let mut word = Zeroizing::new(String::with_capacity(2 * value.len() + 2));
    if !value.is_empty() && value.chars().all(plain) && !value.starts_with('#') {
        word.push_str(value);
        return word;
    }
    word.push('"');
    for c in value.chars() {
        match c {
            '\n' => word.push_str("\\n"),
            '\r' => word.push_str("\\r"),
            '\t' => word.push_str("\\t"),
            '"' | '\\' => word.extend(['\\', c]),
            c => word.push(c),
        }
    }
    word.push('"');
    word
}

struct Scan {
    entries: Vec<Entry>,
    /// The text ends within a macro.
    open_macro: bool,
}

fn scan(text: &[u8]) -> Scan {
    let mut scan = Scan { entries: Vec::new(), open_macro: false };
    // `default` starts an entry as well, one that never counts.
    let mut in_default = true;
    let mut at = 0;
    while let Some(keyword) = next_word(text, at) {
        at = keyword.end;
        let mut value = || {
            let value = next_word(text, at)?;
            at = value.end;
            Some(value)
        };
        match &text[keyword.clone()] {
            [b'#', ..] => at = line_end(text, keyword.start),
            b"machine" => {
                let Some(machine_at) = value() else { break };
                in_default = false;
                scan.entries.push(Entry {
                    machine: unquote(&text[machine_at.clone()]).to_string(),
                    login: None,
                    password: None,
                    line: text[..keyword.start].iter().filter(|&&byte| byte == b'\n').count() + 1,
                    span: keyword.start..machine_at.end,
                    machine_at,
                    login_at: None,
                    password_at: None,
                });
            }
            b"default" => in_default = true,
            b"account" => drop(value()),
            b"macdef" => {
                at = macro_end(text, keyword.end);
                scan.open_macro = at == text.len();
            }
            found @ (b"login" | b"password") => {
                let Some(value_at) = value() else { break };
                let Some(entry) = scan.entries.last_mut().filter(|_| !in_default) else { continue };
                entry.span.end = value_at.end;
                let content = unquote(&text[value_at.clone()]);
                if found == b"login" {
                    (entry.login, entry.login_at) = (Some(content.to_string()), Some(value_at));
                } else {
                    let secret = SecretString::from(content.as_str());
                    (entry.password, entry.password_at) = (Some(secret), Some(value_at));
                }
            }
            _ => {}
        }
    }
    scan
}

/// Where the next word stands: up to a space, or a quoted text. A quote that does not end takes the line.
fn next_word(text: &[u8], from: usize) -> Option<Range<usize>> {
    let start = from + text[from..].iter().position(|byte| !byte.is_ascii_whitespace())?;
    let rest = &text[start..];
    if rest[0] != b'"' {
        let length = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        return Some(start..start + length);
    }
    let mut escaped = false;
    for (index, &byte) in rest.iter().enumerate().skip(1) {
        match byte {
            b'\n' => return Some(start..start + index),
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(start..start + index + 1),
            _ => {}
        }
    }
    Some(start..text.len())
}

fn unquote(word: &[u8]) -> Zeroizing<String> {
    let text = Zeroizing::new(String::from_utf8_lossy(word).into_owned());
    let Some(inner) = text.strip_prefix('"') else { return text };
    let mut plain = Zeroizing::new(String::with_capacity(inner.len()));
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => plain.extend(chars.next().map(|c| match c {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                other => other,
            })),
            c => plain.push(c),
        }
    }
    plain
}

fn line_end(text: &[u8], from: usize) -> usize {
    text[from..].iter().position(|&byte| byte == b'\n').map_or(text.len(), |length| from + length)
}

/// Behind the empty line that ends a macro.
fn macro_end(text: &[u8], from: usize) -> usize {
    let mut at = line_end(text, from);
    while at < text.len() {
        let end = line_end(text, at + 1);
        if text[at + 1..end].iter().all(|&byte| byte == b'\r') {
            return end;
        }
        at = end;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str, host: &str) -> Option<(Option<String>, String)> {
        let entries = parse(text.as_bytes());
        let entry = find(&entries, host)?;
        Some((entry.login.clone(), entry.password.as_ref().unwrap().expose_secret().to_owned()))
    }

    fn some(login: &str, password: &str) -> Option<(Option<String>, String)> {
        Some((Some(login.into()), password.into()))
    }

    const WILD: &str = "\
# progress: fetching token
machine cacheb.dcms.destine.eu
    login anonymous
    password old-token
machine example.org login me password \"with \\\"quotes\\\" and space\" # mine
\tmachine cacheb.dcms.destine.eu
\tlogin anonymous
\tpassword new-token
macdef init
machine cacheb.dcms.destine.eu login macro password macro

machine data.earthdatahub.destine.eu
  password edh_pat_x
machine half.example login nobody
default login d password d
machine HashPassword.example login h password #notacomment
";

    #[test]
    fn as_found_in_the_wild() {
        assert_eq!(of(WILD, "cacheb.dcms.destine.eu"), some("anonymous", "new-token"));
        assert_eq!(of(WILD, "example.org"), some("me", "with \"quotes\" and space"));
        assert_eq!(of(WILD, "data.earthdatahub.destine.eu"), Some((None, "edh_pat_x".into())));
        assert_eq!(of(WILD, "hashpassword.example"), some("h", "#notacomment"));
        for other in ["half.example", "unknown.example", "destine.eu", "evil-example.org", "default", ""] {
            assert_eq!(of(WILD, other), None, "{other}");
        }
        let entries = parse(WILD.as_bytes());
        assert_eq!(find(&entries, "cacheb.dcms.destine.eu").unwrap().line, 6);
        assert_eq!(
            of("machine h login a password b\r\nmachine g login c password d\r\n", "h"),
            some("a", "b")
        );
        for broken in
            ["machine", "machine h password", "machine h password \"open", "\"", "macdef", "login x"]
        {
            parse(broken.as_bytes());
        }
    }

    #[test]
    fn writing_changes_one_entry() {
        let put = |text: &str, host: &str| {
            String::from_utf8(with_entry(text.as_bytes(), host, "anonymous", &"T".into()).to_vec()).unwrap()
        };
        assert_eq!(put("", "h"), "machine h login anonymous password T\n");
        assert_eq!(
            put("machine g password p", "h"),
            "machine g password p\nmachine h login anonymous password T\n"
        );
        assert_eq!(put(WILD, "cacheb.dcms.destine.eu"), WILD.replace("new-token", "T"));
        let edh = WILD.replace(
            "machine data.earthdatahub.destine.eu",
            "machine data.earthdatahub.destine.eu login anonymous",
        );
        assert_eq!(put(WILD, "data.earthdatahub.destine.eu"), edh.replace("edh_pat_x", "T"));
        assert_eq!(
            put(WILD, "half.example"),
            WILD.replace(
                "machine half.example login nobody",
                "machine half.example password T login anonymous"
            )
        );
        let open = put("macdef init\nput x\n", "h");
        assert_eq!(of(&open, "h"), some("anonymous", "T"), "{open}");
    }

    #[test]
    fn removing_takes_the_entries_of_one_token() {
        let without = |text: &str, host: &str, password: &str| {
            without_entries(text.as_bytes(), host, &password.into())
                .map(|text| String::from_utf8(text.to_vec()).unwrap())
        };
        let removed = without(WILD, "cacheb.dcms.destine.eu", "new-token").unwrap();
        let entry = "\tmachine cacheb.dcms.destine.eu\n\tlogin anonymous\n\tpassword new-token\n";
        assert_eq!(removed, WILD.replace(entry, ""));
        assert_eq!(without(WILD, "cacheb.dcms.destine.eu", "macro"), None, "not within a macro");
        assert_eq!(without(WILD, "example.org", "new-token"), None);
        assert_eq!(without(WILD, "cacheb.dcms.destine.eu", "other"), None);
        let twice = "machine h password t\nmachine g password t\r\nmachine h login l password t";
        assert_eq!(without(twice, "h", "t").unwrap(), "machine g password t\r\n");
        let one = "machine g password p machine h password t # mine\nmachine i password t";
        assert_eq!(without(one, "h", "t").unwrap(), "machine g password p  # mine\nmachine i password t");
    }

    #[test]
    fn written_to_a_private_file_only() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(".netrc");
        write(&path, "h", "l", &"p".into()).unwrap();
        assert_eq!(of(&std::fs::read_to_string(&path).unwrap(), "h"), some("l", "p"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(write(&path, "h", "l", &"p".into()).unwrap_err().message().contains("chmod"));
        private_file::replace(&path, b"machine g login").unwrap();
        assert!(write(&path, "h", "l", &"p".into()).unwrap_err().message().contains("by hand"));
        assert_eq!(std::fs::read(&path).unwrap(), b"machine g login");
    }

    /// Pieces that real files are made of, in any order.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("machine a.example login x password y\n".to_owned()),
            Just("machine h.example\n  login z\n  password w\n".to_owned()),
            Just("machine h.example password only\n".to_owned()),
            Just("machine h.example login only\n".to_owned()),
            Just("default login d password d\n".to_owned()),
            Just("macdef m\nmachine h.example\n\n".to_owned()),
            Just("# comment machine h.example\n".to_owned()),
            Just("machine b.example account \"a b\" password \"q\\\"\"".to_owned()),
            Just("\r\n".to_owned()),
            "[ -~\\n\\t]{0,20}",
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn a_written_entry_is_found_and_the_others_stay(
            text in pieces(), login in "[!-~]{1,8}", password in "\\PC{1,40}|[ -~\\n\\t\\r]{0,20}",
        ) {
            let new = with_entry(text.as_bytes(), "h.example", &login, &password.as_str().into());
            let new = std::str::from_utf8(&new).unwrap();
            prop_assert_eq!(of(new, "h.example"), some(&login, &password));
            for host in ["a.example", "b.example"] {
                prop_assert_eq!(of(new, host), of(&text, host));
            }
            // Writing it again changes nothing.
            let again = with_entry(new.as_bytes(), "h.example", &login, &password.as_str().into());
            prop_assert_eq!(&again[..], new.as_bytes());
            // Without the words of the entry itself, nothing came or went.
            let rest = |text: &str| -> String {
                let words = ["machine", "h.example", "login", "password"];
                text.split_ascii_whitespace().filter(|word| !words.contains(word)).collect()
            };
            if !text.contains("h.example") {
                prop_assert!(rest(new).starts_with(&rest(&text)));
            }
        }

        #[test]
        fn a_written_entry_can_be_removed(text in pieces()) {
            prop_assume!(!text.contains("TOKEN"));
            let new = with_entry(text.as_bytes(), "new.example", "l", &"TOKEN".into());
            let removed = without_entries(&new, "new.example", &"TOKEN".into());
            // A keyword without its value at the end of the text swallows the new entry; `write` refuses that.
            if let Some(removed) = removed {
                prop_assert!(removed.starts_with(text.trim_end().as_bytes()));
                prop_assert_eq!(removed.trim_ascii_end(), text.as_bytes().trim_ascii_end());
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
            parse(&text);
            without_entries(&text, "h.example", &"p".into());
            with_entry(&text, "h.example", "l", &"p".into());
        }
    }
}
