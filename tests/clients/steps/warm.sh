# dcmsfs warm: what it has fetched is read without a request.
# shellcheck shell=bash

warm_files() {
    local before file
    as "$1" dcmsfs warm --config "$WORK/services-$1.toml" "$M/$S2_DIRECTORY/*/**/*_60m.jp2" >"$WORK/said" 2>&1 ||
        wrong "$(cat "$WORK/said")" || return
    before=$(stand_in "$services_url" count download requests)
    # Not next to each other: the mount would take it for a copy of the product, and fetch the files in between.
    for file in $(cd "$COPY/$S2" && find . -name '*_SCL_60m.jp2' -o -name '*_B02_60m.jp2'); do
        cmp "$COPY/$S2/$file" <(as "$1" cat "$M/$S2_DIRECTORY/$S2/$file") || return
    done
    same "$(stand_in "$services_url" count download requests)" "$before"
}
warm_store() {
    local before
    as "$1" dcmsfs warm --config "$WORK/services-$1.toml" "cache-b/$V2/t2m" >"$WORK/said" 2>&1 ||
        wrong "$(cat "$WORK/said")" || return
    grep -q 'are not at the service' "$WORK/said" || wrong "no chunk is absent: $(cat "$WORK/said")" || return
    before=$(stand_in "$services_url" count zarr-chunk requests)
    # A mount that began before may not know yet what is absent; one that begins now does.
    mount_it "$1" warmed || return
    as "$1" python3 - "$M/cache-b/$V2" <<'END' || return
import sys, numpy, zarr
array = zarr.open(sys.argv[1], mode="r")["t2m"]
assert numpy.isfinite(array[:]).any()
END
    same "$(stand_in "$services_url" count zarr-chunk requests)" "$before"
}
warm_dry() {
    local said
    said=$(as "$1" dcmsfs warm -n --config "$WORK/services-$1.toml" "$S2_DIRECTORY/*.SAFE") || wrong "$said" || return
    grep -q 'nothing was downloaded' <<<"$said" || wrong "$said"
}

step_warm() {
    local who
    for who in $WHO; do
        mount_it "$who" warm || continue
        check "warm.$who: a dry run" warm_dry "$who"
        check "warm.$who: files of a product" warm_files "$who"
        check "warm.$who: a variable of a store" warm_store "$who"
    done
}
