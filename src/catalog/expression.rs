//! Search expressions: the names of directories below `search/`, the views of the configuration, and what
//! restricts a whole mount.
//!
//! An expression is conditions joined by commas, all of which have to hold (`parse` has the grammar). What the
//! service can look for is sent to it ([`Expression::query`]); all of it is checked here again, because a
//! service may ignore a parameter ([`Expression::accepts`], [`Query::matches`]).

mod attribute;
mod parse;

use jiff::Timestamp;

use super::identifier::Bucket;
use super::mgrs::{Bbox, Tile};
use super::stac::footprint::intersects;
use super::stac::{Comparison, Item, ItemRecord, Query};
use attribute::Attribute;

/// Square degrees up to which the days of a month are found by one search of it: some 20° by 20°, of which
/// Sentinel-2 takes 5,000 products a month.
const SEARCHABLE: f64 = 400.0;

/// Conditions that a product has to meet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expression {
    boxes: Vec<Bbox>,
    from: Option<Timestamp>,
    /// The first instant behind.
    to: Option<Timestamp>,
    clouds: Vec<(Comparison, f64)>,
    /// Any of these; empty: all.
    ids: Vec<String>,
    tiles: Vec<Tile>,
    attributes: Vec<Attribute>,
}

/// How much time is searched at once to find the days that hold products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grain {
    /// Too many products: each day by itself.
    Day,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl Expression {
    /// Both: what meets this expression and `other`.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.boxes.extend(&other.boxes);
        self.from = self.from.max(other.from);
        // `None` is open and the smallest to `min`, so each side is looked at.
        self.to = [self.to, other.to].into_iter().flatten().min();
        self.clouds.extend(&other.clouds);
        self.tiles.extend(&other.tiles);
        self.attributes.extend(other.attributes.iter().cloned());
        if self.ids.is_empty() {
            self.ids.clone_from(&other.ids);
        } else if !other.ids.is_empty() {
            self.ids.retain(|id| other.ids.contains(id));
        }
        self
    }

    /// And lies in this tile.
    #[must_use]
    pub fn in_tile(&self, tile: Tile) -> Self {
        let mut narrowed = self.clone();
        narrowed.tiles.push(tile);
        narrowed
    }

    /// And touches this box.
    #[must_use]
    pub fn in_box(&self, bbox: Bbox) -> Self {
        let mut narrowed = self.clone();
        narrowed.boxes.push(bbox);
        narrowed
    }

    /// The same without conditions on cloud cover, for collections that have none.
    #[must_use]
    pub fn without_clouds(&self) -> Self {
        Self { clouds: Vec::new(), ..self.clone() }
    }

    /// Whether cloud cover matters.
    pub fn asks_for_clouds(&self) -> bool {
        !self.clouds.is_empty()
    }

    /// First instant, and first instant behind; each side may be open.
    pub fn interval(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        (self.from, self.to)
    }

    /// Whether what it finds can be listed as a whole without walking the archive.
    pub fn is_bounded(&self) -> bool {
        !self.ids.is_empty() || self.grain() > Grain::Day && self.from.is_some() && self.to.is_some()
    }

    /// How much time can be searched at once.
    pub fn grain(&self) -> Grain {
        let small = self.narrowest().is_some_and(|bbox| area(bbox) <= SEARCHABLE);
        match (self.ids.is_empty() && self.tiles.is_empty(), small) {
            (false, _) => Grain::Year,
            (true, true) => Grain::Month,
            (true, false) => Grain::Day,
        }
    }

    /// What to ask for of `collection` within a window of time; `None` if nothing can match.
    pub fn query(&self, collection: &str, window: (Timestamp, Timestamp)) -> Option<Query> {
        let from = self.from.map_or(window.0, |from| from.max(window.0));
        let to = self.to.map_or(window.1, |to| to.min(window.1));
        let tiles = self.tiles.windows(2).all(|pair| pair[0] == pair[1]);
        (from < to && tiles).then(|| Query {
            collections: vec![collection.to_owned()],
            bbox: self.narrowest(),
            interval: (Some(from), Some(to)),
            ids: self.ids.iter().flat_map(|id| super::identifier::spellings(id)).collect(),
            clouds: self.clouds.clone(),
            // What is looked up in properties needs all of them.
            records_only: self.grain() == Grain::Day && self.attributes.is_empty(),
            ..Query::default()
        })
    }

    /// Whether an item meets every condition that [`Query::matches`] does not look at.
    pub fn accepts(&self, item: &Item) -> bool {
        self.accepts_record(&item.record) && attribute::all_hold(&self.attributes, item)
    }

    /// Whether an item that was not searched for meets all of it.
    pub fn admits(&self, item: &Item) -> bool {
        let record = &item.record;
        let instant = record.instant();
        let known = |holds: &dyn Fn(Timestamp) -> bool| instant.is_none_or(holds);
        self.accepts(item)
            && self.from.is_none_or(|from| known(&|instant| instant >= from))
            && self.to.is_none_or(|to| known(&|instant| instant < to))
            && (self.ids.is_empty() || self.ids.iter().any(|id| record.is_called(id)))
    }

    fn accepts_record(&self, record: &ItemRecord) -> bool {
        let touches = |bbox: &Bbox| record.footprint().is_some_and(|found| intersects(found, *bbox));
        let clear = |(comparison, percent): &(Comparison, f64)| {
            record.cloud_cover.is_some_and(|cover| comparison.holds(cover, *percent as f32))
        };
        self.boxes.iter().all(touches)
            && self.clouds.iter().all(clear)
            && self.tiles.iter().all(|tile| record.bucket == Bucket::Tile(*tile))
    }

    /// The smallest box that everything found has to touch.
    fn narrowest(&self) -> Option<Bbox> {
        let boxes = self.boxes.iter().copied().chain(self.tiles.iter().map(|tile| tile.bbox()));
        boxes.min_by(|one, two| area(*one).total_cmp(&area(*two)))
    }

    /// The same text for expressions that mean the same, whatever the order of their conditions.
    pub fn canonical(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        parts.extend(
            self.boxes.iter().map(|bbox| format!("bbox={}", bbox.map(|side| side.to_string()).join(":"))),
        );
        parts.extend(self.from.map(|from| format!("date>={from}")));
        parts.extend(self.to.map(|to| format!("date<{to}")));
        parts.extend(self.clouds.iter().map(|(comparison, percent)| format!("cloud{comparison}{percent}")));
        parts.extend(self.ids.iter().map(|id| format!("id={id:?}")));
        parts.extend(self.tiles.iter().map(|tile| format!("tile={tile}")));
        parts.extend(self.attributes.iter().map(ToString::to_string));
        parts.sort();
        parts.dedup();
        parts.join(",")
    }
}

/// Square degrees of a box.
fn area([west, south, east, north]: Bbox) -> f64 {
    let width = if west <= east { east - west } else { east + 360.0 - west };
    width * (north - south)
}

#[cfg(test)]
mod tests;
