//! JSON whose types are not to be relied on: members picked out as raw text, then read one by one.
//!
//! A member of the wrong type counts as missing; only the text around it must be JSON. Nothing here
//! builds a tree of the document.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::limits::STRING_BYTES;

/// Members of one object that are looked at; a hostile object may have millions.
const MEMBERS: usize = 10_000;

/// The members of an object, in the order of the text.
#[derive(Default)]
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// The members of `raw`; none if it is not an object.
    pub(super) fn of(raw: &'a RawValue) -> Self {
        serde_json::from_str(raw.get()).unwrap_or_default()
    }

    /// The members of an object that may be missing.
    pub(super) fn of_option(raw: Option<&'a RawValue>) -> Self {
        raw.map(Self::of).unwrap_or_default()
    }

    /// The value of `name`: the last one if the object repeats it, as most readers do.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// The text of the first of `names` that is a string and not empty.
    pub(super) fn text(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| text(self.get(name)?).filter(|text| !text.is_empty()))
    }

    /// The first of `names` that is a number.
    pub(super) fn number(&self, names: &[&str]) -> Option<f64> {
        names.iter().find_map(|name| number(self.get(name)?))
    }

    /// The first of `names` that is a small whole number.
    pub(super) fn whole<T: TryFrom<u64>>(&self, names: &[&str]) -> Option<T> {
        names.iter().find_map(|name| whole(self.get(name)?)?.try_into().ok())
    }

    /// The first of `names` that is a time.
    pub(super) fn instant(&self, names: &[&str]) -> Option<Timestamp> {
        names.iter().find_map(|name| instant(&text(self.get(name)?)?))
    }

    /// All members.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), *value))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(key) = map.next_key::<Key<'de>>()? {
                    if members.len() == MEMBERS {
                        return Err(de::Error::custom(format!("an object with more than {MEMBERS} members")));
                    }
                    members.push((key.0, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A member's name, borrowed from the document where it has no escapes.
pub(super) struct Key<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrow)
    }
}

/// Takes the members called `.0` out of an object and skips the rest: one pass, no tree. Another kind of
/// value gives none.
#[derive(Clone, Copy)]
pub(super) struct Pick<const N: usize>(pub(super) [&'static str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for Pick<N> {
    type Value = [Option<&'de RawValue>; N];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Pick<N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut picked = [None; N];
        while let Some(Key(key)) = map.next_key()? {
            match self.0.iter().position(|name| *name == key) {
                Some(place) => picked[place] = Some(map.next_value()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(picked)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok([None; N])
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok([None; N])
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok([None; N])
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok([None; N])
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok([None; N])
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok([None; N])
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok([None; N])
    }
}

/// A string of bearable length.
pub(super) fn text(raw: &RawValue) -> Option<String> {
    if raw.get().len() > STRING_BYTES {
        return None;
    }
    serde_json::from_str(raw.get()).ok()
}

/// Up to `most` strings of a list, others left out; a single string counts as a list of one.
pub(super) fn texts(raw: &RawValue, most: usize) -> Vec<String> {
    match text(raw) {
        Some(one) => vec![one],
        None => values(raw, most).into_iter().filter_map(text).collect(),
    }
}

/// Up to `most` values of a list; none if it is not a list.
pub(super) fn values(raw: &RawValue, most: usize) -> Vec<&RawValue> {
    struct Take(usize);
    impl<'de> Visitor<'de> for Take {
        type Value = Vec<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut values = Vec::new();
            while values.len() < self.0 {
                match seq.next_element()? {
                    Some(value) => values.push(value),
                    None => return Ok(values),
                }
            }
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(values)
        }
    }
    serde_json::Deserializer::from_str(raw.get()).deserialize_seq(Take(most)).unwrap_or_default()
}

/// A finite number, also one written as a string.
pub(super) fn number(raw: &RawValue) -> Option<f64> {
    let number = serde_json::from_str(raw.get()).ok().or_else(|| text(raw)?.trim().parse().ok());
    number.filter(|number: &f64| number.is_finite())
}

/// A whole number from zero that fits a file offset, also one written as a string or as a float.
pub(super) fn whole(raw: &RawValue) -> Option<u64> {
    let exact = serde_json::from_str(raw.get()).ok().or_else(|| text(raw)?.trim().parse().ok());
    let whole = exact.or_else(|| {
        let float = number(raw)?;
        // Above 2^53 a float no longer says which whole number is meant.
        let fits = (0.0..=9_007_199_254_740_992.0).contains(&float) && float.fract() == 0.0;
        fits.then_some(float as u64)
    });
    whole.filter(|whole| i64::try_from(*whole).is_ok())
}

/// An instant: RFC 3339 as STAC wants it; without an offset it counts as UTC, a plain date as its midnight.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let civil = || {
        let time =
            text.parse::<DateTime>().ok().or_else(|| Some(text.parse::<Date>().ok()?.at(0, 0, 0, 0)))?;
        Offset::UTC.to_timestamp(time).ok()
    };
    text.parse().ok().or_else(civil)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn numbers() {
        for (text, float, int) in [
            ("12", Some(12.0), Some(12)),
            ("12.0", Some(12.0), Some(12)),
            ("\"12\"", Some(12.0), Some(12)),
            ("12.5", Some(12.5), None),
            ("-1", Some(-1.0), None),
            ("null", None, None),
            ("\"NaN\"", None, None),
            ("\"inf\"", None, None),
            ("[1]", None, None),
            ("1e999", None, None),
            ("9223372036854775807", Some(9_223_372_036_854_775_807.0), Some(i64::MAX as u64)),
            ("18446744073709551615", Some(18_446_744_073_709_551_615.0), None),
            ("1e30", Some(1e30), None),
        ] {
            assert_eq!((number(&raw(text)), whole(&raw(text))), (float, int), "{text}");
        }
    }

    #[test]
    fn instants() {
        let expected = "2024-09-24T10:10:31Z".parse().ok();
        for text in [
            "2024-09-24T10:10:31Z",
            "2024-09-24T12:10:31+02:00",
            "2024-09-24 10:10:31",
            " 2024-09-24T10:10:31.000Z ",
        ] {
            assert_eq!(instant(text), expected, "{text}");
        }
        assert_eq!(instant("2024-09-24"), "2024-09-24T00:00:00Z".parse().ok());
        for text in ["", "..", "null", "2024", "2024-13-01", "99999-01-01T00:00:00Z"] {
            assert_eq!(instant(text), None, "{text}");
        }
    }

    #[test]
    fn repeated_and_wrong_members() {
        let document = raw(r#"{"a":1,"b":"x","a":2,"":null}"#);
        let members = Members::of(&document);
        assert_eq!(members.number(&["a"]), Some(2.0));
        assert_eq!(members.text(&["a", "b"]).as_deref(), Some("x"));
        assert_eq!(Members::of(&raw("[1,2]")).iter().count(), 0);
        let wide = raw(&format!("{{{}}}", vec!["\"a\":1"; MEMBERS + 1].join(",")));
        assert_eq!(Members::of(&wide).iter().count(), 0);
    }

    #[test]
    fn lists() {
        assert_eq!(texts(&raw(r#"["a",1,"b",null]"#), 10), ["a", "b"]);
        assert_eq!(texts(&raw(r#""a""#), 10), ["a"]);
        assert_eq!(values(&raw("[1,2,3]"), 2).len(), 2);
        assert_eq!(values(&raw("{}"), 2).len(), 0);
    }

    proptest! {
        #[test]
        fn no_panic(text in "\\PC{0,40}") {
            let _ = instant(&text);
            if let Ok(raw) = RawValue::from_string(text) {
                let _ = (number(&raw), whole(&raw), texts(&raw, 3), values(&raw, 3).len(), Members::of(&raw).0.len());
            }
        }
    }
}
