//! Why a mount did not happen, with the exit status that mount(8) documents for it.

use std::fmt;

/// A sentence for the person at the terminal, and the exit status.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    message: String,
}

impl Failure {
    /// Status 1: the call or its permissions are wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { status: 1, message: message.into() }
    }

    /// Status 2: the machine lacks something.
    pub(crate) fn system(message: impl Into<String>) -> Self {
        Self { status: 2, message: message.into() }
    }

    /// Status 32: the mount itself failed.
    pub(crate) fn mount(message: impl Into<String>) -> Self {
        Self { status: 32, message: message.into() }
    }

    pub(crate) fn status(&self) -> u8 {
        self.status
    }
}

impl fmt::Display for Failure {
    /// Control characters are escaped: parts of the message came from the caller.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.message.chars() {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { write!(f, "{c}")? }
        }
        Ok(())
    }
}
