//! Fixed-width pieces of a name: compact times, numbers, and the underscores between them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// The text at `range` of an ASCII name.
pub(super) fn at(name: &str, range: std::ops::Range<usize>) -> Option<&str> {
    name.get(range)
}

/// Whether there is an underscore at each of `places`.
pub(super) fn underscores(name: &str, places: &[usize]) -> bool {
    places.iter().all(|place| name.as_bytes().get(*place) == Some(&b'_'))
}

/// Whether `text` is a non-empty word of capitals, digits and underscores.
pub(super) fn is_code(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// A number of digits only, any width.
pub(super) fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// A time like `20240924T101031`, in UTC.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let (date, clock) = text.split_once('T')?;
    if date.len() != 8 || clock.len() != 6 {
        return None;
    }
    let part = |text: &str, range| number::<i16>(text.get(range)?);
    let small = |text: &str, range| number::<i8>(text.get(range)?);
    let time = DateTime::new(
        part(date, 0..4)?,
        small(date, 4..6)?,
        small(date, 6..8)?,
        small(clock, 0..2)?,
        small(clock, 2..4)?,
        // A leap second is the next minute's start for everybody who only wants to find the product.
        small(clock, 4..6)?.min(59),
        0,
    );
    Offset::UTC.to_timestamp(time.ok()?).ok()
}
