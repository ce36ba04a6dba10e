"""Makes the catalogue of the independent STAC server and the files that its items point to.

    make_items.py DATA_DIRECTORY ASSET_URL

Two collections, 250 items; four of one product each, in the forms that its providers use; and one of 1,200 products
on one day, which is several pages. Everything is computed from the item's number, so two runs give the same bytes.
`file:size` is there for every second item only; one in ten has none of the usual tile properties. What a
client must find is written to `expected.json`: for every item its files with length and SHA-256; and to `shapes.json`:
for the products of providers the place by date and the files in it.
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


def one_of_many(number):
    """A product of a day with more of them than any page has that is asked for at first."""
    time = START + datetime.timedelta(seconds=number)
    west, south = number % 34 * 10 - 170.0, number // 34 * 3 - 60.0
    ring = [[west, south], [west + 1, south], [west + 1, south + 1], [west, south + 1], [west, south]]
    return {
        "type": "Feature", "stac_version": "1.0.0", "stac_extensions": [], "id": f"MANY_{number:04d}",
        "collection": "many", "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [west, south, west + 1, south + 1],
        "properties": {"datetime": f"{time:%Y-%m-%dT%H:%M:%SZ}", "eo:cloud_cover": float(number % 100)},
        "links": [], "assets": {"data": {"href": f"./MANY_{number:04d}/data.nc"}, "more": {"href": "./more.nc"}},
    }


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


S2 = "S2A_MSIL2A_20241107T113311_N0511_R080_T32VKR_20241107T123948"
S3 = "S3A_SL_2_LST____20200705T094658_20200705T094958_20200706T155921_0179_060_136_2160_LN2_O_NT_004"
S1 = "S1A_IW_SLC__1SDV_20240924T053012_20240924T053039_055800_06D1A2_3F4B"
S5P = "S5P_OFFL_L2__NO2____20200303T013547_20200303T031717_12367_01_010302_20200306T053815"
# Products as the providers of Cache-A describe them: collection, id, time, where they are filed, their name there, how
# their addresses are written, files (None: the catalogue tells no length).
SHAPES = [
    ("sentinel-2-l2a", S2, "2024-11-07T11:33:11Z", "2024/11/07/T32VKR", f"{S2}.SAFE", "s3", {
        f"GRANULE/L2A_T32VKR_A048972_20241107T113308/IMG_DATA/R10m/T32VKR_20241107T113311_{band}_10m.jp2": 9_000
        for band in ("B02", "B03", "TCI")} | {"MTD_MSIL2A.xml": 500, "manifest.safe": 300}),
    ("sentinel-3-sl-2-lst-ntc", S3, "2020-07-05T09:46:58Z", "2020/07/05/SL_2_LST___/R136", f"{S3}.SEN3", "s3",
     {"LST_in.nc": 4_000, "geodetic_in.nc": 3_000, "xfdumanifest.xml": None}),
    ("sentinel-1-slc", S1, "2024-09-24T05:30:12Z", "2024/09/24/R078", f"{S1}.SAFE", "relative",
     {"manifest.safe": 700, "annotation/s1a-iw1-slc-vv-001.xml": 900, "measurement/s1a-iw1-slc-vv-001.tiff": 7_000,
      "preview/quick-look.png": 200}),
    ("sentinel-5p-l2-no2", S5P, "2020-03-03T01:57:22Z", "2020/03/03/L2__NO2___/O12367", f"{S5P}.nc", "relative",
     {f"{S5P}.nc": 5_000}),
]


def write_shape(shape, www, asset_url):
    """An item in one of the forms, and what a client must show of it."""
    collection, name, time, place, shown, form, files = shape
    folder = shown if shown != f"{name}.nc" else ""
    assets, listed = {}, {}
    for number, (path, size) in enumerate(files.items()):
        content = random.Random(f"{collection}/{path}").randbytes(size or 100)
        below = f"shapes/{collection}/{folder}/{path}".replace("//", "/")
        target = www / "assets" / below
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        asset = {"href": f"./{folder}/{path}".replace(".//", "./"), "roles": ["data"]}
        if form == "s3":
            asset["href"] = f"s3://eodata/{collection}/{place[:10]}/{folder}/{path}"
            asset["alternate"] = {"https": {"href": f"{asset_url}/{urllib.parse.quote(below)}"}}
            asset["file:local_path"] = f"{folder}/{path}"
        if size:
            asset["file:size"] = size
        assets[f"asset-{number}"] = asset
        listed[path] = hashlib.sha256(content).hexdigest()
    if form == "s3":
        assets["Product"] = {"href": f"{asset_url}/shapes/{name}.zip", "roles": ["archive"], "type": "application/zip"}
    # In the tile T32VKR; the others may be anywhere.
    west, south = 4.0, 63.5
    ring = [[west, south], [west + 1, south], [west + 1, south + 1], [west, south + 1], [west, south]]
    item = {
        "type": "Feature", "stac_version": "1.1.0", "stac_extensions": [FILE_EXTENSION], "id": name,
        "collection": collection, "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [west, south, west + 1, south + 1],
        "properties": {"datetime": time, "start_datetime": time, "end_datetime": time}, "links": [], "assets": assets,
    }
    return item, {
        "collection": collection, "id": name, "place": f"{place}/{shown}", "relative": form == "relative", "files": listed}


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
    shapes = []
    for shape in SHAPES:
        item, shown = write_shape(shape, www, asset_url)
        shapes.append(shown)
        await rustac.write(str(catalogue / f"{shape[0]}.parquet"), [item])
        collections.append(collection(shape[0], "One product as a provider describes it", [item]))
    many = [one_of_many(number) for number in range(1200)]
    await rustac.write(str(catalogue / "many.parquet"), many)
    collections.append(collection("many", "Many products of one day", many))
    (data / "shapes.json").write_text(json.dumps(shapes, indent=1))
    (catalogue / "collections.json").write_text(json.dumps(collections, indent=1))
    (data / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    asyncio.run(main(pathlib.Path(sys.argv[1]), sys.argv[2].rstrip("/")))
