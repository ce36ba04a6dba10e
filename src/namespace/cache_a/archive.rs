//! What is known of a STAC API, shared by all its directories: collections, days, items. Each is asked for
//! once whoever wants it, and kept for as long as data of its age stays the same.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use moka::Expiry;
use moka::future::Cache;
use url::Url;

use crate::catalog::bucket;
use crate::catalog::mgrs::Bbox;
use crate::catalog::stac::client::Client;
use crate::catalog::stac::{Collection, Item, ItemRecord, Query};
use crate::error::{Error, ErrorKind, Result, fail};
use crate::fetch::Fetch;
use crate::namespace::cache_a::product::names_of;
use crate::namespace::name::encode;
use crate::namespace::static_tree::StaticDirectory;
use crate::object::ObjectId;
use crate::store::{Access, Format, Remote};

/// Bytes of records, and of items as served, that are kept.
const RECORD_BYTES: u64 = 64 << 20;
const ITEM_BYTES: u64 = 32 << 20;
/// Files of products that are kept as trees.
const PRODUCT_FILES: u64 = 20_000;
/// What a record costs, about, without its id, its place and names included.
const RECORD: usize = 700;

/// What an archive is made of.
pub struct Options {
    /// Root of the STAC API.
    pub root: Url,
    /// The download address that takes `?filename=`, if it is not the one in the assets' addresses.
    pub download: Option<Url>,
    /// Collections to show; empty: all.
    pub collections: Vec<String>,
    /// The door to the service.
    pub fetch: Fetch,
}

/// The products of one day, or of one part of it.
pub(super) struct Day {
    /// In the order of their ids, each once.
    pub(super) records: Vec<ItemRecord>,
    /// The records of each bucket, by the file names of its levels.
    pub(super) places: BTreeMap<Vec<String>, Vec<usize>>,
    /// The record behind each file name that a product answers to.
    pub(super) names: HashMap<String, usize>,
    keep: Duration,
}

impl Day {
    fn new(mut records: Vec<ItemRecord>, keep: Duration) -> Self {
        records.sort_by(|one, two| one.id.cmp(&two.id));
        records.dedup_by(|one, two| one.id == two.id);
        let mut places: BTreeMap<Vec<String>, Vec<usize>> = BTreeMap::new();
        let mut names = HashMap::new();
        for (index, record) in records.iter().enumerate() {
            let levels = bucket(record).iter().map(|name| encode(name)).collect();
            places.entry(levels).or_default().push(index);
            for name in names_of(record) {
                names.entry(name).or_insert(index);
            }
        }
        Self { records, places, names, keep }
    }
}

/// A day of a collection: all of it, or what a box may hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct DayKey {
    collection: Arc<str>,
    date: Date,
    /// The directory whose box was searched; `None` for the whole day.
    part: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ItemKey {
    collection: Arc<str>,
    id: Arc<str>,
}

/// A STAC API, cached.
pub struct Archive {
    options: Options,
    client: Client,
    collections: Cache<(), Arc<Vec<Collection>>>,
    days: Cache<DayKey, Arc<Day>>,
    items: Cache<ItemKey, Arc<Item>>,
    /// The inside of products, with the number of their files.
    products: Cache<ItemKey, (StaticDirectory, u32)>,
}

struct AsOldAsItsData;

impl Expiry<DayKey, Arc<Day>> for AsOldAsItsData {
    fn expire_after_create(&self, _: &DayKey, day: &Arc<Day>, _: Instant) -> Option<Duration> {
        Some(day.keep)
    }
}

impl Archive {
    /// A view of the API that `options` describe; asks nothing yet.
    pub fn new(options: Options) -> Arc<Self> {
        let client = Client::new(options.root.clone(), options.fetch.clone());
        let item_weight = |_: &ItemKey, item: &Arc<Item>| u32::try_from(item.raw.len()).unwrap_or(u32::MAX);
        let day_weight = |_: &DayKey, day: &Arc<Day>| {
            let bytes = day.records.iter().map(|record| RECORD + record.id.len()).sum::<usize>();
            u32::try_from(bytes + RECORD).unwrap_or(u32::MAX)
        };
        Arc::new(Self {
            options,
            client,
            collections: Cache::builder().max_capacity(1).time_to_live(Duration::from_secs(600)).build(),
            days: Cache::builder()
                .max_capacity(RECORD_BYTES)
                .weigher(day_weight)
                .expire_after(AsOldAsItsData)
                .build(),
            items: Cache::builder()
                .max_capacity(ITEM_BYTES)
                .weigher(item_weight)
                .time_to_live(Duration::from_secs(3600))
                .build(),
            products: Cache::builder()
                .max_capacity(PRODUCT_FILES)
                .weigher(|_: &ItemKey, product: &(StaticDirectory, u32)| product.1)
                .time_to_live(Duration::from_secs(3600))
                .build(),
        })
    }

    /// Asks the service for its root.
    ///
    /// # Errors
    /// What the service met; `Protocol` when it is no STAC API.
    pub async fn check(&self) -> Result<()> {
        self.client.check().await.map_err(|error| error.context(self.options.fetch.service()))
    }

    /// The collections to show.
    pub(super) async fn collections(&self) -> Result<Arc<Vec<Collection>>> {
        let ask = async {
            let mut collections = self.client.collections().await?;
            let shown = &self.options.collections;
            if !shown.is_empty() {
                collections.retain(|collection| shown.contains(&collection.id));
            }
            Ok::<_, Error>(Arc::new(collections))
        };
        self.collections.try_get_with((), ask).await.map_err(|error| error.as_ref().clone())
    }

    /// All products of a day; a walk over the pages of one search.
    pub(super) async fn day(&self, collection: &Arc<str>, date: Date) -> Result<Arc<Day>> {
        let key = DayKey { collection: Arc::clone(collection), date, part: None };
        self.search(key, None).await
    }

    /// The products of a day that may lie in directory `name`, whose box is `bbox`: one small search, unless
    /// the whole day is known.
    pub(super) async fn part_of_day(
        &self,
        collection: &Arc<str>,
        date: Date,
        name: &str,
        bbox: Bbox,
    ) -> Result<Arc<Day>> {
        let whole = DayKey { collection: Arc::clone(collection), date, part: None };
        if let Some(day) = self.days.get(&whole).await {
            return Ok(day);
        }
        self.search(DayKey { part: Some(name.into()), ..whole }, Some(bbox)).await
    }

    async fn search(&self, key: DayKey, bbox: Option<Bbox>) -> Result<Arc<Day>> {
        let ask = async {
            let (start, end) = window(key.date)?;
            let query = Query {
                collections: vec![key.collection.to_string()],
                bbox,
                interval: (Some(start), Some(end)),
                ..Query::default()
            };
            let mut records = Vec::new();
            let mut few = Vec::new();
            let mut bytes = 0;
            let mut take = |item: Item| {
                // An item without one instant matches every day that it touches, and is filed under one.
                if item.record.instant().is_some_and(|instant| instant < start || instant >= end) {
                    return;
                }
                records.push(item.record.clone());
                bytes += item.raw.len() as u64;
                // The items of a small search are what is asked for next; those of a big one are too many.
                if bytes <= ITEM_BYTES / 4 {
                    few.push(item.detach());
                }
            };
            let walk = self.client.search(&query, &mut take).await?;
            if let Some(reason) = &walk.reason {
                tracing::warn!(collection = &*key.collection, date = %key.date, "the listing is incomplete: {reason}");
            }
            if bytes <= ITEM_BYTES / 4 {
                for item in few {
                    self.keep_item(&key.collection, item).await;
                }
            }
            Ok::<_, Error>(Arc::new(Day::new(records, keep(key.date, Timestamp::now()))))
        };
        self.days.try_get_with(key.clone(), ask).await.map_err(|error| error.as_ref().clone())
    }

    async fn keep_item(&self, collection: &Arc<str>, item: Item) -> Arc<Item> {
        let key = ItemKey { collection: Arc::clone(collection), id: item.id().into() };
        let item = Arc::new(item);
        self.items.insert(key, Arc::clone(&item)).await;
        item
    }

    /// The item with exactly this id.
    ///
    /// # Errors
    /// `NotFound` when the service has none.
    pub(super) async fn item(&self, collection: &Arc<str>, id: &str) -> Result<Arc<Item>> {
        let key = ItemKey { collection: Arc::clone(collection), id: id.into() };
        let ask = async {
            match self.client.item(collection, id).await? {
                Some(item) => Ok(Arc::new(item)),
                None => fail(ErrorKind::NotFound, format!("{collection} has no product {id}")),
            }
        };
        self.items.try_get_with(key, ask).await.map_err(|error: Arc<Error>| error.as_ref().clone())
    }

    /// The item if it is in memory.
    pub(super) fn item_at_hand(&self, collection: &Arc<str>, id: &str) -> Option<Arc<Item>> {
        use futures_util::FutureExt;
        let key = ItemKey { collection: Arc::clone(collection), id: id.into() };
        self.items.get(&key).now_or_never().flatten()
    }

    /// The inside of a product, made by `make` from its item.
    pub(super) async fn product(
        &self,
        collection: &Arc<str>,
        id: &str,
        make: impl FnOnce(&Item) -> StaticDirectory + Send,
    ) -> Result<StaticDirectory> {
        let key = ItemKey { collection: Arc::clone(collection), id: id.into() };
        let ask = async {
            let item = self.item(collection, id).await?;
            let files = u32::try_from(item.assets.len()).unwrap_or(u32::MAX);
            Ok::<_, Error>((make(&item), files.max(1)))
        };
        let product = self.products.try_get_with(key, ask).await;
        product.map(|(inside, _)| inside).map_err(|error| error.as_ref().clone())
    }

    /// The file at an asset's address. What follows `?filename=` stays as the catalogue wrote it
    /// (protocol.md 3.4); only the address before it may be replaced by configuration.
    pub(super) fn remote(&self, href: &str, length: Option<u64>) -> Option<Remote> {
        let url = match (&self.options.download, href.split_once("?filename=")) {
            (Some(download), Some((_, path))) => Url::parse(&format!("{download}?filename={path}")).ok()?,
            _ => Url::parse(href).ok()?,
        };
        let id = ObjectId::new(self.options.fetch.service(), &public_address(&url));
        let access = Access::Parts(Format::of(url.query().unwrap_or(url.path())));
        Some(Remote { id, url, length, access, fetch: self.options.fetch.clone() })
    }
}

/// An address as it may be written down. A query may be a signature that opens the file for everybody;
/// `filename` is the path (protocol.md 3.4).
fn public_address(url: &Url) -> String {
    match url.query() {
        Some(query) if !query.starts_with("filename=") => {
            let mut bare = url.clone();
            bare.set_query(None);
            format!("{bare}?{}", blake3::hash(query.as_bytes()).to_hex())
        }
        _ => url.to_string(),
    }
}

/// The window of a day: from its midnight to the next, UTC (tree.md).
fn window(date: Date) -> Result<(Timestamp, Timestamp)> {
    let midnight = |date: Date| date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
    let ends = midnight(date).and_then(|start| Ok((start, midnight(date.tomorrow()?)?)));
    ends.map_err(|_| Error::new(ErrorKind::NotFound, format!("{date} is not a day that can be searched")))
}

/// How long a day's listing holds: today's changes by the minute, last year's hardly ever.
fn keep(date: Date, now: Timestamp) -> Duration {
    let today = now.to_zoned(TimeZone::UTC).date();
    let age = today.since(date).map_or(0, |span| span.get_days());
    Duration::from_secs(match age {
        i32::MIN..=1 => 60,
        2..=30 => 15 * 60,
        _ => 6 * 3600,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn listings_hold_by_the_age_of_their_data() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        assert_eq!(keep(date(2026, 11, 22), now), Duration::from_secs(60));
        assert_eq!(keep(date(2026, 11, 10), now), Duration::from_secs(900));
        assert_eq!(keep(date(2024, 9, 24), now), Duration::from_secs(6 * 3600));
        assert_eq!(keep(date(2027, 1, 1), now), Duration::from_secs(60));
    }

    #[test]
    fn a_day_is_half_open_in_utc() {
        let (start, end) = window(date(2024, 2, 29)).unwrap();
        assert_eq!(
            (start.to_string(), end.to_string()),
            ("2024-02-29T00:00:00Z".into(), "2024-03-01T00:00:00Z".into())
        );
    }
}
