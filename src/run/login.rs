//! `dcmsfs login` and `dcmsfs logout`

use std::io::{BufRead, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::cli::{ConfigurationArgs, LoginArgs, LogoutArgs};
use crate::credentials::{CredentialSettings, NewLogin, forget_login, login, netrc, save_login};
use crate::error::{Error, ErrorKind, Result, fail};
use crate::run::{places, tree};
use crate::settings::{Settings, address, layers};
use crate::sys::harden;

/// The longest user name, password or code that is read.
const LONGEST: u64 = 4096;

/// Logs in with both clients and keeps what came of it.
pub(super) fn run(args: &LoginArgs) -> Result<()> {
    harden::process();
    let settings = load(&args.configuration)?;
    let credentials = tree::credential_settings(&settings)?;
    let file = kept_in(&credentials)?;
    let (user, password) = account(args)?;
    let runtime = super::runtime(1)?;
    let login = runtime.block_on(log_in(&credentials, &user, &password)).map_err(with_way_out)?;
    let offline = login.cache_b.as_ref().and_then(|tokens| tokens.refresh.clone());
    let login = NewLogin { keep_password: args.keep_password.then_some(password), ..login };
    runtime.block_on(save_login(&file, &login))?;
    println!("logged in as {user}; kept in {}", file.display());
    if let (true, Some(offline)) = (args.netrc, offline) {
        let netrc = credentials.netrc.as_deref().unwrap_or(Path::new(".netrc"));
        let host = address("cache_b.url", &settings.cache_b.url)?;
        netrc::write(netrc, host.host_str().unwrap_or_default(), &settings.cache_b.login, &offline)?;
        println!("wrote the entry of {} in {}", host.host_str().unwrap_or_default(), netrc.display());
    }
    Ok(())
}

/// Forgets what was kept.
pub(super) fn forget(args: &LogoutArgs) -> Result<()> {
    let credentials = tree::credential_settings(&load(&args.configuration)?)?;
    let file = kept_in(&credentials)?;
    if super::runtime(1)?.block_on(forget_login(&file))? {
        println!("logged out; {} is gone", file.display());
    } else {
        println!("there was no login");
    }
    Ok(())
}

/// Where it was not the account's fault.
fn with_way_out(error: Error) -> Error {
    if error.kind() == ErrorKind::Unreachable {
        return Error::new(
            error.kind(),
            format!("{error}; check the network, and `identity.url` in the configuration"),
        );
    }
    error
}

fn load(args: &ConfigurationArgs) -> Result<Settings> {
    layers::load(&places::sources(args))
}

fn kept_in(credentials: &CredentialSettings) -> Result<PathBuf> {
    match &credentials.file {
        Some(file) => Ok(file.clone()),
        None => {
            fail(ErrorKind::Configuration, "`credentials.file` is empty: there is no place to keep a login")
        }
    }
}

/// One conversation with the provider for both clients: it may let the second in without the password.
pub(super) async fn log_in(
    credentials: &CredentialSettings,
    user: &str,
    password: &SecretString,
) -> Result<NewLogin> {
    let identity = &credentials.identity;
    let session = login::session(identity)?;
    let mut tokens = Vec::new();
    for client in [&identity.cache_a, &identity.cache_b] {
        tokens.push(login::log_in(&session, identity, client, user, password, ask_code).await?);
    }
    let mut tokens = tokens.into_iter();
    Ok(NewLogin { user: user.into(), cache_a: tokens.next(), cache_b: tokens.next(), keep_password: None })
}

/// The account: from options and standard input, from the variables that the published tools use, or asked
/// for.
fn account(args: &LoginArgs) -> Result<(String, SecretString)> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = match args.user.clone().or_else(|| variable("DESPAUTH_USER")) {
        Some(user) => user,
        None => ask("DestinE user name: ", true)?.expose_secret().to_owned(),
    };
    if args.password_stdin {
        let mut text = Zeroizing::new(String::new());
        let read = std::io::stdin().lock().take(LONGEST).read_to_string(&mut text);
        read.map_err(|error| input(&error))?;
        return Ok((user, given(text.trim_end_matches(['\r', '\n']))?));
    }
    if let Some(password) = variable("DESPAUTH_PASSWORD").map(Zeroizing::new) {
        eprintln!(
            "dcmsfs: the password comes from DESPAUTH_PASSWORD, which other processes of yours can read; \
             --password-stdin is safer"
        );
        return Ok((user, given(&password)?));
    }
    Ok((user, ask("Password: ", false)?))
}

fn given(text: &str) -> Result<SecretString> {
    if text.is_empty() {
        return fail(ErrorKind::InvalidInput, "the password is empty");
    }
    Ok(SecretString::from(text.to_owned()))
}

fn ask_code(prompt: &str) -> Result<SecretString> {
    if !std::io::stdin().is_terminal() {
        return fail(
            ErrorKind::InvalidInput,
            "this account wants a one-time code and there is no terminal to ask for it: run `dcmsfs login` on one, \
             without --password-stdin",
        );
    }
    ask(&format!("{prompt}: "), false)
}

/// Asks on the terminal; `shown`: the answer may be seen while it is typed.
fn ask(prompt: &str, shown: bool) -> Result<SecretString> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return fail(
            ErrorKind::InvalidInput,
            "there is no terminal to ask on: give --user and --password-stdin",
        );
    }
    eprint!("{prompt}");
    let _ = std::io::stderr().flush();
    let hidden = if shown { None } else { Hidden::begin() };
    let mut line = Zeroizing::new(String::new());
    let read = stdin.lock().take(LONGEST).read_line(&mut line);
    if hidden.is_some() {
        eprintln!();
    }
    drop(hidden);
    read.map_err(|error| input(&error))?;
    given(line.trim_end_matches(['\r', '\n']))
}

fn input(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("cannot read the answer: {error}"))
}

/// The terminal does not show what is typed, until dropped.
struct Hidden(nix::sys::termios::Termios);

impl Hidden {
    fn begin() -> Option<Self> {
        let stdin = std::io::stdin();
        let before = tcgetattr(stdin.as_fd()).ok()?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(stdin.as_fd(), SetArg::TCSAFLUSH, &silent).ok()?;
        Some(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin().as_fd(), SetArg::TCSAFLUSH, &self.0);
    }
}
