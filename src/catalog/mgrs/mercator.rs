//! Universal Transverse Mercator on WGS 84, both ways: Krüger's series to the third order in n.
//!
//! Good to a millimetre within the zone and to metres a few zones beside it, which is far better than
//! the search boxes made from it need. Source: Krüger 1912, in the form of Karney 2011 (J. Geodesy 85).

/// Equatorial radius of WGS 84, metres.
const RADIUS: f64 = 6_378_137.0;
/// Flattening of WGS 84.
const FLATTENING: f64 = 1.0 / 298.257_223_563;
/// Scale on the central meridian.
const SCALE: f64 = 0.9996;
/// Easting of the central meridian, metres.
const FALSE_EASTING: f64 = 500_000.0;

/// Third flattening.
const N: f64 = FLATTENING / (2.0 - FLATTENING);
/// Rectifying radius, metres.
const RECTIFYING: f64 = RADIUS / (1.0 + N) * (1.0 + N * N / 4.0 + N * N * N * N / 64.0);

const ALPHA: [f64; 3] = [
    N / 2.0 - 2.0 / 3.0 * N * N + 5.0 / 16.0 * N * N * N,
    13.0 / 48.0 * N * N - 3.0 / 5.0 * N * N * N,
    61.0 / 240.0 * N * N * N,
];
const BETA: [f64; 3] = [
    N / 2.0 - 2.0 / 3.0 * N * N + 37.0 / 96.0 * N * N * N,
    1.0 / 48.0 * N * N + 1.0 / 15.0 * N * N * N,
    17.0 / 480.0 * N * N * N,
];
const DELTA: [f64; 3] = [
    2.0 * N - 2.0 / 3.0 * N * N - 2.0 * N * N * N,
    7.0 / 3.0 * N * N - 8.0 / 5.0 * N * N * N,
    56.0 / 15.0 * N * N * N,
];

/// Longitude of a zone's central meridian, degrees.
pub fn central_meridian(zone: u8) -> f64 {
    f64::from(zone) * 6.0 - 183.0
}

/// Easting and northing (metres; northing counted from the equator, negative in the south) of a point in
/// degrees, in `zone`.
pub fn project(zone: u8, longitude: f64, latitude: f64) -> (f64, f64) {
    let phi = latitude.to_radians();
    let lambda = (longitude - central_meridian(zone)).to_radians();
    let eccentricity = 2.0 * N.sqrt() / (1.0 + N);
    let t = (phi.sin().atanh() - eccentricity * (eccentricity * phi.sin()).atanh()).sinh();
    let xi = t.atan2(lambda.cos());
    let eta = (lambda.sin() / (1.0 + t * t).sqrt()).atanh();
    let (mut x, mut y) = (eta, xi);
    for (order, alpha) in (1u8..).zip(ALPHA) {
        let k = 2.0 * f64::from(order);
        x += alpha * (k * xi).cos() * (k * eta).sinh();
        y += alpha * (k * xi).sin() * (k * eta).cosh();
    }
    (FALSE_EASTING + SCALE * RECTIFYING * x, SCALE * RECTIFYING * y)
}

/// Longitude and latitude in degrees of a point of `zone` (metres; northing counted from the equator).
///
/// The longitude is not wrapped: beside the antimeridian it may pass ±180.
pub fn unproject(zone: u8, easting: f64, northing: f64) -> (f64, f64) {
    let xi = northing / (SCALE * RECTIFYING);
    let eta = (easting - FALSE_EASTING) / (SCALE * RECTIFYING);
    let (mut u, mut v) = (xi, eta);
    for (order, beta) in (1u8..).zip(BETA) {
        let k = 2.0 * f64::from(order);
        u -= beta * (k * xi).sin() * (k * eta).cosh();
        v -= beta * (k * xi).cos() * (k * eta).sinh();
    }
    let chi = (u.sin() / v.cosh()).clamp(-1.0, 1.0).asin();
    let mut phi = chi;
    for (order, delta) in (1u8..).zip(DELTA) {
        phi += delta * (2.0 * f64::from(order) * chi).sin();
    }
    let lambda = v.sinh().atan2(u.cos());
    (central_meridian(zone) + lambda.to_degrees(), phi.to_degrees())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_points() {
        // The Eiffel tower and the CN tower, as any UTM converter gives them.
        let (e, n) = project(31, 2.294_5, 48.858_2);
        assert!((e - 448_251.0).abs() < 60.0 && (n - 5_411_932.0).abs() < 60.0, "{e} {n}");
        let (e, n) = project(17, -79.387_139, 43.642_567);
        assert!((e - 630_084.0).abs() < 1.0 && (n - 4_833_439.0).abs() < 1.0, "{e} {n}");
        // On the central meridian only the scaled meridian arc is left.
        let (e, n) = project(32, 9.0, 0.0);
        assert!((e - 500_000.0).abs() < 1e-6 && n.abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn there_and_back(zone in 1u8..=60, off in -6.0f64..6.0, latitude in -84.0f64..84.0) {
            let longitude = central_meridian(zone) + off;
            let (e, n) = project(zone, longitude, latitude);
            let (l, p) = unproject(zone, e, n);
            prop_assert!((l - longitude).abs() < 1e-6 && (p - latitude).abs() < 1e-6, "{} {}", l, p);
        }

        #[test]
        fn any_number_gives_no_panic(zone in any::<u8>(), e in any::<f64>(), n in any::<f64>()) {
            let _ = unproject(zone, e, n);
            let _ = project(zone, e, n);
        }
    }
}
