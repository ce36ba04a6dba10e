//! The log: to the terminal, or to a file for a mount in the background.

use std::fs::OpenOptions;
use std::io::IsTerminal;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;

use crate::error::{Error, ErrorKind, Result};

/// Begins the log: what is at least as grave as `level`, of this program only.
///
/// # Errors
/// `Configuration` when the file cannot be written.
pub(super) fn begin(file: Option<&Path>, level: &str) -> Result<()> {
    let filter = EnvFilter::new(format!("dcmsfs={level}"));
    let format = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    let started = match file {
        None => format.with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr).try_init(),
        Some(path) => {
            let wrong = |error: std::io::Error| {
                Error::new(
                    ErrorKind::Configuration,
                    format!("cannot write the log {}: {error}", path.display()),
                )
            };
            if let Some(directory) = path.parent() {
                std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(wrong)?;
            }
            let opened =
                OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(wrong)?;
            format.with_ansi(false).with_writer(Mutex::new(opened)).try_init()
        }
    };
    started.map_err(|error| Error::new(ErrorKind::Internal, format!("no log: {error}")))
}
