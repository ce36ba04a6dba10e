#!/bin/sh
# demo.sh PROGRAM: runs `dcmsfs demo`, reads the mount with ordinary programs, and ends it again unless KEEP is set. Every command is
# shown before its output. No account and no network are needed.
#
# KEEP=1 leaves it mounted, in the background. MOUNTPOINT=DIR mounts there; without it a new directory is used.
set -eu
[ $# -eq 1 ] || { echo "usage: demo.sh PROGRAM" >&2; exit 1; }
root=$(cd "$(dirname "$0")/.." && pwd)
programs=$(cd "$(dirname "$1")" && pwd)
export PATH="$programs:${CARGO_TARGET_DIR:-$root/target}/venv/bin:$PATH"
work=$(mktemp -d)
D=${MOUNTPOINT:-$work/destine}
mkdir -p "$D"
D=$(cd "$D" && pwd)
T=$work/copies
mkdir "$T"
export D T

fail() { echo "demo.sh: FAILED: $*" >&2; exit 1; }
mounted() { grep -q " $D .* - fuse\.dcmsfs " /proc/self/mountinfo; }
if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold='' plain=''; fi
prompt() { printf '\n%s$ %s%s\n' "$bold" "$1" "$plain"; }
show() {
    prompt "$1"
    sh -eu -c "$1" || fail "that command ended with status $?"
}

demo=
end() {
    status=$?
    trap - EXIT INT TERM
    if [ -n "$demo" ]; then
        # As Ctrl-C does; a demo that does not end by that is killed and its mount taken away.
        kill -INT "$demo" 2>/dev/null || :
        tries=0
        while kill -0 "$demo" 2>/dev/null && [ $tries -lt 150 ]; do sleep 0.1; tries=$((tries + 1)); done
        if kill -0 "$demo" 2>/dev/null; then
            echo "demo.sh: FAILED: the demo did not end within 15 s" >&2
            kill -KILL "$demo"
            status=1
        fi
        ended=0
        wait "$demo" || ended=$?
        if [ $ended -ne 0 ]; then
            echo "demo.sh: FAILED: dcmsfs demo ended with status $ended" >&2
            status=1
        fi
        if mounted; then
            echo "demo.sh: FAILED: $D is still mounted" >&2
            dcmsfs unmount --lazy "$D" || :
            status=1
        fi
        [ $status -eq 0 ] || cat "$work/errors" >&2
    fi
    rm -rf --one-file-system "$work"
    [ $status -ne 0 ] || printf '\nThe demo has ended; nothing is mounted any more.\n'
    exit $status
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

printf 'D=%s    (where it is mounted)\nT=%s    (where copies go)\n' "$D" "$T"
prompt 'dcmsfs demo $D &'
# A session of its own, so that Ctrl-C reaches this script alone, which then ends the demo in order.
setsid dcmsfs demo "$D" >"$work/output" 2>"$work/errors" &
demo=$!
tries=0
until mounted && [ -s "$work/output" ]; do
    if ! kill -0 "$demo" 2>/dev/null; then
        demo=
        cat "$work/output" "$work/errors" >&2
        fail "dcmsfs demo ended before it had mounted"
    fi
    [ $tries -lt 600 ] || fail "nothing was mounted within 60 s"
    sleep 0.1
    tries=$((tries + 1))
done

show 'cat $D/README.txt'
show 'ls $D $D/cache-a $D/cache-b'
show 'ls $D/cache-a/SENTINEL-2/by-date/2024/09/24'
show 'ls -l $D/cache-a/SENTINEL-2/by-date/2024/09/24/T32TQM'
show 'cp $D/cache-a/SENTINEL-2/by-date/2024/09/24/T32TQM/*.SAFE/GRANULE/*/IMG_DATA/R10m/*_B04_10m.jp2 $T && ls -l $T'
show 'gdalinfo $D/cache-a/SENTINEL-2/by-date/2024/09/24/T32TQM/*.SAFE/MTD_MSIL2A.xml | grep -E "^(Driver|  SUBDATASET_1)"'
show 'gdalinfo -checksum $D/cache-a/SENTINEL-2/by-date/2024/09/24/T32TQM/*.SAFE/GRANULE/*/IMG_DATA/R10m/*_B04_10m.jp2 | grep -E "^(Driver|Size|Band)|Checksum"'
show 'ls -A $D/cache-b/d1-climate-dt/demo-climate-sfc-v0.zarr'
show 'python3 -c "
import xarray
store = xarray.open_zarr(\"$D/cache-b/d1-climate-dt/demo-climate-sfc-v0.zarr\")
print(store.t2m.sizes)
print(\"mean of t2m: %.2f K\" % float(store.t2m.mean()))
"'
show 'dcmsfs status $D'

if [ -n "${KEEP:-}" ]; then
    trap - EXIT INT TERM
    rm -rf "$T"
    printf '\nIt stays mounted at %s for you to look around. To end it: %s unmount %s\n' "$D" "$programs/dcmsfs" "$D"
fi
