//! Runs a program and takes its time.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::time::Instant;

use crate::{Result, Stage};

/// Longer than this no measurement may take.
const LIMIT: Duration = Duration::from_secs(150);

/// How long something took, and how much of it there was (bytes, reads or pieces of work).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timed {
    pub(crate) seconds: f64,
    pub(crate) amount: f64,
}

/// Runs a program to its end; the time is that of the whole process.
pub(crate) fn whole(command: &mut Command, amount: f64) -> Result<Timed> {
    let begun = Instant::now();
    output(command)?;
    Ok(Timed { seconds: begun.elapsed().as_secs_f64(), amount })
}

/// Runs several programs at once until the last has ended.
pub(crate) fn together(commands: &mut [Command], amount: f64) -> Result<Timed> {
    let begun = Instant::now();
    thread::scope(|scope| {
        let running = commands.iter_mut().map(|command| scope.spawn(|| output(command)));
        let running = running.collect::<Vec<_>>();
        running.into_iter().try_for_each(|one| one.join().map_err(|_| "a thread has died")?.map(drop))
    })?;
    Ok(Timed { seconds: begun.elapsed().as_secs_f64(), amount })
}

/// Runs a program that tells the seconds itself, as the last line of its output; `amount` names what it counts.
pub(crate) fn told(command: &mut Command, amount: &str) -> Result<Timed> {
    let text = output(command)?;
    let line = text.lines().last().unwrap_or_default();
    let told: Value = serde_json::from_str(line).map_err(|error| format!("{error} in {line:?}"))?;
    let seconds = told["seconds"].as_f64().ok_or("the program told no time")?;
    Ok(Timed { seconds, amount: told[amount].as_f64().unwrap_or(1.0) })
}

/// The output of a program that ends well and in time.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = spawned.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("{name} is not installed"),
        _ => format!("{name}: {error}"),
    })?;
    finish(child, &name)
}

fn finish(child: Child, name: &str) -> Result<String> {
    let id = Pid::from_raw(i32::try_from(child.id())?);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(LIMIT) else {
        let _ = kill(id, Signal::SIGKILL);
        return Err(format!("{name}: more than {} s", LIMIT.as_secs()).into());
    };
    let output = output?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(
            format!("{name}: {}: {}", output.status, errors.lines().last().unwrap_or_default()).into()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// This program as the reader of a file.
pub(crate) fn reader(path: &Path, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("read").arg(path).args(arguments);
    Ok(command)
}

/// Makes the kernel forget pages, in a process of its own: a mount may have to answer.
pub(crate) fn drop_pages(paths: &[&Path]) -> Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    output(command.arg("drop").args(paths)).map(drop)
}

/// `clients.py` with arguments.
pub(crate) fn python(stage: &Stage, arguments: &[&str]) -> Command {
    let mut command = Command::new(&stage.python);
    command.args(["-W", "ignore", concat!(env!("CARGO_MANIFEST_DIR"), "/benches/read_path/clients.py")]);
    command.args(arguments);
    command
}

/// curl that writes what it gets there.
pub(crate) fn curl(stage: &Stage, url: &str, output: &Path) -> Command {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--output"]).arg(output);
    command.arg("--header").arg(format!("Authorization: Bearer {}", stage.service.token)).arg(url);
    command
}
