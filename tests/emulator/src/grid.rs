//! The 100 km tiles of the military grid, forth and back: which tile holds a point, and where a tile lies.
//!
//! Transverse Mercator by the usual series (good to centimetres, which is more than a footprint needs). The
//! exceptions of the grid around Norway and Svalbard are left out: no product is placed north of 56°.

const A: f64 = 6_378_137.0;
const F: f64 = 1.0 / 298.257_223_563;
const E2: f64 = F * (2.0 - F);
const K0: f64 = 0.9996;
const COLUMNS: [&[u8; 8]; 3] = [b"STUVWXYZ", b"ABCDEFGH", b"JKLMNPQR"];
const ROWS: &[u8; 20] = b"ABCDEFGHJKLMNPQRSTUV";
const BANDS: &[u8; 20] = b"CDEFGHJKLMNPQRSTUVWX";

/// A tile as Sentinel-2 products are cut: 109.8 km, its corner on a multiple of 60 m.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tile {
    /// Zone, band, column and row, such as `32TQM`.
    pub(crate) name: String,
    pub(crate) epsg: u32,
    /// The upper left corner.
    pub(crate) x: u32,
    pub(crate) y: u32,
    /// West, south, east, north in degrees.
    pub(crate) bbox: [f64; 4],
    /// The corners in degrees, from the upper left clockwise.
    pub(crate) corners: [[f64; 2]; 4],
}

/// The tile that holds a point, for latitudes between -80 and 56.
pub(crate) fn tile_at(lon: f64, lat: f64) -> Tile {
    let zone = ((lon + 180.0) / 6.0).floor().clamp(0.0, 59.0) as u32 + 1;
    let (east, north) = project(lon, lat, zone);
    let north = if lat < 0.0 { north + 10_000_000.0 } else { north };
    let band = BANDS[((lat + 80.0) / 8.0).floor().clamp(0.0, 19.0) as usize];
    let (column, row) = ((east / 100_000.0).floor() as u32, (north / 100_000.0).floor() as u32);
    let letter = COLUMNS[(zone % 3) as usize][(column.clamp(1, 8) - 1) as usize];
    let shift = if zone.is_multiple_of(2) { 5 } else { 0 };
    let row_letter = ROWS[((row + shift) % 20) as usize];
    let name = format!("{zone:02}{}{}{}", band as char, letter as char, row_letter as char);
    tile(name, zone, lat < 0.0, column.clamp(1, 8), row)
}

/// A tile by its name.
pub(crate) fn tile_named(name: &str) -> Option<Tile> {
    let (zone, letters) = name.split_at_checked(2)?;
    let zone: u32 = zone.parse().ok().filter(|zone| (1..=60).contains(zone))?;
    let [band, column, row] = *letters.as_bytes() else { return None };
    let band = BANDS.iter().position(|letter| *letter == band)? as i32;
    let column = COLUMNS[(zone % 3) as usize].iter().position(|letter| *letter == column)? as u32 + 1;
    let shift = if zone.is_multiple_of(2) { 5 } else { 0 };
    let row = (ROWS.iter().position(|letter| *letter == row)? as u32 + 20 - shift) % 20;
    let south = band < 10;
    // Row letters repeat every 2,000 km: take the repetition nearest to the middle of the band.
    let middle = project(f64::from(zone) * 6.0 - 183.0, f64::from(band * 8 - 76), zone).1
        + if south { 10_000_000.0 } else { 0.0 };
    let row = (0..5)
        .map(|turn| row + turn * 20)
        .min_by_key(|row| (f64::from(*row) * 100_000.0 + 50_000.0 - middle).abs() as i64)?;
    Some(tile(name.to_owned(), zone, south, column, row))
}

fn tile(name: String, zone: u32, south: bool, column: u32, row: u32) -> Tile {
    let (x, y) = (column * 100_000 / 60 * 60, ((row + 1) * 100_000).div_ceil(60) * 60);
    let base = if south { 10_000_000.0 } else { 0.0 };
    let (left, top) = (f64::from(x), f64::from(y) - base);
    let corners =
        [(left, top), (left + 109_800.0, top), (left + 109_800.0, top - 109_800.0), (left, top - 109_800.0)]
            .map(|(east, north)| <[f64; 2]>::from(locate(east, north, zone)).map(round));
    let edge = |axis: usize, pick: fn(f64, f64) -> f64, from: f64| {
        corners.iter().map(|corner| corner[axis]).fold(from, pick)
    };
    let (low, high) = (f64::INFINITY, f64::NEG_INFINITY);
    let bbox =
        [edge(0, f64::min, low), edge(1, f64::min, low), edge(0, f64::max, high), edge(1, f64::max, high)];
    Tile { name, epsg: if south { 32700 } else { 32600 } + zone, x, y, bbox, corners }
}

/// Six decimals, as catalogues print coordinates.
pub(crate) fn round(degrees: f64) -> f64 {
    (degrees * 1e6).round() / 1e6
}

/// Degrees to metres in a zone, without the false northing of the south.
fn project(lon: f64, lat: f64, zone: u32) -> (f64, f64) {
    let (phi, lambda) = (lat.to_radians(), (lon - (f64::from(zone) * 6.0 - 183.0)).to_radians());
    let ep2 = E2 / (1.0 - E2);
    let n = A / (1.0 - E2 * phi.sin().powi(2)).sqrt();
    let (t, c, a) = (phi.tan().powi(2), ep2 * phi.cos().powi(2), phi.cos() * lambda);
    let east = K0
        * n
        * (a + (1.0 - t + c) * a.powi(3) / 6.0
            + (5.0 - 18.0 * t + t * t + 72.0 * c - 58.0 * ep2) * a.powi(5) / 120.0);
    let north = K0
        * (meridian(phi)
            + n * phi.tan()
                * (a * a / 2.0
                    + (5.0 - t + 9.0 * c + 4.0 * c * c) * a.powi(4) / 24.0
                    + (61.0 - 58.0 * t + t * t + 600.0 * c - 330.0 * ep2) * a.powi(6) / 720.0));
    (east + 500_000.0, north)
}

/// The length of the meridian from the equator.
fn meridian(phi: f64) -> f64 {
    let (e4, e6) = (E2 * E2, E2 * E2 * E2);
    A * ((1.0 - E2 / 4.0 - 3.0 * e4 / 64.0 - 5.0 * e6 / 256.0) * phi
        - (3.0 * E2 / 8.0 + 3.0 * e4 / 32.0 + 45.0 * e6 / 1024.0) * (2.0 * phi).sin()
        + (15.0 * e4 / 256.0 + 45.0 * e6 / 1024.0) * (4.0 * phi).sin()
        - (35.0 * e6 / 3072.0) * (6.0 * phi).sin())
}

/// Metres in a zone, without the false northing of the south, to degrees.
fn locate(east: f64, north: f64, zone: u32) -> (f64, f64) {
    let ep2 = E2 / (1.0 - E2);
    let e1 = (1.0 - (1.0 - E2).sqrt()) / (1.0 + (1.0 - E2).sqrt());
    let mu = north / K0 / (A * (1.0 - E2 / 4.0 - 3.0 * E2 * E2 / 64.0 - 5.0 * E2.powi(3) / 256.0));
    let phi = mu
        + (3.0 * e1 / 2.0 - 27.0 * e1.powi(3) / 32.0) * (2.0 * mu).sin()
        + (21.0 * e1 * e1 / 16.0 - 55.0 * e1.powi(4) / 32.0) * (4.0 * mu).sin()
        + (151.0 * e1.powi(3) / 96.0) * (6.0 * mu).sin()
        + (1097.0 * e1.powi(4) / 512.0) * (8.0 * mu).sin();
    let (t, c) = (phi.tan().powi(2), ep2 * phi.cos().powi(2));
    let w = 1.0 - E2 * phi.sin().powi(2);
    let (n, r) = (A / w.sqrt(), A * (1.0 - E2) / w.powf(1.5));
    let d = (east - 500_000.0) / (n * K0);
    let lat = phi
        - (n * phi.tan() / r)
            * (d * d / 2.0 - (5.0 + 3.0 * t + 10.0 * c - 4.0 * c * c - 9.0 * ep2) * d.powi(4) / 24.0
                + (61.0 + 90.0 * t + 298.0 * c + 45.0 * t * t - 252.0 * ep2 - 3.0 * c * c) * d.powi(6)
                    / 720.0);
    let lon = (d - (1.0 + 2.0 * t + c) * d.powi(3) / 6.0
        + (5.0 - 2.0 * c + 28.0 * t - 3.0 * c * c + 8.0 * ep2 + 24.0 * t * t) * d.powi(5) / 120.0)
        / phi.cos();
    (f64::from(zone) * 6.0 - 183.0 + lon.to_degrees(), lat.to_degrees())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_tiles() {
        let tile = tile_named("32TQM").unwrap();
        assert_eq!((tile.epsg, tile.x, tile.y), (32632, 699_960, 4_700_040));
        assert!((tile.bbox[0] - 11.37).abs() < 0.1 && (tile.bbox[3] - 42.43).abs() < 0.05, "{:?}", tile.bbox);
        let tile = tile_named("01KAB").unwrap();
        assert_eq!((tile.epsg, tile.x % 60), (32701, 0));
    }

    #[test]
    fn names_and_points_agree() {
        for (lon, lat) in
            [(12.0, 42.0), (-3.5, 40.2), (151.2, -33.8), (-70.0, -10.0), (6.1, 49.6), (0.5, 0.5)]
        {
            let tile = tile_at(lon, lat);
            assert_eq!(tile_named(&tile.name), Some(tile.clone()), "{}", tile.name);
            let [west, south, east, north] = tile.bbox;
            assert!(west <= lon && lon <= east && south <= lat && lat <= north, "{} {lon} {lat}", tile.name);
        }
    }
}
