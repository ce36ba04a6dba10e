//! The doors to the services: each with its slots and its budget.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::backend::Backend;
use crate::credentials::Credentials;
use crate::error::Result;
use crate::fetch::budget::{Budget, BudgetSettings};
use crate::fetch::slots::{Slots, UserSlots};
use crate::fetch::{Fetch, Limit};
use crate::run::places;
use crate::transport::{Keyring, Origin};

/// How long a transfer waits for its turn (contract.md 4.3).
const QUEUE: Duration = Duration::from_secs(15 * 60);

/// What may be asked of a service; by default everything that somebody waits for.
#[derive(Clone, Default)]
pub(super) struct Allowed {
    pub(super) limits: Vec<Limit>,
    /// Files at a time that nobody has opened.
    pub(super) ahead: usize,
}

/// What all doors have in common.
pub(super) struct Doors {
    credentials: Credentials,
    keyring: Keyring,
    counts: PathBuf,
}

impl Doors {
    pub(super) fn new(credentials: Credentials, keyring: Keyring) -> Self {
        Self { credentials, keyring, counts: places::counts_directory() }
    }

    /// The door to a service whose slots all processes of the user share.
    ///
    /// # Errors
    /// `Configuration` when there is no place for the slots.
    pub(super) fn of_user(&self, backend: Arc<dyn Backend>, slots: usize, url: &Url) -> Result<Fetch> {
        let directory = places::runtime_directory()?.join("slots").join(short(&Origin::of(url)?.to_string()));
        let slots = UserSlots::shared(slots, directory, QUEUE)?;
        Ok(self.open(backend, Arc::new(slots), url, Allowed::default()))
    }

    /// The door to a service that limits the requests of each process only.
    pub(super) fn of_process(
        &self,
        backend: Arc<dyn Backend>,
        slots: usize,
        url: &Url,
        allowed: Allowed,
    ) -> Fetch {
        self.open(backend, Arc::new(UserSlots::local(slots, QUEUE)), url, allowed)
    }

    /// The budget is counted by the service's address, whatever it is called in a configuration.
    fn open(&self, backend: Arc<dyn Backend>, slots: Arc<dyn Slots>, url: &Url, allowed: Allowed) -> Fetch {
        let budget = Budget::open(BudgetSettings {
            service: backend.name().to_owned(),
            address: url.to_string(),
            directory: self.counts.join(short(url.as_str())),
            limits: allowed.limits,
            ahead: allowed.ahead,
        });
        Fetch::new(backend, slots, self.credentials.clone(), self.keyring.clone(), budget)
    }
}

/// A file name for an address.
fn short(address: &str) -> String {
    blake3::hash(address.as_bytes()).to_hex()[..16].to_owned()
}
