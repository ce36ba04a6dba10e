//! What a mount says of itself in `.dcmsfs/status.json`. No secrets: only names, times and counts.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::credentials::{AccountState, Credentials};
use crate::fetch::{Counts, Fetch, Spent};
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
    /// Chunks that were fetched ahead of their reader, and those of them that were read.
    pub(super) guesses: u64,
    pub(super) guesses_read: u64,
    /// What all mounts of the user have asked for in this day and month.
    pub(super) today: Counts,
    pub(super) month: Counts,
    /// Own limits of that.
    pub(super) limits: Vec<LimitUse>,
    /// Until when the service wants no request; absent when it may be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) paused_until: Option<Timestamp>,
    /// Why counts are not kept on disk for now; absent when all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) counts_problem: Option<String>,
}

/// A limit and how far it is used up.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct LimitUse {
    /// The key of the configuration.
    pub(super) setting: String,
    /// Requests or bytes.
    pub(super) limit: u64,
    pub(super) used: u64,
    /// Hundredths.
    pub(super) percent: u64,
    pub(super) state: LimitState,
    /// When it begins anew.
    pub(super) resets: Timestamp,
    /// The two numbers for a person.
    pub(super) shown: String,
}

/// How far a limit is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum LimitState {
    Ok,
    /// Four fifths.
    Warning,
    UsedUp,
}

impl From<Spent> for LimitUse {
    fn from(spent: Spent) -> Self {
        let state = match (spent.is_used_up(), spent.is_near()) {
            (true, _) => LimitState::UsedUp,
            (false, true) => LimitState::Warning,
            (false, false) => LimitState::Ok,
        };
        Self {
            limit: spent.limit.most,
            used: spent.used,
            percent: spent.percent(),
            state,
            resets: spent.until,
            shown: format!("{} of {}", spent.used(), spent.most()),
            setting: spent.limit.setting,
        }
    }
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
            let (guesses, guesses_read) = root.fetch.traffic().guesses();
            let account = root.fetch.budget().account();
            Service {
                name,
                url,
                transfers,
                slots,
                requests,
                bytes,
                failures,
                problem,
                ranges,
                guesses,
                guesses_read,
                today: account.today,
                month: account.month,
                limits: account.limits.into_iter().map(LimitUse::from).collect(),
                paused_until: account.paused,
                counts_problem: account.trouble,
            }
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
