#!/bin/sh
# stop.sh DATA: stops what start.sh started with this directory, by the numbers written there.
set -eu
[ $# -eq 1 ] || { echo "usage: stop.sh DATA" >&2; exit 1; }
for name in stac nginx; do
    file=$1/run/$name.pid
    [ -s "$file" ] || continue
    pid=$(cat "$file")
    # The number may belong to another process by now: only one that was started with our files is ended.
    if [ -r "/proc/$pid/cmdline" ] && tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qE 'uvicorn|nginx'; then
        kill "$pid" 2>/dev/null || :
        tries=0
        while kill -0 "$pid" 2>/dev/null && [ $tries -lt 50 ]; do tries=$((tries + 1)); sleep 0.1; done
        kill -9 "$pid" 2>/dev/null || :
        echo "stopped $name ($pid)"
    fi
    rm -f "$file"
done
