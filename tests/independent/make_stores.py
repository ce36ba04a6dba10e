"""Writes the stores of the independent Zarr host with zarr-python.

    make_stores.py DATA_DIRECTORY

`climate/v2.zarr` (format 2, consolidated), `climate/v2-plain.zarr` (format 2, not consolidated),
`climate/v3.zarr` (format 3, consolidated inline) and `climate/v3-sharded.zarr`. In each, the chunks of the second half
of the time axis hold only the fill value and are absent. `stores.json` lists every file with length and SHA-256.
"""

import hashlib
import json
import pathlib
import shutil
import sys
import warnings

import numpy
import zarr

SHAPE, CHUNKS = (24, 90, 180), (6, 45, 60)


def write_store(path, zarr_format, consolidated, shards=None):
    shutil.rmtree(path, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    group = zarr.create_group(store=str(path), zarr_format=zarr_format)
    group.attrs["title"] = f"independent store, Zarr format {zarr_format}"
    options = {"config": {"write_empty_chunks": False}}
    if shards:
        options["shards"] = shards
    for number, name in enumerate(["t2m", "msl"]):
        array = group.create_array(name, shape=SHAPE, chunks=CHUNKS, dtype="float32", fill_value=0.0,
                                   **names(zarr_format), **options)
        describe(array, zarr_format, ["time", "latitude", "longitude"])
        values = numpy.random.default_rng(number).normal(280, 10, SHAPE).astype("float32")
        values[SHAPE[0] // 2:] = 0.0
        array[:] = values
    for name, values in [("time", numpy.arange(24, dtype="int64")), ("latitude", numpy.linspace(89, -89, 90)),
                         ("longitude", numpy.arange(0.0, 360.0, 2.0))]:
        array = group.create_array(name, shape=values.shape, chunks=values.shape, dtype=values.dtype,
                                   **names(zarr_format, [name]))
        describe(array, zarr_format, [name])
        array[:] = values
    if consolidated:
        zarr.consolidate_metadata(str(path), zarr_format=zarr_format)


def names(zarr_format, dimensions=("time", "latitude", "longitude")):
    return {"dimension_names": list(dimensions)} if zarr_format == 3 else {}


def describe(array, zarr_format, dimensions):
    if zarr_format == 2:
        array.attrs["_ARRAY_DIMENSIONS"] = dimensions


def main(data):
    warnings.filterwarnings("ignore", message=".*[Cc]onsolidated metadata.*")
    root = data / "www" / "zarr"
    write_store(root / "climate/v2.zarr", 2, True)
    write_store(root / "climate/v2-plain.zarr", 2, False)
    write_store(root / "climate/v3.zarr", 3, True)
    write_store(root / "climate/v3-sharded.zarr", 3, True, shards=(12, 90, 60))
    files = {}
    for path in sorted(root.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            files[str(path.relative_to(root))] = {"size": len(content), "sha256": digest}
    (data / "stores.json").write_text(json.dumps(files, indent=1))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
