//! Items of every mission in the shapes that services are known to send, and hostile ones.

use super::*;
use proptest::prelude::*;

const S2: &str = "S2A_MSIL2A_20240924T101031_N0511_R022_T32TQM_20240924T160000";

fn parse(text: &str) -> Item {
    Item::parse(&Bytes::copy_from_slice(text.as_bytes()), None).unwrap()
}

fn refused(text: &str) -> String {
    let error = Item::parse(&Bytes::copy_from_slice(text.as_bytes()), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    error.message().to_owned()
}

fn paths(item: &Item) -> Vec<&str> {
    item.assets.iter().map(|asset| asset.path.as_str()).collect()
}

#[test]
fn as_cache_a_is_thought_to_send_it() {
    let item = parse(&format!(
        r#"{{"type":"Feature","stac_version":"1.0.0","id":"{S2}.SAFE","collection":"SENTINEL-2","bbox":[11.6,44.1,13.0,45.1],
        "geometry":{{"type":"Point","coordinates":[12,44]}},
        "properties":{{"datetime":"2024-09-24T10:10:31.024Z","platformName":"SENTINEL-2","eo:cloud_cover":12.3,
        "publicationDate":"2024-09-25T00:00:00Z","format":"SAFE","odd":[1, 2]}},
        "assets":{{"TCI":{{"href":"https://c.example/stac/download?filename=SENTINEL-2/2024/09/24/{S2}.SAFE/GRANULE/L2A/IMG_DATA/R60m/T_TCI_60m.jp2","type":"image/jp2"}},
        "m":{{"href":"https://c.example/stac/download?filename=SENTINEL-2/{S2}.SAFE/manifest.safe"}}}},
        "links":[{{"rel":"self","href":"https://c.example/stac/api/collections/SENTINEL-2/items/x"}}]}}"#
    ));
    assert_eq!(item.record.name(), format!("{S2}.SAFE"));
    assert_eq!(item.collection.as_deref(), Some("SENTINEL-2"));
    assert_eq!(paths(&item), ["GRANULE/L2A/IMG_DATA/R60m/T_TCI_60m.jp2", "manifest.safe"]);
    assert_eq!(item.record.bucket.levels(), ["T32TQM"]);
    assert_eq!(item.record.instant().unwrap().to_string(), "2024-09-24T10:10:31.024Z");
    assert_eq!(item.record.published.unwrap().timestamp().to_string(), "2024-09-25T00:00:00Z");
    assert!((item.record.cloud_cover.unwrap() - 12.3).abs() < 1e-4);
    assert_eq!(item.attribute("format").as_deref(), Some("SAFE"));
    assert_eq!(item.attribute("odd").as_deref(), Some("[1, 2]"));
    assert_eq!(item.attribute("eo:cloud_cover").as_deref(), Some("12.3"));
    assert_eq!(item.attribute("geometry").as_deref(), Some(r#"{"type":"Point","coordinates":[12,44]}"#));
    assert!(
        item.record.is_called(S2)
            && item.record.is_called(&format!("{S2}.SAFE"))
            && !item.record.is_called("S2A")
    );
}

#[test]
fn as_the_copernicus_data_space_sends_it() {
    let item = parse(&format!(
        r#"{{"id":"{S2}","bbox":[11.6,44.1,13.0,45.1],"properties":{{"datetime":"2024-09-24T10:10:31.024Z","grid:code":"MGRS-32TQM"}},
        "assets":{{
        "B02_10m":{{"href":"s3://eodata/Sentinel-2/{S2}.SAFE/GRANULE/R10m/B02.jp2","file:size":76996899,"file:checksum":"1620aa",
          "file:local_path":"{S2}.SAFE/GRANULE/R10m/B02.jp2","roles":["data"],
          "alternate":{{"https":{{"href":"https://z.example/Products(1)/Nodes(x)/$value"}}}}}},
        "Product":{{"href":"https://z.example/Products(1)/$value","file:local_path":"{S2}.SAFE.zip","file:size":1077888608}},
        "thumbnail":{{"href":"https://d.example/Assets(1)/$value","file:local_path":"{S2}.SAFE/{S2}-ql.jpg",
          "alternate":{{"s3":{{"href":"s3://eodata/x"}}}}}}}}}}"#
    ));
    assert_eq!(item.record.name(), format!("{S2}.SAFE"));
    assert_eq!(paths(&item), ["GRANULE/R10m/B02.jp2", &format!("{S2}-ql.jpg"), &format!("{S2}.SAFE.zip")]);
    let band = &item.assets[0];
    assert_eq!(band.href, "https://z.example/Products(1)/Nodes(x)/$value");
    assert_eq!(band.alternates[0].name, "s3");
    assert!(band.alternates[0].href.starts_with("s3://eodata/"));
    assert_eq!((band.size, band.checksum.as_deref()), (Some(76_996_899), Some("1620aa")));
    assert_eq!(item.assets.iter().filter(|asset| asset.whole_product).count(), 1);
    assert!(item.assets[2].whole_product);
}

#[test]
fn a_product_that_is_one_file() {
    let id = "S5P_OFFL_L2__NO2____20240924T101010_20240924T115140_34998_03_020701_20240926T050505";
    let item = parse(&format!(
        r#"{{"id":"{id}","properties":{{"datetime":null,"start_datetime":"2024-09-24T10:10:10Z","end_datetime":"2024-09-24T11:51:40Z"}},
        "assets":{{"no2":{{"href":"../files/{id}.nc","file:size":5}}}}}}"#
    ));
    assert_eq!(
        item.record.shape,
        Shape::File(Box::new(SingleFile { name: format!("{id}.nc").into(), size: Some(5) }))
    );
    assert_eq!(item.record.name(), format!("{id}.nc"));
    assert_eq!(item.record.bucket.levels(), ["L2__NO2___", "O34998"]);
    assert_eq!(item.record.instant().unwrap().to_string(), "2024-09-24T10:10:10Z");
    // A lone file with another name stays in its product's folder.
    let item = parse(r#"{"id":"a","assets":{"x":{"href":"https://c/data.tif"}}}"#);
    assert_eq!((item.record.name().as_str(), paths(&item)[0]), ("a", "data.tif"));
    // A product that exists as an archive only.
    let item = parse(r#"{"id":"a","assets":{"x":{"href":"https://c/a.SAFE.zip"}}}"#);
    assert_eq!((item.record.name().as_str(), item.assets[0].whole_product), ("a.SAFE.zip", false));
}

#[test]
fn a_mosaic_in_a_folder_without_ending() {
    let id = "Sentinel-2_mosaic_2023_Q1_31SDV_0_0";
    let item = parse(&format!(
        r#"{{"id":"{id}","properties":{{"datetime":null}},"assets":{{
        "B02":{{"href":"s3://eodata/Global-Mosaics/2023/01/01/{id}/B02.tif"}},
        "B03":{{"href":"https://c.example/d?filename=x/{id}/B03.tif"}},
        "Product":{{"href":"https://c.example/$value","file:local_path":"{id}.zip"}}}}}}"#
    ));
    assert_eq!(item.record.name(), id);
    assert_eq!(paths(&item), ["B02.tif", "B03.tif", &format!("{id}.zip")]);
    assert_eq!(item.assets[0].href, format!("s3://eodata/Global-Mosaics/2023/01/01/{id}/B02.tif"));
    assert_eq!(item.record.instant().unwrap().to_string(), "2023-01-01T00:00:00Z");
}

#[test]
fn relative_addresses_join_the_items_own() {
    let text = r#"{"id":"a","links":[{"rel":"self","href":"https://h.example/c/X.SAFE/item.json"}],
        "assets":{"m":{"href":"./manifest.safe"},"n":{"href":"GRANULE/b.jp2"},"o":{"href":"?filename=X.SAFE/c"}}}"#;
    let item = parse(text);
    assert_eq!(
        item.assets.iter().map(|a| a.href.as_str()).collect::<Vec<_>>(),
        [
            "https://h.example/c/X.SAFE/GRANULE/b.jp2",
            "https://h.example/c/X.SAFE/item.json?filename=X.SAFE/c",
            "https://h.example/c/X.SAFE/manifest.safe",
        ]
    );
    assert_eq!(paths(&item), ["GRANULE/b.jp2", "c", "manifest.safe"]);
    let base = "https://h.example/api/search".parse().unwrap();
    let item = Item::parse(&Bytes::from_static(br#"{"id":"a","assets":{"m":{"href":"x/y"}}}"#), Some(&base))
        .unwrap();
    assert_eq!(item.assets[0].href, "https://h.example/api/x/y");
}

#[test]
fn wrong_types_count_as_missing() {
    let item = parse(
        r#"{"id":"a","collection":5,"bbox":"x","geometry":7,"links":{},"properties":[1],
        "assets":{"a":null,"b":3,"c":"https://c/x","d":[{}],"e":{"href":7},"f":{"href":""},"g":{"href":"https://c/g","file:size":-1,"roles":7,"type":[]},
        "..":{"href":"https://c/"}}}"#,
    );
    assert_eq!((paths(&item), item.dropped_assets), (vec!["g"], 7));
    assert_eq!((item.record.bbox, item.record.instant(), item.assets[0].size), (None, None, None));
    assert_eq!(parse(r#"{"id":"a","assets":null}"#).assets.len(), 0);
    assert_eq!(
        parse(r#"{"id":"a","properties":{"datetime":"soon","eo:cloud_cover":"12.5"}}"#).record.cloud_cover,
        Some(12.5)
    );
    assert_eq!(parse(r#"{"id":"a","id":"b"}"#).id(), "b");
}

#[test]
fn refusals() {
    assert!(refused("").contains("item cannot be read"));
    assert!(refused("<html>").contains("item cannot be read"));
    assert!(refused("[]").contains("item cannot be read"));
    assert!(refused(r#"{"id":"a"} x"#).contains("item cannot be read"));
    for id in ["", r#""id":null"#, r#""id":"""#, r#""id":7"#, r#""id":{}"#] {
        assert_eq!(refused(&format!("{{{id}}}")), "item has no usable id");
    }
    assert_eq!(refused(&format!(r#"{{"id":"{}"}}"#, "x".repeat(70_000))), "item has no usable id");
    let many: Vec<_> = (0..2001).map(|n| format!(r#""a{n}":{{"href":"https://c/a{n}"}}"#)).collect();
    assert!(
        refused(&format!(r#"{{"id":"a","assets":{{{}}}}}"#, many.join(",")))
            .contains("more than 2000 assets")
    );
    assert!(refused(r#"{"id":"a","assets":[1,2]}"#).contains("an object of assets"));
    let deep = format!(r#"{{"id":"a","x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let _ = Item::parse(&Bytes::from(deep), None);
    let deep = format!(
        r#"{{"id":"a","geometry":{{"coordinates":{}{}}}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let _ = Item::parse(&Bytes::from(deep), None);
    assert_eq!(
        Item::parse(&Bytes::from_static(b"{\"id\":\"\xff\"}"), None).unwrap_err().kind(),
        ErrorKind::Protocol
    );
}

#[test]
fn detached_items_keep_their_text_only() {
    let page = Bytes::from(format!(
        r#"[{},{{"id":"a","geometry":{{"x":1}},"properties":{{"p":"q"}}}}]"#,
        " ".repeat(1000)
    ));
    let at = page.windows(5).position(|w| w == b"{\"id\"").unwrap();
    let item = Item::parse(&page.slice(at..page.len() - 1), None).unwrap().detach();
    assert_eq!(item.raw.len(), page.len() - 1 - at);
    assert_eq!(item.attribute("p").as_deref(), Some("q"));
    assert_eq!(item.attribute("geometry").as_deref(), Some(r#"{"x":1}"#));
}

proptest! {
    #[test]
    fn damage_gives_no_panic(place in 0usize..600, with in any::<u8>(), cut in 0usize..900) {
        let text = format!(r#"{{"id":"{S2}","collection":"c","bbox":[1,2,3,4],"geometry":{{"coordinates":[[1,2],[3,4]]}},
            "properties":{{"datetime":"2024-09-24T10:10:31Z","eo:cloud_cover":1,"grid:code":"MGRS-32TQM"}},
            "links":[{{"rel":"self","href":"https://a/b"}}],
            "assets":{{"a":{{"href":"s3://b/{S2}.SAFE/a","file:size":1,"alternate":{{"https":{{"href":"https://a/b?filename=x"}}}}}},"b":{{"href":"./x"}}}}}}"#);
        let mut bytes = text.into_bytes();
        if let Some(byte) = bytes.get_mut(place) {
            *byte = with;
        }
        bytes.truncate(cut.max(100));
        let _ = Item::parse(&Bytes::from(bytes), None);
    }

    #[test]
    fn ids_and_keys_of_any_text(id in "\\PC{1,20}", key in "\\PC{0,20}", local in "(\\PC|[/.]){0,20}") {
        let text = serde_json::json!({"id": id, "assets": {key: {"href": "https://c/x", "file:local_path": local}}}).to_string();
        let item = parse(&text);
        prop_assert_eq!(item.id(), id);
        for path in paths(&item) {
            prop_assert!(path.split('/').all(|c| !matches!(c, "" | "." | "..")));
        }
    }
}

#[test]
fn small_files_weigh_more_than_their_text() {
    let assets: String =
        (0..100).map(|n| format!(r#"{}"a{n}":{{"href":"{n}.nc"}}"#, if n == 0 { "" } else { "," })).collect();
    let item = parse(&format!(r#"{{"id":"a","assets":{{{assets}}}}}"#));
    let assets = item.assets.len() * size_of::<crate::catalog::stac::Asset>();
    assert!(item.assets.len() == 100 && item.bytes() > item.raw.len() + assets);
}
