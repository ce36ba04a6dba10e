//! A product: its files under their own relative paths, so that a SAFE opens as a SAFE.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use jiff::Timestamp;

use crate::catalog::stac::{Asset, Item, ItemRecord, Shape};
use crate::error::{ErrorKind, Result, fail};
use crate::namespace::cache_a::archive::Archive;
use crate::namespace::name::encode;
use crate::namespace::static_tree::StaticDirectory;
use crate::namespace::{Attributes, Directory, Listing, Node};

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

/// The node of a product's part. A folder is not asked about until somebody looks inside.
pub(super) async fn node(
    archive: &Arc<Archive>,
    collection: &Arc<str>,
    record: &ItemRecord,
    part: Part,
) -> Result<Node> {
    let time = record.instant();
    if part == Part::Itself
        && let Shape::Folder(_) = record.shape
    {
        let (archive, collection) = (Arc::clone(archive), Arc::clone(collection));
        return Ok(Node::directory(ProductDirectory {
            archive,
            collection,
            id: record.id.as_ref().into(),
            time,
        }));
    }
    let item = archive.item(collection, &record.id).await?;
    if part == Part::Item {
        return Ok(Node::bytes(item.raw.clone(), time));
    }
    let asset = item.assets.iter().find(|asset| asset.whole_product == (part == Part::Archive));
    match asset.and_then(|asset| file(archive, &item, asset)) {
        Some(node) => Ok(node),
        None => fail(ErrorKind::NotFound, format!("{} has no such file", record.id)),
    }
}

/// The folder of a product.
struct ProductDirectory {
    archive: Arc<Archive>,
    collection: Arc<str>,
    id: Arc<str>,
    time: Option<Timestamp>,
}

impl ProductDirectory {
    async fn inside(&self) -> Result<StaticDirectory> {
        let make = |item: &Item| {
            let files = item.assets.iter().filter(|asset| !asset.whole_product);
            let named = files.filter_map(|asset| {
                let path: Vec<String> = asset.path.split('/').map(encode).collect();
                Some((path.join("/"), file(&self.archive, item, asset)?))
            });
            StaticDirectory::tree(named, self.time)
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

    fn time(&self) -> Option<Timestamp> {
        self.time
    }

    /// Those of the item, once it is in memory: a listing of attributes must not cost a request each.
    fn attributes(&self) -> Attributes {
        let item = self.archive.item_at_hand(&self.collection, &self.id);
        let name = |name: &str| format!("user.stac.{name}");
        let attributes = item.map(|item| item.attributes()).unwrap_or_default();
        attributes.into_iter().map(|(key, value)| (name(&key), Bytes::from(value))).collect()
    }
}

fn file(archive: &Archive, item: &Item, asset: &Asset) -> Option<Node> {
    let remote = archive.remote(&asset.href, asset.size)?;
    let mut attributes = vec![("user.stac.href".to_owned(), Bytes::from(asset.href.clone()))];
    if let Some(kind) = &asset.media_type {
        attributes.push(("user.stac.type".into(), Bytes::from(kind.clone())));
    }
    Some(Node::remote(remote, item.record.instant(), attributes))
}
