//! A product: its files under their own relative paths, so that a SAFE opens as a SAFE.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::catalog::identifier::without_packing;
use crate::catalog::stac::{Asset, Item, ItemRecord, Moment, Shape};
use crate::error::{ErrorKind, Result, fail};
use crate::namespace::cache_a::archive::{Archive, Lengths};
use crate::namespace::cache_a::products::day_of;
use crate::namespace::name::encode;
use crate::namespace::static_tree::StaticDirectory;
use crate::namespace::{
    Attributes, Directory, Entry, GONE, Gone, Learn, Listing, Load, Lost, Node, Times, Told,
};

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

/// The file names that a product answers to, each once: with and without the ending of its folder (tree.md).
pub(super) fn names_of(record: &ItemRecord) -> impl Iterator<Item = String> {
    let (shown, bare, id) = (record.name(), without_packing(&record.id), &*record.id);
    let bare = (bare != shown).then(|| encode(bare));
    // Without the ending it is one of these two.
    let id = (id != shown && id != without_packing(id)).then(|| encode(id));
    std::iter::once(encode(&shown)).chain(bare).chain(id)
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
    let gone = record.gone || item.record.gone;
    match asset.and_then(|asset| file(archive, collection, &item, asset, &lengths, gone)) {
        Some(node) => Ok(node),
        None => fail(ErrorKind::NotFound, format!("{} has no such file", record.id)),
    }
}

/// The folder of a product, if it is one; asks nothing.
pub(super) fn folder(archive: &Arc<Archive>, collection: &Arc<str>, record: &ItemRecord) -> Option<Node> {
    let Shape::Folder(_) = record.shape else { return None };
    let (archive, collection) = (Arc::clone(archive), Arc::clone(collection));
    let (id, times, gone) = (record.id.as_ref().into(), times_of(record), record.gone);
    Some(Node::directory(ProductDirectory { archive, collection, id, times, gone, path: Vec::new() }))
}

/// The folder of a product, or one inside it. What is inside is looked up in what is known of the product now, so that a
/// product that has changed or gone is seen to have done so at each level.
#[derive(Clone)]
struct ProductDirectory {
    archive: Arc<Archive>,
    collection: Arc<str>,
    id: Arc<str>,
    times: Times,
    /// The service has it no more: only what is left is shown.
    gone: bool,
    /// The way here from the product's folder.
    path: Vec<String>,
}

impl ProductDirectory {
    /// What is in the product's folder.
    async fn inside(&self) -> Result<StaticDirectory> {
        let make = |item: &Item, lengths: &Lengths| {
            let files = item.assets.iter().filter(|asset| !asset.whole_product);
            let named = files.filter_map(|asset| {
                let path: Vec<String> = asset.path.split('/').map(encode).collect();
                let gone = self.gone || item.record.gone;
                Some((path.join("/"), file(&self.archive, &self.collection, item, asset, lengths, gone)?))
            });
            StaticDirectory::tree(named, self.times)
        };
        self.archive.product(&self.collection, &self.id, make).await
    }

    /// What is here, as far as the product is in memory.
    fn here_now(&self) -> Option<StaticDirectory> {
        self.archive.product_at_hand(&self.collection, &self.id)?.below(&self.path).ok()
    }

    /// A node as it is shown.
    fn shown(&self, name: &str, node: Node) -> Node {
        match node {
            Node::Directory(_) => {
                let path = self.path.iter().cloned().chain([name.to_owned()]).collect();
                Node::directory(Self { path, ..self.clone() })
            }
            Node::File(_) => node,
        }
    }

    fn listed(&self, here: &StaticDirectory) -> Listing {
        let entry =
            |(name, node): (&Arc<str>, &Node)| Entry::of(Arc::clone(name), self.shown(name, node.clone()));
        Listing::of(here.nodes().map(entry).collect())
    }
}

impl Directory for ProductDirectory {
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Node>> {
        Box::pin(async move {
            let here = self.inside().await?.below(&self.path)?;
            Ok(self.shown(name, here.find(name)?))
        })
    }

    fn at_hand(&self, name: &str) -> Option<Result<Node>> {
        Some(self.here_now()?.find(name).map(|node| self.shown(name, node)))
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        Box::pin(async { Ok(self.listed(&self.inside().await?.below(&self.path)?)) })
    }

    fn list_at_hand(&self) -> Option<Listing> {
        self.here_now().map(|here| self.listed(&here))
    }

    fn edition(&self) -> Option<u64> {
        self.here_now()?.edition()
    }

    fn is_product(&self) -> bool {
        self.path.is_empty()
    }

    fn times(&self) -> Times {
        self.times
    }

    /// Those of the item, once it is in memory: a listing of attributes must not cost a request each.
    fn attributes(&self) -> Attributes {
        if !self.path.is_empty() {
            return Attributes::new();
        }
        let item = self.archive.item_at_hand(&self.collection, &self.id);
        // The kernel's limits, xattr(7): 255 bytes a name, 64 KiB all names together and each value.
        let plain = |name: &str| name.len() <= 200 && name.bytes().all(|byte| byte.is_ascii_graphic());
        let gone = self.gone || item.as_ref().is_some_and(|item| item.record.gone);
        let state = gone.then(|| (GONE.0.to_owned(), Bytes::from(GONE.1)));
        let attributes = item.map(|item| item.attributes()).unwrap_or_default();
        let stac = attributes
            .into_iter()
            .filter(|(name, value)| plain(name) && value.len() < 64 << 10)
            .take(250)
            .map(|(name, value)| (format!("user.stac.{name}"), Bytes::from(value)));
        state.into_iter().chain(stac).collect()
    }
}

/// The file of an asset; of what is `gone` only if it is complete on disk.
fn file(
    archive: &Arc<Archive>,
    collection: &Arc<str>,
    item: &Item,
    asset: &Asset,
    lengths: &Lengths,
    gone: bool,
) -> Option<Node> {
    if gone && !archive.is_complete(asset) {
        return None;
    }
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
    let (weak, collection, id) = (Arc::downgrade(archive), Arc::clone(collection), item.id().to_owned());
    let day = day_of(&item.record);
    let (archived, named) = (weak.clone(), (Arc::clone(&collection), id.clone()));
    let gone: Gone = Box::new(move || {
        gone || archived.upgrade().is_some_and(|archive| archive.is_gone(&named.0, &named.1))
    });
    let lost: Lost = Box::new(move || {
        let (archive, collection, id) = (weak.upgrade(), Arc::clone(&collection), id.clone());
        Box::pin(async move {
            if let Some(archive) = archive {
                archive.lost(&collection, &id, day).await;
            }
        })
    });
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
    let told = Told { length: learnt, lost: Some(lost), gone: Some(gone) };
    Some(Node::remote(remote, times_of(&item.record), attributes, told))
}
