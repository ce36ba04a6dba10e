# How a mount begins, tells of itself and ends.
# shellcheck shell=bash

life_background() {
    local point said
    point=$(place "$1" life)
    said=$(as "$1" dcmsfs --config "$WORK/services-$1.toml" "$point" 2>&1) || wrong "$said" || return
    [ "$(wc -l <<<"$said")" -eq 1 ] && grep -qF "dcmsfs unmount $point" <<<"$said" || wrong "$said" || return
    # It returns only when the mount answers.
    as "$1" test -f "$point/README.txt" || wrong "no README.txt" || return
    grep " $point " /proc/self/mountinfo | grep -q ' ro,nosuid,nodev,noexec,.* - fuse.dcmsfs dcmsfs:127.0.0.1 ' \
        || wrong "$(grep " $point " /proc/self/mountinfo)"
}
life_readme() {
    local text command
    text=$(as "$1" cat "$M/README.txt") || return
    for command in "ls $M/" "cp -r $M/" "gdalinfo $M/" "$M/cache-b/" "logged in as demo"; do
        grep -qF "$command" <<<"$text" || wrong "README.txt has no '$command': $text" || return
    done
    # The first command it names works as it stands.
    as "$1" sh -c "$(grep -m 1 '^  ls ' <<<"$text")" | grep -q T32TQM
}
life_status() {
    local said
    said=$(as "$1" dcmsfs status) || wrong "$said" || return
    for word in "$M" cache-a cache-b "logged in as demo"; do
        grep -qF "$word" <<<"$said" || wrong "status has no '$word': $said" || return
    done
    as "$1" dcmsfs status --json "$M" | "$PYTHON" -c '
import json, sys
status, = json.load(sys.stdin)
assert status["mountpoint"] == sys.argv[1] and {s["name"] for s in status["services"]} == {"cache-a", "cache-b"}
' "$M"
}
life_no_secret() {
    local pid secret
    pid=$(daemons | tail -n 1)
    for secret in one-planet "$OFFLINE"; do
        ! grep -qaF -e "$secret" "/proc/$pid/cmdline" /proc/self/mountinfo "$WORK/home-$1/.local/state/dcmsfs/dcmsfs.log" \
            || wrong "a secret is in the command line, the mount table or the log" || return
    done
    [ "$(as "$1" stat -c %a "$WORK/home-$1/.config/dcmsfs/services.toml")" = 600 ] || wrong "the login is readable"
}
life_in_use() {
    local said pid status=0
    rm -f "$WORK/stay" && mkfifo -m 666 "$WORK/stay" && exec 9<>"$WORK/stay"
    # Stays inside until it is told to go.
    as "$1" sh -c 'cd "$1" && echo inside && read -r go' sh "$M/cache-a" <&9 >"$WORK/inside" 9>&- &
    pid=$!
    until_true 5 grep -q inside "$WORK/inside"
    ! said=$(as "$1" dcmsfs unmount "$M" 2>&1) || wrong "a mount in use was unmounted: $said" || status=1
    [ $status -ne 0 ] || { grep -q "in use" <<<"$said" && grep -qF -e "--lazy $M" <<<"$said" || wrong "$said" || status=1; }
    echo go >&9
    wait $pid
    exec 9>&-
    return $status
}
life_unmount() {
    local said
    said=$(as "$1" dcmsfs unmount "$M" 2>&1) || wrong "$said" || return
    not_mounted "$M" || wrong "still mounted" || return
    until_true 5 no_daemons || wrong "the daemon is still there" || return
    ! said=$(as "$1" dcmsfs unmount "$M" 2>&1) || wrong "a second time worked" || return
    grep -qF "nothing is mounted at $M" <<<"$said" || wrong "$said"
}
life_foreground() {
    local point pid status=0
    point=$(place "$1" foreground)
    as "$1" dcmsfs -f --config "$WORK/services-$1.toml" "$point" >"$WORK/foreground" 2>&1 &
    pid=$!
    until_true 10 as "$1" test -f "$point/README.txt" || wrong "$(cat "$WORK/foreground")" || return
    # shellcheck disable=SC2046 # one number
    kill -INT $(daemons)
    wait $pid || status=$?
    [ $status -eq 0 ] || wrong "ended with $status: $(cat "$WORK/foreground")" || return
    not_mounted "$point" || wrong "still mounted"
}
life_notify() {
    local point
    point=$(place "$1" notify)
    as "$1" "$PYTHON" "$WORK/clients/notify.py" "$point" 15 dcmsfs -f --config "$WORK/services-$1.toml" "$point" || return
    not_mounted "$point" || wrong "still mounted"
}
# Another account's mount is named but not looked into, and no error.
life_others() {
    local other said
    if [ "$1" = root ]; then other=user; else other=root; fi
    said=$(as $other dcmsfs status 2>&1) || wrong "status failed: $said" || return
    grep -qF "$M  (of " <<<"$said" || wrong "$said" || return
    same "$(as $other dcmsfs status --json)" "[]" || return
    [ $other = root ] && return
    ! said=$(as $other dcmsfs unmount "$M" 2>&1) || wrong "unmounted by another" || return
    grep -q "another user's" <<<"$said" || wrong "$said" || return
    mounted "$M" || wrong "unmounted by another"
}
life_link() {
    ln -sfn "$M" "$WORK/link-to-mount"
    as "$1" dcmsfs status "$WORK/link-to-mount" | grep -qF "$M " || wrong "status by a link"
}
life_dead() {
    local point said
    point=$(place "$1" dead)
    as "$1" dcmsfs --config "$WORK/services-$1.toml" "$point" >/dev/null || return
    # shellcheck disable=SC2046
    kill -KILL $(daemons)
    until_true 5 no_daemons
    ! said=$(as "$1" ls "$point" 2>&1) || wrong "a dead mount answers: $said" || return
    ! said=$(as "$1" dcmsfs status "$point" 2>&1) || wrong "status: $said" || return
    grep -qF "is dead: remove it with \`dcmsfs unmount --lazy $point\`" <<<"$said" || wrong "$said" || return
    # Mounting again simply works.
    said=$(as "$1" dcmsfs --config "$WORK/services-$1.toml" "$point" 2>&1) || wrong "$said" || return
    grep -q "removed a dead mount" <<<"$said" || wrong "$said" || return
    as "$1" test -f "$point/README.txt" || return
    same "$(grep -c " $point " /proc/self/mountinfo)" 1 || return
    # shellcheck disable=SC2046
    kill -KILL $(daemons)
    until_true 5 no_daemons
    as "$1" dcmsfs unmount "$point" || return
    not_mounted "$point" || wrong "still mounted"
}
life_demo() {
    local point pid status=0
    point=$(place "$1" demo)
    as "$1" dcmsfs demo "$point" >"$WORK/demo" 2>&1 &
    pid=$!
    until_true 20 as "$1" test -f "$point/README.txt" || wrong "$(cat "$WORK/demo")" || return
    as "$1" gdalinfo "$point/$S2_DIRECTORY/$S2/MTD_MSIL2A.xml" | grep -q SUBDATASET || status=1
    as "$1" cmp "$point/$S5P_DIRECTORY/$S5P" "$COPY/$S5P" || status=1
    if kill -0 $pid 2>/dev/null; then
        # shellcheck disable=SC2046
        kill -INT $(daemons)
    else
        as "$1" dcmsfs unmount "$point" || status=1
    fi
    wait $pid || wrong "ended with $?: $(cat "$WORK/demo")" || return
    not_mounted "$point" || wrong "still mounted" || return
    until_true 10 no_daemons || wrong "something of the demo is still there" || return
    [ $status -eq 0 ] || wrong "$(cat "$WORK/demo")"
}

step_life() {
    local who
    OFFLINE=$("$PYTHON" -c 'import json, sys; print(json.load(open(sys.argv[1]))["offline_token"])' "$WORK/services.json")
    for who in $WHO; do
        check "life.$who: in the background, ready when it returns" life_background "$who"
        M=$WORK/places/life-$who
        check "life.$who: README.txt" life_readme "$who"
        check "life.$who: dcmsfs status" life_status "$who"
        check "life.$who: no secret to be seen" life_no_secret "$who"
        check "life.$who: dcmsfs status by a link" life_link "$who"
        [ "$inside" != yes ] || check "life.$who: another account's view" life_others "$who"
        check "life.$who: unmount says who is in the way" life_in_use "$who"
        check "life.$who: dcmsfs unmount" life_unmount "$who"
        check "life.$who: in the foreground, ended by an interrupt" life_foreground "$who"
        check "life.$who: tells a service manager that it is ready" life_notify "$who"
        check "life.$who: a dead mount is told, removed and replaced" life_dead "$who"
        check "life.$who: dcmsfs demo" life_demo "$who"
    done
}
