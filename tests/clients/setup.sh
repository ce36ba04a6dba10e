# What all steps share: a place of their own, two accounts, the stand-in of the services, and how a check is made.
# shellcheck shell=bash

passed=0 failed=0 skipped=0
LIMIT=${LIMIT:-60}
account=dcmsfs-reader account_id=61234
inside=${INSIDE:-no}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/dcmsfs-clients-XXXXXX")
chmod 755 "$WORK"
emulators=()

if [ "$inside" = yes ]; then WHO=${WHO:-root user}; else WHO=user; fi

# --- places -------------------------------------------------------------------------------------------------

if [ "$inside" = yes ]; then
    # Both accounts must reach all of it, wherever the checkout and the Python are.
    bind() { mkdir -p "$2" && mount --bind "$1" "$2"; }
    base=$("$VENV/bin/python" -c 'import sys; print(sys.base_prefix)')
    version=$("$VENV/bin/python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    bind "$BINARIES" "$WORK/bin" && bind "$VENV" "$WORK/venv" && bind "$here" "$WORK/clients" || exit 2
    if [ "$base" = /usr ]; then PYTHON=/usr/bin/$version
    else bind "$base" "$WORK/python" && PYTHON=$WORK/python/bin/$version; fi
    PYTHONPATH=$WORK/venv/lib/$version/site-packages

    # /run: download slots and mount(8)'s notes. A device that everybody may use, as on most systems.
    mount -t tmpfs -o mode=755 tmpfs /run || exit 2
    mknod -m 666 /run/fuse c 10 229 && mount --bind /run/fuse /dev/fuse || { echo "no /dev/fuse for users" >&2; exit 2; }
    mkdir /run/lock "$WORK/etc" "$WORK/home-root" "$WORK/home-user"
    mkdir -p /run/user/$account_id
    # An account that exists here only, and a home for root that is not the machine's.
    sed "s|^\(root:[^:]*:0:0:[^:]*\):[^:]*:|\1:$WORK/home-root:|" /etc/passwd >"$WORK/etc/passwd"
    echo "$account:x:$account_id:$account_id::$WORK/home-user:/bin/sh" >>"$WORK/etc/passwd"
    { cat /etc/group; echo "$account:x:$account_id:"; } >"$WORK/etc/group"
    echo user_allow_other >"$WORK/etc/fuse.conf"
    : >"$WORK/etc/fstab"
    for file in passwd group fuse.conf fstab; do
        [ -e /etc/$file ] && mount --bind "$WORK/etc/$file" /etc/$file
    done
    [ ! -d /etc/dcmsfs ] || mount -t tmpfs tmpfs /etc/dcmsfs
    chown $account_id:$account_id "$WORK/home-user" /run/user/$account_id
    chmod 700 "$WORK/home-user" "$WORK/home-root" /run/user/$account_id

    # mount(8) looks for its helpers in /sbin only. The programs are stripped copies of root's, as a package has them.
    mkdir "$WORK/sbin"
    mount -t tmpfs -o mode=755 tmpfs "$WORK/sbin"
    for program in dcmsfs mount-dcmsfs; do
        strip -o "$WORK/sbin/$program" "$BINARIES/$program" 2>/dev/null || cp "$BINARIES/$program" "$WORK/sbin/"
    done
    mv "$WORK/sbin/mount-dcmsfs" "$WORK/sbin/mount.dcmsfs"
    chmod 755 "$WORK/sbin"/*
    mkdir "$WORK/over" && mount -t tmpfs tmpfs "$WORK/over" && mkdir "$WORK/over/up" "$WORK/over/work"
    if ! mount -t overlay -o "lowerdir=/usr/sbin,upperdir=$WORK/over/up,workdir=$WORK/over/work" overlay /usr/sbin \
        2>/dev/null; then
        cp -a /usr/sbin/. "$WORK/over/up/" && chmod 755 "$WORK/over/up" && mount --bind "$WORK/over/up" /usr/sbin
    fi
    for program in dcmsfs mount.dcmsfs; do
        touch "/usr/sbin/$program" && mount --bind "$WORK/sbin/$program" "/usr/sbin/$program"
    done
else
    [ -w /dev/fuse ] || { echo "you may not use /dev/fuse: run as root" >&2; exit 2; }
    ln -s "$BINARIES" "$WORK/bin"
    ln -s "$here" "$WORK/clients"
    mkdir "$WORK/home-user"
    PYTHON=$VENV/bin/python PYTHONPATH=
fi
stand_in() { "$PYTHON" "$WORK/clients/stand_in.py" "$@"; }
free_port() { "$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
independent() { as "$1" "$PYTHON" "$WORK/clients/independent.py" "${@:2}"; }

# as WHO COMMAND...: with a clean environment and a time limit.
as() {
    local who=$1 drop=() sbin=
    shift
    if [ "$who" = user ] && [ "$inside" = yes ]; then
        drop=(setpriv --reuid $account_id --regid $account_id --clear-groups --)
    else
        sbin=/usr/sbin:/sbin:
    fi
    timeout --kill-after=5 "$LIMIT" "${drop[@]}" env -i LC_ALL=C.UTF-8 HOME="$WORK/home-$who" USER="$who" \
        PATH="$WORK/bin:${sbin}/usr/local/bin:/usr/bin:/bin" PYTHONPATH="$PYTHONPATH" PYTHONDONTWRITEBYTECODE=1 \
        GDAL_PAM_ENABLED=YES "$@"
}

# --- checks -------------------------------------------------------------------------------------------------

# check NAME COMMAND...: the command's status decides; what it says is the reason.
check() {
    local name=$1 said
    shift
    if said=$("$@" 2>&1); then
        passed=$((passed + 1))
        echo "ok $name"
    else
        failed=$((failed + 1))
        echo "FAILED $name: $(tail -n 6 <<<"${said:-no reason given}" | cut -c 1-400)"
    fi
}
# Inside of a check: what to say when it fails.
wrong() { echo "$*"; return 1; }
same() { [ "$1" = "$2" ] || wrong "got: $1; expected: $2"; }
skip() { skipped=$((skipped + 1)); echo "not run $1: $2"; }

# until_true SECONDS COMMAND...: polls.
until_true() {
    local until=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt "$until" ] || return 1
        read -rt 0.05 <> <(:) || :
    done
}

# What the stand-in saw.
no_strangers() { same "$(stand_in "$services_url" strangers)" ""; }
two_at_most() {
    local peak refused
    peak=$(stand_in "$services_url" count download peak) refused=$(stand_in "$services_url" number refused)
    [ "$peak" -le 2 ] && [ "$refused" -eq 0 ] || wrong "peak $peak, refused $refused"
}

# --- the stand-in and mounts of it --------------------------------------------------------------------------

# emulator NAME [FLAGS...]: starts one; $NAME_url and a configuration for each account afterwards.
emulator() {
    local name=$1 file=$WORK/$1.json
    shift
    timeout 600 "$BINARIES/dcms-emulator" "$@" >"$file" 2>"$file.errors" &
    emulators+=($!)
    until_true 20 test -s "$file" || { echo "dcms-emulator did not start: $(cat "$file.errors")" >&2; exit 2; }
    local url stores who
    url=$("$PYTHON" -c 'import json, sys; print(json.load(open(sys.argv[1]))["url"])' "$file")
    stores=$("$PYTHON" -c 'import json, sys; print(json.dumps(json.load(open(sys.argv[1]))["stores"]))' "$file")
    printf -v "${name}_url" %s "$url"
    for who in $WHO; do
        cat >"$WORK/$name-$who.toml" <<END
[cache_a]
url = "$url/stac/api"
[cache_b]
url = "$url/cacheb/"
stores = $stores
[identity]
url = "$url"
[credentials]
file = "~/.config/dcmsfs/$name.toml"
netrc = ""
END
        as "$who" dcmsfs login --user demo --password-stdin --config "$WORK/$name-$who.toml" \
            <<<one-planet >"$WORK/login" 2>&1 || { echo "login: $(cat "$WORK/login")" >&2; exit 2; }
    done
}

# place WHO NAME: an empty directory of that account.
place() {
    mkdir -p "$WORK/places/$2-$1"
    [ "$inside" != yes ] || [ "$1" = root ] || chown $account_id:$account_id "$WORK/places/$2-$1"
    echo "$WORK/places/$2-$1"
}
mounted() { grep -q " $1 .* - fuse\.dcmsfs " /proc/self/mountinfo; }
not_mounted() { ! mounted "$1"; }

# mount_it WHO NAME [CONFIGURATION]: mounts in the background; M is where.
mount_it() {
    M=$(place "$1" "$2")
    as "$1" dcmsfs --config "$WORK/${3:-services}-$1.toml" "$M" >"$WORK/said" 2>&1 && return
    failed=$((failed + 1))
    echo "FAILED mount as $1 at $M: $(cat "$WORK/said")"
    return 1
}
# Nothing of a step may stay mounted, and no daemon may outlive its mount.
daemons() { pgrep -f "^([^ ]*/)?dcmsfs .*$WORK/" || :; }
unmount_all() {
    local point pids
    cd / || exit 2
    for point in $(grep -o " $WORK/places/[^ ]* .* - fuse\.dcmsfs " /proc/self/mountinfo | cut -d ' ' -f 2 | sort -r); do
        if [ "$inside" = yes ]; then umount -l "$point"; else fusermount3 -uz "$point"; fi
    done
    if grep -q " $WORK/places/" /proc/self/mountinfo || ! until_true 12 no_daemons; then
        failed=$((failed + 1))
        echo "FAILED left over: $(grep " $WORK/places/" /proc/self/mountinfo) $(ps -o pid=,args= -p "$(daemons | paste -sd,)")"
        pids=$(daemons)
        # shellcheck disable=SC2086 # numbers
        [ -z "$pids" ] || kill -9 $pids
    fi
}
no_daemons() { [ -z "$(daemons)" ]; }

finish() {
    local status=$?
    trap - EXIT
    [ ${#emulators[@]} -eq 0 ] || kill "${emulators[@]}" 2>/dev/null
    if [ "$status" -ne 0 ] && [ -n "${KEEP:-}" ]; then echo "kept: $WORK"; exit "$status"; fi
    # What is mounted below goes with the namespace; the lazy unmounts only make room for rm.
    if [ "$inside" = yes ]; then
        grep -o " $WORK/[^ ]* " /proc/self/mountinfo | sort -r | xargs -r -n 1 umount -l 2>/dev/null
    fi
    # Copies keep the mode of what they were copied from, which nobody may write.
    find "$WORK" -xdev -type d ! -perm -u+w -exec chmod u+w {} + 2>/dev/null
    rm -rf --one-file-system "$WORK"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

emulator services --data demo
# Products and stores as they are, fetched by other programs.
COPY=$WORK/copy
S2=S2A_MSIL2A_20240924T101031_N0511_R026_T32TQM_20240924T161048.SAFE
S2_DIRECTORY=cache-a/SENTINEL-2/by-date/2024/09/24/T32TQM
S5P=S5P_OFFL_L2__NO2____20240924T112305_20240924T112805_36004_03_020701_20240924T172322.nc
S5P_DIRECTORY=cache-a/SENTINEL-5P/by-date/2024/09/24/L2__NO2___/O36004
MOSAIC=Sentinel-2_mosaic_2024_Q3_32TQM_0_0
MOSAIC_DIRECTORY=cache-a/GLOBAL-MOSAICS/by-date/2024/07/01/T32TQM
V2=d1-climate-dt/demo-climate-sfc-v0.zarr V3=era5/demo-reanalysis-era5-v0.zarr
SHARDED=climate-dt-2/demo-sharded-v0.zarr NESTED=era5/demo-nested-v0.zarr
stand_in "$services_url" copy "$COPY" SENTINEL-2/$S2 SENTINEL-5P/$S5P GLOBAL-MOSAICS/$MOSAIC \
    $V2 $V3 $SHARDED $NESTED >"$WORK/copied" || { echo "no independent copy" >&2; exit 2; }
chmod -R a+rX "$COPY"
