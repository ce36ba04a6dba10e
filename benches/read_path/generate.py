"""Makes the data of the benchmarks, once: generate.py DIRECTORY

    products/COLLECTION/PRODUCT/...    as the emulator's --files serves them behind the download address
    stores/COLLECTION/STORE.zarr/...   as it serves them as the Zarr host

Sizes and inner structure are those of the real things (a Sentinel-2 band, a Sentinel-5P file, a SAFE product, climate stores);
pixels are noise. What exists is not made again.
"""

import json
import os
import pathlib
import shutil
import struct
import sys
import time

import numpy as np

S2 = "S2A_MSIL2A_20240924T101031_N0511_R022_T32TQM_20240924T161048.SAFE"
S2_TLM = "S2A_MSIL2A_20240925T101031_N0511_R022_T32TQM_20240925T161048.SAFE"
S1 = "S1A_IW_SLC__1SDV_20240924T170639_20240924T170706_055811_06D1B8_1C2A.SAFE"
S5P = "S5P_OFFL_L2__NO2____20240924T112305_20240924T112805_36004_03_020701_20240924T172322"
# Not a radar image but a COG. The collections that are not here are computed by the stand-in, for the listings.
S1_COG = "S1A_IW_SLC__1SDV_20240925T170639_20240925T170706_055811_06D1B8_1C2A.SAFE"
STEM = "T32TQM_20240924T101031"
GRANULE = "GRANULE/L2A_T32TQM_A048350_20240924T101521"
SIDE = 10980


def noise(seed):
    return np.random.Generator(np.random.SFC64(seed))


def random_file(path, size, seed=1):
    """Bytes that do not compress, in pieces, so that the largest file needs little memory."""
    generator = noise(seed)
    with open(path, "wb") as file:
        while size:
            piece = min(size, 64 << 20)
            file.write(generator.bytes(piece))
            size -= piece


def without_tlm(source, target):
    """Copies a JP2 without the index of its tile-parts, as Sentinel-2 had it for most of its years."""
    data = pathlib.Path(source).read_bytes()
    at = 0
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"jp2c":
            break
        at += length
    box, head = at, at + 8
    # Marker segments of the main header, up to the first tile-part.
    at, kept = head + 2, [data[head : head + 2]]
    while data[at : at + 2] != b"\xff\x90":
        size = 2 + struct.unpack_from(">H", data, at + 2)[0]
        if data[at : at + 2] != b"\xff\x55":
            kept.append(data[at : at + size])
        at += size
    header = b"".join(kept)
    end = box + length if length else len(data)
    stream = header + data[at:end]
    with open(target, "wb") as file:
        file.write(data[:box])
        file.write(struct.pack(">I4s", 8 + len(stream), b"jp2c") if length else data[box:head])
        file.write(stream)
        file.write(data[end:])


def band(spread, side=SIDE):
    """A smooth scene with noise on it."""
    generator = noise(7)
    x = np.linspace(0, 9, side, dtype=np.float32)
    scene = (1500 + 900 * np.sin(x)[:, None] * np.cos(1.3 * x)[None, :]).astype(np.uint16)
    return scene + generator.integers(0, spread, (side, side), dtype=np.uint16)


def georeference():
    from rasterio.transform import from_origin

    return {"crs": "EPSG:32632", "transform": from_origin(699960, 4800000, 10, 10)}


def jp2(tlm, plain):
    import rasterio

    profile = {"driver": "JP2OpenJPEG", "width": SIDE, "height": SIDE, "count": 1, "dtype": "uint16"}
    # The share of the raw size that gives 88 MB; the noise is a little more than fits, so each tile has its share.
    options = {"QUALITY": "36.7", "REVERSIBLE": "YES", "TLM": "YES", "NUM_THREADS": "2"}
    with rasterio.Env(GDAL_NUM_THREADS=2), rasterio.open(tlm, "w", **profile, **georeference(), **options) as file:
        file.write(band(110), 1)
    without_tlm(tlm, plain)


def cog(path):
    import rasterio
    from rasterio.io import MemoryFile
    from rasterio.shutil import copy

    profile = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 1, "dtype": "uint16", "tiled": True}
    with MemoryFile() as memory:
        with memory.open(**profile, **georeference()) as file:
            file.write(band(1100), 1)
        with memory.open() as file:
            options = {"COMPRESS": "DEFLATE", "LEVEL": "1", "NUM_THREADS": "2", "OVERVIEW_RESAMPLING": "NEAREST"}
            copy(file, path, driver="COG", **options)


def s5p(path):
    """Groups, attributes and variables that are written one after the other, so that headers lie all over the file."""
    import h5py

    generator = noise(3)
    lines, pixels = 3980, 450
    places = {
        "PRODUCT": 4,
        "PRODUCT/SUPPORT_DATA/GEOLOCATIONS": 4,
        "PRODUCT/SUPPORT_DATA/DETAILED_RESULTS": 6,
        "PRODUCT/SUPPORT_DATA/INPUT_DATA": 4,
        "METADATA/QA_STATISTICS": 0,
        "METADATA/ALGORITHM_SETTINGS": 0,
        "METADATA/GRANULE_DESCRIPTION": 0,
    }
    with h5py.File(path, "w") as file:
        file.attrs["Conventions"] = "CF-1.7"
        number = 0
        for place, count in places.items():
            group = file.create_group(place)
            for name in range(12):
                group.attrs[f"attribute_{name}"] = f"value {name} of {place} " * 4
            for _ in range(count):
                number += 1
                shape, chunks = (1, lines, pixels), (1, 1043, 225)
                values = generator.random(shape, dtype=np.float32)
                variable = group.create_dataset(f"variable_{number:02}", shape, "f4", chunks=chunks, compression=1)
                variable.attrs["units"] = "mol m-2"
                for name in range(8):
                    variable.attrs[f"attribute_{name}"] = f"value {name} of variable {number}, as long as a usual description"
                variable[...] = values


def safe(product, jp2_file, stem=STEM):
    """The 87 files of a level 2A product; every image of 10 m is the same file."""
    small = pathlib.Path(jp2_file).read_bytes()[: 16 << 20]
    generator = noise(11)

    def put(name, size):
        path = product / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(small[:size])

    for name in ["B02", "B03", "B04", "B08", "TCI", "AOT", "WVP"]:
        path = product / GRANULE / "IMG_DATA/R10m" / f"{stem}_{name}_10m.jp2"
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(jp2_file, path)
    twenty = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B11", "B12", "B8A", "AOT", "SCL", "TCI", "WVP"]
    for name in twenty:
        put(f"{GRANULE}/IMG_DATA/R20m/{stem}_{name}_20m.jp2", int(generator.integers(11_500_000, 15_500_000)))
    for name in [*twenty, "B09"]:
        put(f"{GRANULE}/IMG_DATA/R60m/{stem}_{name}_60m.jp2", int(generator.integers(2_000_000, 3_200_000)))
    masks = [f"MSK_DETFOO_B{band:02}.jp2" for band in range(1, 14)] + [f"MSK_QUALIT_B{band:02}.jp2" for band in range(1, 14)]
    for name in [*masks, "MSK_CLASSI_B00.jp2", "MSK_CLDPRB_20m.jp2", "MSK_CLDPRB_60m.jp2", "MSK_SNWPRB_20m.jp2"]:
        put(f"{GRANULE}/QI_DATA/{name}", int(generator.integers(2_000, 400_000)))
    for name in ["GENERAL_QUALITY", "GEOMETRIC_QUALITY", "FORMAT_CORRECTNESS", "L2A_QUALITY", "SENSOR_QUALITY"]:
        put(f"{GRANULE}/QI_DATA/{name}.xml", int(generator.integers(3_000, 60_000)))
    put(f"{GRANULE}/QI_DATA/{stem}_PVI.jp2", 180_000)
    put(f"{GRANULE}/AUX_DATA/AUX_ECMWFT", 51_000)
    put(f"{GRANULE}/AUX_DATA/AUX_CAMSFO", 320_000)
    put(f"{GRANULE}/MTD_TL.xml", 580_000)
    put("DATASTRIP/DS_2APS_20240924T161048_S20240924T101521/MTD_DS.xml", 6_900_000)
    for name in ["FORMAT_CORRECTNESS", "GENERAL_QUALITY", "GEOMETRIC_QUALITY", "RADIOMETRIC_QUALITY", "SENSOR_QUALITY"]:
        put(f"DATASTRIP/DS_2APS_20240924T161048_S20240924T101521/QI_DATA/{name}.xml", int(generator.integers(1_000, 9_000)))
    put("HTML/UserProduct_index.html", 4_000)
    put("HTML/banner_1.png", 60_000)
    put("rep_info/S2_User_Product_Level-2A_Metadata.xsd", 5_000)
    put("INSPIRE.xml", 18_600)
    put("MTD_MSIL2A.xml", 55_000)
    put("manifest.safe", 67_000)


def zarr_v2(path):
    """Two variables of 12 MB a chunk, one with absent chunks only, one with 480 small ones, and coordinates."""
    import zarr

    group = zarr.open_group(path, mode="w", zarr_format=2)
    generator = noise(5)

    def array(name, shape, chunks, dimensions, dtype="f4"):
        made = group.create_array(name, shape=shape, chunks=chunks, dtype=dtype, fill_value=0, compressors=None)
        made.attrs["_ARRAY_DIMENSIONS"] = dimensions
        return made

    times, side = 96, 1024
    axes = [("time", np.arange(times, dtype="i8")), ("latitude", np.linspace(60, 50, side)), ("longitude", np.linspace(0, 10, side))]
    for name, values in axes:
        array(name, values.shape, values.shape, [name], values.dtype)[...] = values
    group["time"].attrs["units"] = "hours since 2024-01-01"
    field = ["time", "latitude", "longitude"]
    warm = array("t2m", (times, side, side), (48, 256, 256), field)
    warm[:48, :512, :512] = generator.random((48, 512, 512), dtype=np.float32)
    array("absent", (times, side, side), (24, 256, 256), field)
    small = array("small", (times, 80, 128), (1, 16, 128), ["time", "row", "column"])
    small[...] = generator.random((times, 80, 128), dtype=np.float32) + 1
    zarr.consolidate_metadata(path, zarr_format=2)


def zarr_series(path):
    """One variable of 64 chunks of 1 MiB, one for each time."""
    import zarr

    group = zarr.open_group(path, mode="w", zarr_format=2)
    shape = (64, 512, 512)
    made = group.create_array("t2m", shape=shape, chunks=(1, 512, 512), dtype="f4", fill_value=0, compressors=None)
    made.attrs["_ARRAY_DIMENSIONS"] = ["time", "latitude", "longitude"]
    made[...] = noise(7).random(shape, dtype=np.float32) + 1
    zarr.consolidate_metadata(path, zarr_format=2)


def zarr_sharded(path):
    """One shard of 96 inner chunks, 35 MB."""
    import zarr

    group = zarr.open_group(path, mode="w", zarr_format=3)
    shape = (96, 300, 304)
    made = group.create_array(
        "t2m", shape=shape, shards=shape, chunks=(1, 300, 304), dtype="f4", dimension_names=["time", "latitude", "longitude"],
        compressors=None,
    )
    made[...] = noise(6).random(shape, dtype=np.float32)
    zarr.consolidate_metadata(path, zarr_format=3)


def main(directory):
    directory = pathlib.Path(directory)
    products, stores = directory / "products", directory / "stores"

    def make(path, function, *arguments):
        if path.exists():
            return
        begun = time.monotonic()
        part = path.with_name(f"{path.stem}.part{path.suffix}")
        shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        function(part, *arguments)
        part.rename(path)
        size = sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())
        print(f"{path.relative_to(directory)}: {size / 1e6:.1f} MB, {time.monotonic() - begun:.0f} s", flush=True)

    tlm = products / "SENTINEL-2" / S2_TLM / GRANULE / "IMG_DATA/R10m" / f"{STEM}_B04_10m.jp2"
    plain = directory / "band.jp2"
    make(tlm, lambda part: jp2(part, plain))
    make(products / "SENTINEL-2" / S2, safe, plain)
    make(products / "SENTINEL-1" / S1_COG / "measurement/b04.tiff", cog)
    make(products / "SENTINEL-5P" / S5P / f"{S5P}.nc", s5p)
    make(products / "SENTINEL-1" / S1 / "measurement/s1a-iw1-slc-vv-001.tiff", random_file, 1 << 30)
    make(stores / "bench" / "climate-v0.zarr", zarr_v2)
    make(stores / "bench" / "series-v0.zarr", zarr_series)
    make(stores / "bench" / "sharded-v0.zarr", zarr_sharded)
    (directory / "paths.json").write_text(json.dumps({
        "jp2": f"SENTINEL-2/{S2}/{GRANULE}/IMG_DATA/R10m/{STEM}_B04_10m.jp2",
        "jp2_tlm": f"SENTINEL-2/{S2_TLM}/{GRANULE}/IMG_DATA/R10m/{STEM}_B04_10m.jp2",
        "safe": f"SENTINEL-2/{S2}",
        "cog": f"SENTINEL-1/{S1_COG}/measurement/b04.tiff",
        "s5p": f"SENTINEL-5P/{S5P}/{S5P}.nc",
        "large": f"SENTINEL-1/{S1}/measurement/s1a-iw1-slc-vv-001.tiff",
        "v2": "bench/climate-v0.zarr",
        "series": "bench/series-v0.zarr",
        "sharded": "bench/sharded-v0.zarr",
    }, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
