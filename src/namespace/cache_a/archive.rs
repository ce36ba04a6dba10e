//! What is known of a STAC API, shared by all its directories: collections, listings, items. Each is asked for
//! once whoever wants it, and kept for as long as data of its age stays the same.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use tokio_util::task::TaskTracker;
use url::Url;

use super::gone::Doubts;
use super::listings::{Listings, is_passing};
use super::products::place_of;
use crate::backend::s3::Objects;
use crate::catalog::expression::Expression;
use crate::catalog::identifier::{Bucket, Mission};
use crate::catalog::shelf::Shelf;
use crate::catalog::stac::client::Client;
use crate::catalog::stac::{Asset, Collection, Extent, Item, Query};
use crate::error::{Error, ErrorKind, Result, fail};
use crate::fetch::Fetch;
use crate::namespace::static_tree::StaticDirectory;
use crate::object::{Checksum, ObjectId};
use crate::store::{Access, Format, Remote, Store};

/// Bytes of items that are kept.
pub(super) const ITEM_BYTES: u64 = 32 << 20;
/// Files of products that are kept as trees.
const PRODUCT_FILES: u64 = 20_000;
/// What an archive is made of.
pub struct Options {
    /// Root of the STAC API.
    pub root: Url,
    /// The download address that takes `?filename=`, if it is not the one in the assets' addresses.
    pub download: Option<Url>,
    /// Where files are read from by key, if not at the assets' addresses.
    pub objects: Option<Objects>,
    /// Collections to show; empty: all.
    pub collections: Vec<String>,
    /// What all that is shown has to meet.
    pub restriction: Expression,
    /// The door to the service.
    pub fetch: Fetch,
    /// Where answers are kept on disk.
    pub shelf: Shelf,
    /// Where files are kept.
    pub store: Store,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ItemKey {
    collection: Arc<str>,
    id: Arc<str>,
}

/// A STAC API, cached.
pub struct Archive {
    pub(super) options: Options,
    /// What is on its way to the shelf.
    pub(super) shelving: TaskTracker,
    pub(super) client: Client,
    pub(super) listings: Listings,
    pub(super) doubts: Doubts,
    collections: Cache<(), Arc<Vec<Collection>>>,
    samples: Cache<Arc<str>, Arc<Sample>>,
    items: Cache<ItemKey, Arc<Item>>,
    /// The inside of products, with the number of their files.
    products: Cache<ItemKey, (StaticDirectory, u32)>,
}

/// Lengths of files that were learnt.
pub(super) type Lengths = HashMap<ObjectId, u64>;

/// What one page of a collection's products shows of all of them.
#[derive(Default)]
pub(super) struct Sample {
    /// Their buckets, by the file names of the levels.
    pub(super) places: BTreeSet<Vec<String>>,
    /// Whether they are filed under tiles.
    pub(super) tiled: bool,
    /// Whether they tell their cloud cover.
    pub(super) clouds: bool,
}

impl Archive {
    /// A view of the API that `options` describe; asks nothing yet.
    pub fn new(options: Options) -> Arc<Self> {
        let client = Client::new(options.root.clone(), options.fetch.clone());
        let item_weight = |_: &ItemKey, item: &Arc<Item>| u32::try_from(item.bytes()).unwrap_or(u32::MAX);
        Arc::new(Self {
            options,
            client,
            collections: Cache::builder().max_capacity(1).time_to_live(Duration::from_secs(600)).build(),
            shelving: TaskTracker::new(),
            listings: Listings::new(),
            doubts: Doubts::default(),
            samples: Cache::builder().max_capacity(100).time_to_live(Duration::from_secs(6 * 3600)).build(),
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
            let known = self.recall_collections().await;
            let mut collections = match known {
                Some(known) if known.fresh => known.what,
                known => match (self.client.collections().await, known) {
                    (Ok(collections), _) => {
                        self.shelve_collections(&collections);
                        collections
                    }
                    (Err(error), Some(old)) if is_passing(&error) => old.what,
                    (Err(error), _) => return Err(error),
                },
            };
            let shown = &self.options.collections;
            if !shown.is_empty() {
                collections.retain(|collection| shown.contains(&collection.id));
            }
            Ok::<_, Error>(Arc::new(collections))
        };
        self.collections.try_get_with((), ask).await.map_err(|error| error.as_ref().clone())
    }

    /// When the products of a collection are from.
    ///
    /// # Errors
    /// `NotFound` when the service has no such collection.
    pub(super) async fn extent(&self, collection: &str) -> Result<Extent> {
        let collections = self.collections().await?;
        match collections.iter().find(|known| known.id == *collection) {
            Some(known) => Ok(known.extent),
            None => fail(ErrorKind::NotFound, format!("the service has no collection {collection}")),
        }
    }

    /// One page of a collection's products.
    ///
    /// # Errors
    /// What the service met.
    pub(super) async fn sample(&self, collection: &Arc<str>) -> Result<Arc<Sample>> {
        let ask = async {
            let query =
                Query { collections: vec![collection.to_string()], pages: Some(1), ..Query::default() };
            let mut sample = Sample::default();
            let mut take = |item: Item| {
                sample.tiled |= matches!(item.record.bucket, Bucket::Tile(_));
                sample.clouds |= item.record.cloud_cover.is_some();
                sample.places.insert(place_of(&item.record));
            };
            self.client.search(&query, &mut take).await?;
            Ok::<_, Error>(Arc::new(sample))
        };
        self.samples.try_get_with(Arc::clone(collection), ask).await.map_err(|error| error.as_ref().clone())
    }

    /// Whether products of a collection tell their cloud cover: the radar and the trace gases do not (protocol.md
    /// 3.2), of unknown ones a page tells.
    ///
    /// # Errors
    /// What the service met.
    pub(super) async fn has_clouds(&self, collection: &Arc<str>) -> Result<bool> {
        match Mission::from_platform(collection) {
            Some(mission) => Ok(may_have_clouds(mission)),
            None => Ok(self.sample(collection).await?.clouds),
        }
    }

    /// What the whole mount is restricted to, as far as products of a collection can be.
    pub(super) fn restriction(&self, collection: &str) -> Expression {
        match Mission::from_platform(collection) {
            Some(mission) if !may_have_clouds(mission) => self.options.restriction.without_clouds(),
            _ => self.options.restriction.clone(),
        }
    }

    /// Keeps items that a search brought.
    pub(super) async fn keep_items(&self, collection: &Arc<str>, items: Vec<Item>) {
        let items: Vec<Arc<Item>> = items.into_iter().map(Arc::new).collect();
        for item in &items {
            let key = ItemKey { collection: Arc::clone(collection), id: item.id().into() };
            self.items.insert(key, Arc::clone(item)).await;
        }
        self.shelve_items(collection, items);
    }

    /// The item with exactly this id.
    ///
    /// # Errors
    /// `NotFound` when the service has none.
    pub(super) async fn item(&self, collection: &Arc<str>, id: &str) -> Result<Arc<Item>> {
        let key = ItemKey { collection: Arc::clone(collection), id: id.into() };
        let ask = async {
            let known = self.recall_item(collection, id).await;
            let known = match known {
                Some(known) if known.fresh && !self.doubts_item(collection, &known.what, known.fetched) => {
                    return Ok(Arc::new(known.what));
                }
                known => known,
            };
            match (self.client.item(collection, id).await, known) {
                (Ok(Some(item)), _) => {
                    let item = Arc::new(item);
                    self.shelve_items(collection, vec![Arc::clone(&item)]);
                    Ok(item)
                }
                (Ok(None), Some(mut known)) if self.is_left(&known.what) => {
                    known.what.record.gone = true;
                    Ok(Arc::new(known.what))
                }
                (Ok(None), known) => {
                    if known.is_some() {
                        self.unshelve_item(collection, id).await;
                    }
                    fail(ErrorKind::NotFound, format!("{collection} has no product {id}"))
                }
                (Err(error), Some(old)) if is_passing(&error) => Ok(Arc::new(old.what)),
                (Err(error), _) => Err(error),
            }
        };
        self.items.try_get_with(key, ask).await.map_err(|error: Arc<Error>| error.as_ref().clone())
    }

    /// What is in memory of a product is not believed any more.
    pub(super) async fn forget(&self, collection: &Arc<str>, id: &str) {
        let key = ItemKey { collection: Arc::clone(collection), id: id.into() };
        self.items.invalidate(&key).await;
        self.products.invalidate(&key).await;
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
        make: impl FnOnce(&Item, &Lengths) -> StaticDirectory + Send,
    ) -> Result<StaticDirectory> {
        let key = ItemKey { collection: Arc::clone(collection), id: id.into() };
        let ask = async {
            let item = self.item(collection, id).await?;
            let files = u32::try_from(item.assets.len()).unwrap_or(u32::MAX);
            let lengths = self.lengths(&item).await;
            Ok::<_, Error>((make(&item, &lengths), files.max(1)))
        };
        let product = self.products.try_get_with(key, ask).await;
        product.map(|(inside, _)| inside).map_err(|error| error.as_ref().clone())
    }

    /// The inside of a product if it is in memory.
    pub(super) fn product_at_hand(&self, collection: &Arc<str>, id: &str) -> Option<StaticDirectory> {
        use futures_util::FutureExt;
        let key = ItemKey { collection: Arc::clone(collection), id: id.into() };
        self.products.get(&key).now_or_never().flatten().map(|(inside, _)| inside)
    }

    /// The lengths of an item's files that it does not tell and that were learnt before, by their addresses.
    pub(super) async fn lengths(&self, item: &Item) -> Lengths {
        let unknown = item.assets.iter().filter(|asset| asset.size.is_none());
        let ids: Vec<ObjectId> = unknown.filter_map(|asset| Some(self.remote(asset)?.id)).collect();
        let names: Vec<&str> = ids.iter().map(ObjectId::as_str).collect();
        let lengths = match names.is_empty() {
            true => Vec::new(),
            false => self.recall_lengths(&names).await,
        };
        ids.iter().zip(lengths).filter_map(|(id, length)| Some((id.clone(), length?))).collect()
    }

    /// The file of an asset, by its key or at its address. What follows `?filename=` stays as the catalogue wrote it
    /// (protocol.md 3.4); only the address before it may be replaced by configuration.
    pub(super) fn remote(&self, asset: &Asset) -> Option<Remote> {
        let href = asset.href.as_str();
        let others = asset.alternates.iter().map(|other| other.href.as_str());
        let url = match (&self.options.objects, &self.options.download, href.split_once("?filename=")) {
            (Some(objects), ..) => objects.object([href].into_iter().chain(others))?,
            (_, Some(download), Some((_, path))) => {
                Url::parse(&format!("{download}?filename={path}")).ok()?
            }
            _ => Url::parse(href).ok()?,
        };
        let id = ObjectId::new(self.options.fetch.service(), &public_address(&url));
        let access = Access::Parts(Format::of(url.query().unwrap_or(url.path())));
        Some(Remote {
            id,
            url,
            length: asset.size,
            updated: None,
            checksum: asset.checksum.as_deref().and_then(Checksum::parse),
            access,
            fetch: self.options.fetch.clone(),
        })
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

fn may_have_clouds(mission: Mission) -> bool {
    matches!(mission, Mission::Sentinel2 | Mission::Sentinel3)
}
