//! The life of a mount: how it begins, ends, dies and is replaced.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::harness::{
    Bench, LIMIT, Mount, PRODUCT, assert_same, errno, is_mounted, output_of, read, until, within,
};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A mount in the background, as users make it. Ended at drop, whatever happened.
struct Background<'a> {
    point: std::path::PathBuf,
    output: Output,
    bench: &'a Bench,
}

impl<'a> Background<'a> {
    fn start(bench: &'a Bench, name: &str) -> Self {
        let point = bench.point(name);
        let mut command = bench.command();
        command.arg("--config").arg(bench.config()).arg(&point);
        Background { output: output_of(command.spawn().unwrap()), point, bench }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.bench.command();
        output_of(command.args(arguments).arg(&self.point).spawn().unwrap())
    }

    fn process(&self) -> Pid {
        let status = read(self.point.join(".dcmsfs/status.json")).unwrap();
        let status: serde_json::Value = serde_json::from_slice(&status).unwrap();
        Pid::from_raw(i32::try_from(status["pid"].as_i64().unwrap()).unwrap())
    }
}

impl Drop for Background<'_> {
    fn drop(&mut self) {
        while is_mounted(&self.point) && umount2(&self.point, MntFlags::MNT_DETACH).is_ok() {}
    }
}

fn gone(process: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // A daemon has no parent here who would collect it.
    status.is_empty() || status.contains(") Z ")
}

/// 11.1: a mount in the background returns when it answers, says where it is and how to end it, and ends so.
#[test]
fn mount_reports_ready_or_why_not() {
    let bench = Bench::demo();
    let mount = Background::start(&bench, "background");
    assert!(mount.output.status.success(), "{}", text(&mount.output.stderr));
    let said = text(&mount.output.stdout);
    assert!(said.contains("mounted at") && said.contains("dcmsfs unmount"), "{said}");
    // No waiting: it answers now.
    let readme = text(&fs::read(mount.point.join("README.txt")).unwrap());
    assert!(readme.contains("cache-a") && readme.contains("logged in"), "{readme}");
    let process = mount.process();
    let status = mount.run(&["status"]);
    assert!(status.status.success());
    assert!(text(&status.stdout).contains("logged in as demo"), "{}", text(&status.stdout));
    let json = mount.run(&["status", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json[0]["pid"], process.as_raw());
    assert_eq!(json[0]["services"].as_array().unwrap().len(), 2);

    let again = mount.run(&["--config", bench.config().to_str().unwrap()]);
    assert!(!again.status.success());
    assert!(text(&again.stderr).contains("mounted already"), "{}", text(&again.stderr));

    let ended = mount.run(&["unmount"]);
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    assert!(!is_mounted(&mount.point));
    until("the daemon has ended", || gone(process));
    let ended = mount.run(&["unmount"]);
    assert!(!ended.status.success());
    assert!(text(&ended.stderr).contains("nothing is mounted"), "{}", text(&ended.stderr));
    let status = mount.run(&["status"]);
    assert!(!status.status.success() && text(&status.stderr).contains("nothing of ours"));
}

fn wait_for_end(mount: &mut Mount) -> std::process::ExitStatus {
    until("the daemon has ended", || mount.child.try_wait().unwrap().is_some());
    mount.child.wait().unwrap()
}

/// 11.3: SIGTERM and SIGINT end a mount that nobody uses, at once and with status 0.
#[test]
fn mount_ends_on_a_signal() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let bench = Bench::demo();
        let mut mount = bench.mount();
        let begun = Instant::now();
        mount.signal(signal);
        assert!(wait_for_end(&mut mount).success());
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        assert!(!is_mounted(&mount.path));
    }
}

/// 11.3: a mount in use waits for its users; the second signal does not.
#[test]
fn mount_a_second_signal_does_not_wait() {
    let bench = Bench::demo();
    let mut mount = bench.mount();
    let sample = bench.sample(&mount, "_B02_10m.jp2");
    let held = File::open(&sample.path).unwrap();
    mount.signal(Signal::SIGTERM);
    std::thread::sleep(Duration::from_millis(700));
    assert!(mount.child.try_wait().unwrap().is_none() && is_mounted(&mount.path));
    mount.signal(Signal::SIGTERM);
    let begun = Instant::now();
    assert!(wait_for_end(&mut mount).success());
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert!(!is_mounted(&mount.path));
    drop(held);
}

/// 11.3: when the last user goes, a mount that was asked to end ends.
#[test]
fn mount_ends_when_its_last_user_goes() {
    let bench = Bench::demo();
    let mut mount = bench.mount();
    let sample = bench.sample(&mount, "_B02_10m.jp2");
    let held = File::open(&sample.path).unwrap();
    mount.signal(Signal::SIGTERM);
    std::thread::sleep(Duration::from_millis(500));
    drop(held);
    let begun = Instant::now();
    assert!(wait_for_end(&mut mount).success());
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

/// 11.3: unmounted by somebody else, the daemon ends with status 0.
#[test]
fn mount_unmounted_by_others_ends() {
    let bench = Bench::demo();
    let mut mount = bench.mount();
    let output = Command::new("umount").arg(&mount.path).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(wait_for_end(&mut mount).success());
}

/// 11.4: after a lazy unmount an open file is read to its end, then the daemon ends.
#[test]
fn mount_a_lazy_unmount_drains() {
    let bench = Bench::demo();
    let mut mount = bench.mount();
    let sample = bench.sample(&mount, "_B02_10m.jp2");
    let mut held = File::open(&sample.path).unwrap();
    let mut busy = bench.command();
    let busy = output_of(busy.arg("unmount").arg(&mount.path).spawn().unwrap());
    assert!(!busy.status.success() && text(&busy.stderr).contains("in use"), "{}", text(&busy.stderr));
    let mut lazy = bench.command();
    let lazy = output_of(lazy.args(["unmount", "--lazy"]).arg(&mount.path).spawn().unwrap());
    assert!(lazy.status.success(), "{}", text(&lazy.stderr));
    assert!(!is_mounted(&mount.path));
    let found = within(LIMIT, "reading", move || {
        let mut found = Vec::new();
        held.read_to_end(&mut found).unwrap();
        found
    });
    assert_same(&found, &bench.expect(&sample), "an open file");
    assert!(wait_for_end(&mut mount).success());
}

/// 11.5: when the daemon is killed, who waits gets an error at once, and the mount is dead but visible.
#[test]
fn mount_a_killed_daemon_frees_its_callers() {
    let bench = Bench::demo();
    let mut mount = bench.mount();
    let sample = bench.sample(&mount, "_B02_10m.jp2");
    fs::metadata(&sample.path).unwrap();
    bench.fault("/stac/download* -> delay for=30s");
    bench.fault("/cacheb/* -> delay for=30s");
    let waiting: Vec<_> = [sample.path.clone(), mount.path.join("cache-b/era5/none.zarr")]
        .into_iter()
        .map(|path| std::thread::spawn(move || errno(fs::read(path))))
        .collect();
    until("a reader waits", || mount.transfers("cache-a") > 0);
    std::thread::sleep(Duration::from_millis(200));
    mount.signal(Signal::SIGKILL);
    let begun = Instant::now();
    for reader in waiting {
        let error = within(LIMIT, "a reader's end", move || reader.join().unwrap());
        assert!([libc::ENOTCONN, libc::ECONNABORTED].contains(&error), "{error}");
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    wait_for_end(&mut mount);
    assert!(is_mounted(&mount.path));
    assert_eq!(errno(read(&sample.path)), libc::ENOTCONN);

    let mut status = bench.command();
    let status = output_of(status.arg("status").arg(&mount.path).spawn().unwrap());
    assert!(!status.status.success());
    let said = text(&status.stderr);
    assert!(said.contains("dead") && said.contains("unmount"), "{said}");
}

/// `dcmsfs status | head -1` ends like other programs.
#[test]
fn mount_status_to_a_pipe_that_nobody_reads() {
    let bench = Bench::demo();
    let mount = bench.mount();
    for more in [&[][..], &["--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut status = bench.command();
        status.arg("status").args(more).arg(&mount.path).stdout(writer);
        let output = output_of(status.spawn().unwrap());
        assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
    }
}

/// 11.2: a new mount takes the place of a dead one, and `unmount` removes one.
#[test]
fn mount_a_dead_mount_is_replaced() {
    let bench = Bench::demo();
    let mount = Background::start(&bench, "mnt");
    assert!(mount.output.status.success(), "{}", text(&mount.output.stderr));
    let die = |mount: &Background<'_>| {
        let process = mount.process();
        kill(process, Signal::SIGKILL).unwrap();
        until("it is dead", || gone(process));
        assert!(is_mounted(&mount.point));
    };
    die(&mount);
    let again = Background::start_over(&mount);
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert!(text(&again.stderr).contains("removed a dead mount"), "{}", text(&again.stderr));
    let file = format!("cache-a/SENTINEL-2/by-id/{PRODUCT}.SAFE/manifest.safe");
    assert!(!read(mount.point.join(file)).unwrap().is_empty());
    die(&mount);
    for arguments in [&["unmount"][..], &["unmount", "--lazy"]] {
        let ended = mount.run(arguments);
        if ended.status.success() {
            break;
        }
        assert!(arguments.len() == 1, "{}", text(&ended.stderr));
    }
    assert!(!is_mounted(&mount.point));
}

impl Background<'_> {
    /// The same mount once more, on what is there.
    fn start_over(mount: &Background<'_>) -> Output {
        let mut command = mount.bench.command();
        command.arg("--config").arg(mount.bench.config()).arg(&mount.point);
        output_of(command.spawn().unwrap())
    }
}

/// 11.6: what others have mounted is left alone.
#[test]
fn mount_unmount_leaves_others_alone() {
    let bench = Bench::demo();
    let point = bench.point("other");
    let other = Other::mount(&point);
    let mut command = bench.command();
    let output = output_of(command.arg("unmount").arg(&point).spawn().unwrap());
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("tmpfs"), "{}", text(&output.stderr));
    assert!(is_mounted(&point));
    drop(other);
}

/// A mount of another type, gone at drop.
struct Other<'a>(&'a Path);

impl<'a> Other<'a> {
    fn mount(point: &'a Path) -> Self {
        nix::mount::mount(Some("x"), point, Some("tmpfs"), nix::mount::MsFlags::empty(), None::<&str>)
            .unwrap();
        Self(point)
    }
}

impl Drop for Other<'_> {
    fn drop(&mut self) {
        let _ = umount2(self.0, MntFlags::MNT_DETACH);
    }
}
