"""Makes the catalogue of the independent STAC server and the files that its items point to.

    make_items.py DATA_DIRECTORY ASSET_URL

Two collections, 250 items. Everything is computed from the item's number, so two runs give the same bytes.
`file:size` is there for every second item only; one in ten has none of the usual tile properties. What a
client must find is written to `expected.json`: for every item its files with length and SHA-256.
"""

import asyncio
import datetime
import hashlib
import json
import pathlib
import random
import sys
import urllib.parse

import rustac

START = datetime.datetime(2024, 9, 22, 10, 0, tzinfo=datetime.timezone.utc)
FILE_EXTENSION = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
TYPES = {".tif": "image/tiff; application=geotiff", ".xml": "application/xml", ".nc": "application/x-netcdf"}


def optical(number):
    """170 products of several files on five days, in five tiles."""
    tile = ["32TQM", "32TPS", "33UUP", "30STJ", "01CCV"][number % 5]
    time = START + datetime.timedelta(days=number // 34, seconds=number * 61)
    name = f"OPT_L2_{time:%Y%m%dT%H%M%S}_{tile}_{number:04d}"
    properties = {"platform": "independent-1", "eo:cloud_cover": float(number % 101)}
    if number % 10:
        properties["grid:code"] = f"MGRS-{tile}"
    # Every fortieth is large enough for a download to last, so that parallel ones overlap in the log.
    large = 3_000_000 if number % 40 == 0 else 0
    files = {"B04": ("IMG/B04.tif", 20_000 + 997 * number + large), "B08": ("IMG/B08.tif", 5_000 + number),
             "metadata": ("MTD.xml", 700 + number)}
    return name, time, properties, (number * 1.7 % 340 - 170, number * 0.7 % 140 - 70), files


def atmosphere(number):
    """80 products of one file on eight days, with names that need encoding in an address."""
    time = START + datetime.timedelta(days=number // 10, seconds=number * 37)
    odd = {3: " with space", 4: "+plus", 5: "é"}.get(number, "")
    name = f"ATM_NO2_{time:%Y%m%dT%H%M%S}_{number:04d}{odd}"
    files = {"data": (f"{name}.nc", 30_000 + 1_009 * number)}
    return name, time, {"platform": "independent-2"}, (number * 4.1 % 340 - 170, number * 1.3 % 140 - 70), files


def write_item(collection, number, product, www, asset_url, expected):
    name, time, properties, (west, south), files = product
    with_size = number % 2 == 0
    assets, listed = {}, {}
    for key, (path, size) in files.items():
        content = random.Random(f"{collection}/{name}/{path}").randbytes(size)
        target = www / "assets" / collection / name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        place = urllib.parse.quote(f"{collection}/{name}/{path}")
        asset = {"href": f"{asset_url}/{place}", "type": TYPES[pathlib.Path(path).suffix], "roles": ["data"]}
        if with_size:
            asset["file:size"] = size
        if key == "B08":
            asset["alternate"] = {"s3": {"href": f"s3://products/exact/assets/{collection}/{name}/{path}"}}
        assets[key] = asset
        listed[key] = {"path": path, "size": size, "sha256": hashlib.sha256(content).hexdigest()}
    expected[collection][name] = {"datetime": f"{time:%Y-%m-%dT%H:%M:%SZ}", "file_size": with_size, "assets": listed}
    box = [west, south, west + 1.0, south + 1.0]
    ring = [[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]], [box[0], box[1]]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [FILE_EXTENSION],
        "id": name,
        "collection": collection,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": box,
        "properties": {"datetime": f"{time:%Y-%m-%dT%H:%M:%SZ}", **properties},
        "links": [],
        "assets": assets,
    }


def collection(name, title, items):
    times = sorted(item["properties"]["datetime"] for item in items)
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": name,
        "title": title,
        "description": title,
        "license": "CC-BY-4.0",
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[times[0], times[-1]]]}},
        "links": [],
        "assets": {"items": {"href": f"./{name}.parquet", "type": "application/vnd.apache.parquet"}},
    }


async def main(data, asset_url):
    www, catalogue = data / "www", data / "catalogue"
    catalogue.mkdir(parents=True, exist_ok=True)
    expected = {"optical-l2": {}, "atmosphere-no2": {}}
    collections = []
    for name, title, count, product in [
        ("optical-l2", "Optical products of several files", 170, optical),
        ("atmosphere-no2", "Atmosphere products of one file", 80, atmosphere),
    ]:
        items = [write_item(name, number, product(number), www, asset_url, expected) for number in range(count)]
        await rustac.write(str(catalogue / f"{name}.parquet"), items)
        collections.append(collection(name, title, items))
    (catalogue / "collections.json").write_text(json.dumps(collections, indent=1))
    (data / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    asyncio.run(main(pathlib.Path(sys.argv[1]), sys.argv[2].rstrip("/")))
