//! How an array is cut into chunks and how these are encoded, from the extension points of Zarr v3.
//!
//! Each of them is a name with a configuration, or a bare name. Own reading first; where that is not
//! enough, the configuration types of `zarrs_metadata_ext`.

use serde_json::value::RawValue;
use zarrs_metadata_ext::chunk_grid::rectangular::{
    RectangularChunkGridConfiguration, RectangularChunkGridDimensionConfiguration as Lengths,
};
use zarrs_metadata_ext::chunk_grid::rectilinear::{
    ChunkEdgeLengths, RectilinearChunkGridConfiguration, RunLengthElement,
};
use zarrs_metadata_ext::codec::sharding::ShardingCodecConfiguration;

use super::super::lenient::{Members, text, values, whole};
use super::super::limits::ZARR_DIMENSIONS;
use super::super::quote::quote;
use super::grid::{KeyEncoding, Separator};
use crate::error::{ErrorKind, Result, fail};

/// Codecs of one array.
const CODECS: usize = 1_000;

/// How a shape is cut.
pub(super) struct Cut {
    /// The usual lengths of a chunk; where they vary, the first.
    pub(super) chunk_shape: Vec<u64>,
    /// Chunks along each dimension.
    pub(super) counts: Vec<u64>,
    /// Whether all chunks have the usual lengths.
    pub(super) regular: bool,
}

impl Cut {
    /// Equal chunks: the last one of a dimension is whole, too, only partly used.
    pub(super) fn regular(shape: &[u64], chunk_shape: Vec<u64>) -> Result<Self> {
        if shape.len() != chunk_shape.len() {
            let message =
                format!("array has {} dimensions, its chunks have {}", shape.len(), chunk_shape.len());
            return fail(ErrorKind::Protocol, message);
        }
        if chunk_shape.contains(&0) {
            return fail(ErrorKind::Protocol, "array has a chunk length of zero");
        }
        let counts = shape.iter().zip(&chunk_shape).map(|(length, chunk)| length.div_ceil(*chunk)).collect();
        Ok(Self { chunk_shape, counts, regular: true })
    }

    /// From a v3 `chunk_grid`.
    pub(super) fn read(shape: &[u64], raw: &RawValue) -> Result<Self> {
        let extension = Extension::of(raw);
        let configuration = extension.configuration.map_or("{}", RawValue::get);
        let lengths: Vec<Vec<Run>> = match extension.name.as_str() {
            "regular" => {
                let chunk_shape = Members::of_option(extension.configuration).get("chunk_shape").map(lengths);
                return match chunk_shape {
                    Some(chunk_shape) => Self::regular(shape, chunk_shape?),
                    None => fail(ErrorKind::Protocol, "array has no chunk shape"),
                };
            }
            "rectangular" => match serde_json::from_str::<RectangularChunkGridConfiguration>(configuration) {
                Ok(grid) => grid.chunk_shape.iter().map(rectangular).collect(),
                Err(error) => {
                    return fail(
                        ErrorKind::Protocol,
                        format!("chunk grid cannot be read: {}", quote(&error.to_string())),
                    );
                }
            },
            "rectilinear" => match serde_json::from_str(configuration) {
                Ok(RectilinearChunkGridConfiguration::Inline { chunk_shapes }) => {
                    chunk_shapes.iter().map(rectilinear).collect()
                }
                Err(error) => {
                    return fail(
                        ErrorKind::Protocol,
                        format!("chunk grid cannot be read: {}", quote(&error.to_string())),
                    );
                }
            },
            other => return fail(ErrorKind::Protocol, format!("chunk grid {:?} is not known", quote(other))),
        };
        Self::irregular(shape, &lengths)
    }

    fn irregular(shape: &[u64], lengths: &[Vec<Run>]) -> Result<Self> {
        if shape.len() != lengths.len() {
            let message = format!("array has {} dimensions, its chunks have {}", shape.len(), lengths.len());
            return fail(ErrorKind::Protocol, message);
        }
        let mut cut = Self { chunk_shape: Vec::new(), counts: Vec::new(), regular: false };
        for (length, runs) in shape.iter().zip(lengths) {
            cut.chunk_shape.push(runs.first().map_or(1, |run| run.length));
            match count(*length, runs) {
                Some(count) => cut.counts.push(count),
                None => return fail(ErrorKind::Protocol, "chunk lengths do not cover the array"),
            }
        }
        Ok(cut)
    }
}

/// `times` chunks of one length; `None`: as many as there is room for.
struct Run {
    length: u64,
    times: Option<u64>,
}

/// How many chunks of these lengths it takes to cover `length` elements.
fn count(length: u64, runs: &[Run]) -> Option<u64> {
    let (mut rest, mut count) = (length, 0u64);
    for run in runs {
        let needed = rest.div_ceil(run.length);
        let used = run.times.map_or(needed, |times| times.min(needed));
        count = count.checked_add(used)?;
        rest = rest.saturating_sub(used.saturating_mul(run.length));
    }
    (rest == 0).then_some(count)
}

fn rectangular(lengths: &Lengths) -> Vec<Run> {
    match lengths {
        Lengths::Fixed(length) => vec![Run { length: length.get(), times: None }],
        Lengths::Varying(lengths) => {
            lengths.iter().map(|length| Run { length: length.get(), times: Some(1) }).collect()
        }
    }
}

fn rectilinear(lengths: &ChunkEdgeLengths) -> Vec<Run> {
    match lengths {
        ChunkEdgeLengths::Scalar(length) => vec![Run { length: length.get(), times: None }],
        ChunkEdgeLengths::Varying(runs) => runs
            .iter()
            .map(|run| match run {
                RunLengthElement::Repeated([length, times]) => {
                    Run { length: length.get(), times: Some(times.get()) }
                }
                RunLengthElement::Single(length) => Run { length: length.get(), times: Some(1) },
            })
            .collect(),
    }
}

/// A list of lengths: a shape, or chunk lengths.
pub(super) fn lengths(raw: &RawValue) -> Result<Vec<u64>> {
    if !raw.get().starts_with('[') {
        return fail(ErrorKind::Protocol, format!("array has {} for a list of lengths", quote(raw.get())));
    }
    let given = values(raw, ZARR_DIMENSIONS + 1);
    if given.len() > ZARR_DIMENSIONS {
        return fail(ErrorKind::Protocol, format!("array has more than {ZARR_DIMENSIONS} dimensions"));
    }
    let lengths: Option<_> = given.into_iter().map(whole).collect();
    match lengths {
        Some(lengths) => Ok(lengths),
        None => fail(ErrorKind::Protocol, format!("array has a wrong length in {}", quote(raw.get()))),
    }
}

/// A separator as a document writes it.
pub(super) fn separator(raw: &RawValue) -> Result<Separator> {
    match text(raw).as_deref() {
        Some(".") => Ok(Separator::Dot),
        Some("/") => Ok(Separator::Slash),
        _ => {
            fail(ErrorKind::Protocol, format!("separator {} is neither a dot nor a slash", quote(raw.get())))
        }
    }
}

/// A v3 `chunk_key_encoding`; without one, the specification's default.
pub(super) fn key_encoding(raw: Option<&RawValue>) -> Result<KeyEncoding> {
    let Some(raw) = raw else { return Ok(KeyEncoding::Default { separator: Separator::Slash }) };
    let extension = Extension::of(raw);
    let given = Members::of_option(extension.configuration).get("separator").map(separator).transpose()?;
    match extension.name.as_str() {
        "default" => Ok(KeyEncoding::Default { separator: given.unwrap_or(Separator::Slash) }),
        "v2" => Ok(KeyEncoding::V2 { separator: given.unwrap_or(Separator::Dot) }),
        other => fail(ErrorKind::Protocol, format!("chunk key encoding {:?} is not known", quote(other))),
    }
}

/// What the codecs of a v3 array do to a chunk.
pub(super) struct Codecs {
    /// Bytes that a chunk has beyond its elements, if its size is fixed at all.
    pub(super) extra_bytes: Option<u64>,
    /// The lengths of the inner chunks of a shard, if the array is sharded.
    pub(super) inner_shape: Option<Vec<u64>>,
}

impl Codecs {
    pub(super) fn read(raw: Option<&RawValue>) -> Self {
        let mut codecs = Self { extra_bytes: raw.map(|_| 0), inner_shape: None };
        for codec in raw.map(|raw| values(raw, CODECS)).unwrap_or_default() {
            let codec = Extension::of(codec);
            let extra = match codec.name.as_str() {
                // `endian` is what `bytes` was called before Zarr v3 was final.
                "bytes" | "endian" | "transpose" => Some(0),
                "crc32c" => Some(4),
                _ => None,
            };
            codecs.extra_bytes =
                codecs.extra_bytes.zip(extra).and_then(|(sum, extra)| sum.checked_add(extra));
            if codec.name == "sharding_indexed" {
                codecs.inner_shape = codec.configuration.and_then(inner_shape);
            }
        }
        codecs
    }
}

fn inner_shape(configuration: &RawValue) -> Option<Vec<u64>> {
    match serde_json::from_str(configuration.get()) {
        Ok(ShardingCodecConfiguration::V1(sharding)) => {
            Some(sharding.chunk_shape.iter().map(|length| length.get()).collect())
        }
        // Codecs that zarrs cannot read do not matter for the shape.
        _ => lengths(Members::of(configuration).get("chunk_shape")?)
            .ok()
            .filter(|lengths| !lengths.contains(&0)),
    }
}

/// A named extension.
struct Extension<'a> {
    /// Empty if it has none.
    name: String,
    configuration: Option<&'a RawValue>,
}

impl<'a> Extension<'a> {
    fn of(raw: &'a RawValue) -> Self {
        let members = Members::of(raw);
        let name = text(raw).or_else(|| members.text(&["name"])).unwrap_or_default();
        Self { name, configuration: members.get("configuration") }
    }
}
