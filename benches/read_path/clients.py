"""Python programs as people write them, timed from the first call on: no start of Python, no imports.

    clients.py COMMAND SOURCE [ARGUMENT]

SOURCE is a path or a URL. In the environment are the header for it, AUTHORIZATION, or OFFLINE_TOKEN as the password of
`anonymous`. The last line of output is JSON.
"""

import base64
import json
import mmap
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor


def raster(source, window=None, share=None):
    import rasterio
    from rasterio.windows import Window

    begun = time.perf_counter()
    with rasterio.open(source) as file:
        if share:
            file.read(1, out_shape=(file.height // share, file.width // share))
        else:
            file.read(1, window=Window(*window))
    return begun


def headers():
    if token := os.environ.get("OFFLINE_TOKEN"):
        return {"Authorization": "Basic " + base64.b64encode(f"anonymous:{token}".encode()).decode()}
    return {"Authorization": os.environ["AUTHORIZATION"]}


def opened(source):
    """A file for h5py: by its path, or by fsspec."""
    if not source.startswith("http"):
        return source
    import fsspec

    return fsspec.filesystem("http", headers=headers()).open(source)


def hdf5_walk(source):
    import fsspec.implementations.http
    import h5py

    seen = []
    begun = time.perf_counter()
    with h5py.File(opened(source)) as file:
        # What is returned would end the walk.
        file.visititems(lambda _, node: seen.append((dict(node.attrs), getattr(node, "shape", None))))
    assert len(seen) == 27, len(seen)
    return begun


def hdf5_slice(source):
    import fsspec.implementations.http
    import h5py

    begun = time.perf_counter()
    with h5py.File(opened(source)) as file:
        file["PRODUCT/SUPPORT_DATA/GEOLOCATIONS/variable_06"][0, 1000:1200, 100:300]
    return begun


def dataset(source):
    import xarray

    options = {"storage_options": {"headers": headers()}} if source.startswith("http") else {}
    return xarray.open_zarr(source, chunks=None, **options)


def prepare():
    import aiohttp  # noqa: F401
    import fsspec.implementations.http
    import xarray
    import xarray.backends.zarr  # noqa: F401
    import zarr  # noqa: F401

    xarray.backends.list_engines()


def zarr_open(source):
    prepare()
    begun = time.perf_counter()
    dataset(source)
    return begun


def zarr_chunk(source):
    prepare()
    begun = time.perf_counter()
    assert dataset(source).t2m[10, 100, 100].values > 0
    return begun


def zarr_map(source):
    prepare()
    begun = time.perf_counter()
    assert dataset(source).t2m[10, :512, :512].values.all()
    return begun


def zarr_absent(source):
    prepare()
    begun = time.perf_counter()
    # What is absent is the fill value, which xarray shows as missing.
    assert dataset(source).absent[[0, 24, 48, 72], :, :].isnull().values.all()
    return begun


def zarr_small(source, readers):
    """Every chunk of the array of small chunks by itself, by some readers at once."""
    prepare()
    begun = time.perf_counter()
    small = dataset(source).small
    places = [(moment, row) for moment in range(96) for row in range(0, 80, 16)]

    def read(place):
        assert small[place[0], place[1] : place[1] + 16].values.all()

    with ThreadPoolExecutor(int(readers)) as pool:
        list(pool.map(read, places))
    return begun


def zarr_series(source):
    """A point, time after time."""
    prepare()
    begun = time.perf_counter()
    field = dataset(source).t2m
    for moment in range(64):
        assert field[moment, 100, 100].values > 0
    return begun


def zarr_shard(source):
    prepare()
    begun = time.perf_counter()
    dataset(source).t2m.values.sum()
    return begun


def mapped(source):
    """All bytes, in order."""
    import numpy

    begun = time.perf_counter()
    with open(source, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as pages:
        words = numpy.frombuffer(pages, dtype=numpy.uint8)
        assert words.max() > 0
        size = words.nbytes
        del words
    return begun, size


COMMANDS = {
    "raster-window": lambda source: raster(source, window=(3600, 3600, 1024, 1024)),
    "raster-overview": lambda source: raster(source, share=16),
    "hdf5-walk": hdf5_walk,
    "hdf5-slice": hdf5_slice,
    "zarr-open": zarr_open,
    "zarr-chunk": zarr_chunk,
    "zarr-map": zarr_map,
    "zarr-absent": zarr_absent,
    "zarr-small": zarr_small,
    "zarr-series": zarr_series,
    "zarr-shard": zarr_shard,
    "mmap": mapped,
}


def main(command, source, *arguments):
    begun = COMMANDS[command](source, *arguments)
    size = None
    if isinstance(begun, tuple):
        begun, size = begun
    print(json.dumps({"seconds": time.perf_counter() - begun, "bytes": size or 1}))


if __name__ == "__main__":
    main(*sys.argv[1:])
