//! The products of the demo.

use super::files::{self, File};
use super::mission::Place;
use super::{Mission, Scene, parse_time};

/// When, over which tile or place, and the choice of platform and product type.
type Entry = (&'static str, Place, u64);

/// The products of a collection, in the order of time.
pub(crate) fn scenes(mission: Mission) -> Vec<Scene> {
    let list: Vec<Entry> = match mission {
        Mission::Sentinel1 => vec![
            ("2024-09-18T17:06:39Z", Place::Point(12.0, 42.2), 0),
            ("2024-09-24T05:18:22Z", Place::Point(11.0, 46.4), 0),
        ],
        Mission::Sentinel2 => vec![
            ("2024-09-17T10:20:21Z", Place::Tile("32TPS"), 1),
            ("2024-09-19T10:10:21Z", Place::Tile("32TQM"), 1),
            ("2024-09-22T10:20:31Z", Place::Tile("32TPS"), 0),
            ("2024-09-24T10:10:31Z", Place::Tile("32TQM"), 0),
            ("2024-09-24T10:10:46Z", Place::Tile("32TPS"), 0),
            ("2024-09-25T10:36:51Z", Place::Tile("31UFT"), 1),
        ],
        Mission::Sentinel3 => vec![
            ("2024-09-23T09:46:58Z", Place::Point(10.0, 47.0), 2),
            ("2024-09-24T09:21:13Z", Place::Point(12.0, 44.0), 0),
        ],
        Mission::Sentinel5P => vec![
            ("2024-09-23T11:42:07Z", Place::Point(12.0, 45.0), 9),
            ("2024-09-24T11:23:05Z", Place::Point(12.0, 45.0), 0),
        ],
        Mission::Mosaics => vec![
            ("2024-04-01T00:00:00Z", Place::Tile("32TQM"), 0),
            ("2024-07-01T00:00:00Z", Place::Tile("32TQM"), 0),
        ],
        Mission::Sentinel6 => vec![("2024-09-24T06:02:11Z", Place::Point(-20.0, 40.0), 0)],
    };
    let mut scenes = Vec::new();
    for (start, place, pick) in list {
        let Some(start) = parse_time(start) else { continue };
        let mut scene = Scene::new(mission, scenes.len() as u64, start, &place, pick);
        if mission == Mission::Mosaics {
            scene.end = start + 91 * 86_400_000 - 1;
        }
        scenes.push(scene);
    }
    scenes
}

/// The files of a product.
pub(crate) fn files(scene: &Scene) -> Vec<File> {
    files::computed(scene, 1000)
}
