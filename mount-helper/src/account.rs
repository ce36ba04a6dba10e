//! The account a mount is made for: who it is, and how the process becomes it for good.
//!
//! A root daemon that reads a user's `~/.netrc` through a symbolic link is the classic hole. So nothing of the
//! account is read before the privileges are gone; only the system's account tables are.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use nix::sys::prctl;
use nix::unistd::{self, Gid, Group, Uid, User};

use crate::failure::Failure;
use crate::options::Options;

/// Whom the daemon runs as.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
    pub(crate) home: PathBuf,
}

/// Environment variables that the daemon may inherit. All others could change which programs and libraries
/// run, which hosts are trusted or what is logged, on behalf of another account.
const KEPT: [&str; 4] = ["LANG", "TZ", "NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY"];

/// The account that root named, or root itself.
pub(crate) fn resolve(options: &Options) -> Result<Account, Failure> {
    let user = match &options.account {
        Some(text) => find_user(text)?,
        None => by_uid(Uid::from_raw(0))?,
    };
    let gid = match &options.group {
        Some(text) => find_group(text)?,
        None => user.gid,
    };
    let account = Account { name: user.name, uid: user.uid, gid, home: user.dir };
    check_home(&account, options.config.as_deref())?;
    Ok(account)
}

/// An ordinary user may name only itself; the mount is then its own.
pub(crate) fn check_own(options: &Options) -> Result<(), Failure> {
    let own = unistd::getuid();
    if own != unistd::geteuid() {
        return Err(Failure::system("mount.dcmsfs must not be setuid; remove the bit with `chmod u-s`"));
    }
    if let Some(text) = &options.account
        && find_user(text)?.uid != own
    {
        return Err(Failure::usage("only root can mount for another account (uid=, user=)"));
    }
    if let Some(text) = &options.group
        && find_group(text)? != unistd::getgid()
    {
        return Err(Failure::usage("only root can choose another group (gid=)"));
    }
    Ok(())
}

/// The account this process runs as.
pub(crate) fn own() -> Result<Account, Failure> {
    let user = by_uid(unistd::getuid())?;
    Ok(Account { name: user.name, uid: user.uid, gid: unistd::getgid(), home: user.dir })
}

/// The account of a number that `resolve` found before.
pub(crate) fn by_number(uid: u32, gid: u32) -> Result<Account, Failure> {
    let user = by_uid(Uid::from_raw(uid))?;
    Ok(Account { name: user.name, uid: user.uid, gid: Gid::from_raw(gid), home: user.dir })
}

/// The environment of the daemon: fixed, but for a few variables.
pub(crate) fn environment(account: &Account) -> Vec<(String, std::ffi::OsString)> {
    let mut environment = vec![
        ("PATH".to_owned(), "/usr/sbin:/usr/bin:/sbin:/bin".into()),
        ("HOME".to_owned(), account.home.clone().into_os_string()),
    ];
    for name in KEPT {
        if let Some(value) = std::env::var_os(name) {
            environment.push((name.to_owned(), value));
        }
    }
    environment
}

/// Becomes the account, and proves that there is no way back.
pub(crate) fn become_account(account: &Account) -> Result<(), Failure> {
    let step = |what: &str| {
        let what = what.to_owned();
        let name = account.name.clone();
        move |error: nix::Error| Failure::system(format!("cannot become the account {name}: {what}: {error}"))
    };
    let name = CString::new(account.name.as_str())
        .map_err(|_| Failure::system("an account name with a NUL byte"))?;
    unistd::initgroups(&name, account.gid).map_err(step("initgroups"))?;
    unistd::setresgid(account.gid, account.gid, account.gid).map_err(step("setresgid"))?;
    unistd::setresuid(account.uid, account.uid, account.uid).map_err(step("setresuid"))?;
    if account.uid.is_root() {
        return Ok(());
    }
    // The FUSE descriptor is open already, so no setuid program (fusermount3) is needed any more. This also
    // makes the capability bounding set irrelevant.
    prctl::set_no_new_privs().map_err(step("no_new_privs"))?;
    let uids = unistd::getresuid().map_err(step("getresuid"))?;
    let gids = unistd::getresgid().map_err(step("getresgid"))?;
    let same = [uids.real, uids.effective, uids.saved].iter().all(|uid| *uid == account.uid)
        && [gids.real, gids.effective, gids.saved].iter().all(|gid| *gid == account.gid);
    let regained = unistd::setuid(Uid::from_raw(0)).is_ok();
    if !same || regained || holds_capabilities()? {
        return Err(Failure::system(format!("privileges could not be dropped for good to {}", account.name)));
    }
    Ok(())
}

/// Whether any capability is left. The kernel clears them with the last root uid, unless someone above us
/// asked it not to.
fn holds_capabilities() -> Result<bool, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")
        .map_err(|error| Failure::system(format!("cannot read /proc/self/status: {error}")))?;
    let empty = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.is_some_and(|set| set.trim().bytes().all(|digit| digit == b'0'))
    };
    Ok(!["CapPrm:", "CapEff:", "CapAmb:"].into_iter().all(empty))
}

/// Without a home there is no login, no configuration and no cache; better said now than by the daemon.
fn check_home(account: &Account, config: Option<&Path>) -> Result<(), Failure> {
    let missing = || {
        let missing = std::fs::symlink_metadata(&account.home)
            .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
        !account.home.is_absolute() || missing
    };
    if config.is_none() && missing() {
        return Err(Failure::usage(format!(
            "the account {} has no home directory to read its configuration from; name one with config=FILE",
            account.name
        )));
    }
    Ok(())
}

/// A number that has no account is refused: the account's home and groups are needed.
fn find_user(text: &str) -> Result<User, Failure> {
    let found = match text.parse::<u32>() {
        Ok(number) => User::from_uid(Uid::from_raw(number)),
        Err(_) => User::from_name(text),
    };
    found
        .map_err(|error| Failure::system(format!("cannot look up the account {text}: {error}")))?
        .ok_or_else(|| Failure::usage(format!("there is no account {text} on this machine (uid=, user=)")))
}

fn find_group(text: &str) -> Result<Gid, Failure> {
    let found = match text.parse::<u32>() {
        Ok(number) => Group::from_gid(Gid::from_raw(number)),
        Err(_) => Group::from_name(text),
    };
    found
        .map_err(|error| Failure::system(format!("cannot look up the group {text}: {error}")))?
        .map(|group| group.gid)
        .ok_or_else(|| Failure::usage(format!("there is no group {text} on this machine (gid=)")))
}

fn by_uid(uid: Uid) -> Result<User, Failure> {
    find_user(&uid.as_raw().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(account: &str) -> Options {
        Options { account: Some(account.to_owned()), ..Options::default() }
    }

    #[test]
    fn accounts_by_name_and_number() {
        assert_eq!(resolve(&Options::default()).unwrap().uid, Uid::from_raw(0));
        assert_eq!(resolve(&with("root")).unwrap().name, "root");
        assert_eq!(resolve(&with("0")).unwrap().home, PathBuf::from("/root"));
    }

    #[test]
    fn unknown_accounts_and_groups() {
        for name in ["no-such-account", "4294967294", "99999999999"] {
            let failure = resolve(&with(name)).expect_err(name);
            assert_eq!(failure.status(), 1);
            assert!(failure.to_string().contains(name));
        }
        assert!(find_group("no-such-group").is_err());
    }

    #[test]
    fn an_account_without_home_needs_a_configuration() {
        let account = Account {
            name: "svc".into(),
            uid: Uid::from_raw(7),
            gid: Gid::from_raw(7),
            home: "/nonexistent/svc".into(),
        };
        assert!(check_home(&account, None).expect_err("home").to_string().contains("config=FILE"));
        assert!(check_home(&account, Some(Path::new("/etc/dcmsfs/svc.toml"))).is_ok());
        assert!(check_home(&Account { home: "".into(), ..account }, None).is_err());
    }

    #[test]
    fn the_environment_is_fixed() {
        let account = resolve(&Options::default()).unwrap();
        for (name, _) in environment(&account) {
            assert!(name == "PATH" || name == "HOME" || KEPT.contains(&name.as_str()), "{name}");
        }
    }
}
