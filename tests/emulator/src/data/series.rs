//! The products of a collection in the order of time, listed or computed.

use std::ops::Range;

use jiff::civil::Date;

use super::mission::Place;
use super::{Mission, Scene, format_time};
use crate::content::mix;
use crate::options::Scale;

const DAY: i64 = 86_400_000;

/// The products of a collection.
#[derive(Debug)]
pub(crate) enum Series {
    Listed(Vec<Scene>),
    Computed(Computed),
}

/// Arithmetic that gives the n-th product.
#[derive(Debug)]
pub(crate) struct Computed {
    mission: Mission,
    /// Starts of the periods (days, for mosaics quarters) and the end of the last one, in milliseconds.
    periods: Vec<i64>,
    per_period: u64,
    pub(crate) shrink: u64,
}

impl Series {
    pub(crate) fn computed(mission: Mission, scale: &Scale) -> Series {
        let first = scale.first_day.parse::<Date>().unwrap_or(Date::constant(2024, 9, 1));
        let first = midnight(first);
        let days = scale.days.clamp(1, 100_000) as i64;
        let periods = if mission == Mission::Mosaics {
            quarters(first, first + days * DAY)
        } else {
            (0..=days).map(|day| first + day * DAY).collect()
        };
        Series::Computed(Computed {
            mission,
            periods,
            per_period: scale.items_per_day.max(1),
            shrink: scale.shrink.max(1),
        })
    }

    /// How many products there are.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Series::Listed(scenes) => scenes.len() as u64,
            Series::Computed(computed) => (computed.periods.len() as u64 - 1) * computed.per_period,
        }
    }

    /// The n-th product.
    pub(crate) fn scene(&self, number: u64) -> Option<Scene> {
        match self {
            Series::Listed(scenes) => scenes.get(usize::try_from(number).ok()?).cloned(),
            Series::Computed(computed) => (number < self.len()).then(|| computed.scene(number)),
        }
    }

    /// The numbers among which all products are that touch the time from `from` to `to`.
    pub(crate) fn window(&self, from: i64, to: i64) -> Range<u64> {
        match self {
            Series::Listed(scenes) => 0..scenes.len() as u64,
            Series::Computed(computed) => computed.window(from, to),
        }
    }

    /// A product by its identifier.
    pub(crate) fn find(&self, id: &str) -> Option<Scene> {
        match self {
            Series::Listed(scenes) => scenes.iter().find(|scene| scene.id == id).cloned(),
            Series::Computed(computed) => {
                let (from, to) = time_in_name(computed.mission, id)?;
                let numbers = computed.window(from, to);
                numbers.map(|number| computed.scene(number)).find(|scene| scene.id == id)
            }
        }
    }

    /// The times of the first and the last product.
    pub(crate) fn extent(&self) -> Option<(i64, i64)> {
        let (first, last) = (self.scene(0)?, self.scene(self.len().checked_sub(1)?)?);
        Some((first.start, last.end))
    }
}

impl Computed {
    fn scene(&self, number: u64) -> Scene {
        let (period, index) = (number / self.per_period, number % self.per_period);
        let (from, to) = (self.periods[period as usize], self.periods[period as usize + 1]);
        if self.mission == Mission::Mosaics {
            let mut scene = Scene::new(self.mission, number, from, &place(index), index);
            scene.end = to - 1;
            return scene;
        }
        // Whole seconds, because names show no more.
        let step = (to - from) as u64 * index / self.per_period / 1000 * 1000;
        Scene::new(self.mission, number, from + step as i64, &place(mix(number, 1)), index)
    }

    fn window(&self, from: i64, to: i64) -> Range<u64> {
        let len = (self.periods.len() as u64 - 1) * self.per_period;
        if self.mission == Mission::Mosaics {
            // All of a quarter's products start with it and last as long.
            let period = |time| self.periods.partition_point(|start| *start <= time) as u64;
            let begin = period(from).saturating_sub(1) * self.per_period;
            return begin..(period(to) * self.per_period).clamp(begin, len.max(begin));
        }
        let begin = self.first_not_before(from.saturating_sub(self.mission.longest() + 1000));
        let end = self.first_not_before(to.saturating_add(1001)).saturating_add(1).min(len);
        begin..end.max(begin)
    }

    /// The number of the first product that starts at or after a time.
    fn first_not_before(&self, time: i64) -> u64 {
        let len = (self.periods.len() as u64 - 1) * self.per_period;
        let period = self.periods.partition_point(|start| *start <= time) as u64;
        let Some(period) = period.checked_sub(1) else { return 0 };
        if (period + 1) * self.per_period > len {
            return len;
        }
        let (from, to) = (self.periods[period as usize], self.periods[period as usize + 1]);
        let passed = (time - from) as u128 * u128::from(self.per_period) / (to - from) as u128;
        period * self.per_period + passed as u64
    }
}

/// A place for a number: one in four over Europe, the others anywhere the grid is regular.
fn place(number: u64) -> Place<'static> {
    let (a, b) = (mix(number, 2) as f64 / u64::MAX as f64, mix(number, 3) as f64 / u64::MAX as f64);
    if number.is_multiple_of(4) {
        Place::Point(-9.0 + a * 38.0, 36.0 + b * 19.0)
    } else {
        Place::Point(-170.0 + a * 340.0, -55.0 + b * 110.0)
    }
}

fn midnight(date: Date) -> i64 {
    // A civil date between the years -9999 and 9999 always has an instant in UTC; the ends are not used.
    date.to_zoned(jiff::tz::TimeZone::UTC).map_or(0, |zoned| zoned.timestamp().as_millisecond())
}

/// The starts of the quarters that touch a time span, and the end of the last.
fn quarters(from: i64, to: i64) -> Vec<i64> {
    let number = |time: i64| {
        let part = |format| format_time(time, format).parse::<i64>().unwrap_or(1);
        part("%Y") * 4 + (part("%m") - 1) / 3
    };
    let start = |quarter: i64| {
        let date = Date::new((quarter / 4) as i16, (quarter % 4 * 3 + 1) as i8, 1);
        midnight(date.unwrap_or(Date::constant(2024, 7, 1)))
    };
    (number(from)..=number(to - 1) + 1).map(start).collect()
}

/// The start that an identifier shows, as first and last millisecond.
pub(crate) fn time_in_name(mission: Mission, id: &str) -> Option<(i64, i64)> {
    if mission == Mission::Mosaics {
        let mut parts = id.strip_prefix("Sentinel-2_mosaic_")?.split('_');
        let year: i16 = parts.next()?.parse().ok()?;
        let quarter: i8 = parts.next()?.strip_prefix('Q')?.parse().ok()?;
        let start = midnight(Date::new(year, quarter.checked_mul(3)?.checked_sub(2)?, 1).ok()?);
        return Some((start, start));
    }
    let time = id.split('_').find(|part| part.len() == 15 && part.as_bytes()[8] == b'T')?;
    let date = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", time).ok()?;
    let start = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond();
    Some((start, start + 999))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_product_is_found_by_its_name() {
        let scale = Scale { items_per_day: 1000, days: 3, ..Scale::default() };
        for mission in Mission::ALL {
            let series = Series::computed(*mission, &scale);
            let mut before = i64::MIN;
            for number in (0..series.len()).step_by(37) {
                let scene = series.scene(number).unwrap();
                assert!(scene.start >= before, "order of {}", scene.id);
                before = scene.start;
                let found = series.find(&scene.id).unwrap_or_else(|| panic!("{}", scene.id));
                assert_eq!(found.number, number);
                assert!(series.window(scene.start, scene.start).contains(&number), "{}", scene.id);
                assert!(series.window(scene.end, scene.end).contains(&number), "{}", scene.id);
            }
            assert!(series.find("nothing").is_none());
        }
    }
}
