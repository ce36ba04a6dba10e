//! A Zarr v2 store of the size of the real ones, whose chunks are computed when asked for.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::content::{Content, hash, mix};
use crate::options::Scale;

/// Where the store lies.
pub(crate) const PATH: &str = "d1-climate-dt/ScenarioMIP-SSP3-7.0-IFS-NEMO-0001-high-sfc-v0.zarr";

const VARIABLES: [(&str, &str, &str); 3] = [
    ("t2m", "2 metre temperature", "K"),
    ("d2m", "2 metre dewpoint temperature", "K"),
    ("skt", "Skin temperature", "K"),
];

/// The store.
#[derive(Debug)]
pub(crate) struct Huge {
    objects: HashMap<String, Bytes>,
    grid: [u64; 3],
    density: u8,
    chunk_bytes: u64,
}

impl Huge {
    pub(crate) fn new(scale: &Scale) -> Huge {
        let chunks = scale.zarr_chunks.map(|len| len.max(1));
        let shape = scale.zarr_shape.map(|len| len.max(1));
        let grid = [0, 1, 2].map(|axis| shape[axis].div_ceil(chunks[axis]));
        let decoded = chunks.iter().product::<u64>() * 4;
        // Chunks of another length cannot be raw floats, so they are announced as compressed.
        let compressor = match scale.zarr_chunk_bytes {
            None => Value::Null,
            Some(_) => json!({ "id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0 }),
        };
        let mut objects = HashMap::new();
        let mut metadata = json!({
            ".zgroup": { "zarr_format": 2 },
            ".zattrs": { "Conventions": "CF-1.7", "institution": "ECMWF", "history": "written by the stand-in" },
        });
        for (name, long_name, units) in VARIABLES {
            metadata[format!("{name}/.zarray")] =
                array(&shape, &chunks, "<f4", json!("NaN"), compressor.clone());
            metadata[format!("{name}/.zattrs")] = json!({
                "_ARRAY_DIMENSIONS": ["time", "latitude", "longitude"],
                "long_name": long_name, "units": units, "GRIB_missingValue": 3.402_823_466_385_288_6e38,
            });
        }
        let hours = (0..shape[0]).flat_map(|hour| (hour as i64).to_le_bytes()).collect::<Vec<u8>>();
        let axis = |len: u64, low: f64, high: f64| {
            let step = (high - low) / (len.max(2) - 1) as f64;
            (0..len).flat_map(|place| (low + step * place as f64).to_le_bytes()).collect::<Vec<u8>>()
        };
        let coordinates = [
            (
                "time",
                "<i8",
                shape[0],
                hours,
                json!({ "units": "hours since 2020-01-01", "calendar": "proleptic_gregorian" }),
            ),
            ("latitude", "<f8", shape[1], axis(shape[1], -90.0, 90.0), json!({ "units": "degrees_north" })),
            ("longitude", "<f8", shape[2], axis(shape[2], -180.0, 180.0), json!({ "units": "degrees_east" })),
        ];
        for (name, dtype, len, bytes, mut attributes) in coordinates {
            metadata[format!("{name}/.zarray")] = array(&[len], &[len], dtype, Value::Null, Value::Null);
            attributes["_ARRAY_DIMENSIONS"] = json!([name]);
            attributes["standard_name"] = name.into();
            metadata[format!("{name}/.zattrs")] = attributes;
            objects.insert(format!("{name}/0"), Bytes::from(bytes));
        }
        for (key, value) in metadata.as_object().into_iter().flatten() {
            objects.insert(key.clone(), Bytes::from(value.to_string()));
        }
        let consolidated = json!({ "zarr_consolidated_format": 1, "metadata": metadata });
        objects.insert(".zmetadata".to_owned(), Bytes::from(consolidated.to_string()));
        let chunk_bytes = scale.zarr_chunk_bytes.unwrap_or(decoded);
        Huge { objects, grid, density: scale.zarr_density, chunk_bytes }
    }

    /// An object by its key.
    pub(crate) fn get(&self, key: &str) -> Option<Content> {
        if let Some(bytes) = self.objects.get(key) {
            return Some(Content::bytes(bytes.clone()));
        }
        let (variable, place) = key.split_once('/')?;
        VARIABLES.iter().find(|(name, ..)| *name == variable)?;
        let mut parts = place.split('.');
        for end in self.grid {
            let part = parts.next()?;
            // `01` is another name than `1`, and only one of them exists.
            let index: u64 =
                part.parse().ok().filter(|index: &u64| *index < end && index.to_string() == part)?;
            let _ = index;
        }
        if parts.next().is_some() {
            return None;
        }
        let seed = hash(key);
        (mix(seed, 7) % 100 < u64::from(self.density)).then(|| Content::kelvin(seed, self.chunk_bytes))
    }
}

fn array(shape: &[u64], chunks: &[u64], dtype: &str, fill: Value, compressor: Value) -> Value {
    json!({
        "zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": dtype, "order": "C",
        "fill_value": fill, "filters": null, "compressor": compressor,
    })
}
