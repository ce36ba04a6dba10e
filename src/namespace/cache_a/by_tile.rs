//! Place first, then date: tiles by zone, band and square, all else by its bucket.
//!
//! The squares come from arithmetic. Which other buckets a collection has is not known without walking it, so those
//! are listed that one page of its products shows; any other can be looked up.

use std::collections::BTreeSet;

use futures_util::future::BoxFuture;

use super::dates::Dates;
use super::scope::Scope;
use crate::catalog::identifier::{BucketName, Mission};
use crate::catalog::mgrs::{Tile, bands, squares, zones};
use crate::catalog::parse_bucket_name;
use crate::error::{ErrorKind, Result, fail};
use crate::namespace::{Directory, Entry, FIXED, Kind, Listing, Node};

/// The first level.
pub(super) struct ByTile {
    pub(super) scope: Scope,
}

/// The bands of a zone, or the squares of a band.
struct Squares {
    scope: Scope,
    zone: u8,
    band: Option<char>,
}

/// The second level of buckets that have two: tracks of a product type.
struct Tracks {
    scope: Scope,
    first: String,
}

impl ByTile {
    /// Whether the collection is filed under tiles. Sentinel-2 is; of others a page of products tells.
    async fn is_tiled(&self) -> Result<bool> {
        match Mission::from_platform(&self.scope.collection) {
            Some(mission) => Ok(mission == Mission::Sentinel2),
            None => Ok(self.scope.archive.sample(&self.scope.collection).await?.tiled),
        }
    }

    async fn bucket(&self, name: &str) -> Result<Node> {
        let missing =
            || fail(ErrorKind::NotFound, format!("{name} is no place in {}", self.scope.collection));
        let Some(bucket) = parse_bucket_name(name) else { return missing() };
        match bucket {
            BucketName::ProductType(_) => {}
            // Names of a grid or an area have no form that could be told from a program's probing.
            BucketName::Other(_) => {
                let sample = self.scope.archive.sample(&self.scope.collection).await?;
                let mut known =
                    sample.places.iter().filter(|place| place.first().is_some_and(|first| first == name));
                match known.next() {
                    None => return missing(),
                    Some(place) if place.len() == 1 => return Ok(dates(&self.scope, vec![name.to_owned()])),
                    Some(_) => {}
                }
            }
            _ => return Ok(dates(&self.scope, vec![name.to_owned()])),
        }
        Ok(Node::directory(Tracks { scope: self.scope.clone(), first: name.to_owned() }))
    }
}

/// The dates of a bucket.
fn dates(scope: &Scope, place: Vec<String>) -> Node {
    let within = place.first().and_then(|name| scope.within(name));
    Node::directory(Dates::years(within.unwrap_or_else(|| scope.clone()), place))
}

fn zone(name: &str) -> Option<u8> {
    let zone = name.parse().ok().filter(|zone| zones().contains(zone))?;
    (format!("{zone:02}") == name).then_some(zone)
}

impl Directory for ByTile {
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Node>> {
        Box::pin(async move {
            match (self.is_tiled().await?, zone(name)) {
                (true, Some(zone)) => {
                    Ok(Node::directory(Squares { scope: self.scope.clone(), zone, band: None }))
                }
                (true, None) => fail(ErrorKind::NotFound, format!("{name} is no UTM zone, 01 to 60")),
                (false, _) => self.bucket(name).await,
            }
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        Box::pin(async {
            if self.is_tiled().await? {
                return Ok(named(zones().map(|zone| format!("{zone:02}"))));
            }
            let sample = self.scope.archive.sample(&self.scope.collection).await?;
            let firsts: BTreeSet<&String> = sample.places.iter().filter_map(|place| place.first()).collect();
            Ok(named(firsts.into_iter().cloned()))
        })
    }

    fn is_vast(&self) -> bool {
        true
    }
}

impl Squares {
    fn find(&self, name: &str) -> Result<Node> {
        let missing = || fail(ErrorKind::NotFound, format!("{name} is not in the MGRS grid here"));
        let Some(band) = self.band else {
            let found = bands(self.zone).into_iter().find(|band| name.len() == 1 && name.starts_with(*band));
            return match found {
                Some(band) => {
                    Ok(Node::directory(Self { scope: self.scope.clone(), zone: self.zone, band: Some(band) }))
                }
                None => missing(),
            };
        };
        match Tile::parse(&format!("{:02}{band}{name}", self.zone)).filter(|_| name.len() == 2) {
            Some(tile) => Ok(dates(&self.scope, vec![tile.directory()])),
            None => missing(),
        }
    }
}

impl Directory for Squares {
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Node>> {
        Box::pin(async move { self.find(name) })
    }

    fn at_hand(&self, name: &str) -> Option<Result<Node>> {
        Some(self.find(name))
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        Box::pin(async {
            Ok(match self.band {
                None => named(bands(self.zone).into_iter().map(String::from)),
                Some(band) => named(squares(self.zone, band).into_iter().map(Tile::square)),
            })
        })
    }

    fn edition(&self) -> Option<u64> {
        Some(FIXED)
    }

    fn is_vast(&self) -> bool {
        true
    }
}

impl Directory for Tracks {
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Node>> {
        Box::pin(async move {
            let place = vec![self.first.clone(), name.to_owned()];
            let sampled = || async {
                Ok(self.scope.archive.sample(&self.scope.collection).await?.places.contains(&place))
            };
            let plausible = match parse_bucket_name(name) {
                Some(BucketName::Other(_)) => sampled().await?,
                found => found.is_some(),
            };
            match plausible {
                true => Ok(dates(&self.scope, place)),
                false => fail(ErrorKind::NotFound, format!("{name} is no part of {}", self.first)),
            }
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        Box::pin(async {
            let sample = self.scope.archive.sample(&self.scope.collection).await?;
            let mine = sample.places.iter().filter(|place| place.first() == Some(&self.first));
            Ok(named(mine.filter_map(|place| place.get(1)).cloned()))
        })
    }
}

fn named(names: impl Iterator<Item = String>) -> Listing {
    Listing::of(names.map(|name| Entry::named(name, Kind::Directory)).collect())
}
