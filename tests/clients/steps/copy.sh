# The ordinary commands: cp, rsync, tar, find, ls, du, md5sum.
# shellcheck shell=bash

copy_cp() {
    as "$1" cp -r "$M/$S2_DIRECTORY/$S2" "$OUT/cp" || return
    diff -r "$OUT/cp" "$COPY/$S2" || return
    same "$(find "$OUT/cp" -type f | wc -l)" "$FILES"
}
copy_cmp_one() {
    cmp "$COPY/$S5P" <(as "$1" cat "$M/$S5P_DIRECTORY/$S5P") || return
    as "$1" cmp "$M/$MOSAIC_DIRECTORY/$MOSAIC/B04.tif" "$COPY/$MOSAIC/B04.tif" || return
    # Backwards, as no download runs.
    same "$(as "$1" tail -c 1000 "$M/$S5P_DIRECTORY/$S5P" | md5sum)" "$(tail -c 1000 "$COPY/$S5P" | md5sum)"
}
copy_rsync() {
    local second before
    as "$1" rsync -a "$M/$S2_DIRECTORY/$S2" "$OUT/rsync/" || return
    diff -r "$OUT/rsync/$S2" "$COPY/$S2" || return
    before=$(stand_in "$services_url" count download requests)
    second=$(as "$1" rsync -a --itemize-changes "$M/$S2_DIRECTORY/$S2" "$OUT/rsync/") || return
    same "$second" "" || return
    same "$(stand_in "$services_url" count download requests)" "$before"
}
copy_tar() {
    mkdir "$OUT/tar" || return
    as "$1" tar -C "$M/$S2_DIRECTORY" -cf - "$S2" | tar -C "$OUT/tar" -xf - || return
    diff -r "$OUT/tar/$S2" "$COPY/$S2"
}
copy_find() {
    local here
    here=$(as "$1" find "$M/$S2_DIRECTORY/$S2" -type f) || return
    same "$(wc -l <<<"$here")" "$FILES" || return
    here=$(as "$1" find "$M/$S2_DIRECTORY/$S2" -type f -size +8k -printf '%P %s\n' | sort) || return
    same "$here" "$(find "$COPY/$S2" -type f -size +8k -printf '%P %s\n' | sort)"
}
copy_sizes() {
    local here
    here=$(as "$1" ls -lR "$M/$S2_DIRECTORY/$S2") || wrong "$here" || return
    same "$(grep -c '^-r' <<<"$here")" "$FILES" || return
    same "$(awk '/^-r/ { sum += $5 } END { print sum }' <<<"$here")" \
        "$(find "$COPY/$S2" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum }')" || return
    # Directories have a size of their own on disk, but none here.
    here=$(as "$1" du -b --summarize "$M/$S2_DIRECTORY/$S2" | cut -f 1) || return
    same "$here" "$(find "$COPY/$S2" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum }')" || return
    as "$1" df "$M" | grep -q "$M" || wrong "df does not show $M"
}
# Listing and measuring has asked for no file's bytes: sizes are in the catalogue.
copy_no_downloads() { same "$(stand_in "$services_url" count download requests)" 0; }
copy_md5sum() {
    local first again
    # shellcheck disable=SC2016 # for the inner shell
    first=$(as "$1" sh -c 'cd "$1" && find . -type f -print0 | sort -z | xargs -0 md5sum' sh "$M/$S2_DIRECTORY/$S2") || return
    same "$first" "$(cd "$COPY/$S2" && find . -type f -print0 | sort -z | xargs -0 md5sum)" || return
    stand_in "$services_url" reset
    # shellcheck disable=SC2016
    again=$(as "$1" sh -c 'cd "$1" && find . -type f -print0 | sort -z | xargs -0 md5sum' sh "$M/$S2_DIRECTORY/$S2") || return
    same "$again" "$first" || return
    same "$(stand_in "$services_url" count download requests)" 0
}
copy_store() {
    local here
    stand_in "$services_url" reset
    as "$1" ls "$M/cache-b/$V2/t2m" >/dev/null && as "$1" find "$M/cache-b/$V2" -type f >/dev/null || return
    same "chunks asked for by ls and find: $(stand_in "$services_url" count zarr-chunk requests)" \
        "chunks asked for by ls and find: 0" || return
    # A chunk directory lists every place of the grid, also those where the server has nothing.
    here=$(as "$1" sh -c 'ls "$1" | wc -l' sh "$M/cache-b/$V2/t2m") || return
    for file in .zmetadata .zattrs t2m/.zarray t2m/0.0.0; do
        as "$1" cmp "$M/cache-b/$V2/$file" "$COPY/$V2/$file" || return
    done
    [ "$here" -ge "$(find "$COPY/$V2/t2m" -type f -name '[0-9]*' | wc -l)" ] || wrong "$here chunks are listed"
}
copy_read_only() {
    local said
    for command in "touch $M/x" "rm $M/README.txt" "mkdir $M/cache-a/x" "cp /etc/passwd $M/$S5P_DIRECTORY/$S5P"; do
        # shellcheck disable=SC2086 # words
        ! said=$(as "$1" $command 2>&1) || wrong "$command worked" || return
        grep -q 'Read-only file system' <<<"$said" || wrong "$command: $said" || return
    done
}
copy_others_cannot_enter() {
    local said
    if [ "$1" = root ]; then ! said=$(as user ls "$M" 2>&1); else ! said=$(as root ls "$M" 2>&1); fi \
        || wrong "another account could look into it: $said" || return
    grep -q 'Permission denied' <<<"$said" || wrong "$said"
}

step_copy() {
    local who
    FILES=$(find "$COPY/$S2" -type f | wc -l)
    for who in $WHO; do
        mount_it "$who" copy || continue
        OUT=$(place "$who" copies)
        stand_in "$services_url" reset
        check "copy.$who: find" copy_find "$who"
        check "copy.$who: ls -lR, du, df" copy_sizes "$who"
        check "copy.$who: these downloaded nothing" copy_no_downloads
        check "copy.$who: cp -r" copy_cp "$who"
        check "copy.$who: cmp, cat, tail" copy_cmp_one "$who"
        check "copy.$who: rsync -a, a second time nothing" copy_rsync "$who"
        check "copy.$who: tar" copy_tar "$who"
        check "copy.$who: md5sum, a second time without a request" copy_md5sum "$who"
        check "copy.$who: files of a Zarr store" copy_store "$who"
        check "copy.$who: writing is refused" copy_read_only "$who"
        [ "$inside" != yes ] || check "copy.$who: other accounts stay out" copy_others_cannot_enter "$who"
        check "copy.$who: two downloads at most" two_at_most
    done
}
