//! One place for every file of a product, whatever the server names twice.
//!
//! The outcome depends on the set of assets only, not on their order: they are sorted first. Of several
//! with one path the first by key keeps it, the others get a piece of a hash before their ending. A file
//! that is named like a directory of the product gives way to the directory.

use std::collections::HashSet;

use super::Asset;

/// Gives each asset its own path; the same address under the same path is one file. Sorted by path then.
pub(in super::super) fn arrange(assets: &mut Vec<Asset>) {
    assets.sort_by(|a, b| {
        (a.whole_product, &a.path, &a.key, &a.href).cmp(&(b.whole_product, &b.path, &b.key, &b.href))
    });
    assets.dedup_by(|later, first| {
        let same = later.whole_product == first.whole_product
            && later.path == first.path
            && later.href == first.href;
        if same {
            first.size = first.size.or(later.size);
            first.checksum = first.checksum.take().or(later.checksum.take());
        }
        same
    });
    let beside = assets.partition_point(|asset| !asset.whole_product);
    let (inside, beside) = assets.split_at_mut(beside);
    separate(inside);
    separate(beside);
    assets.sort_by(|a, b| (a.whole_product, &a.path).cmp(&(b.whole_product, &b.path)));
}

/// Renames what collides among the files of one tree; `assets` are sorted.
fn separate(assets: &mut [Asset]) {
    let directories: HashSet<&str> = assets.iter().flat_map(|asset| parents(&asset.path)).collect();
    let mut taken: HashSet<&str> = HashSet::new();
    let loses = |asset: &&Asset| directories.contains(asset.path.as_str());
    // Everyone who may keep a name takes it before a made-up name can.
    let losers: Vec<bool> = assets.iter().map(|asset| loses(&asset) || !taken.insert(&asset.path)).collect();
    let mut made: HashSet<String> = HashSet::new();
    let mut renamed = Vec::new();
    for (place, asset) in assets.iter().enumerate().filter(|(place, _)| losers[*place]) {
        let free = (0u32..).map(|attempt| with_hash(asset, attempt)).find(|path| {
            !directories.contains(path.as_str()) && !taken.contains(path.as_str()) && !made.contains(path)
        });
        if let Some(path) = free {
            made.insert(path.clone());
            renamed.push((place, path));
        }
    }
    for (place, path) in renamed {
        assets[place].path = path;
    }
}

/// The directories above a path.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(slash, _)| &path[..slash])
}

/// The asset's path with a piece of a hash: `R10m/x.jp2` → `R10m/x~1a2b3c4d.jp2`.
fn with_hash(asset: &Asset, attempt: u32) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [asset.key.as_bytes(), asset.href.as_bytes(), &attempt.to_le_bytes()] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let hash = hasher.finalize().to_hex();
    let (folder, name) =
        asset.path.rsplit_once('/').map_or(("", asset.path.as_str()), |(folder, name)| (folder, name));
    let slash = if folder.is_empty() { "" } else { "/" };
    let (stem, ending) = match name.rfind('.') {
        Some(dot) if dot > 0 => name.split_at(dot),
        _ => (name, ""),
    };
    format!("{folder}{slash}{stem}~{}{ending}", &hash[..8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asset(key: &str, href: &str, path: &str) -> Asset {
        Asset {
            key: key.into(),
            href: href.into(),
            alternates: vec![],
            path: path.into(),
            size: None,
            media_type: None,
            checksum: None,
            local_path: None,
            roles: vec![],
            whole_product: path.ends_with(".zip"),
        }
    }

    fn paths(assets: &[Asset]) -> Vec<&str> {
        assets.iter().map(|asset| asset.path.as_str()).collect()
    }

    #[test]
    fn the_same_file_twice_is_one() {
        let mut assets = vec![asset("b", "u", "x"), asset("a", "u", "x")];
        assets[0].size = Some(7);
        arrange(&mut assets);
        assert_eq!((assets.len(), assets[0].key.as_str(), assets[0].size), (1, "a", Some(7)));
    }

    #[test]
    fn the_first_key_keeps_the_name() {
        let mut assets = vec![asset("b", "2", "d/ql.jpg"), asset("a", "1", "d/ql.jpg")];
        arrange(&mut assets);
        assert_eq!(assets[0].path, "d/ql.jpg");
        assert_eq!(assets[0].key, "a");
        assert!(assets[1].path.starts_with("d/ql~") && assets[1].path.ends_with(".jpg"));
    }

    #[test]
    fn a_file_gives_way_to_a_directory() {
        let mut assets = vec![asset("a", "1", "x"), asset("b", "2", "x/y"), asset("c", "3", "x/y/z")];
        arrange(&mut assets);
        assert!(paths(&assets).contains(&"x/y/z"));
        assert!(!paths(&assets).contains(&"x") && !paths(&assets).contains(&"x/y"));
    }

    #[test]
    fn archives_lie_beside_and_do_not_collide_with_the_inside() {
        let mut assets = vec![asset("a", "1", "p.zip"), asset("b", "2", "p.zip/x")];
        assets[1].whole_product = false;
        arrange(&mut assets);
        assert_eq!(paths(&assets), ["p.zip/x", "p.zip"]);
    }

    proptest! {
        #[test]
        fn unique_and_independent_of_order(
            given in prop::collection::vec(("[ab]", "[12]", "[ab](/[ab](\\.c)?){0,2}"), 0..12),
            turn in 0usize..12,
        ) {
            let mut assets: Vec<_> = given.iter().map(|(key, href, path)| asset(key, href, path)).collect();
            let mut turned = assets.clone();
            turned.rotate_left(turn.min(given.len()));
            arrange(&mut assets);
            arrange(&mut turned);
            prop_assert_eq!(&assets, &turned);
            let all: HashSet<_> = paths(&assets).into_iter().collect();
            prop_assert_eq!(all.len(), assets.len());
            for path in paths(&assets) {
                prop_assert!(parents(path).all(|parent| !all.contains(parent)));
            }
        }
    }
}
