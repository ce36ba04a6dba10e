//! The option string: an allow-list, not a pass-through.
//!
//! What is not known is an error, so that a typing mistake or an option of another file system is seen at
//! once; `-s` (sloppy) drops it instead. Four facts about util-linux shape the list:
//!
//! - mount(8) writes `rw` for every mount that is not asked to be read-only. `rw` can therefore not be refused
//!   without refusing `mount -t dcmsfs dcmsfs: /mnt` itself; it is dropped, the mount is read-only anyway.
//! - `user=NAME` is its own option (anybody may mount this line), and it adds `exec,suid,dev` behind it. So the
//!   name is honoured, these three are then not taken for the administrator's, and `uid=` is what we document.
//! - It decodes the octal escapes of fstab before it calls us: values may hold spaces, never escapes.
//! - A double quote protects commas and is passed on as written.
//!
//! Values are never repeated in messages: a secret in the wrong place must not reach a log.

use std::path::PathBuf;

use crate::failure::Failure;

/// What the options mean for this mount.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// Account name or number, as written.
    pub(crate) account: Option<String>,
    /// Group name or number, as written.
    pub(crate) group: Option<String>,
    /// Absolute.
    pub(crate) config: Option<PathBuf>,
    /// One of `LOG_LEVELS`.
    pub(crate) log: Option<&'static str>,
    pub(crate) allow_other: bool,
    pub(crate) nonempty: bool,
    pub(crate) exec: bool,
}

/// The longest option string; the kernel's own limit is one page.
const LENGTH_LIMIT: usize = 4096;

const LOG_LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Meant for mount(8), systemd or the kernel's defaults; nothing to do here.
const NOISE: &[&str] = &[
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "nousers",
    "owner",
    "noowner",
    "group",
    "nogroup",
    "nofail",
    "fail",
    "_netdev",
    "defaults",
    "ro",
    "rw",
    "nosuid",
    "nodev",
    "noexec",
    "relatime",
    "norelatime",
    "noatime",
    "atime",
    "diratime",
    "nodiratime",
    "strictatime",
    "nostrictatime",
    "lazytime",
    "nolazytime",
    "async",
    "silent",
    "loud",
];

/// Parts of option names that would carry a secret.
const SECRETS: &[&str] =
    &["pass", "token", "secret", "cred", "apikey", "api_key", "api-key", "cookie", "bearer"];

/// Reads the strings of all `-o`, in order.
pub(crate) fn parse(strings: &[&str], sloppy: bool) -> Result<Options, Failure> {
    let mut options = Options::default();
    let (mut suid_or_dev, mut user_named) = (None, false);
    for string in strings {
        if string.len() > LENGTH_LIMIT {
            return Err(Failure::usage(format!("the mount options are longer than {LENGTH_LIMIT} bytes")));
        }
        for part in split(string)? {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (part, None),
            };
            match (name, value) {
                ("", None) => {}
                (_, None) if NOISE.contains(&name) => {}
                ("comment", Some(_)) => {}
                _ if name.starts_with("x-") || name.starts_with("X-") => {}
                ("suid" | "dev", None) => suid_or_dev = Some(name),
                ("exec", None) => options.exec = true,
                ("allow_other", None) => options.allow_other = true,
                ("nonempty", None) => options.nonempty = true,
                ("user", Some(value)) => {
                    user_named = true;
                    set(&mut options.account, name, account_value(name, value)?)?;
                }
                ("uid", Some(value)) => set(&mut options.account, name, account_value(name, value)?)?,
                ("gid", Some(value)) => set(&mut options.group, name, account_value(name, value)?)?,
                ("config", Some(value)) => set(&mut options.config, name, config_value(value)?)?,
                ("log", Some(value)) => set(&mut options.log, name, log_value(value)?)?,
                ("remount", None) => {
                    return Err(Failure::usage("remount is not supported: unmount, then mount again"));
                }
                _ if is_secret(name) => return Err(secret_refused()),
                _ if sloppy => {}
                _ => return Err(unknown(name, value)),
            }
        }
    }
    if user_named {
        options.exec = false;
    } else if let Some(name) = suid_or_dev {
        return Err(Failure::usage(format!(
            "the option {name} is refused: remote files are never trusted so far"
        )));
    }
    Ok(options)
}

/// Splits at commas outside double quotes, and refuses what no honest option holds.
fn split(string: &str) -> Result<Vec<&str>, Failure> {
    if string.chars().any(|c| c.is_control() || c == '\\') {
        return Err(Failure::usage("the mount options hold a control character or a backslash"));
    }
    let mut quoted = false;
    let parts = string.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    let parts = parts.collect();
    if quoted { Err(Failure::usage("the mount options hold an unclosed quote")) } else { Ok(parts) }
}

fn set<T: PartialEq>(place: &mut Option<T>, name: &str, value: T) -> Result<(), Failure> {
    if place.as_ref().is_some_and(|earlier| *earlier != value) {
        return Err(Failure::usage(format!("the option {name} contradicts an earlier one")));
    }
    *place = Some(value);
    Ok(())
}

/// Takes off one pair of quotes around the whole value.
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value)
}

fn account_value(name: &str, value: &str) -> Result<String, Failure> {
    let value = unquoted(value);
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-@$".contains(&b);
    if value.is_empty() || value.len() > 256 || value.starts_with('-') || !value.bytes().all(allowed) {
        return Err(Failure::usage(format!("{name}= needs the name or the number of an account or group")));
    }
    Ok(value.to_owned())
}

fn config_value(value: &str) -> Result<PathBuf, Failure> {
    let value = unquoted(value);
    let path = PathBuf::from(value);
    if !path.is_absolute() || value.contains('"') || path.components().any(|part| part.as_os_str() == "..") {
        return Err(Failure::usage("config= needs the absolute path of a file, without `..` and quotes"));
    }
    Ok(path)
}

fn log_value(value: &str) -> Result<&'static str, Failure> {
    LOG_LEVELS
        .into_iter()
        .find(|level| *level == value)
        .ok_or_else(|| Failure::usage(format!("log= needs one of {}", LOG_LEVELS.join(", "))))
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "pw" || name == "key" || SECRETS.iter().any(|part| name.contains(part))
}

fn secret_refused() -> Failure {
    Failure::usage(
        "passwords and tokens are not mount options, others could read them: run `dcmsfs login` as the mounting \
         account, or keep them in its ~/.config/dcmsfs/credentials.toml or ~/.netrc with mode 0600",
    )
}

/// Repeats the name only: the value may be a secret. A name that is no plain word may be one too.
fn unknown(name: &str, value: Option<&str>) -> Failure {
    let plain = name.len() <= 32 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !plain {
        return Failure::usage("unknown mount option; see mount.dcmsfs --help");
    }
    let known = NOISE.contains(&name)
        || ["exec", "suid", "dev", "allow_other", "nonempty", "remount"].contains(&name);
    let valued = ["uid", "gid", "config", "log", "comment"].contains(&name);
    match value {
        Some(_) if known => Failure::usage(format!("the mount option {name} takes no value")),
        None if valued => Failure::usage(format!("the mount option {name} needs a value")),
        _ => Failure::usage(format!("unknown mount option {name}; see mount.dcmsfs --help")),
    }
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
