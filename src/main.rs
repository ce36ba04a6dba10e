//! The thin binary: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    dcmsfs::run::run(dcmsfs::cli::Cli::parse())
}
