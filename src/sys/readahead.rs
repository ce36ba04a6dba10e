//! How far the kernel reads ahead on a mount: the block device information of sysfs, which only root may write.

use std::io;

/// Makes the kernel read `bytes` ahead on the mount with this device number (`major:minor`). The handshake can
/// only lower what the kernel offers, 128 KiB (fuse.md 2). Files that are open already keep what they had.
///
/// # Errors
/// The system's; `PermissionDenied` for everybody but root.
pub fn set(device: &str, bytes: u64) -> io::Result<()> {
    std::fs::write(format!("/sys/class/bdi/{device}/read_ahead_kb"), (bytes / 1024).to_string())
}
