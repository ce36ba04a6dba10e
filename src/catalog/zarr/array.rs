//! One array: what a directory of its chunks needs, and what is shown of it as attributes.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::super::lenient::{Members, text, values};
use super::super::limits::{STRING_BYTES, ZARR_DIMENSIONS};
use super::super::quote::quote;
use super::data_type::{v2_item_size, v3_item_size};
use super::grid::{ChunkGrid, KeyEncoding, Separator};
use super::layout::{Codecs, Cut, key_encoding, lengths, separator};
use crate::error::{Error, ErrorKind, Result, fail};

/// The version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// `.zarray`, `.zgroup`, `.zattrs`.
    V2,
    /// `zarr.json`.
    V3,
}

/// An array.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Which kind of document described it.
    pub version: Version,
    /// Elements along each dimension.
    pub shape: Vec<u64>,
    /// Elements of a chunk along each dimension: of a shard, if the array is sharded. Where chunks differ,
    /// the lengths of the first.
    pub chunk_shape: Vec<u64>,
    /// Whether all chunks have these lengths.
    pub regular: bool,
    /// The lengths of the chunks inside a shard.
    pub inner_chunk_shape: Option<Vec<u64>>,
    /// The names of the chunks.
    pub grid: ChunkGrid,
    /// The data type as the document writes it: a name, or JSON.
    pub data_type: String,
    /// Bytes of an element, if all have the same.
    pub item_size: Option<u64>,
    /// Whether a chunk's bytes depend on its contents; else [`Array::chunk_bytes`] may know their number.
    pub compressed: bool,
    /// Exact bytes of every stored chunk, if the metadata fixes them.
    pub chunk_bytes: Option<u64>,
    /// `_ARRAY_DIMENSIONS` (v2, xarray's convention) or `dimension_names` (v3).
    pub dimension_names: Option<Vec<Option<String>>>,
    /// The fill value, as JSON text.
    pub fill_value: Option<String>,
    /// The attributes, as JSON text.
    pub attributes: Option<Bytes>,
}

impl Array {
    /// From a `.zarray` and, if there is one, the `.zattrs` beside it (Zarr v2).
    ///
    /// [`ErrorKind::Protocol`] if shape or chunks are missing or wrong; nothing else is needed.
    pub fn parse_v2(zarray: &Bytes, zattrs: Option<&Bytes>) -> Result<Self> {
        let members = Members::of(object(zarray, "array metadata")?);
        let shape = shape(&members)?;
        let Some(chunks) = members.get("chunks") else {
            return fail(ErrorKind::Protocol, "array has no chunk shape");
        };
        let cut = Cut::regular(&shape, lengths(chunks)?)?;
        let separator =
            members.get("dimension_separator").map(separator).transpose()?.unwrap_or(Separator::Dot);
        let grid = ChunkGrid::new(cut.counts, KeyEncoding::V2 { separator })?;
        let absent = |name: &str| members.get(name).is_none_or(|value| matches!(value.get(), "null" | "[]"));
        let compressed = !absent("compressor") || !absent("filters");
        let item_size = members.get("dtype").and_then(v2_item_size);
        let attributes = zattrs.filter(|attributes| object(attributes, "attributes").is_ok());
        let names = attributes.and_then(|attributes| {
            dimension_names(Members::of(object(attributes, "attributes").ok()?).get("_ARRAY_DIMENSIONS")?)
        });
        Ok(Self {
            version: Version::V2,
            chunk_bytes: (!compressed).then(|| size(&cut.chunk_shape, item_size?)).flatten(),
            shape,
            chunk_shape: cut.chunk_shape,
            regular: cut.regular,
            inner_chunk_shape: None,
            grid,
            data_type: written(members.get("dtype")).unwrap_or_default(),
            item_size,
            compressed,
            dimension_names: names,
            fill_value: members.get("fill_value").and_then(json_text),
            attributes: attributes.cloned(),
        })
    }

    /// From the `zarr.json` of an array (Zarr v3 core 1.0).
    pub fn parse_v3(document: &Bytes) -> Result<Self> {
        let members = Members::of(object(document, "array metadata")?);
        let shape = shape(&members)?;
        let Some(grid) = members.get("chunk_grid") else {
            return fail(ErrorKind::Protocol, "array has no chunk grid");
        };
        let cut = Cut::read(&shape, grid)?;
        let grid = ChunkGrid::new(cut.counts, key_encoding(members.get("chunk_key_encoding"))?)?;
        let codecs = Codecs::read(members.get("codecs"));
        let item_size = members.get("data_type").and_then(v3_item_size);
        let chunk_bytes = || size(&cut.chunk_shape, item_size?)?.checked_add(codecs.extra_bytes?);
        Ok(Self {
            version: Version::V3,
            chunk_bytes: cut.regular.then(chunk_bytes).flatten(),
            shape,
            chunk_shape: cut.chunk_shape.clone(),
            regular: cut.regular,
            grid,
            data_type: written(members.get("data_type")).unwrap_or_default(),
            item_size,
            compressed: codecs.extra_bytes.is_none(),
            inner_chunk_shape: codecs.inner_shape,
            dimension_names: members.get("dimension_names").and_then(dimension_names),
            fill_value: members.get("fill_value").and_then(json_text),
            attributes: members.get("attributes").map(|value| document.slice_ref(value.get().as_bytes())),
        })
    }
}

impl Array {
    /// About how many bytes a stored chunk has: those of its elements, which is exact where nothing is compressed. An
    /// element of unknown size counts eight.
    pub fn estimated_bytes(&self) -> u64 {
        let decoded = || size(&self.chunk_shape, self.item_size.unwrap_or(8));
        self.chunk_bytes.or_else(decoded).unwrap_or(i64::MAX.unsigned_abs())
    }

    /// The lengths that chunk `number` really has in the array, as `24x512x1`, if it reaches beyond the array's end.
    /// `None` for a whole one, and where chunks differ anyway.
    pub fn edge(&self, number: u64) -> Option<String> {
        let place = self.grid.coordinates(number).filter(|_| self.regular)?;
        let used = |((place, chunk), length): ((&u64, &u64), &u64)| {
            // Within the array, so the product is below its length.
            (length - place * chunk).min(*chunk)
        };
        let used: Vec<u64> = place.iter().zip(&self.chunk_shape).zip(&self.shape).map(used).collect();
        let text = || used.iter().map(u64::to_string).collect::<Vec<_>>().join("x");
        (used != self.chunk_shape).then(text)
    }
}

/// A document as a raw JSON object.
pub(super) fn object<'a>(document: &'a [u8], what: &str) -> Result<&'a RawValue> {
    let raw: &RawValue = serde_json::from_slice(document).map_err(|error| {
        Error::new(ErrorKind::Protocol, format!("{what} is not json: {}", quote(&error.to_string())))
    })?;
    if !raw.get().starts_with('{') {
        return fail(ErrorKind::Protocol, format!("{what} is not a json object"));
    }
    Ok(raw)
}

fn shape(members: &Members<'_>) -> Result<Vec<u64>> {
    match members.get("shape") {
        Some(shape) => lengths(shape),
        None => fail(ErrorKind::Protocol, "array has no shape"),
    }
}

/// Elements times bytes; `None` if that is more than a file can have.
fn size(chunk_shape: &[u64], item: u64) -> Option<u64> {
    let size = chunk_shape.iter().try_fold(item, |size, length| size.checked_mul(*length))?;
    i64::try_from(size).is_ok().then_some(size)
}

fn dimension_names(raw: &RawValue) -> Option<Vec<Option<String>>> {
    raw.get().starts_with('[').then(|| values(raw, ZARR_DIMENSIONS).into_iter().map(text).collect())
}

/// A string without quotes, all else as JSON.
fn written(raw: Option<&RawValue>) -> Option<String> {
    raw.and_then(|raw| text(raw).or_else(|| json_text(raw)))
}

fn json_text(raw: &RawValue) -> Option<String> {
    (raw.get().len() <= STRING_BYTES).then(|| raw.get().to_owned())
}

#[cfg(test)]
mod tests;
