//! Whether the kernel may be asked to read files of the cache by itself (fuse.md 2, "passthrough").

use std::path::Path;

use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, statfs};

/// `CAP_SYS_ADMIN` in the masks of proc(5) (capabilities(7)).
const SYS_ADMIN: u64 = 1 << 21;

/// How deep the mount and the files below it may be stacked, for files in `directory`, which may not exist yet:
/// 1, or 2 on an overlay. `None`: this process may not hand files to the kernel.
pub fn stack_depth(directory: &Path) -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    if !may_hand_over(&status) {
        return None;
    }
    let kind = directory.ancestors().find_map(|place| statfs(place).ok())?.filesystem_type();
    Some(if kind == OVERLAYFS_SUPER_MAGIC { 2 } else { 1 })
}

fn may_hand_over(status: &str) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & SYS_ADMIN != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_right_decides() {
        assert!(may_hand_over("Name:\tx\nCapEff:\t000001ffffffffff\n"));
        assert!(!may_hand_over("CapPrm:\t000001ffffffffff\nCapEff:\t000001ffffdfffff\n"));
        assert!(!may_hand_over(""));
    }
}
