//! Names made by the missions' naming conventions, read back field by field.

use jiff::{Timestamp, tz::TimeZone};
use proptest::prelude::*;

use super::super::mgrs::Tile;
use super::*;

/// Seconds from the first launch to 2049.
fn times() -> impl Strategy<Value = Timestamp> {
    (1_396_310_400i64..2_500_000_000).prop_map(|second| Timestamp::from_second(second).unwrap())
}

fn compact(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%S").to_string()
}

fn tiles() -> impl Strategy<Value = Tile> {
    let names = vec!["32TQM", "31UFT", "51RVQ", "01KAB", "31SDV", "31TCG"];
    prop::sample::select(names).prop_map(|name| Tile::parse(name).unwrap())
}

fn one_of(values: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(values)
}

/// All products of level 2 and 1B (Sentinel-5P Level 2 Product User Manuals, and the L1B file names).
const S5P: &[&str] = &[
    "L2__NO2___",
    "L2__O3____",
    "L2__O3_TCL",
    "L2__O3__PR",
    "L2__SO2___",
    "L2__CO____",
    "L2__CH4___",
    "L2__HCHO__",
    "L2__CLOUD_",
    "L2__AER_AI",
    "L2__AER_LH",
    "L2__FRESCO",
    "L2__NP_BD3",
    "L2__NP_BD6",
    "L2__NP_BD7",
    "L1B_RA_BD1",
    "L1B_RA_BD8",
    "L1B_IR_UVN",
    "L1B_IR_SIR",
];

/// Level 2 of OLCI, SLSTR, the synergy and SRAL (Sentinel-3 PDGS File Naming Convention).
const S3: &[&str] = &[
    "OL_2_LFR___",
    "OL_2_LRR___",
    "OL_2_WFR___",
    "OL_2_WRR___",
    "SL_2_LST___",
    "SL_2_WST___",
    "SL_2_FRP___",
    "SL_2_AOD___",
    "SY_2_SYN___",
    "SY_2_AOD___",
    "SR_2_LAN___",
    "SR_2_LAN_HY",
    "SR_2_LAN_SI",
    "SR_2_LAN_LI",
    "SR_2_WAT___",
];

/// Products of the synergy that are of an area.
const S3_AREAS: &[&str] = &["SY_2_VGP___", "SY_2_VG1___", "SY_2_V10___"];

proptest! {
    #[test]
    fn sentinel1(
        satellite in one_of(&["A", "B", "C", "D"]),
        mode in one_of(&["S1", "S2", "S3", "S4", "S5", "S6", "IW", "EW", "WV"]),
        kind in one_of(&["SLC_", "GRDH", "GRDM", "OCN_", "RAW_"]),
        polarisation in one_of(&["SH", "SV", "DH", "DV", "HH", "HV", "VV", "VH"]),
        start in times(), length in 1i64..400, orbit in 1u32..999_999, take in "[0-9A-F]{6}",
        end in one_of(&["_ABCD", "_0F3A.SAFE", "", "_6FF8_COG.SAFE"]),
    ) {
        let stop = Timestamp::from_second(start.as_second() + length).unwrap();
        let level = match kind { "RAW_" => "0", "OCN_" => "2", _ => "1" };
        let name = format!(
            "S1{satellite}_{mode}_{kind}_{level}S{polarisation}_{}_{}_{orbit:06}_{take}{end}",
            compact(start), compact(stop)
        );
        let product = Identifier::parse(&name).unwrap();
        prop_assert_eq!((product.mission(), product.level(), product.product_type()), (Mission::Sentinel1, level, kind));
        prop_assert_eq!((product.start(), product.stop()), (start, Some(stop)));
        prop_assert_eq!(product.absolute_orbit(), Some(orbit));
        // An orbit further on is a track further on, around the cycle.
        let next = name.replacen(&format!("_{orbit:06}_"), &format!("_{:06}_", orbit + 1), 1);
        let tracks = (product.relative_orbit(), Identifier::parse(&next).unwrap().relative_orbit());
        match tracks {
            (Some(one), Some(two)) => prop_assert!((1..=175).contains(&one) && two == one % 175 + 1, "{one} {two}"),
            _ => prop_assert!(satellite == "D" && tracks == (None, None)),
        }
        let Identifier::Sentinel1(product) = product else { panic!("wrong mission") };
        prop_assert_eq!((product.mode.as_str(), product.polarisation.as_str(), product.data_take), (mode, polarisation, take));
    }

    #[test]
    fn sentinel2(
        satellite in one_of(&["A", "B", "C"]), level in one_of(&["1C", "2A"]), start in times(), made in times(),
        baseline in 0u16..10_000, orbit in 1u16..=143, tile in tiles(), end in one_of(&["", ".SAFE"]),
    ) {
        let name = format!(
            "S2{satellite}_MSIL{level}_{}_N{baseline:04}_R{orbit:03}_{}_{}{end}",
            compact(start), tile.directory(), compact(made)
        );
        let product = Identifier::parse(&name).unwrap();
        prop_assert_eq!((product.mission(), product.level()), (Mission::Sentinel2, level));
        prop_assert_eq!((product.start(), product.processed()), (start, Some(made)));
        prop_assert_eq!((product.relative_orbit(), product.tile()), (Some(orbit), Some(tile)));
        prop_assert!(spellings(&name).iter().all(|other| Identifier::parse(other).as_ref() == Some(&product)));
    }

    #[test]
    fn sentinel3(
        satellite in one_of(&["A", "B"]), kind in one_of(S3), start in times(), length in 1i64..6000, made in times(),
        duration in 0u32..10_000, cycle in 1u16..1000, orbit in 1u16..=385, frame in prop::option::of(0u16..10_000),
        centre in one_of(&["PS1", "LN1", "LN2", "MAR", "ESA", "SVL"]), timeliness in one_of(&["NR", "ST", "NT"]),
        end in one_of(&["", ".SEN3"]),
    ) {
        let stop = Timestamp::from_second(start.as_second() + length).unwrap();
        let framed = frame.map_or("____".to_owned(), |frame| format!("{frame:04}"));
        let name = format!(
            "S3{satellite}_{kind}_{}_{}_{}_{duration:04}_{cycle:03}_{orbit:03}_{framed}_{centre}_O_{timeliness}_004{end}",
            compact(start), compact(stop), compact(made)
        );
        let product = Identifier::parse(&name).unwrap();
        prop_assert_eq!((product.mission(), product.level(), product.product_type()), (Mission::Sentinel3, "2", kind));
        prop_assert_eq!((product.start(), product.stop(), product.processed()), (start, Some(stop), Some(made)));
        prop_assert_eq!(product.relative_orbit(), Some(orbit));
        let Identifier::Sentinel3(product) = product else { panic!("wrong mission") };
        prop_assert_eq!(product.place, Place::Orbit { duration, cycle, relative_orbit: orbit, frame });
        prop_assert_eq!(product.timeliness, timeliness);
    }

    #[test]
    fn sentinel3_of_areas(
        kind in one_of(S3_AREAS), start in times(), made in times(),
        area in one_of(&["GLOBAL", "AFRICA", "EUROPE", "NORTH_AMERICA", "AUSTRALASIA", "CENTRAL_AMERICA"]),
    ) {
        let (start_text, made_text) = (compact(start), compact(made));
        let name = format!("S3A_{kind}_{start_text}_{start_text}_{made_text}_{area:_<17}_PS1_O_NT_002");
        let product = Identifier::parse(&name).unwrap();
        prop_assert_eq!((product.product_type(), product.relative_orbit()), (kind, None));
        let Identifier::Sentinel3(product) = product else { panic!("wrong mission") };
        prop_assert_eq!(product.place, Place::Area(area.to_owned()));
    }

    #[test]
    fn sentinel5p(
        class in one_of(&["NRTI", "OFFL", "RPRO"]), kind in one_of(S5P), start in times(), length in 1i64..7000,
        orbit in 1u32..100_000, collection in 1u8..100, version in "[0-9]{6}", made in times(),
        end in one_of(&["", ".nc"]),
    ) {
        let stop = Timestamp::from_second(start.as_second() + length).unwrap();
        let name = format!(
            "S5P_{class}_{kind}_{}_{}_{orbit:05}_{collection:02}_{version}_{}{end}",
            compact(start), compact(stop), compact(made)
        );
        let product = Identifier::parse(&name).unwrap();
        prop_assert_eq!((product.mission(), product.product_type()), (Mission::Sentinel5P, kind));
        prop_assert_eq!(product.level(), if kind.starts_with("L1B") { "1B" } else { "2" });
        prop_assert_eq!((product.start(), product.stop(), product.processed()), (start, Some(stop), Some(made)));
        prop_assert_eq!(product.absolute_orbit(), Some(orbit));
        let levels = Bucket::decide(Some(&product), Facts::default()).levels();
        prop_assert_eq!(levels, [kind.to_owned(), format!("O{orbit:05}")]);
        let Identifier::Sentinel5P(product) = product else { panic!("wrong mission") };
        prop_assert_eq!((product.class.as_str(), product.collection, product.version), (class, collection, version));
    }

    #[test]
    fn mosaics(
        instrument in one_of(&["Sentinel-2", "Sentinel-1_IW", "Sentinel-1_DH"]), year in 2015i16..2100,
        period in 1i8..=16, tile in tiles(), row in 0u8..4, column in 0u8..4,
    ) {
        let period = if period > 12 { format!("Q{}", period - 12) } else { format!("M{period:02}") };
        let tile_name = tile.directory();
        let name = format!("{instrument}_mosaic_{year}_{period}_{}_{row}_{column}", &tile_name[1..]);
        let product = Identifier::parse(&name).unwrap();
        prop_assert_eq!(product.tile(), Some(tile));
        let days = product.stop().unwrap().duration_since(product.start()).as_hours() / 24;
        let expected = if period.starts_with('Q') { 90..=92 } else { 28..=31 };
        prop_assert!(expected.contains(&days), "{days}");
        prop_assert_eq!(product.start().to_zoned(TimeZone::UTC).year(), year);
    }

    /// A name that is cut or has one sign too many is another name or none; it never gives other fields a shift.
    #[test]
    fn a_shifted_name_is_no_name(kind in one_of(S5P), place in 0usize..80, start in times()) {
        let time = compact(start);
        let name = format!("S5P_OFFL_{kind}_{time}_{time}_34998_03_020701_{time}");
        let (before, behind) = name.split_at(place);
        prop_assert_eq!(Identifier::parse(&format!("{before}{}", behind.get(1..).unwrap_or_default())), None);
        let longer = format!("{before}é{behind}");
        prop_assert!(Identifier::parse(&longer).is_none_or(|product| product.start() == start));
    }
}
