# Wrong input: one clear sentence that names the thing and the way out, a status other than 0, nothing mounted.
# shellcheck shell=bash

# refused WHO WORDS COMMAND...: WORDS, apart by |, must all be in the one line that is said.
refused() {
    local who=$1 words=$2 said status=0 word
    shift 2
    said=$(as "$who" "$@" 2>&1 </dev/null) || status=$?
    { [ $status -ne 0 ] && [ $status -ne 124 ]; } || wrong "status $status: $said" || return
    [ "$(wc -l <<<"$said")" -eq 1 ] || wrong "not one sentence: $said" || return
    case $said in dcmsfs:* | mount.dcmsfs:*) ;; *) wrong "it does not say who speaks: $said" || return ;; esac
    while read -rd '|' word; do
        grep -qF -e "$word" <<<"$said" || wrong "no '$word' in: $said" || return
    done <<<"$words|"
    ! grep -q " $WORK/.* - fuse\.dcmsfs " /proc/self/mountinfo || wrong "something is mounted" || return
    # In the background a failed start must be gone as well.
    until_true 5 no_daemons || wrong "a process is left"
}
# The same in a namespace without the device.
refused_without_device() { # WHO COMMAND...
    local id=0 home=$WORK/home-$1
    [ "$1" = root ] || id=$account_id
    shift
    # shellcheck disable=SC2016
    refused root "FUSE is missing|/dev/fuse|modprobe fuse" unshare -m sh -ec '
        mount -t tmpfs tmpfs /dev; mknod -m 666 /dev/null c 1 3
        id=$1; export HOME=$2; shift 2
        exec setpriv --reuid "$id" --regid "$id" --clear-groups "$@"' sh "$id" "$home" "$@"
}
# A service that does not answer: said at once; offline the mount comes up, and says what is wrong when asked.
error_unreachable() {
    local who=$1 point said
    point=$(place "$who" unreachable)
    sed 's#http://127.0.0.1:[0-9]*#http://127.0.0.1:9#' "$WORK/services-$who.toml" >"$WORK/unreachable.toml"
    refused "$who" "cache-a|http://127.0.0.1:9|--offline" dcmsfs --config "$WORK/unreachable.toml" "$point" || return
    as "$who" dcmsfs --offline --config "$WORK/unreachable.toml" "$point" >/dev/null || return
    ! said=$(as "$who" stat "$point/cache-b/$V2" 2>&1) || wrong "it could be reached: $said" || return
    grep -q "No route to host" <<<"$said" || wrong "$said" || return
    said=$(as "$who" dcmsfs status "$point")
    grep -qF "problem: cannot reach http://127.0.0.1:9" <<<"$said" || wrong "status: $said" || return
    as "$who" cat "$point/README.txt" >/dev/null || return
    as "$who" dcmsfs unmount "$point"
}
error_wrong_address() {
    local who=$1 point said
    point=$(place "$who" wrong)
    refused "$who" "cache-a|is this the root of a STAC API?|--offline" \
        dcmsfs --config "$WORK/services-$who.toml" --cache-a-url "$services_url/nothing" "$point" || return
    as "$who" dcmsfs --offline --config "$WORK/services-$who.toml" --cache-a-url "$services_url/nothing" "$point" \
        >/dev/null || return
    # An empty directory would look as if there were no products.
    ! said=$(as "$who" ls "$point/cache-a" 2>&1) || wrong "it could be listed: '$said'" || return
    grep -q "Protocol error" <<<"$said" || wrong "$said" || return
    grep -q "is this the root of a STAC API?" "$WORK/home-$who/.local/state/dcmsfs/dcmsfs.log" || wrong "nothing in the log" || return
    as "$who" dcmsfs unmount "$point"
}
error_no_login() {
    local who=$1 point said
    point=$(place "$who" nologin)
    # What other steps have read is in the cache, and stays readable without a login.
    { sed 's#^file = .*#file = "~/none.toml"#' "$WORK/services-$who.toml"; printf '[cache]\ndir = "~/none"\n'; } \
        >"$WORK/nologin.toml"
    as "$who" dcmsfs --config "$WORK/nologin.toml" "$point" >/dev/null || return
    as "$who" ls "$point/$S5P_DIRECTORY" >/dev/null || return
    ! said=$(as "$who" head -c 9 "$point/$S5P_DIRECTORY/$S5P" 2>&1) || wrong "read without a login" || return
    grep -q "Key has expired" <<<"$said" || wrong "$said" || return
    said=$(as "$who" dcmsfs status "$point")
    grep -q "run .dcmsfs login" <<<"$said" || wrong "status: $said" || return
    grep -q "run .dcmsfs login" <(as "$who" cat "$point/README.txt") || wrong "README.txt does not say so" || return
    # Logging in mends it, without a new mount.
    as "$who" dcmsfs login --user demo --password-stdin --config "$WORK/nologin.toml" <<<one-planet >/dev/null || return
    until_true 20 as "$who" head -c 9 "$point/$S5P_DIRECTORY/$S5P" || wrong "not mended by a login" || return
    as "$who" cmp "$point/$S5P_DIRECTORY/$S5P" "$COPY/$S5P" || return
    as "$who" dcmsfs logout --config "$WORK/nologin.toml" >/dev/null || return
    as "$who" dcmsfs unmount "$point"
}
login_refused() { # WHO WORDS USER PASSWORD [CONFIGURATION]
    # A session of its own, so that nobody is asked on this terminal.
    # shellcheck disable=SC2016
    refused "$1" "$2" setsid --wait sh -c 'printf "%s\n" "$2" | dcmsfs login --user "$1" --password-stdin --config "$3"' sh \
        "$3" "$4" "${5:-$WORK/services-$1.toml}"
}
error_help() {
    local who=$1 said word
    said=$(as "$who" dcmsfs --help) || return
    for word in "dcmsfs demo" "dcmsfs login" MOUNTPOINT status unmount --config; do
        grep -qF -e "$word" <<<"$said" || wrong "--help has no $word" || return
    done
    for word in login logout status unmount demo; do
        as "$who" dcmsfs $word --help | grep -q "Usage: dcmsfs $word" || wrong "dcmsfs $word --help" || return
    done
    as "$who" dcmsfs --version | grep -Eqx 'dcmsfs [0-9]+\.[0-9]+\.[0-9]+.*' || wrong "$(as "$who" dcmsfs --version)" || return
    ! as "$who" dcmsfs >/dev/null 2>&1 || wrong "no arguments were taken"
}

step_errors() {
    local who place good name down
    mkdir -p "$WORK/wrong"
    printf '[cache_a]\nulr = "x"\n' >"$WORK/wrong/key.toml"
    printf '[cache_a]\nurl = "http://example.com/stac"\n' >"$WORK/wrong/http.toml"
    printf '[cache_a]\nurl = "cachea"\n' >"$WORK/wrong/address.toml"
    printf '[cache_a]\ndownloads = "two"\n' >"$WORK/wrong/type.toml"
    printf '[cache_a\n' >"$WORK/wrong/syntax.toml"
    printf '[cache_a]\n' >"$WORK/wrong/unreadable.toml"
    chmod 000 "$WORK/wrong/unreadable.toml"
    chmod 755 "$WORK/wrong"
    down=$WORK/wrong/down.toml
    printf '[identity]\nurl = "http://127.0.0.1:9"\n' >"$down"
    for who in $WHO; do
        place=$(place "$who" errors) good=$WORK/services-$who.toml
        as "$who" mkdir -p "$place/full" "$place/empty"
        as "$who" touch "$place/full/file"
        name="errors.$who:"
        check "$name help and version" error_help "$who"
        check "$name a mount point that is missing" refused "$who" "$place/missing|mkdir -p" dcmsfs --config "$good" "$place/missing"
        check "$name not empty" refused "$who" "$place/full|is not empty|--nonempty" dcmsfs --config "$good" "$place/full"
        check "$name not a directory" refused "$who" "full/file|is not a directory" dcmsfs --config "$good" "$place/full/file"
        check "$name a place of the system" refused "$who" "/proc|choose" dcmsfs --config "$good" /proc
        check "$name a command that does not exist" refused "$who" "stauts|dcmsfs --help" dcmsfs stauts
        check "$name unknown key" refused "$who" "key.toml, line 2|ulr|url" dcmsfs --config "$WORK/wrong/key.toml" "$place/empty"
        check "$name wrong type" refused "$who" "type.toml, line 2|string" dcmsfs --config "$WORK/wrong/type.toml" "$place/empty"
        check "$name wrong syntax" refused "$who" "syntax.toml, line 1" dcmsfs --config "$WORK/wrong/syntax.toml" "$place/empty"
        check "$name configuration is missing" refused "$who" "nowhere.toml|No such file" dcmsfs --config /nowhere.toml "$place/empty"
        [ "$who" = root ] || check "$name configuration is unreadable" refused "$who" "unreadable.toml|Permission denied" \
            dcmsfs --config "$WORK/wrong/unreadable.toml" "$place/empty"
        check "$name http to elsewhere" refused "$who" "cache_a.url|use https" dcmsfs --config "$WORK/wrong/http.toml" "$place/empty"
        check "$name no address" refused "$who" "cache_a.url|cachea|https://host/path" dcmsfs --config "$WORK/wrong/address.toml" "$place/empty"
        check "$name password in an address" refused "$who" "cache_a.url|dcmsfs login" \
            dcmsfs --config "$good" --cache-a-url https://me:hunter2@example.com/ "$place/empty"
        check "$name the log cannot be written" refused "$who" "/proc/x/log" dcmsfs --config "$good" --log-file /proc/x/log "$place/empty"
        check "$name wrong password" login_refused "$who" "refused|password" demo wrong
        check "$name terms not accepted" login_refused "$who" "terms|browser" demo-terms one-planet
        check "$name one-time code without a terminal" login_refused "$who" "one-time code|terminal" demo-2fa one-planet
        check "$name login service unreachable" login_refused "$who" "cannot reach http://127.0.0.1:9|identity.url" demo one-planet "$down"
        check "$name no terminal" refused "$who" "--password-stdin" dcmsfs login --user demo --config "$good"
        check "$name nothing mounted there" refused "$who" "$place/empty|nothing" dcmsfs unmount "$place/empty"
        check "$name status of nothing" refused "$who" "$place/empty|nothing" dcmsfs status "$place/empty"
        [ "$who" = root ] || check "$name fusermount3 is missing" refused "$who" "fusermount3|package fuse3" \
            env PATH="$WORK/bin" dcmsfs --config "$good" "$place/empty"
        if [ "$inside" = yes ]; then
            check "$name /dev/fuse is missing" refused_without_device "$who" dcmsfs --config "$good" "$place/empty"
        fi
        # All tries take half a minute, so once is enough.
        [ "$who" = root ] || check "$name service unreachable" error_unreachable "$who"
        check "$name address of something else" error_wrong_address "$who"
        check "$name not logged in, then logged in" error_no_login "$who"
    done
    if [ "$inside" = yes ]; then
        place=$(place user errors)
        mount -t tmpfs tmpfs /mnt && mknod -m 600 /mnt/fuse c 10 229 && mount --bind /mnt/fuse /dev/fuse
        check "errors.user: /dev/fuse is not for users" refused user "may not use /dev/fuse|administrator" \
            dcmsfs --config "$WORK/services-user.toml" "$place/empty"
        umount /dev/fuse && umount /mnt
        cp /dev/null /etc/fuse.conf
        check "errors.user: allow_other is not allowed" refused user "user_allow_other|/etc/fuse.conf" \
            dcmsfs --config "$WORK/services-user.toml" --allow-other "$place/empty"
        echo user_allow_other >/etc/fuse.conf
    fi
}
