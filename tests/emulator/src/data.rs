//! The catalogue: collections of products, each product a [`Scene`] with files.
//!
//! A collection is either a list (the demo) or arithmetic: the n-th product is computed from n, so that a
//! hundred thousand of them cost nothing until they are asked for. Products are ordered by time, which lets a
//! time window be cut out without looking at the others.

mod archive;
mod demo;
mod files;
mod fixtures;
mod mission;
mod sentinel2;
mod series;

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;

use crate::content::{Content, hash};
use crate::disk::Disk;
use crate::options::DataSet;

pub(crate) use files::{File, is_main, media as file_media};
pub(crate) use mission::{Mission, Place, Scene};
pub(crate) use series::{Series, time_in_name};

/// One collection.
#[derive(Debug)]
pub(crate) struct Collection {
    pub(crate) mission: Mission,
    pub(crate) series: Series,
    /// The files of listed products, made when first asked for.
    listed: Vec<OnceLock<Arc<[File]>>>,
}

/// All collections.
#[derive(Debug)]
pub(crate) struct Catalogue {
    pub(crate) collections: Vec<Collection>,
}

impl Catalogue {
    /// The collections of `data`; those that `disk` has are taken from there.
    pub(crate) fn new(data: &DataSet, disk: &Disk) -> Catalogue {
        let collections = Mission::ALL.iter().map(|mission| {
            let found = disk.products(*mission);
            if !found.is_empty() {
                let (scenes, files): (Vec<Scene>, Vec<Arc<[File]>>) = found.into_iter().unzip();
                let listed = files.into_iter().map(OnceLock::from).collect();
                return Collection { mission: *mission, series: Series::Listed(scenes), listed };
            }
            let series = match data {
                DataSet::Demo => Series::Listed(demo::scenes(*mission)),
                DataSet::Synthetic(scale) => Series::computed(*mission, scale),
            };
            let listed = match &series {
                Series::Listed(scenes) => scenes.iter().map(|_| OnceLock::new()).collect(),
                Series::Computed(_) => Vec::new(),
            };
            Collection { mission: *mission, series, listed }
        });
        Catalogue { collections: collections.collect() }
    }

    pub(crate) fn collection(&self, id: &str) -> Option<&Collection> {
        self.collections.iter().find(|collection| collection.mission.collection() == id)
    }

    /// The file of a path `collection/yyyy/mm/dd/product/…`, its canonical path and media type.
    pub(crate) fn file(&self, path: &str) -> Option<(String, Content, &'static str)> {
        let mut parts = path.splitn(6, '/');
        let collection = self.collection(parts.next()?)?;
        let (_date, product) = ([parts.next()?, parts.next()?, parts.next()?], parts.next()?);
        let rest = parts.next();
        let name = product.trim_end_matches(".nc").trim_end_matches(".zip");
        let scene = collection.find(if rest.is_none() { name } else { product })?;
        let files = collection.files(&scene);
        if rest.unwrap_or(product) == scene.archive() {
            return Some((scene.path(&scene.archive()), collection.zip(&scene, &files), "application/zip"));
        }
        let file = files.iter().find(|file| Some(file.path.as_str()) == rest.or(Some(product)))?;
        Some((scene.path(&file.path), file.content.clone(), file.media))
    }

    /// The file of a path `collection/number/index/…`.
    pub(crate) fn file_by_number(&self, path: &str) -> Option<(String, Content, &'static str)> {
        let mut parts = path.splitn(4, '/');
        let collection = self.collection(parts.next()?)?;
        let number = parts.next()?.parse().ok()?;
        let index: usize = parts.next()?.parse().ok()?;
        let scene = collection.series.scene(number)?;
        let files = collection.files(&scene);
        let file = files.get(index)?;
        Some((scene.path(&file.path), file.content.clone(), file.media))
    }

    /// The same of all products of a collection, if they are listed and not computed.
    pub(crate) fn listed_paths(&self, collection: &str) -> Vec<(String, u64)> {
        let Some(found) = self.collection(collection) else { return Vec::new() };
        let Series::Listed(scenes) = &found.series else { return Vec::new() };
        scenes.iter().flat_map(|scene| self.paths(collection, &scene.id)).collect()
    }

    /// The canonical paths and sizes of a product's files.
    pub(crate) fn paths(&self, collection: &str, id: &str) -> Vec<(String, u64)> {
        let Some(collection) = self.collection(collection) else { return Vec::new() };
        let Some(scene) = collection.find(id) else { return Vec::new() };
        let files = collection.files(&scene);
        files.iter().map(|file| (scene.path(&file.path), file.content.len())).collect()
    }
}

impl Collection {
    /// A product by its identifier, with or without the suffix of its folder.
    pub(crate) fn find(&self, id: &str) -> Option<Scene> {
        self.series.find(id.trim_end_matches(self.mission.suffix()))
    }

    /// A product as one zip: a real one in the demo, bytes of the same length otherwise.
    pub(crate) fn zip(&self, scene: &Scene, files: &[File]) -> Content {
        let folder = format!("{}{}", scene.id, self.mission.suffix());
        match &self.series {
            Series::Listed(_) => Content::bytes(archive::write(&folder, files)),
            Series::Computed(_) => Content::noise(hash(&folder), archive::len(&folder, files)),
        }
    }

    /// The files of a product, in the order of their paths.
    pub(crate) fn files(&self, scene: &Scene) -> Arc<[File]> {
        match (&self.series, self.listed.get(scene.number as usize)) {
            (Series::Computed(computed), _) => files::computed(scene, computed.shrink).into(),
            (Series::Listed(_), Some(files)) => Arc::clone(files.get_or_init(|| demo::files(scene).into())),
            (Series::Listed(_), None) => demo::files(scene).into(),
        }
    }
}

/// A time in the form of a catalogue, `2024-09-24T10:10:31.024Z`.
pub(crate) fn iso(millis: i64) -> String {
    format_time(millis, "%Y-%m-%dT%H:%M:%S%.3fZ")
}

/// A time in the form of a product name, `20240924T101031`.
pub(crate) fn compact(millis: i64) -> String {
    format_time(millis, "%Y%m%dT%H%M%S")
}

/// A time in any form.
pub(crate) fn format_time(millis: i64, format: &str) -> String {
    // Times come from day arithmetic within a few centuries, which is well inside of what can be formatted.
    Timestamp::from_millisecond(millis).map(|time| time.strftime(format).to_string()).unwrap_or_default()
}

/// Reads an RFC 3339 time.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}
