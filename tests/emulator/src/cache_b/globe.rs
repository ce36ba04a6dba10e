//! The weather of the small stores: smooth fields over the globe that look like temperature and wind.

use std::f64::consts::{PI, TAU};

/// A grid over the whole earth, both ends of the longitudes included as on the real service.
///
/// The fields on it are sums of products of a function of the latitude and a function of hour and longitude.
/// The functions are tabulated, because there are millions of cells.
pub(crate) struct Globe {
    pub(crate) latitudes: u64,
    pub(crate) longitudes: u64,
    /// For each row: the mean temperature, the sizes of the daily and of the travelling wave, the mean wind.
    rows: Vec<[f32; 4]>,
    /// For each hour and column: the daily and the travelling wave, the wave of the wind.
    waves: Vec<[f32; 3]>,
}

impl Globe {
    /// A grid for so many hours. Chunks may reach beyond the edges: one more chunk of each is tabulated.
    pub(crate) fn new(hours: u64, latitudes: u64, longitudes: u64) -> Globe {
        let mut globe = Globe { latitudes, longitudes, rows: Vec::new(), waves: Vec::new() };
        for row in 0..latitudes * 2 {
            let lat = globe.latitude(row) * PI / 180.0;
            let mean = 302.0 - 52.0 * lat.sin().powi(2);
            let wave = 5.0 * (2.0 * lat).sin().powi(2);
            let row = [mean, -4.0 * lat.cos(), wave, -8.0 * (3.0 * lat).cos()];
            globe.rows.push(row.map(|value| value as f32));
        }
        for hour in 0..hours {
            for column in 0..longitudes * 2 {
                let (lon, hour) = (globe.longitude(column) * PI / 180.0, hour as f64);
                let day = (hour / 24.0 * TAU + lon - PI / 6.0).cos();
                let wave = [day, (3.0 * lon - hour * 0.03).sin(), (4.0 * lon - hour * 0.05).cos()];
                globe.waves.push(wave.map(|value| value as f32));
            }
        }
        globe
    }

    /// The latitude of a row in degrees.
    pub(crate) fn latitude(&self, row: u64) -> f64 {
        -90.0 + 180.0 * row as f64 / (self.latitudes - 1) as f64
    }

    /// The longitude of a column in degrees.
    pub(crate) fn longitude(&self, column: u64) -> f64 {
        -180.0 + 360.0 * column as f64 / (self.longitudes - 1) as f64
    }

    fn at(&self, hour: u64, row: u64, column: u64) -> ([f32; 4], [f32; 3]) {
        (self.rows[row as usize], self.waves[(hour * self.longitudes * 2 + column) as usize])
    }

    /// Air temperature in kelvin: cold poles, warm afternoons, a wave that travels east.
    pub(crate) fn temperature(&self, hour: u64, row: u64, column: u64) -> f32 {
        let ([mean, daily, travelling, _], [day, wave, _]) = self.at(hour, row, column);
        mean + daily * day + travelling * wave
    }

    /// Wind to the east in metres per second: trade winds, westerlies.
    pub(crate) fn wind(&self, hour: u64, row: u64, column: u64) -> f32 {
        let ([_, daily, _, mean], [_, _, wave]) = self.at(hour, row, column);
        mean - daily * 0.6 * wave
    }
}
