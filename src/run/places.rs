//! Where the user's things are: home, configuration, run-time state.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

use crate::cli::ConfigurationArgs;
use crate::error::{ErrorKind, Result, fail};
use crate::settings::layers::Sources;

/// The user's home: `HOME`, else as the system knows it.
pub(super) fn home() -> PathBuf {
    if let Some(home) = std::env::var_os("HOME").filter(|home| Path::new(home).is_absolute()) {
        return home.into();
    }
    match User::from_uid(Uid::effective()) {
        Ok(Some(user)) => user.dir,
        _ => PathBuf::from("/"),
    }
}

/// The sources of settings for a command.
pub(super) fn sources(args: &ConfigurationArgs) -> Sources {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Sources { file: args.config.clone(), home: home(), environment, options: Vec::new() }
}

/// A directory of this user alone, for what lives as long as the login session: `/run/user/<uid>/dcmsfs`, else
/// `/run/dcmsfs` for root, else one under `/tmp`. By uid, not by `XDG_RUNTIME_DIR`: a mount by fstab has no such
/// variable and must share its download slots with one made by hand.
///
/// # Errors
/// `Configuration` when somebody else owns it: then it cannot be trusted.
pub(super) fn runtime_directory() -> Result<PathBuf> {
    let user = Uid::effective();
    let session = PathBuf::from(format!("/run/user/{user}"));
    let directory = if std::fs::metadata(&session).is_ok_and(|data| data.uid() == user.as_raw()) {
        session.join("dcmsfs")
    } else if user.is_root() {
        PathBuf::from("/run/dcmsfs")
    } else {
        PathBuf::from(format!("/tmp/dcmsfs-{user}"))
    };
    let shown = directory.display().to_string();
    if let Err(error) = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory) {
        return fail(ErrorKind::Configuration, format!("cannot make {shown}: {error}"));
    }
    match std::fs::symlink_metadata(&directory) {
        Ok(data) if data.is_dir() && data.uid() == user.as_raw() && data.mode() & 0o022 == 0 => Ok(directory),
        _ => fail(
            ErrorKind::Configuration,
            format!("{shown} belongs to somebody else or is open to others: remove it and try again"),
        ),
    }
}

/// Where is counted what services were asked for. Not by `XDG_STATE_HOME`: all mounts of the user count together,
/// also one by fstab, which has no such variable.
pub(super) fn counts_directory() -> PathBuf {
    home().join(".local/state/dcmsfs/counts")
}

/// Where a mount in the background writes its log.
pub(super) fn log_file() -> PathBuf {
    match std::env::var_os("XDG_STATE_HOME").filter(|dir| Path::new(dir).is_absolute()) {
        Some(directory) => PathBuf::from(directory),
        None => home().join(".local/state"),
    }
    .join("dcmsfs/dcmsfs.log")
}
