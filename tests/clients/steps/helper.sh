# mount(8), fstab and mount.dcmsfs.
# shellcheck shell=bash

daemon_uid() { stat -c %u "/proc/$(daemons | tail -n 1)"; }
fstab_line() { printf 'dcmsfs: %s dcmsfs %s 0 0\n' "$1" "$2" >/etc/fstab; }

helper_root() {
    local point
    point=$(place root helper)
    as root mount -t dcmsfs -o "config=$WORK/services-root.toml" dcmsfs: "$point" || return
    as root cmp "$point/$S5P_DIRECTORY/$S5P" "$COPY/$S5P" || return
    grep " $point " /proc/self/mountinfo | grep -q ' ro,nosuid,nodev,noexec,.* - fuse.dcmsfs dcmsfs: .*default_permissions' \
        || wrong "$(grep " $point " /proc/self/mountinfo)" || return
    as root umount "$point" || return
    not_mounted "$point" && until_true 5 no_daemons || wrong "still there"
}
# Root mounts, the account reads; not even root can enter.
helper_uid() {
    local point said
    point=$(place root helper-uid)
    as root mount -t dcmsfs -o "uid=$account" dcmsfs: "$point" || return
    as user cmp "$point/$S5P_DIRECTORY/$S5P" "$COPY/$S5P" || return
    same "$(daemon_uid)" $account_id || return
    ! said=$(as root ls "$point" 2>&1) || wrong "root could enter: $said" || return
    as user dcmsfs status "$point" | grep -q "logged in as demo" || wrong "status" || return
    as root umount "$point" || return
    not_mounted "$point" && until_true 5 no_daemons || wrong "still there"
}
helper_uid_allow_other() {
    local point
    point=$(place root helper-other)
    as root mount -t dcmsfs -o "uid=$account_id,allow_other" dcmsfs: "$point" || return
    as root cmp "$point/$S5P_DIRECTORY/$S5P" "$COPY/$S5P" || return
    as user cmp "$point/$S5P_DIRECTORY/$S5P" "$COPY/$S5P" || return
    as root umount "$point"
}
helper_fstab_root() {
    local point
    point=$(place root helper-fstab)
    fstab_line "$point" "ro,uid=$account,noauto,nofail,_netdev,x-systemd.automount,config=$WORK/services-user.toml"
    as root mount "$point" || return
    as user test -f "$point/README.txt" || return
    # A daemon that was killed leaves a dead mount; mounting again clears it.
    # shellcheck disable=SC2046
    kill -KILL $(daemons)
    until_true 5 no_daemons
    as root mount "$point" || return
    as user test -f "$point/README.txt" || return
    as root umount "$point" || return
    not_mounted "$point" && until_true 5 no_daemons || wrong "still there"
}
helper_fstab_user() {
    local point said
    point=$(place user helper-fstab)
    fstab_line "$point" ro,user,noauto
    as user mount "$point" || return
    same "$(daemon_uid)" $account_id || return
    as user cmp "$point/$S5P_DIRECTORY/$S5P" "$COPY/$S5P" || return
    # Another account can neither enter nor unmount it.
    ! said=$(setpriv --reuid 65534 --regid 65534 --clear-groups umount "$point" 2>&1) || wrong "unmounted by another: $said" || return
    mounted "$point" || wrong "unmounted by another" || return
    as user umount "$point" || return
    not_mounted "$point" && until_true 5 no_daemons || wrong "still there"
}
# A mount that fails leaves nothing, and mount(8) tells it.
helper_fails() { # WHO
    local point said status=0 before
    point=$(place "$1" helper-fails)
    printf '[cache_a]\nulr = "x"\n' >"$WORK/wrong.toml"
    before=$(grep -c . /proc/self/mountinfo)
    fstab_line "$point" "ro,user,noauto,config=$WORK/wrong.toml"
    said=$(as "$1" mount "$point" 2>&1) || status=$?
    [ $status -ne 0 ] || wrong "it was mounted: $said" || return
    grep -q "wrong.toml, line 2" <<<"$said" || wrong "$said" || return
    same "$(grep -c . /proc/self/mountinfo)" "$before"
}
helper_fake() {
    local point
    point=$(place root helper-fake)
    as root mount -f -t dcmsfs -o uid=$account,_netdev,nofail dcmsfs: "$point" || return
    not_mounted "$point" || wrong "it was mounted"
}
# What contract and manual refuse: WHO, WORDS as in `refused`, the helper's arguments.
helper_refused() {
    local who=$1 words=$2
    shift 2
    refused "$who" "$words" /usr/sbin/mount.dcmsfs "$@" || return
    ! grep -q hunter2 <(as "$who" /usr/sbin/mount.dcmsfs "$@" 2>&1) || wrong "the secret is repeated"
}

step_helper() {
    [ "$inside" = yes ] || { skip helper "needs root"; return; }
    local root user option
    # `refused` is theirs too.
    . "$here/steps/errors.sh"
    root=$(place root refused) user=$(place user refused)
    mkdir -p "$root/full/x" "$root/empty" && ln -sfn "$root/empty" "$root/link"
    # Found without being named: the account's own configuration.
    as user mkdir -p "$WORK/home-user/.config/dcmsfs"
    as user cp "$WORK/services-user.toml" "$WORK/home-user/.config/dcmsfs/config.toml"

    check "helper.root: mount -t dcmsfs" helper_root
    check "helper.root: uid=, with the account's own configuration" helper_uid
    check "helper.root: uid= and allow_other" helper_uid_allow_other
    check "helper.root: a line of fstab, a dead mount replaced" helper_fstab_root
    check "helper.user: a line of fstab with user" helper_fstab_user
    check "helper.root: a daemon that fails" helper_fails root
    check "helper.user: a daemon that fails" helper_fails user
    check "helper.root: mount -f mounts nothing" helper_fake
    for option in password=hunter2 token=hunter2 credentials=hunter2 pass=hunter2,ro; do
        check "helper.root: ${option%%=*}= is refused" helper_refused root "dcmsfs login" dcmsfs: "$root/empty" -o "$option"
    done
    check "helper.user: password= is refused" helper_refused user "dcmsfs login" dcmsfs: "$user" -o password=hunter2
    check "helper.root: unknown option" helper_refused root "unknown mount option bogus" dcmsfs: "$root/empty" -o ro,bogus=hunter2
    check "helper.root: suid" helper_refused root "suid is refused" dcmsfs: "$root/empty" -o suid
    check "helper.root: dev" helper_refused root "dev is refused" dcmsfs: "$root/empty" -o dev
    check "helper.root: remount" helper_refused root "remount|unmount" dcmsfs: "$root/empty" -o remount
    check "helper.root: no such account" helper_refused root "no account no-such" dcmsfs: "$root/empty" -o uid=no-such
    check "helper.root: relative configuration" helper_refused root "absolute path" dcmsfs: "$root/empty" -o config=x.toml
    check "helper.root: source with a comma" helper_refused root "label" dcmsfs,suid "$root/empty"
    check "helper.root: missing mount point" helper_refused root "$root/none|mkdir" dcmsfs: "$root/none"
    check "helper.root: a link as mount point" helper_refused root "$root/link|symbolic link" dcmsfs: "$root/link"
    check "helper.root: not empty" helper_refused root "$root/full|not empty|nonempty" dcmsfs: "$root/full" -o uid=0
    check "helper.root: below /proc" helper_refused root "/proc" dcmsfs: /proc/self
    check "helper.root: a mount point of another account" helper_refused root "another account" dcmsfs: "$user" -o uid=0
    check "helper.user: for another account" helper_refused user "only root" dcmsfs: "$user" -o uid=0
    cp /dev/null /etc/fstab
    rm -f "$WORK/home-user/.config/dcmsfs/config.toml"
}
