//! The process itself: no secrets for other processes of the user to read, enough descriptors.

use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors wanted: connections, open files of readers, the cache.
const DESCRIPTORS: u64 = 65_536;

/// No core dumps, and `/proc/<pid>` closed to other processes of the same user (contract.md 8.5): tokens
/// live in this process's memory. Also raises the limit of open files. What the system refuses is
/// not worth failing for.
pub fn process() {
    let _ = set_dumpable(false);
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard.min(DESCRIPTORS).max(soft), hard);
    }
}

/// How many files this process may have open at once.
pub fn descriptors() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft)
}
