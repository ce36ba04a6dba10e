//! A service, a home and a mount for one test, and waiting that ends.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use dcms_emulator::accounts::{PASSWORD, USER};
use dcms_emulator::journal::Endpoint;
use dcms_emulator::{DataSet, Emulator, Options, Scale};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// How long anything may take that is not itself about time.
pub(crate) const LIMIT: Duration = Duration::from_secs(40);

/// The product of the demo that most tests look at.
pub(crate) const PRODUCT: &str = "S2A_MSIL2A_20240924T101031_N0511_R026_T32TQM_20240924T161048";

/// What a test wants to be different.
#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) options: Options,
    /// Lines for these tables of the configuration.
    pub(crate) cache_a: String,
    pub(crate) cache_b: String,
    /// Further tables.
    pub(crate) tables: String,
}

/// A service, a configuration and a login.
pub(crate) struct Bench {
    pub(crate) emulator: Emulator,
    pub(crate) home: TempDir,
    _runtime: Runtime,
}

/// A mount, served by a process of its own.
pub(crate) struct Mount {
    pub(crate) path: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) child: Child,
}

/// A file of a product: where it is shown, its name at the service, its size.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) path: PathBuf,
    pub(crate) key: String,
    pub(crate) size: u64,
}

impl Setup {
    /// Computed products of real structure; `shrink` divides the sizes of their files.
    pub(crate) fn synthetic(shrink: u64) -> Self {
        let scale = Scale { items_per_day: 4, days: 2, shrink, ..Scale::default() };
        let options = Options { data: DataSet::Synthetic(scale), ..Options::default() };
        Self { options, ..Self::default() }
    }

    /// Starts the service and logs in.
    pub(crate) fn bench(self) -> Bench {
        let bench = self.logged_out();
        let output = bench.login(USER, PASSWORD);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        bench.emulator.journal().reset();
        bench
    }

    /// Starts the service only.
    pub(crate) fn logged_out(self) -> Bench {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let emulator = runtime.block_on(Emulator::start(self.options)).unwrap();
        let home = tempfile::Builder::new().prefix("dcmsfs-test-").tempdir().unwrap();
        let stores = serde_json::to_string(&emulator.stores()).unwrap();
        let configuration = format!(
            "[cache_a]\nurl = \"{}\"\n{}\n[cache_b]\nurl = \"{}\"\nstores = {stores}\n{}\n\
             [identity]\nurl = \"{}\"\n[credentials]\nfile = \"{}\"\nnetrc = \"\"\n{}\n",
            emulator.stac_url(),
            self.cache_a,
            emulator.cache_b_url(),
            self.cache_b,
            emulator.identity_url(),
            home.path().join("credentials.toml").display(),
            self.tables,
        );
        fs::write(home.path().join("config.toml"), configuration).unwrap();
        Bench { emulator, home, _runtime: runtime }
    }
}

impl Bench {
    /// The bench of most tests.
    pub(crate) fn demo() -> Self {
        Setup::default().bench()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.home.path().join("config.toml")
    }

    /// The program with the test's home and nothing else of this machine's settings.
    pub(crate) fn command(&self) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_dcmsfs"))
    }

    fn command_of(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", self.home.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn login(&self, user: &str, password: &str) -> Output {
        self.login_with(user, password, &[])
    }

    /// A login after which the mount may log in again by itself.
    pub(crate) fn login_keeping(&self, user: &str, password: &str) -> Output {
        self.login_with(user, password, &["--keep-password"])
    }

    fn login_with(&self, user: &str, password: &str, options: &[&str]) -> Output {
        // In a session of its own, so that a one-time code is not asked for on the terminal of whoever runs the tests.
        let mut command = self.command_of("setsid");
        command.args(["--wait", env!("CARGO_BIN_EXE_dcmsfs")]);
        command.args(["login", "--user", user, "--password-stdin"]).args(options);
        command.arg("--config").arg(self.config());
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
        output_of(child)
    }

    /// A new empty directory to mount on.
    pub(crate) fn point(&self, name: &str) -> PathBuf {
        let point = self.home.path().join(name);
        fs::create_dir_all(&point).unwrap();
        point
    }

    /// Mounts in the foreground and waits until the mount answers.
    pub(crate) fn mount(&self) -> Mount {
        self.mount_at("mnt")
    }

    pub(crate) fn mount_at(&self, name: &str) -> Mount {
        self.mount_with(name, &[])
    }

    /// Mounts with more in the environment.
    pub(crate) fn mount_with(&self, name: &str, environment: &[(&str, &str)]) -> Mount {
        let path = self.point(name);
        let log = self.home.path().join(format!("{name}.log"));
        let mut command = self.command();
        // Offline: what a service sees then comes from the tests alone.
        command.envs(environment.iter().copied());
        command.args(["--foreground", "--offline", "--log", "debug", "--config"]).arg(self.config());
        command.arg("--log-file").arg(&log).arg(&path);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut mount = Mount { path, log, child };
        until("the mount answers", || {
            if let Some(status) = mount.child.try_wait().unwrap() {
                panic!("the mount ended with {status}:\n{}", mount.log());
            }
            is_mounted(&mount.path) && fs::read(mount.path.join(".dcmsfs/status.json")).is_ok()
        });
        mount
    }

    /// A file of [`PRODUCT`] whose name contains `part`.
    pub(crate) fn sample(&self, mount: &Mount, part: &str) -> Sample {
        let samples = self.samples(mount, PRODUCT);
        samples.into_iter().find(|sample| sample.key.contains(part)).unwrap()
    }

    /// All files of a Sentinel-2 product.
    pub(crate) fn samples(&self, mount: &Mount, id: &str) -> Vec<Sample> {
        let folder = mount.path.join("cache-a/SENTINEL-2/by-id").join(format!("{id}.SAFE"));
        let inside = |key: &str| key.split_once(".SAFE/").unwrap().1.to_owned();
        let files = self.emulator.files("SENTINEL-2", id).into_iter();
        files.map(|(key, size)| Sample { path: folder.join(inside(&key)), key, size }).collect()
    }

    /// A file of a computed product: the first one of the first day.
    pub(crate) fn computed(&self, mount: &Mount, part: &str) -> Sample {
        let day = mount.path.join("cache-a/SENTINEL-2/by-date/2024/09/01");
        let id = within(LIMIT, "listing a day", move || {
            let tile = fs::read_dir(day).unwrap().map(|entry| entry.unwrap().path()).min().unwrap();
            let names = fs::read_dir(tile).unwrap().map(|entry| entry.unwrap().file_name());
            let names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
            names.iter().find_map(|name| name.strip_suffix(".SAFE")).unwrap().to_owned()
        });
        let samples = self.samples(mount, &id);
        let sample = samples.into_iter().find(|sample| sample.key.contains(part)).unwrap();
        // The item is known from here on, so that what follows counts downloads only.
        let path = sample.path.clone();
        within(LIMIT, "stat", move || fs::metadata(path).unwrap());
        self.emulator.journal().reset();
        sample
    }

    pub(crate) fn expect(&self, sample: &Sample) -> Vec<u8> {
        self.emulator.expect_bytes(&sample.key).unwrap()
    }

    /// Download requests since the last reset.
    pub(crate) fn downloads(&self) -> u64 {
        self.emulator.journal().requests(Endpoint::Download)
    }

    /// All downloads: what was asked, how many bytes were sent, whether those were all.
    pub(crate) fn transfers(&self) -> Vec<(Option<String>, u64, bool)> {
        let entries = self.emulator.journal().snapshot().entries.into_iter();
        let downloads = entries.filter(|entry| entry.endpoint == Endpoint::Download);
        downloads.map(|entry| (entry.range, entry.bytes, entry.complete)).collect()
    }

    pub(crate) fn fault(&self, rule: &str) {
        self.emulator.faults().add(rule).unwrap();
    }
}

impl Mount {
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn status(&self) -> Value {
        let file = self.path.join(".dcmsfs/status.json");
        serde_json::from_slice(&within(LIMIT, "status.json", move || fs::read(file)).unwrap()).unwrap()
    }

    /// Transfers that hold a slot of `service`.
    pub(crate) fn transfers(&self, service: &str) -> u64 {
        let status = self.status();
        let services = status["services"].as_array().unwrap();
        let found = services.iter().find(|one| one["name"] == service).unwrap();
        found["transfers"].as_u64().unwrap()
    }

    /// All slots are given back.
    pub(crate) fn settles(&self) {
        until("all slots are free", || self.transfers("cache-a") == 0 && self.transfers("cache-b") == 0);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Ends it the friendly way.
    pub(crate) fn end(mut self) {
        self.signal(Signal::SIGTERM);
        until("the daemon ends", || self.child.try_wait().unwrap().is_some());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}\n{}", self.log());
        assert!(!is_mounted(&self.path));
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("the log's end:");
            tail.iter().rev().for_each(|line| eprintln!("  {line}"));
        }
        // Killing frees whoever still waits; only then is the mount sure to go.
        let _ = self.child.kill();
        let _ = self.child.wait();
        while is_mounted(&self.path) && umount2(&self.path, MntFlags::MNT_DETACH).is_ok() {}
        if !thread::panicking() {
            assert!(!is_mounted(&self.path));
        }
    }
}

/// Whether something is mounted there, by the table: a look at the directory could hang.
pub(crate) fn is_mounted(point: &Path) -> bool {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    table.lines().any(|line| line.split(' ').nth(4) == point.to_str())
}

/// Runs `work` in a thread; fails the test when it takes longer than `limit`.
pub(crate) fn within<T: Send + 'static>(
    limit: Duration,
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let _ = sender.send(work());
    });
    match receiver.recv_timeout(limit) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what} takes longer than {limit:?}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("{what} ended without a result"),
        },
    }
}

/// Waits until `done`.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Reads a whole file, in time.
pub(crate) fn read(path: impl Into<PathBuf>) -> io::Result<Vec<u8>> {
    let path = path.into();
    within(LIMIT, "reading a file", move || fs::read(path))
}

/// The error number of a failure.
pub(crate) fn errno<T>(result: io::Result<T>) -> i32 {
    match result {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(-1),
    }
}

/// The names in a directory, sorted.
pub(crate) fn names(path: impl Into<PathBuf>) -> io::Result<Vec<String>> {
    let path = path.into();
    within(LIMIT, "listing a directory", move || {
        let entries: io::Result<Vec<fs::DirEntry>> = fs::read_dir(path)?.collect();
        let mut names: Vec<String> =
            entries?.into_iter().map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        Ok(names)
    })
}

/// Waits for a process to end, in time.
pub(crate) fn output_of(child: Child) -> Output {
    let id = child.id();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    match receiver.recv_timeout(LIMIT) {
        Ok(output) => output.unwrap(),
        Err(_) => {
            let _ = kill(Pid::from_raw(i32::try_from(id).unwrap()), Signal::SIGKILL);
            panic!("process {id} does not end");
        }
    }
}

/// Equal bytes, or where they differ: a failed comparison of megabytes is not to be printed.
pub(crate) fn assert_same(found: &[u8], expected: &[u8], what: &str) {
    assert_eq!(found.len(), expected.len(), "length of {what}");
    let differ = found.iter().zip(expected).position(|(one, other)| one != other);
    assert_eq!(differ, None, "first wrong byte of {what}");
}
