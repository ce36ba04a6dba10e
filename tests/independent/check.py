"""Checks the independent servers themselves, without dcmsfs: what start.sh started is what a test may rely on.

    check.py DATA STAC_URL HOST_URL

Listing by GET and by POST, following `next` links of both kinds, finds each item exactly once; every file
arrives with the bytes of expected.json; the Zarr host asks for a password, knows ranges and answers 404.
"""

import base64
import hashlib
import json
import pathlib
import sys
import urllib.error
import urllib.request


def fetch(url, body=None, headers=None):
    data = None if body is None else json.dumps(body).encode()
    headers = dict(headers or {}, **({"Content-Type": "application/json"} if data else {}))
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


def follow(url, body=None):
    """All features and the number of pages."""
    features, pages = [], 0
    while url:
        status, content = fetch(url, body)
        assert status == 200, (status, url)
        page = json.loads(content)
        features += page["features"]
        pages += 1
        link = next((link for link in page["links"] if link["rel"] == "next"), None)
        url, body = (None, None) if link is None else (link["href"], link.get("body"))
        assert link is None or link.get("method", "GET") == ("POST" if body else "GET")
    return features, pages


def main(data, stac, host):
    expected = json.loads((data / "expected.json").read_text())
    shapes = {(shape["collection"], shape["id"]) for shape in json.loads((data / "shapes.json").read_text())}
    total = sum(map(len, expected.values()))
    large = {"collections": list(expected), "limit": 20}
    listed = json.loads(fetch(f"{stac}/collections")[1])["collections"]
    assert {entry["id"] for entry in listed} == set(expected) | {c for c, _ in shapes} | {"many"}
    landing = json.loads(fetch(f"{stac}/")[1])
    print("conformance:", len(landing["conformsTo"]), "classes; stac", landing["stac_version"])

    names = {(c, i) for c in expected for i in expected[c]}
    for label, features, pages in [
        ("GET /search", *follow(f"{stac}/search?limit=20&collections={','.join(expected)}")),
        ("POST /search", *follow(f"{stac}/search", large)),
    ]:
        found = [(feature["collection"], feature["id"]) for feature in features]
        assert len(found) == total and set(found) == names, (label, len(found), len(set(found)))
        print(f"{label}: {len(found)} items on {pages} pages")
    for collection, items in expected.items():
        features, pages = follow(f"{stac}/collections/{collection}/items?limit=30")
        assert {feature["id"] for feature in features} == set(items) and len(features) == len(items)
        print(f"GET items of {collection}: {len(features)} on {pages} pages")
    day = {"collections": ["optical-l2"], "datetime": "2024-09-23T00:00:00Z/2024-09-24T00:00:00Z", "limit": 7}
    of_day = {i for i, item in expected["optical-l2"].items() if item["datetime"].startswith("2024-09-23")}
    features, pages = follow(f"{stac}/search", day)
    assert {feature["id"] for feature in features} == of_day and len(features) == len(of_day)
    print(f"one day: {len(features)} items on {pages} pages")
    features, _ = follow(f"{stac}/search", {"bbox": [0, 0, 40, 40], "limit": 50})
    assert 0 < len(features) < total
    one = next(iter(expected["optical-l2"]))
    assert [f["id"] for f in follow(f"{stac}/search?ids={one}")[0]] == [one]

    files = sizes = 0
    for feature in follow(f"{stac}/search", {"limit": 250, "collections": list(expected)})[0]:
        item = expected[feature["collection"]][feature["id"]]
        assert set(feature["assets"]) == set(item["assets"]), feature["id"]
        for key, asset in feature["assets"].items():
            assert ("file:size" in asset) == item["file_size"], asset
            sizes += "file:size" in asset
            if files < 60:
                content = fetch(asset["href"])[1]
                assert hashlib.sha256(content).hexdigest() == item["assets"][key]["sha256"], asset["href"]
            files += 1
    print(f"assets: {files}, with file:size {sizes}")

    secret = base64.b64encode(b"reader:independent-password").decode()
    login = {"Authorization": f"Basic {secret}"}
    stores = json.loads((data / "stores.json").read_text())
    address = f"{host}/zarr/climate/v2.zarr/.zmetadata"
    assert fetch(address)[0] == 401 and fetch(address, headers={"Authorization": "Basic eDp4"})[0] == 401
    for name, file in stores.items():
        status, content = fetch(f"{host}/zarr/{name}", headers=login)
        assert status == 200 and hashlib.sha256(content).hexdigest() == file["sha256"], name
    assert fetch(f"{host}/zarr/climate/v2.zarr/t2m/3.0.0", headers=login)[0] == 404
    chunk = {**login, "Range": "bytes=0-99"}
    status, content = fetch(f"{host}/zarr/climate/v2.zarr/t2m/0.0.0", headers=chunk)
    assert (status, len(content)) == (206, 100)
    href = feature["assets"][key]["href"].replace("/assets/", "/whole/")
    assert fetch(href, headers={"Range": "bytes=0-99"})[0] == 200, "this place knows no ranges"
    print(f"stores: {len(stores)} files")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), sys.argv[2].rstrip("/"), sys.argv[3].rstrip("/"))
    print("independent servers: all as expected")
