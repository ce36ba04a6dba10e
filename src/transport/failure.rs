//! What an exchange that failed becomes for the layers above, without a secret in its text.

use std::error::Error as StdError;
use std::io;

use url::Url;

use super::gate::Refused;
use super::origin::Origin;
use crate::error::{Error, ErrorKind};

/// Longest address in a message.
const SHOWN: usize = 300;

/// An address for messages and log lines: no user part, no query, no fragment, bounded.
///
/// A URL's path holds no control characters (the parser escapes them), so it is safe on a terminal.
pub fn shown(url: &Url) -> String {
    let Ok(origin) = Origin::of(url) else { return format!("{}:…", url.scheme()) };
    let mut text = format!("{origin}{}", url.path());
    if text.len() > SHOWN {
        let cut = (0..=SHOWN).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(cut);
        text.push('…');
    }
    text
}

/// The chain from an error to its first cause. An I/O error names not what it wraps as its source, but the
/// source of that; the TLS layer's errors are found only by looking in.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| {
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as _).or_else(|| (*error).source())
    })
}

/// The text of the first cause. The outer ones hold the URL, so they are not shown.
pub(super) fn root(error: &(dyn StdError + 'static)) -> String {
    let text = chain(error).last().map(ToString::to_string).unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}

/// Whether a connection failed because the other side is not who it should be, or speaks no TLS: that layer
/// reports every violation as invalid data. A cut handshake is something else.
fn is_untrusted(error: &(dyn StdError + 'static)) -> bool {
    let invalid = |error: &io::Error| error.kind() == io::ErrorKind::InvalidData;
    chain(error).filter_map(|error| error.downcast_ref()).any(invalid)
}

/// A request that brought no answer.
pub(super) fn from_send(error: &reqwest::Error, url: &Url) -> Error {
    let place = shown(url);
    let host = Origin::of(url).map_or_else(|_| place.clone(), |origin| origin.to_string());
    if let Some(refused) = chain(error).find_map(|error| error.downcast_ref::<Refused>()) {
        return Error::new(ErrorKind::Protocol, format!("{host} is refused: {refused}"));
    }
    if error.is_connect() && is_untrusted(error) {
        let cause = root(error);
        return Error::new(ErrorKind::Protocol, format!("{host}: no trustworthy TLS connection ({cause})"));
    }
    if error.is_connect() {
        let cause = if error.is_timeout() { "no connection in time".to_owned() } else { root(error) };
        return Error::new(ErrorKind::Unreachable, format!("cannot reach {host}: {cause}"));
    }
    if error.is_timeout() {
        return Error::new(ErrorKind::TimedOut, format!("{place}: no answer in time"));
    }
    if error.is_builder() {
        return Error::new(ErrorKind::Protocol, format!("{place}: not a valid request ({})", root(error)));
    }
    Error::new(ErrorKind::Unavailable, format!("{place}: the connection broke ({})", root(error)))
}

/// A body that ended early.
pub(super) fn from_body(error: &reqwest::Error, url: &Url) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{}: the answer broke off ({})", shown(url), root(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_secrets_and_bounded() {
        let url = Url::parse("https://user:canary@h.example:8443/a/b?token=canary#canary").unwrap();
        assert_eq!(shown(&url), "https://h.example:8443/a/b");
        let long = Url::parse(&format!("https://h.example/{}", "ä".repeat(5000))).unwrap();
        assert!(shown(&long).len() < SHOWN + 5);
        assert_eq!(shown(&Url::parse("data:text/plain,canary").unwrap()), "data:…");
    }

    #[test]
    fn distrust_is_found_where_the_tls_layers_put_it() {
        let inner = || io::Error::new(io::ErrorKind::InvalidData, "invalid peer certificate");
        assert!(is_untrusted(&inner()));
        assert!(is_untrusted(&io::Error::other(inner())));
        assert!(is_untrusted(&io::Error::other(io::Error::other(inner()))));
        assert!(!is_untrusted(&io::Error::other(io::Error::from(io::ErrorKind::UnexpectedEof))));
        assert_eq!(root(&io::Error::other(inner())), "invalid peer certificate");
    }
}
