"""Questions to the stand-in of the services, and copies of its files that never went through dcmsfs.

    stand_in.py URL reset                       begin a new journal
    stand_in.py URL count ENDPOINT FIELD        requests, bytes or peak of an endpoint
    stand_in.py URL number NAME                 refused, leaks, logins, ...
    stand_in.py URL strangers                   requests for things that do not exist and are no absent chunk
    stand_in.py URL copy DIRECTORY COLLECTION/ITEM... STORE.zarr...
"""

import base64
import itertools
import json
import math
import pathlib
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request


def get(url, headers=None, data=None):
    with urllib.request.urlopen(urllib.request.Request(url, data, headers or {}), timeout=30) as answer:
        return answer.read()


def journal(url):
    return json.loads(get(f"{url}/_emulator/journal"))


def is_chunk(path):
    name = path.rsplit("/", 1)[1]
    return name.replace(".", "").isdigit() or name == "c"


def strangers(url):
    """The paths of requests that no listing suggested: sidecars that a program looks for, wrong guesses."""
    for entry in journal(url)["entries"]:
        path = entry["path"] + (f"?{entry['query']}" if entry["query"] else "")
        if entry["endpoint"] == "unknown":
            yield path
        elif entry["endpoint"] in ("download", "signed-download") and entry["status"] == 404:
            yield path
        # What kind of store it is can only be found by asking for its first documents.
        elif entry["endpoint"] == "zarr-metadata" and entry["status"] == 404:
            store, _, document = entry["path"].rpartition("/")
            if not (store.endswith(".zarr") and document in (".zmetadata", ".zgroup", ".zarray", "zarr.json")):
                yield path
        elif entry["endpoint"] == "zarr-chunk" and entry["status"] == 404 and not is_chunk(entry["path"]):
            yield path


def curl(requests, arguments):
    """Fetches (URL, FILE) pairs, one after the other: the service allows two downloads at once."""
    lines = []
    for url, file in requests:
        file.parent.mkdir(parents=True, exist_ok=True)
        lines += [f'url = "{url}"', f'output = "{file}"']
    command = ["curl", "--silent", "--show-error", "--fail", "--max-time", "60", "--config", "-"]
    subprocess.run(command, input="\n".join(arguments + lines), text=True, check=True, timeout=120)


def copy_product(url, directory, collection, item):
    token = json.loads(get(f"{url}/_emulator/token", data=b""))["access_token"]
    found = json.loads(get(f"{url}/stac/api/search?collections={collection}&limit=100"))["features"]
    requests = []
    for feature in found:
        for asset in feature["assets"].values():
            name = urllib.parse.parse_qs(urllib.parse.urlsplit(asset["href"]).query)["filename"][0]
            # COLLECTION/year/month/day/ITEM[/path of the file]
            inside = name.split("/", 4)[4]
            if inside.split("/")[0] == item:
                requests.append((asset["href"], directory / inside))
    assert requests, f"{collection} has no {item}"
    curl(requests, [f'header = "Authorization: Bearer {token}"', 'request = "POST"', 'data = ""'])


def chunk_names(metadata):
    """All names that an array's chunks can have, by its metadata of either version."""
    if metadata["zarr_format"] == 2:
        lengths, separator, prefix = metadata["chunks"], metadata.get("dimension_separator", "."), ""
    else:
        lengths = metadata["chunk_grid"]["configuration"]["chunk_shape"]
        encoding = metadata["chunk_key_encoding"]
        plain = encoding["name"] == "v2"
        separator = encoding.get("configuration", {}).get("separator", "." if plain else "/")
        prefix = "" if plain else f"c{separator}"
    grid = [range(math.ceil(size / length)) for size, length in zip(metadata["shape"], lengths)]
    for place in itertools.product(*grid):
        yield prefix + separator.join(map(str, place))


# What a store without consolidated metadata holds; nothing that can be asked tells it.
NOT_CONSOLIDATED = {
    "era5/demo-nested-v0.zarr": ["pressure", "surface", "surface/wind", "pressure/t", "surface/wind/u10"]
}


def copy_store(url, directory, store):
    offline = json.loads(get(f"{url}/_emulator/token", data=b""))["offline_token"]
    login = base64.b64encode(f"anonymous:{offline}".encode()).decode()
    headers = {"Authorization": f"Basic {login}"}

    def fetch(name):
        try:
            content = get(f"{url}/cacheb/{store}/{name}", headers)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None
        file = directory / store / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return content

    arrays = {}
    if root := fetch("zarr.json"):
        for name, node in json.loads(root)["consolidated_metadata"]["metadata"].items():
            fetch(f"{name}/zarr.json")
            if node["node_type"] == "array":
                arrays[name] = node
    else:
        documents = [".zgroup", ".zattrs"]
        if consolidated := fetch(".zmetadata"):
            documents = list(json.loads(consolidated)["metadata"])
        for node in NOT_CONSOLIDATED.get(store, []):
            documents += [f"{node}/{name}" for name in (".zgroup", ".zarray", ".zattrs")]
        for document in documents:
            content = fetch(document)
            if content and document.endswith("/.zarray"):
                arrays[document.removesuffix("/.zarray")] = json.loads(content)
    absent = sum(fetch(f"{name}/{chunk}") is None for name, node in arrays.items() for chunk in chunk_names(node))
    print(f"{store}: {absent} absent chunks")


def main(url, command, *arguments):
    if command == "reset":
        urllib.request.urlopen(urllib.request.Request(f"{url}/_emulator/journal", method="DELETE"), timeout=30)
    elif command == "count":
        endpoint, field = arguments
        print(journal(url)["totals"].get(endpoint, {}).get(field, 0))
    elif command == "number":
        print(journal(url)[arguments[0]])
    elif command == "strangers":
        print(*strangers(url), sep="\n", end="")
    elif command == "copy":
        directory = pathlib.Path(arguments[0])
        for name in arguments[1:]:
            if name.endswith(".zarr"):
                copy_store(url, directory, name)
            else:
                copy_product(url, directory, *name.split("/"))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
