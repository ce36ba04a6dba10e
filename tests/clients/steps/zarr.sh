# Zarr stores that zarr-python 2, zarr-python 3 and GDAL wrote, served by nginx: values, bytes and requests.
# shellcheck shell=bash

# layouts WHO VERSION COMMAND...: tests/clients/layouts.py with zarr-python of this version.
layouts() {
    local who=$1 path=$PYTHONPATH python=$PYTHON
    if [ "$2" = 2 ]; then
        if [ "$inside" = yes ]; then path=${PYTHONPATH/$WORK\/venv/$WORK\/zarr2}; else python=$ZARR2/bin/python; fi
    fi
    as "$who" env PYTHONPATH="$path" "$python" -W ignore "$WORK/clients/layouts.py" "${@:3}"
}
# asked [METHOD]: requests since the last look, by the server's own count.
asked() { grep -c "\"${1:-}" "$WORK/zarr-run/access.log" || :; }
zarr_gdal() { # WHO STORE: metadata and every value of every array
    local here there
    here=$(as "$1" gdalmdiminfo -detailed "$M/plain/$2" 2>&1) && there=$(as "$1" gdalmdiminfo -detailed "$WORK/zarr-www/$2" 2>&1) \
        || wrong "$here" || return
    [ "${#there}" -gt 3000 ] || wrong "nothing in it: $there" || return
    same "$(md5sum <<<"${here//$M\/plain/}")" "$(md5sum <<<"${there//$WORK\/zarr-www/}")"
}
zarr_raster() { # WHO STORE: as a raster
    local here there
    here=$(as "$1" gdalinfo -checksum "$M/plain/$2" 2>&1) && there=$(as "$1" gdalinfo -checksum "$WORK/zarr-www/$2" 2>&1) \
        || wrong "$here" || return
    grep -q Checksum= <<<"$there" || wrong "$there" || return
    same "${here//$M\/plain/}" "${there//$WORK\/zarr-www/}"
}
zarr_copy() { # WHO NAME COMMAND...: what was copied is what was written
    local who=$1 name=$2
    shift 2
    as "$who" "$@" || return
    diff -r "$WORK/copies/$name-$who/filtered" "$WORK/zarr-www/by2/dots.zarr/group/inner/filtered"
}
# zarr_mount WHO: with a cache of its own, and nothing in it.
zarr_mount() {
    caches=$((caches + 1))
    cat >"$WORK/zarr-$1.toml" <<END
[cache_a]
url = ""
[cache_b]
url = ""
[[cache_b.root]]
name = "plain"
url = "http://127.0.0.1:$port/"
credential = "none"
[cache]
dir = "$WORK/home-$1/.cache/zarr-$caches"
END
    mount_it "$1" "zarr-$caches" zarr && inner=$M/plain/by2/dots.zarr/group/inner
}
zarr_requests() { # WHO: of a mean over 45 chunks, cold, warm, after a remount
    local who=$1 store=by3/default.zarr run number
    for run in cold warm remounted; do
        if [ $run = remounted ]; then
            as "$who" dcmsfs unmount "$M" && as "$who" dcmsfs --config "$WORK/zarr-$who.toml" "$M" || return
        fi
        : >"$WORK/zarr-run/access.log"
        layouts "$who" 3 mean "$M/plain/$store" || return
        number=$(asked)
        case $run in
            # All chunks, and the metadata; for a first store of version 3, one guess.
            cold) [ "$number" -le 47 ] || wrong "$run: $(cat "$WORK/zarr-run/access.log")" || return ;;
            # A remount asks whether the host answers.
            *) [ "$number" -le 1 ] && [ "$(asked 'GET /[^ ]')" -eq 0 ] || wrong "$run: $(cat "$WORK/zarr-run/access.log")" || return ;;
        esac
    done
    [ "$(asked HEAD)" -eq 0 ]
}

step_zarr() {
    local who port nginx version store copy inner caches=0 www=$WORK/zarr-www run=$WORK/zarr-run head
    nginx=$(PATH=$PATH:/usr/sbin command -v nginx) || { skip zarr "nginx is missing: tests/prepare.sh test"; return; }
    [ -x "$ZARR2/bin/python" ] || { skip zarr "tests/prepare.sh test installs zarr-python 2 into $ZARR2"; return; }
    [ "$inside" != yes ] || bind "$ZARR2" "$WORK/zarr2"
    mkdir -p "$www/by2" "$www/by3" "$www/by-gdal" "$run" "$WORK/copies"
    for version in 2 3; do
        check "zarr: zarr-python $version writes" layouts root $version write "$www/by$version"
    done
    check "zarr: GDAL writes" as root gdal_translate -q -of Zarr -co COMPRESS=ZLIB -co BLOCKSIZE=32,32 \
        -srcwin 0 0 100 70 "$(find "$COPY/$MOSAIC" -name B04.tif)" "$www/by-gdal/raster.zarr"
    chmod -R a+rX "$www"
    port=$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    for head in yes no; do
        cat >"$run/nginx.conf" <<END
pid $run/nginx.pid;
error_log $run/error.log;
events { worker_connections 256; }
http {
    log_format line '"\$request_method \$uri" \$status';
    access_log $run/access.log line;
    client_body_temp_path $run/1; proxy_temp_path $run/2; fastcgi_temp_path $run/3; uwsgi_temp_path $run/4; scgi_temp_path $run/5;
    server { listen 127.0.0.1:$port; root $www;
        $([ $head = yes ] || echo 'if ($request_method = HEAD) { return 405; }') }
}
END
        : >"$run/access.log"
        "$nginx" -p "$run" -e "$run/error.log" -c "$run/nginx.conf" || { check "zarr: nginx" wrong "$(cat "$run/error.log")"; return; }
        for who in $WHO; do
            if [ $head = no ]; then
                # Sizes are estimates, and no program takes them for true.
                zarr_mount "$who" || continue
                check "zarr.$who: estimates download nothing" zarr_estimates "$who"
                for copy in cp rsync tar; do
                    mkdir -p "$WORK/copies/$copy-$who" && chmod 777 "$WORK/copies/$copy-$who"
                done
                check "zarr.$who: cp, estimated sizes" zarr_copy "$who" cp cp -r "$inner/filtered" "$WORK/copies/cp-$who/"
                zarr_mount "$who" || continue
                check "zarr.$who: rsync, estimated sizes" zarr_copy "$who" rsync \
                    rsync -r "$inner/filtered" "$WORK/copies/rsync-$who/"
                zarr_mount "$who" || continue
                # shellcheck disable=SC2016 # of the inner shell
                check "zarr.$who: tar, estimated sizes" zarr_copy "$who" tar \
                    bash -c 'set -o pipefail; tar -C "$0" -c filtered | tar -x -C "$1"' "$inner" "$WORK/copies/tar-$who"
            fi
            zarr_mount "$who" || continue
            # What was looked at before is read as ever.
            as "$who" ls -l "$M/plain/by2/dots.zarr/t2m" "$M/plain/by3/default.zarr/t2m" >/dev/null 2>&1
            for store in by2 by3; do
                check "zarr.$who: HEAD $head, zarr-python 3 reads $store" layouts "$who" 3 compare "$M/plain/$store" "$www/$store"
                check "zarr.$who: HEAD $head, zarr-python 2 reads $store" layouts "$who" 2 compare "$M/plain/$store" "$www/$store"
                check "zarr.$who: HEAD $head, fsspec reads $store" layouts "$who" 3 fsspec "$M/plain/$store" "$www/$store"
            done
            check "zarr.$who: HEAD $head, GDAL reads a raster" zarr_raster "$who" by-gdal/raster.zarr
            check "zarr.$who: HEAD $head, GDAL reads v2" zarr_gdal "$who" by3/v2.zarr
            check "zarr.$who: HEAD $head, GDAL reads v2, /" zarr_gdal "$who" by2/simple.zarr
            if [ $head = yes ]; then
                for store in by2 by3; do
                    check "zarr.$who: xarray, $store" layouts "$who" 3 xarray "$M/plain/$store" "$www/$store"
                    check "zarr.$who: xarray with dask, $store" layouts "$who" 3 xarray "$M/plain/$store" "$www/$store" dask
                done
                zarr_mount "$who" || continue
                check "zarr.$who: a request a chunk, none the second time" zarr_requests "$who"
            fi
        done
        kill "$(cat "$run/nginx.pid")"
        until_true 10 test ! -e "$run/nginx.pid"
    done
}
zarr_estimates() { # WHO: ls -l, du and find -size
    local said
    as "$1" ls "$M/plain/by2/dots.zarr" >/dev/null
    : >"$WORK/zarr-run/access.log"
    said=$(as "$1" ls -l "$M/plain/by2/dots.zarr/t2m" && as "$1" du -a "$M/plain/by2/dots.zarr/t2m" \
        && as "$1" find "$M/plain/by2/dots.zarr/t2m" -size +1k) || wrong "$said" || return
    [ "$(asked GET)" -eq 0 ] || wrong "$(cat "$WORK/zarr-run/access.log")" || return
    # 2 x 4 x 3 elements of four bytes.
    grep -q " 96 " <<<"$said" || wrong "$said"
}
