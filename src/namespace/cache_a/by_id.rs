//! Any product by its identifier. Not listed: the names are as many as the archive has products.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::catalog::identifier::spellings;
use crate::catalog::stac::Item;
use crate::error::{ErrorKind, Result, fail};
use crate::namespace::cache_a::archive::Archive;
use crate::namespace::cache_a::product::{self, Part, names_of};
use crate::namespace::name::decode;
use crate::namespace::{Directory, Listing, Node};

/// The products of a collection, to be looked up.
pub(super) struct ById {
    pub(super) archive: Arc<Archive>,
    pub(super) collection: Arc<str>,
}

impl ById {
    /// Whether `name` is a name of this product, and the mount is not restricted to others.
    fn is_called(&self, item: &Item, name: &str) -> bool {
        names_of(&item.record).any(|known| known == name)
            && self.archive.restriction(&self.collection).admits(item)
    }
}

impl Directory for ById {
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Node>> {
        Box::pin(async move {
            let missing = || fail(ErrorKind::NotFound, format!("{} has no product {name}", self.collection));
            let Some(text) = decode(name).filter(|text| plausible(text)) else { return missing() };
            let (product, part) = Part::asked(name);
            let (id, _) = Part::asked(&text);
            // The service's ids may come with or without the folder's ending (protocol.md 3.3).
            for id in spellings(id) {
                match self.archive.item(&self.collection, &id).await {
                    Ok(item) if self.is_called(&item, product) => {
                        return product::node(&self.archive, &self.collection, &item.record, part).await;
                    }
                    Ok(_) => return missing(),
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            missing()
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        Box::pin(async { Ok(Listing::default()) })
    }

    fn absent_for(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// Programs probe every directory for names such as `.Trash-1000` or `x.aux.xml`; they are no identifiers,
/// and a request for each would be wasted.
fn plausible(name: &str) -> bool {
    let probe = [".xml", ".ovr", ".msk", ".aux", ".ini", ".db", ".hidden", ".directory"];
    let lower = name.to_ascii_lowercase();
    !name.starts_with('.') && name.len() >= 3 && !probe.iter().any(|ending| lower.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_not_identifiers() {
        for name in [".Trash-1000", "autorun.ini", "x.aux.xml", "x.OVR", ".xdg-volume-info", ""] {
            assert!(!plausible(name), "{name}");
        }
        assert!(plausible("S2A_MSIL2A_20240924T101031_N0511_R022_T32TQM_20240924T160000.SAFE"));
        assert!(plausible(
            "S5P_OFFL_L2__NO2____20200303T013547_20200303T031717_12361_01_010302_20200304T182036.nc"
        ));
    }
}
