//! What a person means by a path: people paste paths of a mount, or write them as they stand in the tree.

use std::path::Path;

use crate::error::{ErrorKind, Result, fail};
use crate::settings::Settings;
use crate::sys::mounts;

/// The names at the root of the tree that files are below.
pub(super) fn roots(settings: &Settings) -> Vec<String> {
    let catalogs = settings.catalog.iter().map(|catalog| catalog.name.clone());
    let hosts = settings.cache_b.root.iter().map(|root| root.name.clone());
    ["cache-a", "cache-b", "views"].map(str::to_owned).into_iter().chain(catalogs).chain(hosts).collect()
}

/// The path below the root of a mount. The mount need not be there: then the first name of the root in the path is
/// where it begins. Asks no mount, for it may be dead.
///
/// # Errors
/// `InvalidInput` for an absolute path that is on no mount and has no such name in it.
pub(super) fn below(text: &str, roots: &[String]) -> Result<String> {
    let points: Vec<_> = mounts::ours().into_iter().map(|mount| mount.point).collect();
    below_of(text, roots, &points.iter().map(|point| point.as_path()).collect::<Vec<&Path>>())
}

fn below_of(text: &str, roots: &[String], points: &[&Path]) -> Result<String> {
    let is_root = |name: &str| roots.iter().any(|root| root == name);
    let first = text.trim_start_matches("./").split('/').next().unwrap_or_default();
    if is_root(first) {
        return Ok(text.to_owned());
    }
    let absolute = std::path::absolute(text).unwrap_or_else(|_| text.into());
    let inside = points.iter().filter_map(|point| absolute.strip_prefix(point).ok());
    // The innermost mount, for one may lie below another.
    if let Some(rest) = inside.min_by_key(|rest| rest.as_os_str().len()) {
        return Ok(rest.display().to_string());
    }
    let names: Vec<&str> = text.split('/').collect();
    match names.iter().position(|name| is_root(name)) {
        Some(at) => Ok(names[at..].join("/")),
        None if !text.starts_with('/') => Ok(text.to_owned()),
        None => fail(
            ErrorKind::InvalidInput,
            format!("{text} is on no mount: begin it with one of {}", roots.join(", ")),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_as_people_write_them() {
        let roots = ["cache-a", "cache-b", "views", "edh"].map(str::to_owned);
        let points = [Path::new("/mnt/destine"), Path::new("/mnt/destine/cache-a/x/inner")];
        let find = |text: &str| below_of(text, &roots, &points).ok();
        for (text, below) in [
            ("cache-a/SENTINEL-2/**", Some("cache-a/SENTINEL-2/**")),
            ("./cache-b/x.zarr/t2m[0:48,:,:]", Some("./cache-b/x.zarr/t2m[0:48,:,:]")),
            (
                "/mnt/destine/cache-a/S/search/cloud<20,bbox=1:2:3:4/**",
                Some("cache-a/S/search/cloud<20,bbox=1:2:3:4/**"),
            ),
            ("/mnt/destine/./cache-b/", Some("cache-b")),
            ("/mnt/destine/cache-a/x/inner/cache-b/y", Some("cache-b/y")),
            ("/home/me/unmounted/cache-a/S/by-id/X", Some("cache-a/S/by-id/X")),
            ("/home/me/edh/x.zarr", Some("edh/x.zarr")),
            ("/mnt/destinex/S", None),
            ("/etc/passwd", None),
            ("cache-?/S", Some("cache-?/S")),
        ] {
            assert_eq!(find(text).as_deref(), below, "{text}");
        }
    }
}
