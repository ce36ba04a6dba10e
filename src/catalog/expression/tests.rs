//! Right and wrong expressions, what they ask for and what they let through.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::error::ErrorKind;

fn read(text: &str) -> Expression {
    Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn item(properties: &str) -> Item {
    let text = format!(
        r#"{{"id":"S2A_MSIL2A_20240924T101031_N0511_R026_T32TQM_20240924T161048","bbox":[6,45,7,46],"properties":{{{properties}}}}}"#
    );
    Item::parse(&Bytes::from(text), None).unwrap()
}

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn right_ones() {
    let expression = read("cloud<20,bbox=6:45:8:47,date=2024-06-01..2024-08-31,productType=S2MSI2A");
    let day = (instant("2024-08-31T00:00:00Z"), instant("2024-09-02T00:00:00Z"));
    let query = expression.query("SENTINEL-2", day).unwrap();
    assert_eq!(query.bbox, Some([6.0, 45.0, 8.0, 47.0]));
    assert_eq!(query.clouds, [(Comparison::Less, 20.0)]);
    // The last day counts, and not more of the window than the expression has.
    assert_eq!(query.interval, (Some(day.0), Some(instant("2024-09-01T00:00:00Z"))));
    let later = (instant("2024-09-01T00:00:00Z"), instant("2024-09-02T00:00:00Z"));
    assert_eq!(expression.query("SENTINEL-2", later), None);
    assert_eq!(read("bbox=6:45:0:8:47:500"), read("bbox=6:45:8:47"));
    assert_eq!(read("bbox=170:-20:-170:-10").narrowest(), Some([170.0, -20.0, -170.0, -10.0]));
    assert_eq!(read("tile=T32TQM").query("x", day).unwrap().bbox, Some(Tile::parse("32TQM").unwrap().bbox()));
    assert_eq!(read("id=S2A,id=S2B").query("x", day).unwrap().ids, ["S2A", "S2B"]);
    assert_eq!(read("cloud<=20,bbox=1:2:3:4").canonical(), read("bbox=1:2:3:4,cloud<=20").canonical());
}

#[test]
fn dates() {
    for (text, from, to) in [
        ("2024", Some("2024-01-01"), Some("2025-01-01")),
        ("2024-06", Some("2024-06-01"), Some("2024-07-01")),
        ("2024-02-29", Some("2024-02-29"), Some("2024-03-01")),
        ("2024-06..2024-08", Some("2024-06-01"), Some("2024-09-01")),
        ("2024-06-01..", Some("2024-06-01"), None),
        ("..2024-06-01", None, Some("2024-06-02")),
    ] {
        let midnight = |day: Option<&str>| day.map(|day| instant(&format!("{day}T00:00:00Z")));
        assert_eq!(read(&format!("date={text}")).interval(), (midnight(from), midnight(to)), "{text}");
    }
    let (from, to) = read("datetime=2024-06-01T10:00:00Z..2024-06-01T12:00:00Z").interval();
    assert_eq!(from, Some(instant("2024-06-01T10:00:00Z")));
    assert_eq!(to, Some(instant("2024-06-01T12:00:00.000001Z")));
}

#[test]
fn wrong_ones_say_what_would_be_right() {
    for (text, part) in [
        ("", "cloud<20"),
        ("nonsense", "cloud<20"),
        ("cloud<20,", "cloud<20"),
        ("cloud<many", "percent"),
        ("cloud<120", "percent"),
        ("cloud=", "percent"),
        ("bbox=6:45:8", "west:south:east:north"),
        ("bbox=6:47:8:45", "west:south:east:north"),
        ("bbox=6:45:8:99", "west:south:east:north"),
        ("bbox=NaN:1:2:3", "west:south:east:north"),
        ("bbox<6:45:8:47", "= only"),
        ("bbox=6:45:8:47,bbox=6:45:8:47", "twice"),
        ("date=..", "2024-06-01..2024-08-31"),
        ("date=2024-08..2024-06", "the earlier first"),
        ("date=2024-13", "the earlier first"),
        ("date=yesterday", "the earlier first"),
        ("tile=32TQ", "MGRS"),
        ("id=", "identifier"),
        ("productType=", "no value"),
        ("productType<S2", "a number or a time"),
        ("a b=c", "not a condition"),
        ("=20", "not a condition"),
        ("x=%ff", "no text"),
    ] {
        let error = Expression::parse(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
        assert!(error.message().contains(part), "{text}: {error}");
    }
}

#[test]
fn everything_is_checked_here() {
    let found = item(
        r#""datetime":"2024-09-24T10:10:31Z","eo:cloud_cover":12.5,"platformName":"SENTINEL-2A","orbit":26,"instruments":["msi"],"note":"a,b""#,
    );
    for (text, expected) in [
        ("cloud<20,cloud>10", true),
        ("cloud<20,cloud>15", false),
        ("bbox=7:46:8:47", true),
        ("bbox=7.1:46:8:47", false),
        ("tile=32TQM", true),
        ("tile=32TPM", false),
        ("platformName=SENTINEL-2A", true),
        ("platformName=SENTINEL-2", false),
        ("platformName=SENTINEL-2B,platformName=SENTINEL-2A", true),
        ("orbit=26.0", true),
        ("orbit>20,orbit<26", false),
        ("orbit>20,orbit<=26", true),
        ("datetime>x=1", false),
        ("instruments=msi", true),
        ("note=a%2Cb", true),
        ("missing=1", false),
    ] {
        let Ok(expression) = Expression::parse(text) else {
            assert!(!expected, "{text}");
            continue;
        };
        assert_eq!(expression.accepts(&found), expected, "{text}");
    }
    assert!(
        read("date=2024-09-24,id=S2A_MSIL2A_20240924T101031_N0511_R026_T32TQM_20240924T161048.SAFE")
            .admits(&found)
    );
    assert!(!read("date=2024-09-23").admits(&found));
}

#[test]
fn both_conditions_count() {
    let both =
        read("bbox=0:0:50:50,date=2024,cloud<50").and(&read("bbox=1:1:2:2,date=2023-06..2024-06,cloud<20"));
    assert_eq!(both.narrowest(), Some([1.0, 1.0, 2.0, 2.0]));
    assert_eq!(
        both.interval(),
        (Some(instant("2024-01-01T00:00:00Z")), Some(instant("2024-07-01T00:00:00Z")))
    );
    assert_eq!(both.clouds.len(), 2);
    assert_eq!(read("date=2024").and(&Expression::default()), read("date=2024"));
    let apart = read("tile=32TQM").in_tile(Tile::parse("32TPM").unwrap());
    assert_eq!(apart.query("x", (Timestamp::MIN, Timestamp::MAX)), None);
}

#[test]
fn how_much_is_searched_at_once() {
    assert_eq!(read("cloud<20").grain(), Grain::Day);
    assert_eq!(read("bbox=-180:-90:180:90").grain(), Grain::Day);
    assert_eq!(read("bbox=6:45:8:47").grain(), Grain::Month);
    assert_eq!(read("tile=32TQM").grain(), Grain::Year);
    assert!(read("bbox=6:45:8:47,date=2024").is_bounded() && !read("bbox=6:45:8:47").is_bounded());
    assert!(read("id=x").is_bounded() && !read("date=2024").is_bounded());
}

proptest! {
    #[test]
    fn no_panic(text in "\\PC{0,60}|(bbox|date|cloud|id|tile|x)[<>=]{1,2}[-0-9:.,TZ%a-f]{0,30}") {
        if let Ok(expression) = Expression::parse(&text) {
            let _ = (expression.canonical(), expression.grain(), expression.accepts(&item("")));
        }
    }
}
