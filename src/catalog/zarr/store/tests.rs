//! Stores of both versions, and hostile ones.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn bytes(text: impl ToString) -> Bytes {
    Bytes::from(text.to_string())
}

fn v2(metadata: serde_json::Value) -> Store {
    Store::parse_v2_consolidated(&bytes(json!({"zarr_consolidated_format": 1, "metadata": metadata})))
        .unwrap()
}

fn children(store: &Store, path: &str) -> Vec<String> {
    store.children(path).map(|names| names.map(str::to_owned).collect()).unwrap_or_default()
}

fn array() -> serde_json::Value {
    json!({"zarr_format": 2, "shape": [10], "chunks": [3], "dtype": "<f4", "compressor": null, "filters": null})
}

#[test]
fn v2_hierarchy() {
    let text = r#"{"zarr_consolidated_format": 1, "metadata": {
        ".zgroup": {"zarr_format":  2}, ".zattrs": {"institution": "ECMWF"},
        "t2m/.zarray": {"shape": [10], "chunks": [3], "dtype": "<f4"}, "t2m/.zattrs": {"_ARRAY_DIMENSIONS": ["time"]},
        "a/b/c/.zarray": {"shape": [], "chunks": []}, "empty/.zgroup": {}}}"#;
    let store = Store::parse_v2_consolidated(&bytes(text)).unwrap();
    assert_eq!(children(&store, ""), ["a", "empty", "t2m"]);
    assert_eq!(children(&store, "a/b"), ["c"]);
    assert!(store.children("nothing").is_none() && store.node("nothing/at/all").unwrap().is_none());
    assert!(matches!(store.node("a").unwrap(), Some(Node::Group(_))));
    let t2m = store.array("t2m").unwrap().unwrap();
    assert_eq!((t2m.grid.len(), t2m.dimension_names.as_deref()), (4, Some(&[Some("time".to_owned())][..])));
    // Documents as they are written there, blanks and all.
    assert_eq!(store.document("", ".zgroup").unwrap(), r#"{"zarr_format":  2}"#);
    assert_eq!(store.documents("t2m"), [".zarray", ".zattrs"]);
    assert_eq!(store.document("t2m", ".zgroup"), None);
    assert!(store.problems.is_empty() && store.consolidated && store.len() == 6);
}

#[test]
fn one_broken_node_leaves_the_rest() {
    let store = v2(json!({
        "good/.zarray": array(), "bad/.zarray": {"shape": [1], "chunks": [0]}, "worse/.zarray": 7,
    }));
    assert_eq!(children(&store, ""), ["bad", "good", "worse"]);
    assert!(store.array("good").unwrap().is_some());
    let error = store.node("bad").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert_eq!(error.message(), r#"zarr node "bad": array has a chunk length of zero"#);
    assert!(store.node("worse").is_err());
}

/// zarr-python 3 writes `.zmetadata` of version 2 on one line, and the files themselves with indentation.
#[test]
fn a_part_of_one_line_is_set_out() {
    let part = r#"{"a": [1, 2.50, []], "b":{}, "c\"{,": {"d": "x: [1, 2]\\"}, "e": "\u00e9"}"#;
    let document = format!(
        r#"{{"metadata": {{".zgroup": {{"zarr_format": 2}}, ".zattrs": {part}}}, "zarr_consolidated_format": 1}}"#
    );
    let store = Store::parse_v2_consolidated(&bytes(document)).unwrap();
    let expected = "{\n  \"a\": [\n    1,\n    2.50,\n    []\n  ],\n  \"b\": {},\n  \"c\\\"{,\": {\n    \"d\": \"x: [1, 2]\\\\\"\n  },\n  \"e\": \"\\u00e9\"\n}";
    assert_eq!(store.file("", ".zattrs").unwrap(), expected);
    assert_eq!(store.file("", ".zgroup").unwrap(), "{\n  \"zarr_format\": 2\n}");
    // Nothing grows without a bound.
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(indented(deep.as_bytes()), None);
    assert_eq!(indented(b"]]}").map(|text| text.len()), Some(6));
}

#[test]
fn hostile_paths() {
    let deep = "a/".repeat(100);
    let store = v2(json!({
        "good/.zarray": array(), "../.zarray": array(), "/etc/.zarray": array(), "a//b/.zarray": array(), "./.zgroup": {},
        "x\0y/.zgroup": {}, ".zarray/.zgroup": {}, "something": {}, "data/other": {}, (format!("{deep}.zgroup")): {},
        "\u{1b}[2J/..": {},
    }));
    assert_eq!(children(&store, ""), ["good"]);
    assert_eq!(store.problems.len(), 10);
    assert!(store.problems.iter().all(|problem| !problem.key.contains('\u{1b}')));
}

#[test]
fn nothing_lies_inside_an_array() {
    let store = v2(json!({"t/.zarray": array(), "t/0/.zarray": array(), "t/0/1/.zgroup": {}}));
    assert_eq!((children(&store, "t").len(), store.problems.len()), (0, 2));
    assert!(store.node("t/0").unwrap().is_none());
    let both = v2(json!({"t/.zarray": array(), "t/.zgroup": {}}));
    assert!(both.array("t").unwrap().is_some());
}

#[test]
fn v3_consolidated() {
    let node = json!({"zarr_format": 3, "node_type": "array", "shape": [4], "data_type": "float32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2]}}, "codecs": ["bytes"]});
    let text = json!({"zarr_format": 3, "node_type": "group", "attributes": {"a": 1}, "consolidated_metadata": {
        "kind": "inline", "must_understand": false, "metadata": {
            "t2m": node, "g": {"zarr_format": 3, "node_type": "group"}, "g/x": node, "bad": {"node_type": "hat"}, "..": node}}});
    let document = bytes(&text);
    let store = Store::parse_v3(&document).unwrap();
    assert_eq!(
        (children(&store, ""), children(&store, "g")),
        (vec!["bad".into(), "g".into(), "t2m".into()], vec!["x".into()])
    );
    assert_eq!(store.array("g/x").unwrap().unwrap().chunk_bytes, Some(8));
    assert_eq!(store.document("", "zarr.json"), Some(&document));
    assert_eq!(store.node("").unwrap().unwrap().attributes().unwrap(), r#"{"a":1}"#);
    assert!(store.node("bad").is_err() && store.consolidated && store.problems.len() == 1);
    // The root as an array is named by its empty path.
    let alone = Store::parse_v3(&bytes(&node)).unwrap();
    assert!(alone.array("").unwrap().is_some() && alone.consolidated && alone.is_empty());
}

#[test]
fn v3_without_consolidated_metadata() {
    for text in [
        r#"{"zarr_format":3,"node_type":"group"}"#,
        r#"{"zarr_format":3,"node_type":"group","consolidated_metadata":null}"#,
    ] {
        let store = Store::parse_v3(&bytes(text)).unwrap();
        assert!(!store.consolidated && store.is_empty() && store.node("").unwrap().is_some());
    }
}

#[test]
fn no_store() {
    for text in ["", "[]", "<html>", r#"{"metadata":7}"#, r#"{"metadata":[]}"#, "{}"] {
        assert_eq!(
            Store::parse_v2_consolidated(&bytes(text)).unwrap_err().kind(),
            ErrorKind::Protocol,
            "{text}"
        );
    }
    assert!(Store::parse_v3(&bytes("<html>")).is_err());
    let mut many = serde_json::Map::new();
    for n in 0..ZARR_NODES {
        many.insert(format!("{n}/.zgroup"), json!({}));
    }
    let error = Store::parse_v2_consolidated(&bytes(json!({"metadata": many}))).unwrap_err();
    assert!(error.message().contains("more than 100000 nodes"), "{error}");
}

proptest! {
    #[test]
    fn any_keys_are_safe(keys in prop::collection::vec("(\\PC|[/.]){0,8}(/|)(\\.zarray|\\.zgroup|\\.zattrs|)", 0..12)) {
        let metadata: serde_json::Map<_, _> = keys.into_iter().map(|key| (key, array())).collect();
        let store = v2(metadata.into());
        let mut paths = vec![String::new()];
        while let Some(path) = paths.pop() {
            for name in children(&store, &path) {
                prop_assert!(!matches!(name.as_str(), "" | "." | "..") && !name.contains('/'));
                let below = if path.is_empty() { name } else { format!("{path}/{name}") };
                prop_assert!(!matches!(store.node(&below), Ok(None)));
                paths.push(below);
            }
        }
    }

    #[test]
    fn damage_gives_no_panic(place in 0usize..300, with in any::<u8>()) {
        let mut text = json!({"metadata": {"a/.zarray": array(), "b/.zgroup": {}, "c/d/.zattrs": {"x": [1, 2]}}}).to_string().into_bytes();
        if let Some(byte) = text.get_mut(place) {
            *byte = with;
        }
        let _ = Store::parse_v2_consolidated(&Bytes::from(text.clone()));
        let _ = Store::parse_v3(&Bytes::from(text));
    }
}
