//! The helper as a program, with a stand-in for `dcmsfs` beside it that writes down how it was started.
//!
//! What needs root and `/dev/fuse` runs in a mount namespace of its own, so nothing is mounted on the machine;
//! without them those tests say so and end.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// `nobody` on Debian and others.
const NOBODY: u32 = 65534;

struct Place {
    directory: PathBuf,
}

impl Place {
    /// A directory with the helper, a `dcmsfs` of the given script, and a mount point.
    fn new(name: &str, script: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("mount-helper-{}-{name}", std::process::id()));
        let _absent = fs::remove_dir_all(&directory);
        fs::create_dir_all(directory.join("mnt")).unwrap();
        fs::create_dir(directory.join("out")).unwrap();
        for (path, mode) in [("", 0o755), ("mnt", 0o755), ("out", 0o777)] {
            fs::set_permissions(directory.join(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::copy(env!("CARGO_BIN_EXE_mount-dcmsfs"), directory.join("mount.dcmsfs")).unwrap();
        let report = format!(
            "#!/bin/sh\nout={}/out\nfor a in \"$@\"; do printf '%s\\n' \"$a\"; done >$out/arguments\n\
             env | LC_ALL=C sort >$out/environment\nid -u >$out/uid; id -g >$out/gid; id -G >$out/groups\n\
             cat /proc/self/status >$out/status; ls -l /proc/self/fd/ >$out/descriptors; pwd >$out/pwd\n{script}\n",
            directory.display()
        );
        fs::write(directory.join("dcmsfs"), report).unwrap();
        for program in ["mount.dcmsfs", "dcmsfs"] {
            fs::set_permissions(directory.join(program), fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { directory }
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().to_owned()
    }

    fn report(&self, name: &str) -> String {
        fs::read_to_string(self.directory.join("out").join(name)).unwrap_or_default()
    }

    /// Runs the helper in a mount namespace of its own and copies the mount table that it leaves.
    fn run(&self, options: &str) -> Output {
        let script = format!(
            "'{0}/mount.dcmsfs' dcmsfs: '{0}/mnt' -o \"$1\"; s=$?; cat /proc/self/mountinfo >'{0}/table'; exit $s",
            self.directory.display()
        );
        Command::new("unshare")
            .args(["-m", "--propagation", "private", "sh", "-c", &script, "sh", options])
            .env("LD_LIBRARY_PATH", "/canary")
            .env("DCMSFS_CANARY", "canary")
            .env("FUSERMOUNT_PATH", "/canary")
            .env("HTTPS_PROXY", "http://canary")
            .env("TZ", "UTC")
            .env("NOTIFY_SOCKET", "/run/notify")
            .output()
            .unwrap()
    }

    /// The line of our mount point in the table that the last run left.
    fn mounted(&self) -> Option<String> {
        let table = fs::read_to_string(self.directory.join("table")).unwrap();
        let point = format!(" {} ", self.path("mnt"));
        table.lines().find(|line| line.contains(&point)).map(str::to_owned)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _left = fs::remove_dir_all(&self.directory);
    }
}

fn can_mount() -> bool {
    let able = fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("\nUid:\t0\t0"))
        && Path::new("/dev/fuse").exists()
        && Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success());
    if !able {
        eprintln!("not run: needs root, /dev/fuse and a mount namespace");
    }
    able
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn root_mounts_for_an_account_that_then_has_nothing_else() {
    if !can_mount() {
        return;
    }
    let place = Place::new("account", "exit 0");
    let output =
        place.run("rw,uid=65534,config=/etc/a b.toml,allow_other,log=debug,_netdev,x-systemd.automount");
    assert!(output.status.success(), "{}", text(&output));
    let fd = place.report("arguments");
    let number = fd.lines().next().unwrap().strip_prefix("--fuse-fd=").unwrap().to_owned();
    assert_eq!(
        fd.lines().skip(1).collect::<Vec<_>>(),
        ["--config=/etc/a b.toml", "--offline", "--allow-other", "--log=debug", &place.path("mnt")]
    );
    assert!(
        place.report("descriptors").contains(&format!(" {number} -> /dev/fuse")),
        "{}",
        place.report("descriptors")
    );
    assert_eq!(place.report("uid").trim(), NOBODY.to_string());
    assert!(!place.report("groups").split_whitespace().any(|group| group == "0"));
    let status = place.report("status");
    for line in [
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "NoNewPrivs:\t1",
        "SigBlk:\t0000000000000000",
    ] {
        assert!(status.contains(line), "{line} not in {status}");
    }
    assert_eq!(place.report("pwd").trim(), "/");
    let line = place.mounted().expect("mounted");
    assert!(line.contains(" - fuse.dcmsfs dcmsfs: "), "{line}");
    for option in ["ro,nosuid,nodev,noexec", "user_id=65534", "default_permissions", "allow_other"] {
        assert!(line.contains(option), "{option} not in {line}");
    }
}

#[test]
fn the_environment_is_cleared() {
    if !can_mount() {
        return;
    }
    let place = Place::new("environment", "exit 0");
    let output = place.run("uid=65534,config=/etc/x");
    assert!(output.status.success(), "{}", text(&output));
    let environment = place.report("environment");
    assert!(!environment.contains("canary"), "{environment}");
    let names: Vec<&str> = environment
        .lines()
        .filter_map(|line| line.split_once('=').map(|(name, _)| name))
        // Set by the shell of the stand-in.
        .filter(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(name))
        .collect();
    assert!(
        names.iter().all(|name| ["HOME", "LANG", "NOTIFY_SOCKET", "PATH", "TZ"].contains(name)),
        "{names:?}"
    );
    assert!(environment.contains("PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"));
}

#[test]
fn a_daemon_that_fails_leaves_nothing_mounted() {
    if !can_mount() {
        return;
    }
    for (name, script) in [("fails", "exit 1"), ("killed", "kill -9 $$"), ("mount-code", "exit 32")] {
        let place = Place::new(name, script);
        let output = place.run("uid=65534,config=/etc/x");
        assert_eq!(output.status.code(), Some(32), "{}", text(&output));
        assert_eq!(place.mounted(), None, "{name}");
        assert!(text(&output).contains("nothing is mounted"));
    }
}

#[test]
fn a_caller_who_gives_up_leaves_nothing_mounted() {
    if !can_mount() {
        return;
    }
    // The stand-in ends its parent's wait the way Ctrl-C or a service manager would.
    let place = Place::new("interrupt", "kill -TERM $PPID; exec sleep 100");
    let output = place.run("");
    assert_eq!(output.status.code(), Some(32), "{}", text(&output));
    assert!(text(&output).contains("interrupted"), "{}", text(&output));
    assert_eq!(place.mounted(), None);
}

#[test]
fn mount_points_that_are_refused() {
    if !can_mount() {
        return;
    }
    let place = Place::new("points", "exit 0");
    fs::create_dir(place.directory.join("full")).unwrap();
    fs::write(place.directory.join("full/file"), "x").unwrap();
    std::os::unix::fs::symlink(place.path("mnt"), place.path("link")).unwrap();
    fs::create_dir(place.directory.join("foreign")).unwrap();
    chown(place.path("foreign"), Some(12345), None).unwrap();
    let helper = |directory: &str| {
        Command::new(place.path("mount.dcmsfs")).args(["dcmsfs", directory, "-f"]).output().unwrap()
    };
    for (directory, reason) in [
        (place.path("full"), "not empty"),
        (place.path("link"), "symbolic links are refused"),
        (place.path("dcmsfs"), "not a directory"),
        (place.path("absent"), "does not exist"),
        (place.path("foreign"), "another account"),
        ("/proc/self".to_owned(), "refused"),
        ("/proc/1".to_owned(), "refused"),
        ("/sys/fs".to_owned(), "refused"),
        ("/dev".to_owned(), "refused"),
        ("/".to_owned(), "cannot be a mount point"),
    ] {
        let output = helper(&directory);
        assert_eq!(output.status.code(), Some(1), "{directory}: {}", text(&output));
        assert!(text(&output).contains(reason), "{directory}: {}", text(&output));
    }
    assert!(helper(&place.path("mnt")).status.success());
    assert!(place.report("arguments").is_empty(), "-f starts nothing");
}

#[test]
fn a_live_mount_is_not_covered_and_a_dead_one_is_replaced() {
    if !can_mount() {
        return;
    }
    // A daemon that keeps its descriptor but answers nothing is alive; one that ended is dead.
    for (name, script, status, mounts) in
        [("live", "sleep 30 >/dev/null 2>&1 & echo $! >$out/pid", 1, 1), ("dead", "exit 0", 0, 1)]
    {
        let place = Place::new(name, script);
        let script = format!(
            "'{0}/mount.dcmsfs' dcmsfs: '{0}/mnt' -o uid=65534,config=/x && \
             '{0}/mount.dcmsfs' dcmsfs: '{0}/mnt' -o uid=65534,config=/x; s=$?; \
             grep -c ' {0}/mnt ' /proc/self/mountinfo; kill $(cat '{0}/out/pid' 2>/dev/null) 2>/dev/null; exit $s",
            place.directory.display()
        );
        let output = Command::new("unshare")
            .args(["-m", "--propagation", "private", "sh", "-c", &script])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(status), "{name}: {}", text(&output));
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), mounts.to_string(), "{name}");
        assert_eq!(text(&output).contains("unmount it first"), status == 1, "{name}: {}", text(&output));
    }
}

#[test]
fn the_dead_mount_of_another_account_stays() {
    if !can_mount() {
        return;
    }
    let place = Place::new("foreign-dead", "exit 0");
    let script = format!(
        "'{0}/mount.dcmsfs' dcmsfs: '{0}/mnt' -o uid=65534,config=/x && exec '{0}/mount.dcmsfs' dcmsfs: '{0}/mnt'",
        place.directory.display()
    );
    let output = Command::new("unshare")
        .args(["-m", "--propagation", "private", "sh", "-c", &script])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("unmount it first"), "{}", text(&output));
}

#[test]
fn an_ordinary_user_is_handed_on_to_dcmsfs() {
    if !can_mount() {
        return;
    }
    let place = Place::new("user", "exit 7");
    let helper = |options: &str| {
        use std::os::unix::process::CommandExt;
        Command::new(place.path("mount.dcmsfs"))
            .args(["dcmsfs:", &place.path("mnt"), "-o", options])
            .env("DCMSFS_CANARY", "canary")
            .uid(NOBODY)
            .gid(NOBODY)
            .output()
            .unwrap()
    };
    assert_eq!(helper("rw,noexec,nosuid,nodev,user").status.code(), Some(7), "its status is passed on");
    assert_eq!(place.report("arguments").trim(), format!("--offline\n{}", place.path("mnt")));
    assert!(!place.report("environment").contains("canary"));
    assert_eq!(helper("uid=65534").status.code(), Some(7));
    let output = helper("uid=0");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("only root"), "{}", text(&output));
}

#[test]
fn secrets_never_come_back() {
    let place = Place::new("secret", "exit 0");
    let output = Command::new(place.path("mount.dcmsfs"))
        .args(["dcmsfs", &place.path("mnt"), "-o", "password=hunter2"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("dcmsfs login") && !text(&output).contains("hunter2"));
}

#[test]
fn a_dcmsfs_that_others_can_write_is_not_run() {
    if !can_mount() || Path::new("/usr/bin/dcmsfs").exists() || Path::new("/usr/local/bin/dcmsfs").exists() {
        return;
    }
    let place = Place::new("writable", "exit 0");
    fs::set_permissions(place.path("dcmsfs"), fs::Permissions::from_mode(0o777)).unwrap();
    let output = place.run("");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert_eq!(place.mounted(), None);
}

#[test]
fn help_and_version() {
    for (switch, expected) in [("--help", "uid=ACCOUNT"), ("--version", env!("CARGO_PKG_VERSION"))] {
        let output = Command::new(env!("CARGO_BIN_EXE_mount-dcmsfs")).arg(switch).output().unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains(expected));
    }
}
