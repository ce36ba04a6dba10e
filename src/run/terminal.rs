//! Asking a person.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::os::fd::AsFd;

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result, fail};

/// The longest answer: an address with a code in it.
const LONGEST: u64 = 16 << 10;

/// The terminal to ask on: standard input, else the one that the process belongs to, since the password may
/// come by standard input and the one-time code cannot.
fn terminal() -> Option<File> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return stdin.as_fd().try_clone_to_owned().ok().map(File::from);
    }
    OpenOptions::new().read(true).write(true).open("/dev/tty").ok()
}

/// Whether standard input is a terminal.
pub(super) fn is_at_hand() -> bool {
    std::io::stdin().is_terminal()
}

/// Asks on the terminal and answers one line; `shown`: it may be seen while it is typed.
///
/// # Errors
/// `InvalidInput` without a terminal, with `otherwise` as the way out, or for an empty line.
pub(super) fn ask(prompt: &str, shown: bool, otherwise: &str) -> Result<Zeroizing<String>> {
    let Some(terminal) = terminal() else {
        return fail(ErrorKind::InvalidInput, format!("there is no terminal to ask on: {otherwise}"));
    };
    // Before the prompt: the switch drops what has been typed, and who waits for the prompt answers at once.
    let hidden = if shown { None } else { Hidden::begin(&terminal) };
    // Not to standard output, which may go to a file.
    eprint!("{prompt}");
    let _ = std::io::stderr().flush();
    let mut line = Zeroizing::new(String::with_capacity(LONGEST as usize));
    let read = BufReader::with_capacity(1, &terminal).take(LONGEST).read_line(&mut line);
    if hidden.is_some() {
        eprintln!();
    }
    drop(hidden);
    read.map_err(|error| Error::new(ErrorKind::InvalidInput, format!("cannot read the answer: {error}")))?;
    let answer = line.trim_end_matches(['\r', '\n']);
    if answer.is_empty() {
        return fail(ErrorKind::InvalidInput, "the answer is empty");
    }
    Ok(Zeroizing::new(answer.to_owned()))
}

/// Asks for a secret.
///
/// # Errors
/// As [`ask`].
pub(super) fn ask_secret(prompt: &str, otherwise: &str) -> Result<SecretString> {
    ask(prompt, false, otherwise).map(|answer| SecretString::from(answer.as_str()))
}

/// The terminal does not show what is typed, until dropped.
struct Hidden<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Hidden<'a> {
    fn begin(terminal: &'a File) -> Option<Self> {
        let before = tcgetattr(terminal).ok()?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(terminal, SetArg::TCSAFLUSH, &silent).ok()?;
        Some(Self { terminal, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // What is typed already belongs to the next question.
        let _ = tcsetattr(self.terminal, SetArg::TCSADRAIN, &self.before);
    }
}
