//! The account that whoever started the program gave it: by a service manager's credentials or in the environment.
//!
//! - `dcmsfs.user` and `dcmsfs.password` in `$CREDENTIALS_DIRECTORY` (systemd's `LoadCredential=`, `SetCredential=`
//!   and their encrypted forms, systemd.exec(5));
//! - `DESPAUTH_USER` and `DESPAUTH_PASSWORD`, the names that the published tools use (protocol.md 2.4).
//!
//! The password in the environment is taken out of it before there is a second thread, whatever the command: nothing
//! started later inherits it, and `/proc/<pid>/environ` does not show it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::credentials::Account;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::environment;

/// The longest name, password or code that is read.
pub(super) const LONGEST: u64 = 4096;

/// The warning that goes with it.
pub(super) const IN_ENVIRONMENT: &str = "the password comes from DESPAUTH_PASSWORD, which other processes of yours \
     may read where it was set; a service manager's credential or --password-stdin is safer";

/// What `DESPAUTH_PASSWORD` held.
static PASSWORD: OnceLock<Option<Zeroizing<String>>> = OnceLock::new();

/// Takes the password out of the environment; the first thing that the program does.
pub(super) fn take() {
    PASSWORD.get_or_init(|| environment::take("DESPAUTH_PASSWORD"));
}

/// A password without a prompt, and where it came from.
pub(super) enum Given {
    /// From the service manager.
    Credential(SecretString),
    /// From `DESPAUTH_PASSWORD`.
    Environment(SecretString),
}

/// The user's name, if it was given.
///
/// # Errors
/// `Configuration` when the credential cannot be read.
pub(super) fn user() -> Result<Option<String>> {
    let named = credential("dcmsfs.user")?.map(|user| user.as_str().to_owned());
    Ok(named.or_else(|| std::env::var("DESPAUTH_USER").ok()).filter(|user| !user.is_empty()))
}

/// The password, if it was given.
///
/// # Errors
/// `Configuration` when the credential cannot be read.
pub(super) fn password() -> Result<Option<Given>> {
    let secret = |text: &Zeroizing<String>| SecretString::from(text.as_str());
    if let Some(password) = credential("dcmsfs.password")? {
        return Ok(Some(Given::Credential(secret(&password))));
    }
    let taken = PASSWORD.get().and_then(Option::as_ref).filter(|password| !password.is_empty());
    Ok(taken.map(|password| Given::Environment(secret(password))))
}

/// The account for a mount to log in with by itself. A password without a name is of no use.
///
/// # Errors
/// `Configuration` when a credential cannot be read.
pub(super) fn account() -> Result<Option<Account>> {
    let (Some(user), Some(given)) = (user()?, password()?) else { return Ok(None) };
    let password = match given {
        Given::Credential(password) => password,
        Given::Environment(password) => {
            tracing::warn!("{IN_ENVIRONMENT}");
            password
        }
    };
    Ok(Some(Account { user, password }))
}

/// A credential of the service manager. Its directory is trusted as it is: who sets the variable starts the
/// program, and systemd's files may belong to root and carry an access list.
fn credential(name: &str) -> Result<Option<Zeroizing<String>>> {
    match std::env::var_os("CREDENTIALS_DIRECTORY") {
        Some(directory) => read(&PathBuf::from(directory).join(name)),
        None => Ok(None),
    }
}

fn read(file: &Path) -> Result<Option<Zeroizing<String>>> {
    let mut text = Zeroizing::new(String::with_capacity(LONGEST as usize));
    let read = std::fs::File::open(file).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
    match read {
        Ok(_) => {
            let line = text.trim_end_matches(['\r', '\n']);
            Ok(Some(Zeroizing::new(line.to_owned())).filter(|line| !line.is_empty()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::new(
            ErrorKind::Configuration,
            format!("cannot read the credential {}: {error}", file.display()),
        )),
    }
}
