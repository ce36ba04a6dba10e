//! Inode numbers, and the nodes of those that the kernel holds.
//!
//! A number is computed from its parent's number and its name, so it is the same for the life of the mount
//! whether the kernel forgot it in between or not, and a listed name needs no entry here. The table holds
//! only what the kernel has looked up and not forgotten: nothing grows with what could be listed.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::error::{ErrorKind, Result, fail};
use crate::filesystem::ROOT;
use crate::filesystem::handles::Shared;
use crate::filesystem::looks::Looks;
use crate::filesystem::names::{Keep, Names};
use crate::namespace::{Directory, Node};

/// The inodes that the kernel knows.
pub struct Inodes {
    table: RwLock<HashMap<u64, Inode>>,
}

struct Inode {
    /// `None`: listed with attributes for the kernel to hold, but nobody has looked it up yet.
    node: Option<Node>,
    parent: u64,
    name: Arc<str>,
    /// References of the kernel; the entry goes with the last.
    lookups: u64,
    /// The size that the kernel was told last.
    size: Option<u64>,
    /// Whether that size is an estimate.
    estimated: bool,
    /// Somebody wanted to open it when it was.
    wanted: bool,
    /// What only those have that are opened: most are only listed, by the hundred thousand.
    used: Option<Box<Used>>,
}

/// What an inode has that was opened.
#[derive(Default)]
struct Used {
    /// What its handles share; made at the first open.
    shared: Option<Arc<Shared>>,
    /// Of a directory: what the kernel has kept of its names.
    names: Names,
    /// Of a directory: how its files are looked up.
    looks: Looks,
}

/// The size that is shown of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// It has so many bytes.
    Is(u64),
    /// It may have so many: asking would have cost more than a look is worth.
    MayBe(u64),
}

impl Size {
    /// The number.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Is(bytes) | Self::MayBe(bytes) => bytes,
        }
    }

    fn is_estimate(self) -> bool {
        matches!(self, Self::MayBe(_))
    }
}

/// What opening a file takes.
pub struct ToOpen {
    /// What it is.
    pub node: Node,
    /// The size that the kernel was told last.
    pub told_size: Option<u64>,
    /// Whether that size is an estimate.
    pub estimated: bool,
    /// What its handles share.
    pub shared: Arc<Shared>,
}

impl Inodes {
    /// A table that knows the root.
    pub fn new(root: Arc<dyn Directory>) -> Self {
        let root = Inode::new(Some(Node::Directory(root)), ROOT, "/".into());
        Self { table: RwLock::new(HashMap::from([(ROOT, root)])) }
    }

    /// Counts one more reference to `name` in `parent` and gives its inode. What is known of an inode is
    /// replaced by the newer `node`.
    pub fn enter(&self, parent: u64, name: Arc<str>, node: &Node, size: Size) -> u64 {
        let mut table = self.table.write();
        let number = free_number(&table, parent, &name);
        let inode = table.entry(number).or_insert_with(|| Inode::new(None, parent, name));
        inode.node = Some(node.clone());
        (inode.size, inode.estimated) = (Some(size.bytes()), size.is_estimate());
        inode.wanted &= inode.estimated;
        inode.lookups += 1;
        number
    }

    /// Counts one more reference to a listed name whose node need not be known; node and size if they are.
    pub fn enter_listed(&self, parent: u64, name: Arc<str>) -> (u64, Option<(Node, u64)>) {
        let mut table = self.table.write();
        let number = free_number(&table, parent, &name);
        let inode = table.entry(number).or_insert_with(|| Inode::new(None, parent, name));
        inode.lookups += 1;
        (number, inode.node.clone().zip(inode.size))
    }

    /// Takes back `count` references.
    pub fn forget(&self, number: u64, count: u64) {
        let mut table = self.table.write();
        if let Some(inode) = table.get_mut(&number).filter(|_| number != ROOT) {
            inode.lookups = inode.lookups.saturating_sub(count);
            if inode.lookups == 0 {
                table.remove(&number);
            }
        }
    }

    /// The node of an inode.
    ///
    /// # Errors
    /// `Changed` for a number that the kernel does not hold.
    pub fn node(&self, number: u64) -> Result<Node> {
        match self.with(number, |inode| inode.node.clone())? {
            Some(node) => Ok(node),
            // The kernel then looks the name up again (contract.md 3.4).
            None => fail(ErrorKind::Changed, "the name was listed but not looked up"),
        }
    }

    /// The parent of a directory that is opened (the root is its own), and what the kernel may keep of its names.
    pub fn open_directory(&self, number: u64, edition: Option<u64>) -> (u64, Keep) {
        let mut table = self.table.write();
        let Some(inode) = table.get_mut(&number) else { return (ROOT, Keep::Nothing) };
        (inode.parent, inode.used().names.open(edition))
    }

    /// A handle of a directory is closed whose names were kept.
    pub fn close_directory(&self, number: u64) {
        if let Some(used) = self.table.write().get_mut(&number).and_then(|inode| inode.used.as_mut()) {
            used.names.close();
        }
    }

    /// Where an inode stands: its parent and its name.
    pub fn place(&self, number: u64) -> Option<(u64, Arc<str>)> {
        self.table.read().get(&number).map(|inode| (inode.parent, Arc::clone(&inode.name)))
    }

    /// Notes the size that the kernel is told.
    pub fn told_size(&self, number: u64, size: u64) {
        if let Some(inode) = self.table.write().get_mut(&number) {
            (inode.size, inode.estimated) = (Some(size), false);
        }
    }

    /// What opening an inode takes. The thread `caller` does not just list its directory, then.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn to_open(&self, number: u64, caller: u32) -> Result<ToOpen> {
        let node = self.node(number)?;
        let mut table = self.table.write();
        let Some(inode) = table.get_mut(&number) else { return unknown() };
        let shared = Arc::clone(inode.used().shared.get_or_insert_default());
        let (told_size, estimated, parent) = (inode.size, inode.estimated, inode.parent);
        inode.wanted = estimated;
        if let Some(parent) = table.get_mut(&parent) {
            parent.used().looks.opened(caller);
        }
        Ok(ToOpen { node, told_size, estimated, shared })
    }

    /// The product that a file belongs to: number and directory of its folder.
    pub fn product(&self, file: u64) -> Option<(u64, Arc<dyn Directory>)> {
        let table = self.table.read();
        let mut number = table.get(&file)?.parent;
        while number != ROOT {
            let inode = table.get(&number)?;
            match &inode.node {
                Some(Node::Directory(directory)) if directory.is_product() => {
                    return Some((number, Arc::clone(directory)));
                }
                _ => number = inode.parent,
            }
        }
        None
    }

    /// The directories from an inode, itself if it is one, up to below the root; only the root for the root itself.
    pub fn upwards(&self, number: u64) -> Vec<Arc<dyn Directory>> {
        let table = self.table.read();
        let (mut found, mut next) = (Vec::new(), number);
        while let Some(inode) = table.get(&next).filter(|_| next != ROOT || number == ROOT) {
            if let Some(Node::Directory(directory)) = &inode.node {
                found.push(Arc::clone(directory));
            }
            if next == ROOT {
                break;
            }
            next = inode.parent;
        }
        found
    }

    /// Notes how files of a directory are looked up; `None` for one that the kernel does not hold.
    pub(super) fn looks<T>(&self, directory: u64, note: impl FnOnce(&mut Looks) -> T) -> Option<T> {
        self.table.write().get_mut(&directory).map(|inode| note(&mut inode.used().looks))
    }

    /// Whether `name` is looked up again because somebody wants to open it.
    pub fn is_wanted(&self, parent: u64, name: &str) -> bool {
        let table = self.table.read();
        table.get(&free_number(&table, parent, name)).is_some_and(|inode| inode.wanted)
    }

    /// The estimate that the kernel was told for the size of an inode, if it was none better.
    pub fn estimate(&self, number: u64) -> Option<u64> {
        self.table.read().get(&number).filter(|inode| inode.estimated)?.size
    }

    fn with<T>(&self, number: u64, read: impl FnOnce(&Inode) -> T) -> Result<T> {
        match self.table.read().get(&number) {
            Some(inode) => Ok(read(inode)),
            None => unknown(),
        }
    }

    /// How many inodes the kernel holds.
    pub fn count(&self) -> usize {
        self.table.read().len()
    }
}

impl Inode {
    fn new(node: Option<Node>, parent: u64, name: Arc<str>) -> Self {
        Self { node, parent, name, lookups: 0, size: None, estimated: false, wanted: false, used: None }
    }

    fn used(&mut self) -> &mut Used {
        self.used.get_or_insert_default()
    }
}

fn unknown<T>() -> Result<T> {
    fail(ErrorKind::Changed, "the kernel named an inode that it does not hold")
}

/// The number of `name`, moved up past another name that has the same one (a chance of 2^-64 a pair).
fn free_number(table: &HashMap<u64, Inode>, parent: u64, name: &str) -> u64 {
    let mut number = inode_number(parent, name);
    while table.get(&number).is_some_and(|held| held.parent != parent || *held.name != *name) {
        number = number.wrapping_add(1).max(ROOT + 1);
    }
    number
}

/// The number of `name` in the directory numbered `parent`; never 0 and never the root's.
pub fn inode_number(parent: u64, name: &str) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&parent.to_le_bytes()).update(name.as_bytes());
    let digest = hasher.finalize();
    let number = digest.as_bytes().first_chunk().map_or(2, |first| u64::from_le_bytes(*first));
    number.max(ROOT + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::static_tree::StaticDirectory;

    /// `find` over 100,000 products leaves 200,000 of them with the kernel.
    #[test]
    fn what_is_only_listed_is_small() {
        assert!(size_of::<Inode>() <= 88, "{}", size_of::<Inode>());
    }

    #[test]
    fn numbers_outlive_forgetting_and_the_table_does_not_grow() {
        let inodes = Inodes::new(Arc::new(StaticDirectory::default()));
        let file = Node::bytes("x", None);
        let first = inodes.enter(ROOT, "a".into(), &file, Size::Is(1));
        inodes.enter(ROOT, "a".into(), &file, Size::Is(1));
        inodes.forget(first, 1);
        assert!(inodes.node(first).is_ok());
        inodes.forget(first, 1);
        assert!(inodes.node(first).is_err());
        assert_eq!(inodes.count(), 1);
        assert_eq!(inodes.enter(ROOT, "a".into(), &file, Size::Is(1)), first);
        inodes.forget(ROOT, 7);
        let (listed, node) = inodes.enter_listed(ROOT, "b".into());
        assert!(node.is_none() && inodes.node(listed).is_err());
        assert_eq!(inodes.enter(ROOT, "b".into(), &file, Size::Is(1)), listed);
        assert!(inodes.enter_listed(ROOT, "b".into()).1.is_some() && inodes.node(listed).is_ok());
        assert!(inodes.node(ROOT).is_ok());
    }
}
