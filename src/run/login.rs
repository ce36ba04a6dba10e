//! `dcmsfs login`

use std::io::Read;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use url::Url;
use zeroize::Zeroizing;

use crate::cli::LoginArgs;
use crate::credentials::{CredentialSettings, NewLogin, browser, login, netrc, save_login};
use crate::error::{Error, ErrorKind, Result, fail};
use crate::run::{given, key, places, terminal, tree};
use crate::settings::{address, layers};
use crate::sys::{environment, harden};

/// Logs in with both clients and keeps what came of it.
pub(super) fn run(args: &LoginArgs) -> Result<()> {
    if let Some(root) = &args.root {
        return key::keep(args, root);
    }
    harden::process();
    let settings = layers::load(&places::sources(&args.configuration))?;
    let credentials = tree::credential_settings(&settings)?;
    let file = kept_in(&credentials)?;
    let (login, missing, runtime) = if args.browser {
        let runtime = super::runtime(1)?;
        let login = runtime.block_on(by_browser(&credentials, args.user.clone())).map_err(with_way_out)?;
        (login, None, runtime)
    } else {
        // Before there are descriptors of our own that a wrong number could mean.
        let (user, password) = account(args)?;
        let runtime = super::runtime(1)?;
        let made = runtime.block_on(log_in(&credentials, &user, &password));
        let (login, missing) = made.map_err(with_way_out)?;
        (NewLogin { keep_password: args.keep_password.then_some(password), ..login }, missing, runtime)
    };
    let offline = login.cache_b.as_ref().and_then(|tokens| tokens.refresh.clone());
    runtime.block_on(save_login(&file, &login))?;
    let user = if login.user.is_empty() { String::new() } else { format!(" as {}", login.user) };
    println!("logged in{user}; kept in {}", file.display());
    if let (true, Some(offline)) = (args.netrc, offline) {
        let netrc = credentials.netrc.as_deref().unwrap_or(Path::new(".netrc"));
        let url = address("cache_b.url", &settings.cache_b.url)?;
        let host = host_in_netrc(&url);
        netrc::write(netrc, host, &settings.cache_b.login, &offline)?;
        println!("wrote the entry of {host} in {}", netrc.display());
    }
    match missing {
        Some(error) => Err(error.context("logged in for one of the two services only")),
        None => Ok(()),
    }
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

/// The file in which a login is kept.
pub(super) fn kept_in(credentials: &CredentialSettings) -> Result<PathBuf> {
    match &credentials.file {
        Some(file) => Ok(file.clone()),
        None => {
            fail(ErrorKind::Configuration, "`credentials.file` is empty: there is no place to keep a login")
        }
    }
}

/// The host of an address as netrc writes it: IPv6 addresses without brackets.
pub(super) fn host_in_netrc(url: &Url) -> &str {
    url.host_str().unwrap_or_default().trim_matches(['[', ']'])
}

/// One conversation with the provider for both clients: it may let the second in without the password. One of the two
/// may fail, say because the provider knows its client no more; then the other one's tokens come with the reason.
pub(super) async fn log_in(
    credentials: &CredentialSettings,
    user: &str,
    password: &SecretString,
) -> Result<(NewLogin, Option<Error>)> {
    let identity = &credentials.identity;
    let session = login::session(identity)?;
    let first = login::log_in(&session, identity, &identity.cache_a, user, password, ask_code).await;
    let (cache_a, missing) = match first {
        Ok(tokens) => (Some(tokens), None),
        // Of the provider's pages, not of the account: a password that was refused is not given a second time.
        Err(error) if error.kind() == ErrorKind::Protocol => (None, Some(error.context("Cache-A"))),
        Err(error) => return Err(error),
    };
    let second = login::log_in(&session, identity, &identity.cache_b, user, password, ask_code).await;
    let (cache_b, missing) = match (second, missing) {
        (Ok(tokens), missing) if tokens.refresh.is_some() => (Some(tokens), missing),
        (_, Some(first)) => return Err(first),
        (Ok(_), None) => {
            (None, Some(Error::new(ErrorKind::Protocol, "Cache-B: the provider gave no offline token")))
        }
        (Err(error), None) => (None, Some(error.context("Cache-B"))),
    };
    Ok((NewLogin { user: user.into(), cache_a, cache_b, keep_password: None }, missing))
}

/// A browser for both clients, one after the other: the second time it is let in without a form.
async fn by_browser(credentials: &CredentialSettings, user: Option<String>) -> Result<NewLogin> {
    let identity = &credentials.identity;
    let session = login::session(identity)?;
    let mut tokens = Vec::new();
    for (name, client) in [("Cache-A", &identity.cache_a), ("Cache-B", &identity.cache_b)] {
        let visit = browser::visit(identity, client)?;
        eprintln!("For {name}, open this address in a browser and sign in:\n\n  {}\n", visit.url);
        eprintln!(
            "The browser is then sent to {} and may show an error there. Copy the whole address\n\
             from its address bar; it works once, for a minute or so.",
            client.redirect_uri
        );
        // It holds a code, but the person has it on the screen anyway, and wants to see what was pasted.
        let pasted = terminal::ask("Address: ", true, "run `dcmsfs login --browser` on one")?;
        tokens.push(visit.end(&session, identity, client, &pasted).await?);
    }
    let mut tokens = tokens.into_iter();
    let user = user.unwrap_or_default();
    Ok(NewLogin { user, cache_a: tokens.next(), cache_b: tokens.next(), keep_password: None })
}

/// The account: from options, from whoever started the program, or asked for.
fn account(args: &LoginArgs) -> Result<(String, SecretString)> {
    const SCRIPTS: &str = "give --user and --password-stdin";
    let prompt = |prompt: &str| {
        if !terminal::is_at_hand() {
            return fail(ErrorKind::InvalidInput, format!("there is no terminal to ask on: {SCRIPTS}"));
        }
        terminal::ask(prompt, true, SCRIPTS)
    };
    let user = match args.user.clone().map_or_else(given::user, |user| Ok(Some(user)))? {
        Some(user) => user,
        None => prompt("DestinE user name: ")?.to_string(),
    };
    if let Some(password) = given_password(args)? {
        return Ok((user, password));
    }
    match given::password()? {
        Some(given::Given::Credential(password)) => return Ok((user, password)),
        Some(given::Given::Environment(password)) => {
            eprintln!("dcmsfs: {}", given::IN_ENVIRONMENT);
            return Ok((user, password));
        }
        None => {}
    }
    if !terminal::is_at_hand() {
        return fail(ErrorKind::InvalidInput, format!("there is no terminal to ask on: {SCRIPTS}"));
    }
    Ok((user, terminal::ask_secret("Password: ", SCRIPTS)?))
}

/// What the options say where to read; `None` if they do not.
fn given_password(args: &LoginArgs) -> Result<Option<SecretString>> {
    let read = |from: &mut dyn Read| {
        let mut text = Zeroizing::new(String::with_capacity(given::LONGEST as usize));
        from.take(given::LONGEST).read_to_string(&mut text).map_err(|error| input(&error))?;
        password(text.trim_end_matches(['\r', '\n'])).map(Some)
    };
    if args.password_stdin {
        return read(&mut std::io::stdin().lock());
    }
    let Some(number) = args.password_fd else { return Ok(None) };
    let mut file = environment::descriptor(number).map_err(|error| {
        Error::new(ErrorKind::InvalidInput, format!("cannot read from descriptor {number}: {error}"))
    })?;
    read(&mut file)
}

/// A secret that is no password of an account: as the options say, else asked for.
pub(super) fn secret(args: &LoginArgs, prompt: &str, otherwise: &str) -> Result<SecretString> {
    if let Some(secret) = given_password(args)? {
        return Ok(secret);
    }
    if !terminal::is_at_hand() {
        return fail(ErrorKind::InvalidInput, format!("there is no terminal to ask on: {otherwise}"));
    }
    terminal::ask_secret(prompt, otherwise)
}

fn password(text: &str) -> Result<SecretString> {
    if text.is_empty() {
        return fail(ErrorKind::InvalidInput, "the password is empty");
    }
    Ok(SecretString::from(text.to_owned()))
}

fn ask_code(prompt: &str) -> Result<SecretString> {
    terminal::ask_secret(prompt, "this account wants a one-time code, so run `dcmsfs login` on one")
}

fn input(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("cannot read the answer: {error}"))
}
