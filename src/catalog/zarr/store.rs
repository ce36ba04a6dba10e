//! The hierarchy of a store from its consolidated metadata: one request, all names.
//!
//! Zarr v2: `.zmetadata`, whose `metadata` maps keys like `t2m/.zarray` to documents. Zarr v3: the root's
//! `zarr.json`, whose `consolidated_metadata.metadata` maps paths to documents (inline; written by zarr-python 3).
//!
//! The tree is kept as nodes with children, each name once, so that hostile paths cannot multiply in memory.
//! A node with wrong metadata is there and says why it cannot be used; a key that is no proper path is
//! left out and reported.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::super::lenient::{Key, Members};
use super::super::limits::{DOCUMENT_BYTES, STRING_BYTES, ZARR_DEPTH, ZARR_NODES};
use super::super::quote::quote;
use super::array::{Array, Version, object};
use super::node::{Group, Node};
use crate::error::{Error, ErrorKind, Result, fail};

/// The files that describe a node.
const DOCUMENTS: [&str; 5] = [".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json"];
/// Problems that are remembered.
const PROBLEMS: usize = 100;

/// A store's nodes.
#[derive(Clone, Debug)]
pub struct Store {
    /// The version of the format.
    pub version: Version,
    /// Whether all nodes are known; else only the root is, and others have to be looked up.
    pub consolidated: bool,
    /// Keys that were left out, the first hundred.
    pub problems: Vec<Problem>,
    /// The root is the first.
    entries: Vec<Entry>,
}

/// A key that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, fit to be shown.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
}

#[derive(Clone, Debug)]
struct Entry {
    children: BTreeMap<Box<str>, usize>,
    node: Result<Node>,
    /// By file name; parts of the consolidated document, sharing its memory.
    documents: BTreeMap<&'static str, Bytes>,
}

impl Store {
    /// From the bytes of a `.zmetadata` (zarr-python's consolidated format 1).
    pub fn parse_v2_consolidated(document: &Bytes) -> Result<Self> {
        let mut store = Self::new(Version::V2, true);
        let members = Members::of(checked(document)?);
        let Some(metadata) = members.get("metadata") else {
            return fail(ErrorKind::Protocol, "consolidated metadata has no member called metadata");
        };
        each(metadata, &mut |key, value| {
            let (path, name) = key.rsplit_once('/').unwrap_or(("", key));
            let Some(name) = [".zarray", ".zattrs", ".zgroup"].into_iter().find(|known| *known == name)
            else {
                store.problem(key, "is no metadata document");
                return Ok(());
            };
            if let Some(entry) = store.place(key, path)? {
                store.entries[entry].documents.insert(name, document.slice_ref(value.get().as_bytes()));
            }
            Ok(())
        })?;
        for entry in &mut store.entries {
            let attributes = entry.documents.get(".zattrs");
            entry.node = match (entry.documents.get(".zarray"), entry.documents.get(".zgroup")) {
                (Some(array), _) => Node::parse_v2_array(array, attributes),
                (None, Some(group)) => Node::parse_v2_group(group, attributes),
                (None, None) => Ok(Node::Group(Group { attributes: attributes.cloned() })),
            };
        }
        store.seal();
        Ok(store)
    }

    /// From the bytes of the root's `zarr.json`, with or without consolidated metadata.
    pub fn parse_v3(document: &Bytes) -> Result<Self> {
        let members = Members::of(checked(document)?);
        let consolidated = Members::of_option(members.get("consolidated_metadata")).get("metadata");
        let mut store = Self::new(Version::V3, consolidated.is_some());
        if let Some(metadata) = consolidated {
            each(metadata, &mut |path, value| {
                if let Some(entry) = store.place(path, path)? {
                    let part = document.slice_ref(value.get().as_bytes());
                    store.entries[entry].node = Node::parse_v3(&part);
                    store.entries[entry].documents.insert("zarr.json", part);
                }
                Ok(())
            })?;
        }
        let root = Node::parse_v3(document);
        // An array is all there is of its store.
        store.consolidated |= root.as_ref().is_ok_and(|root| root.as_array().is_some());
        store.entries[0].node = root;
        store.entries[0].documents.insert("zarr.json", document.clone());
        store.seal();
        Ok(store)
    }

    /// The node at `path` (components joined by `/`, the root is empty). `None` if there is none;
    /// [`ErrorKind::Protocol`] with the reason if its metadata is wrong.
    pub fn node(&self, path: &str) -> Result<Option<&Node>> {
        match self.entry(path) {
            None => Ok(None),
            Some(entry) => match &entry.node {
                Ok(node) => Ok(Some(node)),
                Err(error) => Err(error.clone().context(format!("zarr node {:?}", quote(path)))),
            },
        }
    }

    /// The array at `path`, if there is one.
    pub fn array(&self, path: &str) -> Result<Option<&Array>> {
        Ok(self.node(path)?.and_then(Node::as_array))
    }

    /// The names of the nodes directly below `path`, sorted; `None` if there is no node. Text as served,
    /// not yet file names; never empty, `.`, `..` or with `/`.
    pub fn children(&self, path: &str) -> Option<impl Iterator<Item = &str>> {
        Some(self.entry(path)?.children.keys().map(|name| &**name))
    }

    /// A metadata file of the node at `path` as the consolidated document holds it. The server's own file
    /// may be written differently; its meaning is the same.
    pub fn document(&self, path: &str, name: &str) -> Option<&Bytes> {
        self.entry(path)?.documents.get(name)
    }

    /// The same as a file of its own: without the indentation that it has inside of the other; and with indentation where
    /// zarr-python 3 wrote it, whose `.zmetadata` has none. For what the usual writers write, these are the bytes of the
    /// server's own file.
    pub fn file(&self, path: &str, name: &str) -> Option<Bytes> {
        let part = self.document(path, name)?;
        if self.version == Version::V2 && !part.contains(&b'\n') {
            return Some(indented(part).map_or_else(|| part.clone(), Bytes::from));
        }
        let last = part.rsplit(|byte| *byte == b'\n').next()?;
        let indent = last.iter().take_while(|byte| **byte == b' ').count();
        if indent == 0 || last.len() == part.len() {
            return Some(part.clone());
        }
        let mut file = Vec::with_capacity(part.len());
        for (number, line) in part.split(|byte| *byte == b'\n').enumerate() {
            if number > 0 {
                file.push(b'\n');
            }
            let spaces = line.iter().take(indent).take_while(|byte| **byte == b' ').count();
            file.extend_from_slice(&line[if number > 0 { spaces } else { 0 }..]);
        }
        Some(file.into())
    }

    /// The names of the metadata files of the node at `path` that the consolidated document holds.
    pub fn documents(&self, path: &str) -> Vec<&'static str> {
        self.entry(path).map(|entry| entry.documents.keys().copied().collect()).unwrap_or_default()
    }

    /// Number of nodes, the root and implied groups included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is nothing but the root.
    pub fn is_empty(&self) -> bool {
        self.entries.len() == 1
    }

    fn new(version: Version, consolidated: bool) -> Self {
        Self { version, consolidated, problems: Vec::new(), entries: vec![Entry::implied()] }
    }

    fn entry(&self, path: &str) -> Option<&Entry> {
        let components = path.split('/').filter(|_| !path.is_empty());
        let mut entry = &self.entries[0];
        for component in components {
            entry = self.entries.get(*entry.children.get(component)?)?;
        }
        Some(entry)
    }

    /// The entry of `path`, made with all above it; `None` (and a note) if it is no proper path.
    fn place(&mut self, key: &str, path: &str) -> Result<Option<usize>> {
        let components: Vec<&str> =
            path.split('/').filter(|_| !path.is_empty()).take(ZARR_DEPTH + 1).collect();
        if components.len() > ZARR_DEPTH || path.len() > STRING_BYTES {
            self.problem(key, "is nested too deep");
            return Ok(None);
        }
        if let Some(bad) = components.iter().find(|component| !is_name(component)) {
            self.problem(key, &format!("has the name {:?} in it", quote(bad)));
            return Ok(None);
        }
        let mut at = 0;
        for component in components {
            at = match self.entries[at].children.get(component) {
                Some(child) => *child,
                None => {
                    if self.entries.len() >= ZARR_NODES {
                        return fail(ErrorKind::Protocol, format!("store has more than {ZARR_NODES} nodes"));
                    }
                    let child = self.entries.len();
                    self.entries.push(Entry::implied());
                    self.entries[at].children.insert(component.into(), child);
                    child
                }
            };
        }
        Ok(Some(at))
    }

    fn problem(&mut self, key: &str, reason: &str) {
        if self.problems.len() < PROBLEMS {
            self.problems.push(Problem { key: quote(key), reason: reason.to_owned() });
        }
    }

    /// Takes away what lies inside arrays: there, names are chunks.
    fn seal(&mut self) {
        for at in 0..self.entries.len() {
            let is_array = self.entries[at].node.as_ref().is_ok_and(|node| node.as_array().is_some());
            if is_array {
                for name in std::mem::take(&mut self.entries[at].children).into_keys() {
                    self.problem(&name, "lies inside an array");
                }
            }
        }
    }
}

impl Entry {
    /// A group that exists because something lies below it.
    fn implied() -> Self {
        Self {
            children: BTreeMap::new(),
            node: Ok(Node::Group(Group::default())),
            documents: BTreeMap::new(),
        }
    }
}

/// Whether a path component can name a node.
fn is_name(component: &str) -> bool {
    !matches!(component, "" | "." | "..") && !component.contains('\0') && !DOCUMENTS.contains(&component)
}

fn checked(document: &Bytes) -> Result<&RawValue> {
    if document.len() > DOCUMENT_BYTES {
        return fail(ErrorKind::Protocol, format!("zarr metadata is longer than {DOCUMENT_BYTES} bytes"));
    }
    object(document, "zarr metadata")
}

/// Calls `with` for each member of an object until it fails.
fn each(raw: &RawValue, with: &mut dyn FnMut(&str, &RawValue) -> Result<()>) -> Result<()> {
    struct Each<'w>(&'w mut dyn FnMut(&str, &RawValue) -> Result<()>);

    impl<'de> Visitor<'de> for Each<'_> {
        type Value = Result<()>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of metadata documents")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
            let mut outcome = Ok(());
            while let Some(Key(key)) = map.next_key()? {
                let value: &RawValue = map.next_value()?;
                if outcome.is_ok() {
                    outcome = (self.0)(&key, value);
                }
            }
            Ok(outcome)
        }
    }

    serde_json::Deserializer::from_str(raw.get()).deserialize_map(Each(with)).map_err(|error| {
        Error::new(
            ErrorKind::Protocol,
            format!("zarr metadata cannot be read: {}", quote(&error.to_string())),
        )
    })?
}

/// JSON as Python's `json.dumps(…, indent=2)` sets it out. What is inside of strings and numbers stays as it is. `None` for
/// what is nested so deeply that it would become much longer.
fn indented(json: &[u8]) -> Option<Vec<u8>> {
    let most = 8 * json.len() + 4096;
    let mut text = Vec::with_capacity(json.len() * 2);
    let line = |text: &mut Vec<u8>, depth: usize| {
        text.push(b'\n');
        text.resize(text.len() + 2 * depth, b' ');
    };
    let (mut depth, mut opened, mut quoted, mut escaped) = (0usize, false, false, false);
    for byte in json {
        if text.len() + 2 * depth > most {
            return None;
        }
        let ends = matches!(byte, b'}' | b']');
        match byte {
            _ if quoted => {
                quoted = escaped || *byte != b'"';
                escaped = !escaped && *byte == b'\\';
                text.push(*byte);
                continue;
            }
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            _ if opened && !ends => {
                depth += 1;
                line(&mut text, depth);
            }
            _ if !opened && ends => {
                depth = depth.saturating_sub(1);
                line(&mut text, depth);
            }
            _ => {}
        }
        opened = matches!(byte, b'{' | b'[');
        quoted = *byte == b'"';
        text.push(*byte);
        match byte {
            b':' => text.push(b' '),
            b',' => line(&mut text, depth),
            _ => {}
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests;
