//! A node of a store from its own document, for stores that are looked at node by node.

use std::sync::Arc;

use bytes::Bytes;

use super::super::lenient::Members;
use super::array::{Array, object};
use crate::error::{ErrorKind, Result, fail};

/// A group or an array.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Holds other nodes.
    Group(Group),
    /// Holds chunks.
    Array(Arc<Array>),
}

/// A group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// The attributes, as JSON text.
    pub attributes: Option<Bytes>,
}

impl Node {
    /// From a `.zarray` and the `.zattrs` beside it.
    pub fn parse_v2_array(zarray: &Bytes, zattrs: Option<&Bytes>) -> Result<Self> {
        Array::parse_v2(zarray, zattrs).map(|array| Self::Array(Arc::new(array)))
    }

    /// From a `.zgroup` and the `.zattrs` beside it.
    pub fn parse_v2_group(zgroup: &Bytes, zattrs: Option<&Bytes>) -> Result<Self> {
        object(zgroup, "group metadata")?;
        Ok(Self::Group(Group { attributes: zattrs.cloned() }))
    }

    /// From a `zarr.json`.
    pub fn parse_v3(document: &Bytes) -> Result<Self> {
        let members = Members::of(object(document, "node metadata")?);
        match members.text(&["node_type"]).as_deref() {
            Some("array") => Array::parse_v3(document).map(|array| Self::Array(Arc::new(array))),
            Some("group") => {
                let attributes =
                    members.get("attributes").map(|value| document.slice_ref(value.get().as_bytes()));
                Ok(Self::Group(Group { attributes }))
            }
            _ => fail(ErrorKind::Protocol, "node is neither an array nor a group"),
        }
    }

    /// The array, if it is one.
    pub fn as_array(&self) -> Option<&Array> {
        match self {
            Self::Array(array) => Some(array),
            Self::Group(_) => None,
        }
    }

    /// The attributes, as JSON text.
    pub fn attributes(&self) -> Option<&Bytes> {
        match self {
            Self::Group(group) => group.attributes.as_ref(),
            Self::Array(array) => array.attributes.as_ref(),
        }
    }
}
