//! Products and stores that lie in a directory of this machine, for measurements with files of real size.
//!
//! All of it is read at the start: what is sent is then a part of memory, and no disk takes part in what is
//! measured. Links to one file are read once.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::content::Content;
use crate::data::{File, Mission, Place, Scene, file_media, time_in_name};

/// The objects of a store by their keys.
pub(crate) type Objects = BTreeMap<String, Bytes>;

/// The files of a directory by their paths in it.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    files: BTreeMap<String, Bytes>,
}

impl Disk {
    /// Reads everything below `products` and `stores` of a directory.
    pub(crate) fn load(directory: &Path) -> io::Result<Disk> {
        let (mut files, mut links) = (BTreeMap::new(), HashMap::new());
        let mut folders = vec!["products".to_owned(), "stores".to_owned()];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(directory.join(&folder)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.contains('/') => continue,
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
                let metadata = entry.metadata()?;
                if metadata.is_dir() {
                    folders.push(path);
                    continue;
                }
                let file = (metadata.dev(), metadata.ino());
                let bytes = match links.get(&file) {
                    Some(bytes) => Bytes::clone(bytes),
                    None => Bytes::from(fs::read(entry.path())?),
                };
                links.insert(file, bytes.clone());
                files.insert(path, bytes);
            }
        }
        Ok(Disk { files })
    }

    /// The products of a collection in the order of time, each with its files in the order of their paths.
    pub(crate) fn products(&self, mission: Mission) -> Vec<(Scene, Arc<[File]>)> {
        let folder = format!("products/{}/", mission.collection());
        let mut products = BTreeMap::<&str, Vec<File>>::new();
        for (path, bytes) in self.files.range(folder.clone()..) {
            let Some(rest) = path.strip_prefix(&folder) else { break };
            let Some((product, path)) = rest.split_once('/') else { continue };
            let id = product.strip_suffix(mission.suffix()).unwrap_or(product);
            let content = Content::bytes(bytes.clone());
            products.entry(id).or_default().push(File {
                path: path.to_owned(),
                media: file_media(path),
                content,
            });
        }
        let scene = |(id, files): (&str, Vec<File>)| Some((scene(mission, id)?, files));
        let mut products = products.into_iter().filter_map(scene).collect::<Vec<(Scene, Vec<File>)>>();
        products.sort_by_key(|(scene, _)| scene.start);
        for (number, (scene, _)) in products.iter_mut().enumerate() {
            scene.number = number as u64;
        }
        products.into_iter().map(|(scene, files)| (scene, files.into())).collect()
    }

    /// The stores: every directory that is named `….zarr`.
    pub(crate) fn stores(&self) -> BTreeMap<String, Objects> {
        let mut stores = BTreeMap::<String, Objects>::new();
        for (path, bytes) in &self.files {
            let Some(path) = path.strip_prefix("stores/") else { continue };
            let Some((store, key)) = path.split_once(".zarr/") else { continue };
            stores.entry(format!("{store}.zarr")).or_default().insert(key.to_owned(), bytes.clone());
        }
        stores
    }
}

/// A product that is called so; nothing, if its name tells no time.
fn scene(mission: Mission, id: &str) -> Option<Scene> {
    let (start, _) = time_in_name(mission, id)?;
    let tile = id.split('_').find_map(|part| {
        match mission {
            Mission::Mosaics => Some(part),
            _ => part.strip_prefix('T'),
        }
        .filter(|tile| tile.len() == 5)
    });
    let place = tile.map_or(Place::Point(12.0, 44.0), Place::Tile);
    let mut scene = Scene::new(mission, 0, start, &place, 0);
    scene.id = id.to_owned();
    Some(scene)
}
