//! What a mount says of itself in `.dcmsfs/status.json`. No secrets: only names, times and counts.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::credentials::{AccountState, Credentials};
use crate::fetch::Fetch;
use crate::store::Store;

/// A root of the tree and the door to its service.
pub(super) struct Root {
    pub(super) name: String,
    pub(super) url: Url,
    pub(super) fetch: Fetch,
}

/// The source of the mount's own view of itself.
pub(super) struct Report {
    point: PathBuf,
    since: Timestamp,
    roots: Vec<Root>,
    credentials: Credentials,
    store: Store,
}

/// The mount's view of itself.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) pid: u32,
    pub(super) mountpoint: PathBuf,
    pub(super) since: Timestamp,
    pub(super) services: Vec<Service>,
    pub(super) accounts: Vec<Account>,
    pub(super) memory_bytes: u64,
    /// The cache on disk; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) disk: Option<DiskUse>,
}

/// The cache on disk, of all mounts that share it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct DiskUse {
    pub(super) bytes: u64,
    pub(super) limit: u64,
    /// Blocks and objects that this mount found damaged.
    pub(super) damaged: u64,
    /// Why nothing is stored for now; absent when all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
}

/// One service behind the mount.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) transfers: usize,
    pub(super) slots: usize,
    pub(super) requests: u64,
    pub(super) bytes: u64,
    pub(super) failures: u64,
    /// Why the last request failed; absent when it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
    /// Whether the service gives parts of files; absent until it has been asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ranges: Option<bool>,
}

/// How the account stands with one service.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
}

/// Whether there is a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    LoggedIn,
    Expired,
    Missing,
    NotNeeded,
}

impl Report {
    pub(super) fn new(point: &Path, roots: Vec<Root>, credentials: Credentials, store: Store) -> Self {
        Self { point: point.to_owned(), since: Timestamp::now(), roots, credentials, store }
    }

    pub(super) fn status(&self) -> Status {
        let service = |root: &Root| {
            let (transfers, slots) = root.fetch.slots();
            let (requests, bytes, failures) = root.fetch.traffic().totals();
            let (name, url, ranges) = (root.name.clone(), root.url.to_string(), root.fetch.ranges());
            let problem = root.fetch.traffic().problem().map(|error| error.to_string());
            Service { name, url, transfers, slots, requests, bytes, failures, problem, ranges }
        };
        let account = |account: crate::credentials::AccountStatus| {
            let (state, until) = match account.state {
                AccountState::LoggedIn { until } => (State::LoggedIn, until),
                AccountState::Expired => (State::Expired, None),
                AccountState::Missing => (State::Missing, None),
                AccountState::NotNeeded => (State::NotNeeded, None),
            };
            Account { name: account.name, state, user: account.user, until, problem: account.problem }
        };
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            mountpoint: self.point.clone(),
            since: self.since,
            services: self.roots.iter().map(service).collect(),
            accounts: self.credentials.status().into_iter().map(account).collect(),
            memory_bytes: self.store.memory_used(),
            disk: self.store.disk().map(|disk| DiskUse {
                bytes: disk.bytes,
                limit: disk.limit,
                damaged: disk.corrupt,
                problem: disk.paused,
            }),
        }
    }

    pub(super) fn json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(&self.status()).unwrap_or_default();
        json.push(b'\n');
        json
    }
}
