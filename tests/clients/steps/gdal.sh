# GDAL's command line: what it reads through the mount is what it reads from a copy.
# shellcheck shell=bash

# The same command on both, whose output may differ in the path only.
gdal_same() { # WHO COMMAND FILE OPTIONS...
    local who=$1 command=$2 file=$3 here there
    shift 3
    here=$(as "$who" "$command" "$@" "${file//@/$M/}" 2>&1) || wrong "$here" || return
    there=$(as "$who" "$command" "$@" "${file//@/$TWIN/}" 2>&1) || wrong "copy: $there" || return
    # Paths may be broken over lines nowhere; a name is replaced as it stands.
    same "${here//$M/}" "${there//$TWIN/}" && [ -n "$here" ]
}
gdal_checksums() { # WHO FILE BANDS
    local here
    here=$(as "$1" gdalinfo -checksum "${2//@/$M/}" 2>&1) || wrong "$here" || return
    [ "$(grep -c Checksum= <<<"$here")" -ge "$3" ] || wrong "fewer than $3 checksums: $here" || return
    gdal_same "$1" gdalinfo "$2" -checksum
}
gdal_subdatasets() {
    local found
    found=$(as "$1" gdalinfo "$M/$S2_DIRECTORY/$S2/MTD_MSIL2A.xml") || return
    [ "$(grep -c '^  SUBDATASET_[0-9]_NAME=SENTINEL2_L2A:' <<<"$found")" -ge 3 ] || wrong "$found"
}
gdal_window() {
    local who=$1 out band
    out=$(place "$who" windows)
    for band in B02_10m B8A_20m; do
        file=$(cd "$COPY/$S2" && echo GRANULE/*/IMG_DATA/*/*_$band.jp2)
        as "$who" gdal_translate -q -of ENVI -srcwin 100 50 200 150 "$M/$S2_DIRECTORY/$S2/$file" "$out/$band.mounted" || return
        as "$who" gdal_translate -q -of ENVI -srcwin 100 50 200 150 "$COPY/$S2/$file" "$out/$band.copy" || return
        cmp "$out/$band.mounted" "$out/$band.copy" || return
        [ "$(stat -c %s "$out/$band.mounted")" -ge 60000 ] || wrong "window too small" || return
    done
}
gdal_multidimensional() {
    local here there
    here=$(as "$1" gdalmdiminfo "$M/cache-b/$2") && there=$(as "$1" gdalmdiminfo "$COPY/$2") || wrong "$here" || return
    # GDAL before 3.8 knows a draft of Zarr v3 only and finds nothing, in the copy neither.
    [ "$2" = "$V3" ] || grep -q '"t2m"' <<<"$here" || wrong "no t2m: $here" || return
    same "${here//$M\/cache-b/}" "${there//$COPY/}"
}
step_gdal() {
    local who store resolution
    # A twin of the mount made of the copies, so that all paths are alike below it.
    TWIN=$WORK/twin
    mkdir -p "$TWIN/$S2_DIRECTORY" "$TWIN/$S5P_DIRECTORY" "$TWIN/$MOSAIC_DIRECTORY"
    ln -sfn "$COPY/$S2" "$TWIN/$S2_DIRECTORY/$S2"
    ln -sfn "$COPY/$S5P" "$TWIN/$S5P_DIRECTORY/$S5P"
    ln -sfn "$COPY/$MOSAIC" "$TWIN/$MOSAIC_DIRECTORY/$MOSAIC"
    ln -sfn "$COPY" "$TWIN/cache-b"
    chmod -R a+rX "$TWIN"
    for who in $WHO; do
        mount_it "$who" gdal || continue
        stand_in "$services_url" reset
        check "gdal.$who: MTD_MSIL2A.xml lists subdatasets" gdal_subdatasets "$who"
        check "gdal.$who: MTD_MSIL2A.xml reads as the copy" gdal_same "$who" gdalinfo "@/$S2_DIRECTORY/$S2/MTD_MSIL2A.xml"
        for resolution in 10m 20m 60m TCI; do
            check "gdal.$who: checksums of the subdataset $resolution" gdal_checksums "$who" \
                "SENTINEL2_L2A:@/$S2_DIRECTORY/$S2/MTD_MSIL2A.xml:$resolution:EPSG_32632" 3
        done
        check "gdal.$who: checksum of a single band" gdal_checksums "$who" \
            "@/$S2_DIRECTORY/$S2/$(cd "$COPY/$S2" && echo GRANULE/*/IMG_DATA/R10m/*_B04_10m.jp2)" 1
        check "gdal.$who: gdal_translate -srcwin" gdal_window "$who"
        check "gdal.$who: Sentinel-5P netCDF" gdal_same "$who" gdalinfo "@/$S5P_DIRECTORY/$S5P"
        check "gdal.$who: Sentinel-5P variable" gdal_checksums "$who" \
            "NETCDF:\"@/$S5P_DIRECTORY/$S5P\":/PRODUCT/nitrogendioxide_tropospheric_column" 1
        check "gdal.$who: mosaic GeoTIFF" gdal_checksums "$who" "@/$MOSAIC_DIRECTORY/$MOSAIC/B04.tif" 1
        check "gdal.$who: nothing but listed files was asked for" no_strangers
        stand_in "$services_url" reset
        for store in $V2 $V3; do
            check "gdal.$who: gdalmdiminfo ${store##*/}" gdal_multidimensional "$who" "$store"
        done
        check "gdal.$who: ZARR:...:/t2m:0" gdal_checksums "$who" "ZARR:\"@/cache-b/$V2\":/t2m:0" 1
        check "gdal.$who: no sidecars of the stores" no_strangers
        check "gdal.$who: two downloads at most" two_at_most
    done
}
