"""Writes Zarr stores of many layouts, and compares them as mounted with what was written.

    layouts.py write DIRECTORY                with the zarr-python that is installed, version 2 or 3
    layouts.py compare MOUNTED WRITTEN        every array of every store, by its path and through its group
    layouts.py xarray MOUNTED WRITTEN [dask]  xarray.open_zarr
    layouts.py mean MOUNTED                   of t2m, chunk by chunk
    layouts.py fsspec MOUNTED WRITTEN         every file by fsspec's local file system
"""

import json
import pathlib
import sys

import numpy
import zarr

VERSION = int(zarr.__version__.split(".")[0])
FIELD = numpy.random.default_rng(1).normal(280, 10, (10, 9, 7)).astype("float32")
FIELD[5:] = 0.0
TABLE = numpy.array([(1, 2.5, b"one"), (3, 4.5, b"two"), (5, 6.5, b"six")], dtype=[("a", "<i4"), ("b", "<f8"), ("c", "S3")])


def write(directory):
    {2: write_with_2, 3: write_with_3}[VERSION](pathlib.Path(directory))


def write_with_2(directory):
    import numcodecs

    for name, separator, consolidated in [("dots", ".", True), ("slashes", "/", True), ("plain", ".", False)]:
        path = str(directory / f"{name}.zarr")
        # Whatever the separator, chunks that hold only the fill value are not written.
        options = {"dimension_separator": separator, "write_empty_chunks": False}
        group = zarr.open_group(path, mode="w")
        group.attrs["title"] = "by zarr-python 2"
        array = group.create_dataset("t2m", data=FIELD, chunks=(2, 4, 3), fill_value=0.0, **options)
        array.attrs["_ARRAY_DIMENSIONS"] = ["time", "latitude", "longitude"]
        for axis, size in zip(["time", "latitude", "longitude"], FIELD.shape):
            made = group.create_dataset(axis, data=numpy.arange(size), chunks=(size,), compressor=None)
            made.attrs["_ARRAY_DIMENSIONS"] = [axis]
        if name == "slashes":
            # GDAL 3.6 does not survive what is in the other one, in a copy neither.
            zarr.convenience.copy_all(group, zarr.open_group(str(directory / "simple.zarr"), mode="w"))
            zarr.consolidate_metadata(str(directory / "simple.zarr"))
        inner = group.create_group("group/inner")
        inner.create_dataset("table", data=TABLE, chunks=(2,), **options)
        inner.create_dataset("filtered", data=numpy.arange(100), chunks=(30,), filters=[numcodecs.Delta("<i8")], **options)
        inner.create_dataset("words", data=numpy.array(["a", "bc", ""], dtype=object), chunks=(2,),
                             object_codec=numcodecs.VLenUTF8(), **options)
        inner.create_dataset("fortran", data=FIELD[0], chunks=(4, 4), order="F", **options)
        inner.create_dataset("scalar", data=numpy.float64(4.25), shape=(), **options)
        inner.create_dataset("empty", shape=(0, 3), chunks=(1, 3), dtype="i4", **options)
        if consolidated:
            zarr.consolidate_metadata(path)


def write_with_3(directory):
    cases = [("v2", 2, True, {"name": "v2", "separator": "."}, None), ("v2-slash", 2, False, {"name": "v2", "separator": "/"}, None),
             ("default", 3, True, {"name": "default", "separator": "/"}, None),
             ("default-dot", 3, False, {"name": "default", "separator": "."}, None),
             ("as-v2", 3, True, {"name": "v2", "separator": "."}, None), ("as-v2-slash", 3, True, {"name": "v2", "separator": "/"}, None),
             ("shards", 3, True, {"name": "default", "separator": "/"}, (4, 8, 6))]
    for name, version, consolidated, encoding, shards in cases:
        path = str(directory / f"{name}.zarr")
        group = zarr.create_group(path, zarr_format=version, overwrite=True, attributes={"title": "by zarr-python 3"})
        options = {"chunk_key_encoding": encoding, "config": {"write_empty_chunks": False}}

        def create(where, label, values, chunks, dimensions=None, shards=None):
            named = {"dimension_names": dimensions} if dimensions and version == 3 else {}
            array = where.create_array(label, shape=values.shape, chunks=chunks, dtype=values.dtype, fill_value=0,
                                       shards=shards, **named, **options)
            if dimensions and version == 2:
                array.attrs["_ARRAY_DIMENSIONS"] = dimensions
            array[...] = values

        axes = ["time", "latitude", "longitude"]
        create(group, "t2m", FIELD, (2, 4, 3), axes, shards)
        for axis, size in zip(axes, FIELD.shape):
            create(group, axis, numpy.arange(size), (size,), [axis])
        inner = group.create_group("group/inner")
        create(inner, "line", numpy.arange(100, dtype="i8"), (30,))
        create(inner, "scalar", numpy.array(4.25), ())
        inner.create_array("empty", shape=(0, 3), chunks=(1, 3), dtype="i4", **options)
        if consolidated:
            zarr.consolidate_metadata(path)


def stores(written):
    for path in sorted(pathlib.Path(written).glob("*.zarr")):
        # Version 2 of zarr-python knows version 2 of the format.
        if VERSION == 3 or not (path / "zarr.json").exists():
            yield path


def arrays(store):
    for path in sorted(store.rglob("*")):
        if path.name == ".zarray" or (path.name == "zarr.json" and json.loads(path.read_text())["node_type"] == "array"):
            yield path.parent.relative_to(store)


def compare(mounted, written):
    compared = 0
    for store in stores(written):
        found = list(arrays(store))
        for name in found:
            here = zarr.open_array(str(pathlib.Path(mounted, store.name, name)), mode="r")
            there = zarr.open_array(str(store / name), mode="r")
            assert here.shape == there.shape and here.dtype == there.dtype, f"{store.name}/{name}"
            numpy.testing.assert_array_equal(here[...], there[...], err_msg=f"{store.name}/{name}")
            compared += 1
        text = "".join((store / part).read_text() for part in (".zmetadata", "zarr.json") if (store / part).exists())
        if '"metadata"' in text:
            group = zarr.open_consolidated(str(pathlib.Path(mounted, store.name)), mode="r")
            for name in found:
                numpy.testing.assert_array_equal(group[str(name)][...], zarr.open_array(str(store / name), mode="r")[...])
    assert compared > 5, f"{compared} arrays"


def xarray_same(mounted, written, with_dask=None):
    import xarray

    options = {"chunks": {} if with_dask else None}
    for store in stores(written):
        if not list(store.glob("t2m/.za*")) and not list(store.glob("t2m/zarr.json")):
            continue
        if not (store / ".zmetadata").exists() and "consolidated_metadata" not in (
                (store / "zarr.json").read_text() if (store / "zarr.json").exists() else ""):
            continue
        with xarray.open_zarr(str(pathlib.Path(mounted, store.name)), **options) as here, xarray.open_zarr(str(store)) as there:
            assert (type(here.t2m.data).__module__.startswith("dask")) == bool(with_dask)
            xarray.testing.assert_identical(here.load(), there.load())


def mean(mounted):
    group = zarr.open_consolidated(mounted, mode="r")
    print(float(numpy.mean(group["t2m"][...])))


def fsspec_same(mounted, written):
    import fsspec

    files = fsspec.filesystem("file")
    for store in sorted(pathlib.Path(written).glob("*.zarr")):
        for path in store.rglob("*"):
            if path.is_file():
                there = pathlib.Path(mounted, path.relative_to(written))
                with files.open(str(there), "rb") as file:
                    assert file.read() == path.read_bytes(), there
                assert files.info(str(there))["size"] == path.stat().st_size, there


if __name__ == "__main__":
    commands = {"write": write, "compare": compare, "xarray": xarray_same, "mean": mean, "fsspec": fsspec_same}
    if len(sys.argv) < 3 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])
