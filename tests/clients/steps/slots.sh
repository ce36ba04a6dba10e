# Never more than two downloads at once, whoever reads.
# shellcheck shell=bash

# Eight readers of different files, over two mounts of the same account. All are open before the first is read:
# files that are opened one after another, each when the one before has been read, are fetched ahead.
eight_at_once() {
    local who=$1 file number=0 paths=()
    for file in $(cd "$COPY/$S2" && find . -name '*_20m.jp2' | sort | head -n 8); do
        local point=$FIRST
        [ $((number % 2)) -eq 0 ] || point=$SECOND
        paths+=("$point/$S2_DIRECTORY/$S2/$file")
        number=$((number + 1))
    done
    [ $number -eq 8 ] || wrong "$number files instead of 8" || return
    # shellcheck disable=SC2016 # the inner shell expands it
    as "$who" bash -c '
        out=$1 number=0 open=() pids=() status=0
        shift
        for file; do exec {descriptor}<"$file" && open+=("$descriptor") || exit; done
        for descriptor in "${open[@]}"; do
            cat <&"$descriptor" >"$out/$number" &
            pids+=($!)
            number=$((number + 1))
        done
        for pid in "${pids[@]}"; do wait "$pid" || status=1; done
        exit $status' bash "$OUT" "${paths[@]}" || wrong "a reader failed" || return
    number=0
    for file in $(cd "$COPY/$S2" && find . -name '*_20m.jp2' | sort | head -n 8); do
        cmp "$OUT/$number" "$COPY/$S2/$file" || return
        number=$((number + 1))
    done
}
# Two, and really two: else the readers waited for nothing.
exactly_two() {
    same "peak $(stand_in "$slow_url" count download peak), refused $(stand_in "$slow_url" number refused)" \
        "peak 2, refused 0"
}
one_each() {
    same "$(stand_in "$slow_url" count download requests)" 8
}

step_slots() {
    local who
    # Slow, so that transfers last and can be counted.
    emulator slow --data demo --rate-per-connection 20000 --latency-ms 20
    for who in $WHO; do
        mount_it "$who" slots-one slow || continue
        FIRST=$M
        mount_it "$who" slots-two slow || continue
        SECOND=$M OUT=$(place "$who" slots)
        stand_in "$slow_url" reset
        check "slots.$who: eight readers over two mounts" eight_at_once "$who"
        check "slots.$who: two downloads at once, never three" exactly_two
        check "slots.$who: one download for each file" one_each
    done
}
