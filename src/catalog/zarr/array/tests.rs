//! Arrays in the spellings that writers use, and wrong ones.

use super::*;
use proptest::prelude::*;

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn v2(text: &str) -> Result<Array> {
    Array::parse_v2(&bytes(text), None)
}

fn v3(extra: &str) -> Result<Array> {
    Array::parse_v3(&bytes(&format!(
        r#"{{"zarr_format":3,"node_type":"array","shape":[10,20],"data_type":"float32"{extra}}}"#
    )))
}

const REGULAR: &str = r#","chunk_grid":{"name":"regular","configuration":{"chunk_shape":[5,6]}}"#;

#[test]
fn v2_as_xarray_writes_it() {
    let zarray = r#"{"zarr_format":2,"shape":[175320,4096,8193],"chunks":[48,512,512],"dtype":"<f4","order":"C",
        "fill_value":"NaN","filters":null,"compressor":{"id":"blosc","cname":"lz4"}}"#;
    let zattrs = r#"{"_ARRAY_DIMENSIONS":["time","latitude","longitude"],"units":"K"}"#;
    let array = Array::parse_v2(&bytes(zarray), Some(&bytes(zattrs))).unwrap();
    assert_eq!((array.grid.counts(), array.grid.len()), (&[3653, 8, 17][..], 496_808));
    assert_eq!(array.grid.key(17).as_deref(), Some("0.1.0"));
    assert_eq!((array.item_size, array.compressed, array.chunk_bytes), (Some(4), true, None));
    assert_eq!(array.dimension_names.unwrap()[1].as_deref(), Some("latitude"));
    assert_eq!((array.data_type.as_str(), array.fill_value.as_deref()), ("<f4", Some("\"NaN\"")));
}

#[test]
fn v2_without_compression_has_exact_sizes() {
    let array = v2(r#"{"shape":[7],"chunks":[4],"dtype":"<i8","compressor":null,"filters":null}"#).unwrap();
    assert_eq!((array.compressed, array.chunk_bytes, array.grid.len()), (false, Some(32), 2));
    let filtered = v2(r#"{"shape":[7],"chunks":[4],"dtype":"|O","filters":[{"id":"mystery"}]}"#).unwrap();
    assert_eq!((filtered.compressed, filtered.chunk_bytes, filtered.item_size), (true, None, None));
    let scalar = v2(r#"{"shape":[],"chunks":[],"dtype":"<f8","compressor":null}"#).unwrap();
    assert_eq!((scalar.grid.len(), scalar.chunk_bytes), (1, Some(8)));
    let empty = v2(r#"{"shape":[0,5],"chunks":[1,5],"dtype":"<f8"}"#).unwrap();
    assert!(empty.grid.is_empty());
    let structured = v2(r#"{"shape":[2],"chunks":[2],"dtype":[["a","<f4"],["b","<i2"]]}"#).unwrap();
    assert_eq!(
        (structured.chunk_bytes, structured.data_type.as_str()),
        (Some(12), r#"[["a","<f4"],["b","<i2"]]"#)
    );
}

#[test]
fn v2_separator() {
    let nested = v2(r#"{"shape":[7,7],"chunks":[4,4],"dimension_separator":"/"}"#).unwrap();
    assert_eq!(nested.grid.key(3).as_deref(), Some("1/1"));
    assert!(v2(r#"{"shape":[7],"chunks":[4],"dimension_separator":"-"}"#).is_err());
}

#[test]
fn v3_key_encodings() {
    for (encoding, key) in [
        ("", "c/1/3"),
        (r#","chunk_key_encoding":"default""#, "c/1/3"),
        (r#","chunk_key_encoding":{"name":"default","configuration":{"separator":"."}}"#, "c.1.3"),
        (r#","chunk_key_encoding":{"name":"v2"}"#, "1.3"),
        (r#","chunk_key_encoding":{"name":"v2","configuration":{"separator":"/"}}"#, "1/3"),
    ] {
        let array = v3(&format!("{REGULAR}{encoding}")).unwrap();
        assert_eq!(array.grid.key(array.grid.len() - 1).as_deref(), Some(key), "{encoding}");
    }
    assert!(
        v3(&format!(r#"{REGULAR},"chunk_key_encoding":{{"name":"other"}}"#))
            .unwrap_err()
            .message()
            .contains("other")
    );
}

#[test]
fn v3_codecs() {
    for (codecs, compressed, size) in [
        (r#"[{"name":"bytes","configuration":{"endian":"little"}}]"#, false, Some(120)),
        (r#"["bytes",{"name":"crc32c"}]"#, false, Some(124)),
        (r#"[{"name":"bytes"},{"name":"blosc","configuration":{"cname":"zstd"}}]"#, true, None),
        (r#"[{"name":"never.heard.of"}]"#, true, None),
        ("[]", false, Some(120)),
        ("7", false, Some(120)),
    ] {
        let array = v3(&format!(r#"{REGULAR},"codecs":{codecs}"#)).unwrap();
        assert_eq!((array.compressed, array.chunk_bytes), (compressed, size), "{codecs}");
    }
    assert_eq!(v3(REGULAR).unwrap().chunk_bytes, None);
}

#[test]
fn v3_shards_are_the_files() {
    for inner in [r#"[{"name":"bytes","configuration":{"endian":"little"}}]"#, r#"[{"no":"name"}]"#] {
        let array = v3(&format!(
            r#"{REGULAR},"codecs":[{{"name":"sharding_indexed","configuration":{{"chunk_shape":[1,2],"codecs":{inner},"index_codecs":[]}}}}]"#
        ))
        .unwrap();
        assert_eq!((&array.chunk_shape[..], array.inner_chunk_shape), (&[5, 6][..], Some(vec![1, 2])));
        assert_eq!((array.grid.counts(), array.chunk_bytes), (&[2, 4][..], None));
    }
}

#[test]
fn v3_irregular_grids() {
    let grid = |grid: &str| v3(&format!(r#","chunk_grid":{grid},"codecs":["bytes"]"#));
    let rectangular = grid(r#"{"name":"rectangular","configuration":{"chunk_shape":[[3,7],6]}}"#).unwrap();
    assert_eq!((rectangular.grid.counts(), rectangular.chunk_bytes), (&[2, 4][..], None));
    let rectilinear =
        grid(r#"{"name":"rectilinear","configuration":{"kind":"inline","chunk_shapes":[[[2,3],4],20]}}"#)
            .unwrap();
    assert_eq!((rectilinear.grid.counts(), &rectilinear.chunk_shape[..]), (&[4, 1][..], &[2, 20][..]));
    for bad in [
        r#"{"name":"rectangular","configuration":{"chunk_shape":[[3,6],6]}}"#,
        r#"{"name":"rectangular","configuration":{"chunk_shape":[6]}}"#,
        r#"{"name":"rectangular"}"#,
        r#"{"name":"unheard"}"#,
        r#"{"name":"regular"}"#,
        r#"{"name":"regular","configuration":{"chunk_shape":[5]}}"#,
        r#"{"name":"regular","configuration":{"chunk_shape":[5,0]}}"#,
        "7",
    ] {
        assert_eq!(grid(bad).unwrap_err().kind(), ErrorKind::Protocol, "{bad}");
    }
}

#[test]
fn v3_names_and_attributes() {
    let array =
        v3(&format!(r#"{REGULAR},"dimension_names":["x",null],"attributes":{{"a": 1}},"fill_value":0.0"#))
            .unwrap();
    assert_eq!(array.dimension_names, Some(vec![Some("x".into()), None]));
    assert_eq!(array.attributes.unwrap(), r#"{"a": 1}"#);
    assert_eq!(array.data_type, "float32");
}

#[test]
fn wrong_numbers() {
    for (shape, chunks) in [
        ("[10]", "[0]"),
        ("[10]", "[-1]"),
        ("[-10]", "[1]"),
        ("[10]", "[1.5]"),
        ("[10]", "[1,1]"),
        ("[10]", "null"),
        ("[10]", "7"),
        ("{}", "[1]"),
        ("[null]", "[1]"),
        ("[9223372036854775807,9223372036854775807]", "[1,1]"),
        ("[1e300]", "[1]"),
        ("[99999999999999999999]", "[1]"),
    ] {
        let error = v2(&format!(r#"{{"shape":{shape},"chunks":{chunks},"dtype":"<f4"}}"#)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{shape} {chunks}");
    }
    let many = format!("[{}]", vec!["1"; 65].join(","));
    assert!(
        v2(&format!(r#"{{"shape":{many},"chunks":{many}}}"#)).unwrap_err().message().contains("dimensions")
    );
    for text in ["", "[]", "{}", r#"{"shape":[1]}"#, "<html>"] {
        assert_eq!(v2(text).unwrap_err().kind(), ErrorKind::Protocol, "{text}");
        assert_eq!(Array::parse_v3(&bytes(text)).unwrap_err().kind(), ErrorKind::Protocol, "{text}");
    }
    // A chunk that no file can hold is an array all the same; only its size is not said.
    let huge =
        v2(r#"{"shape":[10],"chunks":[9223372036854775807],"dtype":"<f8","compressor":null}"#).unwrap();
    assert_eq!((huge.grid.len(), huge.chunk_bytes), (1, None));
}

proptest! {
    #[test]
    fn any_numbers_are_safe(shape in prop::collection::vec(any::<i128>(), 0..6), chunks in prop::collection::vec(any::<i64>(), 0..6)) {
        let text = format!(r#"{{"shape":{shape:?},"chunks":{chunks:?},"dtype":"<f8","compressor":null}}"#);
        if let Ok(array) = v2(&text) {
            let _ = (array.grid.key(0), array.grid.key(array.grid.len().saturating_sub(1)), array.grid.span(&array.grid.top()));
        }
    }

    #[test]
    fn damage_gives_no_panic(place in 0usize..200, with in any::<u8>()) {
        let mut text = br#"{"zarr_format":3,"node_type":"array","shape":[10,20],"data_type":"float32","chunk_grid":{"name":"regular","configuration":{"chunk_shape":[5,6]}},"codecs":[{"name":"bytes"}],"dimension_names":["a"]}"#.to_vec();
        if let Some(byte) = text.get_mut(place) {
            *byte = with;
        }
        let _ = Array::parse_v3(&Bytes::from(text));
    }
}
