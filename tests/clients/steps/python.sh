# Python: xarray, zarr, netCDF4 and h5py give the same values through the mount as from a copy fetched over HTTP.
# shellcheck shell=bash

read_with() { as "$1" "$PYTHON" "$WORK/clients/read.py" "${@:2}"; }

step_python() {
    local who
    for who in $WHO; do
        mount_it "$who" python || continue
        stand_in "$services_url" reset
        # Both variables of the first store lack a chunk, which reads as gaps.
        check "python.$who: xarray, v2 consolidated, absent chunks are NaN" \
            read_with "$who" store "$M/cache-b/$V2" "$COPY/$V2" 2
        check "python.$who: xarray, v3 consolidated" read_with "$who" store "$M/cache-b/$V3" "$COPY/$V3" 0
        check "python.$who: xarray, v3 sharded" read_with "$who" store "$M/cache-b/$SHARDED" "$COPY/$SHARDED" 0
        check "python.$who: zarr, nested group, / in chunk names" \
            read_with "$who" array "$M/cache-b/$NESTED/pressure/t" "$COPY/$NESTED/pressure/t"
        check "python.$who: zarr, deeper group" \
            read_with "$who" array "$M/cache-b/$NESTED/surface/wind/u10" "$COPY/$NESTED/surface/wind/u10"
        check "python.$who: netCDF4 and h5py, Sentinel-5P" read_with "$who" netcdf "$M/$S5P_DIRECTORY/$S5P" "$COPY/$S5P"
        check "python.$who: two downloads at most" two_at_most
    done
}
