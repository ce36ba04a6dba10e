# Servers that are not ours (tests/independent): complete listings, equal bytes, two downloads at once.
# shellcheck shell=bash

independent_two() {
    local said
    said=$("$PYTHON" "$root/tests/independent/parallel.py" "$LOG") || return
    case $said in "peak=2 "*) ;; *) wrong "$said" ;; esac
}

# All pages of the first walk, and no second try by GET.
independent_posts() {
    local gets posts
    gets=$(grep -c '"/search?' "$FRONTLOG") posts=$(grep -c ' 200 [0-9]* POST "/search"' "$FRONTLOG")
    [ "$gets" -eq 1 ] && [ "$posts" -ge 6 ] || wrong "$gets by GET, $posts by POST: $(grep search "$FRONTLOG" | tail -3)"
}

step_independent() {
    local who stac_port host_port front_port servers=$WORK/servers
    if ! [ -x "$INDEPENDENT/bin/python" ]; then
        skip independent "tests/independent/setup.sh $INDEPENDENT installs what it needs"
        return
    fi
    stac_port=$(free_port) host_port=$(free_port) front_port=$(free_port)
    # Slow enough that the large files' transfers overlap.
    if ! PATH=$PATH:/usr/sbin RATE=500k timeout 90 \
        "$root/tests/independent/start.sh" "$INDEPENDENT" "$servers" "$stac_port" "$host_port" "$front_port" \
        >"$WORK/servers.env" 2>&1; then
        check "independent: the servers start" wrong "$(cat "$WORK/servers.env")"
        return
    fi
    LOG=$(sed -n 's/^log=//p' "$WORK/servers.env")
    FRONTLOG=$(sed -n 's/^frontlog=//p' "$WORK/servers.env")
    chmod -R a+rX "$servers"
    for who in $WHO; do
        # The service is cache-a of one account and a further catalogue of the other.
        local catalogue="[cache_a]
url = \"http://127.0.0.1:$stac_port\"" name=cache-a
        [ "$who" = root ] || name=independent catalogue="[cache_a]
url = \"\"
[[catalog]]
name = \"independent\"
url = \"http://127.0.0.1:$stac_port/\""
        cat >"$WORK/independent-$who.toml" <<END
$catalogue
[[catalog]]
name = "by-post"
url = "http://127.0.0.1:$front_port/"
[cache_b]
url = "http://127.0.0.1:$host_port/zarr/"
stores = ["climate/v2.zarr", "climate/v2-plain.zarr", "climate/v3.zarr", "climate/v3-sharded.zarr"]
login = ""
credential = "api-key"
[network]
hosts = ["http://127.0.0.1:$host_port"]
END
        # The last entry of a machine counts, as with curl.
        { printf 'machine 127.0.0.1\n  login old\n  password old-password\n'; cat "$servers/netrc"; } >"$WORK/netrc"
        chmod 644 "$WORK/netrc"
        as "$who" install -m 600 "$WORK/netrc" "$WORK/home-$who/.netrc"
        mount_it "$who" independent independent || continue
        : >"$LOG"
        check "independent.$who: every item of every day, once" independent "$who" items "$M/$name" "$servers"
        check "independent.$who: items by identifier" independent "$who" ids "$M/$name" "$servers"
        check "independent.$who: products in the forms of providers" independent "$who" shapes "$M/$name" "$servers"
        check "independent.$who: pages by GET, both bounds of a search" independent "$who" many "$M/$name" "$servers"
        : >"$FRONTLOG"
        check "independent.$who: pages by POST" independent "$who" many "$M/by-post" "$servers"
        check "independent.$who: five of them, one by GET was refused" independent_posts
        check "independent.$who: bytes at relative addresses" independent "$who" relative "$M/by-post" "$servers"
        : >"$LOG"
        check "independent.$who: bytes of files, eight readers" independent "$who" files "$M/$name" "$servers"
        check "independent.$who: two downloads at once, never three" independent_two
        check "independent.$who: every file of the stores" independent "$who" chunks "$M/cache-b/climate" "$servers"
        for store in v2 v2-plain v3 v3-sharded; do
            check "independent.$who: values of $store.zarr" independent "$who" store "$M/cache-b/climate/$store.zarr" \
                "$servers/www/zarr/climate/$store.zarr"
        done
        check "independent.$who: a wrong password is told" independent_wrong_password "$who" "$host_port"
        as "$who" rm -f "$WORK/home-$who/.netrc"
    done
    "$root/tests/independent/stop.sh" "$servers" >/dev/null
}
independent_wrong_password() {
    local who=$1 point cache said
    point=$(place "$who" independent-wrong)
    # What another mount has learnt would be shown without asking.
    cache=$(place "$who" independent-wrong-cache)
    as "$who" sh -c 'umask 077; printf "machine 127.0.0.1 login reader password wrong\n" >~/.netrc'
    as "$who" env DCMSFS_CACHE__DIR="$cache" dcmsfs --config "$WORK/independent-$who.toml" "$point" >/dev/null || return
    ! said=$(as "$who" ls "$point/cache-b/climate/v2.zarr" 2>&1) || wrong "opened: $said" || return
    grep -Eq "Key (was rejected|has expired)" <<<"$said" || wrong "$said" || return
    said=$(as "$who" dcmsfs status "$point")
    grep -q "cache-b .*account: .*127.0.0.1" <<<"$said" || wrong "status: $said" || return
    as "$who" dcmsfs unmount "$point"
}
