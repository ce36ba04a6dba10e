//! dcmsfs and rclone as mounts, each with a configuration and a cache of its own.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};
use tokio::time::Instant;

use crate::{Result, Stage, room, service};

/// How long a mount may take to appear or to go.
const LIMIT: Duration = Duration::from_secs(30);

static NUMBER: AtomicU64 = AtomicU64::new(1);

/// How dcmsfs is mounted.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Blocks in memory.
    pub(crate) memory: &'static str,
    /// The bound of the disk cache; "0" for none.
    pub(crate) disk: &'static str,
    /// Whether it runs as an ordinary user, and so without the kernel's way past the daemon.
    pub(crate) ordinary: bool,
    /// Chunks that are fetched ahead of a reader.
    pub(crate) ahead: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { memory: "256MiB", disk: "20GiB", ordinary: false, ahead: 8 }
    }
}

/// A running mount with a home of its own. Dropping it ends it and removes the home.
#[derive(Debug)]
pub(crate) struct Mount {
    child: Child,
    pub(crate) point: PathBuf,
    home: PathBuf,
}

/// Logs in once; all mounts use what that leaves.
pub(crate) fn login(stage: &Stage) -> Result<()> {
    let home = stage.work.join("login");
    fs::create_dir_all(&home)?;
    let (user, password) = service::account();
    let mut command = program(stage, &home, &Settings::default())?;
    command.args(["login", "--user", user, "--password-stdin", "--config"]).arg(home.join("config.toml"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    writeln!(child.stdin.take().ok_or("no input of the login")?, "{password}")?;
    if child.wait()?.success() { Ok(()) } else { Err("dcmsfs could not log in".into()) }
}

/// dcmsfs with a configuration in `home` and nothing of this machine's.
fn program(stage: &Stage, home: &Path, settings: &Settings) -> Result<Command> {
    let service = &stage.service;
    let Settings { memory, disk, ordinary, ahead } = settings;
    let (url, stores) = (&service.url, &service.stores);
    let (keys, cache) = (home.join("credentials.toml"), home.join("cache"));
    let configuration = format!(
        "[cache_a]\nurl = \"{url}/stac/api\"\n[cache_b]\nurl = \"{url}/cacheb/\"\nstores = {stores}\nahead = {ahead}\n\
         [identity]\nurl = \"{url}\"\n[credentials]\nfile = \"{}\"\nnetrc = \"\"\n\
         [cache]\nmemory = \"{memory}\"\ndir = \"{}\"\nsize = \"{disk}\"\nmin_free = \"1MiB\"\n[mount]\nallow_other = {ordinary}\n",
        keys.display(),
        cache.display()
    );
    fs::write(home.join("config.toml"), configuration)?;
    let mut command = if *ordinary {
        room::without_privileges(&stage.program, home)?
    } else {
        Command::new(&stage.program)
    };
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", home);
    Ok(command)
}

impl Mount {
    /// dcmsfs, with everything cold.
    pub(crate) fn dcmsfs(stage: &Stage, settings: &Settings) -> Result<Mount> {
        Mount::dcmsfs_in(stage, settings, new_home(stage)?)
    }

    /// dcmsfs in the home that another mount has left.
    pub(crate) fn again(mut self, stage: &Stage, settings: &Settings) -> Result<Mount> {
        let home = std::mem::take(&mut self.home);
        drop(self);
        Mount::dcmsfs_in(stage, settings, home)
    }

    fn dcmsfs_in(stage: &Stage, settings: &Settings, home: PathBuf) -> Result<Mount> {
        let point = home.join("mnt");
        fs::create_dir_all(&point)?;
        fs::copy(stage.work.join("login/credentials.toml"), home.join("credentials.toml"))?;
        let mut command = program(stage, &home, settings)?;
        command.arg("--config").arg(home.join("config.toml"));
        command.args(["--foreground", "--log", "warn", "--log-file"]).arg(home.join("log")).arg(&point);
        command.stdin(Stdio::null());
        Mount::wait(command, point, home)
    }

    /// rclone over the plain addresses of one product, with its cache of whole files.
    pub(crate) fn rclone(stage: &Stage, folder: &str) -> Result<Mount> {
        let home = new_home(stage)?;
        let point = home.join("mnt");
        let mut command = Command::new("rclone");
        command.args(["mount", ":http:"]).arg(&point).env("HOME", &home);
        command.args(["--http-url", &format!("{}/", stage.service.plain_url(folder))]);
        command.args(["--http-headers", &format!("Authorization,Bearer {}", stage.service.token)]);
        command.args(["--read-only", "--vfs-cache-mode", "full", "--cache-dir"]).arg(home.join("cache"));
        command.stdin(Stdio::null());
        Mount::wait(command, point, home)
    }

    /// A file of the local disk through the least of all FUSE file systems, out of memory or out of the file.
    pub(crate) fn bare(stage: &Stage, file: &Path, memory: bool, ordinary: bool) -> Result<Mount> {
        let home = new_home(stage)?;
        let point = home.join("mnt");
        fs::create_dir_all(&point)?;
        let mut command =
            if ordinary { room::without_privileges(&stage.this, &home)? } else { Command::new(&stage.this) };
        command.arg("bare").arg(&point).stdin(fs::File::open(file)?);
        if memory {
            command.arg("--memory");
        }
        let mount = Mount::wait(command, point, home)?;
        if !ordinary {
            // As dcmsfs does where it may.
            let device = nix::sys::stat::stat(&mount.point)?.st_dev;
            let device = format!("{}:{}", nix::sys::stat::major(device), nix::sys::stat::minor(device));
            dcmsfs::sys::readahead::set(&device, 512 << 10)?;
        }
        Ok(mount)
    }

    fn wait(mut command: Command, point: PathBuf, home: PathBuf) -> Result<Mount> {
        fs::create_dir_all(&point)?;
        let name = command.get_program().to_string_lossy().into_owned();
        let command = command.stdout(Stdio::null()).stderr(fs::File::create(home.join("errors"))?);
        let child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => format!("{name} is not installed"),
            _ => format!("{name}: {error}"),
        })?;
        let mut mount = Mount { child, point, home };
        let begun = Instant::now();
        while !is_mounted(&mount.point) || fs::read_dir(&mount.point).is_err() {
            if mount.child.try_wait()?.is_some() || begun.elapsed() > LIMIT {
                let said = fs::read_to_string(mount.home.join("errors")).unwrap_or_default();
                return Err(format!("{name} does not mount: {said}").into());
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(mount)
    }

    /// The most memory that the daemon had at any time, in bytes.
    pub(crate) fn peak_memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }

    /// Seconds of all processors that the daemon took since it was started.
    pub(crate) fn processor(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // After the name, which may have spaces: state is the third field, user and system time are 14 and 15.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        let ticks = fields.map(str::parse::<u64>).sum::<std::result::Result<u64, _>>()?;
        let second = sysconf(SysconfVar::CLK_TCK)?.ok_or("no length of a tick")?;
        Ok(ticks as f64 / second as f64)
    }

    /// The directory of the mount's cache on disk.
    pub(crate) fn cache(&self) -> PathBuf {
        self.home.join("cache")
    }

    fn stop(&mut self) {
        if let Ok(id) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
        let begun = Instant::now();
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) && begun.elapsed() < LIMIT {
            thread::sleep(Duration::from_millis(2));
        }
        // A daemon that did not end in time, and a mount that it has left.
        let _ = self.child.kill();
        let _ = self.child.wait();
        while is_mounted(&self.point) && umount2(&self.point, MntFlags::MNT_DETACH).is_ok() {}
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.stop();
        if !self.home.as_os_str().is_empty() {
            let _ = fs::remove_dir_all(&self.home);
        }
    }
}

fn new_home(stage: &Stage) -> Result<PathBuf> {
    let home = stage.work.join(format!("home-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir_all(&home)?;
    Ok(home)
}

fn is_mounted(point: &Path) -> bool {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().any(|line| line.split(' ').nth(4) == point.to_str())
}
