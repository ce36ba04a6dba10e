#!/bin/sh
# check.sh PACKAGE: installs, examines, removes and purges the package on this machine. Root; for CI machines.
#
# What the machine had before is there again afterwards, also if a check fails: /etc/updatedb.conf and, as far as
# dpkg allows, no trace of the package. Refuses to run where dcmsfs is installed.
set -eu
[ $# -eq 1 ] || { echo "usage: check.sh PACKAGE" >&2; exit 1; }
[ "$(id -u)" -eq 0 ] || { echo "check.sh: must be root" >&2; exit 1; }
package=$(readlink -f "$1")
if dpkg-query -W dcmsfs >/dev/null 2>&1; then echo "check.sh: dcmsfs is installed here" >&2; exit 1; fi

work=$(mktemp -d)
conf=/etc/updatedb.conf
[ ! -f $conf ] || cp -a $conf "$work/updatedb.conf"
restore() {
    dpkg --purge dcmsfs >/dev/null 2>&1 || :
    if [ -f "$work/updatedb.conf" ]; then cp -a "$work/updatedb.conf" $conf; else rm -f $conf; fi
    rm -rf "$work"
}
trap restore EXIT
fail() { echo "check.sh: FAILED: $*" >&2; exit 1; }
passed=0
ok() { passed=$((passed + 1)); echo "ok: $*"; }

# Every place that the package or its scripts may touch.
listing() {
    find /etc /usr/bin /usr/sbin /sbin/ /usr/lib/systemd /usr/share/doc /usr/share/man /usr/share/lintian \
        /var/lib/dcmsfs -xdev 2>/dev/null | grep -v '^/usr/share/man/.*cat' | LC_ALL=C sort
}
# --force-depends: a CI machine may lack fuse3; what is checked here does not need it.
install_it() { dpkg --force-depends -i "$package" >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "installation"; }; }

printf '# mine\nPRUNE_BIND_MOUNTS="yes"\nPRUNEFS="NFS afs fuse.sshfs"\n# PRUNEFS="x"\n' >$conf
cp $conf "$work/ours"
listing >"$work/before"

install_it
ok "installs"
for entry in 755:/usr/bin/dcmsfs 755:/usr/sbin/mount.dcmsfs 644:/usr/lib/systemd/user/dcmsfs.service \
    644:/usr/lib/systemd/user/dcmsfs@.service 644:/usr/share/doc/dcmsfs/copyright \
    644:/usr/share/doc/dcmsfs/changelog.gz 644:/usr/share/doc/dcmsfs/examples/config.toml; do
    [ "$(stat -c '%a:%u:%g' "${entry#*:}")" = "${entry%%:*}:0:0" ] || fail "mode or owner of ${entry#*:}"
done
ok "files, modes, owners"
[ -z "$(dpkg -L dcmsfs | xargs -d '\n' -I{} find {} -maxdepth 0 -perm /6000 -type f)" ] || fail "a setuid file"
ok "nothing is setuid"
[ -x /sbin/mount.dcmsfs ] || fail "/sbin/mount.dcmsfs does not resolve"
version=$(dpkg-deb -f "$package" Version)
[ "$(mount.dcmsfs --version)" = "mount.dcmsfs $version" ] || fail "mount.dcmsfs --version"
[ "$(dcmsfs --version)" = "dcmsfs $version" ] || fail "dcmsfs --version"
ok "mount.dcmsfs $version"
mkdir "$work/point"
mount -f -t dcmsfs -o uid=0,noauto,_netdev dcmsfs: "$work/point" || fail "mount -f -t dcmsfs"
if mount -f -t dcmsfs -o bogus dcmsfs: "$work/point" 2>/dev/null; then fail "an unknown option was taken"; fi
ok "mount(8) finds the helper and passes its refusals on"
dpkg --verify dcmsfs | grep . && fail "dpkg --verify"
ok "checksums"
if command -v systemd-analyze >/dev/null; then
    for unit in dcmsfs.service dcmsfs@mnt-destine.service; do
        complaints=$(XDG_RUNTIME_DIR=$work systemd-analyze verify --user --man=no "$unit" 2>&1 | grep -i dcmsfs) || :
        [ -z "$complaints" ] || fail "$unit: $complaints"
    done
    ok "units"
fi

grep -qx 'PRUNEFS="NFS afs fuse.sshfs fuse.dcmsfs"' $conf || fail "updatedb.conf: $(cat $conf)"
grep -qx '# PRUNEFS="x"' $conf || fail "a comment of updatedb.conf was changed"
install_it
[ "$(grep -o 'fuse\.dcmsfs' $conf | wc -l)" -eq 1 ] || fail "a second installation added a second entry"
ok "updatedb.conf has the entry once"

dpkg -r dcmsfs >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "removal"; }
cmp $conf "$work/ours" || fail "removal left something in updatedb.conf"
install_it
dpkg -P dcmsfs >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "purge"; }
cmp $conf "$work/ours" || fail "purge left something in updatedb.conf"
listing >"$work/after"
diff "$work/before" "$work/after" || fail "files were left"
ok "removal and purge leave nothing"

printf 'PRUNEFS="NFS fuse.dcmsfs tmpfs"\n' >$conf && cp $conf "$work/ours"
install_it
dpkg -P dcmsfs >/dev/null 2>&1
cmp $conf "$work/ours" || fail "the administrator's own entry was taken away"
rm $conf
install_it
[ ! -e $conf ] || fail "updatedb.conf was created"
dpkg -P dcmsfs >/dev/null 2>&1
[ ! -e /var/lib/dcmsfs ] || fail "/var/lib/dcmsfs is left"
ok "the administrator's own entry stays, an absent updatedb.conf stays absent"
echo "$passed passed, 0 failed"
