//! The small stores. Their metadata is written here, byte for byte; their chunks are encoded by `zarrs`.
//!
//! | store | what is special |
//! |---|---|
//! | `d1-climate-dt/demo-climate-sfc-v0.zarr` | v2, consolidated, Blosc and Zstandard, a few absent chunks |
//! | `era5/demo-reanalysis-era5-v0.zarr` | v3, consolidated in the root's `zarr.json`, chunks cut at the edges |
//! | `climate-dt-2/demo-sharded-v0.zarr` | v3, chunks inside of shards |
//! | `era5/demo-nested-v0.zarr` | v2, nested groups, `/` in chunk keys, nothing consolidated |

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use zarrs::array::{Array, Element};
use zarrs::metadata::ArrayMetadata;
use zarrs::storage::store::MemoryStore;
use zarrs::storage::{ListableStorageTraits, ReadableStorageTraits};

use super::globe::Globe;

/// A store's objects by their keys.
pub(crate) type Objects = HashMap<String, Bytes>;

/// Where a store lies and how it is written.
pub(crate) type Recipe = (&'static str, fn() -> Objects);

/// The stores.
pub(crate) const STORES: [Recipe; 4] = [
    ("d1-climate-dt/demo-climate-sfc-v0.zarr", climate),
    ("era5/demo-reanalysis-era5-v0.zarr", reanalysis),
    ("climate-dt-2/demo-sharded-v0.zarr", sharded),
    ("era5/demo-nested-v0.zarr", nested),
];

/// Why writing cannot fail: everything written is fixed here, and the tests read it back.
const FIXED: &str = "the demo's arrays are fixed and tested";

/// A store that is being written.
#[derive(Default)]
struct Writer {
    documents: Vec<(String, Value)>,
    chunks: Arc<MemoryStore>,
}

impl Writer {
    fn document(&mut self, key: &str, value: Value) {
        self.documents.push((key.to_owned(), value));
    }

    /// A v2 array. `values` gives a cell's value, or `None` in a chunk that is to be absent.
    fn v2<T: Element>(
        &mut self,
        path: &str,
        array: Value,
        attributes: Value,
        value: impl Fn(&[u64]) -> T,
        absent: &[&[u64]],
    ) {
        self.document(&format!("{path}/.zarray"), array.clone());
        self.document(&format!("{path}/.zattrs"), attributes);
        self.chunks(path, ArrayMetadata::V2(serde_json::from_value(array).expect(FIXED)), value, absent);
    }

    /// A v3 array.
    fn v3<T: Element>(&mut self, path: &str, array: Value, value: impl Fn(&[u64]) -> T) {
        self.document(&format!("{path}/zarr.json"), array.clone());
        self.chunks(path, ArrayMetadata::V3(serde_json::from_value(array).expect(FIXED)), value, &[]);
    }

    fn chunks<T: Element>(
        &self,
        path: &str,
        metadata: ArrayMetadata,
        value: impl Fn(&[u64]) -> T,
        absent: &[&[u64]],
    ) {
        let array =
            Array::new_with_metadata(Arc::clone(&self.chunks), &format!("/{path}"), metadata).expect(FIXED);
        let grid = array.chunk_grid().grid_shape().to_vec();
        for chunk in cells(&grid).into_iter().filter(|chunk| !absent.contains(&chunk.as_slice())) {
            let shape = array.chunk_shape(&chunk).expect(FIXED);
            let lengths = shape.iter().map(|len| len.get()).collect::<Vec<u64>>();
            let (mut values, mut place) = (Vec::new(), vec![0; lengths.len()]);
            // Edge chunks reach beyond the array; what is there belongs to nobody, the field goes on.
            each_cell(&lengths, |inner| {
                for axis in 0..inner.len() {
                    place[axis] = inner[axis] + chunk[axis] * lengths[axis];
                }
                values.push(value(&place));
            });
            array.store_chunk(&chunk, values).expect(FIXED);
        }
    }

    fn finish(self) -> Objects {
        let mut objects = Objects::new();
        for key in self.chunks.list().expect(FIXED) {
            if let Some(bytes) = self.chunks.get(&key).expect(FIXED) {
                objects.insert(key.as_str().to_owned(), bytes);
            }
        }
        for (key, value) in self.documents {
            objects.insert(key, Bytes::from(pretty(&value)));
        }
        objects
    }

    /// The documents that a consolidated document repeats, by key or by node.
    fn consolidated(&self, key: fn(&str) -> Option<&str>) -> Value {
        let parts =
            self.documents.iter().filter_map(|(path, value)| Some((key(path)?.to_owned(), value.clone())));
        Value::Object(parts.collect())
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// All indices of a grid, the last axis fastest.
fn cells(shape: &[u64]) -> Vec<Vec<u64>> {
    let mut all = Vec::new();
    each_cell(shape, |place| all.push(place.to_vec()));
    all
}

/// Visits all indices of a grid, the last axis fastest.
fn each_cell(shape: &[u64], mut visit: impl FnMut(&[u64])) {
    let mut place = vec![0; shape.len()];
    for _ in 0..shape.iter().product::<u64>() {
        visit(&place);
        for axis in (0..shape.len()).rev() {
            place[axis] += 1;
            if place[axis] < shape[axis] {
                break;
            }
            place[axis] = 0;
        }
    }
}

fn variable(long_name: &str, standard_name: &str, units: &str) -> Value {
    json!({ "long_name": long_name, "standard_name": standard_name, "units": units,
            "GRIB_missingValue": 3.402_823_466_385_288_6e38 })
}

fn coordinate(name: &str) -> Value {
    match name {
        "time" => json!({ "standard_name": "time", "long_name": "time",
                          "units": "hours since 2020-01-01", "calendar": "proleptic_gregorian" }),
        "latitude" => {
            json!({ "standard_name": "latitude", "long_name": "latitude", "units": "degrees_north" })
        }
        _ => json!({ "standard_name": "longitude", "long_name": "longitude", "units": "degrees_east" }),
    }
}

fn with_dimensions(mut attributes: Value, dimensions: &[&str]) -> Value {
    attributes["_ARRAY_DIMENSIONS"] = json!(dimensions);
    attributes
}

fn array_v2(shape: &[u64], chunks: &[u64], dtype: &str, fill: Value, compressor: Value) -> Value {
    json!({ "zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": dtype, "order": "C",
            "fill_value": fill, "filters": null, "compressor": compressor })
}

fn blosc() -> Value {
    json!({ "id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0 })
}

fn coordinates_v2(writer: &mut Writer, hours: u64, globe: &Globe) {
    let mut add = |name: &str, len: u64, value: &dyn Fn(u64) -> f64| {
        let array = array_v2(&[len], &[len], "<f8", json!("NaN"), Value::Null);
        writer.v2(name, array, with_dimensions(coordinate(name), &[name]), |place| value(place[0]), &[]);
    };
    add("latitude", globe.latitudes, &|row| globe.latitude(row));
    add("longitude", globe.longitudes, &|column| globe.longitude(column));
    let array = array_v2(&[hours], &[hours], "<i8", Value::Null, Value::Null);
    writer.v2("time", array, with_dimensions(coordinate("time"), &["time"]), |place| place[0] as i64, &[]);
}

fn climate() -> Objects {
    let mut writer = Writer::default();
    let globe = Globe::new(240, 64, 128);
    let (shape, chunks) = ([240, 64, 128], [24, 32, 64]);
    let dimensions = ["time", "latitude", "longitude"];
    writer.document(".zgroup", json!({ "zarr_format": 2 }));
    writer.document(
        ".zattrs",
        json!({ "Conventions": "CF-1.7", "institution": "ECMWF", "title": "Climate DT as a demonstration",
                "history": "computed, not simulated" }),
    );
    let compressor = blosc();
    writer.v2(
        "t2m",
        array_v2(&shape, &chunks, "<f4", json!("NaN"), compressor),
        with_dimensions(variable("2 metre temperature", "air_temperature", "K"), &dimensions),
        |at| globe.temperature(at[0], at[1], at[2]),
        &[&[3, 1, 1], &[7, 0, 0], &[7, 0, 1]],
    );
    writer.v2(
        "u10",
        array_v2(&shape, &chunks, "<f4", json!("NaN"), json!({ "id": "zstd", "level": 1 })),
        with_dimensions(variable("10 metre U wind component", "eastward_wind", "m s**-1"), &dimensions),
        |at| globe.wind(at[0], at[1], at[2]),
        &[&[9, 1, 0]],
    );
    coordinates_v2(&mut writer, 240, &globe);
    let metadata = writer.consolidated(|path| Some(path));
    writer.document(".zmetadata", json!({ "zarr_consolidated_format": 1, "metadata": metadata }));
    writer.finish()
}

fn nested() -> Objects {
    let mut writer = Writer::default();
    let globe = Globe::new(24, 32, 64);
    let group = json!({ "zarr_format": 2 });
    writer.document(".zgroup", group.clone());
    writer.document(".zattrs", json!({ "title": "Groups inside of groups" }));
    writer.document("pressure/.zgroup", group.clone());
    writer.document("pressure/.zattrs", json!({ "levels": "hPa" }));
    writer.document("surface/.zgroup", group.clone());
    writer.document("surface/wind/.zgroup", group);
    let mut array = array_v2(&[24, 5, 32, 64], &[12, 1, 16, 32], "<f4", json!("NaN"), blosc());
    array["dimension_separator"] = "/".into();
    writer.v2(
        "pressure/t",
        array,
        with_dimensions(
            variable("Temperature", "air_temperature", "K"),
            &["time", "level", "latitude", "longitude"],
        ),
        |at| globe.temperature(at[0], at[2], at[3]) - 12.0 * at[1] as f32,
        &[&[1, 4, 0, 0]],
    );
    let mut array =
        array_v2(&[24, 32, 64], &[12, 16, 32], "<f4", json!(0.0), json!({ "id": "gzip", "level": 5 }));
    array["dimension_separator"] = "/".into();
    writer.v2(
        "surface/wind/u10",
        array,
        with_dimensions(
            variable("10 metre U wind component", "eastward_wind", "m s**-1"),
            &["time", "latitude", "longitude"],
        ),
        |at| globe.wind(at[0], at[1], at[2]),
        &[],
    );
    writer.finish()
}

fn array_v3(shape: &[u64], chunks: &[u64], kind: &str, fill: Value, codecs: Value) -> Value {
    json!({
        "zarr_format": 3, "node_type": "array", "shape": shape, "data_type": kind,
        "chunk_grid": { "name": "regular", "configuration": { "chunk_shape": chunks } },
        "chunk_key_encoding": { "name": "default", "configuration": { "separator": "/" } },
        "fill_value": fill, "codecs": codecs, "storage_transformers": [],
    })
}

fn named(mut array: Value, attributes: Value, dimensions: &[&str]) -> Value {
    array["attributes"] = attributes;
    array["dimension_names"] = json!(dimensions);
    array
}

fn little() -> Value {
    json!({ "name": "bytes", "configuration": { "endian": "little" } })
}

fn zstd() -> Value {
    json!({ "name": "zstd", "configuration": { "level": 1, "checksum": false } })
}

fn coordinates_v3(writer: &mut Writer, hours: u64, globe: &Globe) {
    let mut add = |name: &str, len: u64, value: &dyn Fn(u64) -> f64| {
        let array = array_v3(&[len], &[len], "float64", json!("NaN"), json!([little(), zstd()]));
        writer.v3(name, named(array, coordinate(name), &[name]), |place| value(place[0]));
    };
    add("latitude", globe.latitudes, &|row| globe.latitude(row));
    add("longitude", globe.longitudes, &|column| globe.longitude(column));
    let array = array_v3(&[hours], &[hours], "int64", json!(0), json!([little(), zstd()]));
    writer.v3("time", named(array, coordinate("time"), &["time"]), |place| place[0] as i64);
}

/// The root of a v3 store, with the metadata of all nodes inside.
fn root_v3(writer: &mut Writer, title: &str) {
    let metadata = writer.consolidated(|path| path.strip_suffix("/zarr.json"));
    writer.document(
        "zarr.json",
        json!({
            "zarr_format": 3, "node_type": "group",
            "attributes": { "Conventions": "CF-1.7", "title": title },
            "consolidated_metadata": { "kind": "inline", "must_understand": false, "metadata": metadata },
        }),
    );
}

fn reanalysis() -> Objects {
    let mut writer = Writer::default();
    let globe = Globe::new(120, 73, 145);
    let dimensions = ["time", "latitude", "longitude"];
    let array =
        || array_v3(&[120, 73, 145], &[60, 40, 48], "float32", json!("NaN"), json!([little(), zstd()]));
    writer.v3(
        "t2m",
        named(array(), variable("2 metre temperature", "air_temperature", "K"), &dimensions),
        |at| globe.temperature(at[0], at[1], at[2]),
    );
    writer.v3(
        "u10",
        named(array(), variable("10 metre U wind component", "eastward_wind", "m s**-1"), &dimensions),
        |at| globe.wind(at[0], at[1], at[2]),
    );
    coordinates_v3(&mut writer, 120, &globe);
    root_v3(&mut writer, "ERA5 as a demonstration");
    writer.finish()
}

fn sharded() -> Objects {
    let mut writer = Writer::default();
    let globe = Globe::new(96, 64, 128);
    let sharding = json!([{
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": [12, 16, 16],
            "codecs": [little(), zstd()],
            "index_codecs": [little(), { "name": "crc32c" }],
            "index_location": "end",
        },
    }]);
    let array = array_v3(&[96, 64, 128], &[48, 32, 64], "float32", json!("NaN"), sharding);
    let attributes = variable("2 metre temperature", "air_temperature", "K");
    writer.v3("t2m", named(array, attributes, &["time", "latitude", "longitude"]), |at| {
        globe.temperature(at[0], at[1], at[2])
    });
    coordinates_v3(&mut writer, 96, &globe);
    root_v3(&mut writer, "Chunks inside of shards");
    writer.finish()
}
