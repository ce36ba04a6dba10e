# Files by object key from an S3 service that is not ours (tests/independent/s3.py): signatures are checked there.
# shellcheck shell=bash

step_s3() {
    local who servers=$WORK/servers
    if ! "$INDEPENDENT/bin/python" -c 'import moto' 2>/dev/null; then
        skip s3 "tests/independent/setup.sh $INDEPENDENT installs what it needs"
        return
    fi
    local stac_port host_port s3_port
    stac_port=$(free_port) s3_port=$(free_port) host_port=$(cat "$servers/made" 2>/dev/null || free_port)
    if ! PATH=$PATH:/usr/sbin timeout 90 \
        "$root/tests/independent/start.sh" "$INDEPENDENT" "$servers" "$stac_port" "$host_port" "$(free_port)" \
        >"$WORK/servers.env" 2>&1; then
        check "s3: the catalogue starts" wrong "$(cat "$WORK/servers.env")"
        return
    fi
    mkfifo "$WORK/s3-input"
    timeout 600 "$INDEPENDENT/bin/python" "$root/tests/independent/s3.py" "$s3_port" "$servers/www" mirror/ "$servers" \
        <"$WORK/s3-input" >"$WORK/s3-output" 2>"$WORK/s3-errors" &
    emulators+=($!)
    exec 8>"$WORK/s3-input"
    if until_true 90 grep -q ready "$WORK/s3-output"; then
        LOG=$(sed -n 's/^log=//p' "$WORK/servers.env")
        chmod -R a+rX "$servers/www" "$servers/expected.json"
        for who in $WHO; do step_s3_as "$who"; done
    else
        check "s3: the service starts" wrong "$(tail -n 5 "$WORK/s3-errors")"
    fi
    exec 8>&-
    "$root/tests/independent/stop.sh" "$servers" >/dev/null
}

step_s3_as() {
    local who=$1 home=$WORK/home-$1
    s3_keys "$who" s3-keys
    cat >"$WORK/s3-$who.toml" <<END
[cache_a]
url = "http://127.0.0.1:$stac_port"
access = "s3"
[cache_a.s3]
endpoint = "http://127.0.0.1:$s3_port"
bucket = "products"
region = "eu-test-1"
prefix = "mirror/"
credentials_file = "$home/s3-keys"
[cache_b]
url = ""
[network]
hosts = ["http://127.0.0.1:$host_port"]
END
    : >"$LOG"
    mount_it "$who" s3 s3 || return
    check "s3.$who: bytes of files, names with odd characters too" independent "$who" files "$M/cache-a" "$servers"
    check "s3.$who: more than two requests at once" s3_parallel
    check "s3.$who: parts, not only whole files" grep -q '^GET 206 .* bytes=[1-9]' "$servers/s3.log"
    check "s3.$who: nothing from the addresses of the assets" s3_elsewhere
    check "s3.$who: what the bucket has not is not there" s3_missing "$who"
    check "s3.$who: the keys are nowhere to be seen" s3_secret "$who"
    check "s3.$who: other keys are refused, and told" s3_refused "$who"
    check "s3.$who: a file of keys that others can read, or that lacks one" s3_bad_files "$who"
}

# The file as its own, as a user has it.
s3_keys() { as "$1" sh -c 'umask 077; cat >~/s3-keys' <"$servers/$2"; }
s3_parallel() {
    local peak
    peak=$(tail -n 1 "$servers/s3.log" | cut -d ' ' -f 3)
    [ "$peak" -gt 2 ] || wrong "never more than $peak at once"
}
s3_elsewhere() { ! grep /assets/ "$LOG" || wrong "asked for there"; }
# s3_other WHO NAME VARIABLE=VALUE...: M is another mount with these settings and nothing cached.
s3_other() {
    local who=$1 name=$2
    shift 2
    M=$(place "$who" "s3-$name")
    as "$who" env DCMSFS_CACHE__DIR="$WORK/home-$who/cache-$name" "$@" dcmsfs --config "$WORK/s3-$who.toml" "$M" 2>&1
}
# s3_fails WHO ITEM TEXT: reading a file of the mount M fails with this text. The catalogue tells the lengths of every
# second item only.
s3_fails() {
    local said
    ! said=$(as "$1" sh -c "cd '$M'/cache-a/optical-l2/by-date/2024/09/22/*/*_$2/IMG && cat B04.tif" 2>&1 >/dev/null) \
        || wrong "it was read" || return
    grep -q "B04.tif: $3" <<<"$said" || wrong "$said"
}
s3_missing() {
    s3_other "$1" missing DCMSFS_CACHE_A__S3__PREFIX=nowhere/ || return
    s3_fails "$1" 0001 "No such file" || return
    # This one was opened by what the catalogue says, and was found to be gone then.
    s3_fails "$1" 0002 "Stale file handle" || return
    as "$1" dcmsfs unmount "$M"
}
s3_secret() {
    local home=$WORK/home-$1 name secret
    # What there is to see: state, attributes, errors, arguments, environment, log, caches.
    { as "$1" dcmsfs status "$M"; as "$1" dcmsfs status --json "$M"; as "$1" cat "$M/.dcmsfs/errors" "$M/README.txt"
      as "$1" getfattr -R -d -m - "$M/cache-a/optical-l2/by-date/2024/09/22" 2>/dev/null | head -n 4000
      for pid in $(daemons); do tr '\0' '\n' <"/proc/$pid/cmdline"; done
      as "$1" find "$home/.cache/dcmsfs" "$home/.local/state" "$home/.config" -type f -exec cat {} + 2>/dev/null
    } >"$WORK/s3-seen" 2>&1
    grep -aq B04.tif "$WORK/s3-seen" || wrong "nothing was looked at" || return
    for name in aws_access_key_id aws_secret_access_key; do
        secret=$(sed -n "s/^$name = //p" "$home/s3-keys")
        [ -n "$secret" ] && ! grep -aFq "$secret" "$WORK/s3-seen" || wrong "$name can be seen" || return
    done
}
s3_refused() {
    local said
    s3_keys "$1" s3-wrong
    s3_other "$1" refused || return
    s3_fails "$1" 0001 "Key was rejected" || return
    said=$(as "$1" dcmsfs status "$M")
    grep -q "refuses the S3 keys: .*s3-keys, profile \[default\]" <<<"$said" || wrong "status: $said" || return
    grep -q SignatureDoesNotMatch <<<"$said$(as "$1" cat "$M/.dcmsfs/errors")" || wrong "the reason is not told" || return
    # The right ones count at once.
    s3_keys "$1" s3-keys
    until_true 10 as "$1" sh -c "cat '$M'/cache-a/optical-l2/by-date/2024/09/22/*/*/MTD.xml" || wrong "still refused" || return
    as "$1" dcmsfs unmount "$M"
}
s3_bad_files() {
    local said
    as "$1" chmod 644 "$WORK/home-$1/s3-keys"
    s3_other "$1" open || return
    s3_fails "$1" 0001 "Key was rejected" || return
    said=$(as "$1" dcmsfs status "$M")
    grep -q "s3-keys can be read by others" <<<"$said" || wrong "status: $said" || return
    as "$1" dcmsfs unmount "$M" || return
    as "$1" sh -c 'rm ~/s3-keys; umask 077; printf "[default]\n\n[other]\naws_access_key_id = x\n" >~/s3-keys'
    s3_other "$1" lacking DCMSFS_CACHE_A__S3__PROFILE=other || return
    s3_fails "$1" 0001 "Key was rejected" || return
    said=$(as "$1" dcmsfs status "$M")
    grep -q "s3-keys, line 3: the profile \[other\] has no .aws_secret_access_key" <<<"$said" || wrong "status: $said" || return
    as "$1" dcmsfs unmount "$M"
}
