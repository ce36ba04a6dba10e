//! A product: its files under their own relative paths, so that a SAFE opens as a SAFE.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::catalog::identifier::without_packing;
use crate::catalog::stac::{Asset, Item, ItemRecord, Moment, Shape};
use crate::error::{ErrorKind, Result, fail};
use crate::namespace::cache_a::archive::{Archive, Lengths};
use crate::namespace::name::encode;
use crate::namespace::static_tree::StaticDirectory;
use crate::namespace::{Attributes, Directory, Learn, Listing, Load, Node, Times};

/// What the name of a product's STAC item ends with.
pub(super) const ITEM_SUFFIX: &str = ".stac.json";

/// What is asked of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Its folder, or the one file that it is.
    Itself,
    /// Its STAC item.
    Item,
    /// The whole product as one archive, if the service has it.
    Archive,
}

impl Part {
    /// The product's name in `name`, and what is asked of it.
    pub(super) fn asked(name: &str) -> (&str, Self) {
        match (name.strip_suffix(ITEM_SUFFIX), name.strip_suffix(".zip")) {
            (Some(product), _) => (product, Self::Item),
            (None, Some(product)) => (product, Self::Archive),
            (None, None) => (name, Self::Itself),
        }
    }
}

/// The file names that a product answers to: with and without the ending of its folder (tree.md).
pub(super) fn names_of(record: &ItemRecord) -> [String; 3] {
    [encode(&record.name()), encode(without_packing(&record.id)), encode(&record.id)]
}

/// The times of a product and of all that is in it.
fn times_of(record: &ItemRecord) -> Times {
    Times { modified: record.sensed(), published: record.published.map(Moment::timestamp) }
}

/// The node of a product's part. A folder is not asked about until somebody looks inside.
pub(super) async fn node(
    archive: &Arc<Archive>,
    collection: &Arc<str>,
    record: &ItemRecord,
    part: Part,
) -> Result<Node> {
    if let (Part::Itself, Some(folder)) = (part, folder(archive, collection, record)) {
        return Ok(folder);
    }
    let item = archive.item(collection, &record.id).await?;
    if part == Part::Item {
        // Kept by the archive, within its bounds, not by everybody who has looked the name up.
        let (archive, collection, id) = (Arc::clone(archive), Arc::clone(collection), record.id.clone());
        let load: Load = Arc::new(move || {
            let (archive, collection, id) = (Arc::clone(&archive), Arc::clone(&collection), id.clone());
            Box::pin(async move { Ok(archive.item(&collection, &id).await?.raw.clone()) })
        });
        return Ok(Node::document(item.raw.len() as u64, load, times_of(record)));
    }
    let asset = item.assets.iter().find(|asset| asset.whole_product == (part == Part::Archive));
    let lengths = archive.lengths(&item).await;
    match asset.and_then(|asset| file(archive, &item, asset, &lengths)) {
        Some(node) => Ok(node),
        None => fail(ErrorKind::NotFound, format!("{} has no such file", record.id)),
    }
}

/// The folder of a product, if it is one; asks nothing.
pub(super) fn folder(archive: &Arc<Archive>, collection: &Arc<str>, record: &ItemRecord) -> Option<Node> {
    let Shape::Folder(_) = record.shape else { return None };
    let (archive, collection) = (Arc::clone(archive), Arc::clone(collection));
    let (id, times) = (record.id.as_ref().into(), times_of(record));
    Some(Node::directory(ProductDirectory { archive, collection, id, times }))
}

/// The folder of a product.
struct ProductDirectory {
    archive: Arc<Archive>,
    collection: Arc<str>,
    id: Arc<str>,
    times: Times,
}

impl ProductDirectory {
    async fn inside(&self) -> Result<StaticDirectory> {
        let make = |item: &Item, lengths: &Lengths| {
            let files = item.assets.iter().filter(|asset| !asset.whole_product);
            let named = files.filter_map(|asset| {
                let path: Vec<String> = asset.path.split('/').map(encode).collect();
                Some((path.join("/"), file(&self.archive, item, asset, lengths)?))
            });
            StaticDirectory::tree(named, self.times)
        };
        self.archive.product(&self.collection, &self.id, make).await
    }
}

impl Directory for ProductDirectory {
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Node>> {
        Box::pin(async move { self.inside().await?.lookup(name).await })
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        Box::pin(async { self.inside().await?.list().await })
    }

    fn is_product(&self) -> bool {
        true
    }

    fn times(&self) -> Times {
        self.times
    }

    /// Those of the item, once it is in memory: a listing of attributes must not cost a request each.
    fn attributes(&self) -> Attributes {
        let item = self.archive.item_at_hand(&self.collection, &self.id);
        let attributes = item.map(|item| item.attributes()).unwrap_or_default();
        // The kernel's limits, xattr(7): 255 bytes a name, 64 KiB all names together and each value.
        let plain = |name: &str| name.len() <= 200 && name.bytes().all(|byte| byte.is_ascii_graphic());
        attributes
            .into_iter()
            .filter(|(name, value)| plain(name) && value.len() < 64 << 10)
            .take(250)
            .map(|(name, value)| (format!("user.stac.{name}"), Bytes::from(value)))
            .collect()
    }
}

fn file(archive: &Arc<Archive>, item: &Item, asset: &Asset, lengths: &Lengths) -> Option<Node> {
    let mut remote = archive.remote(asset)?;
    remote.updated = item.updated.clone();
    remote.length = remote.length.or_else(|| lengths.get(&remote.id).copied());
    // A query may be a signature that opens the file for everybody; `filename` is the path (protocol.md 3.4).
    let (address, query) = asset.href.split_once('?').unwrap_or((&asset.href, ""));
    let shown = if query.starts_with("filename=") { &asset.href } else { address };
    let mut attributes = vec![("user.stac.href".to_owned(), Bytes::from(shown.to_owned()))];
    if let Some(kind) = &asset.media_type {
        attributes.push(("user.stac.type".into(), Bytes::from(kind.clone())));
    }
    if let Some(checksum) = &asset.checksum {
        attributes.push(("user.stac.file:checksum".into(), Bytes::from(checksum.clone())));
    }
    let learnt = asset.size.is_none().then(|| -> Learn {
        let (archive, id) = (Arc::downgrade(archive), remote.id.clone());
        let told = AtomicU64::new(u64::MAX);
        Box::new(move |length| {
            let news = told.swap(length, Ordering::Relaxed) != length;
            if let Some(archive) = archive.upgrade().filter(|_| news) {
                archive.shelve_length(id.as_str(), length);
            }
        })
    });
    Some(Node::remote(remote, times_of(&item.record), attributes, learnt))
}
