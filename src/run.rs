//! The composition root: one file per command; the layers are built here, bottom-up.

mod cache;
mod demo;
mod doors;
mod given;
mod key;
mod logging;
mod login;
mod logout;
mod mount;
mod mountpoint;
mod places;
mod readme;
mod s3;
mod status;
mod status_report;
mod terminal;
mod tree;
mod unmount;
mod warm;

use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::error::Result;

/// Does what was asked for. One clear sentence on standard error and a status other than 0 when it could not
/// be done.
pub fn run(cli: Cli) -> ExitCode {
    given::take();
    let done = match cli.command {
        Some(Command::Warm(args)) => return finished(warm::run(&args)),
        None => mount::run(&cli.mount),
        Some(Command::Login(args)) => login::run(&args),
        Some(Command::Logout(args)) => logout::run(&args),
        Some(Command::Status(args)) => status::run(&args),
        Some(Command::Unmount(args)) => unmount::run(&args),
        Some(Command::Cache(args)) => cache::run(&args),
        Some(Command::Demo(args)) => demo::run(&args),
    };
    finished(done.map(|()| ExitCode::SUCCESS))
}

fn finished(done: Result<ExitCode>) -> ExitCode {
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("dcmsfs: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A runtime for a command; `threads` of 1 serve what waits for one thing at a time.
fn runtime(threads: usize) -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads).enable_all().build().map_err(|error| {
        crate::error::Error::new(crate::error::ErrorKind::Internal, format!("no threads to run on: {error}"))
    })
}
