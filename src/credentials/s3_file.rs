//! S3 keys in a file of the form that AWS tools keep (`~/.aws/credentials`): sections in brackets, a `key = value` a line.
//!
//! Only three keys count; others are passed over, as the tools do. Nothing of a line is repeated in a message: it
//! may hold a secret.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::private_file;
use crate::error::{Error, ErrorKind, Result};
use crate::transport::S3Keys;

/// Where the keys of an S3 service stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3File {
    /// The file.
    pub path: PathBuf,
    /// The section; `default` to most.
    pub profile: String,
    /// The region that signatures name.
    pub region: String,
}

impl S3File {
    /// The keys that the file holds now.
    ///
    /// # Errors
    /// `Configuration`, naming the file, and the line where there is one: it is not there, others can read it, a line
    /// has no meaning, the profile or one of its keys is missing.
    pub(super) fn read(&self) -> Result<S3Keys> {
        match private_file::read(&self.path)? {
            Some(content) => self.parse(&content.bytes),
            None => {
                Err(self.wrong(None, "there is no such file: put the S3 keys there, or name another file"))
            }
        }
    }

    fn parse(&self, bytes: &[u8]) -> Result<S3Keys> {
        let text = std::str::from_utf8(bytes).map_err(|_| self.wrong(None, "it is no UTF-8 text"))?;
        let mut section: Option<&str> = None;
        let mut header = None;
        let [mut access_key, mut secret_key, mut session_token] = [const { None::<SecretString> }; 3];
        for (number, line) in text.lines().enumerate() {
            let wrong = |why: &str| self.wrong(Some(number + 1), why);
            let line = line.trim().trim_start_matches('\u{feff}');
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[') {
                let name = name.split(']').next().filter(|_| line.contains(']'));
                let name = name.ok_or_else(|| wrong("a section needs a `]` at its end"))?.trim();
                section = Some(name.strip_prefix("profile ").map_or(name, str::trim_start));
                if section == Some(&self.profile) {
                    header.get_or_insert(number + 1);
                }
                continue;
            }
            let Some((key, value)) = line.split_once('=') else {
                return Err(wrong("neither `[profile]` nor `key = value`"));
            };
            let Some(section) = section else {
                return Err(wrong("a key before the first `[profile]`"));
            };
            if section != self.profile {
                continue;
            }
            let place = match key.trim().to_ascii_lowercase().as_str() {
                "aws_access_key_id" => &mut access_key,
                "aws_secret_access_key" => &mut secret_key,
                "aws_session_token" => &mut session_token,
                _ => continue,
            };
            match value.trim() {
                "" => return Err(wrong(&format!("`{}` has no value", key.trim()))),
                value => *place = Some(value.into()),
            }
        }
        let Some(header) = header else {
            return Err(self.wrong(None, &format!("there is no profile [{}]", self.profile)));
        };
        let missing =
            |key| self.wrong(Some(header), &format!("the profile [{}] has no `{key}`", self.profile));
        Ok(S3Keys {
            access_key: access_key.ok_or_else(|| missing("aws_access_key_id"))?,
            secret_key: secret_key.ok_or_else(|| missing("aws_secret_access_key"))?,
            session_token,
            region: self.region.clone(),
        })
    }

    fn wrong(&self, line: Option<usize>, why: &str) -> Error {
        let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
        Error::new(ErrorKind::Configuration, format!("{}{line}: {why}", self.path.display()))
    }
}

/// All of the keys as one secret: what tells one set of them from another.
pub(super) fn whole(keys: &S3Keys) -> SecretString {
    let token = keys.session_token.as_ref().map_or("", |token| token.expose_secret());
    let parts = [keys.access_key.expose_secret(), keys.secret_key.expose_secret(), token];
    parts.join("\n").into()
}

/// Where the file stands if nothing else is said, below a home.
pub fn usual(home: &Path) -> PathBuf {
    home.join(".aws/credentials")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(profile: &str, text: &str) -> Result<S3Keys> {
        let file = S3File { path: "/h/keys".into(), profile: profile.into(), region: "r".into() };
        file.parse(text.as_bytes())
    }

    const FILE: &str = "# mine\r\n[default]\r\naws_access_key_id=AK1\r\naws_secret_access_key = s=1/+\r\n\r\n\
        [profile dlr]\nregion = x\nAWS_ACCESS_KEY_ID = AK2\n aws_secret_access_key=s2\n; note\naws_session_token=t2\n";

    #[test]
    fn the_profile_counts() {
        let keys = parse("default", FILE).unwrap();
        assert_eq!((keys.access_key.expose_secret(), keys.secret_key.expose_secret()), ("AK1", "s=1/+"));
        assert!(keys.session_token.is_none());
        let keys = parse("dlr", FILE).unwrap();
        assert_eq!((keys.access_key.expose_secret(), keys.secret_key.expose_secret()), ("AK2", "s2"));
        assert_eq!(keys.session_token.unwrap().expose_secret(), "t2");
    }

    #[test]
    fn what_is_wrong_is_named_by_file_and_line_without_the_secret() {
        for (profile, text, told) in [
            ("other", FILE, "/h/keys: there is no profile [other]"),
            ("default", "", "there is no profile [default]"),
            ("default", "aws_access_key_id=canary\n", "line 1: a key before"),
            (
                "default",
                "[default]\naws_secret_access_key=canary\n",
                "line 1: the profile [default] has no `aws_access_key_id`",
            ),
            (
                "default",
                "\n[default]\naws_access_key_id=canary\n",
                "line 2: the profile [default] has no `aws_secret",
            ),
            ("default", "[default]\naws_access_key_id=\n", "line 2: `aws_access_key_id` has no value"),
            ("default", "[default]\ncanary\n", "line 2: neither"),
            ("default", "[default\naws_access_key_id=canary\n", "line 1: a section"),
        ] {
            let error = parse(profile, text).unwrap_err();
            assert!(error.message().contains(told) && !error.message().contains("canary"), "{error}");
        }
    }
}
