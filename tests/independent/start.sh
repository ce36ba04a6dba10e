#!/bin/sh
# start.sh ENVIRONMENT DATA STAC_PORT HOST_PORT FRONT_PORT: makes the data if absent, starts both servers, waits until they answer.
# RATE (default 4m) is the bytes per second of one product file's transfer.
set -eu
[ $# -eq 5 ] || { echo "usage: start.sh ENVIRONMENT DATA STAC_PORT HOST_PORT FRONT_PORT" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$2"
environment=$(cd "$1" && pwd) data=$(cd "$2" && pwd) stac_port=$3 host_port=$4 front_port=$5
run=$data/run
user=reader password=independent-password
PATH=$PATH:/usr/sbin
mkdir -p "$run"
"$here/stop.sh" "$data" >/dev/null

# The items hold the host's address, so another port means another catalogue.
if [ "$(cat "$data/made" 2>/dev/null)" != "$host_port" ]; then
    rm -rf "$data/www" "$data/catalogue"
    "$environment/bin/python" "$here/make_items.py" "$data" "http://127.0.0.1:$host_port/assets"
    "$environment/bin/python" "$here/make_stores.py" "$data"
    echo "$host_port" >"$data/made"
fi

umask 022
printf '%s:{PLAIN}%s\n' $user $password >"$run/passwords"
(umask 077; printf 'machine 127.0.0.1\n  login %s\n  password %s\n' $user $password >"$data/netrc")
sed -e "s|@RUN@|$run|g" -e "s|@WWW@|$data/www|g" -e "s|@PORT@|$host_port|g" -e "s|@STAC_PORT@|$stac_port|g" -e "s|@FRONT_PORT@|$front_port|g" \
    -e "s|@RATE@|${RATE:-4m}|g" \
    "$here/nginx.conf.in" >"$run/nginx.conf"
: >"$run/nginx-access.log"
nginx -p "$run" -e "$run/nginx-error.log" -c "$run/nginx.conf"

STAC_FASTAPI_COLLECTIONS_HREF=$data/catalogue/collections.json \
STAC_FASTAPI_LANDING_ID=independent STAC_FASTAPI_TITLE=independent STAC_FASTAPI_DESCRIPTION=independent \
    "$environment/bin/python" -m uvicorn --app-dir "$here" --host 127.0.0.1 --port "$stac_port" \
    stac_app:app >"$run/stac.log" 2>&1 </dev/null &
echo $! >"$run/stac.pid"

answers() { "$environment/bin/python" - "$1" <<'PYTHON'
import sys, urllib.error, urllib.request
try:
    urllib.request.urlopen(sys.argv[1], timeout=5)
except urllib.error.HTTPError:
    pass
except OSError:
    sys.exit(1)
PYTHON
}
for address in "http://127.0.0.1:$stac_port/" "http://127.0.0.1:$host_port/"; do
    tries=0
    until answers "$address"; do
        tries=$((tries + 1))
        if [ $tries -ge 60 ] || ! kill -0 "$(cat "$run/stac.pid")" 2>/dev/null; then
            echo "start.sh: $address does not answer; see $run" >&2
            "$here/stop.sh" "$data" >/dev/null
            exit 2
        fi
        sleep 0.5
    done
done
cat <<EOF
stac=http://127.0.0.1:$stac_port
assets=http://127.0.0.1:$host_port/assets
zarr=http://127.0.0.1:$host_port/zarr/
front=http://127.0.0.1:$front_port
netrc=$data/netrc
log=$run/nginx-access.log
frontlog=$run/front-access.log
pids=$run/stac.pid $run/nginx.pid
EOF
