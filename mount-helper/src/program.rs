//! Where `dcmsfs` is, and the arguments it gets. No search path, no shell, no value that could be an option.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use crate::failure::Failure;
use crate::options::Options;

const PLACES: [&str; 2] = ["/usr/bin/dcmsfs", "/usr/local/bin/dcmsfs"];

/// The daemon's program: beside this one (both installed or built together), else at its fixed places.
pub(crate) fn find() -> Result<PathBuf, Failure> {
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("dcmsfs")));
    if let Some(path) = beside
        && path.parent().is_some_and(trusted)
        && path.is_file()
        && trusted(&path)
    {
        return Ok(path);
    }
    PLACES.into_iter().map(PathBuf::from).find(|path| path.is_file() && trusted(path)).ok_or_else(|| {
        Failure::system(format!("the program dcmsfs is at none of {}; install it", PLACES.join(", ")))
    })
}

/// Only root, or the caller itself, may be able to change what is going to run.
fn trusted(path: &Path) -> bool {
    let own = geteuid().as_raw();
    std::fs::metadata(path)
        .is_ok_and(|metadata| (metadata.uid() == 0 || metadata.uid() == own) && metadata.mode() & 0o022 == 0)
}

/// The arguments after the program's name. `fuse` is the number of the descriptor handed over, if there is one.
pub(crate) fn arguments(options: &Options, fuse: Option<i32>, mountpoint: &Path) -> Vec<OsString> {
    let mut arguments = Vec::new();
    if let Some(number) = fuse {
        arguments.push(format!("--fuse-fd={number}").into());
    }
    if let Some(config) = &options.config {
        let mut argument = OsString::from("--config=");
        argument.push(config);
        arguments.push(argument);
    }
    // fstab and automount must not fail because a network comes up later.
    arguments.push("--offline".into());
    if options.allow_other {
        arguments.push("--allow-other".into());
    }
    if options.nonempty {
        arguments.push("--nonempty".into());
    }
    if let Some(level) = options.log {
        arguments.push(format!("--log={level}").into());
    }
    arguments.push(mountpoint.as_os_str().to_owned());
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_argument_for_each_value() {
        let options = crate::options::parse(&["config=/etc/a b,allow_other,log=warn"], false).unwrap();
        assert_eq!(
            arguments(&options, Some(5), Path::new("/mnt/x")),
            ["--fuse-fd=5", "--config=/etc/a b", "--offline", "--allow-other", "--log=warn", "/mnt/x"]
        );
        assert_eq!(arguments(&Options::default(), None, Path::new("/mnt")), ["--offline", "/mnt"]);
    }

    #[test]
    fn a_program_that_others_can_write_is_not_trusted() {
        assert!(trusted(Path::new("/usr/bin/env")));
        assert!(!trusted(Path::new("/tmp")), "writable by everybody");
        assert!(!trusted(Path::new("/nonexistent")));
    }
}
