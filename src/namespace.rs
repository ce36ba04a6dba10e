//! What exists remotely, as directories and files: one small type per level.
//!
//! A [`Directory`] looks a name up and lists. Looking up never lists more than it must; a listing is a
//! snapshot with stable order. Directories are light keys into shared, cached catalogues, so they may be
//! made anew at every lookup.

pub mod cache_a;
pub mod cache_b;
pub mod name;
pub mod static_tree;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use jiff::Timestamp;

use crate::catalog::zarr::Selection;
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::{Allowance, Fetch};
use crate::store::Remote;

/// The edition of directories that never change while the mount lives.
pub const FIXED: u64 = 0;

/// Names and values of extended attributes.
pub type Attributes = Vec<(String, Bytes)>;

/// A level of the tree.
pub trait Directory: Send + Sync {
    /// What `name` stands for.
    ///
    /// # Errors
    /// `NotFound` when nothing does; whatever the service met otherwise.
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Node>>;

    /// The same if no service need be asked for it; `None`: use [`Directory::lookup`].
    fn at_hand(&self, name: &str) -> Option<Result<Node>> {
        let _ = name;
        None
    }

    /// Everything in it.
    fn list(&self) -> BoxFuture<'_, Result<Listing>>;

    /// The same if no service need be asked for it; `None`: use [`Directory::list`].
    fn list_at_hand(&self) -> Option<Listing> {
        None
    }

    /// How long a name that was not found stays unfound without asking again.
    fn absent_for(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// How long what it says of its names holds; `None` for as long as the mount is set to.
    fn holds_for(&self) -> Option<Duration> {
        None
    }

    /// The number of what it lists, if it can only change with this number: the kernel then keeps the names for as
    /// long as the directory at this place has the same one.
    fn edition(&self) -> Option<u64> {
        None
    }

    /// Whether it is a product: who copies one of its files after another copies all of them.
    fn is_product(&self) -> bool {
        false
    }

    /// Whether all that is below it is a walk through a whole archive: years of all the world.
    fn is_vast(&self) -> bool {
        false
    }

    /// The chunks that hold a part of the array that it is; `None` when it is none.
    fn chunks(&self, part: &Selection) -> Option<Result<Chunks>> {
        let _ = part;
        None
    }

    /// Its times, as far as known.
    fn times(&self) -> Times {
        Times::default()
    }

    /// What may still be fetched of what is below it, where that is limited.
    fn allowance(&self) -> Allowance {
        Allowance::default()
    }

    /// Its extended attributes; answered from memory.
    fn attributes(&self) -> Attributes {
        Attributes::new()
    }
}

/// The times of a file or directory, as far as known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// When what it shows was: the start of the observation. `mtime` to programs.
    pub modified: Option<Timestamp>,
    /// When it was published. `ctime` to programs; where it is not known, the same as the other.
    pub published: Option<Timestamp>,
}

impl From<Option<Timestamp>> for Times {
    fn from(modified: Option<Timestamp>) -> Self {
        Self { modified, published: None }
    }
}

/// What a name stands for.
#[derive(Clone)]
pub enum Node {
    /// A directory.
    Directory(Arc<dyn Directory>),
    /// A file.
    File(Arc<FileNode>),
}

/// A file and where its bytes come from.
pub struct FileNode {
    /// Where its bytes come from.
    pub content: Content,
    /// Its times, as far as known.
    pub times: Times,
    /// Its extended attributes, beside those of the cache.
    pub attributes: Attributes,
    /// About how many bytes it has, where only a request would tell.
    pub estimate: Option<u64>,
    /// Where it stands among others that are read by number.
    pub cell: Option<Cell>,
    /// Who is told what its service says of it.
    pub told: Told,
}

/// What the catalogue of a remote file is told when its service knows better.
#[derive(Default)]
pub struct Told {
    /// The length turned out to be another than expected.
    pub length: Option<Learn>,
    /// The service has not got it.
    pub lost: Option<Lost>,
    /// Asked whether the service has the product no more.
    pub gone: Option<Gone>,
}

impl Told {
    /// Tells what a transfer of the file met.
    pub async fn met(&self, error: &Error) {
        let gone = |error: &Error| error.kind() == ErrorKind::NotFound;
        // It may have been judged since by who reads: to them it has changed.
        if let Some(lost) = &self.lost
            && (gone(error) || gone(&error.clone().original()))
        {
            lost().await;
        }
    }
}

/// A file's place in a grid of files.
#[derive(Clone)]
pub struct Cell {
    /// Stands for the grid.
    pub grid: u64,
    /// Files along each dimension.
    pub counts: Arc<[u64]>,
    /// One coordinate for each.
    pub at: Vec<u64>,
    /// Any other file of the grid.
    pub node: Neighbour,
}

/// Gives the file at a place in a grid; `NotFound` where it is known that there is none.
pub type Neighbour = Arc<dyn Fn(&[u64]) -> BoxFuture<'static, Result<Node>> + Send + Sync>;

/// Remembers the length of a file.
pub type Learn = Box<dyn Fn(u64) + Send + Sync>;

/// Whether a file is what is left of a product.
pub type Gone = Box<dyn Fn() -> bool + Send + Sync>;

/// How what is left of a product says so: name and value of an extended attribute.
pub const GONE: (&str, &str) = ("user.dcmsfs.state", "gone upstream");

/// Forgets what was known of a file.
pub type Lost = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// Fetches a document.
pub type Load = Arc<dyn Fn() -> BoxFuture<'static, Result<Bytes>> + Send + Sync>;

/// Where a file's bytes come from.
pub enum Content {
    /// Held: a document that was fetched or written here.
    Bytes(Bytes),
    /// A document of this many bytes that is kept elsewhere, or fetched again when read.
    Document(u64, Load),
    /// Made anew at every open.
    Live(Box<dyn Fn() -> Bytes + Send + Sync>),
    /// Fetched when read.
    Remote(Remote),
}

impl Node {
    /// A directory node.
    pub fn directory(directory: impl Directory + 'static) -> Self {
        Self::Directory(Arc::new(directory))
    }

    /// A file whose bytes are held.
    pub fn bytes(bytes: impl Into<Bytes>, times: impl Into<Times>) -> Self {
        let content = Content::Bytes(bytes.into());
        Self::File(Arc::new(FileNode {
            content,
            times: times.into(),
            attributes: Attributes::new(),
            estimate: None,
            cell: None,
            told: Told::default(),
        }))
    }

    /// A document of `length` bytes that is fetched when read.
    pub fn document(length: u64, load: Load, times: impl Into<Times>) -> Self {
        let content = Content::Document(length, load);
        Self::File(Arc::new(FileNode {
            content,
            times: times.into(),
            attributes: Attributes::new(),
            estimate: None,
            cell: None,
            told: Told::default(),
        }))
    }

    /// A file that is fetched when read.
    pub fn remote(remote: Remote, times: impl Into<Times>, attributes: Attributes, told: Told) -> Self {
        let content = Content::Remote(remote);
        Self::File(Arc::new(FileNode {
            content,
            times: times.into(),
            attributes,
            estimate: None,
            cell: None,
            told,
        }))
    }

    /// Directory or file, for listings.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Directory(_) => Kind::Directory,
            Self::File(_) => Kind::File,
        }
    }
}

/// Directory or file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A file.
    File,
}

/// One name in a listing.
#[derive(Clone)]
pub struct Entry {
    /// The name.
    pub name: Arc<str>,
    /// What it is.
    pub kind: Kind,
    /// The node itself where it is at hand: listings with attributes then need no lookup.
    pub node: Option<Node>,
}

impl Entry {
    /// A name whose node is made at lookup.
    pub fn named(name: impl Into<Arc<str>>, kind: Kind) -> Self {
        Self { name: name.into(), kind, node: None }
    }

    /// A name with its node.
    pub fn of(name: impl Into<Arc<str>>, node: Node) -> Self {
        Self { name: name.into(), kind: node.kind(), node: Some(node) }
    }
}

/// Chunks of an array, made one at a time. Clones share them.
#[derive(Clone)]
pub struct Chunks {
    /// How many there are.
    pub count: u64,
    /// Bytes of one: exactly if they are not compressed, else what its values take without compression; `None` where
    /// the metadata does not tell.
    pub bytes: Option<u64>,
    /// Whether that is exact.
    pub exact: bool,
    /// The door to them.
    pub fetch: Fetch,
    /// Each of them.
    pub make: MakeChunk,
}

/// Makes a chunk from its number: its key below the array, and its file; `None` where it is known that the service has
/// none.
pub type MakeChunk = Arc<dyn Fn(u64) -> BoxFuture<'static, Option<(String, FileNode)>> + Send + Sync>;

/// A snapshot of a directory's names. The names of `generated` come from arithmetic, one at a time, so that
/// half a million of them take no memory.
#[derive(Clone, Default)]
pub struct Listing {
    fixed: Arc<[Entry]>,
    /// What follows the last entry whose node is at hand.
    bare: usize,
    generated: Option<Generated>,
}

#[derive(Clone)]
struct Generated {
    count: u64,
    entry: Arc<dyn Fn(u64) -> Option<Entry> + Send + Sync>,
}

impl Listing {
    /// These names, in this order.
    pub fn of(entries: Vec<Entry>) -> Self {
        let bare = entries.iter().rposition(|entry| entry.node.is_some()).map_or(0, |last| last + 1);
        Self { fixed: entries.into(), bare, generated: None }
    }

    /// And behind them `count` more names, made by `entry` from their number without their nodes.
    #[must_use]
    pub fn and(mut self, count: u64, entry: impl Fn(u64) -> Option<Entry> + Send + Sync + 'static) -> Self {
        self.generated = Some(Generated { count, entry: Arc::new(entry) });
        self
    }

    /// The entry at `position`; `None` behind the last.
    pub fn get(&self, position: u64) -> Option<Entry> {
        let fixed = self.fixed.len() as u64;
        if position < fixed {
            return self.fixed.get(usize::try_from(position).ok()?).cloned();
        }
        let generated = self.generated.as_ref()?;
        let number = position - fixed;
        if number < generated.count { (generated.entry)(number) } else { None }
    }

    /// The position from which on there are only names: their nodes take a lookup each.
    pub fn bare(&self) -> u64 {
        self.bare as u64
    }

    /// How many names there are.
    pub fn len(&self) -> u64 {
        self.fixed.len() as u64 + self.generated.as_ref().map_or(0, |generated| generated.count)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
