//! Copies of whole products: while one file is read, the next ones are fetched.
//!
//! `cp -r` reads strictly one file after another, so without this a second download slot would be idle, and
//! each small file would cost a round trip (read-path.md 1.3).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::error::Result;
use crate::filesystem::Filesystem;
use crate::filesystem::handles::Shared;
use crate::filesystem::inodes::inode_number;
use crate::namespace::{Content, Directory, Node};
use crate::reader::Walk;
use crate::store::{Begun, Remote};

/// Products whose readers are followed at once.
const FOLLOWED: usize = 8;
/// How long a program may be silent before it is not followed any more.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait for a free slot before another look: one may become free in another process.
const LOOK: Duration = Duration::from_secs(1);

/// The products that are being read, most recent first.
#[derive(Default)]
pub(super) struct Walks(Mutex<Vec<Arc<Product>>>);

/// A product whose files are being opened.
struct Product {
    /// The inode of its folder.
    folder: u64,
    state: Mutex<State>,
    /// Rung when a file is opened.
    bell: Notify,
}

struct State {
    /// `None` until its files have been listed.
    walk: Option<Walk>,
    files: HashMap<u64, Remote>,
    /// The file that was opened last.
    last: Option<Opened>,
    when: Instant,
    followed: bool,
}

/// A file that was opened.
pub(super) struct Opened {
    pub(super) inode: u64,
    pub(super) shared: Arc<Shared>,
    pub(super) length: Option<u64>,
}

impl Opened {
    fn was_read(&self) -> bool {
        self.length.is_some_and(|length| self.shared.cursors.lock().reached(length))
    }
}

impl Product {
    /// Notes that a file was opened; whether somebody must begin to follow the program that did.
    fn note(&self, opened: Opened) -> bool {
        let mut state = self.state.lock();
        let read_before = state.last.as_ref().is_some_and(Opened::was_read);
        if let Some(walk) = &mut state.walk {
            walk.opened(opened.inode, read_before);
        }
        state.last = Some(opened);
        state.when = Instant::now();
        let foreseen = state.walk.as_ref().is_some_and(|walk| !walk.next().is_empty());
        let begin = foreseen && !state.followed;
        state.followed |= begin;
        drop(state);
        self.bell.notify_waiters();
        begin
    }

    /// The files that come next, until those before a file are more than `most` bytes.
    fn next(&self, most: u64) -> Vec<Remote> {
        let state = self.state.lock();
        let Some(walk) = &state.walk else { return Vec::new() };
        let mut sum = 0;
        let files = walk.next().iter().filter_map(|file| state.files.get(file));
        let near = files.take_while(|remote| {
            let before = sum;
            sum += remote.length.unwrap_or(0);
            before < most
        });
        near.cloned().collect()
    }
}

impl Filesystem {
    /// A remote file was opened: perhaps as one of many.
    pub(super) fn follow(&self, opened: Opened) {
        let Some((folder, directory)) = self.0.inodes.product(opened.inode) else { return };
        let known = self.0.walks.0.lock().iter().find(|product| product.folder == folder).cloned();
        let filesystem = self.clone();
        match known {
            Some(product) => {
                if product.note(opened) {
                    self.0.store.spawn(async move { filesystem.fetch_ahead(&product).await });
                }
            }
            None => self.0.store.spawn(async move { filesystem.meet(folder, directory, opened).await }),
        }
    }

    /// Lists the files of a product that is opened for the first time in a while.
    async fn meet(&self, folder: u64, directory: Arc<dyn Directory>, opened: Opened) {
        let state =
            State { walk: None, files: HashMap::new(), last: None, when: Instant::now(), followed: false };
        let product = Arc::new(Product { folder, state: Mutex::new(state), bell: Notify::new() });
        {
            let mut walks = self.0.walks.0.lock();
            if walks.iter().any(|other| other.folder == folder) {
                return;
            }
            walks.truncate(FOLLOWED - 1);
            walks.insert(0, Arc::clone(&product));
        }
        let mut files = Vec::new();
        if let Err(error) = collect(folder, directory.as_ref(), &mut Vec::new(), &mut files).await {
            tracing::debug!("a product cannot be listed ahead: {error}");
            return;
        }
        let listed = files.iter().map(|file| file.inode).collect();
        // coreutils' `cp` goes through each directory in the order of inode numbers.
        files.sort_by(|one, two| one.path.cmp(&two.path));
        let by_number = files.iter().map(|file| file.inode).collect();
        {
            let mut state = product.state.lock();
            state.files = files.into_iter().map(|file| (file.inode, file.remote)).collect();
            state.walk = Some(Walk::new(vec![listed, by_number]));
        }
        product.note(opened);
    }

    /// Sees to it that the next files are on their way for as long as the program goes on.
    async fn fetch_ahead(&self, product: &Product) {
        let most = self.0.store.ahead_budget();
        loop {
            let event = product.bell.notified();
            tokio::pin!(event);
            // Registered before the look, so that what happens between look and wait is not missed.
            event.as_mut().enable();
            let near = product.next(most);
            match near.first() {
                Some(remote) => {
                    let freed = remote.fetch.slot_freed();
                    tokio::pin!(freed);
                    freed.as_mut().enable();
                    let mut begun = near.iter().map(|remote| self.0.store.begin(remote, most));
                    let stops = begun.find(|begun| matches!(begun, Begun::NoSlot | Begun::Failed));
                    if stops == Some(Begun::Failed) {
                        // So would the others, one after the other: the next file that is opened shows.
                        product.state.lock().followed = false;
                        return;
                    }
                    let blocked = stops.is_some();
                    let wait = async {
                        tokio::select! { () = event => {}, () = freed, if blocked => {} }
                    };
                    let _ = timeout(if blocked { LOOK } else { PATIENCE }, wait).await;
                }
                None => {
                    let _ = timeout(PATIENCE, event).await;
                }
            }
            let mut state = product.state.lock();
            if state.when.elapsed() >= PATIENCE {
                state.followed = false;
                return;
            }
        }
    }
}

struct Listed {
    /// Inode numbers from the folder down.
    path: Vec<u64>,
    inode: u64,
    remote: Remote,
}

/// All remote files below a directory, depth first in the order of the listings.
fn collect<'a>(
    number: u64,
    directory: &'a dyn Directory,
    path: &'a mut Vec<u64>,
    files: &'a mut Vec<Listed>,
) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        let listing = directory.list().await?;
        for entry in (0..listing.len()).filter_map(|position| listing.get(position)) {
            let inode = inode_number(number, &entry.name);
            path.push(inode);
            match &entry.node {
                Some(Node::Directory(below)) => collect(inode, below.as_ref(), path, files).await?,
                Some(Node::File(file)) => {
                    if let Content::Remote(remote) = &file.content {
                        files.push(Listed { path: path.clone(), inode, remote: remote.clone() });
                    }
                }
                None => {}
            }
            path.pop();
        }
        Ok(())
    })
}
