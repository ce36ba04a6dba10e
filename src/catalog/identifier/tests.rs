//! True names of every mission, and rubbish.

use super::*;
use proptest::prelude::*;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn parse(name: &str) -> Identifier {
    Identifier::parse(name).unwrap_or_else(|| panic!("{name} is a product name"))
}

#[test]
fn sentinel1() {
    let name = "S1A_IW_SLC__1SDV_20240924T053504_20240924T053531_055810_06D1F5_ABCD.SAFE";
    let product = parse(name);
    assert_eq!(product.mission(), Mission::Sentinel1);
    assert_eq!((product.level(), product.product_type()), ("1", "SLC_"));
    assert_eq!(product.start(), time("2024-09-24T05:35:04Z"));
    assert_eq!(product.stop(), Some(time("2024-09-24T05:35:31Z")));
    assert_eq!(product.absolute_orbit(), Some(55810));
    let Identifier::Sentinel1(product) = product else { panic!("wrong mission") };
    assert_eq!((product.mode.as_str(), product.polarisation.as_str(), product.satellite), ("IW", "DV", 'A'));
    assert_eq!(product.data_take, "06D1F5");
}

#[test]
fn sentinel1_relative_orbits() {
    // Published pairs of absolute and relative orbit.
    for (name, orbit) in [
        ("S1A_IW_GRDH_1SDV_20210809T173953_20210809T174018_039156_049F13_6FF8", Some(59)),
        ("S1A_IW_SL1__1_SH_20141031T095929_20141031T100002_003072_003842", Some(25)),
        ("S1B_IW_SLC__1SDV_20210101T000000_20210101T000030_024966_02F8C0_0000", Some(90)),
        ("S1A_IW_SLC__1SDV_20140401T000000_20140401T000030_000001_02F8C0_0000", Some(104)),
        ("S1C_IW_SLC__1SDV_20250401T000000_20250401T000030_000172_02F8C0_0000", Some(1)),
        ("S1D_IW_SLC__1SDV_20260401T000000_20260401T000030_000172_02F8C0_0000", None),
        ("S1A_IW_GRDH_1SDV_20210809T173953_20210809T174018_039156_049F13_6FF8_COG.SAFE", Some(59)),
    ] {
        assert_eq!(parse(name).relative_orbit(), orbit, "{name}");
    }
}

#[test]
fn sentinel2() {
    let product = parse("S2A_MSIL2A_20240924T101031_N0511_R022_T32TQM_20240924T160000.SAFE");
    assert_eq!((product.mission(), product.level()), (Mission::Sentinel2, "2A"));
    assert_eq!(product.relative_orbit(), Some(22));
    assert_eq!(product.tile().unwrap().directory(), "T32TQM");
    assert_eq!(product.processed(), Some(time("2024-09-24T16:00:00Z")));
    assert_eq!(parse("S2C_MSIL1C_20250101T000000_N9999_R143_T01KAB_20250101T010000").level(), "1C");
}

#[test]
fn sentinel3() {
    for (name, kind, orbit) in [
        (
            "S3A_OL_2_LFR____20240924T093012_20240924T093312_20240924T113456_0179_117_250_1980_PS1_O_NR_002",
            "OL_2_LFR___",
            Some(250),
        ),
        (
            "S3B_OL_2_WFR____20240924T093012_20240924T093312_20240924T113456_0179_117_033_1980_MAR_O_NT_003.SEN3",
            "OL_2_WFR___",
            Some(33),
        ),
        (
            "S3A_SL_2_LST____20200705T094658_20200705T094958_20200706T155921_0179_060_136_2160_LN2_O_NT_004",
            "SL_2_LST___",
            Some(136),
        ),
        (
            "S3B_SY_2_SYN____20250706T233058_20250706T233358_20250708T043306_0179_108_258_3420_ESA_O_NT_002",
            "SY_2_SYN___",
            Some(258),
        ),
        (
            "S3A_SR_2_LAN_HY_20240924T000000_20240924T005000_20240924T015000_2998_117_245______PS1_O_ST_005",
            "SR_2_LAN_HY",
            Some(245),
        ),
        (
            "S3A_SY_2_VG1____20240101T000000_20240101T235959_20240102T120000_AFRICA____________PS1_O_NT_002",
            "SY_2_VG1___",
            None,
        ),
    ] {
        let product = parse(name);
        assert_eq!(
            (product.product_type(), product.relative_orbit(), product.level()),
            (kind, orbit, "2"),
            "{name}"
        );
    }
    let Identifier::Sentinel3(product) = parse(
        "S3A_OL_2_LFR____20240924T093012_20240924T093312_20240924T113456_0179_117_250_1980_PS1_O_NR_002",
    ) else {
        panic!("wrong mission")
    };
    assert_eq!(product.timeliness, "NR");
    assert_eq!(
        product.place,
        Place::Orbit { duration: 179, cycle: 117, relative_orbit: 250, frame: Some(1980) }
    );
}

#[test]
fn sentinel5p() {
    for (class, kind, level) in [
        ("OFFL", "L2__NO2___", "2"),
        ("NRTI", "L2__CLOUD_", "2"),
        ("RPRO", "L2__AER_AI", "2"),
        ("OFFL", "L1B_RA_BD4", "1B"),
    ] {
        let name =
            format!("S5P_{class}_{kind}_20240924T101010_20240924T115140_34998_03_020701_20240926T050505.nc");
        let product = parse(&name);
        assert_eq!((product.product_type(), product.level()), (kind, level));
        assert_eq!((product.absolute_orbit(), product.relative_orbit()), (Some(34998), None));
    }
}

#[test]
fn mosaics() {
    let product = parse("Sentinel-2_mosaic_2023_Q4_31SDV_0_0");
    assert_eq!(product.tile().unwrap().directory(), "T31SDV");
    assert_eq!(product.start(), time("2023-10-01T00:00:00Z"));
    assert_eq!(product.stop(), Some(time("2024-01-01T00:00:00Z")));
    let month = parse("Sentinel-1_IW_mosaic_2023_M12_31TCG_0_0");
    assert_eq!((month.mission(), month.start()), (Mission::Sentinel1, time("2023-12-01T00:00:00Z")));
}

#[test]
fn not_product_names() {
    for name in [
        "",
        ".SAFE",
        "S2A",
        "S2A_",
        "S2A_MSIL2A_20241324T101031_N0511_R022_T32TQM_20240924T160000",
        "S2A_MSIL2A_20240924T101031_N0511_R022_T99TQM_20240924T160000",
        "S2A_MSIL2A_20240924T101031_N0511_R99999_T32TQM_20240924T160000",
        "S1A_IW_SLC__1SDV_20240924T053504_20240924T053531_05581é_06D1F5_ABCD",
        "S3A_OL_2_LFR____20240924T093012_20240924T093312_20240924T113456_",
        "Sentinel-2_mosaic_2023_Q5_31SDV_0_0",
        "Sentinel-2_mosaic_2023_Q1_31SDV_../..",
        "LC09_L2SP_193026_20240924_20240925_02_T1",
    ] {
        assert_eq!(Identifier::parse(name), None, "{name}");
    }
}

#[test]
fn platforms() {
    for (text, mission) in [
        ("SENTINEL-2", Some(Mission::Sentinel2)),
        ("sentinel-1c", Some(Mission::Sentinel1)),
        ("Sentinel 5 Precursor", Some(Mission::Sentinel5P)),
        ("Sentinel-5P", Some(Mission::Sentinel5P)),
        ("S3B", Some(Mission::Sentinel3)),
        ("sentinel-6a", None),
        ("landsat-9", None),
        ("", None),
    ] {
        assert_eq!(Mission::from_platform(text), mission, "{text}");
    }
}

#[test]
fn other_spellings() {
    let plain = "S2A_MSIL2A_20240924T101031_N0511_R022_T32TQM_20240924T160000";
    assert_eq!(spellings(plain), [plain.to_owned(), format!("{plain}.SAFE")]);
    assert_eq!(spellings(&format!("{plain}.SAFE")), [format!("{plain}.SAFE"), plain.to_owned()]);
    assert_eq!(spellings("anything"), ["anything"]);
    assert_eq!(without_packing("a.tar.gz"), "a");
    assert_eq!(without_packing(".nc"), ".nc");
}

#[test]
fn buckets_of_products() {
    let decide = |name: &str, facts| Bucket::decide(Identifier::parse(name).as_ref(), facts).levels();
    let none = Facts::default;
    assert_eq!(decide("S2A_MSIL2A_20240924T101031_N0511_R022_T32TQM_20240924T160000", none()), ["T32TQM"]);
    assert_eq!(decide("Sentinel-2_mosaic_2023_Q1_31SDV_0_0", none()), ["T31SDV"]);
    assert_eq!(
        decide("S1A_IW_GRDH_1SDV_20210809T173953_20210809T174018_039156_049F13_6FF8", none()),
        ["R059"]
    );
    let orbit = Facts { relative_orbit: Some(7), ..none() };
    assert_eq!(
        decide("S1D_IW_GRDH_1SDV_20210809T173953_20210809T174018_039156_049F13_6FF8", orbit),
        ["R007"]
    );
    assert_eq!(
        decide(
            "S3A_OL_2_LFR____20240924T093012_20240924T093312_20240924T113456_0179_117_250_1980_PS1_O_NR_002",
            none()
        ),
        ["OL_2_LFR___", "R250"]
    );
    assert_eq!(
        decide(
            "S3A_SY_2_VG1____20240101T000000_20240101T235959_20240102T120000_AFRICA____________PS1_O_NT_002",
            none()
        ),
        ["SY_2_VG1___", "AFRICA"]
    );
    assert_eq!(
        decide("S5P_OFFL_L2__NO2____20240924T101010_20240924T115140_34998_03_020701_20240926T050505", none()),
        ["L2__NO2___", "O34998"]
    );
    let by_platform =
        Facts { mission: Some(Mission::Sentinel3), product_type: Some("SL_2_LST___".into()), ..none() };
    assert_eq!(decide("odd", by_platform), ["SL_2_LST___", "unplaced"]);
    assert_eq!(decide("x", Facts { grid_code: Some("MGRS-1KAB".into()), ..none() }), ["T01KAB"]);
    assert_eq!(decide("x", Facts { mgrs_tile: Some("32TQM".into()), ..none() }), ["T32TQM"]);
    assert_eq!(decide("x", Facts { grid_code: Some("WRS2-193026".into()), ..none() }), ["WRS2-193026"]);
    assert_eq!(decide("x", Facts { path_row: Some((193, 26)), ..none() }), ["P193R026"]);
    assert_eq!(decide("x", Facts { bbox: Some([11.0, 44.0, 13.0, 45.0]), ..none() }), ["N40E010"]);
    assert_eq!(decide("x", none()), ["unplaced"]);
}

#[test]
fn cells() {
    for (bbox, name) in [
        ([11.0, 44.0, 13.0, 45.0], "N40E010"),
        ([-1.0, -1.0, 0.0, 0.0], "S10W010"),
        ([0.0, 0.0, 0.0, 0.0], "N00E000"),
        ([179.0, -17.0, -179.0, -16.0], "S20W180"),
        ([180.0, 90.0, 180.0, 90.0], "N80W180"),
        ([-180.0, -90.0, -180.0, -90.0], "S90W180"),
        ([f64::NAN, 0.0, 0.0, 0.0], "unplaced"),
        ([-180.0, -90.0, 180.0, 90.0], "N00E000"),
    ] {
        let bucket = Bucket::cell_of(bbox);
        assert_eq!(bucket.levels(), [name], "{bbox:?}");
        assert_ne!(parse_bucket_name(name), Some(BucketName::Other(name.into())));
    }
}

#[test]
fn bucket_names() {
    let tile = Tile::parse("32TQM").unwrap();
    assert_eq!(parse_bucket_name("T32TQM"), Some(BucketName::Tile(tile)));
    assert_eq!(parse_bucket_name("R117"), Some(BucketName::RelativeOrbit(117)));
    assert_eq!(parse_bucket_name("O34998"), Some(BucketName::Orbit(34998)));
    assert_eq!(parse_bucket_name("OL_2_LFR___"), Some(BucketName::ProductType("OL_2_LFR___".into())));
    assert_eq!(parse_bucket_name("L2__NO2___"), Some(BucketName::ProductType("L2__NO2___".into())));
    assert_eq!(parse_bucket_name("P193R026"), Some(BucketName::PathRow(193, 26)));
    assert_eq!(parse_bucket_name("S20W180"), Some(BucketName::Cell(-20, -180)));
    assert_eq!(parse_bucket_name("S20W180").unwrap().bbox(), Some([-180.0, -20.0, -170.0, -10.0]));
    assert_eq!(parse_bucket_name("unplaced"), Some(BucketName::Unplaced));
    // One directory, one name: other spellings of the same thing are other names.
    for name in
        ["R7", "R0117", "O1", "T1KAB", "TMGRS-32TQM", "N5E010", "N45E010", "S00E000", "P1R1", "WRS2-193026"]
    {
        assert_eq!(parse_bucket_name(name), Some(BucketName::Other(name.into())), "{name}");
    }
    for name in ["", ".", "..", "a/b", "a\nb", &"x".repeat(300)] {
        assert_eq!(parse_bucket_name(name), None, "{name}");
    }
}

proptest! {
    #[test]
    fn any_text_is_safe(name in "\\PC{0,100}") {
        let _ = (Identifier::parse(&name), parse_bucket_name(&name), spellings(&name), Mission::from_platform(&name));
    }

    #[test]
    fn nearly_right_names_are_safe(
        start in "(S1A_IW_SLC__1SDV_|S2A_MSIL2A_|S3A_OL_2_LFR____|S5P_OFFL_L2__NO2____|Sentinel-2_mosaic_)",
        rest in "[0-9T_RNQMABé]{0,90}",
        cut in 0usize..100,
    ) {
        let name: String = format!("{start}{rest}").chars().take(cut).collect();
        if let Some(product) = Identifier::parse(&name) {
            let _ = (product.level(), product.stop(), product.relative_orbit(), product.processed());
        }
    }

    #[test]
    fn damaged_true_names_are_safe(place in 0usize..90, with in any::<char>()) {
        for name in [
            "S1A_IW_SLC__1SDV_20240924T053504_20240924T053531_055810_06D1F5_ABCD",
            "S2A_MSIL2A_20240924T101031_N0511_R022_T32TQM_20240924T160000",
            "S3A_OL_2_LFR____20240924T093012_20240924T093312_20240924T113456_0179_117_250_1980_PS1_O_NR_002",
            "S5P_OFFL_L2__NO2____20240924T101010_20240924T115140_34998_03_020701_20240926T050505",
            "Sentinel-2_mosaic_2023_Q1_31SDV_0_0",
        ] {
            let damaged: String = name.chars().enumerate().map(|(i, c)| if i == place { with } else { c }).collect();
            let _ = Identifier::parse(&damaged);
        }
    }

    #[test]
    fn bucket_directories_are_recognised(orbit in 0u16..1000, absolute in 0u32..200_000, path in 0u16..1000, row in 0u16..1000,
        west in -180.0f64..180.0, south in -90.0f64..90.0) {
        for bucket in [Bucket::RelativeOrbit(orbit), Bucket::PathRow(path, row), Bucket::cell_of([west, south, west, south])] {
            let name = &bucket.levels()[0];
            let found = parse_bucket_name(name).unwrap();
            prop_assert!(!matches!(found, BucketName::Other(_)), "{}", name);
            if let Some([w, s, e, n]) = found.bbox() {
                prop_assert!(w <= west && west <= e && s <= south && south <= n);
            }
        }
        let name = &Bucket::TypeAndOrbit("L2__NO2___".into(), Some(absolute)).levels()[1];
        prop_assert_eq!(parse_bucket_name(name), Some(BucketName::Orbit(absolute)));
    }
}
