//! Waits that can be ended: by signals, in any call, while the service is silent.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::harness::{Bench, Mount, Sample, Setup, assert_same, read, until, within};
use super::sys;

/// The promise is a quarter of a second; the rest is for a busy machine.
const SOON: Duration = Duration::from_millis(1000);

/// `dd` reads past the kernel's pages.
const DIRECT: [&str; 4] = ["bs=64k", "iflag=direct", "of=/dev/null", "status=none"];

fn silent() -> (Bench, Mount, Sample) {
    let bench = Setup::synthetic(40).bench();
    let mount = bench.mount();
    let sample = bench.computed(&mount, "_B02_10m.jp2");
    (bench, mount, sample)
}

fn start(program: &str, arguments: &[&str], path: PathBuf) -> Child {
    let mut command = Command::new(program);
    command.args(arguments).arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Whether the process waits inside of the kernel's FUSE code (or at least sleeps, where that is not shown).
fn waits(child: &Child) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
    let state = status.rsplit(')').next().unwrap_or_default().trim().chars().next();
    matches!(state, Some('S' | 'D'))
}

/// Sends `signal` and says how long the process took to end.
fn ends(mut child: Child, signal: Signal) -> Duration {
    let begun = Instant::now();
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > SOON * 5 {
            // Where it hangs in the kernel is all that helps then.
            let told = |file: &str| {
                std::fs::read_to_string(format!("/proc/{}/{file}", child.id())).unwrap_or_default()
            };
            panic!("after {signal}: {}{}{}", told("cmdline"), told("status"), told("stack"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    begun.elapsed()
}

/// 8.2: reads (buffered and direct), `stat` and `ls` that wait for a silent service end soon after SIGINT, SIGTERM,
/// SIGHUP, SIGQUIT and SIGKILL.
#[test]
fn mount_a_waiting_reader_can_be_killed() {
    let (bench, mount, sample) = silent();
    // Names that have not been asked for yet: each call has its own request to wait for.
    let id = mount.path.join("cache-a/SENTINEL-2/by-id");
    let day = mount.path.join("cache-a/SENTINEL-1/by-date/2024/09/02");
    let mut slowest = Duration::ZERO;
    let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL, Signal::SIGHUP, Signal::SIGQUIT];
    bench.fault("/stac/* -> delay for=30s");
    for (signal, part) in signals.into_iter().zip(["B02_20m", "B03_20m", "B04_20m", "B05_20m", "B06_20m"]) {
        // Pages that nobody else waits for: a wait for another's page ends by SIGKILL, SIGINT and SIGTERM only.
        let image = sample.path.to_str().unwrap().replace("R10m", "R20m").replace("B02_10m", part);
        let missing =
            format!("S2A_MSIL2A_2024010{}T000000_N0511_R026_T32TQM_20240101T000000.SAFE", signal as i32);
        let calls = [
            start("cat", &[], PathBuf::from(&image)),
            start("dd", &DIRECT, PathBuf::from(format!("if={image}"))),
            start("stat", &[], id.join(missing)),
            start("ls", &[], day.clone()),
        ];
        std::thread::sleep(Duration::from_millis(300));
        for child in calls {
            assert!(waits(&child), "{signal}: a call did not wait");
            slowest = slowest.max(ends(child, signal));
        }
    }
    assert!(slowest < SOON, "the slowest took {slowest:?}");
}

/// 8.2: when one of two readers of a block is killed, the other gets its bytes.
#[test]
fn mount_a_killed_reader_does_not_disturb_another() {
    let (bench, mount, sample) = silent();
    let expected = bench.expect(&sample);
    bench.fault("/stac/download* first=1 -> stall after=10 for=3s");
    let other = {
        let path = sample.path.clone();
        std::thread::spawn(move || read(path))
    };
    until("the download has begun", || mount.transfers("cache-a") > 0);
    let direct = start("dd", &DIRECT, PathBuf::from(format!("if={}", sample.path.display())));
    let cat = start("cat", &[], sample.path.clone());
    std::thread::sleep(Duration::from_millis(300));
    assert!(ends(direct, Signal::SIGKILL) < SOON);
    assert!(ends(cat, Signal::SIGINT) < SOON);
    assert_same(&other.join().unwrap().unwrap(), &expected, "the reader who stayed");
    mount.settles();
}

/// 8.2: timers and other harmless signals make no call fail, neither listings nor reads.
#[test]
fn mount_harmless_signals_disturb_nothing() {
    let (bench, mount, sample) = silent();
    let expected = bench.expect(&sample);
    bench.fault("/stac/* -> delay for=300ms");
    let day = mount.path.join("cache-a/SENTINEL-2/by-date/2024/09/02");
    let timer = sys::Ticking::every(Duration::from_millis(10));
    let listed: Vec<_> = std::fs::read_dir(&day).unwrap().map(|entry| entry.map(|e| e.path())).collect();
    for entry in &listed {
        let tile = entry.as_ref().expect("no EINTR");
        for product in std::fs::read_dir(tile).unwrap() {
            std::fs::metadata(product.unwrap().path()).unwrap();
        }
    }
    // No retry here: what a program sees of each call.
    let found = sys::read_without_retry(&sample.path).unwrap();
    assert!(timer.ticks() > 20, "{} ticks", timer.ticks());
    drop(timer);
    assert!(!listed.is_empty());
    assert_same(&found, &expected, "read under a timer");
}

/// 8.1: silence before an answer ends by itself. (The long limits, 30 s and 60 s, are those of the unit tests; here
/// only that a stalled body is given up and asked for again.)
#[test]
fn mount_a_stalled_body_is_given_up() {
    let (bench, mount, sample) = silent();
    bench.fault("/stac/download* first=1 -> stall after=200k for=60s");
    let begun = Instant::now();
    let path = sample.path.clone();
    let found = within(Duration::from_secs(60), "a stalled read", move || std::fs::read(path));
    assert_same(&found.unwrap(), &bench.expect(&sample), "after the stall");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    mount.settles();
}
