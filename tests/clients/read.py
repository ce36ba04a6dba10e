"""Reads a mounted path and a copy of it with the libraries that people use, and compares every value.

    read.py store MOUNTED COPY [MISSING]        xarray.open_zarr; MISSING: how many variables must have gaps
    read.py array MOUNTED COPY                  zarr.open_array
    read.py netcdf MOUNTED COPY                 netCDF4 and h5py
"""

import sys


def store(mounted, copy, missing="0"):
    import numpy
    import xarray

    with xarray.open_zarr(mounted) as here, xarray.open_zarr(copy) as there:
        xarray.testing.assert_identical(here.load(), there.load())
        gaps = [name for name, values in here.data_vars.items() if numpy.isnan(values).any()]
        full = [name for name, values in here.data_vars.items() if not numpy.isnan(values).all()]
        assert len(here.data_vars) > 0 and len(full) == len(here.data_vars), "variables without a value"
        assert len(gaps) == int(missing), f"gaps in {gaps}, expected in {missing} variables"


def array(mounted, copy):
    import numpy
    import zarr

    here, there = zarr.open_array(mounted, mode="r"), zarr.open_array(copy, mode="r")
    assert here.shape == there.shape and here.size > 0
    numpy.testing.assert_array_equal(here[:], there[:])
    corner = tuple(slice(0, 3) for _ in here.shape)
    numpy.testing.assert_array_equal(here[corner], there[corner])


def netcdf(mounted, copy):
    import h5py
    import netCDF4
    import numpy

    def variables(group):
        for variable in group.variables.values():
            yield f"{group.path}/{variable.name}", variable
        for inner in group.groups.values():
            yield from variables(inner)

    with netCDF4.Dataset(mounted) as here, netCDF4.Dataset(copy) as there:
        there_too, names = dict(variables(there)), 0
        for name, variable in variables(here):
            numpy.testing.assert_array_equal(variable[...], there_too[name][...], err_msg=name)
            names += 1
        assert names == len(there_too) > 0
    with h5py.File(mounted, "r") as here, h5py.File(copy, "r") as there:
        names = []
        there.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
        assert names
        for name in names:
            numpy.testing.assert_array_equal(here[name][()], there[name][()], err_msg=name)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    {"store": store, "array": array, "netcdf": netcdf}[sys.argv[1]](*sys.argv[2:])
