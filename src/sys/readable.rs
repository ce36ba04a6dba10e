//! Whether something can be read without waiting.

use std::os::fd::{AsFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Whether a `read` of `device` would return at once, also with the end or an error. Never blocks.
pub fn is_readable(device: &OwnedFd) -> bool {
    let mut looked_at = [PollFd::new(device.as_fd(), PollFlags::POLLIN)];
    poll(&mut looked_at, PollTimeout::ZERO) != Ok(0)
}
