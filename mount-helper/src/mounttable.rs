//! What the kernel says about a mount, found by the mount's number and not by its path.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::failure::Failure;

/// One line of `/proc/self/mountinfo`, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) id: u64,
    pub(crate) kind: String,
    /// `user_id=` of a FUSE mount.
    pub(crate) owner: Option<u32>,
}

/// The mount that an open descriptor lies on.
pub(crate) fn of(fd: BorrowedFd<'_>) -> Result<Mount, Failure> {
    let id = id_of(fd)?;
    let table = read("/proc/self/mountinfo")?;
    table
        .lines()
        .find_map(|line| parse(line).filter(|mount| mount.id == id))
        .ok_or_else(|| Failure::system("the mount table does not list the mount point's file system"))
}

fn id_of(fd: BorrowedFd<'_>) -> Result<u64, Failure> {
    let info = read(&format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))?;
    info.lines()
        .find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())
        .ok_or_else(|| Failure::system("the kernel does not tell mount numbers in /proc/self/fdinfo"))
}

fn read(path: &str) -> Result<String, Failure> {
    // Mount tables may hold names that are not UTF-8; the fields we need are ASCII.
    let bytes =
        std::fs::read(path).map_err(|error| Failure::system(format!("cannot read {path}: {error}")))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `36 35 98:0 /root /point options [tags] - type source super-options`
fn parse(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let id = before.split(' ').next()?.parse().ok()?;
    let mut after = after.split(' ');
    let kind = after.next()?.to_owned();
    let owner = after.nth(1)?.split(',').find_map(|option| option.strip_prefix("user_id=")?.parse().ok());
    Some(Mount { id, kind, owner })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_line_of_ours() {
        let line = "410 25 0:52 / /mnt/a\\040b ro,nosuid - fuse.dcmsfs dcmsfs: rw,user_id=1000,group_id=1000";
        let expected = Mount { id: 410, kind: "fuse.dcmsfs".into(), owner: Some(1000) };
        assert_eq!(parse(line), Some(expected));
        assert_eq!(parse("25 1 8:1 / / rw shared:1 - ext4 /dev/vda rw").unwrap().owner, None);
        assert_eq!(parse("nonsense"), None);
    }

    #[test]
    fn an_open_file_has_a_mount() {
        let file = std::fs::File::open("/proc/self/status").unwrap();
        assert_eq!(of(file.as_fd()).unwrap().kind, "proc");
    }
}
