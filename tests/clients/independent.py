"""Compares a mount of the independent servers with what their makers wrote down.

    independent.py items CATALOGUE DATA      all of expected.json is listed, by date, once
    independent.py ids CATALOGUE DATA        and found by identifier
    independent.py files CATALOGUE DATA      some files have the bytes of expected.json
    independent.py shapes CATALOGUE DATA     products as providers describe them are filed and named right
    independent.py relative CATALOGUE DATA   the same with the bytes behind relative addresses
    independent.py many CATALOGUE DATA       a day of several pages is whole, and so is a search with two bounds
    independent.py chunks STORES DATA        all files of stores.json have their bytes
    independent.py store MOUNTED FILES       xarray and zarr give the same values
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import sys


def expected(data):
    return json.loads((pathlib.Path(data) / "expected.json").read_text())


def products(catalogue, collections):
    """(collection, product) for all that by-date shows, with its path: a directory or a single file."""
    for collection in sorted(path for path in catalogue.iterdir() if path.name in collections):
        for directory, names, files in os.walk(collection / "by-date", onerror=fail):
            described = {name.removesuffix(".stac.json") for name in files if name.endswith(".stac.json")}
            for name in described:
                yield collection.name, pathlib.Path(directory, name)
            # A product's own files are not walked here.
            names[:] = [name for name in names if name not in described]


def fail(error):
    raise error


def item_of(product):
    return json.loads(product.with_name(product.name + ".stac.json").read_text())


def items(catalogue, data):
    wanted = {(c, i) for c, of in expected(data).items() for i in of}
    shown = products(pathlib.Path(catalogue), expected(data))
    found = [(collection, item_of(path)["id"]) for collection, path in shown]
    assert len(found) == len(set(found)), "an item is shown twice"
    assert set(found) == wanted, f"{len(found)} of {len(wanted)}; missing {sorted(wanted - set(found))[:3]}"


def ids(catalogue, data):
    for collection, of in expected(data).items():
        for item in list(of)[::25]:
            place = pathlib.Path(catalogue, collection, "by-id", item)
            shown = [place] if place.exists() else list(place.parent.glob(f"{item}*"))
            assert shown, f"by-id has no {item}"
        missing = pathlib.Path(catalogue, collection, "by-id", "no-such-item")
        assert not missing.exists()


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files(catalogue, data):
    known, wanted = expected(data), []
    for collection, path in sorted(products(pathlib.Path(catalogue), known)):
        item = item_of(path)
        assets = known[collection][item["id"]]["assets"]
        here = {file for file in path.rglob("*") if file.is_file()} if path.is_dir() else {path}
        assert len(here) == len(assets), f"{item['id']}: {len(here)} files for {len(assets)} assets"
        left = {asset["sha256"]: asset["size"] for asset in assets.values()}
        wanted += [(file, left) for file in here]
    biggest = max(size for _, left in wanted for size in left.values())
    assert biggest > 1_000_000, f"no large file among them: {biggest}"
    with concurrent.futures.ThreadPoolExecutor(8) as readers:
        for (file, left), got in zip(wanted, readers.map(lambda pair: digest(pair[0]), wanted)):
            assert got in left, f"{file}: bytes differ"
            assert file.stat().st_size == left[got], f"{file}: size {file.stat().st_size}, {left[got]} expected"


def relative(catalogue, data):
    shapes(catalogue, data, front=True)


def many(catalogue, data):
    day = pathlib.Path(catalogue, "many/by-date/2024/09/22")
    found = sorted(path.name for path in day.glob("*/*") if path.is_dir())
    assert found == [f"MANY_{number:04d}" for number in range(1200)], f"{len(found)} of 1200"
    day = pathlib.Path(catalogue, "many/search/cloud>=10,cloud<20/2024/09/22")
    found = sum(path.is_dir() for path in day.glob("*/*"))
    assert found == 120, f"{found} of 120 within two bounds"


def shapes(catalogue, data, front=False):
    for shape in json.loads((pathlib.Path(data) / "shapes.json").read_text()):
        collection = pathlib.Path(catalogue, shape["collection"])
        product = collection / "by-date" / shape["place"]
        same = collection / "by-id" / shape["id"]
        assert product.exists() and (same.exists() or product.is_file()), shape["place"]
        if product.is_file():
            assert list(shape["files"]) == [product.name], product
            assert not front or digest(product) == shape["files"][product.name], f"{product}: bytes differ"
            continue
        here = {str(path.relative_to(product)) for path in product.rglob("*") if path.is_file()}
        assert here == set(shape["files"]), f"{product}: {sorted(here ^ set(shape['files']))[:3]}"
        for path, known in shape["files"].items():
            # The server itself has nothing at relative addresses; the one in front of it has.
            if front or not shape["relative"]:
                assert digest(product / path) == known, f"{product / path}: bytes differ"
        assert not (product.parent / f"{product.name}.zip").is_dir(), "the archive stands beside the folder"


def chunks(stores, data):
    for name, known in json.loads((pathlib.Path(data) / "stores.json").read_text()).items():
        file = pathlib.Path(stores).parent / name
        assert digest(file) == known["sha256"], name
        assert file.stat().st_size == known["size"], name


def store(mounted, files):
    import numpy
    import xarray
    import zarr

    if os.path.exists(f"{files}/.zgroup") and not os.path.exists(f"{files}/.zmetadata"):
        # An HTTP server does not list: without consolidated metadata only what is named can be opened.
        for name in ("t2m", "msl", "time", "latitude", "longitude"):
            here, there = (zarr.open_array(f"{place}/{name}", mode="r")[...] for place in (mounted, files))
            numpy.testing.assert_array_equal(here, there)
        return
    with xarray.open_zarr(mounted) as here, xarray.open_zarr(files) as there:
        xarray.testing.assert_identical(here.load(), there.load())
        assert {"t2m", "msl"} <= set(here.data_vars)
        assert here["t2m"].max() > here["t2m"].min()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    {"items": items, "ids": ids, "files": files, "shapes": shapes, "relative": relative, "many": many, "chunks": chunks, "store": store}[sys.argv[1]](*sys.argv[2:])
