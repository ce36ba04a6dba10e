//! The calling form of mount(8): `SOURCE DIRECTORY [-sfnv] [-N namespace] [-o options] [-t type.subtype]`.
//!
//! Parsing does no I/O. Switches may stand before, between or after the two names, and `-o` may be repeated.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::failure::Failure;
use crate::options::{self, Options};

/// The longest source shown in mount tables.
const SOURCE_LIMIT: usize = 128;

/// What was asked for.
#[derive(Debug)]
pub(crate) enum Call {
    Help,
    Version,
    Mount(Request),
}

/// One mount, checked as far as that is possible without looking at the machine.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) source: String,
    pub(crate) directory: PathBuf,
    pub(crate) options: Options,
    /// `-f`: check everything, mount nothing.
    pub(crate) fake: bool,
}

/// Reads the arguments after the program's name.
pub(crate) fn parse(arguments: &[OsString]) -> Result<Call, Failure> {
    let mut names: Vec<&OsStr> = Vec::new();
    let mut option_strings: Vec<&str> = Vec::new();
    let (mut fake, mut sloppy) = (false, false);
    let mut only_names = false;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let bytes = argument.as_bytes();
        if only_names || bytes == b"-" || !bytes.starts_with(b"-") {
            names.push(argument);
            continue;
        }
        match bytes {
            b"--" => only_names = true,
            b"--help" | b"-h" => return Ok(Call::Help),
            b"--version" | b"-V" => return Ok(Call::Version),
            _ if bytes.starts_with(b"--") => return Err(unknown_switch(argument)),
            _ => {
                for (at, letter) in bytes.iter().enumerate().skip(1) {
                    match letter {
                        b'f' => fake = true,
                        b's' => sloppy = true,
                        // No mtab is kept, and there is nothing more to tell.
                        b'n' | b'v' => {}
                        b'o' | b't' | b'N' => {
                            let attached = bytes.get(at + 1..).filter(|value| !value.is_empty());
                            let value = match attached {
                                Some(value) => OsStr::from_bytes(value),
                                None => rest.next().map(OsString::as_os_str).ok_or_else(|| {
                                    Failure::usage(format!("-{} needs a value", char::from(*letter)))
                                })?,
                            };
                            switch_with_value(*letter, value, &mut option_strings)?;
                            break;
                        }
                        _ => return Err(unknown_switch(argument)),
                    }
                }
            }
        }
    }
    let [source, directory] = names.as_slice() else {
        return Err(Failure::usage(format!(
            "expected a source and a directory, got {} names; see mount.dcmsfs --help",
            names.len()
        )));
    };
    if directory.is_empty() {
        return Err(Failure::usage("the directory's name is empty"));
    }
    Ok(Call::Mount(Request {
        source: check_source(source)?,
        directory: PathBuf::from(directory),
        options: options::parse(&option_strings, sloppy)?,
        fake,
    }))
}

fn switch_with_value<'a>(
    letter: u8,
    value: &'a OsStr,
    option_strings: &mut Vec<&'a str>,
) -> Result<(), Failure> {
    match letter {
        b'o' => {
            let text = value.to_str().ok_or_else(|| Failure::usage("the mount options are not UTF-8"))?;
            option_strings.push(text);
            Ok(())
        }
        b't' if value == "dcmsfs" || value == "fuse.dcmsfs" => Ok(()),
        b't' => Err(Failure::usage("only the type dcmsfs can be mounted by this program")),
        _ => Err(Failure::usage(
            "mounting into another namespace (-N) is not supported; enter it first with nsenter",
        )),
    }
}

fn unknown_switch(argument: &OsStr) -> Failure {
    Failure::usage(format!("unknown switch {argument:?}; see mount.dcmsfs --help"))
}

/// The source is only a label, but it is shown in mount tables that other programs split.
fn check_source(source: &OsStr) -> Result<String, Failure> {
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"._:@/-".contains(b);
    match source.to_str() {
        Some(text)
            if !text.is_empty()
                && text.len() <= SOURCE_LIMIT
                && !text.starts_with('-')
                && text.as_bytes().iter().all(allowed) =>
        {
            Ok(text.to_owned())
        }
        _ => Err(Failure::usage(format!(
            "the source is a label such as `dcmsfs:`; it may hold letters, digits and . _ : @ / - up to \
             {SOURCE_LIMIT} characters and not start with -"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Call, Failure> {
        parse(&arguments.iter().map(OsString::from).collect::<Vec<_>>())
    }

    fn request(arguments: &[&str]) -> Request {
        match parsed(arguments).unwrap() {
            Call::Mount(request) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_forms_that_mount_uses() {
        // As recorded from util-linux 2.38.
        let fake = request(&["dcmsfs:", "/mnt", "-s", "-f", "-o", "rw,noatime,bogus"]);
        assert!(fake.fake);
        let plain = request(&["dcmsfs:", "/mnt", "-v", "-o", "rw,noexec,nosuid,nodev,user"]);
        assert!(!plain.fake);
        assert_eq!(plain.directory, PathBuf::from("/mnt"));
        request(&["-sfnv", "dcmsfs", "-orw", "/mnt", "-t", "fuse.dcmsfs"]);
        assert!(request(&["-no", "ro", "-fs", "dcmsfs", "/mnt"]).fake);
    }

    #[test]
    fn a_directory_can_start_with_a_dash_only_after_the_separator() {
        assert!(parsed(&["dcmsfs", "-mnt"]).is_err());
        assert_eq!(request(&["--", "dcmsfs", "-mnt"]).directory, PathBuf::from("-mnt"));
    }

    #[test]
    fn wrong_calls() {
        for call in [
            &[][..],
            &["dcmsfs"],
            &["dcmsfs", ""],
            &["dcmsfs", "/mnt", "/more"],
            &["dcmsfs", "/mnt", "-o"],
            &["dcmsfs", "/mnt", "-x"],
            &["dcmsfs", "/mnt", "--options=ro"],
            &["dcmsfs", "/mnt", "-t", "ext4"],
            &["dcmsfs", "/mnt", "-N", "/proc/1/ns/mnt"],
            &["a b", "/mnt"],
            &["a,b", "/mnt"],
            &["a\\040b", "/mnt"],
            &["a\nb", "/mnt"],
            &["", "/mnt"],
            &[&"a".repeat(129), "/mnt"],
        ] {
            let failure = parsed(call).expect_err("accepted");
            assert_eq!(failure.status(), 1, "{call:?}");
        }
    }

    #[test]
    fn help_and_version_need_nothing_else() {
        assert!(matches!(parsed(&["--help"]), Ok(Call::Help)));
        assert!(matches!(parsed(&["-V"]), Ok(Call::Version)));
    }
}
