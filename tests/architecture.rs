//! The rules of `docs/architecture.md`, held by a test: rows, doors, headers, sizes.
//!
//! Each rule is a function from source files to findings, so that it can be tried on a file that breaks it;
//! the last tests do so. A finding names the file, the line and the rule. Only `std` is used, and the source is
//! read as text with comments, strings and tests blanked out: enough for paths, and nothing to keep up to date.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Every room of `src/` and its row. A room uses only rooms of rows with a higher number, so rooms of one row
/// do not know each other. `main` and `lib` only start and list the rooms.
const ROWS: &[(&str, u32)] = &[
    ("run", 1),
    ("cli", 2),
    ("settings", 3),
    ("fuse", 4),
    ("control", 4),
    ("filesystem", 5),
    ("warm", 5),
    ("namespace", 6),
    ("reader", 6),
    ("catalog", 7),
    ("store", 7),
    ("fetch", 8),
    ("backend", 9),
    ("credentials", 10),
    ("transport", 11),
    ("object", 12),
    ("sys", 12),
    ("error", 13),
];

/// What may be named in some places only. A place is a file of `src/` without its ending, or a folder with all
/// that is below it.
const DOORS: &[(&str, &[&str])] = &[
    ("clap", &["main", "cli"]),
    ("toml", &["settings", "run/mount", "credentials/files"]),
    ("tokio::signal", &["run"]),
    ("tokio::runtime::Builder", &["run"]),
    ("tracing_subscriber", &["run/logging"]),
    ("sd_notify", &["run/mount"]),
    ("indicatif", &["run/warm"]),
    ("dcms_emulator", &["run/demo"]),
    ("fuser", &["fuse"]),
    ("moka", &["namespace", "store/memory"]),
    ("lru", &["fuse/report", "namespace", "store"]),
    ("zarrs_metadata", &["catalog/zarr"]),
    ("zarrs_metadata_ext", &["catalog/zarr"]),
    ("crc32c", &["store"]),
    ("md5", &["object/checksum"]),
    ("sha1", &["object/checksum"]),
    ("sha2", &["object/checksum"]),
    ("sha3", &["object/checksum"]),
    ("rusqlite", &["catalog/shelf"]),
    ("flate2", &["catalog/shelf"]),
    ("backon", &["fetch/retry"]),
    ("html5gum", &["credentials/form"]),
    // Backends name header and method types; a client exists in `transport` only.
    ("reqwest", &["backend", "transport"]),
    ("reqwest::Client", &["transport"]),
    ("reqwest::ClientBuilder", &["transport"]),
    ("httpdate", &["transport"]),
    ("object_store", &["transport/signature"]),
    // Besides `sys`: error numbers, and the modes and owners of private files.
    ("libc", &["sys", "fuse/errno", "credentials/private_file", "run/mountpoint", "run/status"]),
    ("nix", &["sys", "credentials/private_file", "run"]),
    ("unsafe", &["sys"]),
];

/// Lines of a file, its tests not counted.
const LONGEST: usize = 400;

#[test]
fn every_room_has_a_row() {
    assert_none(&without_row(&tree("src")));
}

#[test]
fn rooms_use_lower_rows_only() {
    assert_none(&upward(&tree("src")));
}

#[test]
fn crates_are_named_behind_their_doors_only() {
    assert_none(&outside_doors(&tree("src")));
}

#[test]
fn every_file_says_what_it_is() {
    for folder in ["src", "mount-helper/src", "mount-helper/tests", "tests", "benches"] {
        assert_none(&without_header(&tree(folder)));
    }
}

#[test]
fn files_are_short() {
    for folder in ["src", "mount-helper/src", "tests/emulator/src", "benches"] {
        assert_none(&too_long(&tree(folder)));
    }
}

/// A source file.
struct Source {
    /// Its path below the folder that was read, `store/flight.rs`.
    path: String,
    /// Its path for messages.
    shown: String,
    text: String,
    /// Its text without comments, strings and tests; as long as `text`, and with the same lines.
    code: String,
}

impl Source {
    fn new(folder: &str, path: &str, text: &str) -> Self {
        let mut code = code_of(text);
        blank_tests(&mut code);
        Self { path: path.into(), shown: format!("{folder}/{path}"), text: text.into(), code }
    }

    /// The module path: `["store", "flight"]`.
    fn module(&self) -> Vec<&str> {
        self.path.trim_end_matches(".rs").split('/').collect()
    }

    fn line(&self, offset: usize) -> usize {
        self.text[..offset].matches('\n').count() + 1
    }

    /// Whether it is `place`, or below it.
    fn is_in(&self, place: &str) -> bool {
        let path = self.path.trim_end_matches(".rs");
        path == place || path.strip_prefix(place).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// All `.rs` files below `folder`, files that are tests as a whole without code.
fn tree(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(next) = folders.pop() {
        let Ok(entries) = fs::read_dir(&next) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).expect("a source file is readable text");
                let below = path.strip_prefix(&root).expect("it was found there").to_string_lossy();
                sources.push(Source::new(folder, &below, &text));
            }
        }
    }
    assert!(!sources.is_empty(), "no source files in {folder}");
    sources.sort_by(|one, two| one.path.cmp(&two.path));
    blank_test_files(&mut sources);
    sources
}

fn assert_none(findings: &[String]) {
    assert!(
        findings.is_empty(),
        "\n{}\nThe rules and their reasons: docs/architecture.md\n",
        findings.join("\n")
    );
}

fn row(room: &str) -> Option<u32> {
    ROWS.iter().find(|(name, _)| *name == room).map(|(_, row)| *row)
}

fn without_row(sources: &[Source]) -> Vec<String> {
    let rooms: BTreeSet<&str> = sources.iter().map(|source| source.module()[0]).collect();
    let unknown = rooms.into_iter().filter(|room| !["main", "lib"].contains(room) && row(room).is_none());
    let finding = |room: &str| {
        let found = sources.iter().find(|source| source.module()[0] == room);
        let shown = found.map_or(room, |source| source.shown.as_str());
        format!("{shown}:1: module `{room}` has no row: give it one in ROWS and in docs/architecture.md")
    };
    unknown.map(finding).collect()
}

fn upward(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        let own = source.module()[0];
        let Some(from) = row(own) else { continue };
        for (offset, used) in rooms_used(source) {
            let allowed = used == own || row(&used).is_none_or(|to| to > from);
            if !allowed {
                let to = row(&used).unwrap_or_default();
                let line = source.line(offset);
                findings.push(format!(
                    "{}:{line}: `{own}` (row {from}) uses `{used}` (row {to}): only rows below it may be used",
                    source.shown
                ));
            }
        }
    }
    findings
}

/// The rooms that a file names: behind `crate::`, and behind as many `super::` as lead to the root.
fn rooms_used(source: &Source) -> Vec<(usize, String)> {
    let code = &source.code;
    let mut used = Vec::new();
    let root = "super::".repeat(source.module().len());
    for prefix in ["crate::", root.as_str()] {
        for at in words(code, prefix) {
            let longer_chain = prefix != "crate::" && code[..at].ends_with("super::");
            if !longer_chain {
                used.extend(first_names(code, at + prefix.len()));
            }
        }
    }
    used
}

/// The first name of each path at `at`: of `a::b` it is `a`, of `{a::b, c::{d}}` they are `a` and `c`.
fn first_names(code: &str, at: usize) -> Vec<(usize, String)> {
    let name = |at: usize| {
        let end = code[at..].find(|c: char| !is_word(c)).map_or(code.len(), |length| at + length);
        code[at..end].to_owned()
    };
    if !code[at..].starts_with('{') {
        return vec![(at, name(at))];
    }
    let mut names = Vec::new();
    let (mut depth, mut begins) = (0, false);
    for (offset, c) in code[at..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && (c == '{' || c == ',') {
            begins = true;
        } else if begins && is_word(c) {
            begins = false;
            names.push((at + offset, name(at + offset)));
        }
    }
    names
}

fn outside_doors(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        for (what, places) in DOORS {
            if places.iter().any(|place| source.is_in(place)) {
                continue;
            }
            for at in named(&source.code, what) {
                let line = source.line(at);
                let places = places.join(", ");
                findings
                    .push(format!("{}:{line}: names `{what}`, which only these may: {places}", source.shown));
            }
        }
    }
    findings
}

/// Where `what` is named: a crate as the begin of a path, an item also inside braces, a keyword as it is.
fn named(code: &str, what: &str) -> Vec<usize> {
    let Some((module, item)) = what.rsplit_once("::") else {
        let path = |at: &usize| code[at + what.len()..].starts_with("::") || code[..*at].ends_with("use ");
        return words(code, what).into_iter().filter(|at| what == "unsafe" || path(at)).collect();
    };
    let prefix = format!("{module}::");
    let found = words(code, &prefix).into_iter().flat_map(|at| first_names(code, at + prefix.len()));
    found.filter(|(_, name)| name == item).map(|(at, _)| at).collect()
}

fn without_header(sources: &[Source]) -> Vec<String> {
    let missing = sources.iter().filter(|source| !source.text.starts_with("//!"));
    missing
        .map(|source| format!("{}:1: does not begin with a `//!` line that says what it is", source.shown))
        .collect()
}

fn too_long(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        let lines = source.text.lines().count() - test_lines(source);
        if lines > LONGEST {
            findings.push(format!(
                "{}:{LONGEST}: {lines} lines without its tests, {LONGEST} are allowed: split it by subject",
                source.shown
            ));
        }
    }
    findings
}

/// Lines that hold tests only: without code, though there is text that is no comment.
fn test_lines(source: &Source) -> usize {
    let plain = code_of(&source.text);
    let mut count = 0;
    let mut inside = false;
    for (before, after) in plain.lines().zip(source.code.lines()) {
        let blanked = !before.trim().is_empty() && after.trim().is_empty();
        // Blank and comment lines belong to what surrounds them.
        inside = blanked || (inside && before.trim().is_empty());
        count += usize::from(inside);
    }
    count
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where `text` stands in `code` as whole words.
fn words(code: &str, text: &str) -> Vec<usize> {
    let whole = |at: &usize| {
        let (before, after) = (code[..*at].chars().next_back(), code[at + text.len()..].chars().next());
        let open_end = !text.ends_with(is_word);
        !before.is_some_and(|c| is_word(c) || c == '$') && (open_end || !after.is_some_and(is_word))
    };
    code.match_indices(text).map(|(at, _)| at).filter(whole).collect()
}

/// `text` with comments and the insides of strings as blanks; lines and offsets stay.
fn code_of(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match &bytes[at..] {
            [b'/', b'/', ..] => text[at..].find('\n').map_or(text.len(), |length| at + length),
            [b'/', b'*', ..] => end_of_comment(bytes, at),
            [b'"', ..] => end_of_string(bytes, at + 1),
            [b'r', b'"' | b'#', ..] if !before_is_word(text, at) => end_of_raw_string(text, at),
            [b'\'', ..] => end_of_character(text, at),
            _ => at,
        };
        for byte in &mut code[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(code).expect("whole characters were replaced")
}

fn before_is_word(text: &str, at: usize) -> bool {
    // `br"…"` is a raw string too.
    text[..at].strip_suffix('b').unwrap_or(&text[..at]).ends_with(is_word)
}

fn end_of_comment(bytes: &[u8], begin: usize) -> usize {
    let (mut at, mut depth) = (begin, 0);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(bytes.len())
}

fn end_of_string(bytes: &[u8], begin: usize) -> usize {
    let mut at = begin;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

fn end_of_raw_string(text: &str, begin: usize) -> usize {
    let hashes = text[begin + 1..].bytes().take_while(|byte| *byte == b'#').count();
    let inside = begin + 1 + hashes;
    if !text[inside..].starts_with('"') {
        return begin; // `r#type`
    }
    let close = format!("\"{}", "#".repeat(hashes));
    text[inside + 1..].find(&close).map_or(text.len(), |length| inside + 1 + length + close.len())
}

/// The end of a character literal; a lifetime is left as it is.
fn end_of_character(text: &str, begin: usize) -> usize {
    let mut rest = text[begin + 1..].char_indices();
    match rest.next() {
        Some((_, '\\')) => text[begin + 3..].find('\'').map_or(text.len(), |length| begin + 3 + length + 1),
        Some((_, first)) if text[begin + 1 + first.len_utf8()..].starts_with('\'') => {
            begin + 2 + first.len_utf8()
        }
        _ => begin,
    }
}

const TEST_MARK: &str = "#[cfg(test)]";

/// The items behind `#[cfg(test)]`, with the mark.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut items: Vec<Range<usize>> = Vec::new();
    for (begin, _) in code.match_indices(TEST_MARK) {
        if items.last().is_some_and(|item| item.contains(&begin)) {
            continue;
        }
        let mut depth = 0;
        let mut end = code.len();
        for (offset, c) in code[begin + TEST_MARK.len()..].char_indices() {
            match c {
                '{' | '(' | '[' => depth += 1,
                '}' | ')' | ']' => depth -= 1,
                _ => {}
            }
            // `mod tests;` or the last brace of `mod tests { … }`; not the bracket of a second attribute.
            if depth == 0 && (c == ';' || c == '}') {
                end = begin + TEST_MARK.len() + offset + 1;
                break;
            }
        }
        items.push(begin..end);
    }
    items
}

fn blank_tests(code: &mut String) {
    for item in test_items(code) {
        blank(code, item);
    }
}

fn blank(code: &mut String, range: Range<usize>) {
    let blanks: String =
        code[range.clone()].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
    code.replace_range(range, &blanks);
}

/// Files that are declared as `#[cfg(test)] mod name;`, and all below them, hold no code but tests.
fn blank_test_files(sources: &mut [Source]) {
    let mut modules = Vec::new();
    for source in &*sources {
        let plain = code_of(&source.text);
        for item in test_items(&plain) {
            let item = &plain[item];
            let name = words(item, "mod").first().map(|at| item[at + 3..].trim_start());
            let Some(name) = name.and_then(|rest| rest.strip_suffix(';')) else { continue };
            let path = source.path.trim_end_matches(".rs");
            let folder = path.strip_suffix("main").or(path.strip_suffix("lib")).unwrap_or(path);
            let slash = if folder.is_empty() || folder.ends_with('/') { "" } else { "/" };
            modules.push(format!("{folder}{slash}{name}"));
        }
    }
    for source in sources.iter_mut() {
        if modules.iter().any(|module| source.is_in(module)) {
            let all = 0..source.code.len();
            blank(&mut source.code, all);
        }
    }
}

/// One file of `src/` with this text.
fn one(path: &str, text: &str) -> Vec<Source> {
    vec![Source::new("src", path, text)]
}

#[test]
fn a_new_room_without_a_row_is_found() {
    let findings = without_row(&one("drawer/things.rs", "//! x\n"));
    assert_eq!(findings.len(), 1);
    assert!(findings[0].starts_with("src/drawer/things.rs:1: module `drawer` has no row"), "{findings:?}");
    assert!(without_row(&one("main.rs", "")).is_empty());
}

#[test]
fn a_use_of_an_upper_row_is_found_in_every_form() {
    let forms = [
        "use crate::filesystem::Stat;\n",
        "use crate::{error::Error, filesystem::{self, Stat}};\n",
        "fn f() -> crate::filesystem::Stat { todo!() }\n",
        "use super::super::filesystem::Stat;\n",
        "pub(crate) use crate::fetch::{\n    Fetch,\n};\nuse crate::{\n    error,\n    filesystem,\n};\n",
    ];
    for form in forms {
        let findings = upward(&one("store/flight.rs", &format!("//! x\n{form}")));
        assert_eq!(findings.len(), 1, "{form}: {findings:?}");
        assert!(findings[0].contains("`store` (row 7) uses `filesystem` (row 5)"), "{findings:?}");
    }
    let findings = upward(&one("store/flight.rs", "//! x\n\nuse crate::catalog::stac;\n"));
    assert!(findings[0].starts_with("src/store/flight.rs:3: "), "the same row counts, too: {findings:?}");
    let findings = upward(&one("sys/mount.rs", "use crate::object::ByteRange;"));
    assert_eq!(findings.len(), 1, "sys uses errors only");
}

#[test]
fn what_is_no_use_is_not_found() {
    let harmless = [
        "use crate::fetch::Fetch;\nuse crate::store::claim::Claimed;\nuse super::object::Object;\n",
        "// use crate::filesystem::Stat;\n/* crate::filesystem /* nested */ crate::run */\n",
        "const TEXT: &str = \"crate::filesystem::Stat \\\" crate::run\";\nconst RAW: &str = r#\"crate::run \" \"#;\n",
        "fn f<'a>(x: &'a str) -> char { '\"' }\n#[cfg(test)]\nmod tests {\n    use crate::filesystem::Stat;\n}\n",
        "#[cfg(test)]\n#[allow(dead_code, reason = \"x\")]\nuse crate::filesystem::Stat;\n",
    ];
    for text in harmless {
        let findings = upward(&one("store/flight.rs", text));
        assert!(findings.is_empty(), "{text}: {findings:?}");
    }
}

#[test]
fn a_crate_outside_its_door_is_found() {
    let cases = [
        ("filesystem.rs", "use fuser::Errno;", "fuser"),
        ("store/flight.rs", "fn f() { let _ = reqwest::Method::GET; }", "reqwest"),
        ("backend/download.rs", "use reqwest::{Client, Method};", "reqwest::Client"),
        ("fetch.rs", "use tokio::signal::unix::signal;", "tokio::signal"),
        ("store.rs", "unsafe { f() }", "unsafe"),
        ("fuse.rs", "use clap;", "clap"),
    ];
    for (path, text, what) in cases {
        let findings = outside_doors(&one(path, &format!("//! x\n{text}\n")));
        assert_eq!(findings.len(), 1, "{text}: {findings:?}");
        assert!(findings[0].starts_with(&format!("src/{path}:2: names `{what}`")), "{findings:?}");
    }
    let harmless = [
        ("fuse/session.rs", "use fuser::Session;"),
        ("store/claim.rs", "use tokio::sync::Notify; let signal = 1; // fuser::x"),
        ("fetch.rs", "let lru = 1; #![deny(unsafe_code)]"),
    ];
    for (path, text) in harmless {
        assert!(outside_doors(&one(path, text)).is_empty(), "{text}");
    }
}

#[test]
fn a_file_without_a_header_is_found() {
    let findings = without_header(&one("store.rs", "use std::fs;\n"));
    assert!(findings[0].starts_with("src/store.rs:1: does not begin"), "{findings:?}");
}

#[test]
fn a_long_file_is_found_and_tests_do_not_count() {
    let long = "//! x\n".to_owned() + &"fn f() {}\n".repeat(400);
    assert!(too_long(&one("store.rs", &long))[0].contains("401 lines"), "one line too many");
    let tests = "#[cfg(test)]\nmod tests {\n    // x\n\n".to_owned() + &"    fn f() {}\n".repeat(400) + "}\n";
    let short = "//! x\n".to_owned() + &"fn f() {}\n".repeat(399) + &tests;
    assert!(too_long(&one("store.rs", &short)).is_empty());
    let mut apart = one("store.rs", "//! x\n#[cfg(test)]\npub(crate) mod tests;\n");
    apart.extend(one("store/tests.rs", &long));
    assert_eq!(too_long(&apart).len(), 1);
    blank_test_files(&mut apart);
    assert!(too_long(&apart).is_empty(), "a file that is all tests");
}

/// Every test that docs/semantics.md names is there: a promise without a test is none.
#[test]
fn promises_name_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/semantics.md")).expect("the contract is there");
    let mounts: String = ["tests/mount.rs"]
        .into_iter()
        .map(PathBuf::from)
        .chain(files_below("tests/mount"))
        .filter_map(|path| fs::read_to_string(root.join(path)).ok())
        .collect();
    let mut missing = Vec::new();
    for named in text.split("*Test:*").skip(1) {
        let names = named.split("\n\n").next().unwrap_or_default();
        for name in names.split('`').skip(1).step_by(2) {
            let found = match name.rsplit_once("::tests") {
                None => mounts.contains(&format!("fn {name}()")),
                Some((module, function)) => {
                    let file = format!("src/{}", module.replace("::", "/"));
                    // `module::tests::part::name` is in a file of its own.
                    let (part, function) = function.rsplit_once("::").unwrap_or_default();
                    let part = format!("{file}/tests{}.rs", part.replace("::", "/"));
                    let beside = [format!("{file}.rs"), format!("{file}/tests.rs"), part];
                    let function = match function {
                        "" => "mod tests".to_owned(),
                        name => format!("fn {name}("),
                    };
                    let holds = |path: &String| {
                        fs::read_to_string(root.join(path)).is_ok_and(|text| text.contains(&function))
                    };
                    beside.iter().any(holds)
                }
            };
            if !found {
                missing.push(format!("docs/semantics.md names `{name}`, which is no test"));
            }
        }
    }
    assert_none(&missing);
}

fn files_below(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some()).collect()
}
