//! What is mounted where, from `/proc/self/mountinfo` (proc(5)): unlike `stat` it never hangs on a mount
//! that does not answer.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The type that our mounts show.
pub const TYPE: &str = "fuse.dcmsfs";

/// One line of the mount table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Device number, `major:minor`.
    pub device: String,
    /// Where it is mounted.
    pub point: PathBuf,
    /// Type, with the subtype behind a dot.
    pub kind: String,
    /// What is mounted, as the mount call named it.
    pub source: String,
    /// The user whose mount it is, for FUSE mounts.
    pub user: Option<u32>,
}

/// All mounts of this process's namespace, later ones on top.
pub fn all() -> Vec<Mount> {
    let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    table.split(|byte| *byte == b'\n').filter_map(parse).collect()
}

/// The topmost mount at exactly `point`.
pub fn at(point: &Path) -> Option<Mount> {
    all().into_iter().rev().find(|mount| mount.point == point)
}

/// Where the mount is that a person means by `path`. By the table, not by a look at the directory: the mount
/// may be dead. A path through links is asked for its real name, which a dead mount cannot answer.
pub fn point(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if at(&absolute).is_some() {
        return absolute;
    }
    absolute.canonicalize().unwrap_or(absolute)
}

/// Our mounts.
pub fn ours() -> Vec<Mount> {
    all().into_iter().filter(|mount| mount.kind == TYPE).collect()
}

fn parse(line: &[u8]) -> Option<Mount> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let dash = fields.iter().position(|field| *field == b"-")?;
    let text =
        |index: usize| fields.get(index).map(|field| String::from_utf8_lossy(&plain(field)).into_owned());
    let options = text(dash + 3).unwrap_or_default();
    Some(Mount {
        device: text(2)?,
        point: PathBuf::from(OsString::from_vec(plain(fields.get(4)?))),
        kind: text(dash + 1)?,
        source: text(dash + 2)?,
        user: options.split(',').find_map(|option| option.strip_prefix("user_id=")?.parse().ok()),
    })
}

/// Undoes the octal escapes of blanks and backslashes.
fn plain(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, behind)) = rest.split_first() {
        let digits =
            behind.get(..3).filter(|digits| *first == b'\\' && digits.iter().all(u8::is_ascii_digit));
        match digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[3..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_line_with_escapes() {
        let line = br"51 29 0:49 / /mnt/with\040blank ro,nosuid shared:1 - fuse.dcmsfs dcmsfs: ro,user_id=1000,group_id=1000";
        let mount = parse(line).unwrap();
        assert_eq!(mount.point, Path::new("/mnt/with blank"));
        assert_eq!((mount.kind.as_str(), mount.source.as_str(), mount.user), (TYPE, "dcmsfs:", Some(1000)));
        assert_eq!(mount.device, "0:49");
        assert!(parse(b"garbage").is_none());
    }
}
