//! How many bytes an element takes, as far as the data type says it. Nothing else about it matters here.

use serde_json::value::RawValue;

use super::super::lenient::{Members, text, values, whole};

/// Nesting of structured types.
const DEPTH: u8 = 8;
/// Fields of a structured type.
const FIELDS: usize = 10_000;

/// Bytes of an element of a Zarr v2 data type (NumPy type string or list of fields); `None` if variable
/// or unknown.
pub(super) fn v2_item_size(raw: &RawValue) -> Option<u64> {
    numpy(raw, DEPTH)
}

fn numpy(raw: &RawValue, depth: u8) -> Option<u64> {
    let depth = depth.checked_sub(1)?;
    if let Some(name) = text(raw) {
        return numpy_name(&name);
    }
    let fields = values(raw, FIELDS);
    if fields.is_empty() || fields.len() == FIELDS {
        return None;
    }
    fields.into_iter().try_fold(0u64, |sum, field| {
        let parts = values(field, 3);
        let item = numpy(parts.get(1)?, depth)?;
        let times = match parts.get(2) {
            None => 1,
            Some(shape) => values(shape, FIELDS)
                .into_iter()
                .try_fold(1u64, |product, length| product.checked_mul(whole(length)?))?,
        };
        sum.checked_add(item.checked_mul(times)?)
    })
}

/// `<f4`, `|S10`, `<M8[ns]`, `<U5`.
fn numpy_name(name: &str) -> Option<u64> {
    let plain = name.trim_start_matches(['<', '>', '|', '=']);
    let kind = plain.chars().next().filter(char::is_ascii)?;
    let digits = plain.get(1..)?.split('[').next()?;
    let number: u64 = digits.parse().ok()?;
    match kind {
        'b' | 'i' | 'u' | 'f' | 'c' | 'm' | 'M' | 'S' | 'a' | 'V' => Some(number),
        'U' => number.checked_mul(4),
        _ => None,
    }
}

/// The name of a Zarr v3 data type, and the bytes of an element; `None` if variable or unknown.
pub(super) fn v3_item_size(raw: &RawValue) -> Option<u64> {
    let members = Members::of(raw);
    let name = text(raw).or_else(|| members.text(&["name"]))?;
    let known = match name.as_str() {
        "bool" | "int8" | "uint8" => 1,
        "int16" | "uint16" | "float16" | "bfloat16" => 2,
        "int32" | "uint32" | "float32" => 4,
        "int64" | "uint64" | "float64" | "complex64" | "numpy.datetime64" | "numpy.timedelta64" => 8,
        "complex128" => 16,
        _ => {
            // Raw bits of the core specification, and numpy-like types of fixed length.
            let bits = name.strip_prefix('r').and_then(|bits| bits.parse::<u64>().ok());
            let fixed = || Members::of(members.get("configuration")?).whole(&["length_bytes"]);
            return bits.filter(|bits| bits % 8 == 0).map(|bits| bits / 8).or_else(fixed);
        }
    };
    Some(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn v2() {
        for (dtype, size) in [
            (r#""<f4""#, Some(4)),
            (r#""|b1""#, Some(1)),
            (r#""<M8[ns]""#, Some(8)),
            (r#""<U10""#, Some(40)),
            (r#""|S7""#, Some(7)),
            (r#""|O""#, None),
            (r#""<f""#, None),
            (r#""""#, None),
            (r#""é4""#, None),
            (r#""<U18446744073709551615""#, None),
            (r#"[["a","<f4"],["b","<i8",[2,3]]]"#, Some(52)),
            (r#"[["a",[["b","|V3"]]]]"#, Some(3)),
            (r#"[["a","<i8",[9223372036854775807,4]]]"#, None),
            ("[]", None),
            ("7", None),
            ("[[[[[[[[[[[[]]]]]]]]]]]]", None),
        ] {
            assert_eq!(v2_item_size(&raw(dtype)), size, "{dtype}");
        }
    }

    #[test]
    fn v3() {
        for (data_type, size) in [
            (r#""float32""#, Some(4)),
            (r#""r24""#, Some(3)),
            (r#""r7""#, None),
            (r#""string""#, None),
            (r#"{"name":"numpy.datetime64","configuration":{"unit":"s"}}"#, Some(8)),
            (r#"{"name":"fixed_length_utf32","configuration":{"length_bytes":40}}"#, Some(40)),
            ("null", None),
        ] {
            assert_eq!(v3_item_size(&raw(data_type)), size, "{data_type}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_safe(name in "\\PC{0,12}") {
            let quoted = raw(&serde_json::json!(name).to_string());
            let _ = (v2_item_size(&quoted), v3_item_size(&quoted));
        }
    }
}
