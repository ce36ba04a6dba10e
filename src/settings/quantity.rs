//! Sizes and durations as people write them.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

/// `256MiB`, `20GB`, `4096`: bytes.
///
/// # Errors
/// `Configuration`, naming the key.
pub fn parse_size(key: &str, text: &str) -> Result<u64> {
    let (number, unit) = split(text);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => 0,
    };
    let size = number.and_then(|number| number.checked_mul(factor)).filter(|_| factor > 0);
    size.ok_or_else(|| wrong(key, text, "a size such as 256MiB or 20GB"))
}

/// `90s`, `5min`, `1h`, `2d`, `30`: a duration, seconds without a unit.
///
/// # Errors
/// `Configuration`, naming the key.
pub fn parse_duration(key: &str, text: &str) -> Result<Duration> {
    let (number, unit) = split(text);
    let factor: u64 = match unit {
        "" | "s" => 1,
        "min" | "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => 0,
    };
    let seconds = number.and_then(|number| number.checked_mul(factor)).filter(|_| factor > 0);
    seconds.map(Duration::from_secs).ok_or_else(|| wrong(key, text, "a time such as 30s, 5min, 1h or 2d"))
}

fn split(text: &str) -> (Option<u64>, &str) {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..digits].parse().ok(), text[digits..].trim())
}

fn wrong(key: &str, text: &str, form: &str) -> Error {
    Error::new(ErrorKind::Configuration, format!("`{key} = {text:?}`: expected {form}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations() {
        assert_eq!(parse_size("k", "256MiB").unwrap(), 256 << 20);
        assert_eq!(parse_size("k", "20 GB").unwrap(), 20_000_000_000);
        assert_eq!(parse_size("k", "7").unwrap(), 7);
        assert_eq!(parse_duration("k", "1h").unwrap(), Duration::from_secs(3600));
        for text in ["", "GiB", "12 parsecs", "-1", "99999999999999999999", "18446744073709551615KiB", "é"] {
            assert!(
                parse_size("cache.memory", text).unwrap_err().message().contains("cache.memory"),
                "{text}"
            );
            assert!(parse_duration("k", text).is_err(), "{text}");
        }
    }
}
