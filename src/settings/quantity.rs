//! Sizes and durations as people write them.

use std::fmt;
use std::time::Duration;

use serde::Deserializer;
use serde::de::Visitor;

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

/// `500000`, `500_000`: a number of things.
///
/// # Errors
/// `Configuration`, naming the key.
pub fn parse_count(key: &str, text: &str) -> Result<u64> {
    let digits = text.trim().replace('_', "");
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let count = if plain { digits.parse().ok() } else { None };
    count.ok_or_else(|| wrong(key, text, "a number such as 500000"))
}

/// Reads a quantity that may stand without quotes where it is a bare number.
///
/// # Errors
/// Of the format, for anything but text and whole numbers.
pub fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<String, D::Error> {
    struct Quantity;
    impl Visitor<'_> for Quantity {
        type Value = String;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a text such as \"20GiB\", or a whole number")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_u64<E: serde::de::Error>(self, number: u64) -> std::result::Result<String, E> {
            Ok(number.to_string())
        }

        fn visit_i64<E: serde::de::Error>(self, number: i64) -> std::result::Result<String, E> {
            Ok(number.to_string())
        }
    }
    deserializer.deserialize_any(Quantity)
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
        assert_eq!(parse_count("k", " 500_000").unwrap(), 500_000);
        for text in ["", "-1", "1e6", "five", "18446744073709551616"] {
            assert!(parse_count("cache_b.requests_per_day", text).is_err(), "{text}");
        }
        for text in ["", "GiB", "12 parsecs", "-1", "99999999999999999999", "18446744073709551615KiB", "é"] {
            assert!(
                parse_size("cache.memory", text).unwrap_err().message().contains("cache.memory"),
                "{text}"
            );
            assert!(parse_duration("k", text).is_err(), "{text}");
        }
    }
}
